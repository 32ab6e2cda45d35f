//! What a tenant's provider takes: what it honours besides the content, and what of a message it
//! does not take at all. The rules of each provider stand with its adapter; files are held against
//! them when they are checked, so that a row is refused before anything of it is sent.

use std::fmt;

use super::Message;
use super::fault::Code;

/// What one provider takes.
pub trait Terms: fmt::Debug + Send + Sync {
    /// The provider's name for people, as `kind` in the settings has it.
    fn provider(&self) -> &'static str;

    /// Whether it honours this.
    fn honours(&self, asked: Asked) -> bool;

    /// What it must be given of a template that others need not be.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Whether it takes files that are uploaded to it, and messages that name them by the ids which
    /// it gives them.
    fn takes_files(&self) -> bool {
        false
    }

    /// What it does not take of a message that is good in every other respect. A file of the
    /// tenant's stands in it as such, and has been looked at.
    fn objections(&self, message: &Message) -> Vec<Objection>;
}

/// What a message can ask of its provider besides handing the content over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// `replyTo`.
    ReplyTo,
    /// `identityHash`.
    IdentityHash,
    /// `smsFailover`.
    SmsFailover,
    /// `tags`.
    Tags,
    /// `urlOptions`.
    UrlOptions,
    /// `shortLinks`.
    ShortLinks,
    /// `entityId`.
    EntityId,
    /// `applicationId`.
    ApplicationId,
    /// `useCase`.
    UseCase,
    /// `frequencyCap`.
    FrequencyCap,
}

impl Asked {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ReplyTo,
        Self::IdentityHash,
        Self::SmsFailover,
        Self::Tags,
        Self::UrlOptions,
        Self::ShortLinks,
        Self::EntityId,
        Self::ApplicationId,
        Self::UseCase,
        Self::FrequencyCap,
    ];

    /// The key that asks for it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::ReplyTo => "replyTo",
            Self::IdentityHash => "identityHash",
            Self::SmsFailover => "smsFailover",
            Self::Tags => "tags",
            Self::UrlOptions => "urlOptions",
            Self::ShortLinks => "shortLinks",
            Self::EntityId => "entityId",
            Self::ApplicationId => "applicationId",
            Self::UseCase => "useCase",
            Self::FrequencyCap => "frequencyCap",
        }
    }

    /// Whether leaving it out would change what is delivered, to whom, or who pays for it. If so, a
    /// row that asks for it is refused where it is not honoured; otherwise it is told.
    pub const fn changes_delivery(self) -> bool {
        !matches!(
            self,
            Self::Tags | Self::EntityId | Self::ApplicationId | Self::UseCase
        )
    }
}

/// What a provider must be given of a template that others need not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The template's [`Handle`](super::content::Handle), because it is not called by its name.
    pub handle: bool,
    /// A payload for each quick reply that the template has, whether a row names one or not; where
    /// it does not, the button's label is its payload.
    pub quick_replies: bool,
}

/// What a provider does not take of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// What of the message.
    pub part: Part,
    /// The kind of fault.
    pub code: Code,
    /// What it takes.
    pub expected: String,
    /// What it was given, never the value itself.
    pub found: String,
    /// What to do; empty for nothing.
    pub hint: String,
    /// Whether the row is refused for it.
    pub weight: Weight,
}

impl Objection {
    /// An objection for which the row is refused.
    pub fn fault(
        part: Part,
        code: Code,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            part,
            code,
            expected: expected.into(),
            found: found.into(),
            hint: String::new(),
            weight: Weight::Fault,
        }
    }

    /// The same as a warning, with which the row is sent.
    #[must_use]
    pub fn warning(self) -> Self {
        let weight = Weight::Warning;
        Self { weight, ..self }
    }

    /// The same with a word on what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        Self { hint, ..self }
    }
}

/// A part of a message, as a row has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The row as such.
    Whole,
    /// The recipient.
    To,
    /// The template, by its name.
    Template,
    /// The values of the template's body.
    Placeholders,
    /// The template's header.
    Header,
    /// The template's buttons.
    Buttons,
    /// The cards of the template's carousel.
    Cards,
    /// The template's offer.
    Offer,
    /// What is sent without a template.
    Content,
    /// When the message is no longer sent.
    Expiry,
    /// What is asked for besides.
    Asked(Asked),
}

/// How heavy an objection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weight {
    /// The row is refused.
    Fault,
    /// The row is sent, and the tenant is told.
    Warning,
}

/// A tenant that has no provider of its own: what Meta's Cloud API takes, which is where every
/// message goes in the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Common;

impl Terms for Common {
    fn provider(&self) -> &'static str {
        "meta-cloud"
    }

    fn honours(&self, asked: Asked) -> bool {
        matches!(asked, Asked::ReplyTo | Asked::IdentityHash)
    }

    fn takes_files(&self) -> bool {
        true
    }

    fn objections(&self, _message: &Message) -> Vec<Objection> {
        Vec::new()
    }
}
