//! The store's promises, on real files.

use super::*;
use crate::batch::name::DropFolder;
use crate::batch::{
    Arrival, BatchId, Code, Content, Fault, Message, Moment, Phone, TenantName, read::BadRow,
};
use crate::delivery::standing::{BatchState, Note};
use crate::delivery::{Reason, State, Step, UnknownPolicy};

const NOW: Moment = Moment::from_millis(1_800_000_000_000);

fn tenant() -> TenantName {
    TenantName::parse("acme").expect("a name")
}

fn arrival(random: u64) -> Arrival {
    Arrival {
        tenant: tenant(),
        batch: BatchId::new(NOW, random),
        folder: DropFolder::Whatsapp,
        name: "orders.json".into(),
        size_bytes: 10,
        received_at: NOW,
    }
}

fn message(index: u64) -> Message {
    let phone: Phone = serde_json::from_str("\"+31612345678\"").expect("a number");
    Message {
        index,
        line: index + 2,
        to: phone.clone(),
        from: phone,
        reference: None,
        callback_data: None,
        expires_at: NOW.plus_ms(1_000_000),
        content: Content::Text {
            body: format!("text {index}"),
            preview_url: false,
        },
    }
}

fn bad(index: u64) -> BadRow {
    let fault = Fault::whole(Code::PhoneTooShort, "a number", "2 digits");
    let (to, reference, callback_data) = (None, None, None);
    BadRow {
        index,
        line: index + 2,
        to,
        reference,
        callback_data,
        faults: vec![fault],
    }
}

fn admission(sha256: &str) -> Admission {
    Admission {
        sha256: sha256.into(),
        batch_key: String::new(),
        allow_duplicate: false,
        seen_since: NOW.plus_ms(-1_000),
        dialect: "native".into(),
        campaign_name: String::new(),
        warnings: Vec::new(),
        fault_count: 1,
        dry_run: false,
        now: NOW,
    }
}

fn attempt(batch: &BatchId, index: u64, attempt: u32) -> Attempt {
    let expires_at = NOW.plus_ms(1_000_000);
    Attempt {
        batch: batch.clone(),
        index,
        attempt,
        expires_at,
        possible_duplicate: false,
    }
}

fn accepted() -> Step {
    let provider_id = "wamid.1".into();
    Step::Done {
        state: State::Accepted,
        provider_id,
        reason: None,
        in_row: false,
    }
}

/// A batch of four messages and a bad row at index 2, admitted.
async fn admitted(store: &Store, random: u64, sha256: &str) -> (BatchId, Admitted) {
    let arrival = arrival(random);
    let batch = arrival.batch.clone();
    store.receive(arrival.clone()).await.expect("received");
    store.receive(arrival).await.expect("received twice");
    assert_eq!(store.begin_check(batch.clone()).await.expect("begun"), 0);
    let fault = bad(2).faults;
    let first = Piece {
        messages: vec![message(0), message(1)],
        bad: vec![bad(2)],
        faults: fault,
    };
    let second = Piece {
        messages: vec![message(3), message(4)],
        ..Piece::default()
    };
    store.keep(batch.clone(), first).await.expect("kept");
    store.keep(batch.clone(), second).await.expect("kept");
    let admitted = store
        .admit(batch.clone(), admission(sha256))
        .await
        .expect("answered");
    (batch, admitted)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("dropcast.db")).expect("opened")
}

/// The whole life of a batch: what results say is what happened, in the order of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_kept_sent_and_told() {
    let folder = folder();
    let store = open(&folder);
    let (batch, answer) = admitted(&store, 1, "aa").await;
    assert_eq!(answer, Admitted::Whole);
    let chunk = store
        .next_chunk(batch.clone(), 0)
        .await
        .expect("read")
        .expect("a chunk");
    assert_eq!(chunk.messages, [message(0), message(1)]);
    for index in [0, 1, 3] {
        assert!(
            store
                .begin(attempt(&batch, index, 1), NOW)
                .await
                .expect("begun")
        );
    }
    // Nobody may begin what is under way.
    assert!(
        !store
            .begin(attempt(&batch, 0, 1), NOW)
            .await
            .expect("answered")
    );
    store
        .record(attempt(&batch, 0, 1), accepted(), NOW)
        .await
        .expect("recorded");
    let reason = Reason::new("provider.throttled", "slow down");
    let again = |ms| Step::Again {
        not_before: NOW.plus_ms(ms),
        reason: reason.clone(),
        possible_duplicate: false,
    };
    store
        .record(attempt(&batch, 1, 1), again(500), NOW)
        .await
        .expect("recorded");
    store
        .record(attempt(&batch, 3, 1), again(100), NOW)
        .await
        .expect("recorded");
    let due = store
        .due(batch.clone(), NOW.plus_ms(200), 10)
        .await
        .expect("read");
    assert_eq!(due.messages, [(message(3), attempt(&batch, 3, 2))]);
    assert_eq!(due.next_at, Some(NOW.plus_ms(500)));
    assert!(
        !store.finish(batch.clone(), NOW).await.expect("answered"),
        "two still wait"
    );
    for (index, number) in [(1, 2), (3, 2), (4, 1)] {
        assert!(
            store
                .begin(attempt(&batch, index, number), NOW)
                .await
                .expect("begun")
        );
        store
            .record(attempt(&batch, index, number), accepted(), NOW)
            .await
            .expect("recorded");
    }
    assert!(
        store
            .next_chunk(batch.clone(), 0)
            .await
            .expect("read")
            .is_none()
    );
    assert!(store.finish(batch.clone(), NOW).await.expect("answered"));
    let standing = store
        .batch(batch.clone())
        .await
        .expect("read")
        .expect("known");
    assert_eq!(standing.state, BatchState::Finished);
    let counts = standing.counts;
    assert_eq!(
        (
            counts.total,
            counts.invalid,
            counts.accepted,
            counts.waiting()
        ),
        (5, 1, 4, 0)
    );
    let all = store.messages(batch.clone(), 0, 10).await.expect("read");
    assert_eq!(
        all.iter().map(|m| m.index).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    assert_eq!(all[3].attempts, 2);
    assert_eq!(all[3].message.as_ref(), Some(&message(3)));
    assert!(matches!(&all[2].note, Some(Note::Row { line: 4, .. })));
    let page = store.messages(batch, 1, 3).await.expect("read");
    assert_eq!(page, all[1..4]);
}

/// A killed daemon's messages in flight are unknown: neither lost nor sent again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_flight_at_a_crash_is_unknown() {
    let folder = folder();
    let (batch, _) = admitted(&open(&folder), 1, "aa").await;
    let store = open(&folder);
    assert!(
        store
            .begin(attempt(&batch, 0, 1), NOW)
            .await
            .expect("begun")
    );
    assert!(
        store
            .begin(attempt(&batch, 3, 1), NOW)
            .await
            .expect("begun")
    );
    drop(store);
    let store = open(&folder);
    let policies = vec![(tenant(), UnknownPolicy::Hold)];
    assert_eq!(
        store
            .recover(policies.clone(), NOW)
            .await
            .expect("recovered"),
        2
    );
    assert_eq!(store.recover(policies, NOW).await.expect("recovered"), 0);
    let standing = store
        .batch(batch.clone())
        .await
        .expect("read")
        .expect("known");
    let counts = standing.counts;
    assert_eq!(
        (counts.unknown, counts.in_flight, counts.waiting()),
        (2, 0, 2)
    );
    assert!(
        !store
            .begin(attempt(&batch, 0, 2), NOW)
            .await
            .expect("answered")
    );
    let chunk = store
        .next_chunk(batch, 0)
        .await
        .expect("read")
        .expect("a chunk");
    assert_eq!(chunk.messages, [message(1)]);
}

/// A job that uploads twice must not send twice, and a mended file must pass.
#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_sent_is_not_sent_again() {
    let folder = folder();
    let store = open(&folder);
    let (first, answer) = admitted(&store, 1, "aa").await;
    assert_eq!(answer, Admitted::Whole);
    let (second, answer) = admitted(&store, 2, "aa").await;
    assert_eq!(answer, Admitted::SentBefore(first.clone()));
    let fault = Fault::whole(Code::FileDuplicate, "other content", "the same");
    let refusal = Refusal {
        state: BatchState::Duplicate,
        reason: fault.clone(),
        faults: Some(vec![fault]),
        fault_count: 1,
        sha256: "aa".into(),
        now: NOW,
    };
    store
        .refuse(second.clone(), refusal)
        .await
        .expect("refused");
    assert!(
        store
            .next_chunk(second.clone(), 0)
            .await
            .expect("read")
            .is_none()
    );
    assert_eq!(store.faults(second).await.expect("read").len(), 1);
    let (_, answer) = admitted(&store, 3, "bb").await;
    assert_eq!(answer, Admitted::Whole);
    assert_eq!(store.sending().await.expect("read").len(), 2);
    store.end(first, NOW).await.expect("ended");
    assert_eq!(store.open_batches().await.expect("read").len(), 2);
}

/// A file that kills its reader at the same row again is known by it; one that does not, is not.
#[tokio::test(flavor = "multi_thread")]
async fn deaths_at_the_same_row_are_counted() {
    let folder = folder();
    let store = open(&folder);
    let arrival = arrival(1);
    let batch = arrival.batch.clone();
    store.receive(arrival).await.expect("received");
    let begin = || store.begin_check(batch.clone());
    let keep = || {
        store.keep(
            batch.clone(),
            Piece {
                messages: vec![message(0)],
                ..Piece::default()
            },
        )
    };
    assert_eq!(begin().await.expect("begun"), 0);
    assert_eq!(begin().await.expect("begun"), 1);
    assert_eq!(begin().await.expect("begun"), 2);
    keep().await.expect("kept");
    assert_eq!(begin().await.expect("begun"), 1, "it came further");
    store.put_back(batch.clone()).await.expect("put back");
    assert_eq!(begin().await.expect("begun"), 0, "given up in good order");
}

/// A report that was in place and deleted does not come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_publication_is_done_once() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    let path = || "results/x".to_owned();
    let state = || store.publication(batch.clone(), path());
    assert_eq!(state().await.expect("read"), Publication::Unknown);
    store
        .announce(batch.clone(), path(), "ff".into())
        .await
        .expect("announced");
    assert_eq!(state().await.expect("read"), Publication::Announced);
    store
        .published(batch.clone(), path())
        .await
        .expect("published");
    assert_eq!(state().await.expect("read"), Publication::Done);
    assert_eq!(
        store.publications(batch.clone()).await.expect("read"),
        ["results/x"]
    );
}

/// A store of a later version is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_is_refused() {
    let folder = folder();
    drop(open(&folder));
    let path = folder.path().join("dropcast.db");
    let connection = rusqlite::Connection::open(&path).expect("opened");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("changed");
    assert!(matches!(
        Store::open(&path),
        Err(Error::Newer {
            found: 99,
            known: 1,
            ..
        })
    ));
}

/// A failed verb must not leave a daemon that believes it works.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_the_writer_for_good() {
    let folder = folder();
    let store = open(&folder);
    let lost = BatchId::new(NOW, 77);
    assert!(matches!(
        store.begin_check(lost).await,
        Err(Error::Stopped(_))
    ));
    assert!(!store.failed().await.is_empty());
    assert!(matches!(
        store.receive(arrival(1)).await,
        Err(Error::Stopped(_))
    ));
}
