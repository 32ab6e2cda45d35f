//! The words for files that are refused without being read, and for checksums that do not match.
//! When they are said is for `inbox` and `daemon` to know.

use super::name::{Companion, NameKind, Verb};
use super::origin::Unread;
use super::{Arrival, Code, Fault};

/// How many digits of a checksum are shown: enough to tell two apart.
const SHOWN_DIGITS: usize = 8;

/// What is said of a file that is refused without being read; `size_bytes_max` is the most that its
/// tenant may drop.
pub fn unread(arrival: &Arrival, reason: Unread, size_bytes_max: u64) -> Fault {
    let (expected, found, hint) = match reason {
        Unread::UnknownEnding => (
            "a name that ends in .json, .jsonl or .ndjson, each also with .gz or .zst, or in .zip"
                .to_owned(),
            "another ending".to_owned(),
            "give the file a name that says how it is written, and drop it again",
        ),
        Unread::Encrypted => (
            "a file that is not encrypted".to_owned(),
            "one whose name says that it is".to_owned(),
            "drop the plain file: SFTP encrypts it on its way",
        ),
        Unread::Empty => (
            "a batch".to_owned(),
            "no bytes at all".to_owned(),
            "look at what the export wrote, and drop the file again",
        ),
        Unread::Abandoned => abandoned(arrival),
        Unread::Steering => (
            "a running batch whose file, or whose id, has this name without its ending".to_owned(),
            "none that was running when this came".to_owned(),
            "nothing was changed; the status of the batch's file says whether it has ended",
        ),
        Unread::TooLarge => (
            format!("at most {size_bytes_max} bytes"),
            format!("{} bytes", arrival.size_bytes),
            "split the file",
        ),
        Unread::Unreadable => (
            "a file that the service may read".to_owned(),
            "one whose owner or mode does not let it".to_owned(),
            "let the job that writes the file make it readable for the service's user or group",
        ),
        Unread::ChecksumMismatch => (
            "the checksum of the newest file of that name".to_owned(),
            "another one".to_owned(),
            "that file was checked before its checksum came; compare it with what you sent",
        ),
        Unread::ChecksumGarbled => garbled_words(),
    };
    Fault::whole(reason.code(), expected, found).hint(hint)
}

/// A file is not what its companion's checksum was taken of.
pub fn mismatch(kind: Companion, wanted: &str, found: &str) -> Fault {
    let shown = |sum: &str| sum.chars().take(SHOWN_DIGITS).collect::<String>();
    let kind = match kind {
        Companion::Md5 => "MD5",
        _ => "SHA-256",
    };
    Fault::whole(
        Code::FileChecksumMismatch,
        format!("{kind} {}…, as the companion says", shown(wanted)),
        format!("{kind} {}…", shown(found)),
    )
    .hint(
        "the file was changed on its way, or the checksum is that of another file; send both again",
    )
}

/// A companion holds no checksum.
pub fn garbled() -> Fault {
    let (expected, found, hint) = garbled_words();
    Fault::whole(Code::FileChecksumGarbled, expected, found).hint(hint)
}

/// A newer file of the name came before the `.done` of this one.
pub fn replaced() -> Fault {
    Fault::whole(
        Code::FileReplaced,
        "a .done before the next file of this name",
        "a newer file of this name",
    )
    .hint("nothing of this file was sent; the .done has started the newer one")
}

/// A tenant wants something of a batch that the operator has paused.
pub fn steering_denied(verb: Verb) -> Fault {
    let hint = match verb {
        Verb::Pause => {
            "your pause is not kept beside the operator's: pause the batch again once that has ended"
        }
        Verb::Resume | Verb::Cancel => "the batch stays paused until the operator resumes it",
    };
    Fault::whole(
        Code::FileSteeringDenied,
        "a batch that the operator has not paused",
        format!(".{} of one that is", Companion::Steers(verb).as_str()),
    )
    .hint(hint)
}

fn garbled_words() -> (String, String, &'static str) {
    (
        "a checksum in hexadecimal digits, alone or as checksum tools write it".to_owned(),
        "none".to_owned(),
        "write it as `sha256sum FILE` or `md5sum FILE` does",
    )
}

fn abandoned(arrival: &Arrival) -> (String, String, &'static str) {
    if let NameKind::Companion(_) = NameKind::of(&arrival.name) {
        (
            "the file that this one belongs to, within a day".to_owned(),
            "none".to_owned(),
            "the name of a companion is the whole name of its file and one ending more",
        )
    } else {
        (
            "a rename to its final name within a day".to_owned(),
            "a name that says it is unfinished".to_owned(),
            "rename the file when it is whole; if its upload broke off, upload it again",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::name::DropFolder;
    use super::super::origin::{Identity, Origin};
    use super::super::{BatchId, Moment, TenantName};
    use super::*;

    /// Whoever gets a file back must learn what to do, and nobody else what a checksum was.
    #[test]
    fn every_refusal_says_what_to_do() {
        let identity = Identity {
            inode: 1,
            modified_ns: 1,
        };
        for reason in Unread::ALL {
            let arrival = Arrival {
                tenant: TenantName::parse("acme").expect("a name"),
                batch: BatchId::new(Moment::from_millis(1), 1),
                folder: DropFolder::Whatsapp,
                name: "orders.json.part".into(),
                size_bytes: 7,
                received_at: Moment::from_millis(1),
                origin: Origin::Unread(reason, identity),
            };
            let fault = unread(&arrival, reason, 5);
            assert_eq!(fault.code, reason.code());
            for words in [&fault.expected, &fault.found, &fault.hint] {
                assert!(!words.is_empty(), "{reason:?}");
            }
        }
        let fault = mismatch(Companion::Md5, &"a".repeat(32), &"b".repeat(32));
        assert!(fault.found.len() < 20, "{}", fault.found);
        assert!(fault.expected.starts_with("MD5 aaaaaaaa…"));
    }
}
