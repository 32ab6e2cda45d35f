//! The parameters of one component: values of placeholders, a header, a button.

use std::borrow::Cow;

use crate::batch::dialect::guest::{at_place, copied, given, made_at, meant, sections, word_at};
use crate::batch::tree::{Entry, Node, Value};

/// The values of placeholders: by name where they are named, in their order otherwise.
pub(super) fn placeholders<'a>(parameters: &Node<'a>) -> Option<Node<'a>> {
    let items = parameters.items();
    let named = items
        .iter()
        .any(|parameter| given(parameter, "parameter_name").is_some());
    if !matches!(parameters.value, Value::List(_)) {
        return None;
    }
    if !named {
        let values = items.iter().filter_map(value).collect();
        return Some(at_place(parameters, Value::List(values)));
    }
    let entry = |(place, parameter): (usize, &Node<'a>)| {
        let node = value(parameter)?;
        let name = given(parameter, "parameter_name");
        let key = match name.map(|name| &name.value) {
            Some(Value::Text(text)) => text.clone(),
            _ => Cow::Owned((place + 1).to_string()),
        };
        let key_at = name.map_or(parameter.at, |name| name.at);
        Some(Entry { key, key_at, node })
    };
    let entries = items.iter().enumerate().filter_map(entry).collect();
    Some(at_place(parameters, Value::Object(entries)))
}

/// The value of one placeholder: a text, an amount of money or a date.
fn value<'a>(parameter: &Node<'a>) -> Option<Node<'a>> {
    let kinds = [
        ("text", "text"),
        ("currency", "currency"),
        ("date_time", "date_time"),
    ];
    let kind = meant(parameter.get("type"), &kinds)?;
    let inner = given(parameter, kind)?;
    Some(match kind {
        "currency" => made_at(
            inner,
            [
                ("currency", copied(inner, "code")),
                ("amount1000", copied(inner, "amount_1000")),
                ("fallback", copied(inner, "fallback_value")),
            ],
        ),
        "date_time" => made_at(inner, [("fallback", copied(inner, "fallback_value"))]),
        _ => inner.clone(),
    })
}

/// A header.
pub(super) fn header<'a>(parameter: &Node<'a>) -> Option<Node<'a>> {
    const KINDS: [(&str, &str); 6] = [
        ("image", "image"),
        ("video", "video"),
        ("document", "document"),
        ("gif", "gif"),
        ("location", "location"),
        ("product", "product"),
    ];
    let Some(kind) = meant(parameter.get("type"), &KINDS) else {
        return header_text(parameter);
    };
    let inner = given(parameter, kind)?;
    let word = parameter.get("type").map(|node| word_at(node, kind));
    Some(match kind {
        "location" => made_at(
            inner,
            [
                ("type", word),
                ("latitude", copied(inner, "latitude")),
                ("longitude", copied(inner, "longitude")),
                ("name", copied(inner, "name")),
                ("address", copied(inner, "address")),
            ],
        ),
        "product" => made_at(
            inner,
            [
                ("type", word),
                ("productId", copied(inner, "product_retailer_id")),
                ("catalogId", copied(inner, "catalog_id")),
            ],
        ),
        _ => made_at(
            inner,
            [
                ("type", word),
                ("url", copied(inner, "link")),
                ("id", copied(inner, "id")),
                ("filename", copied(inner, "filename")),
            ],
        ),
    })
}

fn header_text<'a>(parameter: &Node<'a>) -> Option<Node<'a>> {
    let value = value(parameter)?;
    let word = parameter.get("type").map(|node| word_at(node, "text"));
    let placeholders = match given(parameter, "parameter_name") {
        Some(
            name @ Node {
                value: Value::Text(text),
                ..
            },
        ) => Value::Object(vec![Entry {
            key: text.clone(),
            key_at: name.at,
            node: value,
        }]),
        _ => Value::List(vec![value]),
    };
    let placeholders = at_place(parameter, placeholders);
    Some(made_at(
        parameter,
        [("type", word), ("placeholders", Some(placeholders))],
    ))
}

/// The words for kinds of buttons, and those of the native form.
const BUTTONS: [(&str, &str); 8] = [
    ("url", "url"),
    ("quick_reply", "quick-reply"),
    ("copy_code", "copy-code"),
    ("flow", "flow"),
    ("catalog", "catalog"),
    ("mpm", "multi-product"),
    ("order_details", "order-details"),
    ("voice_call", "voice-call"),
];

/// A button, without its index.
pub(super) fn button<'a>(component: &Node<'a>) -> Option<Node<'a>> {
    let named = component.get("sub_type")?;
    let kind = meant(Some(named), &BUTTONS)?;
    let word = Some(word_at(named, kind));
    let of = |key: &str| said(component, key);
    Some(match kind {
        "url" => made_at(component, [("type", word), ("value", of("text"))]),
        "quick-reply" => made_at(component, [("type", word), ("value", of("payload"))]),
        "copy-code" => made_at(component, [("type", word), ("value", of("coupon_code"))]),
        "order-details" => made_at(component, [("type", word), ("action", of("action"))]),
        "voice-call" => {
            // Both are parameters of their own, or stand together in one action.
            let action = of("action");
            let inside = |key: &str| copied(action.as_ref()?, key);
            let minutes = of("ttl_minutes").or_else(|| inside("ttl_minutes"));
            let payload = of("payload").or_else(|| inside("payload"));
            made_at(
                component,
                [
                    ("type", word),
                    ("minutes", minutes.map(digits)),
                    ("payload", payload),
                ],
            )
        }
        _ => acting(component, word, of("action").as_ref()),
    })
}

/// A button that says all that varies in its `action`: a flow, a catalogue or products.
fn acting<'a>(component: &Node<'a>, word: Option<Node<'a>>, action: Option<&Node<'a>>) -> Node<'a> {
    let inside = |key: &str| action.and_then(|action| copied(action, key));
    made_at(
        component,
        [
            ("type", word),
            ("token", inside("flow_token")),
            ("data", inside("flow_action_data")),
            ("thumbnail", inside("thumbnail_product_retailer_id")),
            ("sections", inside("sections").as_ref().map(listed)),
        ],
    )
}

/// What the parameter of the component says whose type is `kind`.
fn said<'a>(component: &Node<'a>, kind: &str) -> Option<Node<'a>> {
    let parameters = given(component, "parameters")?.items();
    let is_it = |parameter: &&Node<'_>| meant(parameter.get("type"), &[(kind, ())]).is_some();
    copied(parameters.iter().find(is_it)?, kind)
}

/// Digits as a number, whether they were written as one or as a text.
fn digits(node: Node<'_>) -> Node<'_> {
    match node.text().and_then(|text| text.parse::<u32>().ok()) {
        Some(number) => at_place(&node, Value::Number(number.to_string().into())),
        None => node,
    }
}

fn listed<'a>(list: &Node<'a>) -> Node<'a> {
    sections(list, |section| {
        let items = given(section, "product_items")?;
        let ids = items.items().iter();
        let ids = ids.filter_map(|item| copied(item, "product_retailer_id"));
        Some(at_place(items, Value::List(ids.collect())))
    })
}
