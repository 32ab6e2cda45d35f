//! What a message asks of its provider besides handing the content over. Which provider honours
//! what is for [`Terms`](super::terms::Terms) to say.

use serde::{Deserialize, Serialize};

use super::is_false;

/// What a provider is asked for besides handing the content over. Only what the tenant's provider
/// honours ever stands here: the rest was told when the file was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// The provider's id of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Deliver only while the recipient's identity has this hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_hash: Option<String>,
    /// What is sent by SMS if this cannot be delivered; `None` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms_failover: Option<Box<SmsFailover>>,
    /// Words that the provider files the message under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What is done with the links of the message; `None` for the provider's habit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_options: Option<Box<UrlOptions>>,
    /// How links are made short; `None` for the provider's habit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_links: Option<Box<ShortLinks>>,
    /// The part of the business that the message is sent for, by the provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<String>,
    /// The application that the message is sent for, by the provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
    /// What the message is for, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_case: Option<String>,
    /// Whether it is left out for recipients who have had enough messages lately.
    #[serde(default, skip_serializing_if = "is_false")]
    pub frequency_cap: bool,
}

impl Options {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text that goes by SMS if the message cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsFailover {
    /// The sender of the SMS: a number or a word.
    pub from: String,
    /// The text.
    pub text: String,
}

/// What is done with the links of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UrlOptions {
    /// Whether they are made short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shorten_url: Option<bool>,
    /// Whether taps on them are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_clicks: Option<bool>,
    /// Where taps are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_url: Option<String>,
    /// Whether `https://` is left out of what is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_protocol: Option<bool>,
    /// The domain that short links have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_domain: Option<String>,
}

/// How links are made short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShortLinks {
    /// Whether they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The domain that they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}
