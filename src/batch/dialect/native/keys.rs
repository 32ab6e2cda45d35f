//! The keys of the native form: which there are, under which names, and what is done with them.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::batch::content::MediaKind;
use crate::batch::dialect::near::Known;
use crate::batch::session::{Kind, Member};
use crate::batch::terms::Asked;
use crate::batch::tree::{Entry, Value};

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    To,
    From,
    /// The tenant's own reference; the lowest rank wins where a row has several.
    Reference(u8),
    CallbackData,
    TemplateName,
    TemplateLanguage,
    /// The provider's id of the template, for files that do not name it.
    TemplateId,
    Placeholders,
    /// A part that speaks to the template: its place in `ROW_KEYS`.
    Part(usize),
    /// What is said without a template.
    Session(Member),
    ScheduledAt,
    ExpiresAt,
    ValiditySeconds,
    /// What is asked of the provider besides.
    Asked(Asked),
    CampaignName,
    RowCount,
    Data,
    OnInvalid,
    /// `batchKey`.
    SelfNamed,
    AllowDuplicate,
    DryRun,
    /// For the whole file; `send`, which changes nothing, is taken in a row too.
    OnDuplicateRecipient,
    OnDuplicateReference,
    Priority,
    SendWindow,
    IgnoreQuietHours,
    /// A template as the Cloud API writes it; a key of the tenant's own when it holds no object.
    CloudTemplate,
    /// Nothing is done with it, and nothing that is delivered changes by that.
    Ignored,
}

/// Every name, its meaning, and the name that manuals use for it.
const NAMES: &[(&str, Key, &str)] = &[
    ("to", Key::To, "to"),
    ("from", Key::From, "from"),
    ("origin", Key::From, "from"),
    ("reference", Key::Reference(0), "reference"),
    ("externalId", Key::Reference(1), "reference"),
    ("clientId", Key::Reference(2), "reference"),
    ("correlationId", Key::Reference(3), "reference"),
    ("callbackData", Key::CallbackData, "callbackData"),
    ("templateName", Key::TemplateName, "templateName"),
    ("whatsappTemplateName", Key::TemplateName, "templateName"),
    (
        "templateLanguage",
        Key::TemplateLanguage,
        "templateLanguage",
    ),
    (
        "whatsappTemplateLanguage",
        Key::TemplateLanguage,
        "templateLanguage",
    ),
    ("placeholders", Key::Placeholders, "placeholders"),
    ("message", Key::Session(Member::Message), "message"),
    ("previewUrl", Key::Session(Member::PreviewUrl), "previewUrl"),
    ("type", Key::Session(Member::Type), "type"),
    ("expiresAt", Key::ExpiresAt, "expiresAt"),
    ("validitySeconds", Key::ValiditySeconds, "validitySeconds"),
    ("campaignName", Key::CampaignName, "campaignName"),
    ("rows", Key::RowCount, "rows"),
    ("data", Key::Data, "data"),
    ("onInvalid", Key::OnInvalid, "onInvalid"),
    ("batchKey", Key::SelfNamed, "batchKey"),
    ("allowDuplicate", Key::AllowDuplicate, "allowDuplicate"),
    ("dryRun", Key::DryRun, "dryRun"),
    (
        "onDuplicateRecipient",
        Key::OnDuplicateRecipient,
        "onDuplicateRecipient",
    ),
    (
        "onDuplicateReference",
        Key::OnDuplicateReference,
        "onDuplicateReference",
    ),
    ("priority", Key::Priority, "priority"),
    (
        "ignoreQuietHours",
        Key::IgnoreQuietHours,
        "ignoreQuietHours",
    ),
    ("templateHeader", Key::Part(1), "templateHeader"),
    ("header", Key::Part(1), "templateHeader"),
    ("whatsappTemplateHeader", Key::Part(1), "templateHeader"),
    ("templateButtons", Key::Part(2), "templateButtons"),
    ("buttons", Key::Part(2), "templateButtons"),
    ("whatsappTemplateButtons", Key::Part(2), "templateButtons"),
    ("templateCards", Key::Part(3), "templateCards"),
    ("templateOffer", Key::Part(4), "templateOffer"),
    ("scheduledAt", Key::ScheduledAt, "scheduledAt"),
    ("sendWindow", Key::SendWindow, "sendWindow"),
    (
        "identityHash",
        Key::Asked(Asked::IdentityHash),
        "identityHash",
    ),
    ("smsFailover", Key::Asked(Asked::SmsFailover), "smsFailover"),
    (
        "frequencyCap",
        Key::Asked(Asked::FrequencyCap),
        "frequencyCap",
    ),
    ("replyTo", Key::Asked(Asked::ReplyTo), "replyTo"),
    ("urlOptions", Key::Asked(Asked::UrlOptions), "urlOptions"),
    ("shortLinks", Key::Asked(Asked::ShortLinks), "shortLinks"),
    ("caption", Key::Session(Member::Caption), "caption"),
    ("text", Key::Session(Member::Content(Kind::Text)), "text"),
    (
        "image",
        Key::Session(Member::Content(Kind::Media(MediaKind::Image))),
        "image",
    ),
    (
        "video",
        Key::Session(Member::Content(Kind::Media(MediaKind::Video))),
        "video",
    ),
    (
        "audio",
        Key::Session(Member::Content(Kind::Media(MediaKind::Audio))),
        "audio",
    ),
    (
        "document",
        Key::Session(Member::Content(Kind::Media(MediaKind::Document))),
        "document",
    ),
    (
        "sticker",
        Key::Session(Member::Content(Kind::Media(MediaKind::Sticker))),
        "sticker",
    ),
    (
        "location",
        Key::Session(Member::Content(Kind::Location)),
        "location",
    ),
    (
        "contacts",
        Key::Session(Member::Content(Kind::Contacts)),
        "contacts",
    ),
    (
        "interactive",
        Key::Session(Member::Content(Kind::Interactive)),
        "interactive",
    ),
    (
        "reaction",
        Key::Session(Member::Content(Kind::Reaction)),
        "reaction",
    ),
    ("template", Key::CloudTemplate, "template"),
    ("filename", Key::Session(Member::Filename), "filename"),
    ("body", Key::Session(Member::Message), "body"),
    ("latitude", Key::Session(Member::Latitude), "latitude"),
    ("longitude", Key::Session(Member::Longitude), "longitude"),
    ("name", Key::Session(Member::Name), "name"),
    ("address", Key::Session(Member::Address), "address"),
    ("tags", Key::Asked(Asked::Tags), "tags"),
    ("entityId", Key::Asked(Asked::EntityId), "entityId"),
    (
        "applicationId",
        Key::Asked(Asked::ApplicationId),
        "applicationId",
    ),
    ("useCase", Key::Asked(Asked::UseCase), "useCase"),
    ("notifyUrl", Key::Ignored, "notifyUrl"),
    ("callbacks", Key::Ignored, "callbacks"),
    ("templateId", Key::TemplateId, "templateId"),
    ("whatsappTemplateId", Key::TemplateId, "templateId"),
    ("templateNamespace", Key::Ignored, "templateNamespace"),
];

/// [`NAMES`] by their names: each key of each row is looked up.
static BY_NAME: LazyLock<HashMap<&str, (Key, &str)>> = LazyLock::new(|| {
    let meaning =
        |(name, key, manual): &(&'static str, Key, &'static str)| (*name, (*key, *manual));
    NAMES.iter().map(meaning).collect()
});

/// What `name` means; `None` when nobody knows it.
pub(super) fn known(name: &str) -> Option<(Key, &'static str)> {
    BY_NAME.get(name).copied()
}

/// Other words, as other formats have them, for when a message leaves or ends, what goes first and
/// its language: whoever writes one means it.
const OTHER_WORDS: [(&str, &str); 24] = [
    ("languageCode", "templateLanguage"),
    ("templateLang", "templateLanguage"),
    ("sendAfter", "scheduledAt"),
    ("notBefore", "scheduledAt"),
    ("validUntil", "expiresAt"),
    ("sendAt", "scheduledAt"),
    ("sendTime", "scheduledAt"),
    ("scheduledFor", "scheduledAt"),
    ("scheduleTime", "scheduledAt"),
    ("expiry", "expiresAt"),
    ("expires", "expiresAt"),
    ("expiration", "expiresAt"),
    ("ttl", "validitySeconds"),
    ("validity", "validitySeconds"),
    ("validityPeriod", "validitySeconds"),
    ("window", "sendWindow"),
    ("timeWindow", "sendWindow"),
    ("sendHours", "sendWindow"),
    ("sendingHours", "sendWindow"),
    ("sendingWindow", "sendWindow"),
    ("deliveryWindow", "sendWindow"),
    ("prio", "priority"),
    ("skipQuietHours", "ignoreQuietHours"),
    ("overrideQuietHours", "ignoreQuietHours"),
];

/// The key that another form's word means here.
fn other_word(name: &str) -> Option<&'static str> {
    static OTHERS: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
        let plain = OTHER_WORDS.map(|(word, known)| (letters(word), known));
        plain.into()
    });
    OTHERS.get(&letters(name)).copied()
}

fn letters(name: &str) -> String {
    name.replace(['_', '-', ' '], "").to_lowercase()
}

/// Whether a member nearly is the head of JSON Lines.
pub(super) fn is_defaults(entry: &Entry<'_>) -> bool {
    let name = letters(&entry.key);
    matches!(name.as_str(), "defaults" | "default") && matches!(entry.node.value, Value::Object(_))
}

/// The known key that an unknown one resembles.
pub(super) fn resembled(name: &str) -> Option<&'static str> {
    static KNOWN: LazyLock<Known<&str>> = LazyLock::new(|| {
        let known = NAMES
            .iter()
            .filter(|(known, key, _)| *key != Key::CloudTemplate && !is_common(known));
        Known::of(known.map(|(known, ..)| *known))
    });
    other_word(name).or_else(|| KNOWN.near(name).copied())
}

/// Whether a key decides if, when or to whom something is sent: read in a form that does not have
/// it, the file would be sent otherwise than its author meant.
fn decides(key: Key) -> bool {
    matches!(
        key,
        Key::ScheduledAt
            | Key::ExpiresAt
            | Key::ValiditySeconds
            | Key::SendWindow
            | Key::IgnoreQuietHours
            | Key::RowCount
            | Key::OnInvalid
            | Key::SelfNamed
            | Key::AllowDuplicate
            | Key::DryRun
            | Key::OnDuplicateRecipient
            | Key::OnDuplicateReference
    ) || matches!(key, Key::Asked(asked) if asked.changes_delivery())
}

/// The manual's name of the key that `name` is here, if it decides what is sent.
pub(in crate::batch::dialect) fn deciding(name: &str) -> Option<&'static str> {
    let (key, manual) = known(name)?;
    decides(key).then_some(manual)
}

/// The key that decides what is sent and that an unknown one resembles.
pub(in crate::batch::dialect) fn resembled_deciding(name: &str) -> Option<&'static str> {
    static KNOWN: LazyLock<Known<&str>> = LazyLock::new(|| {
        let known = NAMES.iter().filter(|(_, key, _)| decides(*key));
        Known::of(known.map(|(known, ..)| *known))
    });
    other_word(name).or_else(|| KNOWN.near(name).copied())
}

/// Whether a member says what a row without a head sends: a template, or content of its own.
pub(in crate::batch::dialect) fn names_content(entry: &Entry<'_>) -> bool {
    let is_whole = matches!(entry.node.value, Value::Object(_) | Value::List(_));
    match known(&entry.key) {
        Some((
            Key::TemplateName | Key::TemplateId | Key::Session(Member::Message | Member::Type),
            _,
        )) => true,
        Some((Key::Session(Member::Content(_)), _)) => is_whole,
        _ => false,
    }
}

/// Whether exports have columns of this name for reasons of their own: it means something only
/// beside a `type` that goes with it.
pub(super) fn is_common(name: &str) -> bool {
    let whole = Kind::of(name).is_some();
    let parts = [
        "body",
        "latitude",
        "longitude",
        "name",
        "address",
        "filename",
    ];
    whole || parts.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A misspelt key that is ignored sends what its author did not mean.
    #[test]
    fn slips_are_told_from_keys_of_ones_own() {
        for (name, expected) in [
            ("templatename", Some("templateName")),
            ("template_name", Some("templateName")),
            ("Template-Language", Some("templateLanguage")),
            ("dryrun", Some("dryRun")),
            ("expireAt", Some("expiresAt")),
            ("form", Some("from")),
            ("TO", Some("to")),
            ("placeholder", Some("placeholders")),
            ("send_at", Some("scheduledAt")),
            ("TTL", Some("validitySeconds")),
            ("date", None),
            ("department", None),
            ("id", None),
            ("note", None),
            ("customer", None),
        ] {
            assert_eq!(resembled(name), expected, "{name}");
        }
        for (name, _, manual) in NAMES {
            assert!(known(manual).is_some(), "{name}");
        }
    }
}
