//! A template and its values as the call for templates wants them. Only what varies is named, in
//! the order in which it was registered.

use serde_json::{Value as Json, json};

use super::order;
use super::said::{Remarks, media_name};
use crate::batch::content::{
    Button, ButtonValue, Card, Filling, Header, Location, Media, MediaKind, Parameter,
    ProductSection,
};
use crate::batch::fault::Code;
use crate::batch::terms::Part;

/// The call.
pub(super) const CALL: &str = "template";

/// The longest answer to a tap, coupon, id of a product and token of a flow, in characters.
const REPLY_CHARS_MAX: usize = 128;
const COUPON_CHARS_MAX: usize = 15;
const PRODUCT_CHARS_MAX: usize = 3000;
const TOKEN_CHARS_MAX: usize = 3000;
/// The longest heading above products, in characters.
const HEADING_CHARS_MAX: usize = 24;
/// The most headings above products.
const SECTIONS_MAX: usize = 10;
/// For how many minutes a call can be offered at most, and what comes with it, in characters.
const CALL_MINUTES_MAX: u32 = 43_200;
const CALL_CHARS_MAX: usize = 512;
/// The most buttons that vary on a card.
const CARD_BUTTONS_MAX: usize = 2;
/// What a document is called that nobody gave a name.
const FILENAME: &str = "document.pdf";
/// The longest name of a document, in characters.
const FILENAME_CHARS_MAX: usize = 240;

/// Its `content`.
pub(super) fn content(filling: &Filling, remarks: &mut Remarks) -> Json {
    let mut data = json!({ "body": body(&filling.body) });
    if let Some(header) = &filling.header {
        data["header"] = self::header(Part::Header, header, remarks);
    }
    if !filling.buttons.is_empty() {
        let buttons = filling.buttons.iter();
        data["buttons"] = buttons.map(|it| button(it, remarks)).collect();
    }
    if !filling.cards.is_empty() {
        let cards: Vec<Json> = filling.cards.iter().map(|it| card(it, remarks)).collect();
        data["carousel"] = json!({ "cards": cards });
    }
    if let Some(ends_at) = filling.offer_expires_at {
        // The documented form has an offset without a colon.
        let ends_at = ends_at.to_string().replace('Z', "+0000");
        data["limitedTimeOffer"] = json!({ "expirationTime": ends_at });
    }
    json!({
        "templateName": filling.name,
        "language": filling.language,
        "templateData": data,
    })
}

fn body(values: &[Parameter]) -> Json {
    // An amount of money or a date goes as everybody can read it: there are only texts.
    let texts: Vec<&str> = values.iter().map(|value| value.text.as_str()).collect();
    json!({ "placeholders": texts })
}

fn card(card: &Card, remarks: &mut Remarks) -> Json {
    let mut written = json!({});
    if let Some(header) = &card.header {
        written["header"] = self::header(Part::Cards, header, remarks);
    } else {
        let expected = "a picture or a video on each card";
        remarks.fault(Part::Cards, Code::MediaMissing, expected, "none");
    }
    if !card.body.is_empty() {
        written["body"] = body(&card.body);
    }
    let is_simple =
        |it: &Button| matches!(it.value, ButtonValue::QuickReply(_) | ButtonValue::Url(_));
    if card.buttons.len() > CARD_BUTTONS_MAX || !card.buttons.iter().all(is_simple) {
        let expected = "at most two buttons on a card, for replies and links";
        let code = Code::TemplateUnsupported;
        remarks.fault(Part::Cards, code, expected, "other buttons");
    }
    if !card.buttons.is_empty() {
        let buttons = card.buttons.iter();
        written["buttons"] = buttons.map(|it| button(it, remarks)).collect();
    }
    written
}

fn header(part: Part, header: &Header, remarks: &mut Remarks) -> Json {
    match header {
        Header::Text(value) => json!({ "type": "TEXT", "placeholder": value.text }),
        Header::Media(kind, media) => file(part, (*kind, media), remarks),
        Header::Location(place) => {
            if names_more(place) {
                let expected = "the coordinates alone";
                let found = "a name and an address, which are not sent";
                remarks.warn(part, Code::BatchUnsupportedKey, expected, found);
            }
            json!({
                "type": "LOCATION",
                "latitude": place.latitude,
                "longitude": place.longitude,
            })
        }
        Header::Product { .. } => {
            let expected = "a header without a product";
            remarks.fault(part, Code::TemplateUnsupported, expected, "a product");
            Json::Null
        }
    }
}

/// Whether a place says more than where it is. In files of Infobip's own form it is called by its
/// coordinates.
fn names_more(place: &Location) -> bool {
    let says_more = |text: &String| !text.chars().all(|it| "0123456789+-., ".contains(it));
    place.name.as_ref().is_some_and(says_more) || place.address.as_ref().is_some_and(says_more)
}

fn file(part: Part, (kind, media): (MediaKind, &Media), remarks: &mut Remarks) -> Json {
    let link = remarks.link(part, media);
    let mut file = json!({ "type": media_name(kind), "mediaUrl": link });
    match kind {
        MediaKind::Document => {
            let name = media.filename.clone().unwrap_or_else(|| name_of(link));
            remarks.length(part, Some(&name), FILENAME_CHARS_MAX);
            file["filename"] = json!(name);
        }
        MediaKind::Audio | MediaKind::Sticker => {
            let expected = "a picture, a video or a document";
            remarks.fault(part, Code::MediaKind, expected, "another kind of file");
        }
        MediaKind::Image | MediaKind::Video | MediaKind::Gif => {}
    }
    file
}

/// The name that the end of an address gives a document: the API wants one, rows need not name it.
fn name_of(link: &str) -> String {
    let url = url::Url::parse(link).ok();
    let last = url
        .as_ref()
        .and_then(|url| url.path_segments()?.next_back());
    let plain = |it: &&str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        it.len() <= FILENAME_CHARS_MAX
            && it.to_ascii_lowercase().ends_with(".pdf")
            && it.bytes().all(good)
    };
    last.filter(plain).unwrap_or(FILENAME).to_owned()
}

fn button(button: &Button, remarks: &mut Remarks) -> Json {
    const PART: Part = Part::Buttons;
    match &button.value {
        ButtonValue::QuickReply(payload) => {
            remarks.length(PART, Some(payload), REPLY_CHARS_MAX);
            json!({ "type": "QUICK_REPLY", "parameter": payload })
        }
        ButtonValue::Url(end) => json!({ "type": "URL", "parameter": end.text }),
        ButtonValue::CopyCode(code) => {
            remarks.length(PART, Some(code), COUPON_CHARS_MAX);
            json!({ "type": "COPY_CODE", "parameter": code })
        }
        ButtonValue::Flow { token, data } => {
            remarks.length(PART, token.as_deref(), TOKEN_CHARS_MAX);
            let token = token.as_ref().map(|it| json!(it));
            with("FLOW", [("flowToken", token), ("data", data.clone())])
        }
        ButtonValue::Catalog { thumbnail } => {
            remarks.length(PART, thumbnail.as_deref(), PRODUCT_CHARS_MAX);
            with("CATALOG", [picture(thumbnail.as_ref())])
        }
        ButtonValue::MultiProduct {
            thumbnail,
            sections,
        } => {
            remarks.length(PART, thumbnail.as_deref(), PRODUCT_CHARS_MAX);
            let sections = products(sections, remarks);
            let members = [picture(thumbnail.as_ref()), ("sections", Some(sections))];
            with("MULTI_PRODUCT", members)
        }
        ButtonValue::OrderDetails(order) => match order::action(order) {
            Ok(action) => json!({ "type": "ORDER_DETAILS", "action": action }),
            Err(expected) => {
                let hint = "write the order as Infobip's documentation has it";
                let said = [expected.as_str(), "another order", hint];
                remarks.fault_with((PART, Code::TemplateUnsupported), said);
                Json::Null
            }
        },
        ButtonValue::VoiceCall { minutes, payload } => call(*minutes, payload.as_deref(), remarks),
    }
}

fn call(minutes: Option<u32>, payload: Option<&str>, remarks: &mut Remarks) -> Json {
    if minutes.is_some_and(|it| !(1..=CALL_MINUTES_MAX).contains(&it)) {
        let expected = format!("1 to {CALL_MINUTES_MAX} minutes");
        let code = Code::BatchBadValue;
        remarks.fault(Part::Buttons, code, &expected, "another number");
    }
    remarks.length(Part::Buttons, payload, CALL_CHARS_MAX);
    let payload = payload.filter(|it| !it.is_empty());
    let members = [
        ("callValidityPeriod", minutes.map(|it| json!(it))),
        ("callContextPayload", payload.map(|it| json!(it))),
    ];
    with("VOICE_CALL", members)
}

fn picture(thumbnail: Option<&String>) -> (&'static str, Option<Json>) {
    let id = thumbnail.map(|it| json!(it));
    ("thumbnailProductRetailerId", id)
}

fn products(sections: &[ProductSection], remarks: &mut Remarks) -> Json {
    if !(1..=SECTIONS_MAX).contains(&sections.len()) {
        let expected = format!("1 to {SECTIONS_MAX} sections");
        let found = sections.len().to_string();
        remarks.fault(Part::Buttons, Code::ParameterProducts, &expected, &found);
    }
    let mut written = Vec::with_capacity(sections.len());
    for section in sections {
        remarks.length(Part::Buttons, Some(&section.title), HEADING_CHARS_MAX);
        for id in &section.products {
            remarks.length(Part::Buttons, Some(id), PRODUCT_CHARS_MAX);
        }
        written.push(json!({ "title": section.title, "productRetailerIds": section.products }));
    }
    Json::Array(written)
}

/// A button with those of its members that are there.
fn with<const N: usize>(kind: &str, members: [(&str, Option<Json>); N]) -> Json {
    let mut button = json!({ "type": kind });
    for (key, value) in members {
        if let Some(value) = value {
            button[key] = value;
        }
    }
    button
}
