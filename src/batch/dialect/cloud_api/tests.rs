//! Any content, written for the Cloud API, is the same message as in the native form.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::template;
use crate::batch::dialect::guest::Turned;
use crate::batch::dialect::saying::{
    Button, Content, Filled, Header, Saying, Value, bare_object, fillings, hold_neighbours_apart,
    messages, place_names, said_natively, sayings, sessions, slips,
};
use crate::batch::read::Form;
use crate::batch::tree::Node;

fn row(saying: &Saying) -> Json {
    let mut row = bare_object(json!({
        "messaging_product": "whatsapp",
        "to": saying.to,
        "reference": saying.reference,
        "biz_opaque_callback_data": saying.callback_data,
    }));
    match &saying.content {
        Content::Session(kind, object) => {
            row["type"] = json!(kind);
            row[*kind] = object.clone();
        }
        Content::Template(filled) => {
            row["type"] = json!("template");
            row["template"] = json!({
                "name": filled.name,
                "language": { "code": filled.language },
                "components": components(filled),
            });
        }
    }
    row
}

/// The components that say the same.
pub(in crate::batch::dialect) fn components(filled: &Filled) -> Vec<Json> {
    let mut components = Vec::new();
    if let Some(header) = &filled.header {
        components.push(json!({ "type": "header", "parameters": [self::header(header)] }));
    }
    if !filled.values.is_empty() {
        let values = filled.values.iter();
        let values: Json = values
            .map(|(name, value)| parameter(*name, value))
            .collect();
        components.push(json!({ "type": "BODY", "parameters": values }));
    }
    for (index, button) in &filled.buttons {
        let (kind, parameters) = self::button(button);
        components.push(json!({
            "type": "button", "sub_type": kind, "index": index.to_string(),
            "parameters": parameters,
        }));
    }
    if !filled.cards.is_empty() {
        let cards = filled.cards.iter().enumerate().rev();
        let cards: Json = cards
            .map(|(at, card)| json!({ "card_index": at, "components": self::components(card) }))
            .collect();
        components.push(json!({ "type": "carousel", "cards": cards }));
    }
    if let Some(ends) = filled.offer_ends_at {
        let offer = json!({ "expiration_time_ms": ends });
        let parameter = json!({ "type": "limited_time_offer", "limited_time_offer": offer });
        components.push(json!({ "type": "limited_time_offer", "parameters": [parameter] }));
    }
    components
}

fn parameter(name: Option<&str>, value: &Value) -> Json {
    let parameter = match value {
        Value::Text(text) => json!({ "type": "text", "text": text }),
        Value::Currency(code, amount, text) => json!({ "type": "currency", "currency": {
            "fallback_value": text, "code": code, "amount_1000": amount,
        }}),
        Value::Date(text) => {
            json!({ "type": "date_time", "date_time": { "fallback_value": text } })
        }
    };
    let mut parameter = parameter;
    if let Some(name) = name {
        parameter["parameter_name"] = json!(name);
    }
    parameter
}

fn header(header: &Header) -> Json {
    let (kind, object) = match header {
        Header::Text(text) => return json!({ "type": "text", "text": text }),
        Header::Link(kind, link) => (*kind, json!({ "link": link })),
        Header::Id(kind, id) => (*kind, json!({ "id": id })),
        Header::Document(link, name) => ("document", json!({ "link": link, "filename": name })),
        Header::Place(latitude, longitude, names) => {
            let (name, address) = place_names(*latitude, *longitude, names.as_ref());
            let object = json!({
                "latitude": latitude, "longitude": longitude, "name": name, "address": address,
            });
            ("location", object)
        }
        Header::Product(id, catalog) => {
            let object = json!({ "product_retailer_id": id, "catalog_id": catalog });
            ("product", object)
        }
    };
    let mut parameter = json!({ "type": kind });
    parameter[kind] = object;
    parameter
}

fn button(button: &Button) -> (&'static str, Json) {
    let action = |action: Json| json!([{ "type": "action", "action": action }]);
    match button {
        Button::Reply(payload) => (
            "quick_reply",
            json!([{ "type": "payload", "payload": payload }]),
        ),
        Button::Url(end) => ("url", json!([{ "type": "text", "text": end }])),
        Button::Code(code) => (
            "COPY_CODE",
            json!([{ "type": "coupon_code", "coupon_code": code }]),
        ),
        Button::Flow(token, data) => (
            "flow",
            action(json!({ "flow_token": token, "flow_action_data": data })),
        ),
        Button::Catalog(None) => ("catalog", json!([])),
        Button::Catalog(thumbnail) => (
            "catalog",
            action(json!({ "thumbnail_product_retailer_id": thumbnail })),
        ),
        Button::Products(thumbnail, sections) => {
            let item = |id: &String| json!({ "product_retailer_id": id });
            let section = |(title, products): &(String, Vec<String>)| {
                let items: Json = products.iter().map(item).collect();
                json!({ "title": title, "product_items": items })
            };
            let sections: Json = sections.iter().map(section).collect();
            let thumbnail = json!(thumbnail);
            (
                "mpm",
                action(json!({
                    "thumbnail_product_retailer_id": thumbnail, "sections": sections,
                })),
            )
        }
        Button::Order(order) => ("order_details", action(order.clone())),
        Button::Call(minutes, payload) => {
            let mut parameters = Vec::new();
            if let Some(minutes) = minutes {
                parameters
                    .push(json!({ "type": "ttl_minutes", "ttl_minutes": minutes.to_string() }));
            }
            if let Some(payload) = payload {
                parameters.push(json!({ "type": "payload", "payload": payload }));
            }
            ("voice_call", json!(parameters))
        }
    }
}

fn contents() -> BoxedStrategy<Content> {
    prop_oneof![
        4 => fillings().prop_map(Content::Template),
        1 => sessions(),
    ]
    .boxed()
}

proptest! {
    /// What an API's own client wrote must reach its recipient as it would have through that API.
    #[test]
    fn a_message_of_the_cloud_api_is_that_of_the_native_form(
        sayings in sayings(contents()),
        lines: bool,
    ) {
        let rows: Vec<String> = sayings.iter().map(|saying| row(saying).to_string()).collect();
        let (file, form) = match (lines, rows.as_slice()) {
            (true, rows) => (rows.join("\n"), Form::Lines),
            (false, [single]) => (single.clone(), Form::Json),
            (false, rows) => (format!("[{}]", rows.join(", ")), Form::Json),
        };
        prop_assert_eq!(messages(&file, form), said_natively(&sayings));
    }

    /// One bad message costs itself, not those beside it.
    #[test]
    fn a_bad_message_leaves_its_neighbours_alone(
        sayings in sayings(contents()),
        bad in 0_usize..4,
        slip in slips(),
        lines: bool,
    ) {
        let rows: Vec<String> = sayings.iter().map(|saying| row(saying).to_string()).collect();
        let form = if lines { Form::Lines } else { Form::Json };
        hold_neighbours_apart(&rows, (bad, slip), form, |rows| match form {
            Form::Lines => rows.join("\n"),
            Form::Json => format!("[{}]", rows.join(",\n")),
        });
    }
}

/// A row of thousands of cards or buttons must not keep the others waiting: what no template has
/// is not turned, and the schema says what is wrong.
#[test]
fn no_more_is_turned_than_a_template_can_have() {
    let cards: Vec<Json> = (0..2000).map(|at| json!({ "card_index": at })).collect();
    let button = |at: usize| {
        json!({
            "type": "button", "sub_type": "quick_reply", "index": at,
            "parameters": [{ "type": "payload", "payload": "x" }],
        })
    };
    let mut components: Vec<Json> = (0..2000).map(button).collect();
    components.push(json!({ "type": "carousel", "cards": cards }));
    let template = json!({ "components": components }).to_string();
    let node = Node::parse(template.as_bytes()).expect("JSON");
    let mut turned = Turned::default();
    template::turn(&node, &mut turned);
    let of = |key: &str| {
        let entry = turned.members.iter().find(|entry| entry.key == key);
        &entry.expect("it is turned").node
    };
    assert_eq!(of("templateCards").items().len(), 10);
    assert_eq!(of("templateButtons").entries().len(), 10);
    assert_eq!(turned.misfits, []);
}
