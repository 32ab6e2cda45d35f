//! The tables of `docs/providers.md` are made from what the adapters themselves say they take.
//! `UPDATE_EXPECT=1` rewrites them.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Kind;
use crate::batch::Message;
use crate::batch::terms::{Asked, Terms, Weight};

/// The providers of the tables, in their order.
const COLUMNS: [Kind; 5] = [
    Kind::MetaCloud,
    Kind::Infobip,
    Kind::Bird,
    Kind::WebexConnect,
    Kind::Botsquad,
];

/// A message with this content.
fn message(content: &Value) -> Message {
    let message = json!({
        "index": 0, "line": 1, "to": "+31612345678", "from": "+15550001111",
        "expiresAt": 1_795_000_000_000_i64, "content": content,
    });
    serde_json::from_value(message).expect("a message")
}

/// A template message with these parts of a filling.
fn template(parts: &Value) -> Value {
    let mut filling = json!({
        "name": "parcel_ready", "language": "en", "body": [{ "text": "Ana" }],
        "handle": {
            "id": "802400000000001", "header": "photo", "body": ["name"],
            "buttons": [[0, "track"]], "labels": [[0, "Follow"]],
        },
    });
    for (key, value) in parts.as_object().into_iter().flatten() {
        filling[key] = value.clone();
    }
    json!({ "template": filling })
}

fn header(kind: &str, source: &Value) -> Value {
    let filename = (kind == "document").then_some("invoice.pdf");
    let mut media = json!({ "source": source });
    if let Some(filename) = filename {
        media["filename"] = json!(filename);
    }
    template(&json!({ "header": { "media": [kind, media] } }))
}

fn button(value: &Value) -> Value {
    template(&json!({ "buttons": [{ "index": 0, "value": value }] }))
}

fn media(kind: &str, end: &str) -> Value {
    let link = format!("https://files.example/file.{end}");
    json!({ "media": { "kind": kind, "media": { "source": { "link": link } } } })
}

fn interactive(kind: &str, action: &Value) -> Value {
    let body = json!({ "text": "What now?" });
    json!({ "interactive": { "type": kind, "body": body, "action": action } })
}

type Contents = Vec<(&'static str, Value)>;

fn link(end: &str) -> Value {
    json!({ "link": format!("https://files.example/file.{end}") })
}

/// What can be sent, by the words of the manual.
fn contents() -> Contents {
    [bodies_and_headers(), buttons_and_more(), sessions()].concat()
}

fn bodies_and_headers() -> Contents {
    let money = json!({ "currency": { "code": "EUR", "amount1000": 5000 } });
    let money = json!({ "body": [{ "text": "€ 5", "typed": money }] });
    let text = json!({ "header": { "text": { "text": "Ana" } } });
    let place = json!({ "latitude": 52.37, "longitude": 4.9, "name": "Shop", "address": "Dam 1" });
    let place = json!({ "header": { "location": place } });
    let product = json!({ "header": { "product": { "retailerId": "s-1" } } });
    vec![
        ("template: text in the body", template(&json!({}))),
        ("template: amounts and dates as such", template(&money)),
        ("template: text header", template(&text)),
        (
            "template: image header by link",
            header("image", &link("jpg")),
        ),
        (
            "template: image header by id",
            header("image", &json!({ "id": "4711" })),
        ),
        (
            "template: video header by link",
            header("video", &link("mp4")),
        ),
        (
            "template: document header by link",
            header("document", &link("pdf")),
        ),
        ("template: GIF header by link", header("gif", &link("mp4"))),
        ("template: location header", template(&place)),
        ("template: product header", template(&product)),
    ]
}

fn buttons_and_more() -> Contents {
    let card = |index: u8| {
        let end = json!({ "url": { "text": format!("s-{index}") } });
        json!({
            "header": { "media": ["image", { "source": link("jpg") }] },
            "body": [{ "text": "Ana" }],
            "buttons": [{ "index": 0, "value": end }],
        })
    };
    let sections = json!([{ "title": "Shoes", "products": ["s-1"] }]);
    let products = json!({ "multiProduct": { "thumbnail": "s-1", "sections": sections } });
    let cards = json!({ "cards": [card(0), card(1)] });
    let offer = json!({ "offerExpiresAt": 1_794_000_000_000_i64 });
    vec![
        (
            "template: quick-reply button",
            button(&json!({ "quickReply": "yes" })),
        ),
        (
            "template: link button",
            button(&json!({ "url": { "text": "a-1" } })),
        ),
        (
            "template: copy-code button",
            button(&json!({ "copyCode": "SAVE5" })),
        ),
        (
            "template: flow button",
            button(&json!({ "flow": { "token": "t" } })),
        ),
        (
            "template: catalogue button",
            button(&json!({ "catalog": {} })),
        ),
        ("template: products button", button(&products)),
        (
            "template: call button",
            button(&json!({ "voiceCall": { "minutes": 60 } })),
        ),
        ("template: carousel", template(&cards)),
        ("template: offer that ends", template(&offer)),
    ]
}

fn sessions() -> Contents {
    let rows = json!([{ "rows": [{ "id": "a", "title": "Today" }] }]);
    let reply = json!({ "type": "reply", "reply": { "id": "yes", "title": "Yes" } });
    let name = json!({ "formatted_name": "Ana Visser", "first_name": "Ana" });
    let card = json!({ "name": name, "phones": [{ "phone": "+31612345678" }] });
    let items = json!([{ "product_retailer_id": "s-1" }]);
    let products = json!([{ "title": "Shoes", "product_items": items }]);
    let products = json!({ "catalog_id": "1", "sections": products });
    let product = json!({ "catalog_id": "1", "product_retailer_id": "s-1" });
    let flow = json!({ "name": "flow", "parameters": {
        "flow_message_version": "3", "flow_id": "1", "flow_cta": "Begin", "flow_token": "t" } });
    let url = json!({ "name": "cta_url", "parameters": {
        "display_text": "Look", "url": "https://shop.example/" } });
    let by_id = json!({ "kind": "image", "media": { "source": { "id": "4711" } } });
    vec![
        (
            "text",
            json!({ "text": { "body": "hello", "previewUrl": false } }),
        ),
        ("image", media("image", "jpg")),
        ("video", media("video", "mp4")),
        ("audio", media("audio", "mp3")),
        ("document", media("document", "pdf")),
        ("sticker", media("sticker", "webp")),
        ("media by id", json!({ "media": by_id })),
        (
            "location",
            json!({ "location": { "latitude": 52.37, "longitude": 4.9 } }),
        ),
        ("contacts", json!({ "contacts": [card] })),
        (
            "reply buttons",
            interactive("button", &json!({ "buttons": [reply] })),
        ),
        (
            "list",
            interactive("list", &json!({ "button": "When", "sections": rows })),
        ),
        ("link button", interactive("cta_url", &url)),
        ("flow", interactive("flow", &flow)),
        ("one product", interactive("product", &product)),
        ("products", interactive("product_list", &products)),
        (
            "reaction",
            json!({ "reaction": { "messageId": "wamid.1", "emoji": "👍" } }),
        ),
    ]
}

fn line(name: &str, cell: impl Fn(&dyn Terms) -> &'static str) -> String {
    let mut line = format!("| {name} |");
    for kind in COLUMNS {
        let _ = write!(line, " {} |", cell(kind.terms().as_ref()));
    }
    line.push('\n');
    line
}

fn head(first: &str) -> String {
    let names = COLUMNS.map(Kind::as_str).join("` | `");
    format!(
        "| {first} | `{names}` |\n|---|{}\n",
        "---|".repeat(COLUMNS.len())
    )
}

fn asked() -> String {
    let mut table = head("key");
    for asked in Asked::ALL {
        table += &line(&format!("`{}`", asked.key()), |terms| {
            match (terms.honours(asked), asked.changes_delivery()) {
                (true, _) => "yes",
                (false, true) => "fault",
                (false, false) => "warning",
            }
        });
    }
    table
}

/// The content with an id that the provider's templates can have.
fn called_by(provider: &str, content: &Value) -> Value {
    let mut content = content.clone();
    if provider == Kind::Bird.as_str() && content["template"].is_object() {
        let project = "0d4b1f3c-2d0e-4c6a-9a77-0f5a8f2b9e10";
        content["template"]["handle"]["id"] = json!(project);
    }
    content
}

fn sent() -> String {
    let mut table = head("content");
    for (name, content) in contents() {
        table += &line(name, |terms| {
            let message = message(&called_by(terms.provider(), &content));
            let objections = terms.objections(&message);
            match objections
                .iter()
                .map(|it| it.weight)
                .collect::<Vec<_>>()
                .as_slice()
            {
                [] => "yes",
                weights if weights.contains(&Weight::Fault) => "fault",
                _ => "warning",
            }
        });
    }
    table
}

/// Whoever chooses a provider reads the tables; one that promises too much costs a campaign.
#[test]
fn the_manual_says_who_takes_what() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let text = std::fs::read_to_string(&path).expect("the page");
    let mut found = text.clone();
    for (mark, table) in [("asked", asked()), ("sent", sent())] {
        let (begin, end) = (
            format!("<!-- {mark} -->\n"),
            format!("<!-- end of {mark} -->"),
        );
        let (before, rest) = found.split_once(&begin).expect("the mark");
        let (_, after) = rest.split_once(&end).expect("the other mark");
        found = format!("{before}{begin}{table}{end}{after}");
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, found).expect("written");
    } else {
        assert_eq!(text, found, "run this test with UPDATE_EXPECT=1");
    }
}
