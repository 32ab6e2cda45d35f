//! What the Cloud API takes of what files say, where that is less than what WhatsApp has: what else
//! it would refuse is refused by the rules that hold for every provider.

use super::{Marketing, Settings};
use crate::batch::content::{Filling, Header, MediaKind};
use crate::batch::fault::Code;
use crate::batch::terms::{Asked, Common, Objection, Part, Terms};
use crate::batch::{Content, Message};
use crate::provider::Kind;

/// What the Cloud API takes of what files say.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    marketing: Marketing,
}

impl Takes {
    /// What it takes with these settings.
    pub fn new(settings: &Settings) -> Self {
        let marketing = settings.marketing;
        Self { marketing }
    }

    /// The objections to a template.
    fn to_template(self, message: &Message, filling: &Filling) -> Option<Objection> {
        let is_moving = matches!(filling.header, Some(Header::Media(MediaKind::Gif, _)));
        if !is_moving || self.marketing.policy(message).is_some() {
            return None;
        }
        let expected = "a template for marketing that goes by the call for marketing messages";
        let found = "a moving picture in the header of another message";
        let hint = "use an image or a video, or set `provider.marketing_messages`";
        Some(Objection::fault(Part::Header, Code::MediaKind, expected, found).hint(hint))
    }
}

impl Terms for Takes {
    fn provider(&self) -> &'static str {
        Kind::MetaCloud.as_str()
    }

    fn honours(&self, asked: Asked) -> bool {
        Common.honours(asked)
    }

    fn takes_files(&self) -> bool {
        true
    }

    fn objections(&self, message: &Message) -> Vec<Objection> {
        let mut found = Vec::new();
        if message.to == message.from {
            let expected = "another number than the sender's";
            let objection = Objection::fault(
                Part::To,
                Code::PhoneInvalid,
                expected,
                "the number that it is sent from",
            );
            found.push(objection);
        }
        match &message.content {
            Content::Template(filling) => found.extend(self.to_template(message, filling)),
            Content::Text {
                body,
                preview_url: true,
            } if !body.contains("https://") && !body.contains("http://") => {
                let expected = "a link that begins with `https://` or `http://`";
                let objection = Objection::fault(
                    Part::Content,
                    Code::BatchBadValue,
                    expected,
                    "a preview of a text without one",
                );
                found.push(objection.warning());
            }
            _ => {}
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::terms::Weight;

    fn objections(marketing: Marketing, to: &str, content: &Value) -> Vec<(Part, Weight)> {
        let message = json!({"index": 0, "line": 1, "to": to, "from": "+15550001111",
            "expiresAt": 1_795_000_000_000_i64, "content": content});
        let message: Message = serde_json::from_value(message).expect("a message");
        let settings = Settings {
            marketing,
            ..Settings::default()
        };
        let found = Takes::new(&settings).objections(&message);
        let told = |it: Objection| (it.part, it.weight);
        found.into_iter().map(told).collect()
    }

    /// What the provider is known to refuse must be told before the batch is sent.
    #[test]
    fn what_would_be_refused_is_told_beforehand() {
        let to = "+31612345678";
        let text = |body: &str| json!({"text": {"body": body, "previewUrl": true}});
        let plain = Marketing::Messages;
        let own = objections(plain, "+15550001111", &text("see https://a.example"));
        assert_eq!(own, [(Part::To, Weight::Fault)]);
        let bare = objections(plain, to, &text("see a.example"));
        assert_eq!(bare, [(Part::Content, Weight::Warning)]);
        let moving = |marketing: bool| {
            json!({"template": {"name": "a", "language": "en", "body": [], "marketing": marketing,
                "header": {"media": ["gif", {"source": {"link": "https://a.example/b.mp4"}}]}}})
        };
        let fault = [(Part::Header, Weight::Fault)];
        assert_eq!(objections(plain, to, &moving(true)), fault);
        assert_eq!(objections(Marketing::Strict, to, &moving(false)), fault);
        assert_eq!(objections(Marketing::Strict, to, &moving(true)), []);
    }
}
