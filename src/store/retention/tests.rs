//! What goes and what stays, on real files.

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::batch::name::DropFolder;
use crate::batch::origin::Origin;
use crate::batch::read::BadRow;
use crate::batch::{Code, Content, Fault, Message, Options, Phone, Priority};
use crate::store::{Admission, Admitted, Chunk, Piece, Start};

const NOW: Moment = Moment::from_millis(1_800_000_000_000);

fn tenant() -> TenantName {
    TenantName::parse("acme").expect("a name")
}

fn message(index: u64, body: String) -> Message {
    let phone = Phone::from_e164("+31612345678").expect("a number");
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
            body,
            preview_url: false,
        },
    }
}

fn bad(index: u64) -> BadRow {
    BadRow {
        index,
        line: index + 2,
        to: None,
        reference: Some(format!("order-{index}")),
        callback_data: None,
        faults: vec![Fault::whole(Code::PhoneTooShort, "a number", "2 digits")],
    }
}

fn admission() -> Admission {
    Admission {
        sha256: "ab".into(),
        batch_key: String::new(),
        allow_duplicate: false,
        seen_since: NOW,
        dialect: "native".into(),
        campaign_name: String::new(),
        warnings: Vec::new(),
        fault_count: 1,
        dry_run: false,
        heard: Vec::new(),
        now: NOW,
    }
}

/// A batch with these messages and so many bad rows after them, being sent.
async fn admitted(store: &Store, random: u64, (pieces, bad_rows): (Vec<Piece>, u64)) -> BatchId {
    let batch = BatchId::new(NOW, random);
    let arrival = Arrival {
        tenant: tenant(),
        batch: batch.clone(),
        folder: DropFolder::Whatsapp,
        name: "orders.json".into(),
        size_bytes: 10,
        received_at: NOW,
        origin: Origin::Door,
    };
    store
        .receive(arrival, Start::AtOnce)
        .await
        .expect("received");
    store.begin_check(batch.clone()).await.expect("begun");
    let mut keeping = store.keeping(batch.clone());
    for piece in pieces {
        keeping.keep(piece).await.expect("kept");
    }
    let bad = (1_000_000..1_000_000 + bad_rows).map(bad).collect();
    let faults = vec![Fault::whole(Code::PhoneTooShort, "a number", "2 digits")];
    let piece = Piece {
        bad,
        faults,
        ..Piece::default()
    };
    keeping.keep(piece).await.expect("kept");
    keeping.finish().await.expect("kept");
    let admitted = store.admit(batch.clone(), admission()).await;
    assert!(matches!(admitted, Ok(Admitted::Whole)));
    let path = "processed/a".to_owned();
    store
        .announce(batch.clone(), path.clone(), String::new())
        .await
        .expect("announced");
    store
        .published(batch.clone(), path)
        .await
        .expect("published");
    batch
}

fn piece(first: u64, count: u64, body_bytes: usize) -> Piece {
    let body = || {
        std::iter::repeat_with(fastrand::alphanumeric)
            .take(body_bytes)
            .collect()
    };
    let messages: Vec<Message> = (first..first + count)
        .map(|at| message(at, body()))
        .collect();
    Piece {
        chunks: Chunk::of(&messages),
        ..Piece::default()
    }
}

async fn count(store: &Store, sql: &'static str) -> i64 {
    let counted = store.read(move |connection| connection.query_row(sql, (), |row| row.get(0)));
    counted.await.expect("counted")
}

async fn due(store: &Store, kept: Kept, until: Moment) -> Vec<BatchId> {
    let aged = store.aged(tenant(), (kept, until), 10).await.expect("read");
    aged.into_iter().map(|aged| aged.arrival.batch).collect()
}

/// Lets everything of a batch go; gives how many steps that took, and the longest.
async fn let_go(store: &Store, batch: &BatchId) -> (usize, Duration) {
    let (mut steps, mut longest) = (0, Duration::ZERO);
    let mut step = |began: Instant| {
        steps += 1;
        longest = longest.max(began.elapsed());
    };
    for kept in [Kept::Processed, Kept::Results] {
        store
            .files_gone(vec![batch.clone()], kept)
            .await
            .expect("noted");
    }
    loop {
        let began = Instant::now();
        let more = store.purge_messages(batch.clone()).await.expect("purged");
        step(began);
        if !more {
            break;
        }
    }
    let mut from = Some(0);
    while let Some(index) = from {
        let began = Instant::now();
        from = store
            .purge_notes(batch.clone(), index)
            .await
            .expect("purged");
        step(began);
    }
    loop {
        let began = Instant::now();
        let more = store.purge_history(batch.clone()).await.expect("purged");
        step(began);
        if !more {
            break;
        }
    }
    (steps, longest)
}

/// A batch that runs must lose nothing, whatever is asked; one that has ended loses each kind at
/// its own moment and its row last.
#[tokio::test]
async fn only_what_has_ended_goes_and_each_kind_by_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("s.db")).expect("opened");
    let rows = "SELECT (SELECT COUNT(*) FROM batches) + (SELECT COUNT(*) FROM messages)
        + (SELECT COUNT(*) FROM chunks) + (SELECT COUNT(*) FROM chunk_contents)
        + (SELECT COUNT(*) FROM lanes) + (SELECT COUNT(*) FROM faults) + (SELECT COUNT(*) FROM publications)";
    let batch = admitted(&store, 1, (vec![piece(0, 2, 10)], 2)).await;
    let all = count(&store, rows).await;
    for kept in Kept::ALL {
        assert_eq!(due(&store, kept, NOW.plus_ms(1_000_000)).await, []);
    }
    let_go(&store, &batch).await;
    assert_eq!(count(&store, rows).await, all, "a batch that runs");

    store.end(batch.clone(), NOW).await.expect("ended");
    for kept in [Kept::Processed, Kept::Results, Kept::Content] {
        assert_eq!(due(&store, kept, NOW.plus_ms(-1)).await, []);
        assert_eq!(due(&store, kept, NOW).await, std::slice::from_ref(&batch));
    }
    assert_eq!(
        due(&store, Kept::History, NOW).await,
        [],
        "all else goes before"
    );
    assert!(!store.purge_history(batch.clone()).await.expect("asked"));
    assert_eq!(count(&store, rows).await, all);

    let paths = store
        .aged(tenant(), (Kept::Processed, NOW), 1)
        .await
        .expect("read");
    assert_eq!(paths[0].paths, ["processed/a"]);
    let known = |kept| store.with_files(vec![batch.clone(), BatchId::new(NOW, 9)], kept);
    assert_eq!(known(Kept::Processed).await.expect("read").len(), 1);
    store
        .files_gone(vec![batch.clone()], Kept::Processed)
        .await
        .expect("noted");
    assert_eq!(known(Kept::Processed).await.expect("read").len(), 0);
    assert_eq!(known(Kept::Results).await.expect("read").len(), 1);
    assert_eq!(due(&store, Kept::Processed, NOW).await, []);
    store
        .files_gone(vec![batch.clone()], Kept::Results)
        .await
        .expect("noted");
    while store.purge_messages(batch.clone()).await.expect("purged") {}
    let mut from = Some(0);
    while let Some(index) = from {
        from = store
            .purge_notes(batch.clone(), index)
            .await
            .expect("purged");
    }
    assert_eq!(due(&store, Kept::Content, NOW).await, []);
    assert_eq!(
        count(&store, "SELECT COUNT(*) FROM chunk_contents").await,
        0
    );
    assert_eq!(
        count(&store, "SELECT COUNT(*) FROM messages WHERE note <> ''").await,
        0
    );
    // What a status and the search for duplicates need is there.
    let standing = store
        .batch(batch.clone())
        .await
        .expect("read")
        .expect("known");
    assert_eq!((standing.counts.total, standing.counts.invalid), (4, 2));
    assert_eq!(count(&store, "SELECT COUNT(*) FROM messages").await, 2);

    assert_eq!(
        due(&store, Kept::History, NOW).await,
        std::slice::from_ref(&batch)
    );
    while store.purge_history(batch.clone()).await.expect("purged") {}
    assert_eq!(count(&store, rows).await, 0);
    // Verbs that come late find nothing, and do no harm.
    let_go(&store, &batch).await;
}

/// A file that a job uploads again each night is refused each night, so what it is known by must
/// not go while it still comes.
#[tokio::test]
async fn history_counts_from_when_the_content_was_last_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("s.db")).expect("opened");
    let batch = admitted(&store, 1, (vec![piece(0, 1, 10)], 0)).await;
    let later = admitted_again(&store, NOW.plus_ms(500)).await;
    assert_eq!(later, Admitted::SentBefore(batch.clone()));
    store.end(batch.clone(), NOW).await.expect("ended");
    for kept in [Kept::Processed, Kept::Results] {
        store
            .files_gone(vec![batch.clone()], kept)
            .await
            .expect("noted");
    }
    store
        .purge_notes(batch.clone(), 1_000)
        .await
        .expect("noted");
    assert_eq!(due(&store, Kept::History, NOW.plus_ms(499)).await, []);
    assert_eq!(due(&store, Kept::History, NOW.plus_ms(500)).await, [batch]);
}

async fn admitted_again(store: &Store, now: Moment) -> Admitted {
    let batch = BatchId::new(NOW, 2);
    let arrival = Arrival {
        tenant: tenant(),
        batch: batch.clone(),
        folder: DropFolder::Whatsapp,
        name: "again.json".into(),
        size_bytes: 10,
        received_at: NOW,
        origin: Origin::Door,
    };
    store
        .receive(arrival, Start::AtOnce)
        .await
        .expect("received");
    store.begin_check(batch.clone()).await.expect("begun");
    let admission = Admission { now, ..admission() };
    store.admit(batch, admission).await.expect("answered")
}

fn bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |about| about.len())
}

/// A large batch must go in many short steps, its bytes must go back to the disk, and the log of
/// what is written must not grow with it.
#[tokio::test]
async fn a_large_batch_goes_in_small_steps_and_gives_its_bytes_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s.db");
    let store = Store::open(&path).expect("opened");
    let pieces = (0..32).map(|at| piece(at * 1_000, 1_000, 2_000)).collect();
    let batch = admitted(&store, 1, (pieces, 9_000)).await;
    store.end(batch.clone(), NOW).await.expect("ended");
    let log = folder.path().join("s.db-wal");
    let (before, log_before) = (bytes(&path), bytes(&log));
    assert!(before + log_before > 40 << 20, "{before}");
    let (steps, longest) = let_go(&store, &batch).await;
    let (mut shrinks, mut longest_shrink) = (0, Duration::ZERO);
    let mut began = Instant::now();
    while store.shrink().await.expect("shrunk") {
        shrinks += 1;
        longest_shrink = longest_shrink.max(began.elapsed());
        began = Instant::now();
    }
    eprintln!(
        "{steps} steps, the longest {longest:?}; {shrinks} shrinks, the longest {longest_shrink:?}"
    );
    // 32 chunks of more than half a MiB each, twice 9,000 rows, and the ends of each kind.
    assert!(steps >= 32 + 9 + 9, "{steps}");
    assert!(shrinks >= 20, "{shrinks}");
    assert!(bytes(&log) <= log_before.max(24 << 20), "{}", bytes(&log));
    // What is in the log is put where it belongs; the file has then the length of its pages.
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let other = Connection::open(&path).expect("opened");
    other.busy_timeout(Duration::from_secs(10)).expect("set");
    let busy: i64 = other
        .query_row(checkpoint, (), |row| row.get(0))
        .expect("put in place");
    assert_eq!(busy, 0);
    let after = bytes(&path);
    assert!(after < 16 << 20, "{before} bytes became {after}");
}

/// What is made of the clock must survive a restart, or a wrong clock is believed after the next.
#[tokio::test]
async fn the_belief_in_the_clock_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s.db");
    let doubt = Belief {
        believed_at: Some(NOW),
        doubted_at: Some(NOW.plus_ms(1_000_000_000)),
        waited: Duration::from_mins(3),
    };
    {
        let store = Store::open(&path).expect("opened");
        assert_eq!(store.belief().await.expect("read"), Belief::default());
        store.believe(doubt).await.expect("noted");
    }
    let store = Store::open(&path).expect("opened");
    assert_eq!(store.belief().await.expect("read"), doubt);
}
