//! A good batch for each template, for whoever writes an export.

use serde_json::{Map, Value as Json, json};

use super::Template;
use super::parts::Parts;
use super::shape::{ButtonKind, Face, HeaderKind};
use super::text::Text;
use crate::batch::Phone;
use crate::batch::content::MediaKind;
use crate::batch::terms::Needs;
use crate::batch::tree::Node;
use crate::batch::values::ROW_KEYS;

/// Where the values of an example come from. What a definition shows is the best example, but
/// nothing says that it may be sent.
#[derive(Clone, Copy, Debug)]
enum Sample {
    /// From the definition, as far as it has some.
    Shown,
    /// From the names of the placeholders.
    Named,
    /// As short as can be.
    Shortest,
}

impl Template {
    /// A batch file with one row that uses this template.
    pub fn example_batch(&self, from: &Phone) -> Json {
        let mut row = json!({ "to": "+31612345678", "reference": "example-1" });
        for (key, part) in self.example_parts() {
            row[key] = part;
        }
        json!({
            "campaignName": format!("Example of {}", self.name),
            "from": from.as_str(),
            "templateName": self.name,
            "templateLanguage": self.language,
            "data": [row],
        })
    }

    /// What an example row says to the template, by the keys of rows.
    pub(super) fn example_parts(&self) -> Map<String, Json> {
        let mut parts = Map::new();
        for sample in [Sample::Shown, Sample::Named, Sample::Shortest] {
            parts = self.sample(sample);
            if self.takes(&parts) {
                break;
            }
        }
        parts
    }

    fn takes(&self, parts: &Map<String, Json>) -> bool {
        let text = Json::Object(parts.clone()).to_string();
        let node = Node::parse(text.as_bytes());
        let part = |key: &str| node.as_ref().and_then(|node| node.get(key));
        let parts = Parts::new(ROW_KEYS.map(part));
        self.fill(&parts, Needs::default()).is_ok()
    }

    fn sample(&self, sample: Sample) -> Map<String, Json> {
        let shape = &self.shape;
        let [placeholders, header, buttons, cards, offer] = ROW_KEYS;
        let mut parts = face(&shape.face, sample, [placeholders, header, buttons]);
        if let (true, Some(Json::Object(values))) = (shape.code, parts.get_mut(placeholders)) {
            for (_, code) in values.iter_mut().take(1) {
                *code = json!("123456");
            }
        }
        if !shape.cards.is_empty() {
            let keys = ["placeholders", "header", "buttons"];
            let list: Vec<Map<String, Json>> = shape
                .cards
                .iter()
                .map(|card| face(card, sample, keys))
                .collect();
            parts.insert(cards.into(), json!(list));
        }
        if shape.offer_ends() {
            let ends = json!({ "expiresAt": "2030-01-01T00:00:00Z" });
            parts.insert(offer.into(), ends);
        }
        parts
    }
}

/// What is said to one face, under the keys for placeholders, header and buttons.
fn face(face: &Face, sample: Sample, keys: [&str; 3]) -> Map<String, Json> {
    let [placeholders, header, buttons] = keys;
    let mut parts = Map::new();
    if let Some(said) = self::header(&face.header, sample) {
        parts.insert(header.into(), said);
    }
    if !face.body.names.is_empty() {
        let values: Map<String, Json> = face
            .body
            .names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.clone(), json!(value(&face.body, at, sample))))
            .collect();
        parts.insert(placeholders.into(), Json::Object(values));
    }
    let said: Map<String, Json> = face
        .buttons
        .iter()
        .enumerate()
        .filter_map(|(index, part)| Some((index.to_string(), button(&part.kind, sample)?)))
        .collect();
    if !said.is_empty() {
        parts.insert(buttons.into(), Json::Object(said));
    }
    parts
}

fn value(text: &Text, at: usize, sample: Sample) -> String {
    let shown = text.examples.get(at).filter(|shown| !shown.is_empty());
    match (sample, shown, text.names.get(at)) {
        (Sample::Shown, Some(shown), _) => shown.clone(),
        (Sample::Shown | Sample::Named, _, Some(name)) => format!("value of {name}"),
        _ => "x".into(),
    }
}

fn header(kind: &HeaderKind, sample: Sample) -> Option<Json> {
    let file = |name: &str| format!("https://example.com/{name}");
    Some(match kind {
        HeaderKind::None => return None,
        HeaderKind::Text(text) if text.names.is_empty() => return None,
        HeaderKind::Text(text) => json!({ "type": "text", "value": value(text, 0, sample) }),
        HeaderKind::Media(MediaKind::Image) => json!({ "type": "image", "url": file("a.jpg") }),
        HeaderKind::Media(MediaKind::Video) => json!({ "type": "video", "url": file("a.mp4") }),
        HeaderKind::Media(MediaKind::Gif) => json!({ "type": "gif", "url": file("a.mp4") }),
        HeaderKind::Media(_) => {
            json!({ "type": "document", "url": file("a.pdf"), "filename": "a.pdf" })
        }
        HeaderKind::Location => json!({
            "type": "location", "latitude": 52.0907, "longitude": 5.1214, "name": "Our shop",
            "address": "1 High Street",
        }),
        HeaderKind::Product => json!({ "type": "product", "productId": "A-1007" }),
    })
}

/// What an example says to a button; nothing to those that may be left alone.
fn button(kind: &ButtonKind, sample: Sample) -> Option<Json> {
    let shown = |shown: &str, other: &str| match sample {
        Sample::Shown if !shown.is_empty() => shown.to_owned(),
        _ => other.to_owned(),
    };
    Some(match kind {
        ButtonKind::Fixed(_) | ButtonKind::OneTimeCode | ButtonKind::Catalog => return None,
        ButtonKind::QuickReply => json!({ "type": "quick-reply", "value": "answer-1" }),
        ButtonKind::Url(link) => {
            json!({ "type": "url", "value": shown(&link.example, "A-1007") })
        }
        ButtonKind::CopyCode(example) => {
            json!({ "type": "copy-code", "value": shown(example, "SAVE10") })
        }
        ButtonKind::Flow => json!({ "type": "flow", "token": "visit-1" }),
        ButtonKind::MultiProduct => json!({
            "type": "multi-product", "thumbnail": "A-1007",
            "sections": [{ "title": "Books", "products": ["A-1007", "A-1008"] }],
        }),
        ButtonKind::OrderDetails => json!({
            "type": "order-details",
            "action": { "name": "review_and_pay", "parameters": { "reference_id": "A-1007" } },
        }),
        ButtonKind::VoiceCall => json!({ "type": "voice-call", "minutes": 60 }),
    })
}
