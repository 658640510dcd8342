use tokio::task::JoinHandle;

use super::*;

const HOLD: Duration = Duration::from_secs(20);
const WAIT: Duration = Duration::from_secs(40);
const LIMITS: BudgetLimits = BudgetLimits { pool: 100, of_one: 60, reserve: 50, hold: HOLD, wait: WAIT };

/// Receives a body in pieces of ten bytes, one each second.
fn receive(budget: &BodyBudget<char>, key: char, pieces: usize) -> JoinHandle<Result<(), Exhausted>> {
    let held = budget.open(key);
    tokio::spawn(async move {
        for _ in 0..pieces {
            held.add(10).await?;
            tokio::select! {
                () = held.revoked() => return Err(Exhausted::InTotal),
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        Ok(())
    })
}

#[tokio::test]
async fn without_a_reserve_nobody_waits() {
    let budget = BodyBudget::new(BudgetLimits { reserve: 0, ..LIMITS });
    let (first, second) = (budget.open('a'), budget.open('b'));
    first.add(60).await.unwrap();
    assert_eq!(first.add(1).await, Err(Exhausted::OfOne));
    second.add(40).await.unwrap();
    assert_eq!(second.add(1).await, Err(Exhausted::InTotal));
    assert_eq!(budget.used(), 100);
    drop(first);
    second.add(20).await.unwrap();
    drop(second);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_use_up_the_pool_together_get_in_one_after_the_other() {
    let budget = BodyBudget::new(LIMITS);
    let bodies: Vec<_> = "abcdefgh".chars().map(|key| receive(&budget, key, 5)).collect();
    let mut most = 0;
    while bodies.iter().any(|body| !body.is_finished()) {
        most = most.max(budget.used());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for body in bodies {
        assert_eq!(body.await.unwrap(), Ok(()));
    }
    assert!((101..=LIMITS.pool + LIMITS.reserve).contains(&most), "{most}");
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn unfinished_bodies_are_held_only_while_nobody_waits() {
    let budget = BodyBudget::new(LIMITS);
    let unfinished: Vec<_> = "ab".chars().map(|key| (budget.open(key), budget.open(key))).collect();
    for (small, large) in &unfinished {
        small.add(10).await.unwrap();
        large.add(40).await.unwrap();
    }
    // One unfinished body holds the reserve as well.
    let finisher = budget.open('c');
    finisher.add(1).await.unwrap();
    tokio::time::sleep(10 * HOLD).await;
    let small = &unfinished[0].0;
    assert!(tokio::time::timeout(Duration::ZERO, small.revoked()).await.is_err(), "nobody waits");
    let revoked = async {
        unfinished[0].1.revoked().await;
    };
    let newcomer = budget.open('d');
    tokio::select! {
        _ = newcomer.add(10) => panic!("the pool is used up"),
        () = revoked => {}
        () = unfinished[1].1.revoked() => {}
    }
    drop(unfinished);
    newcomer.add(10).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_notice_do_not_shield_those_of_others() {
    let budget = BodyBudget::new(LIMITS);
    let deaf = budget.open('a');
    deaf.add(60).await.unwrap();
    let noticing = budget.open('b');
    noticing.add(40).await.unwrap();
    let finisher = budget.open('c');
    finisher.add(50).await.unwrap();
    tokio::time::sleep(2 * HOLD).await;
    let newcomer = budget.open('d');
    let newcomer = tokio::spawn(async move { newcomer.add(10).await });
    noticing.revoked().await;
    assert_eq!(finisher.add(1).await, Err(Exhausted::InTotal), "the finisher is revoked as well");
    drop(noticing);
    assert_eq!(newcomer.await.unwrap(), Ok(()));
    assert_eq!(deaf.add(0).await, Err(Exhausted::InTotal), "what is revoked gets nothing more");
}

#[tokio::test(start_paused = true)]
async fn all_overdue_bodies_of_the_sender_that_holds_most_are_revoked_together() {
    let budget = BodyBudget::new(BudgetLimits { of_one: 80, ..LIMITS });
    let many: Vec<_> = (0..8).map(|_| budget.open('a')).collect();
    for held in &many {
        held.add(10).await.unwrap();
    }
    let one = budget.open('b');
    one.add(20).await.unwrap();
    let finisher = budget.open('c');
    finisher.add(1).await.unwrap();
    finisher.complete();
    tokio::time::sleep(HOLD + Duration::from_millis(1)).await;
    let newcomer = budget.open('d');
    tokio::select! {
        biased;
        _ = newcomer.add(20) => panic!("the pool is used up"),
        () = one.revoked() => panic!("holds less"),
        () = async { for held in &many { held.revoked().await } } => {}
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_is_no_reason_to_give_up_what_is_held() {
    let budget = BodyBudget::new(LIMITS);
    let complete = budget.open('a');
    complete.add(60).await.unwrap();
    complete.complete();
    let (first, second, third) = (budget.open('b'), budget.open('c'), budget.open('d'));
    for held in [&first, &second] {
        held.add(20).await.unwrap();
    }
    third.add(50).await.unwrap();
    third.complete();
    let waiting = async { tokio::join!(first.add(10), second.add(10)) };
    assert!(tokio::time::timeout(WAIT - Duration::from_secs(1), waiting).await.is_err());
    for held in [&first, &second] {
        assert!(tokio::time::timeout(Duration::ZERO, held.revoked()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn many_that_wait_revoke_one_sender_at_a_time() {
    let budget = BodyBudget::new(LIMITS);
    let overdue: Vec<_> = "abcdefghij".chars().map(|key| budget.open(key)).collect();
    for held in &overdue {
        held.add(10).await.unwrap();
    }
    let finisher = budget.open('k');
    finisher.add(1).await.unwrap();
    finisher.complete();
    tokio::time::sleep(2 * HOLD).await;
    let newcomers: Vec<_> = "lmnop".chars().map(|key| receive(&budget, key, 1)).collect();
    tokio::time::sleep(RECLAIM_INTERVAL + Duration::from_millis(10)).await;
    let mut revoked = 0;
    for held in &overdue {
        revoked += usize::from(tokio::time::timeout(Duration::ZERO, held.revoked()).await.is_ok());
    }
    assert_eq!(revoked, 1);
    newcomers.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_its_own_bodies_costs_others_nothing() {
    let budget = BodyBudget::new(LIMITS);
    let slow = budget.open('a');
    slow.add(10).await.unwrap();
    tokio::time::sleep(2 * HOLD).await;
    let (first, second, third) = (budget.open('b'), budget.open('b'), budget.open('b'));
    first.add(60).await.unwrap();
    second.add(1).await.unwrap();
    second.complete();
    assert!(tokio::time::timeout(HOLD / 2, third.add(1)).await.is_err(), "its share is used up");
    assert!(tokio::time::timeout(Duration::ZERO, slow.revoked()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_finisher_returns_the_reserve_as_soon_as_the_pool_has_room() {
    let budget = BodyBudget::new(LIMITS);
    let (first, second) = (budget.open('a'), budget.open('b'));
    first.add(60).await.unwrap();
    second.add(40).await.unwrap();
    let slow = budget.open('c');
    slow.add(1).await.unwrap();
    let next = budget.open('d');
    let next = tokio::spawn(async move { next.add(50).await.map(|()| next) });
    tokio::task::yield_now().await;
    assert!(!next.is_finished(), "the reserve is lent");
    drop(second);
    let next = next.await.unwrap().unwrap();
    assert_eq!(budget.used(), 60 + 1 + 50);
    drop((first, slow, next));
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn time_before_a_body_holds_anything_does_not_count() {
    let budget = BodyBudget::new(LIMITS);
    let late = budget.open('a');
    tokio::time::sleep(10 * HOLD).await;
    late.add(60).await.unwrap();
    let other = budget.open('b');
    other.add(40).await.unwrap();
    other.complete();
    let finisher = budget.open('c');
    finisher.add(50).await.unwrap();
    finisher.complete();
    let newcomer = budget.open('d');
    let waiting = tokio::time::timeout(HOLD / 2, newcomer.add(10)).await;
    assert!(waiting.is_err(), "the pool is used up");
    assert!(tokio::time::timeout(Duration::ZERO, late.revoked()).await.is_err(), "it has held something only since");
}

#[tokio::test(start_paused = true)]
async fn a_complete_body_keeps_what_it_holds_and_others_wait_no_longer_than_they_may() {
    let budget = BodyBudget::new(LIMITS);
    let complete: Vec<_> = "abc".chars().map(|key| budget.open(key)).collect();
    for held in &complete {
        held.add(50).await.unwrap();
        held.complete();
    }
    let started = Instant::now();
    assert_eq!(budget.open('d').add(10).await, Err(Exhausted::InTotal));
    assert_eq!(started.elapsed(), WAIT);
    drop(complete);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sender_at_its_share_waits_for_itself_while_others_go_on() {
    let budget = BodyBudget::new(LIMITS);
    let large: Vec<_> = (0..3).map(|_| receive(&budget, 'a', 5)).collect();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let other = receive(&budget, 'b', 3);
    let started = Instant::now();
    other.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    for body in large {
        body.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_does_not_stand_in_front_of_others() {
    let budget = BodyBudget::new(LIMITS);
    let complete = budget.open('a');
    complete.add(60).await.unwrap();
    let finisher = budget.open('b');
    finisher.add(45).await.unwrap();
    let (large, small) = (budget.open('b'), budget.open('b'));
    assert!(tokio::time::timeout(Duration::from_secs(1), large.add(50)).await.is_err(), "nothing fits");
    assert_eq!(tokio::time::timeout(Duration::from_secs(1), small.add(5)).await, Ok(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_holds_nothing() {
    let budget = BodyBudget::new(LIMITS);
    let complete: Vec<_> = "abc".chars().map(|key| budget.open(key)).collect();
    for held in &complete {
        held.add(50).await.unwrap();
    }
    let waiting = receive(&budget, 'd', 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(complete);
    assert_eq!(budget.used(), 0);
    assert_eq!(budget.lock().waiting.len(), 0);
}
