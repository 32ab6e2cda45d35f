//! What is where in Botsquad's requests and answers. The vendor's pages have lost their examples,
//! so all of it can be set by whoever sees real ones.

use regex::Regex;

/// Names and places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The path of a broadcast, in which `{bot_id}` stands for the bot.
    pub create_path: String,
    /// The path of its state, in which `{create_path}` and `{id}` stand for what they say.
    pub status_path: String,
    /// The template's member for its name.
    pub template_name_key: String,
    /// The template's member for its language.
    pub template_language_key: String,
    /// How a language is written.
    pub language_shape: LanguageShape,
    /// A user's member for the number.
    pub user_address_key: String,
    /// How a number is written.
    pub user_address_format: AddressFormat,
    /// A user's member for the values.
    pub user_params_key: String,
    /// Where an answer has the broadcast's id: JSON Pointers, of which the first hit counts.
    pub id_pointers: Vec<String>,
    /// Where it has the states of users.
    pub statuses_pointers: Vec<String>,
    /// Where it has the users that failed.
    pub failures_pointers: Vec<String>,
    /// Where it has the counts.
    pub statistics_pointers: Vec<String>,
    /// A state's members for the number, of which the first that is there counts.
    pub item_address_keys: Vec<String>,
    /// Those for why it failed.
    pub item_reason_keys: Vec<String>,
    /// Those for more about it.
    pub item_details_keys: Vec<String>,
    /// What the words for states mean.
    pub status_map: StatusMap,
}

/// How a language is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LanguageShape {
    /// As a text: `"nl"`.
    #[default]
    Plain,
    /// As an object: `{"code": "nl"}`.
    Code,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFormat {
    /// With its `+`.
    #[default]
    Plus,
    /// Digits alone.
    Digits,
}

/// The words for states, each class with its own; upper and lower case are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusMap {
    /// Nothing has happened yet.
    pub pending: Vec<String>,
    /// It was handed on to WhatsApp.
    pub sent: Vec<String>,
    /// It is on the recipient's device.
    pub delivered: Vec<String>,
    /// It was read.
    pub read: Vec<String>,
    /// It failed.
    pub failed: Vec<String>,
    /// The broadcast was cancelled.
    pub cancelled: Vec<String>,
}

/// How a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing has happened yet, or nobody knows the word for it.
    Pending,
    /// The message was sent, delivered or read.
    Sent,
    /// It failed.
    Failed,
    /// The broadcast was cancelled.
    Cancelled,
}

impl StatusMap {
    /// What a word means. One that is not known says nothing: the broadcast was taken all the same.
    pub(super) fn standing(&self, word: &str) -> Standing {
        let is_in = |words: &[String]| words.iter().any(|it| it.eq_ignore_ascii_case(word.trim()));
        if is_in(&self.sent) || is_in(&self.delivered) || is_in(&self.read) {
            Standing::Sent
        } else if is_in(&self.failed) {
            Standing::Failed
        } else if is_in(&self.cancelled) {
            Standing::Cancelled
        } else {
            Standing::Pending
        }
    }
}

/// An expression that tells some texts from others.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// What is looked for if nothing else is set.
    pub const DEFAULT: &str = "(?i)opt.?out";

    /// Reads an expression; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        Regex::new(text).ok().map(Self)
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::parse(Self::DEFAULT).expect("the expression is written here")
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Default for Profile {
    fn default() -> Self {
        let word = str::to_owned;
        Self {
            create_path: word("/bot/{bot_id}/whatsapp/broadcast"),
            status_path: word("{create_path}/{id}"),
            template_name_key: word("name"),
            template_language_key: word("language"),
            language_shape: LanguageShape::default(),
            user_address_key: word("phone"),
            user_address_format: AddressFormat::default(),
            user_params_key: word("params"),
            id_pointers: words(&["/id", "/broadcast/id", "/data/id", "/broadcast_id"]),
            statuses_pointers: words(&["/statuses", "/broadcast/statuses", "/data/statuses"]),
            failures_pointers: words(&["/failures", "/broadcast/failures", "/data/failures"]),
            statistics_pointers: words(&[
                "/statistics",
                "/broadcast/statistics",
                "/data/statistics",
            ]),
            item_address_keys: words(&["phone", "phone_number", "user", "address", "addr", "to"]),
            item_reason_keys: words(&["reason", "error", "message"]),
            item_details_keys: words(&["details", "detail"]),
            status_map: StatusMap::default(),
        }
    }
}

impl Default for StatusMap {
    fn default() -> Self {
        Self {
            pending: words(&["pending", "queued", "scheduled", "retrying"]),
            sent: words(&["sent", "success", "ok", "accepted"]),
            delivered: words(&["delivered"]),
            read: words(&["read", "seen"]),
            failed: words(&["failure", "failed", "error", "undelivered", "rejected"]),
            cancelled: words(&["cancelled", "canceled"]),
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
