//! The keys of the native form: which there are, under which names, and what is done with them.

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
    Placeholders,
    Message,
    PreviewUrl,
    Type,
    ExpiresAt,
    ValiditySeconds,
    CampaignName,
    RowCount,
    Data,
    OnInvalid,
    /// `batchKey`.
    SelfNamed,
    AllowDuplicate,
    DryRun,
    /// `send` changes nothing; anything else cannot be honoured.
    OnDuplicate,
    Priority,
    /// `true` changes nothing, since there are no quiet hours; `false` cannot be honoured.
    IgnoreQuietHours,
    /// A content object of the Cloud API; a key of the tenant's own when it holds no object.
    Content,
    /// It would change what is delivered, when, or who is charged.
    Unsupported,
    /// It changes nothing of the sort.
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
    ("message", Key::Message, "message"),
    ("previewUrl", Key::PreviewUrl, "previewUrl"),
    ("type", Key::Type, "type"),
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
        Key::OnDuplicate,
        "onDuplicateRecipient",
    ),
    (
        "onDuplicateReference",
        Key::OnDuplicate,
        "onDuplicateReference",
    ),
    ("priority", Key::Priority, "priority"),
    (
        "ignoreQuietHours",
        Key::IgnoreQuietHours,
        "ignoreQuietHours",
    ),
    ("templateHeader", Key::Unsupported, "templateHeader"),
    ("header", Key::Unsupported, "templateHeader"),
    ("whatsappTemplateHeader", Key::Unsupported, "templateHeader"),
    ("templateButtons", Key::Unsupported, "templateButtons"),
    ("buttons", Key::Unsupported, "templateButtons"),
    (
        "whatsappTemplateButtons",
        Key::Unsupported,
        "templateButtons",
    ),
    ("scheduledAt", Key::Unsupported, "scheduledAt"),
    ("sendWindow", Key::Unsupported, "sendWindow"),
    ("identityHash", Key::Unsupported, "identityHash"),
    ("smsFailover", Key::Unsupported, "smsFailover"),
    ("frequencyCap", Key::Unsupported, "frequencyCap"),
    ("replyTo", Key::Unsupported, "replyTo"),
    ("urlOptions", Key::Unsupported, "urlOptions"),
    ("shortLinks", Key::Unsupported, "shortLinks"),
    ("caption", Key::Unsupported, "caption"),
    ("text", Key::Content, "text"),
    ("image", Key::Content, "image"),
    ("video", Key::Content, "video"),
    ("audio", Key::Content, "audio"),
    ("document", Key::Content, "document"),
    ("sticker", Key::Content, "sticker"),
    ("location", Key::Content, "location"),
    ("contacts", Key::Content, "contacts"),
    ("interactive", Key::Content, "interactive"),
    ("reaction", Key::Content, "reaction"),
    ("template", Key::Content, "template"),
    ("tags", Key::Ignored, "tags"),
    ("entityId", Key::Ignored, "entityId"),
    ("applicationId", Key::Ignored, "applicationId"),
    ("useCase", Key::Ignored, "useCase"),
    ("notifyUrl", Key::Ignored, "notifyUrl"),
    ("callbacks", Key::Ignored, "callbacks"),
    ("templateId", Key::Ignored, "templateId"),
    ("whatsappTemplateId", Key::Ignored, "templateId"),
    ("templateNamespace", Key::Ignored, "templateNamespace"),
];

/// Keys that tell another provider's form from this one.
pub(in crate::batch) const FOREIGN: [&str; 5] = [
    "messages",
    "messaging_product",
    "users",
    "params",
    "receiver",
];

/// What `name` means; `None` when nobody knows it.
pub(super) fn known(name: &str) -> Option<(Key, &'static str)> {
    NAMES
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, key, manual)| (*key, *manual))
}

/// The known key that an unknown one resembles: another case, dashes or underscores, or a slip of
/// the hand.
pub(super) fn resembled(name: &str) -> Option<&'static str> {
    // Words this short resemble others by chance (`date` and `data`), unless letters are swapped.
    const SHORT: usize = 4;
    // From this length on, two slips are still the same word.
    const LONG: usize = 9;
    let plain = plain(name);
    let letters = sorted(&plain);
    NAMES
        .iter()
        .filter(|(_, key, _)| *key != Key::Content)
        .map(|(known, ..)| *known)
        .find(|known| {
            let other = self::plain(known);
            let length = plain.len().min(other.len());
            if plain == other {
                return true;
            }
            if length <= SHORT {
                return letters == sorted(&other);
            }
            let allowed = if length < LONG { 1 } else { 2 };
            strsim::damerau_levenshtein(&plain, &other) <= allowed
        })
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn sorted(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
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
