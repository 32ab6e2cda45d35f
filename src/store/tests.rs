//! The store's promises, on real files.

use super::*;
use crate::batch::name::{Companion, DropFolder};
use crate::batch::origin::{Identity, Origin};
use crate::batch::{
    Arrival, BatchId, Code, Content, Fault, Message, Moment, Options, Phone, Priority, TenantName,
    read::BadRow,
};
use crate::delivery::sending::{Read, Verdict};
use crate::delivery::settling::Hold;
use crate::delivery::standing::{BatchState, Note};
use crate::delivery::{Attempt, Reason, State, Step, UnknownPolicy};

mod bars;
mod media;
mod settling;
mod steering;
mod wishes;

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
        origin: Origin::Door,
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
        scheduled_at: None,
        expires_at: NOW.plus_ms(1_000_000),
        priority: Priority::default(),
        send_window: None,
        ignore_quiet_hours: false,
        options: Options::default(),
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
        heard: Vec::new(),
        now: NOW,
    }
}

fn attempt(batch: &BatchId, index: u64, attempt: u32) -> Attempt {
    let expires_at = NOW.plus_ms(1_000_000);
    Attempt {
        batch: batch.clone(),
        index,
        attempt,
        uncounted: 0,
        expires_at,
        possible_duplicate: false,
    }
}

/// The untried messages of the first chunk at or after `from` that has any, and where to go on.
async fn next_chunk(store: &Store, batch: &BatchId, from: u64) -> Option<(Vec<Message>, u64)> {
    let read = Read {
        batch: batch.clone(),
        lane: 0,
        from,
        ready_by: NOW,
    };
    let looked = store.readings(read, Age::Calm).await.expect("read");
    let Looked::Found(found) = looked else {
        panic!("a sound chunk");
    };
    let messages: Vec<Message> = found
        .messages
        .into_iter()
        .map(|(message, _)| message)
        .collect();
    let next = found.next.unwrap_or(u64::from(u32::MAX));
    (!messages.is_empty()).then_some((messages, next))
}

async fn begin(store: &Store, attempt: Attempt) -> bool {
    let begun = store.begin(vec![attempt], NOW).await;
    begun.expect("answered") == [true]
}

async fn finished(store: &Store, batch: &BatchId) {
    let finish = store.finish(batch.clone(), NOW).await;
    assert_eq!(finish.expect("answered"), Finish::Finished);
}

async fn record(store: &Store, attempt: Attempt, step: Step) {
    let verdicts = vec![Verdict { attempt, step }];
    store.record(verdicts, NOW).await.expect("recorded");
}

async fn keep<const N: usize>(store: &Store, batch: &BatchId, pieces: [Piece; N]) {
    let mut keeping = store.keeping(batch.clone());
    for piece in pieces {
        keeping.keep(piece).await.expect("kept");
    }
    keeping.finish().await.expect("kept");
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
    store
        .receive(arrival.clone(), Start::AtOnce)
        .await
        .expect("received");
    store
        .receive(arrival, Start::AtOnce)
        .await
        .expect("received twice");
    assert_eq!(
        store.begin_check(batch.clone()).await.expect("begun"),
        Some(0)
    );
    let fault = bad(2).faults;
    let first = Piece {
        chunks: Chunk::of(&[message(0), message(1)]),
        bad: vec![bad(2)],
        faults: fault,
        ..Piece::default()
    };
    let second = Piece {
        chunks: Chunk::of(&[message(3), message(4)]),
        ..Piece::default()
    };
    keep(store, &batch, [first, second]).await;
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

/// Whoever reads from a list made earlier must not have a batch read, and sent, once more.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_to_its_end_is_not_read_again() {
    let folder = folder();
    let store = open(&folder);
    let (batch, answer) = admitted(&store, 1, "aa").await;
    assert_eq!(answer, Admitted::Whole);
    assert_eq!(store.begin_check(batch.clone()).await.expect("asked"), None);
    store.put_back(batch.clone()).await.expect("asked");
    let late = Refusal {
        dialect: "native".into(),
        campaign_name: String::new(),
        warnings: Vec::new(),
        state: BatchState::Rejected,
        reason: bad(0).faults.remove(0),
        faults: None,
        fault_count: 1,
        sha256: String::new(),
        heard: Vec::new(),
        now: NOW,
    };
    store.refuse(batch.clone(), late).await.expect("asked");
    let standing = store.batch(batch.clone()).await.expect("read");
    assert_eq!(standing.expect("known").state, BatchState::Sending);
    let chunk = next_chunk(&store, &batch, 0).await;
    assert!(chunk.is_some(), "its messages are there");
}

/// A chunk of which one message went at once and the rest is for tomorrow must not be unpacked each
/// time that something else of its batch is due.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_is_passed_by_once_what_is_left_of_it_is_for_later() {
    let folder = folder();
    let store = open(&folder);
    let tomorrow = NOW.plus_ms(86_400_000);
    let arrival = arrival(1);
    let batch = arrival.batch.clone();
    let received = store.receive(arrival, Start::AtOnce);
    received.await.expect("received");
    store.begin_check(batch.clone()).await.expect("begun");
    let later = Message {
        scheduled_at: Some(tomorrow),
        ..message(1)
    };
    let piece = Piece {
        chunks: Chunk::of(&[message(0), later]),
        ..Piece::default()
    };
    keep(&store, &batch, [piece]).await;
    let admitting = store.admit(batch.clone(), admission("aa"));
    assert_eq!(admitting.await.expect("answered"), Admitted::Whole);
    let (messages, _) = next_chunk(&store, &batch, 0).await.expect("a chunk");
    assert_eq!(messages.len(), 2);
    assert!(begin(&store, attempt(&batch, 0, 1)).await);
    let (messages, _) = next_chunk(&store, &batch, 0).await.expect("a chunk");
    assert_eq!(messages.len(), 1);
    let read = |ready_by| Read {
        batch: batch.clone(),
        lane: 0,
        from: 0,
        ready_by,
    };
    let mut found = Vec::new();
    for ready_by in [NOW, tomorrow] {
        let looked = store.readings(read(ready_by), Age::Calm).await;
        match looked.expect("read") {
            Looked::Found(readings) => found.push((readings.messages.len(), readings.passed_by)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, [(0, Some(tomorrow)), (1, None)]);
}

/// The whole life of a batch: what results say is what happened, in the order of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_kept_sent_and_told() {
    let folder = folder();
    let store = open(&folder);
    let (batch, answer) = admitted(&store, 1, "aa").await;
    assert_eq!(answer, Admitted::Whole);
    let (messages, _) = next_chunk(&store, &batch, 0).await.expect("a chunk");
    assert_eq!(messages, [message(0), message(1)]);
    for index in [0, 1, 3] {
        assert!(begin(&store, attempt(&batch, index, 1)).await);
    }
    // Nobody may begin what is under way.
    assert!(!begin(&store, attempt(&batch, 0, 1)).await);
    record(&store, attempt(&batch, 0, 1), accepted()).await;
    let reason = Reason::new("provider.throttled", "slow down");
    let again = |ms| Step::Again {
        not_before: NOW.plus_ms(ms),
        reason: reason.clone(),
        possible_duplicate: false,
        counts: true,
    };
    record(&store, attempt(&batch, 1, 1), again(500)).await;
    record(&store, attempt(&batch, 3, 1), again(100)).await;
    let due = store.due(batch.clone(), NOW.plus_ms(200), 10).await;
    let (due, next_at) = due.expect("read");
    let found: Vec<_> = due
        .iter()
        .map(|item| (item.message.index, item.attempt))
        .collect();
    assert_eq!(found, [(3, 2)]);
    assert_eq!(next_at, Some(NOW.plus_ms(500)));
    let finish = store.finish(batch.clone(), NOW).await;
    assert_eq!(finish.expect("answered"), Finish::NotYet, "two still wait");
    for (index, number) in [(1, 2), (3, 2), (4, 1)] {
        assert!(begin(&store, attempt(&batch, index, number)).await);
        record(&store, attempt(&batch, index, number), accepted()).await;
    }
    assert!(next_chunk(&store, &batch, 0).await.is_none());
    finished(&store, &batch).await;
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
    assert!(begin(&store, attempt(&batch, 0, 1)).await);
    assert!(begin(&store, attempt(&batch, 3, 1)).await);
    drop(store);
    let store = open(&folder);
    let policies = vec![(tenant(), UnknownPolicy::Hold, Hold::default())];
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
    assert!(!begin(&store, attempt(&batch, 0, 2)).await);
    let chunk = next_chunk(&store, &batch, 0).await.expect("a chunk");
    assert_eq!(chunk.0, [message(1)]);
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
        dialect: "native".into(),
        campaign_name: String::new(),
        warnings: Vec::new(),
        state: BatchState::Duplicate,
        reason: fault.clone(),
        faults: Some(vec![fault]),
        fault_count: 1,
        sha256: "aa".into(),
        heard: Vec::new(),
        now: NOW,
    };
    store
        .refuse(second.clone(), refusal)
        .await
        .expect("refused");
    assert!(next_chunk(&store, &second, 0).await.is_none());
    assert_eq!(store.faults(second).await.expect("read").len(), 1);
    let (_, answer) = admitted(&store, 3, "bb").await;
    assert_eq!(answer, Admitted::Whole);
    assert_eq!(store.sending().await.expect("read").len(), 2);
    store.end(first, NOW).await.expect("ended");
    assert_eq!(store.open_batches().await.expect("read").len(), 2);
}

/// A sync job that uploads the same file every night must be refused every night, not only until
/// the window of the first upload has passed.
#[tokio::test(flavor = "multi_thread")]
async fn the_window_slides_with_each_time_the_content_is_seen() {
    const WINDOW_MS: i64 = 1_000;
    let folder = folder();
    let store = open(&folder);
    let (first, _) = admitted(&store, 1, "aa").await;
    for index in [0, 1, 3, 4] {
        let begun = attempt(&first, index, 1);
        begin(&store, begun.clone()).await;
        record(&store, begun, accepted()).await;
    }
    finished(&store, &first).await;
    store.end(first.clone(), NOW).await.expect("ended");
    let seen_at = |nights: i64| {
        let now = NOW.plus_ms(nights * WINDOW_MS * 9 / 10);
        let seen_since = now.plus_ms(-WINDOW_MS);
        (now, seen_since)
    };
    let admit = async |random: u64, (now, seen_since): (Moment, Moment)| {
        let arrival = arrival(random);
        let batch = arrival.batch.clone();
        let received = store.receive(arrival, Start::AtOnce).await;
        received.expect("received");
        store.begin_check(batch.clone()).await.expect("begun");
        let admission = Admission {
            seen_since,
            now,
            ..admission("aa")
        };
        store.admit(batch, admission).await.expect("answered")
    };
    for night in 1..=5 {
        let answer = admit(10 + night, seen_at(night as i64)).await;
        assert_eq!(answer, Admitted::SentBefore(first.clone()), "night {night}");
    }
    // After a pause that is longer than the window it may go again.
    assert_eq!(admit(20, seen_at(8)).await, Admitted::Whole);
}

/// A file that kills its reader at the same row again is known by it; one that does not, is not.
#[tokio::test(flavor = "multi_thread")]
async fn deaths_at_the_same_row_are_counted() {
    let folder = folder();
    let store = open(&folder);
    let arrival = arrival(1);
    let batch = arrival.batch.clone();
    store
        .receive(arrival, Start::AtOnce)
        .await
        .expect("received");
    let begin = || store.begin_check(batch.clone());
    let (store, batch) = (&store, &batch);
    let keep_rows = |rows: std::ops::Range<u64>| {
        let messages: Vec<Message> = rows.map(message).collect();
        let chunks = Chunk::of(&messages);
        let piece = Piece {
            chunks,
            ..Piece::default()
        };
        keep(store, batch, [piece])
    };
    assert_eq!(begin().await.expect("begun"), Some(0));
    assert_eq!(begin().await.expect("begun"), Some(1));
    assert_eq!(begin().await.expect("begun"), Some(2));
    keep_rows(0..1_000).await;
    assert_eq!(begin().await.expect("begun"), Some(3), "hardly further");
    let further = u64::try_from(super::AHEAD_ROWS_MAX).expect("a count") + 2_000;
    keep_rows(0..further).await;
    assert_eq!(begin().await.expect("begun"), Some(1), "it came further");
    store.put_back(batch.clone()).await.expect("put back");
    assert_eq!(
        begin().await.expect("begun"),
        Some(0),
        "given up in good order"
    );
}

/// Long messages of one piece lie in several chunks, and each must be found in its own.
#[tokio::test(flavor = "multi_thread")]
async fn one_piece_may_have_several_chunks() {
    let folder = folder();
    let store = open(&folder);
    let arrival = arrival(1);
    let batch = arrival.batch.clone();
    let received = store.receive(arrival, Start::AtOnce).await;
    received.expect("received");
    store.begin_check(batch.clone()).await.expect("begun");
    let long = |index| Message {
        content: Content::Text {
            body: "x".repeat(3 << 20),
            preview_url: false,
        },
        ..message(index)
    };
    let messages: Vec<Message> = (0..6).map(|at| long(at * 2)).collect();
    let reason = Reason::new("policy.duplicate_recipient", "again");
    let piece = Piece {
        chunks: Chunk::of(&messages),
        suppressed: [4, 6].map(|index| (index, reason.clone())).into(),
        bad: vec![bad(5)],
        ..Piece::default()
    };
    assert_eq!(piece.chunks.len(), 3);
    keep(&store, &batch, [piece]).await;
    let admitted = store.admit(batch.clone(), admission("aa")).await;
    assert_eq!(admitted.expect("answered"), Admitted::Whole);
    let mut from = 0;
    let mut sent = Vec::new();
    while let Some((messages, next)) = next_chunk(&store, &batch, from).await {
        sent.extend(messages.iter().map(|message| message.index));
        from = next;
    }
    // The chunk in the middle has nothing left to be sent.
    assert_eq!(sent, [0, 2, 8, 10]);
    let standing = store.messages(batch.clone(), 3, 6).await.expect("read");
    let indices: Vec<u64> = standing.iter().map(|standing| standing.index).collect();
    assert_eq!(indices, [4, 5, 6, 8]);
}

/// A row that its sender asked to be left out must neither be sent nor be missing in the results.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_suppressed_is_never_sent() {
    let folder = folder();
    let store = open(&folder);
    let arrival = arrival(1);
    let batch = arrival.batch.clone();
    let received = store.receive(arrival, Start::AtOnce).await;
    received.expect("received");
    store.begin_check(batch.clone()).await.expect("begun");
    let reason = Reason::new("policy.duplicate_recipient", "again");
    let mut keeping = store.keeping(batch.clone());
    for piece in [[0, 1], [2, 3]] {
        let messages = piece.map(message);
        let suppressed = vec![(piece[1], reason.clone())];
        let piece = Piece {
            chunks: Chunk::of(&messages),
            suppressed,
            ..Piece::default()
        };
        keeping.keep(piece).await.expect("kept");
    }
    keeping.finish().await.expect("kept");
    let admitted = store.admit(batch.clone(), admission("aa")).await;
    assert_eq!(admitted.expect("answered"), Admitted::Whole);
    for (from, index) in [(0, 0), (2, 2)] {
        let chunk = next_chunk(&store, &batch, from).await;
        let (messages, _) = chunk.expect("a chunk");
        assert_eq!(messages, [message(index)]);
    }
    let standing = store.messages(batch.clone(), 0, 10).await.expect("read");
    let states: Vec<State> = standing.iter().map(|standing| standing.state).collect();
    let (waiting, suppressed) = (State::Waiting, State::Suppressed);
    assert_eq!(states, [waiting, suppressed, waiting, suppressed]);
    assert_eq!(standing[1].message, Some(message(1)));
    assert_eq!(standing[1].note, Some(Note::Reason(reason)));
    let counts = store
        .batch(batch)
        .await
        .expect("read")
        .expect("known")
        .counts;
    assert_eq!(
        (counts.total, counts.suppressed, counts.waiting()),
        (4, 2, 2)
    );
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
            known,
            ..
        }) if known == MIGRATIONS.len()
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
        store.receive(arrival(1), Start::AtOnce).await,
        Err(Error::Stopped(_))
    ));
}

fn file() -> FileName {
    FileName {
        tenant: tenant(),
        folder: DropFolder::Whatsapp,
        name: "orders.json".into(),
    }
}

fn companion(kind: Companion, inode: u64) -> Heard {
    Heard {
        kind,
        name: format!("orders.json.{}", kind.as_str()),
        identity: Identity {
            inode,
            modified_ns: 5,
        },
    }
}

/// One `.done` starts one file, and a file that waits for one must not hold up the others.
#[tokio::test]
async fn a_done_starts_the_newest_file_of_its_name_once() {
    let folder = folder();
    let store = Store::open(&folder.path().join("store.db")).expect("opened");
    let receive = |random, start| {
        let mut one = arrival(random);
        one.origin = Origin::Copied(Identity {
            inode: random,
            modified_ns: -7,
        });
        let store = store.clone();
        async move {
            store.receive(one.clone(), start).await.expect("received");
            store.receive(one.clone(), start).await.expect("again");
            one
        }
    };
    let older = receive(1, Start::WithDone).await;
    let newer = receive(2, Start::WithDone).await;
    let unchecked = || store.unchecked(vec![tenant()]);
    assert!(unchecked().await.expect("asked").is_empty());
    let reason = || (crate::batch::verdict::replaced(), NOW);
    let done = companion(Companion::Done, 9);
    let started = store
        .start(file(), done.clone(), reason())
        .await
        .expect("started");
    assert_eq!(started.batch.as_ref(), Some(&newer.batch));
    assert_eq!(started.replaced, std::slice::from_ref(&older.batch));
    let found = unchecked().await.expect("asked");
    assert_eq!(found, [(newer.clone(), BatchState::Received)]);
    let again = store.start(file(), done.clone(), reason()).await;
    assert_eq!(again.expect("answered"), Started::default());
    let refused = store.batch(older.batch).await.expect("asked");
    let refused = refused.expect("a row");
    assert_eq!(refused.state, BatchState::Rejected);
    assert_eq!(
        refused.refusal.map(|fault| fault.code),
        Some(Code::FileReplaced)
    );
    // Heard until it is gone, and by then still not to be heard again.
    let heard = store.heard(tenant()).await.expect("asked");
    let known = (newer.batch.clone(), DropFolder::Whatsapp, done.clone());
    assert_eq!(heard, [known]);
    store
        .cleared(newer.batch.clone(), done)
        .await
        .expect("cleared");
    assert!(store.heard(tenant()).await.expect("asked").is_empty());
    let newest = store.newest(file()).await.expect("asked").expect("a batch");
    assert_eq!(newest.standing.arrival, newer);
    assert_eq!(newest.heard, [Companion::Done]);
}

/// Once the last status is written nobody reads a warning any more.
#[tokio::test]
async fn a_late_checksum_warns_while_there_is_something_to_warn_of() {
    let folder = folder();
    let store = Store::open(&folder.path().join("store.db")).expect("opened");
    let (batch, _) = admitted(&store, 1, "aa").await;
    let warning = || Some(crate::batch::verdict::garbled());
    let late = |kind, inode| store.hear_late(batch.clone(), companion(kind, inode), warning());
    assert!(late(Companion::Md5, 1).await.expect("heard"));
    let standing = store.batch(batch.clone()).await.expect("asked");
    let standing = standing.expect("a row");
    let codes: Vec<Code> = standing.warnings.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [Code::FileChecksumGarbled]);
    for index in [0, 1, 3, 4] {
        let begun = attempt(&batch, index, 1);
        begin(&store, begun.clone()).await;
        record(&store, begun, accepted()).await;
    }
    finished(&store, &batch).await;
    assert!(!late(Companion::Md5, 3).await.expect("answered"));
    let newest = store.newest(file()).await.expect("asked").expect("a batch");
    assert_eq!(newest.heard, [Companion::Md5]);
}

/// A chunk that cannot be read back must neither stop its batch for ever nor vanish from the
/// results.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_is_set_aside_at_the_third_try() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    let path = folder.path().join("dropcast.db");
    let damage = "UPDATE chunk_contents SET content = x'00' WHERE first_index = 0";
    let connection = rusqlite::Connection::open(path).expect("opened");
    assert_eq!(connection.execute(damage, ()).expect("damaged"), 1);
    let look = |age| {
        let read = Read {
            batch: batch.clone(),
            lane: 0,
            from: 0,
            ready_by: NOW,
        };
        store.readings(read, age)
    };
    assert!(matches!(look(Age::Young).await, Ok(Looked::Damaged)));
    // One that ended an earlier run is not tried again by a run that has just begun.
    assert!(matches!(look(Age::Young).await, Ok(Looked::NotYet)));
    assert!(matches!(look(Age::Calm).await, Ok(Looked::Damaged)));
    assert!(matches!(look(Age::Calm).await, Ok(Looked::Damaged)));
    let (messages, _) = next_chunk(&store, &batch, 0)
        .await
        .expect("the rest goes on");
    assert_eq!(messages, [message(3), message(4)]);
    let standing = store.messages(batch.clone(), 0, 10).await.expect("read");
    let states: Vec<State> = standing.iter().map(|standing| standing.state).collect();
    let (failed, invalid, waiting) = (State::Failed, State::Invalid, State::Waiting);
    assert_eq!(states, [failed, failed, invalid, waiting, waiting]);
    let counts = store
        .batch(batch)
        .await
        .expect("read")
        .expect("known")
        .counts;
    assert_eq!((counts.failed, counts.waiting()), (2, 2));
}
