//! Bytes become a [`Head`](read::Head), [`Message`]s and [`Fault`]s.
//!
//! In: the bytes of a finished file, the tenant's approved templates and its rules. Out: canonical
//! messages, ready to be kept, and every fault with its place. This room is pure: it opens nothing,
//! asks no clock and draws no random number. Nothing here survives a crash, and nothing needs to:
//! the same bytes and rules give the same messages and faults again.

use std::fmt;

use serde::{Deserialize, Serialize};

mod address;
#[cfg(test)]
mod bounds;
pub mod content;
pub mod dialect;
pub mod fault;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod json_cases;
mod marks;
pub mod media;
pub mod name;
mod options;
pub mod origin;
pub mod phone;
pub mod read;
pub mod repeats;
pub mod retry_file;
pub mod rows;
mod scan;
mod session;
#[cfg(test)]
mod shown;
mod skip;
mod slip;
mod spot;
mod survey;
mod syntax;
pub mod template;
pub mod terms;
mod tree;
mod values;
mod verbatim;
pub mod verdict;
pub mod window;

pub use content::{Content, Filling, Parameter};
pub use fault::{Code, Fault};
pub use options::{Options, ShortLinks, SmsFailover, UrlOptions};
pub use phone::Phone;
#[cfg(test)]
pub(crate) use session::tests::{contents, whole};
pub use window::SendWindow;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// A moment from milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment, `ms` milliseconds later (earlier when negative).
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Reads RFC 3339 text; `None` when it is not a date and time with an offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(|t| Self(t.as_millisecond()))
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T09:15:02.114Z`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

/// The name of a tenant: the stem of its settings file and the name of its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantName(String);

impl TenantName {
    /// The longest name taken, in bytes.
    pub const LENGTH_MAX: usize = 63;

    /// A tenant's name is 1 to 63 of `a-z 0-9 - _`, the first a letter or digit, so that it can be
    /// a folder, a log field and a metric label as it stands. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = text.bytes();
        let first = bytes.next()?;
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let whole = text.len() <= Self::LENGTH_MAX && bytes.all(good);
        (whole && (first.is_ascii_lowercase() || first.is_ascii_digit())).then(|| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a batch: when its file arrived (UTC) and a random tail, as in
/// `20261121T091502Z-7kq2xm`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(String);

impl BatchId {
    /// How many characters every id has.
    pub const LENGTH: usize = 23;

    const TAIL_LENGTH: u32 = 6;
    // No 0, 1, i, l, o: ids are read out over the telephone.
    const TAIL_ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

    /// The id for a file that arrived at `moment`; `random` gives the tail.
    pub fn new(moment: Moment, random: u64) -> Self {
        let mut text = moment.timestamp().strftime("%Y%m%dT%H%M%SZ-").to_string();
        let mut rest = random;
        for _ in 0..Self::TAIL_LENGTH {
            let base = Self::TAIL_ALPHABET.len() as u64;
            text.push(char::from(Self::TAIL_ALPHABET[(rest % base) as usize]));
            rest /= base;
        }
        Self(text)
    }

    /// Reads an id; `None` when the text has not exactly its form.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.split_at_checked(17)?;
        let head_good = head.bytes().enumerate().all(|(at, b)| match at {
            8 => b == b'T',
            15 => b == b'Z',
            16 => b == b'-',
            _ => b.is_ascii_digit(),
        });
        let tail_good = tail.len() == Self::TAIL_LENGTH as usize
            && tail.bytes().all(|b| Self::TAIL_ALPHABET.contains(&b));
        (head_good && tail_good).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A finished file in a tenant's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Whose file it is.
    pub tenant: TenantName,
    /// The id its batch will have.
    pub batch: BatchId,
    /// Where it was dropped.
    pub folder: name::DropFolder,
    /// Its name there.
    pub name: String,
    /// Its size as uploaded.
    pub size_bytes: u64,
    /// When its close was answered, or when it was taken if a local job wrote it.
    pub received_at: Moment,
    /// How it came in.
    pub origin: origin::Origin,
}

/// One thing to send, in the one form that every dialect becomes and every provider is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its place among the rows of the file, from 0.
    pub index: u64,
    /// The line its row starts on, from 1.
    pub line: u64,
    /// The recipient.
    pub to: Phone,
    /// The sender: one of the tenant's own numbers.
    pub from: Phone,
    /// The tenant's own reference, echoed in results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The tenant's own data, echoed in results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_data: Option<String>,
    /// Before this moment it is not sent; `None` for at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Moment>,
    /// After this moment it is not sent any more.
    pub expires_at: Moment,
    /// Whether it goes before others of its tenant or after them.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// The hours in which it may be sent; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_window: Option<SendWindow>,
    /// Whether it is sent in its tenant's quiet hours too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore_quiet_hours: bool,
    /// What its provider is asked for besides.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    pub options: Options,
    /// What the recipient will read.
    pub content: Content,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Which messages of a tenant go first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all others.
    High,
    /// After those of high priority, before those of low.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// Whether nothing was asked for.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    const fn is_normal(&self) -> bool {
        matches!(self, Self::Normal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators sort and read ids: the form is a promise.
    #[test]
    fn an_id_says_when_its_file_arrived() {
        let moment = Moment::parse("2026-11-21T09:15:02.114Z").expect("a moment");
        let id = BatchId::new(moment, 123_456_789);
        assert_eq!(id.as_str().len(), BatchId::LENGTH);
        assert!(id.as_str().starts_with("20261121T091502Z-"));
        assert_eq!(BatchId::parse(id.as_str()), Some(id));
        assert_eq!(moment.to_string(), "2026-11-21T09:15:02.114Z");
        assert_eq!(
            Moment::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
    }

    /// A name is a folder: nothing that could climb out or hide may pass.
    #[test]
    fn a_tenant_name_is_a_plain_folder_name() {
        for good in ["acme", "a", "acme-2", "0x", "a_b"] {
            assert!(TenantName::parse(good).is_some(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "A", "a/b", "a.b", "é", &"a".repeat(64)] {
            assert!(TenantName::parse(bad).is_none(), "{bad}");
        }
    }
}
