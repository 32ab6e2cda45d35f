//! Why an attempt did not end in an acceptance: the stable codes that results carry, each with a
//! sentence and advice. Which answer of which provider has which cause is the adapters' to know.

use crate::delivery::Reason;

/// Declares the causes once: the enum, its texts, and the list that the manual is held against.
macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal, $hint:literal;)*) => {
        /// Why an attempt did not end in an acceptance.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $($(#[$doc])* $name,)*
        }

        impl Cause {
            /// Every cause, in the order of the manual.
            pub const ALL: &[Cause] = &[$(Cause::$name,)*];

            /// The code as written in results.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Cause::$name => $code,)*
                }
            }

            /// One short sentence.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Cause::$name => $title,)*
                }
            }

            /// What the tenant or the operator can do; empty if nothing.
            pub const fn hint(self) -> &'static str {
                match self {
                    $(Cause::$name => $hint,)*
                }
            }
        }
    };
}

causes! {
    /// More messages a second than the provider takes.
    Throttled = "provider.throttled",
        "the provider takes no more messages at the moment", "";
    /// More messages to one recipient than the provider takes.
    PairRate = "provider.pair_rate",
        "too many messages to this recipient in a short time", "";
    /// The provider's service is down or overloaded.
    Unavailable = "provider.unavailable",
        "the provider cannot take messages at the moment", "";
    /// The provider could not be reached; nothing was sent.
    Unreachable = "provider.unreachable",
        "the provider could not be reached",
        "check the network and the provider's address in the settings";
    /// What answers at the configured address is not the provider's API.
    Address = "provider.address",
        "there is no such API at the configured address",
        "check base_url in the settings";
    /// The access token is missing, wrong or expired.
    Credentials = "provider.credentials",
        "the provider does not accept the access token",
        "put a valid access token into the file named in the settings";
    /// The access token may not do this.
    Permission = "provider.permission",
        "the access token lacks a permission",
        "give the token's user the permission to send messages";
    /// The account may not send.
    Account = "provider.account",
        "the account may not send messages",
        "look at the account's status and payments at the provider";
    /// The sender number is unknown, not registered or deleted.
    Sender = "provider.sender",
        "the sender number cannot send messages",
        "check the sender's phone number id and its registration at the provider";
    /// The sender number is restricted because of its recipients' complaints.
    SenderRestricted = "provider.sender_restricted",
        "the provider restricts this sender number",
        "look at the number's quality rating at the provider";
    /// No approved template has this name and language.
    TemplateMissing = "provider.template_missing",
        "the provider has no approved template of this name and language",
        "compare name and language with the provider's list of templates";
    /// The template is paused because of low quality.
    TemplatePaused = "provider.template_paused",
        "the template is paused",
        "the provider takes it up again by itself, or the template is edited";
    /// The template was disabled for good.
    TemplateDisabled = "provider.template_disabled",
        "the template is disabled",
        "make a template with another text";
    /// The template cannot be sent this way.
    TemplateRefused = "provider.template_refused",
        "the template cannot be sent this way",
        "look at the template's category and flow at the provider";
    /// The content breaks the provider's rules.
    Policy = "provider.policy",
        "the content breaks the provider's rules",
        "change the text";
    /// A value in the row is missing or wrong.
    Parameter = "provider.parameter",
        "a value of the message is missing or wrong",
        "compare the row's values with the template";
    /// The kind of message is not supported.
    MessageType = "provider.message_type",
        "this kind of message is not supported", "";
    /// An attached file could not be fetched or has the wrong kind or size.
    Media = "provider.media",
        "the provider could not use the attached file",
        "check the link, and the file's kind and size";
    /// The recipient cannot be reached.
    Recipient = "provider.recipient",
        "the message cannot be delivered to this recipient",
        "check the number; the recipient may not use WhatsApp";
    /// The recipient is not one that a test number may send to.
    RecipientNotAllowed = "provider.recipient_not_allowed",
        "the recipient is not on the test number's list",
        "add the recipient to the list at the provider, or send from a live number";
    /// The recipient does not want messages from this sender.
    RecipientOptedOut = "provider.recipient_opted_out",
        "the recipient does not want these messages",
        "do not send to this recipient again";
    /// The recipient gets no more messages of this kind at the moment.
    RecipientLimited = "provider.recipient_limited",
        "the provider limits messages of this kind to this recipient", "";
    /// The account may not send to the recipient's country.
    Country = "provider.country",
        "the account may not send to the recipient's country", "";
    /// Free text outside of the 24 hours after the recipient's last message.
    Session = "provider.session",
        "more than 24 hours have passed since the recipient's last message",
        "send a template instead";
    /// The message became too old at the provider.
    Expired = "provider.expired",
        "the message expired at the provider", "";
    /// The provider refused and gave a code that is not known here.
    Refused = "provider.refused",
        "the provider refused the message",
        "look the provider's code up in its documentation";
    /// The provider failed in a way that leaves open what became of the message.
    Doubtful = "provider.doubtful",
        "the provider failed, and the message may have gone out", "";
    /// An answer came that cannot be understood.
    UnreadableAnswer = "provider.unreadable_answer",
        "the provider's answer cannot be understood, and the message may have gone out",
        "check base_url in the settings, and what stands between here and the provider";
    /// The request left and no whole answer came.
    NoAnswer = "provider.no_answer",
        "no answer came, and the message may have gone out", "";
}

/// The longest explanation of a provider that is kept, in characters.
pub const DETAIL_CHARS_MAX: usize = 300;

impl Cause {
    /// The reason for this cause, with the provider's explanation and code as far as there are any.
    pub fn reason(self, detail: &str, provider_code: String) -> Reason {
        Reason {
            hint: self.hint().to_owned(),
            detail: clean(detail),
            provider_code,
            ..Reason::new(self.as_str(), self.title())
        }
    }
}

/// A foreign text as it may stand in results: on one line, without control characters, bounded.
fn clean(text: &str) -> String {
    let mut kept = String::new();
    let mut length = 0;
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        if c.is_control() || (c == ' ' && (kept.is_empty() || kept.ends_with(' '))) {
            continue;
        }
        if length == DETAIL_CHARS_MAX {
            break;
        }
        kept.push(c);
        length += 1;
    }
    kept.truncate(kept.trim_end().len());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs of tenants branch on the codes: none may stand for two causes.
    #[test]
    fn each_cause_has_a_code_of_its_own() {
        let mut codes: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert!(codes.iter().all(|code| code.starts_with("provider.")));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Cause::ALL.len());
    }

    /// A provider's text must not break a line of results, nor fill the disk.
    #[test]
    fn a_foreign_text_is_cleaned_and_bounded() {
        assert_eq!(clean(" a\r\n\tb\u{0}\u{1b}[2J \u{85} c "), "a b[2J c");
        assert_eq!(clean("\u{7f}"), "");
        assert_eq!(clean(&"é".repeat(9_999)).chars().count(), DETAIL_CHARS_MAX);
    }
}
