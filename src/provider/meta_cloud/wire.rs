//! A message as the Cloud API's send call wants it. Members stand in a fixed order, so that the
//! same message always gives the same bytes.

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::batch::content::{
    Button, ButtonValue, Card, Header, Location, Media, MediaKind, MediaSource, ProductSection,
    Typed,
};
use crate::batch::{Content, Filling, Message, Parameter};
use crate::delivery::AttemptId;

/// The body of the request that sends `message` as the attempt `id`; `policy` is what the call for
/// marketing messages alone is told.
pub(super) fn envelope(id: &AttemptId, message: &Message, policy: Option<&'static str>) -> Vec<u8> {
    let (kind, content) = content(&message.content);
    let options = &message.options;
    let envelope = Envelope {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: message.to.as_str(),
        context: options
            .reply_to
            .as_deref()
            .map(|message_id| Context { message_id }),
        recipient_identity_key_hash: options.identity_hash.as_deref(),
        r#type: kind,
        content: [(kind, content)].into_iter().collect(),
        biz_opaque_callback_data: id.to_string(),
        product_policy: policy,
    };
    serde_json::to_vec(&envelope).expect("texts, numbers and arrays always become JSON")
}

#[derive(Serialize)]
struct Envelope<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    // With its plus sign: without one the sender's own country code is put in front.
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_identity_key_hash: Option<&'a str>,
    r#type: &'static str,
    // The member that is named as the type.
    #[serde(flatten)]
    content: std::collections::BTreeMap<&'static str, Json>,
    biz_opaque_callback_data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_policy: Option<&'static str>,
}

#[derive(Serialize)]
struct Context<'a> {
    message_id: &'a str,
}

fn content(content: &Content) -> (&'static str, Json) {
    match content {
        Content::Template(filling) => ("template", template(filling)),
        Content::Text { body, preview_url } => {
            ("text", json!({ "body": body, "preview_url": preview_url }))
        }
        Content::Media {
            kind,
            media,
            caption,
            voice,
        } => {
            let mut file = with_caption(media, caption.as_deref());
            if let Some(voice) = voice {
                file["voice"] = json!(voice);
            }
            (media_name(*kind), file)
        }
        Content::Location(place) => ("location", location(place)),
        Content::Contacts(contacts) => ("contacts", contacts.clone()),
        Content::Interactive(interactive) => ("interactive", interactive.clone()),
        Content::Reaction { message_id, emoji } => (
            "reaction",
            json!({ "message_id": message_id, "emoji": emoji }),
        ),
    }
}

fn template(filling: &Filling) -> Json {
    let mut template = json!({
        "name": filling.name,
        "language": { "code": filling.language },
    });
    let mut components = components(filling.header.as_ref(), &filling.body, &filling.buttons);
    if let Some(ends_at) = filling.offer_expires_at {
        let offer = json!({ "expiration_time_ms": ends_at.as_millis() });
        components.push(json!({
            "type": "limited_time_offer",
            "parameters": [{ "type": "limited_time_offer", "limited_time_offer": offer }],
        }));
    }
    if !filling.cards.is_empty() {
        let cards: Vec<Json> = filling.cards.iter().enumerate().map(card).collect();
        components.push(json!({ "type": "carousel", "cards": cards }));
    }
    // Left out for a template without values, as the API wants it.
    if !components.is_empty() {
        template["components"] = Json::Array(components);
    }
    template
}

fn card((index, card): (usize, &Card)) -> Json {
    let components = components(card.header.as_ref(), &card.body, &card.buttons);
    json!({ "card_index": index, "components": components })
}

fn components(header: Option<&Header>, body: &[Parameter], buttons: &[Button]) -> Vec<Json> {
    let mut components = Vec::new();
    if let Some(header) = header {
        let parameter = header_parameter(header);
        components.push(json!({ "type": "header", "parameters": [parameter] }));
    }
    if !body.is_empty() {
        let parameters: Vec<Json> = body.iter().map(parameter).collect();
        components.push(json!({ "type": "body", "parameters": parameters }));
    }
    let told = buttons.iter().filter(|button| is_told(&button.value));
    components.extend(told.map(button));
    components
}

/// Whether the API wants to hear of a button: those that open a catalogue or start a call do so
/// without a word.
fn is_told(value: &ButtonValue) -> bool {
    match value {
        ButtonValue::Catalog { thumbnail } => thumbnail.is_some(),
        ButtonValue::VoiceCall { minutes, payload } => minutes.is_some() || payload.is_some(),
        _ => true,
    }
}

fn header_parameter(header: &Header) -> Json {
    match header {
        Header::Text(text) => parameter(text),
        Header::Media(kind, media) => {
            let name = media_name(*kind);
            json!({ "type": name, name: file(media) })
        }
        Header::Location(place) => json!({ "type": "location", "location": location(place) }),
        Header::Product {
            retailer_id,
            catalog_id,
        } => {
            let mut product = json!({ "product_retailer_id": retailer_id });
            if let Some(id) = catalog_id {
                product["catalog_id"] = json!(id);
            }
            json!({ "type": "product", "product": product })
        }
    }
}

fn parameter(parameter: &Parameter) -> Json {
    let mut written = match &parameter.typed {
        None => json!({ "type": "text" }),
        Some(Typed::Currency { code, amount_1000 }) => json!({
            "type": "currency",
            "currency": {
                "fallback_value": parameter.text,
                "code": code,
                "amount_1000": amount_1000,
            },
        }),
        Some(Typed::DateTime) => json!({
            "type": "date_time",
            "date_time": { "fallback_value": parameter.text },
        }),
    };
    if let Some(name) = parameter.name.as_deref().filter(|name| !name.is_empty()) {
        written["parameter_name"] = json!(name);
    }
    if parameter.typed.is_none() {
        written["text"] = json!(parameter.text);
    }
    written
}

fn button(button: &Button) -> Json {
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let (sub_type, parameter) = match &button.value {
        ButtonValue::QuickReply(payload) => (
            "quick_reply",
            json!({ "type": "payload", "payload": payload }),
        ),
        ButtonValue::Url(suffix) => ("url", parameter(suffix)),
        ButtonValue::CopyCode(code) => (
            "copy_code",
            json!({ "type": "coupon_code", "coupon_code": code }),
        ),
        ButtonValue::Flow { token, data } => {
            let members = [
                ("flow_token", text(token)),
                ("flow_action_data", data.clone()),
            ];
            ("flow", action(members))
        }
        ButtonValue::Catalog { thumbnail } => {
            let members = [("thumbnail_product_retailer_id", text(thumbnail))];
            ("catalog", action(members))
        }
        ButtonValue::MultiProduct {
            thumbnail,
            sections,
        } => {
            let sections = sections.iter().map(section).collect();
            let members = [
                ("thumbnail_product_retailer_id", text(thumbnail)),
                ("sections", Some(sections)),
            ];
            ("mpm", action(members))
        }
        ButtonValue::OrderDetails(order) => (
            "order_details",
            json!({ "type": "action", "action": order }),
        ),
        ButtonValue::VoiceCall { minutes, payload } => {
            let members = [
                ("ttl_minutes", minutes.map(|minutes| json!(minutes))),
                ("payload", text(payload)),
            ];
            ("voice_call", action(members))
        }
    };
    json!({
        "type": "button",
        "sub_type": sub_type,
        "index": button.index,
        "parameters": [parameter],
    })
}

/// A parameter that is an action, with those of its members that are there.
fn action<const N: usize>(members: [(&str, Option<Json>); N]) -> Json {
    let action: serde_json::Map<String, Json> = members
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect();
    json!({ "type": "action", "action": action })
}

fn section(section: &ProductSection) -> Json {
    let items: Vec<Json> = section
        .products
        .iter()
        .map(|id| json!({ "product_retailer_id": id }))
        .collect();
    json!({ "title": section.title, "product_items": items })
}

fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Sticker => "sticker",
        MediaKind::Gif => "gif",
    }
}

fn file(media: &Media) -> Json {
    let mut file = match &media.source {
        MediaSource::Link(link) => json!({ "link": link }),
        // A file of the tenant's has its id by now.
        source => json!({ "id": source.id().unwrap_or_default() }),
    };
    if let Some(filename) = &media.filename {
        file["filename"] = json!(filename);
    }
    file
}

fn with_caption(media: &Media, caption: Option<&str>) -> Json {
    let mut file = file(media);
    if let Some(caption) = caption {
        file["caption"] = json!(caption);
    }
    file
}

fn location(place: &Location) -> Json {
    let mut location = json!({ "latitude": place.latitude, "longitude": place.longitude });
    if let Some(name) = &place.name {
        location["name"] = json!(name);
    }
    if let Some(address) = &place.address {
        location["address"] = json!(address);
    }
    location
}
