//! The rules for single values: how they are written, and how long they may be.

use serde_json::{Map, Value as Json, json};

use super::super::shape::{ButtonKind, ButtonPart, LINK_CHARS_MAX};
use crate::batch::content::MediaKind;

/// The longest code that a button copies, and the longest one-time code.
const CODE_CHARS_MAX: usize = 15;
/// The longest payload of a quick reply.
const PAYLOAD_CHARS_MAX: usize = 256;
/// The longest address of a file.
const ADDRESS_CHARS_MAX: usize = 2048;
/// The longest way to write the name of an uploaded file.
const FILE_CHARS_MAX: usize = 216;
/// The longest name of a document.
const FILENAME_CHARS_MAX: usize = 240;
/// The longest id of a product, a catalogue or a file, and the longest token of a flow.
const ID_CHARS_MAX: usize = 3000;
/// The longest name and address of a place.
const PLACE_CHARS_MAX: usize = 1000;
/// The most sections of a list of products, and the longest heading of one.
const SECTIONS_MAX: usize = 10;
const TITLE_CHARS_MAX: usize = 24;
/// The most products in all sections together.
pub(in super::super) const PRODUCTS_MAX: usize = 30;
/// How long a call can be started from its button, and what may come with it.
const CALL_MINUTES_MAX: usize = 43_200;
const CALL_PAYLOAD_CHARS_MAX: usize = 512;
/// The largest amount, in thousandths.
const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// A line break of any kind, a tab or 5 spaces.
pub(in super::super) const ILL_SPACE: &str = "[\\n\\r\\t\\u000b\\u000c\\u0085\\u2028\\u2029]| {5}";
/// A character that is seen.
const SEEN: &str = "[^\\s\\u0085\\u200b\\u2060\\ufeff]";
/// `[[x]]` or `{{x}}`.
pub(in super::super) const MARK: &str =
    "\\[\\[[^\\[\\]{}\\n\\r]+\\]\\]|\\{\\{[^\\[\\]{}\\n\\r]+\\}\\}";
/// The end of a link, percent-encoded.
const LINK_END: &str = "^(?:[A-Za-z0-9._~/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$";
/// An address with a host and without a password. What else it must be is for `address` to know.
const ADDRESS: &str = "^[Hh][Tt][Tt][Pp][Ss]?://(?:[^\\s/?#@:\\[\\]\\\\]+|\\[[0-9A-Fa-f:.]+\\])\
    (?::[0-9]{1,5})?(?:[/?#]\\S*)?$";
/// RFC 3339.
const MOMENT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]+)?\
    (?:[Zz]|[+-][0-9]{2}:?[0-9]{2})$";
/// Degrees as a text.
const DEGREES: &str = "^-?[0-9]{1,3}(?:\\.[0-9]{1,20})?$";

/// The rules that several places refer to.
pub(super) fn shared() -> Json {
    let text = json!({
        "$comment": "value",
        "description": "Not empty and not of blanks alone, on one line, without tabs, runs of more \
            than 4 spaces and marks such as [[x]] or {{x}}.",
        "type": "string",
        "minLength": 1,
        "pattern": SEEN,
        "not": { "type": "string", "anyOf": [{ "pattern": ILL_SPACE }, { "pattern": MARK }] },
    });
    json!({
        "value": {
            "$comment": "value",
            "description": "A text, an amount of money or a date.",
            "if": { "type": "object" },
            "then": { "$ref": "#/$defs/typed" },
            "else": { "$ref": "#/$defs/text" },
        },
        "text": text,
        "typed": typed(),
        "code": {
            "$comment": "code",
            "description": "A one-time code: at most 15 visible characters without blanks.",
            "type": "string",
            "minLength": 1,
            "maxLength": CODE_CHARS_MAX,
            "pattern": "^[!-~]+$",
            "not": { "type": "string", "anyOf": [
                { "pattern": "://|^[Ww][Ww][Ww]\\." },
                { "pattern": MARK },
            ]},
        },
    })
}

/// An amount of money or a date, with the text that stands in for it.
fn typed() -> Json {
    json!({
        "$comment": "typed",
        "type": "object",
        "properties": {
            "fallback": {
                "description": "What is read where the value itself cannot be shown.",
                "$ref": "#/$defs/text",
            },
            "currency": {
                "$comment": "currency",
                "description": "ISO 4217: three capital letters.",
                "type": "string",
                "pattern": "^[A-Z]{3}$",
            },
            "amount1000": {
                "$comment": "amount",
                "description": "The amount in thousandths: a whole number, or its digits as text.",
                "type": ["integer", "string"],
                "minimum": -AMOUNT_MAX,
                "maximum": AMOUNT_MAX,
                "pattern": "^-?[0-9]{1,15}$",
            },
            "dateTime": moment("The date and time with its offset."),
        },
        "required": ["fallback"],
        "dependentRequired": { "currency": ["amount1000"], "amount1000": ["currency"] },
        "not": { "required": ["currency", "dateTime"] },
        "additionalProperties": false,
    })
}

fn moment(description: &str) -> Json {
    json!({
        "$comment": "moment",
        "description": description,
        "type": "string",
        "pattern": MOMENT,
    })
}

/// A text of at most so many characters, without a rule on what it says.
fn short(description: &str, chars_max: usize) -> Json {
    json!({
        "$comment": "short",
        "description": description,
        "type": "string",
        "minLength": 1,
        "maxLength": chars_max,
    })
}

/// When an offer ends.
pub(super) fn offer() -> Json {
    json!({
        "$comment": "offer",
        "description": "When the limited-time offer ends.",
        "type": "object",
        "properties": { "expiresAt": moment("A date and time with its offset.") },
        "required": ["expiresAt"],
        "additionalProperties": false,
    })
}

/// The word for a kind of file in `type`.
pub(in super::super) const fn media_word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
        MediaKind::Gif => "gif",
        MediaKind::Audio => "audio",
        MediaKind::Sticker => "sticker",
    }
}

fn kind(word: &str) -> Json {
    json!({
        "$comment": "header.kind",
        "description": "The kind of header; it can be left out.",
        "enum": [word],
    })
}

/// A header whose text has a placeholder of this name.
pub(super) fn text_header(name: &str) -> Json {
    let value = json!({ "$ref": "#/$defs/value" });
    let mut by_name = Map::new();
    // The one placeholder may always be called by its number.
    by_name.insert("1".into(), value.clone());
    by_name.insert(name.into(), value.clone());
    json!({
        "$comment": "header.text",
        "description": "The value in the header's text: `value`, or `placeholders` with one value.",
        "type": "object",
        "properties": {
            "type": kind("text"),
            "value": described("The value.", &value),
            "text": described("The same as `value`.", &value),
            "placeholders": {
                "$comment": "header.placeholders",
                "description": "The value, by name or as an array of one.",
                "type": ["object", "array"],
                "prefixItems": [value],
                "minItems": 1,
                "maxItems": 1,
                "properties": by_name,
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": false,
            },
        },
        "oneOf": [
            { "required": ["value"] },
            { "required": ["text"] },
            { "required": ["placeholders"] },
        ],
        "additionalProperties": false,
    })
}

fn described(words: &str, schema: &Json) -> Json {
    let mut schema = schema.clone();
    schema["description"] = json!(words);
    schema
}

/// A header with a file.
pub(super) fn media(kind: MediaKind) -> Json {
    let word = media_word(kind);
    let mut properties = json!({
        "type": self::kind(word),
        "url": {
            "$comment": "media.url",
            "description": "Where the file is fetched from: http or https, no password in it.",
            "type": "string",
            "minLength": 1,
            "maxLength": ADDRESS_CHARS_MAX,
            "pattern": ADDRESS,
        },
        "id": short("The provider's own id of the file, instead of an address.", ID_CHARS_MAX),
        "file": short(
            "The name of a file in /whatsapp/media/, instead of an address.",
            FILE_CHARS_MAX,
        ),
    });
    if kind == MediaKind::Document {
        let words = "The name that the recipient sees.";
        properties["filename"] = short(words, FILENAME_CHARS_MAX);
        properties["filename"]["$comment"] = json!("media.filename");
    }
    json!({
        "$comment": format!("header.{word}"),
        "description": format!("The {word} in the header: `url`, `id` or `file`."),
        "type": "object",
        "properties": properties,
        "oneOf": [{ "required": ["url"] }, { "required": ["id"] }, { "required": ["file"] }],
        "additionalProperties": false,
    })
}

/// A header with a place on the map.
pub(super) fn location() -> Json {
    let degrees = |description: &str, most: i64| {
        json!({
            "$comment": "degrees",
            "description": description,
            "type": ["number", "string"],
            "minimum": -most,
            "maximum": most,
            "pattern": DEGREES,
        })
    };
    json!({
        "$comment": "header.location",
        "description": "The place in the header.",
        "type": "object",
        "properties": {
            "type": kind("location"),
            "latitude": degrees("Degrees north, -90 to 90.", 90),
            "longitude": degrees("Degrees east, -180 to 180.", 180),
            "name": short("What the place is called.", PLACE_CHARS_MAX),
            "address": short("Its address.", PLACE_CHARS_MAX),
        },
        "required": ["latitude", "longitude", "name", "address"],
        "additionalProperties": false,
    })
}

/// A header with a product.
pub(super) fn product() -> Json {
    json!({
        "$comment": "header.product",
        "description": "The product in the header.",
        "type": "object",
        "properties": {
            "type": kind("product"),
            "productId": short("Your own id of the product.", ID_CHARS_MAX),
            "catalogId": short("The catalogue, if it is not the account's own.", ID_CHARS_MAX),
        },
        "required": ["productId"],
        "additionalProperties": false,
    })
}

/// What a row says to a button.
pub(super) fn button(index: usize, button: &ButtonPart) -> Json {
    let label = match button.label.as_str() {
        "" => format!("Button {index}"),
        label => format!("Button {index}, \"{label}\""),
    };
    let kinds = button.kind.types();
    let mut properties = json!({
        "type": {
            "$comment": "button.kind",
            "description": "The kind of button; it can be left out.",
            "enum": kinds,
        },
        "index": {
            "$comment": "button.index",
            "description": "Its index once more; it can be left out.",
            "enum": [index, index.to_string()],
        },
    });
    let (own, required) = members(&button.kind);
    let value = own.get("value").cloned();
    for (key, schema) in own {
        properties[key] = schema;
    }
    let mut object = json!({
        "$comment": "button",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let words = format!("{label}: {}", kinds.first().copied().unwrap_or_default());
    let Some(value) = value else {
        object["description"] = json!(format!("{words}."));
        return object;
    };
    // Where one value says it all, it may stand for the whole.
    json!({
        "$comment": "button",
        "description": format!("{words}. A text alone counts as its value."),
        "if": { "type": "string" },
        "then": value,
        "else": object,
    })
}

/// The members of a button's object besides `type` and `index`, and which of them it must have.
fn members(kind: &ButtonKind) -> (Map<String, Json>, Vec<&'static str>) {
    let (members, required) = match kind {
        ButtonKind::Fixed(_) => (json!({}), vec![]),
        ButtonKind::QuickReply => (json!({ "value": payload() }), vec!["value"]),
        ButtonKind::Url(link) => (json!({ "value": link_end(&link.stem) }), vec!["value"]),
        ButtonKind::CopyCode(_) => (json!({ "value": copied() }), vec!["value"]),
        ButtonKind::OneTimeCode => {
            let words = "The one-time code again; it can be left out with its button.";
            let code = json!({ "description": words, "$ref": "#/$defs/code" });
            (json!({ "value": code }), vec!["value"])
        }
        ButtonKind::Flow => {
            let token = short("What tells this run of the flow.", ID_CHARS_MAX);
            (
                json!({ "token": token, "data": object("What the first screen is given.") }),
                vec![],
            )
        }
        ButtonKind::Catalog => (json!({ "thumbnail": thumbnail() }), vec![]),
        ButtonKind::MultiProduct => (
            json!({ "thumbnail": thumbnail(), "sections": sections() }),
            vec!["sections"],
        ),
        ButtonKind::OrderDetails => {
            let action = object("The order, as in the Cloud API.");
            (json!({ "action": action }), vec!["action"])
        }
        ButtonKind::VoiceCall => (
            json!({
                "minutes": {
                    "$comment": "minutes",
                    "description": "For how many minutes the call can be started.",
                    "type": "integer",
                    "minimum": 1,
                    "maximum": CALL_MINUTES_MAX,
                },
                "payload": short("What comes with the call.", CALL_PAYLOAD_CHARS_MAX),
            }),
            vec![],
        ),
    };
    match members {
        Json::Object(members) => (members, required),
        _ => (Map::new(), required),
    }
}

fn object(description: &str) -> Json {
    json!({ "$comment": "object", "description": description, "type": "object" })
}

fn payload() -> Json {
    short(
        "What comes back when the button is tapped.",
        PAYLOAD_CHARS_MAX,
    )
}

fn copied() -> Json {
    json!({
        "$comment": "value",
        "description": "The code that the button copies.",
        "type": "string",
        "minLength": 1,
        "maxLength": CODE_CHARS_MAX,
        "pattern": SEEN,
        "not": { "type": "string", "anyOf": [{ "pattern": ILL_SPACE }, { "pattern": MARK }] },
    })
}

fn link_end(stem: &str) -> Json {
    json!({
        "$comment": "link",
        "description": format!("What follows {stem} in the link, percent-encoded."),
        "type": "string",
        "minLength": 1,
        "maxLength": LINK_CHARS_MAX.saturating_sub(stem.chars().count()),
        "pattern": LINK_END,
    })
}

fn thumbnail() -> Json {
    short(
        "Your own id of the product whose picture is shown.",
        ID_CHARS_MAX,
    )
}

fn sections() -> Json {
    json!({
        "$comment": "sections",
        "description": "The products in sections, at most 30 products in all.",
        "type": "array",
        "minItems": 1,
        "maxItems": SECTIONS_MAX,
        "items": {
            "$comment": "section",
            "type": "object",
            "properties": {
                "title": short("The heading.", TITLE_CHARS_MAX),
                "products": {
                    "$comment": "products",
                    "description": "Your own ids of the products.",
                    "type": "array",
                    "minItems": 1,
                    "maxItems": PRODUCTS_MAX,
                    "items": short("An id.", ID_CHARS_MAX),
                },
            },
            "required": ["title", "products"],
            "additionalProperties": false,
        },
    })
}
