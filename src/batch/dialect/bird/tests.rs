//! Any content that Bird's messages can hold is the same message as in the native form.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::batch::dialect::saying::{
    Button, Content, Filled, Header, Saying, Value, bare_object, fillings, messages, said_natively,
    sayings,
};
use crate::batch::read::Form;

fn row(saying: &Saying, typed: bool) -> Json {
    let contact = json!({ "identifierKey": "phonenumber", "identifierValue": saying.to });
    let mut row = bare_object(json!({
        "receiver": { "contacts": [contact] },
        "reference": saying.reference,
    }));
    if let Content::Template(filled) = &saying.content {
        row["template"] = template(filled, typed);
    }
    row
}

fn template(filled: &Filled, typed: bool) -> Json {
    let mut values: Vec<(String, &str)> = Vec::new();
    for (at, (name, value)) in filled.values.iter().enumerate() {
        let Value::Text(text) = value else { continue };
        let name = name.map_or_else(|| (at + 1).to_string(), str::to_owned);
        values.push((name, text));
    }
    if let Some(Header::Text(text) | Header::Link(_, text)) = &filled.header {
        let name = match filled.name {
            "head_text" => "headline",
            "head_image" => "picture",
            "head_video" => "clip",
            // A name that nobody knows is that of the one thing left.
            _ => "any name",
        };
        values.push((name.into(), text));
    }
    for (_, button) in &filled.buttons {
        if let (Button::Url(end), "head_image") = (button, filled.name) {
            values.push(("slug".into(), end));
        }
    }
    let mut template = json!({
        "version": "latest", "name": filled.name, "locale": filled.language.replace('_', "-"),
    });
    if typed {
        let values = values.iter();
        let values: Vec<Json> = values
            .map(|(key, text)| json!({ "type": "string", "key": key, "value": text }))
            .collect();
        template["parameters"] = json!(values);
    } else {
        let values = values.into_iter();
        template["variables"] = values.map(|(name, text)| (name, json!(text))).collect();
    }
    template
}

/// What Bird's parameters can say: texts.
fn contents() -> BoxedStrategy<Content> {
    let fit = |mut filled: Filled| {
        for (_, value) in &mut filled.values {
            if let Value::Currency(.., text) | Value::Date(text) = value {
                *value = Value::Text(text.clone());
            }
        }
        filled
            .buttons
            .retain(|(_, button)| matches!(button, Button::Url(_)));
        let header = match &filled.header {
            None | Some(Header::Text(_) | Header::Link(..)) => true,
            Some(_) => false,
        };
        let whole = filled.cards.is_empty() && filled.offer_ends_at.is_none();
        let sure = !matches!(filled.name, "with_products" | "with_order");
        (header && whole && sure).then_some(Content::Template(filled))
    };
    fillings().prop_filter_map("Bird can say it", fit).boxed()
}

proptest! {
    /// What an API's own client wrote must reach its recipient as it would have through that API.
    #[test]
    fn a_message_of_bird_is_that_of_the_native_form(
        mut sayings in sayings(contents()),
        typed: bool,
        lines: bool,
    ) {
        for saying in &mut sayings {
            saying.callback_data = None;
        }
        let rows: Vec<String> = sayings.iter().map(|it| row(it, typed).to_string()).collect();
        let (file, form) = match (lines, rows.as_slice()) {
            (true, rows) => (rows.join("\n"), Form::Lines),
            (false, [single]) => (single.clone(), Form::Json),
            (false, rows) => (format!("[{}]", rows.join(", ")), Form::Json),
        };
        prop_assert_eq!(messages(&file, form), said_natively(&sayings));
    }
}
