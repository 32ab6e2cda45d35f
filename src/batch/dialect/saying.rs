//! What messages say, whatever the dialect: made at random for the tests, and written as rows of
//! the native form. Each dialect's tests write the same sayings in their own words.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::batch::golden::{root, rules, said};
use crate::batch::read::Form;
use crate::batch::template::Templates;

/// One message, said without a dialect.
#[derive(Clone, Debug)]
pub(super) struct Saying {
    /// The recipient, with its plus sign.
    pub(super) to: String,
    /// The tenant's own reference.
    pub(super) reference: Option<String>,
    /// The tenant's own data.
    pub(super) callback_data: Option<String>,
    /// What is to be read.
    pub(super) content: Content,
}

/// What is to be read.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A template with its values.
    Template(Filled),
    /// A content object of the Cloud API and the `type` that names it.
    Session(&'static str, Json),
}

/// A template of `tests/golden/dialect/templates.json` with its values.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    /// Its name.
    pub(super) name: &'static str,
    /// Its language.
    pub(super) language: &'static str,
    /// The values of its header.
    pub(super) header: Option<Header>,
    /// The values of its body, in order, with their names where it has named placeholders.
    pub(super) values: Vec<(Option<&'static str>, Value)>,
    /// The buttons that vary, by their index.
    pub(super) buttons: Vec<(u8, Button)>,
    /// The cards of its carousel.
    pub(super) cards: Vec<Filled>,
    /// When its offer ends, in milliseconds since 1970.
    pub(super) offer_ends_at: Option<i64>,
}

/// A value for a placeholder.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// An amount in thousandths, with its text.
    Currency(&'static str, i64, String),
    /// The text of a date.
    Date(String),
}

/// What varies in a header.
#[derive(Clone, Debug)]
pub(super) enum Header {
    /// The value in its text.
    Text(String),
    /// A file of this kind at this address.
    Link(&'static str, String),
    /// A file of this kind that the provider has.
    Id(&'static str, String),
    /// A document at this address, with its name.
    Document(String, String),
    /// A place: latitude, longitude, name and address.
    Place(f64, f64, Option<(String, String)>),
    /// A product and its catalogue.
    Product(String, Option<String>),
}

/// What varies in a button.
#[derive(Clone, Debug)]
pub(super) enum Button {
    /// The payload of a quick reply.
    Reply(String),
    /// The end of a link, or a one-time code.
    Url(String),
    /// A code to copy.
    Code(String),
    /// A flow's token and data.
    Flow(Option<String>, Option<Json>),
    /// The product that a catalogue is shown with.
    Catalog(Option<String>),
    /// The product that sections of products are shown with, and those sections.
    Products(Option<String>, Vec<(String, Vec<String>)>),
    /// An order.
    Order(Json),
    /// A call's minutes and payload.
    Call(Option<u32>, Option<String>),
}

/// The templates that sayings use.
pub(super) fn templates() -> Templates {
    static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
        let path = "tests/golden/dialect/templates.json";
        let bytes = std::fs::read(root().join(path)).expect("read");
        let (templates, problems) = Templates::parse(&[(path.into(), bytes)]);
        assert_eq!(problems, []);
        templates
    });
    TEMPLATES.clone()
}

/// A word that is good in every place: also in links, names of files and codes.
fn word() -> BoxedStrategy<String> {
    "[A-Za-z0-9]{1,12}".boxed()
}

/// Words that a person reads.
fn words() -> BoxedStrategy<String> {
    // Single brackets and braces are no marks in any dialect.
    r#"[A-Za-zÀ-ö0-9'"\\/:,;!]{1,8}( [\[\]{}]?[A-Za-zÀ-ö0-9'"\\/:,;!]{1,8}){0,2}"#.boxed()
}

fn address() -> BoxedStrategy<String> {
    word()
        .prop_map(|word| format!("https://files.example/{word}.bin"))
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    words().prop_map(Value::Text).boxed()
}

/// A value of any kind.
fn value() -> BoxedStrategy<Value> {
    let code = prop::sample::select(vec!["EUR", "INR", "USD"]);
    prop_oneof![
        4 => text(),
        1 => (code, -9_000_000_i64..9_000_000, words())
            .prop_map(|(code, amount, text)| Value::Currency(code, amount, text)),
        1 => words().prop_map(Value::Date),
    ]
    .boxed()
}

fn file(kind: &'static str) -> BoxedStrategy<Header> {
    prop_oneof![
        address().prop_map(move |link| Header::Link(kind, link)),
        word().prop_map(move |id| Header::Id(kind, id)),
    ]
    .boxed()
}

fn filled(
    name: &'static str,
    header: impl Strategy<Value = Option<Header>> + 'static,
    value: impl Strategy<Value = Value> + 'static,
    buttons: impl Strategy<Value = Vec<(u8, Button)>> + 'static,
) -> BoxedStrategy<Filled> {
    (header, value, buttons)
        .prop_map(move |(header, value, buttons)| Filled {
            name,
            language: "en",
            header,
            values: vec![(None, value)],
            buttons,
            cards: Vec::new(),
            offer_ends_at: None,
        })
        .boxed()
}

fn bare(
    name: &'static str,
    language: &'static str,
    values: Vec<(Option<&'static str>, Value)>,
) -> Filled {
    Filled {
        name,
        language,
        header: None,
        values,
        buttons: Vec::new(),
        cards: Vec::new(),
        offer_ends_at: None,
    }
}

/// A filling of a template whose body alone varies.
pub(super) fn bodies() -> BoxedStrategy<Filled> {
    let code = "[A-Z0-9]{4,12}";
    prop_oneof![
        Just(bare("shop_open", "en", Vec::new())),
        (value(), value())
            .prop_map(|(one, two)| { bare("parcel_left", "en", vec![(None, one), (None, two)]) }),
        (value(), text()).prop_map(|(name, day)| {
            let values = vec![(Some("first_name"), name), (Some("day"), day)];
            bare("visit_named", "en_GB", values)
        }),
        code.prop_map(|code| Filled {
            buttons: vec![(0, Button::Url(code.clone()))],
            ..bare("login_code", "en", vec![(None, Value::Text(code))])
        }),
    ]
    .boxed()
}

/// A filling of a template with a header that varies.
fn headers() -> BoxedStrategy<Filled> {
    let some = |header: BoxedStrategy<Header>| header.prop_map(Some);
    let no_buttons = || Just(Vec::new());
    let place = (
        -90_000_i32..=90_000,
        -180_000_i32..=180_000,
        prop::option::of((words(), words())),
    );
    let place = place.prop_map(|(latitude, longitude, names)| {
        let degrees = |thousandths| f64::from(thousandths) / 1000.0;
        Header::Place(degrees(latitude), degrees(longitude), names)
    });
    let document = prop_oneof![
        (address(), word()).prop_map(|(link, name)| Header::Document(link, format!("{name}.pdf"))),
        file("document"),
    ];
    let product = (word(), prop::option::of(word()));
    let product = product.prop_map(|(id, catalog)| Header::Product(id, catalog));
    // A quick reply may be left out: it does not move the buttons behind it.
    let links = (prop::option::of(word()), word()).prop_map(|(payload, link)| {
        let reply = payload.map(|payload| (0, Button::Reply(payload)));
        reply.into_iter().chain([(2, Button::Url(link))]).collect()
    });
    let header_text = words().prop_map(Header::Text).boxed();
    prop_oneof![
        filled("head_text", some(header_text), text(), no_buttons()),
        filled("head_image", some(file("image")), text(), links),
        filled(
            "head_document",
            some(document.boxed()),
            text(),
            no_buttons()
        ),
        filled("head_video", some(file("video")), text(), no_buttons()),
        filled("head_place", some(place.boxed()), text(), no_buttons()),
        filled("head_product", some(product.boxed()), text(), no_buttons()),
    ]
    .boxed()
}

/// A filling of a template with a button of a kind of its own.
fn buttons() -> BoxedStrategy<Filled> {
    let alone = |button: BoxedStrategy<Button>| button.prop_map(|button| vec![(0, button)]);
    let data = prop_oneof![
        Just(json!({ "step": 1 })),
        Just(json!({ "a": { "b": ["c"] } }))
    ];
    let flow = (prop::option::of(word()), prop::option::of(data));
    let flow = flow.prop_map(|(token, data)| Button::Flow(token, data));
    let catalog = prop::option::of(word()).prop_map(Button::Catalog);
    let section = (word(), prop::collection::vec(word(), 1..4));
    let products = (
        prop::option::of(word()),
        prop::collection::vec(section, 1..3),
    );
    let products = products.prop_map(|(thumbnail, sections)| Button::Products(thumbnail, sections));
    let order = word().prop_map(|id| Button::Order(json!({ "order_details": { "id": id } })));
    let call = (prop::option::of(1_u32..=43_200), prop::option::of(word()));
    let call = call.prop_map(|(minutes, payload)| Button::Call(minutes, payload));
    let none = || Just(None);
    prop_oneof![
        filled("with_flow", none(), text(), alone(flow.boxed())),
        filled("with_catalog", none(), text(), alone(catalog.boxed())),
        filled("with_products", none(), text(), alone(products.boxed())),
        filled("with_order", none(), text(), alone(order.boxed())),
        filled("with_call", none(), text(), alone(call.boxed())),
    ]
    .boxed()
}

/// A filling of a template with an offer or with cards.
fn offers() -> BoxedStrategy<Filled> {
    let codes = ("[A-Z0-9]{4,12}", word())
        .prop_map(|(code, link)| vec![(0, Button::Code(code)), (1, Button::Url(link))]);
    let ends = 1_800_000_000_000_i64..1_900_000_000_000;
    let offer = (filled("offer_ends", Just(None), text(), codes), ends);
    let pair = || {
        (word(), word())
            .prop_map(|(payload, link)| vec![(0, Button::Reply(payload)), (1, Button::Url(link))])
    };
    let card = || filled("", file("image").prop_map(Some), text(), pair());
    let cards = (text(), card(), card());
    prop_oneof![
        offer.prop_map(|(filled, ends)| Filled {
            offer_ends_at: Some(ends),
            ..filled
        }),
        cards.prop_map(|(value, one, two)| Filled {
            cards: vec![one, two],
            ..bare("with_cards", "en", vec![(None, value)])
        }),
    ]
    .boxed()
}

/// A filling of any template.
pub(super) fn fillings() -> BoxedStrategy<Filled> {
    prop_oneof![bodies(), headers(), buttons(), offers()].boxed()
}

/// Content without a template, in the words of the Cloud API.
pub(super) fn sessions() -> BoxedStrategy<Content> {
    let text = (words(), any::<bool>()).prop_map(|(body, preview)| {
        Content::Session("text", json!({ "body": body, "preview_url": preview }))
    });
    let image = (address(), words()).prop_map(|(link, caption)| {
        Content::Session("image", json!({ "link": link, "caption": caption }))
    });
    let audio = word().prop_map(|id| Content::Session("audio", json!({ "id": id })));
    let place = words().prop_map(|name| {
        let place = json!({ "latitude": 52.25, "longitude": 4.5, "name": name });
        Content::Session("location", place)
    });
    let card = words().prop_map(|name| {
        let name = json!({ "formatted_name": name, "first_name": name });
        Content::Session("contacts", json!([{ "name": name }]))
    });
    let reply = (words(), word()).prop_map(|(body, id)| {
        let button = json!({ "type": "reply", "reply": { "id": id, "title": "Yes" } });
        let action = json!({ "buttons": [button] });
        let object = json!({ "type": "button", "body": { "text": body }, "action": action });
        Content::Session("interactive", object)
    });
    let reaction = word().prop_map(|id| {
        let object = json!({ "message_id": format!("wamid.{id}"), "emoji": "👍" });
        Content::Session("reaction", object)
    });
    prop_oneof![text, image, audio, place, card, reply, reaction].boxed()
}

/// One to four messages with such content.
pub(super) fn sayings(content: BoxedStrategy<Content>) -> BoxedStrategy<Vec<Saying>> {
    let saying = (
        1_u32..999,
        prop::option::of(words()),
        prop::option::of(words()),
        content,
    );
    let saying = saying.prop_map(|(end, reference, callback_data, content)| Saying {
        to: format!("+31612345{end:03}"),
        reference,
        callback_data,
        content,
    });
    prop::collection::vec(saying, 1..5).boxed()
}

/// The object without members that are `null`.
pub(super) fn bare_object(mut object: Json) -> Json {
    if let Json::Object(map) = &mut object {
        map.retain(|_, value| !value.is_null());
    }
    object
}

/// The saying as a row of the native form.
pub(super) fn native_row(saying: &Saying) -> Json {
    let mut row = bare_object(json!({
        "to": saying.to,
        "reference": saying.reference,
        "callbackData": saying.callback_data,
    }));
    match &saying.content {
        Content::Session(kind, object) => {
            row["type"] = json!(kind);
            row[*kind] = object.clone();
        }
        Content::Template(filled) => {
            row["templateName"] = json!(filled.name);
            row["templateLanguage"] = json!(filled.language);
            let face = native_face(filled);
            for (key, own) in [
                ("placeholders", "placeholders"),
                ("header", "templateHeader"),
                ("buttons", "templateButtons"),
            ] {
                if let Some(value) = face.get(key) {
                    row[own] = value.clone();
                }
            }
            if !filled.cards.is_empty() {
                row["templateCards"] = filled.cards.iter().map(native_face).collect();
            }
            if let Some(ends) = filled.offer_ends_at {
                let ends = crate::batch::Moment::from_millis(ends).to_string();
                row["templateOffer"] = json!({ "expiresAt": ends });
            }
        }
    }
    row
}

fn native_face(filled: &Filled) -> Json {
    let mut face = json!({});
    let values = filled.values.iter();
    let named = filled.values.iter().any(|(name, _)| name.is_some());
    if named {
        let by_name = values.map(|(name, value)| {
            let name = name.unwrap_or_default().to_owned();
            (name, native_value(value))
        });
        face["placeholders"] = Json::Object(by_name.collect());
    } else if !filled.values.is_empty() {
        face["placeholders"] = values.map(|(_, value)| native_value(value)).collect();
    }
    if let Some(header) = &filled.header {
        face["header"] = native_header(header);
    }
    if !filled.buttons.is_empty() {
        let buttons = filled.buttons.iter();
        let buttons = buttons.map(|(index, button)| (index.to_string(), native_button(button)));
        face["buttons"] = Json::Object(buttons.collect());
    }
    face
}

fn native_value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Currency(code, amount, text) => {
            json!({ "currency": code, "amount1000": amount, "fallback": text })
        }
        Value::Date(text) => json!({ "fallback": text }),
    }
}

fn native_header(header: &Header) -> Json {
    match header {
        Header::Text(text) => json!({ "type": "text", "placeholders": [text] }),
        Header::Link(kind, link) => json!({ "type": kind, "url": link }),
        Header::Id(kind, id) => json!({ "type": kind, "id": id }),
        Header::Document(link, name) => {
            json!({ "type": "document", "url": link, "filename": name })
        }
        Header::Place(latitude, longitude, names) => {
            let (name, address) = place_names(*latitude, *longitude, names.as_ref());
            json!({
                "type": "location", "latitude": latitude, "longitude": longitude,
                "name": name, "address": address,
            })
        }
        Header::Product(id, catalog) => bare_object(json!({
            "type": "product", "productId": id, "catalogId": catalog,
        })),
    }
}

/// What a place is called, and its address: its coordinates where nothing else is said.
pub(super) fn place_names(
    latitude: f64,
    longitude: f64,
    names: Option<&(String, String)>,
) -> (String, String) {
    let coordinates = || format!("{}, {}", json!(latitude), json!(longitude));
    names.cloned().unwrap_or((coordinates(), coordinates()))
}

fn native_button(button: &Button) -> Json {
    match button {
        Button::Reply(payload) => json!({ "type": "quick-reply", "value": payload }),
        Button::Url(end) => json!({ "type": "url", "value": end }),
        Button::Code(code) => json!({ "type": "copy-code", "value": code }),
        Button::Flow(token, data) => {
            bare_object(json!({ "type": "flow", "token": token, "data": data }))
        }
        Button::Catalog(thumbnail) => {
            bare_object(json!({ "type": "catalog", "thumbnail": thumbnail }))
        }
        Button::Products(thumbnail, sections) => {
            let sections: Json = sections
                .iter()
                .map(|(title, products)| json!({ "title": title, "products": products }))
                .collect();
            bare_object(json!({
                "type": "multi-product", "thumbnail": thumbnail, "sections": sections,
            }))
        }
        Button::Order(action) => json!({ "type": "order-details", "action": action }),
        Button::Call(minutes, payload) => bare_object(json!({
            "type": "voice-call", "minutes": minutes, "payload": payload,
        })),
    }
}

/// What is said about a file of these rows in the native form, without the places of the rows.
pub(super) fn said_natively(sayings: &[Saying]) -> Vec<Json> {
    let rows: Vec<Json> = sayings.iter().map(native_row).collect();
    let file = json!({ "data": rows }).to_string();
    messages(&file, Form::Json)
}

/// The messages of a file whose rows are all good, without the lines of the rows.
pub(super) fn messages(file: &str, form: Form) -> Vec<Json> {
    let said = said(file.as_bytes(), form, &rules(), &templates());
    assert!(said["refused"].is_null(), "{file}\n{said:#}");
    assert!(said["bad"].is_null(), "{file}\n{said:#}");
    let messages = said["messages"].as_array().expect("messages").iter();
    messages
        .map(|message| {
            let mut message = message.clone();
            message["line"] = Json::Null;
            message
        })
        .collect()
}

/// Rows that are bad in every dialect, in one way or another.
pub(super) fn slips() -> BoxedStrategy<&'static str> {
    prop::sample::select(vec![
        "null",
        "[]",
        "{}",
        "\"]}\"",
        r#"{"to": 5}"#,
        r#"{"to": "+31612345001", "to": "+31612345002"}"#,
        r#"{"content": {"data": [{"to": "]}"}]}, "messages": [], "users": {}}"#,
    ])
    .boxed()
}

/// What becomes of each row of a file, in their order: its message without its line, or nothing.
fn fates(file: &str, form: Form) -> Vec<Option<Json>> {
    let said = said(file.as_bytes(), form, &rules(), &templates());
    assert!(said["refused"].is_null(), "{file}\n{said:#}");
    let rows = said["rows"].as_u64().expect("a number of rows");
    let mut fates = vec![None; usize::try_from(rows).expect("a few")];
    for message in said["messages"].as_array().expect("messages") {
        let index = message["index"].as_u64().expect("an index");
        let mut message = message.clone();
        message["line"] = Json::Null;
        fates[usize::try_from(index).expect("a few")] = Some(message);
    }
    fates
}

/// Holds that each row has its own fate, whatever stands in the row at `bad`, which is not the
/// first one: that one tells the dialect.
pub(super) fn hold_neighbours_apart(
    rows: &[String],
    (bad, slip): (usize, &str),
    form: Form,
    file: impl Fn(&[String]) -> String,
) {
    let bad = 1 + bad % rows.len();
    let mut rows = rows.to_vec();
    rows.insert(bad, rows[0].clone());
    let mut expected = fates(&file(&rows), form);
    assert!(expected.iter().all(Option::is_some), "{rows:?}");
    rows[bad] = slip.into();
    expected[bad] = None;
    assert_eq!(fates(&file(&rows), form), expected);
}
