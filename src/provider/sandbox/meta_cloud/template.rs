//! What the stand-in checks in a template message: which components there are, and that each value
//! is of a kind that its place takes. Whether the template exists is not its business.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::content::one_source;
use super::envelope::Refusal;

/// The fewest and the most cards of a carousel.
const CARDS: std::ops::RangeInclusive<usize> = 2..=10;

/// The most buttons that a template can have.
const BUTTONS_MAX: u64 = 10;

/// A template and its values.
#[derive(Deserialize)]
pub(super) struct Template {
    name: Option<String>,
    language: Option<Language>,
    components: Option<Vec<Component>>,
}

#[derive(Deserialize)]
struct Language {
    code: Option<String>,
}

#[derive(Deserialize)]
struct Component {
    r#type: String,
    sub_type: Option<String>,
    index: Option<Value>,
    parameters: Option<Vec<Map<String, Value>>>,
    cards: Option<Vec<Card>>,
}

#[derive(Deserialize)]
struct Card {
    card_index: Option<u64>,
    components: Option<Vec<Component>>,
}

impl Template {
    /// Its name, its language, and how many values its body is given.
    pub(super) fn called(&self) -> (&str, &str, usize) {
        let code = self
            .language
            .as_ref()
            .and_then(|language| language.code.as_deref());
        let components = self.components.as_deref().unwrap_or_default();
        let body = components
            .iter()
            .find(|it| it.r#type.eq_ignore_ascii_case("body"));
        let values = body.and_then(|body| body.parameters.as_ref());
        let name = self.name.as_deref().unwrap_or_default();
        (name, code.unwrap_or_default(), values.map_or(0, Vec::len))
    }

    /// Checks its shape.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.name.as_deref().unwrap_or_default().is_empty() {
            return Err(Refusal::missing("template.name is missing"));
        }
        let code = self.language.as_ref().and_then(|l| l.code.as_deref());
        if code.unwrap_or_default().is_empty() {
            return Err(Refusal::missing("template.language.code is missing"));
        }
        let components = self.components.as_deref().unwrap_or_default();
        components.iter().try_for_each(Component::check)
    }
}

impl Component {
    fn check(&self) -> Result<(), Refusal> {
        let parameters = self.parameters.as_deref().unwrap_or_default();
        match self.r#type.to_ascii_lowercase().as_str() {
            "carousel" => self.carousel(),
            "button" => self.button(parameters),
            "header" if parameters.len() != 1 => {
                Err(Refusal::value("a header has exactly one parameter"))
            }
            "body" => parameters
                .iter()
                .try_for_each(|it| typed(it, &["text", "currency", "date_time"])),
            "header" => parameters.iter().try_for_each(|it| typed(it, HEADERS)),
            kind @ ("limited_time_offer" | "tap_target_configuration") => {
                parameters.iter().try_for_each(|it| typed(it, &[kind]))
            }
            _ => Err(Refusal::value("a component has an unknown type")),
        }
    }

    fn carousel(&self) -> Result<(), Refusal> {
        let Some(cards) = &self.cards else {
            return Err(Refusal::missing("a carousel has no cards"));
        };
        if !CARDS.contains(&cards.len()) {
            return Err(Refusal::value("a carousel has 2 to 10 cards"));
        }
        for card in cards {
            if card.card_index.is_none() {
                return Err(Refusal::missing("a card has no card_index"));
            }
            let components = card.components.as_deref().unwrap_or_default();
            components.iter().try_for_each(Component::check)?;
        }
        Ok(())
    }

    fn button(&self, parameters: &[Map<String, Value>]) -> Result<(), Refusal> {
        let (Some(sub_type), Some(index)) = (&self.sub_type, &self.index) else {
            return Err(Refusal::missing("a button has no sub_type or no index"));
        };
        let index = match index {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if index.is_none_or(|index| index >= BUTTONS_MAX) {
            return Err(Refusal::value("a button's index is not from 0 to 9"));
        }
        let taken = match sub_type.to_ascii_lowercase().as_str() {
            "quick_reply" => "payload",
            "url" => "text",
            "copy_code" => "coupon_code",
            "flow" | "catalog" | "mpm" | "order_details" | "voice_call" => "action",
            _ => return Err(Refusal::value("a button has an unknown sub_type")),
        };
        parameters.iter().try_for_each(|it| typed(it, &[taken]))
    }
}

/// The types of parameters that a header takes.
const HEADERS: &[&str] = &[
    "text",
    "currency",
    "date_time",
    "image",
    "video",
    "document",
    "gif",
    "location",
    "product",
];

/// A parameter names its type, which its place takes, and has a member of that name.
fn typed(parameter: &Map<String, Value>, taken: &[&str]) -> Result<(), Refusal> {
    let Some(kind) = parameter.get("type").and_then(Value::as_str) else {
        return Err(Refusal::missing("a parameter has no type"));
    };
    if !taken.contains(&kind) {
        return Err(Refusal::value("a parameter's type does not belong there"));
    }
    let wrong = Refusal::value("a parameter's value has the wrong JSON type");
    match (kind, parameter.get(kind)) {
        (_, None) => Err(Refusal::missing("a parameter has no value")),
        ("text" | "payload" | "coupon_code", Some(Value::String(text))) => match text.as_str() {
            "" => Err(Refusal::missing("a parameter has an empty value")),
            _ => Ok(()),
        },
        ("text" | "payload" | "coupon_code", Some(_)) => Err(wrong),
        ("tap_target_configuration", Some(Value::Array(_))) => Ok(()),
        (_, Some(Value::Object(value))) => whole(kind, value),
        _ => Err(wrong),
    }
}

/// The members that a value of this type must have.
fn whole(kind: &str, value: &Map<String, Value>) -> Result<(), Refusal> {
    let text = |key| value.get(key).is_some_and(Value::is_string);
    let whole = match kind {
        "image" | "video" | "document" | "gif" => return one_source(value),
        "currency" => {
            let amount = value.get("amount_1000").is_some_and(Value::is_i64);
            amount && text("code") && text("fallback_value")
        }
        "date_time" => text("fallback_value"),
        "product" => text("product_retailer_id"),
        "location" => {
            let known = |key| value.contains_key(key);
            known("latitude") && known("longitude") && text("name") && text("address")
        }
        "limited_time_offer" => value.get("expiration_time_ms").is_some_and(Value::is_i64),
        _ => true,
    };
    if whole {
        return Ok(());
    }
    Err(Refusal::missing("a parameter's value lacks a member"))
}
