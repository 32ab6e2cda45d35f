//! What may have gone out: held, settled, released.

use std::time::Duration;

use super::*;
use crate::delivery::AttemptId;
use crate::delivery::receipt::{Receipt, Says};

const LENGTH: Duration = Duration::from_mins(1);

/// A store in which messages of the tenant are held for a minute.
async fn holding(store: Store) -> Store {
    let hold = Hold {
        length: LENGTH,
        is_asked: true,
    };
    let policies = vec![(tenant(), UnknownPolicy::Hold, hold)];
    store.recover(policies, NOW).await.expect("recovered");
    store
}

fn unknown() -> Step {
    Step::Done {
        state: State::Unknown,
        provider_id: String::new(),
        reason: Some(Reason::new("provider.no_answer", "no answer came")),
        in_row: false,
    }
}

fn receipt(batch: &BatchId, index: u64, attempt: u32, says: Says) -> Receipt {
    Receipt {
        attempt: Some(AttemptId {
            batch: batch.clone(),
            index,
            attempt,
        }),
        provider_id: format!("wamid.{index}"),
        says,
        at: NOW,
    }
}

fn failed() -> Says {
    Says::Failed {
        reason: Reason::new("provider.recipient", "not on WhatsApp"),
        in_row: true,
    }
}

async fn settle(store: &Store, receipts: Vec<Receipt>) -> (Vec<Heeded>, Vec<BatchId>) {
    let settled = store.settle(receipts, vec![tenant()], NOW).await;
    settled.expect("settled")
}

async fn standing(store: &Store, batch: &BatchId) -> crate::delivery::standing::BatchStanding {
    let found = store.batch(batch.clone()).await.expect("read");
    found.expect("known")
}

/// A batch of four messages: three are accepted and the first is as `step` says.
async fn with_first(store: &Store, step: Step) -> BatchId {
    let (batch, _) = admitted(store, 1, "aa").await;
    for index in [0, 1, 3, 4] {
        assert!(begin(store, attempt(&batch, index, 1)).await);
        let step = if index == 0 { step.clone() } else { accepted() };
        record(store, attempt(&batch, index, 1), step).await;
    }
    batch
}

/// A batch that ended while a receipt could still come would tell its tenant less than is known;
/// one that never ended would tell nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_message_is_held_until_it_is_settled() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let batch = with_first(&store, unknown()).await;
    let finish = store.finish(batch.clone(), NOW).await.expect("answered");
    assert_eq!(finish, Finish::Elsewhere);
    assert_eq!(store.sending().await.expect("read"), []);
    let held = standing(&store, &batch).await;
    assert_eq!((held.state, held.counts.unknown), (BatchState::Sending, 1));
    assert_eq!(held.waits_for_receipts(), Some((1, NOW.plus_ms(60_000))));
    // A restart goes on with it.
    drop(store);
    let store = holding(open(&folder)).await;
    let released = store.release(NOW.plus_ms(59_999)).await.expect("released");
    assert_eq!(released, Released::default());

    let receipts = vec![
        receipt(&batch, 0, 1, Says::Accepted),
        receipt(&batch, 0, 1, Says::Delivered),
        receipt(&batch, 1, 1, failed()),
        receipt(&BatchId::new(NOW, 99), 0, 1, Says::Read),
    ];
    let (heeded, finished) = settle(&store, receipts).await;
    let expected = [
        Heeded::Settled(State::Accepted),
        Heeded::Known,
        Heeded::Known,
        Heeded::Strange,
    ];
    assert_eq!(heeded, expected);
    assert_eq!(finished, std::slice::from_ref(&batch));
    let done = standing(&store, &batch).await;
    assert_eq!(done.state, BatchState::Finished);
    let counts = done.counts;
    assert_eq!((counts.accepted, counts.unknown, done.held), (4, 0, 0));
    let first = &store.messages(batch, 0, 1).await.expect("read")[0];
    assert_eq!(
        (first.state, &*first.provider_id),
        (State::Accepted, "wamid.0")
    );
}

/// What nothing settles is told as unknown when its time is over, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let batch = with_first(&store, unknown()).await;
    let over = store.release(NOW.plus_ms(60_000)).await.expect("released");
    assert_eq!((over.messages, over.finished), (1, vec![batch.clone()]));
    let done = standing(&store, &batch).await;
    assert_eq!((done.state, done.counts.unknown), (BatchState::Finished, 1));
    let (heeded, _) = settle(&store, vec![receipt(&batch, 0, 1, Says::Read)]).await;
    assert_eq!(heeded, [Heeded::Known], "its results are written");
}

/// A clock that was ahead when a message became unknown must not hold its batch for a year.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_holds_nothing_for_longer() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let batch = with_first(&store, unknown()).await;
    let earlier = NOW.plus_ms(-10_000_000);
    store.release(earlier).await.expect("released");
    let held = standing(&store, &batch).await;
    assert_eq!(held.held_until, Some(earlier.plus_ms(60_000)));
}

/// Where the settings leave nothing that could settle a message, nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_where_nothing_can_settle_it() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let batch = with_first(&store, unknown()).await;
    drop(store);
    let store = open(&folder);
    let policies = vec![(tenant(), UnknownPolicy::Hold, Hold::default())];
    store.recover(policies, NOW).await.expect("recovered");
    let over = store.release(NOW).await.expect("released");
    assert_eq!(over.finished, [batch]);
    let (other, _) = admitted(&store, 2, "bb").await;
    assert!(begin(&store, attempt(&other, 0, 1)).await);
    record(&store, attempt(&other, 0, 1), unknown()).await;
    assert_eq!(standing(&store, &other).await.held, 0);
}

/// A receipt is often here before the answer: it must neither be lost if that never comes, nor
/// count against it if it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_may_come_before_the_answer() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let (batch, _) = admitted(&store, 1, "aa").await;
    for index in [0, 1, 3, 4] {
        assert!(begin(&store, attempt(&batch, index, 1)).await);
    }
    let receipts = vec![
        receipt(&batch, 0, 1, failed()),
        receipt(&batch, 1, 1, failed()),
        receipt(&batch, 3, 1, Says::Accepted),
        receipt(&batch, 4, 1, failed()),
    ];
    let (heeded, _) = settle(&store, receipts).await;
    let accepted_at_once = Heeded::Settled(State::Accepted);
    let expected = [Heeded::Kept, Heeded::Kept, accepted_at_once, Heeded::Kept];
    assert_eq!(heeded, expected);
    assert_eq!(standing(&store, &batch).await.counts.in_flight, 3);
    record(&store, attempt(&batch, 0, 1), unknown()).await;
    record(&store, attempt(&batch, 1, 1), accepted()).await;
    record(&store, attempt(&batch, 3, 1), unknown()).await;
    // The last answer never comes: the service dies.
    drop(store);
    let store = holding(open(&folder)).await;
    let all = store.messages(batch.clone(), 0, 9).await.expect("read");
    let states: Vec<State> = all.iter().map(|message| message.state).collect();
    let (yes, no) = (State::Accepted, State::Failed);
    assert_eq!(states, [no, yes, State::Invalid, yes, no]);
    assert!(all[0].in_row, "a mended row could be sent");
    let counts = standing(&store, &batch).await.counts;
    let found = (
        counts.in_flight,
        counts.accepted,
        counts.failed,
        counts.unknown,
    );
    assert_eq!(found, (0, 2, 2, 0));
}

/// Under `resend` a receipt keeps a message from going out twice, and no other tenant's receipt
/// touches it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_to_go_again_is_settled_too() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let again = Step::Again {
        not_before: NOW,
        reason: Reason::new("provider.no_answer", "no answer came"),
        possible_duplicate: true,
        counts: true,
    };
    let batch = with_first(&store, again).await;
    let stranger = vec![TenantName::parse("bravo").expect("a name")];
    let receipts = vec![receipt(&batch, 0, 1, Says::Accepted)];
    let by_stranger = store.settle(receipts.clone(), stranger, NOW).await;
    assert_eq!(by_stranger.expect("answered").0, [Heeded::Strange]);
    let (heeded, _) = settle(&store, receipts).await;
    assert_eq!(heeded, [Heeded::Settled(State::Accepted)]);
    assert!(!begin(&store, attempt(&batch, 0, 2)).await);
    let first = &store.messages(batch.clone(), 0, 1).await.expect("read")[0];
    assert!(!first.possible_duplicate, "it went out once");
}

/// A cancelled batch ends as others do: with the truth about what may have gone out.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_waits_for_what_is_held() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let (batch, _) = admitted(&store, 1, "aa").await;
    assert!(begin(&store, attempt(&batch, 0, 1)).await);
    record(&store, attempt(&batch, 0, 1), unknown()).await;
    store
        .cancel(batch.clone(), String::new(), NOW)
        .await
        .expect("cancelled");
    let step = || store.settle_cancelled(batch.clone(), NOW);
    assert_eq!(step().await.expect("settled"), Settling::Held);
    let held = standing(&store, &batch).await;
    assert_eq!((held.counts.cancelled, held.held), (3, 1));
    settle(&store, vec![receipt(&batch, 0, 1, Says::Accepted)]).await;
    assert_eq!(step().await.expect("settled"), Settling::Done);
    let done = standing(&store, &batch).await;
    assert_eq!((done.counts.accepted, done.counts.cancelled), (1, 3));
}

/// A question that is asked without end, or forgotten, helps nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_at_its_turns() {
    let folder = folder();
    let store = holding(open(&folder)).await;
    let batch = with_first(&store, unknown()).await;
    let ask = |ms| store.ask(NOW.plus_ms(ms), 50);
    assert_eq!(ask(14_999).await.expect("asked"), []);
    let questioned = ask(15_000).await.expect("asked");
    assert_eq!(questioned[0].tenant, tenant());
    assert_eq!(questioned[0].tries, [attempt(&batch, 0, 1).id()]);
    assert_eq!(ask(15_001).await.expect("asked"), [], "the answer may come");
    assert_eq!(ask(30_000).await.expect("asked").len(), 1);
    assert_eq!(
        ask(59_999).await.expect("asked"),
        [],
        "its hold is over then"
    );
}
