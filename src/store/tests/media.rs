//! Which files are needed, under which ids, and what becomes of messages whose files never come.

use super::*;
use crate::batch::content::{Media, MediaFile, MediaKind, MediaSource};

fn with_file(index: u64, sha256: &str) -> Message {
    let file = MediaFile {
        name: "shoe.jpg".into(),
        sha256: sha256.into(),
        mime_type: "image/jpeg".into(),
        size_bytes: 3,
    };
    Message {
        content: Content::Media {
            kind: MediaKind::Image,
            media: Media {
                source: MediaSource::File(file),
                filename: None,
            },
            caption: None,
            voice: None,
        },
        ..message(index)
    }
}

/// A batch of two messages, being checked, each with a file of its own.
async fn checked(store: &Store, random: u64) -> BatchId {
    let batch = arrival(random).batch;
    let received = store.receive(arrival(random), Start::AtOnce).await;
    received.expect("received");
    store.begin_check(batch.clone()).await.expect("begun");
    let chunks = Chunk::of(&[with_file(0, "aa"), with_file(1, "bb")]);
    let piece = Piece {
        chunks,
        ..Piece::default()
    };
    keep(store, &batch, [piece]).await;
    batch
}

async fn needed(store: &Store) -> Vec<String> {
    let files = ["aa", "bb", "cc"].map(str::to_owned).to_vec();
    let needed = store.media_needed(tenant(), files).await.expect("read");
    let mut needed: Vec<String> = needed.into_iter().collect();
    needed.sort();
    needed
}

/// A copy that goes too early fails its messages; one that never goes fills the disk.
#[tokio::test]
async fn a_file_is_needed_for_as_long_as_its_batch() {
    let folder = folder();
    let store = open(&folder);
    let batch = checked(&store, 1).await;
    assert_eq!(needed(&store).await, ["aa", "bb"]);
    let other = TenantName::parse("other").expect("a name");
    let of_other = store.media_needed(other, vec!["aa".into()]).await;
    assert!(
        of_other.expect("read").is_empty(),
        "files are their tenant's"
    );
    store.put_back(batch.clone()).await.expect("put back");
    assert!(needed(&store).await.is_empty(), "it is read anew");
    let batch = checked(&store, 2).await;
    let admitted = store.admit(batch.clone(), admission("5e")).await;
    assert!(matches!(admitted, Ok(Admitted::Whole)));
    assert_eq!(needed(&store).await, ["aa", "bb"]);
    let tried = checked(&store, 3).await;
    let admission = Admission {
        dry_run: true,
        ..admission("5f")
    };
    store.admit(tried, admission).await.expect("answered");
    let cancelled = store.cancel(batch.clone(), String::new(), NOW).await;
    cancelled.expect("cancelled");
    let settled = store.settle_cancelled(batch.clone(), NOW).await;
    settled.expect("settled");
    store.end(batch.clone(), NOW).await.expect("ended");
    assert_eq!(needed(&store).await, ["aa", "bb"], "its content is there");
    while store.purge_messages(batch.clone()).await.expect("purged") {}
    let mut from = Some(0);
    while let Some(index) = from {
        let purged = store.purge_notes(batch.clone(), index).await;
        from = purged.expect("purged");
    }
    assert!(needed(&store).await.is_empty());
}

/// An id of the wrong number, or one that the provider has forgotten, would lose messages.
#[tokio::test]
async fn an_id_is_known_for_its_number_and_its_time() {
    let folder = folder();
    let store = open(&folder);
    let number = |text: &str| Phone::from_e164(text).expect("a number");
    let key = |text: &str| {
        let Content::Media { media, .. } = with_file(0, "aa").content else {
            unreachable!("it is a file");
        };
        let file = media.source.file().expect("a file").clone();
        MediaKey::of((&tenant(), &number(text)), &file)
    };
    let (one, other) = (key("+15550001111"), key("+15550002222"));
    let until = NOW.plus_ms(10);
    let id = |text: &str| MediaId {
        provider_id: text.into(),
        until,
    };
    let at = async |key: &MediaKey, ms| {
        let found = store.media_id(key.clone(), NOW.plus_ms(ms)).await;
        found.expect("read").map(|id| id.provider_id)
    };
    for name in ["7", "8"] {
        let kept = store.keep_media_id(one.clone(), id(name)).await;
        kept.expect("kept");
    }
    assert_eq!(at(&one, 9).await.as_deref(), Some("8"));
    assert_eq!(at(&one, 10).await, None);
    assert_eq!(at(&other, 0).await, None);
    let forgotten = store.forget_media_id(one.clone(), "7".into()).await;
    forgotten.expect("done");
    assert_eq!(
        at(&one, 0).await.as_deref(),
        Some("8"),
        "it has another by now"
    );
    store.forget_old_media_ids(until).await.expect("done");
    assert_eq!(at(&one, 0).await, None);
}

/// A message that never left must not be called unknown after a crash, nor counted twice.
#[tokio::test]
async fn what_never_left_is_never_under_way() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = super::admitted(&store, 1, "5e").await;
    let verdict = |index, step| Verdict {
        attempt: attempt(&batch, index, 1),
        step,
    };
    let failed = Step::Done {
        state: State::Failed,
        provider_id: String::new(),
        reason: Some(Reason::new("provider.media", "a test")),
        in_row: false,
    };
    let again = Step::Again {
        not_before: NOW.plus_ms(5),
        reason: Reason::new("media.upload", "a test"),
        possible_duplicate: false,
        counts: true,
    };
    let verdicts = vec![verdict(0, failed.clone()), verdict(1, again)];
    let begun = store.end_unsent(verdicts, NOW).await.expect("recorded");
    assert_eq!(begun, [true, true]);
    // What has ended does not end once more.
    let begun = store.end_unsent(vec![verdict(0, failed)], NOW).await;
    assert_eq!(begun.expect("recorded"), [false]);
    let standing = store.batch(batch.clone()).await.expect("read");
    let counts = standing.expect("it is there").counts;
    assert_eq!((counts.in_flight, counts.failed), (0, 1));
    let (due, _) = store.due(batch, NOW.plus_ms(5), 9).await.expect("read");
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].message.index, due[0].attempt), (1, 2));
}
