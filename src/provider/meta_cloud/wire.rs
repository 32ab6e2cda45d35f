//! A message as the Cloud API's send call wants it. Members stand in a fixed order, so that the
//! same message always gives the same bytes.

use serde::Serialize;

use crate::batch::{Content, Message, Parameter};
use crate::delivery::AttemptId;

/// The body of the request that sends `message` as the attempt `id`.
pub(super) fn envelope(id: &AttemptId, message: &Message) -> Vec<u8> {
    let envelope = Envelope {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: message.to.as_str(),
        content: Typed::of(&message.content),
        biz_opaque_callback_data: id.to_string(),
    };
    serde_json::to_vec(&envelope).expect("texts, numbers and arrays always become JSON")
}

#[derive(Serialize)]
struct Envelope<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    // With its plus sign: without one the sender's own country code is put in front.
    to: &'a str,
    #[serde(flatten)]
    content: Typed<'a>,
    biz_opaque_callback_data: String,
}

/// `type`, and the member of that name.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Typed<'a> {
    Template { template: Template<'a> },
    Text { text: Text<'a> },
}

#[derive(Serialize)]
struct Template<'a> {
    name: &'a str,
    language: Language<'a>,
    // Left out for a template without values, as the API wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<[Component<'a>; 1]>,
}

#[derive(Serialize)]
struct Language<'a> {
    code: &'a str,
}

#[derive(Serialize)]
struct Component<'a> {
    r#type: &'static str,
    parameters: Vec<TextParameter<'a>>,
}

#[derive(Serialize)]
struct TextParameter<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_name: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct Text<'a> {
    body: &'a str,
    preview_url: bool,
}

impl<'a> Typed<'a> {
    fn of(content: &'a Content) -> Self {
        match content {
            Content::Template {
                name,
                language,
                body,
            } => Self::Template {
                template: Template {
                    name,
                    language: Language { code: language },
                    components: (!body.is_empty()).then(|| [Component::body(body)]),
                },
            },
            Content::Text { body, preview_url } => Self::Text {
                text: Text {
                    body,
                    preview_url: *preview_url,
                },
            },
        }
    }
}

impl<'a> Component<'a> {
    fn body(parameters: &'a [Parameter]) -> Self {
        let text = |parameter: &'a Parameter| TextParameter {
            r#type: "text",
            parameter_name: parameter.name.as_deref().filter(|name| !name.is_empty()),
            text: &parameter.text,
        };
        Self {
            r#type: "body",
            parameters: parameters.iter().map(text).collect(),
        }
    }
}
