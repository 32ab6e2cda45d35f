//! What Bird takes of what files say. Whether a content can be said at all is for the files that
//! say it to know: a row is refused by the same words with which it could not be sent.

use super::{Settings, is_uuid, wire};
use crate::batch::content::Header;
use crate::batch::fault::Code;
use crate::batch::terms::{Asked, Needs, Objection, Part, Terms};
use crate::batch::{Content, Message, UrlOptions};
use crate::provider::Kind;

/// The use case without which Bird caps nothing.
const MARKETING: &str = "marketing";

/// What Bird takes of what files say.
#[derive(Clone, Debug)]
pub struct Takes {
    settings: Settings,
}

impl Takes {
    /// What it takes with these settings.
    pub fn new(settings: &Settings) -> Self {
        let settings = settings.clone();
        Self { settings }
    }
}

impl Terms for Takes {
    fn provider(&self) -> &'static str {
        Kind::Bird.as_str()
    }

    fn honours(&self, asked: Asked) -> bool {
        match asked {
            Asked::ReplyTo
            | Asked::Tags
            | Asked::UrlOptions
            | Asked::UseCase
            | Asked::FrequencyCap => true,
            // Its short links are those of SMS.
            Asked::ShortLinks
            | Asked::IdentityHash
            | Asked::SmsFailover
            | Asked::EntityId
            | Asked::ApplicationId => false,
        }
    }

    fn needs(&self) -> Needs {
        Needs {
            handle: true,
            ..Needs::default()
        }
    }

    fn objections(&self, message: &Message) -> Vec<Objection> {
        let mut objections = wire::said(&message.content, &self.settings)
            .err()
            .unwrap_or_default();
        objections.extend(options(message));
        objections.extend(unsaid(&message.content));
        objections
    }
}

/// What of the options Bird does not take.
fn options(message: &Message) -> Vec<Objection> {
    let options = &message.options;
    let mut objections = Vec::new();
    let fault = |asked: Asked, expected: &str, found: &str| {
        Objection::fault(Part::Asked(asked), Code::BatchBadValue, expected, found)
    };
    if let Some(id) = options.reply_to.as_deref().filter(|id| !is_uuid(id)) {
        let found = if id.starts_with("wamid.") {
            "WhatsApp's id of a message"
        } else {
            "an id of another form"
        };
        let expected = "Bird's id of the message that the recipient sent";
        let hint = "36 letters, digits and dashes, as Bird tells it with each message";
        objections.push(fault(Asked::ReplyTo, expected, found).hint(hint));
    }
    if options.frequency_cap && options.use_case.as_deref() != Some(MARKETING) {
        let expected = "`useCase` with `marketing` beside it";
        let hint = "Bird caps marketing only: add `\"useCase\": \"marketing\"` or remove this";
        objections.push(fault(Asked::FrequencyCap, expected, "another use case").hint(hint));
    }
    if options.url_options.as_deref().is_some_and(is_more) {
        let expected = "`trackClicks` alone";
        let hint = "Bird makes no links short on WhatsApp and tells nobody else of taps";
        objections.push(fault(Asked::UrlOptions, expected, "other members").hint(hint));
    }
    objections
}

/// Whether more is asked for than that taps are counted.
fn is_more(options: &UrlOptions) -> bool {
    let on = |flag: Option<bool>| flag == Some(true);
    on(options.shorten_url)
        || on(options.remove_protocol)
        || options.tracking_url.is_some()
        || options.custom_domain.is_some()
}

/// What is left unsaid, and the recipient gets the same all the same.
fn unsaid(content: &Content) -> Option<Objection> {
    let (part, expected, found) = match content {
        Content::Media {
            voice: Some(true), ..
        } => (
            Part::Content,
            "a sound that is not marked as spoken",
            "`voice`",
        ),
        Content::Template(filling) => match &filling.header {
            Some(Header::Media(_, media)) if media.filename.is_some() => (
                Part::Header,
                "a file that goes by its own name",
                "another name",
            ),
            _ => return None,
        },
        _ => return None,
    };
    let objection = Objection::fault(part, Code::BatchUnsupportedKey, expected, found);
    Some(
        objection
            .hint("Bird has no word for it, and it is left out")
            .warning(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::terms::Weight;

    /// The objections to a text with these options, as part and weight.
    fn objections(options: &Value) -> Vec<(Part, Weight)> {
        let message = json!({
            "index": 0, "line": 1, "to": "+31612345678", "from": "+15550001111",
            "expiresAt": 1_795_000_000_000_i64, "options": options,
            "content": { "text": { "body": "hello", "previewUrl": false } },
        });
        let message = serde_json::from_value(message).expect("a message");
        let found = Takes::new(&Settings::default()).objections(&message);
        found.into_iter().map(|it| (it.part, it.weight)).collect()
    }

    /// What Bird would refuse for every row of a campaign must cost nothing.
    #[test]
    fn options_that_bird_refuses_are_told_beforehand() {
        let id = "e6a0b3a4-6a8e-4f55-8c83-0f7f3d2b1c9a";
        for good in [
            json!({}),
            json!({ "replyTo": id, "tags": ["A b"], "useCase": "transactional" }),
            json!({ "frequencyCap": true, "useCase": "marketing" }),
            json!({ "urlOptions": { "trackClicks": true, "shortenUrl": false } }),
        ] {
            assert_eq!(objections(&good), [], "{good}");
        }
        for (asked, bad) in [
            (Asked::ReplyTo, json!({ "replyTo": "wamid.HBgL" })),
            (Asked::FrequencyCap, json!({ "frequencyCap": true })),
            (
                Asked::FrequencyCap,
                json!({ "frequencyCap": true, "useCase": "transactional" }),
            ),
            (
                Asked::UrlOptions,
                json!({ "urlOptions": { "shortenUrl": true } }),
            ),
            (
                Asked::UrlOptions,
                json!({ "urlOptions": { "trackingUrl": "https://a.example/" } }),
            ),
        ] {
            let expected = [(Part::Asked(asked), Weight::Fault)];
            assert_eq!(objections(&bad), expected, "{bad}");
        }
    }
}
