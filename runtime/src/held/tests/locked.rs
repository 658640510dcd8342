//! What the creator sees of a token that peers have locked.

use super::*;
use crate::dto::TokenStatus;
use crate::facade::FindTokens;
use crate::token::TokenSettings;

async fn status(world: &World, token: &Token) -> Option<TokenStatus> {
    let listed = TokensFacade::new(world.node.clone()).find(FindTokens::default()).await.unwrap();
    listed.tokens.into_iter().find(|listed| listed.id == token.id.as_str()).map(|listed| listed.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_peers_have_locked_is_listed_as_locked_until_it_is_unlocked() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let ephemeral = world.shared(CreateTokenForFile { ephemeral: true, ..protected() }).await;
        let (stranger, wrong) = (world.stranger(), PasswordHash::from_bytes([1; 32]));
        for attempt in 1..=MAX_FAILED_ATTEMPTS {
            assert_eq!(status(world, &token).await, Some(TokenStatus::Active), "before attempt {attempt}");
            for token in [&token, &ephemeral] {
                world.ask(token, &stranger, Some(&wrong)).await.unwrap_err();
            }
        }
        assert_eq!(status(world, &token).await, Some(TokenStatus::Locked));
        for token in [&token, &ephemeral] {
            let right = world.hash(token);
            assert_eq!(world.ask(token, &stranger, Some(&right)).await, Err(Refusal::Locked));
            assert!(is_locked(&world.node.core, &token.id).unwrap());
        }
        let kept = TokenSettings::stored(&world.node.core.store.view(), &ephemeral.id).unwrap();
        assert_eq!(kept, Default::default(), "nothing is kept of a token that is in no list");
        unlock(&world.node.core, &token.id).await.unwrap();
        assert_eq!(status(world, &token).await, Some(TokenStatus::Locked), "until the backbone has answered");
        let unlock = |view: &View<'_>| Ok::<_, StoreError>((TokenSettings::unlocking(view, &token.id)?, ()));
        world.node.core.store.change(unlock).await.unwrap();
        assert_eq!(status(world, &token).await, Some(TokenStatus::Active));
        let right = world.hash(&token);
        assert!(world.ask(&token, &stranger, Some(&right)).await.is_ok());
    })
    .await;
}
