//! What a file's name says: whether it counts as a batch, how it is written, and under which name
//! the spool keeps it. Whether the file is whole is for `inbox` and `sftp` to know.

use std::fmt;

use super::BatchId;
use super::read::Form;

/// The longest file name taken, in bytes.
pub const NAME_BYTES_MAX: usize = 200;

/// What the name of a file in a drop folder says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A batch file.
    Batch {
        /// How it is written; `None` for a zip, whose inner file tells.
        form: Option<Form>,
        /// How it is compressed.
        container: Container,
    },
    /// A name that says "unfinished": it waits for its sender's rename.
    Unfinished,
    /// It says something about the file whose name it continues; it is never a batch.
    Companion(Companion),
    /// An encrypted file.
    Encrypted,
    /// Any other name; it starts nothing.
    Other,
}

/// What a companion says about its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Companion {
    /// `<name>.sha256`: the SHA-256 of its bytes as uploaded.
    Sha256,
    /// `<name>.md5`: the MD5 of its bytes as uploaded.
    Md5,
    /// `<name>.done`: that it is whole.
    Done,
    /// `<name>.cancel`, `.pause` or `.resume`: what is to be done with its batch.
    Steers(Verb),
}

/// What a tenant can have done with a batch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Let it go on.
    Resume,
    /// Let nothing of it begin until it is resumed.
    Pause,
    /// Let nothing of it begin any more.
    Cancel,
}

impl Companion {
    /// Every kind of companion.
    pub const ALL: [Companion; 6] = [
        Companion::Sha256,
        Companion::Md5,
        Companion::Done,
        Companion::Steers(Verb::Cancel),
        Companion::Steers(Verb::Pause),
        Companion::Steers(Verb::Resume),
    ];

    /// The word for it in tables; with a dot before it, how its name ends.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
            Self::Done => "done",
            Self::Steers(Verb::Cancel) => "cancel",
            Self::Steers(Verb::Pause) => "pause",
            Self::Steers(Verb::Resume) => "resume",
        }
    }

    /// The kind of the companion `name`, and the name of the file that it is about.
    pub fn of(name: &str) -> Option<(Self, &str)> {
        let (file, ending) = name.rsplit_once('.').filter(|(file, _)| !file.is_empty())?;
        let kind = Self::ALL
            .into_iter()
            .find(|kind| ending.eq_ignore_ascii_case(kind.as_str()))?;
        Some((kind, file))
    }
}

/// The batch that a steering file names by its id, and the file's name if that stands behind it:
/// `<batch>.cancel` or `<batch>.<name>.cancel`, of which this is the part before the ending.
pub fn batch_named(text: &str) -> Option<(BatchId, Option<&str>)> {
    match text.split_once('.') {
        Some((batch, name)) => Some((BatchId::parse(batch)?, Some(name))),
        None => Some((BatchId::parse(text)?, None)),
    }
}

/// How a file is compressed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Not at all.
    Plain,
    /// `.gz`.
    Gzip,
    /// `.zst`.
    Zstd,
    /// `.zip` that holds one batch file.
    Zip,
}

const UNFINISHED: [&str; 5] = [".part", ".filepart", ".tmp", ".partial", ".uploading"];

impl NameKind {
    /// Reads a name; case does not matter.
    pub fn of(name: &str) -> Self {
        const ENCRYPTED: [&str; 3] = [".pgp", ".gpg", ".asc"];
        let lower = name.to_lowercase();
        let hidden = lower.starts_with('.') || lower.starts_with('~');
        let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
        if hidden || ends(&UNFINISHED) {
            return Self::Unfinished;
        }
        if let Some((kind, _)) = Companion::of(name) {
            return Self::Companion(kind);
        }
        if ends(&ENCRYPTED) {
            return Self::Encrypted;
        }
        if lower.ends_with(".zip") {
            return Self::Batch {
                form: None,
                container: Container::Zip,
            };
        }
        let (stem, container) = if let Some(stem) = lower.strip_suffix(".gz") {
            (stem, Container::Gzip)
        } else if let Some(stem) = lower.strip_suffix(".zst") {
            (stem, Container::Zstd)
        } else {
            (lower.as_str(), Container::Plain)
        };
        match form_of(stem) {
            Some(form) => Self::Batch {
                form: Some(form),
                container,
            },
            None => Self::Other,
        }
    }

    /// Whether a finished file of this name is a batch.
    pub fn counts(self) -> bool {
        matches!(self, Self::Batch { .. })
    }
}

/// The names that a file may get which lies under `name` now: this one, or for an unfinished one
/// those that come of taking away what says so, with and without its ending. Tools write under
/// `orders.json.part`, `.orders.json` or `.orders.json.x7Kq2m`.
pub fn names_to_come(name: &str) -> impl Iterator<Item = &str> {
    let is_unfinished = NameKind::of(name) == NameKind::Unfinished;
    let bare = name.trim_start_matches(['.', '~']);
    let whole = if is_unfinished { bare } else { name };
    let cut = bare.rsplit_once('.').filter(|_| is_unfinished);
    std::iter::once(whole).chain(cut.map(|(stem, _)| stem))
}

/// How a file with this lower-case, uncompressed name is written.
pub fn form_of(lower_name: &str) -> Option<Form> {
    if lower_name.ends_with(".json") {
        Some(Form::Json)
    } else if lower_name.ends_with(".jsonl") || lower_name.ends_with(".ndjson") {
        Some(Form::Lines)
    } else {
        None
    }
}

/// The folder that a file was dropped into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropFolder {
    /// `/whatsapp/`: checked and sent.
    Whatsapp,
    /// `/whatsapp/dry-run/`: checked and reported on only.
    DryRun,
}

impl DropFolder {
    /// Every drop folder.
    pub const ALL: [DropFolder; 2] = [DropFolder::Whatsapp, DropFolder::DryRun];

    /// Its path beneath the tenant's root.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::DryRun => "whatsapp/dry-run",
        }
    }

    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Whatsapp => "w",
            Self::DryRun => "d",
        }
    }
}

/// The name in the spool of an arrival that came through the door: `<batch>.<folder mark>.<name>`.
/// It holds everything that a start needs to give the arrival its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolName {
    /// The id of the batch that the file will be.
    pub batch: BatchId,
    /// Where it was dropped.
    pub folder: DropFolder,
    /// Its name there.
    pub name: String,
}

impl SpoolName {
    /// Reads a spool name back; `None` for a file that is not ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let batch = BatchId::parse(parts.next()?)?;
        let mark = parts.next()?;
        let folder = DropFolder::ALL
            .into_iter()
            .find(|folder| folder.mark() == mark)?;
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        Some(Self {
            batch,
            folder,
            name,
        })
    }
}

impl fmt::Display for SpoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.batch, self.folder.mark(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a file under a working name must not be read, and a batch must not be overlooked.
    #[test]
    fn a_name_says_whether_the_file_counts() {
        let plain = |form| NameKind::Batch {
            form: Some(form),
            container: Container::Plain,
        };
        assert_eq!(NameKind::of("a.json"), plain(Form::Json));
        assert_eq!(NameKind::of("A.JSON"), plain(Form::Json));
        assert_eq!(NameKind::of("a.ndjson"), plain(Form::Lines));
        for counts in ["a.jsonl.gz", "a.json.ZST", "a.zip", "b.part.json"] {
            assert!(NameKind::of(counts).counts(), "{counts}");
        }
        for waits in [
            ".a.json",
            "a.json.part",
            "a.json.filepart",
            "~a.json",
            "a.tmp",
            "a.uploading",
        ] {
            assert_eq!(NameKind::of(waits), NameKind::Unfinished, "{waits}");
        }
        for other in ["a.csv", "a.gz", "json", "a.txt.gz", "done", "a.sha512"] {
            assert_eq!(NameKind::of(other), NameKind::Other, "{other}");
        }
        for encrypted in ["a.json.pgp", "a.GPG", "a.json.asc"] {
            assert_eq!(NameKind::of(encrypted), NameKind::Encrypted, "{encrypted}");
        }
    }

    /// A wish that is not heard leaves a wrong batch running.
    #[test]
    fn a_steering_file_is_told_by_its_ending() {
        for (name, verb, of) in [
            ("a.json.cancel", Verb::Cancel, "a.json"),
            ("a.json.PAUSE", Verb::Pause, "a.json"),
            ("a.Resume", Verb::Resume, "a"),
        ] {
            let kind = Companion::Steers(verb);
            assert_eq!(NameKind::of(name), NameKind::Companion(kind), "{name}");
            assert_eq!(Companion::of(name), Some((kind, of)));
        }
        let id = "20261121T091502Z-7kq2xm";
        let batch = BatchId::parse(id).expect("an id");
        assert_eq!(batch_named(id), Some((batch.clone(), None)));
        let with_name = format!("{id}.a.json");
        assert_eq!(batch_named(&with_name), Some((batch, Some("a.json"))));
        for none in ["a.json", "20261121T091502Z", "x20261121T091502Z-7kq2xm"] {
            assert_eq!(batch_named(none), None, "{none}");
        }
    }

    /// A companion taken for a batch would be refused, and one held against another file too.
    #[test]
    fn a_companion_is_told_by_its_ending() {
        let md5 = NameKind::Companion(Companion::Md5);
        assert_eq!(NameKind::of("a.json.MD5"), md5);
        let sha256 = Some((Companion::Sha256, "a.json"));
        assert_eq!(Companion::of("a.json.sha256"), sha256);
        assert_eq!(Companion::of("é.Done"), Some((Companion::Done, "é")));
        assert_eq!(NameKind::of("a.sha256.part"), NameKind::Unfinished);
        for none in [".md5", "md5", "a.json"] {
            assert_eq!(Companion::of(none), None, "{none}");
        }
    }

    /// A checksum must not be held against yesterday's file while today's is still being written.
    #[test]
    fn an_unfinished_name_tells_what_is_to_come() {
        for (name, to_come) in [
            ("a.json", &["a.json"][..]),
            ("a.csv", &["a.csv"]),
            ("a.json.part", &["a.json.part", "a.json"]),
            ("a.json.FilePart", &["a.json.FilePart", "a.json"]),
            (".a.json", &["a.json", "a"]),
            ("~a.json", &["a.json", "a"]),
            (".a.json.x7Kq2m", &["a.json.x7Kq2m", "a.json"]),
        ] {
            assert!(names_to_come(name).eq(to_come.iter().copied()), "{name}");
        }
    }

    /// A start knows an arrival by its spool name alone.
    #[test]
    fn a_spool_name_reads_back() {
        let text = "20261121T091502Z-7kq2xm.d.orders. of.json";
        let name = SpoolName::parse(text).expect("ours");
        assert_eq!(
            (name.folder, name.name.as_str()),
            (DropFolder::DryRun, "orders. of.json")
        );
        assert_eq!(name.to_string(), text);
        for bad in [
            "orders.json",
            "20261121T091502Z-7kq2xm.x.a",
            "20261121T091502Z-7kq2xm.w.",
        ] {
            assert_eq!(SpoolName::parse(bad), None, "{bad}");
        }
    }
}
