//! What is paused, cancelled or hastened, on real files.

use super::*;
use crate::delivery::steering::{By, Pause, Subject};

const LATER: Moment = Moment::from_millis(1_800_000_060_000);

fn again(not_before: Moment, possible_duplicate: bool) -> Step {
    Step::Again {
        not_before,
        reason: Reason::new("provider.throttled", "too fast"),
        possible_duplicate,
        counts: true,
    }
}

fn number(text: &str) -> Phone {
    serde_json::from_str(&format!("{text:?}")).expect("a number")
}

fn subjects(batch: &BatchId) -> [Subject; 5] {
    let template = |language: Option<&str>| Subject::Template {
        tenant: tenant(),
        name: "offer".into(),
        language: language.map(Into::into),
    };
    [
        Subject::Tenant { tenant: tenant() },
        Subject::Batch {
            batch: batch.clone(),
        },
        Subject::Sender {
            tenant: tenant(),
            number: number("+15550001111"),
        },
        template(None),
        template(Some("nl")),
    ]
}

fn pause(subject: Subject, by: By, until: Option<Moment>) -> Pause {
    Pause {
        subject,
        reason: "the texts are being looked at".into(),
        by,
        since: NOW,
        until,
    }
}

/// Begins the message at `index` and records `step` for it.
async fn tried(store: &Store, batch: &BatchId, index: u64, step: Step) {
    let attempt = attempt(batch, index, 1);
    assert!(begin(store, attempt.clone()).await);
    record(store, attempt, step).await;
}

async fn states(store: &Store, batch: &BatchId) -> Vec<State> {
    let messages = store.messages(batch.clone(), 0, 10).await.expect("read");
    messages.iter().map(|message| message.state).collect()
}

async fn standing(store: &Store, batch: &BatchId) -> crate::delivery::standing::BatchStanding {
    store.batch(batch.clone()).await.expect("read").expect("it")
}

/// A pause that a restart forgot would send what somebody has stopped.
#[tokio::test(flavor = "multi_thread")]
async fn pauses_survive_a_restart_and_end_by_themselves() {
    let folder = folder();
    let store = open(&folder);
    let batch = BatchId::new(NOW, 7);
    let mut expected = Vec::new();
    for (at, subject) in subjects(&batch).into_iter().enumerate() {
        let until = (at % 2 == 1).then_some(LATER);
        let pause = pause(subject, By::Operator, until);
        assert!(store.pause(pause.clone()).await.expect("paused"));
        expected.push(pause);
    }
    drop(store);
    let store = open(&folder);
    let mut found = store.pauses(NOW).await.expect("read");
    found.sort_by(|one, other| one.subject.cmp(&other.subject));
    expected.sort_by(|one, other| one.subject.cmp(&other.subject));
    assert_eq!(found, expected);
    expected.retain(|pause| pause.until.is_none());
    assert_eq!(store.pauses(LATER).await.expect("read").len(), 3);
    let subject = expected[0].subject.clone();
    let resume = || store.resume(subject.clone(), By::Operator);
    assert!(resume().await.expect("resumed"));
    assert!(!resume().await.expect("resumed"), "once is enough");
}

/// A tenant must not lift, shorten or take over what the operator has paused.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_does_not_undo_the_operator() {
    let folder = folder();
    let store = open(&folder);
    let [_, subject, ..] = subjects(&BatchId::new(NOW, 7));
    let by = |by| pause(subject.clone(), by, Some(LATER));
    assert!(store.pause(by(By::Tenant)).await.expect("paused"));
    assert!(store.pause(by(By::Operator)).await.expect("paused"));
    assert!(!store.pause(by(By::Tenant)).await.expect("answered"));
    let resume = |by| store.resume(subject.clone(), by);
    assert!(!resume(By::Tenant).await.expect("answered"));
    assert_eq!(store.pauses(NOW).await.expect("read")[0].by, By::Operator);
    assert!(resume(By::Operator).await.expect("answered"));
    assert!(store.pause(by(By::Tenant)).await.expect("paused"));
    assert!(resume(By::Tenant).await.expect("answered"));
}

/// What an operator has cancelled must not go out; what had begun must be told as it ended, and
/// every message exactly once.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_begins_nothing_and_tells_of_all() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    tried(&store, &batch, 0, again(LATER, false)).await;
    let in_flight = attempt(&batch, 1, 1);
    assert!(begin(&store, in_flight.clone()).await);
    let cancelling = store.cancel(batch.clone(), "a wrong price".into(), NOW);
    let cancelled = cancelling.await.expect("cancelled");
    let kept = standing(&store, &batch).await.cancel_reason;
    assert_eq!(kept, "a wrong price");
    let expected = Cancelled::Now {
        left: 3,
        in_flight: 1,
    };
    assert_eq!(cancelled, expected);
    let again_cancelled = store
        .cancel(batch.clone(), String::new(), NOW)
        .await
        .expect("answered");
    assert_eq!(again_cancelled, Cancelled::Before);
    for (index, number) in [(0, 2), (3, 1)] {
        let attempt = attempt(&batch, index, number);
        assert!(!begin(&store, attempt.clone()).await);
        store
            .expire(vec![attempt], LATER)
            .await
            .expect("left as it is");
    }
    drop(store);
    // The answer comes after a restart would have looked.
    let store = open(&folder);
    let settle = || store.settle_cancelled(batch.clone(), LATER);
    let cancelling = store.cancelling().await.expect("read");
    assert_eq!(cancelling, std::slice::from_ref(&batch));
    assert_eq!(settle().await.expect("settled"), Settling::InFlight);
    let finish = store.finish(batch.clone(), NOW).await;
    assert_eq!(finish.expect("answered"), Finish::Elsewhere);
    record(&store, in_flight, again(LATER, false)).await;
    assert_eq!(settle().await.expect("settled"), Settling::Done);
    let standing = standing(&store, &batch).await;
    assert_eq!(standing.state, BatchState::Cancelled);
    assert_eq!(standing.counts.cancelled, 4);
    assert_eq!(standing.counts.closed(), standing.counts.total);
    let expected = [
        State::Cancelled,
        State::Cancelled,
        State::Invalid,
        State::Cancelled,
        State::Cancelled,
    ];
    assert_eq!(states(&store, &batch).await, expected);
    let messages = store.messages(batch.clone(), 0, 10).await.expect("read");
    let Some(Note::Reason(reason)) = &messages[4].note else {
        panic!("an untouched message says why");
    };
    assert_eq!(reason.code, "policy.cancelled");
    let late = store
        .cancel(batch, String::new(), LATER)
        .await
        .expect("answered");
    assert_eq!(late, Cancelled::Before);
}

/// A message that may have gone out must not be reported as never sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_gone_out_is_unknown_after_a_cancel() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    tried(&store, &batch, 0, again(LATER, true)).await;
    tried(&store, &batch, 1, accepted()).await;
    store
        .cancel(batch.clone(), String::new(), NOW)
        .await
        .expect("cancelled");
    let standing = standing(&store, &batch).await;
    assert_eq!(
        standing.state,
        BatchState::Cancelled,
        "nothing is in flight"
    );
    assert_eq!((standing.counts.unknown, standing.counts.cancelled), (1, 2));
    assert_eq!(
        states(&store, &batch).await[..2],
        [State::Unknown, State::Accepted]
    );
    // Its content was sent in part: the same file is a duplicate.
    let (_, answer) = admitted(&store, 2, "aa").await;
    assert_eq!(answer, Admitted::SentBefore(batch));
}

/// Whoever cancels a wrong file in time must be able to drop the right one, even if it is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_cancelled_in_time_is_no_duplicate() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    store
        .cancel(batch.clone(), String::new(), NOW)
        .await
        .expect("cancelled");
    assert_eq!(standing(&store, &batch).await.state, BatchState::Cancelled);
    let (_, answer) = admitted(&store, 2, "aa").await;
    assert_eq!(answer, Admitted::Whole);
}

/// A file that is cancelled before it was read must never be sent, and its rows must be told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_cancelled_before_it_is_read() {
    let folder = folder();
    let store = open(&folder);
    let early = arrival(1);
    let batch = early.batch.clone();
    let receive = store.receive(early, Start::WithDone);
    receive.await.expect("received");
    let cancelled = store
        .cancel(batch.clone(), String::new(), NOW)
        .await
        .expect("cancelled");
    let nothing_yet = Cancelled::Now {
        left: 0,
        in_flight: 0,
    };
    assert_eq!(cancelled, nothing_yet);
    let unchecked = store.unchecked(vec![tenant()]).await.expect("read");
    assert_eq!(unchecked.len(), 1, "it waits for its `.done` no more");
    let (batch, answer) = admitted(&store, 1, "aa").await;
    assert_eq!(answer, Admitted::Whole);
    let standing = standing(&store, &batch).await;
    assert_eq!(standing.state, BatchState::Cancelled);
    assert_eq!((standing.counts.total, standing.counts.cancelled), (5, 4));
    assert!(store.sending().await.expect("read").is_empty());
    assert_eq!(states(&store, &batch).await[4], State::Cancelled);
    let nobody = BatchId::new(NOW, 99);
    let answer = store
        .cancel(nobody, String::new(), NOW)
        .await
        .expect("answered");
    assert_eq!(answer, Cancelled::NoSuch);
}

/// A batch with more waiting messages than one step takes must come to its end all the same, and
/// no other verb wait for all of it.
#[tokio::test(flavor = "multi_thread")]
async fn many_waiting_messages_are_cancelled_in_steps() {
    const MANY: u64 = 4_001;
    let folder = folder();
    let store = open(&folder);
    let early = arrival(1);
    let batch = early.batch.clone();
    store.receive(early, Start::AtOnce).await.expect("received");
    store.begin_check(batch.clone()).await.expect("begun");
    let messages: Vec<Message> = (0..MANY).map(message).collect();
    let piece = Piece {
        chunks: Chunk::of(&messages),
        ..Piece::default()
    };
    keep(&store, &batch, [piece]).await;
    let admission = admission("aa");
    store
        .admit(batch.clone(), admission)
        .await
        .expect("admitted");
    let mut deferred = tokio::task::JoinSet::new();
    for index in 0..MANY {
        let (store, batch) = (store.clone(), batch.clone());
        deferred.spawn(async move { tried(&store, &batch, index, again(LATER, false)).await });
    }
    deferred.join_all().await;
    store
        .cancel(batch.clone(), String::new(), NOW)
        .await
        .expect("cancelled");
    let settle = || store.settle_cancelled(batch.clone(), NOW);
    assert_eq!(settle().await.expect("settled"), Settling::More);
    assert_eq!(standing(&store, &batch).await.counts.cancelled, MANY);
    assert_eq!(settle().await.expect("settled"), Settling::Done);
    let left = store.due(batch.clone(), LATER, 10).await.expect("read");
    assert!(left.0.is_empty());
}

/// `retry` must hasten what it names and leave the waits of others alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_hastens_its_subject_only() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    for index in [0, 3] {
        tried(&store, &batch, index, again(LATER, false)).await;
    }
    let due = || async {
        let due = store.due(batch.clone(), NOW, 10).await.expect("read");
        due.0.len()
    };
    let other = |text| Subject::Sender {
        tenant: tenant(),
        number: number(text),
    };
    let elsewhere = Subject::Tenant {
        tenant: TenantName::parse("zorg").expect("a name"),
    };
    let [.., template] = subjects(&batch);
    for subject in [other("+15550009999"), elsewhere, template] {
        assert_eq!(store.retry(subject, NOW).await.expect("retried"), 0);
    }
    assert_eq!(due().await, 0);
    let own = other("+31612345678");
    assert_eq!(store.retry(own, NOW).await.expect("retried"), 2);
    assert_eq!(due().await, 2);
}
