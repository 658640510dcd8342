use super::*;
use crate::Event;
use crate::sync::Synchronizer;

async fn started(place: &Place) -> (Arc<Core>, SecretKey, Synchronizer) {
    let core = place.start().await;
    let (key, mut events) = (core.account.synchronization_key().clone(), core.events.subscribe());
    let synchronizer = Synchronizer::start(core.clone());
    assert!(matches!(events.recv().await.unwrap(), Event::DatawalletSynchronized), "a start synchronizes by itself");
    (core, key, synchronizer)
}

#[tokio::test]
async fn a_change_is_pushed_without_a_request() {
    let place = Place::new().await;
    let (core, key, _synchronizer) = started(&place).await;
    let mut batch = Batch::new();
    batch.record_create(token(plain_token()));
    core.change(|_| Ok((batch, ()))).await.unwrap();
    while !core.store.unpushed(1).unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(place.log(&key).len(), 3);
}

#[tokio::test]
async fn callers_that_wait_at_the_same_time_share_one_run() {
    let place = Place::new().await;
    let (_core, _key, synchronizer) = started(&place).await;
    let before = place.backbone.calls().len();
    let callers = (0..20).map(|_| synchronizer.everything());
    for outcome in futures_util::future::join_all(callers).await {
        outcome.unwrap();
    }
    let calls = &place.backbone.calls()[before..];
    let runs = calls.iter().filter(|call| *call == "POST /SyncRuns").count();
    assert!((1..=2).contains(&runs), "one for the first caller at most, one for the others: {calls:?}");
}

#[tokio::test]
async fn a_failure_is_returned_to_all_waiting_callers() {
    let place = Place::new().await;
    let (_core, _key, synchronizer) = started(&place).await;
    place.backbone.state().version = Some(9);
    let (first, second) = tokio::join!(synchronizer.datawallet(), synchronizer.datawallet());
    for outcome in [first, second] {
        assert_eq!(outcome.unwrap_err().code(), "error.transport.datawallet.insufficientSupportedDatawalletVersion");
    }
}

#[tokio::test]
async fn stopping_is_idempotent_and_later_requests_are_refused() {
    let place = Place::new().await;
    let (_core, _key, synchronizer) = started(&place).await;
    synchronizer.stop().await;
    synchronizer.stop().await;
    assert_eq!(synchronizer.datawallet().await.unwrap_err().code(), "error.transport.request.aborted");
}

#[tokio::test]
async fn stopping_during_a_push_does_not_wait_and_the_next_start_does_not_duplicate_it() {
    let place = Place::new().await;
    let (core, key, synchronizer) = started(&place).await;
    place.backbone.state().hang_after = Some("/Datawallet/Modifications");
    let mut batch = Batch::new();
    batch.record_create(token(plain_token()));
    core.change(|_| Ok((batch, ()))).await.unwrap();
    while place.log(&key).len() < 3 {
        tokio::task::yield_now().await;
    }
    synchronizer.stop().await;
    assert_eq!(core.store.unpushed(10).unwrap().len(), 2, "nobody said that it arrived");
    drop((core, synchronizer));
    let node = place.start().await;
    node.push().await.unwrap();
    assert_eq!((place.log(&key).len(), unpushed(&node)), (3, 0));
}
