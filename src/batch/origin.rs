//! How a file came into the spool, by what it is told from every other file, and under which name
//! the spool keeps it. Who puts it there is for `sftp` and `inbox` to know.

use std::fmt;

use super::name::{DropFolder, SpoolName};
use super::{BatchId, Code};

/// By what a file that the door did not write is told from every other one: a file that was
/// written to since is another file. How many names it has proves nothing, since a local job may
/// well have linked it into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The number of its inode.
    pub inode: u64,
    /// When its content was last changed, in nanoseconds since 1970.
    pub modified_ns: i64,
}

impl Identity {
    /// Reads `<inode>-<modified>` in base 36.
    pub fn parse(text: &str) -> Option<Self> {
        let (inode, modified) = text.split_once('-')?;
        Some(Self {
            inode: from_base36(inode)?,
            modified_ns: from_base36(modified)? as i64,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modified = self.modified_ns as u64;
        write!(f, "{}-{}", base36(self.inode), base36(modified))
    }
}

/// Why a file is refused without being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unread {
    /// Its name ends in nothing that counts.
    UnknownEnding,
    /// It is encrypted.
    Encrypted,
    /// It holds no byte.
    Empty,
    /// Its name says that something is still to come, and for a day nothing came.
    Abandoned,
    /// It asks for a batch to be cancelled, paused or resumed that is not running.
    Steering,
    /// It is larger than its tenant may drop.
    TooLarge,
    /// It may not be read.
    Unreadable,
    /// It is a checksum that does not match the file it belongs to.
    ChecksumMismatch,
    /// It should be a checksum and is none.
    ChecksumGarbled,
}

impl Unread {
    /// Every reason.
    pub const ALL: [Unread; 9] = [
        Unread::UnknownEnding,
        Unread::Encrypted,
        Unread::Empty,
        Unread::Abandoned,
        Unread::Steering,
        Unread::TooLarge,
        Unread::Unreadable,
        Unread::ChecksumMismatch,
        Unread::ChecksumGarbled,
    ];

    /// The code of the fault that says so.
    pub const fn code(self) -> Code {
        match self {
            Self::UnknownEnding => Code::FileUnknownEnding,
            Self::Encrypted => Code::FileEncrypted,
            Self::Empty => Code::FileEmpty,
            Self::Abandoned => Code::FileAbandoned,
            Self::Steering => Code::FileSteeringUnknown,
            Self::TooLarge => Code::FileTooLarge,
            Self::Unreadable => Code::FileUnreadable,
            Self::ChecksumMismatch => Code::FileChecksumMismatch,
            Self::ChecksumGarbled => Code::FileChecksumGarbled,
        }
    }

    const fn mark(self) -> char {
        match self {
            Self::UnknownEnding => 'u',
            Self::Encrypted => 'e',
            Self::Empty => 'z',
            Self::Abandoned => 'a',
            Self::Steering => 's',
            Self::TooLarge => 't',
            Self::Unreadable => 'r',
            Self::ChecksumMismatch => 'm',
            Self::ChecksumGarbled => 'g',
        }
    }
}

/// How a file came into the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Through the door: what the spool holds is the very inode that has the visible name.
    Door,
    /// From a local job: what the spool holds is a copy of this file.
    Copied(Identity),
    /// Not at all: it is refused without being read. The spool holds only a note that says how
    /// large it is, and the file itself is moved to `errors/` in the end.
    Unread(Unread, Identity),
}

/// The mark of a copy; those of [`Unread`] are others.
const COPIED: char = 'l';

impl Origin {
    /// Reads back what `Display` wrote: nothing for the door, else a mark and the identity.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(mark) = text.chars().next() else {
            return Some(Self::Door);
        };
        let identity = Identity::parse(&text[mark.len_utf8()..])?;
        if mark == COPIED {
            return Some(Self::Copied(identity));
        }
        let reason = Unread::ALL.into_iter().find(|why| why.mark() == mark)?;
        Some(Self::Unread(reason, identity))
    }

    /// By what the file is told from others; `None` for what came through the door, which is told
    /// by its inode.
    pub const fn identity(self) -> Option<Identity> {
        match self {
            Self::Door => None,
            Self::Copied(identity) | Self::Unread(_, identity) => Some(identity),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Door => Ok(()),
            Self::Copied(identity) => write!(f, "{COPIED}{identity}"),
            Self::Unread(reason, identity) => write!(f, "{}{identity}", reason.mark()),
        }
    }
}

/// The name of any arrival in the spool: `<batch>.<folder mark><origin>.<name>`. Through the door
/// it is a [`SpoolName`]. It holds everything that a start needs to go on with the arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolEntry {
    /// The id of the batch, where it was dropped, and its name there.
    pub name: SpoolName,
    /// How it came in.
    pub origin: Origin,
}

impl SpoolEntry {
    /// Reads the name of an entry back; `None` for a file that is not ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let batch = BatchId::parse(parts.next()?)?;
        let marks = parts.next()?;
        let folder = DropFolder::ALL
            .into_iter()
            .find(|folder| marks.starts_with(folder.mark()))?;
        let origin = Origin::parse(&marks[folder.mark().len()..])?;
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let name = SpoolName {
            batch,
            folder,
            name,
        };
        Some(Self { name, origin })
    }
}

impl fmt::Display for SpoolEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpoolName {
            batch,
            folder,
            name,
        } = &self.name;
        write!(f, "{batch}.{}{}.{name}", folder.mark(), self.origin)
    }
}

fn base36(number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    let mut rest = number;
    while rest > 0 || digits.is_empty() {
        digits.push(char::from(DIGITS[(rest % 36) as usize]));
        rest /= 36;
    }
    digits.iter().rev().collect()
}

fn from_base36(text: &str) -> Option<u64> {
    // A sign is nothing that `base36` writes.
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| u64::from_str_radix(text, 36).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::name::NAME_BYTES_MAX;
    use super::*;

    /// The longest name that a file system takes, in bytes.
    const FILE_NAME_BYTES_MAX: usize = 255;

    proptest! {
        /// After a crash the name in the spool is all that is known of a local file: a mark that
        /// does not read back would send the file a second time.
        #[test]
        fn an_entry_reads_back_and_fits(
            inode in any::<u64>(), modified_ns in any::<i64>(), kind in 0..=Unread::ALL.len(),
        ) {
            let identity = Identity { inode, modified_ns };
            let origin = Unread::ALL
                .get(kind)
                .map_or(Origin::Copied(identity), |why| Origin::Unread(*why, identity));
            let name = SpoolName {
                batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
                folder: DropFolder::DryRun,
                name: "n".repeat(NAME_BYTES_MAX),
            };
            let entry = SpoolEntry { name, origin };
            let text = entry.to_string();
            prop_assert!(text.len() <= FILE_NAME_BYTES_MAX);
            prop_assert_eq!(SpoolEntry::parse(&text), Some(entry));
            // The repair of the door's renames must leave it alone.
            prop_assert_eq!(SpoolName::parse(&text), None);
        }
    }

    /// The door and the inbox must read each other's names.
    #[test]
    fn an_entry_of_the_door_is_a_spool_name() {
        let text = "20261121T091502Z-7kq2xm.w.orders.json";
        let entry = SpoolEntry::parse(text).expect("ours");
        assert_eq!(entry.origin, Origin::Door);
        assert_eq!(SpoolName::parse(text), Some(entry.name.clone()));
        assert_eq!(entry.to_string(), text);
        for bad in ["wq1-1", "wl1", "wl+1-1", "l1-1", "wl1-1-1"] {
            let text = format!("20261121T091502Z-7kq2xm.{bad}.orders.json");
            assert_eq!(SpoolEntry::parse(&text), None, "{bad}");
        }
    }
}
