//! Which side is asked for a token first, and when the other one is, too.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_backbone_is_asked_for_a_token_after_a_head_start() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V1).await;
        for (delay, is_asked) in [(Duration::ZERO, false), (HEAD_START / 2, false), (HEAD_START * 2, true)] {
            let (token, _) = world.share(&file, None).await;
            world.bob.core.routes.learn_token(&token.id, route());
            world.forget().await;
            world.peers.state().delay = delay;
            let by = crate::delivery::of(&world.bob.core);
            assert_eq!(by.token(&token.id, None, None, None).await.unwrap().id, token.id);
            assert_eq!(world.backbone.held().await.reads, usize::from(is_asked), "{delay:?}");
            // One that has nothing for this node is not the end.
            world.peers.state().refusal = Some(Refusal::NotFound);
            assert_eq!(by.token(&token.id, None, None, None).await.unwrap().id, token.id);
            // Nor is a backbone that is away.
            world.peers.state().refusal = None;
            world.is_away(true, false).await;
            assert_eq!(by.token(&token.id, None, None, None).await.unwrap().id, token.id);
            world.is_away(true, true).await;
            let Err(Failure::Failed(error)) = by.token(&token.id, None, None, None).await else { panic!("delivered") };
            assert!(error.to_string().contains("nobody listens"), "{error}");
            world.is_away(false, false).await;
        }
        let unknown: TokenId = "TOKunknownunknown123".parse().unwrap();
        let by = crate::delivery::of(&world.bob.core);
        assert!(matches!(
            by.token(&unknown, None, None, None).await,
            Err(Failure::NotFound(Error::RecordNotFoundAtBackbone(_) | Error::Backbone(_)))
        ));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_counted_once() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V1).await;
        let (token, reference) = world.share(&file, Some("secret")).await;
        let counted = async || {
            let failed = world.backbone.held().await.tokens[&token.id].failed_attempts();
            (world.peers.state().wrong_passwords, failed)
        };
        let error = world.load(&reference, Some("wrong")).await.unwrap_err();
        assert_eq!(error.code(), "error.runtime.recordNotFound");
        assert_eq!(counted().await, (1, 0));
        // A peer that decides nothing leaves it to the backbone: one that is away, slow or locked.
        world.is_away(false, true).await;
        assert!(world.load(&reference, Some("wrong")).await.is_err());
        assert_eq!(counted().await, (1, 1));
        world.is_away(false, false).await;
        world.peers.state().delay = PASSWORD_PATIENCE * 2;
        assert!(world.load(&reference, Some("wrong")).await.is_err());
        assert_eq!(counted().await, (1, 2));
        world.peers.state().delay = Duration::ZERO;
        world.peers.state().refusal = Some(Refusal::Locked);
        assert!(world.load(&reference, Some("wrong")).await.is_err());
        assert_eq!(counted().await, (1, 3));
        world.peers.state().refusal = None;
        world.load(&reference, Some("secret")).await.unwrap();
        let route = world.bob.core.routes.to_file(&file.id).unwrap();
        assert!(route.password.is_some(), "a stranger needs it again for the file");
        assert_eq!(route.token, Some(token.id.clone()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_of_another_backbone_is_for_the_peer_first_and_both_are_named() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        let elsewhere = reference_elsewhere(&token);
        world.forget().await;
        world.load(&elsewhere, None).await.unwrap();
        assert!(world.download(&file.id).await.unwrap().0 == b"abc");
        assert_eq!(world.backbone.held().await.reads, 0, "the backbone of this node is not asked");

        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        let elsewhere = reference_elsewhere(&token);
        world.backbone.held().await.tokens.clear();
        world.is_away(false, true).await;
        let error = world.load(&elsewhere, None).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.code(), "error.runtime.peers.unreachable");
        assert!(
            text.contains("nobody listens") && text.contains("elsewhere.example") && text.contains("127.0.0.1:1"),
            "{text}"
        );
        world.is_away(false, false).await;
        world.peers.state().refusal = Some(Refusal::NotFound);
        let error = world.load(&elsewhere, None).await.unwrap_err();
        assert_eq!(error.code(), "error.runtime.recordNotFound");
    })
    .await;
}
