//! What is said about a value that breaks a rule of its template's schema: a code, what was
//! expected, what was found, and how to mend it.

use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value as Json;

use super::quoted_list;
use crate::batch::address;
use crate::batch::fault::{Code, Trouble};
use crate::batch::marks::{Brackets, is_bracketed};
use crate::batch::tree::Value;
use crate::batch::values::{Items, View};

/// A rule that is broken.
pub(super) struct Broken<'a> {
    /// Its name.
    pub(super) rule: &'a str,
    /// How it is broken.
    pub(super) kind: &'a Kind,
    /// What breaks it.
    pub(super) view: View<'a>,
    /// The schema that states it.
    pub(super) schema: &'a Json,
    /// The key or index under which the value stands.
    pub(super) key: &'a str,
}

/// A run of this many spaces is refused by WhatsApp.
const SPACES: &str = "     ";

const CURRENCY: &str = "three capital letters, such as EUR";
const AMOUNT: &str = "a whole number of thousandths";
const MOMENT: &str = "a date and time with its offset, such as 2026-11-21T09:15:00Z";
const LATITUDE: &str = "degrees from -90 to 90";
const LONGITUDE: &str = "degrees from -180 to 180";

/// The words for a broken rule.
pub(super) fn trouble(broken: &Broken<'_>) -> Trouble {
    match broken.kind {
        Kind::Required { property } => missing(broken, property.as_str().unwrap_or_default()),
        Kind::OneOfNotValid { .. } => missing(broken, ""),
        Kind::OneOfMultipleValid { .. } => {
            let expected = match broken.rule {
                "header.text" => "one of `value`, `text` and `placeholders`",
                _ => "one of `url`, `id` and `file`",
            };
            Trouble::new(Code::BatchBadValue, expected, "several").hint("remove the others")
        }
        Kind::MinLength { .. } if broken.rule == "media.url" => address::trouble(""),
        Kind::MinLength { .. } => empty("an empty text"),
        Kind::MaxLength { limit } => too_long(broken, *limit),
        Kind::Pattern { .. } => ill_written(broken),
        Kind::Not { .. } => refused(broken),
        Kind::Enum { .. } => other_word(broken),
        Kind::MinItems { .. }
        | Kind::MaxItems { .. }
        | Kind::MinProperties { .. }
        | Kind::MaxProperties { .. } => wrong_number(broken),
        Kind::Minimum { .. } | Kind::Maximum { .. } => out_of_range(broken),
        _ => wrong_kind(broken),
    }
}

fn empty(found: &str) -> Trouble {
    let expected = "a text with at least one character that is seen";
    Trouble::new(Code::ParameterEmpty, expected, found)
        .hint("WhatsApp refuses empty values; write what should be read there")
}

/// Something is not there that the template needs.
fn missing(broken: &Broken<'_>, key: &str) -> Trouble {
    let of = |code, expected: String| Trouble::new(code, expected, "none");
    match broken.rule {
        "placeholders" => of(
            Code::ParameterMissing,
            format!("a value for the placeholder `{key}`"),
        ),
        "buttons" => of(
            Code::TemplateComponentMissing,
            format!("a value for the button with the index {key}"),
        )
        .hint("buttons are counted from 0, those that do not vary included"),
        "row" | "card" => missing_part(broken, key),
        "header.text" => of(
            Code::ParameterMissing,
            "`value`: the value in the text of the header".into(),
        ),
        "header.location" => of(Code::ParameterMissing, format!("`{key}` of the place"))
            .hint("WhatsApp refuses a place in a template without its name and address"),
        rule if rule.starts_with("header.") && key.is_empty() => {
            of(Code::MediaMissing, "`url`, `id` or `file`".into())
        }
        "typed" if key == "fallback" => of(
            Code::ParameterMissing,
            "`fallback`: the text that stands in for the value".into(),
        ),
        "typed" => of(
            Code::ParameterCurrency,
            "`currency` and `amount1000` together".into(),
        ),
        _ => of(Code::ParameterMissing, format!("`{key}`")),
    }
}

/// A whole component is not there.
fn missing_part(broken: &Broken<'_>, key: &str) -> Trouble {
    let part = &broken.schema["properties"][key];
    let rule = part["$comment"].as_str().unwrap_or_default();
    let (code, with) = match rule {
        "header.text" => (
            Code::TemplateComponentMissing,
            "the value in its text".into(),
        ),
        "header.location" => (Code::TemplateComponentMissing, "a location".into()),
        "header.product" => (Code::TemplateComponentMissing, "a product".into()),
        "header.image" => (Code::MediaMissing, "an image".into()),
        "cards" => (Code::TemplateComponentMissing, count(part, "card")),
        "offer" => (Code::TemplateComponentMissing, "`expiresAt`".into()),
        "placeholders" => (Code::ParameterMissing, "the values of the body".into()),
        "buttons" => (
            Code::TemplateComponentMissing,
            "the values of its buttons".into(),
        ),
        media => {
            let word = media.strip_prefix("header.").unwrap_or(media);
            (Code::MediaMissing, format!("a {word}"))
        }
    };
    Trouble::new(code, format!("`{key}` with {with}"), "none")
        .hint("the template needs it in each message; say it in the row or at the top")
}

/// How many of something a schema asks for.
fn count(schema: &Json, of: &str) -> String {
    match schema["minItems"].as_u64() {
        Some(1) => format!("1 {of}"),
        Some(count) => format!("{count} {of}s"),
        None => format!("its {of}s"),
    }
}

fn too_long(broken: &Broken<'_>, limit: u64) -> Trouble {
    let chars = broken.view.text().unwrap_or_default().chars().count();
    let code = match broken.rule {
        "media.url" => Code::MediaUrl,
        "media.filename" => Code::MediaFilename,
        _ => Code::ParameterTooLong,
    };
    let expected = format!("at most {limit} characters");
    Trouble::new(code, expected, format!("{chars} characters"))
}

/// A text that is not written as its rule asks.
fn ill_written(broken: &Broken<'_>) -> Trouble {
    let text = broken.view.text().unwrap_or_default();
    if is_marked(text) {
        return ill_text(text);
    }
    let other = "a text of another form";
    match broken.rule {
        "value" if text.is_empty() => empty("an empty text"),
        "value" => empty("blanks alone"),
        "currency" => Trouble::new(Code::ParameterCurrency, CURRENCY, other),
        "amount" => Trouble::new(Code::ParameterCurrency, AMOUNT, other),
        "moment" => Trouble::new(Code::ParameterDate, MOMENT, other)
            .hint("the offset is `Z` or as in +01:00"),
        "degrees" => Trouble::new(Code::ParameterCoordinates, degrees(broken), other)
            .hint("write the degrees with a point, without signs such as °"),
        "media.url" => address::trouble(text),
        "code" => Trouble::new(
            Code::ParameterOneTimeCode,
            "a code of visible characters without blanks",
            code_found(text),
        ),
        "link" => Trouble::new(
            Code::ParameterUrl,
            "the end of a link, percent-encoded",
            link_found(text),
        )
        .hint("encode it as for a web address: a blank is %20"),
        _ => Trouble::new(Code::BatchBadValue, "another text", other),
    }
}

fn degrees(broken: &Broken<'_>) -> &'static str {
    match broken.key {
        "latitude" => LATITUDE,
        _ => LONGITUDE,
    }
}

fn code_found(text: &str) -> &'static str {
    if text.contains(char::is_whitespace) {
        "a blank"
    } else {
        "a character that is not ASCII"
    }
}

/// The first thing that keeps a text from being the end of a link.
fn link_found(text: &str) -> &'static str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~/?#@!$&'()*+,;=-".contains(c);
    for (at, c) in text.char_indices() {
        match c {
            '%' => {
                let hex = |byte: &u8| byte.is_ascii_hexdigit();
                let digits = text.as_bytes()[at + 1..]
                    .iter()
                    .take(2)
                    .filter(|it| hex(it));
                if digits.count() < 2 {
                    return "a `%` without two hexadecimal digits behind it";
                }
            }
            ' ' => return "a blank",
            c if c.is_control() => return "a line break or another control character",
            c if !c.is_ascii() => return "a character that is not ASCII",
            c if !plain(c) => return "a sign that a link cannot have, such as `|`, `:` or `\"`",
            _ => {}
        }
    }
    "a text of another form"
}

/// What a rule refuses though it is written well.
fn refused(broken: &Broken<'_>) -> Trouble {
    let text = broken.view.text().unwrap_or_default();
    match broken.rule {
        "typed" => Trouble::new(
            Code::ParameterCurrency,
            "an amount of money or a date",
            "both in one",
        ),
        "code" if !is_marked(text) => Trouble::new(Code::ParameterOneTimeCode, "a code", "a link")
            .hint("WhatsApp refuses links in one-time codes"),
        _ => ill_text(text),
    }
}

/// Whether a text has a mark of either kind.
pub(in crate::batch) fn is_marked(text: &str) -> bool {
    [Brackets::Curly, Brackets::Square]
        .into_iter()
        .any(|brackets| is_bracketed(text, brackets))
}

/// What is said about a value with a mark.
pub(in crate::batch) fn unfinished(text: &str) -> Trouble {
    let found = if is_bracketed(text, Brackets::Curly) {
        "a mark such as `{{x}}`"
    } else {
        "a mark such as `[[x]]`"
    };
    Trouble::new(Code::ParameterMarks, "a finished text", found)
        .hint("a value is delivered as it stands; put the value in place of the mark")
}

/// Says what the schema's patterns refuse in a text.
fn ill_text(text: &str) -> Trouble {
    let found = if text.contains(is_line_break) {
        "a line break"
    } else if text.contains('\t') {
        "a tab"
    } else if text.contains(SPACES) {
        "a run of more than 4 spaces"
    } else {
        return unfinished(text);
    };
    let expected = "a text without line breaks, tabs and runs of more than 4 spaces";
    Trouble::new(Code::ParameterWhitespace, expected, found)
        .hint("WhatsApp refuses these in template values; write it on one line")
}

fn is_line_break(char: char) -> bool {
    matches!(
        char,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// A word that is not the one the template has.
fn other_word(broken: &Broken<'_>) -> Trouble {
    let words = broken.schema["enum"].as_array();
    let words: Vec<String> = words
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect();
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let words = words.join(" or ");
    let found = match broken.view.text() {
        Some(text) if !text.is_empty() => "another kind",
        _ => broken.view.kind(),
    };
    match broken.rule {
        "header.kind" => {
            let expected = format!("{words}: the kind of the template's header");
            Trouble::new(Code::TemplateHeaderKind, expected, found)
        }
        "button.index" => {
            let expected = format!("{words}: the index under which it stands");
            Trouble::new(Code::BatchBadValue, expected, "another index")
        }
        _ => {
            let expected = format!("{words}: the kind of this button");
            Trouble::new(Code::TemplateButtonKind, expected, found)
                .hint("buttons are counted from 0")
        }
    }
}

fn wrong_number(broken: &Broken<'_>) -> Trouble {
    let items = broken.view.items().map_or(0, |items| match items {
        Items::Parts(items) => items.len(),
        Items::Nodes(items) => items.len(),
    });
    match broken.rule {
        "placeholders" => {
            let names = broken.schema["minItems"].as_u64().unwrap_or_default();
            super::parts::wrong_count(names as usize, items)
        }
        "header.placeholders" if items == 0 && broken.view.items().is_none() => Trouble::new(
            Code::ParameterCount,
            "1 value, for the one placeholder of the header",
            "none or several",
        ),
        "header.placeholders" => super::parts::wrong_count(1, items),
        "nothing" => nothing(broken),
        "cards" => Trouble::new(
            Code::TemplateCardCount,
            format!("{}, as the template has", count(broken.schema, "card")),
            format!("{items}"),
        )
        .hint("give all cards in the order of the template, empty ones as `{}`"),
        rule => {
            let most = broken.schema["maxItems"].as_u64().unwrap_or_default();
            let expected = format!("1 to {most} {rule}");
            Trouble::new(Code::ParameterProducts, expected, format!("{items}"))
        }
    }
}

fn out_of_range(broken: &Broken<'_>) -> Trouble {
    let other = "another number";
    match broken.rule {
        "degrees" => Trouble::new(Code::ParameterCoordinates, degrees(broken), other)
            .hint("look whether latitude and longitude are swapped"),
        "amount" => Trouble::new(
            Code::ParameterCurrency,
            AMOUNT,
            "a number beyond all bounds",
        ),
        _ => {
            let [least, most] = ["minimum", "maximum"].map(|key| &broken.schema[key]);
            let expected = format!("a whole number from {least} to {most}");
            Trouble::new(Code::BatchBadValue, expected, other)
        }
    }
}

/// Something is said to what the template does not have, or what does not vary in it.
fn nothing(broken: &Broken<'_>) -> Trouble {
    let expected = match broken.key {
        "templateHeader" | "header" => "no value: its header does not vary",
        "templateButtons" | "buttons" => "no value: none of its buttons varies",
        "templateCards" => "no cards: the template is no carousel",
        _ => "no value: the template has no offer that ends",
    };
    Trouble::new(Code::TemplateComponentUnknown, expected, broken.view.kind()).hint("remove it")
}

fn wrong_kind(broken: &Broken<'_>) -> Trouble {
    let found = match (broken.rule, broken.view.node().map(|node| &node.value)) {
        ("amount" | "minutes", Some(Value::Number(_))) => "a number with a point or an exponent",
        _ => broken.view.kind(),
    };
    let of = |code, expected: &str| Trouble::new(code, expected, found);
    match broken.rule {
        "value" | "code" | "link" | "short" | "media.filename" => {
            of(Code::ParameterWrongKind, "a text").hint(match found {
                "an object" | "an array" => "amounts and dates are written as plain text",
                "null" => "leave no value empty; write what should be read there",
                _ => "put the value in quotation marks",
            })
        }
        "nothing" => nothing(broken),
        "currency" => of(Code::ParameterCurrency, CURRENCY),
        "amount" => of(Code::ParameterCurrency, AMOUNT),
        "moment" => of(Code::ParameterDate, MOMENT),
        "degrees" => of(Code::ParameterCoordinates, degrees(broken)),
        "media.url" => of(Code::MediaUrl, address::EXPECTED),
        "minutes" => of(Code::BatchWrongKind, "a whole number of minutes"),
        "placeholders" => of(Code::BatchWrongKind, "an object of values by name"),
        "header.placeholders" => of(Code::BatchWrongKind, "an object with one value"),
        "buttons" => of(
            Code::BatchWrongKind,
            "an object of buttons by index, or an array of buttons",
        ),
        "cards" => of(Code::BatchWrongKind, "an array of cards"),
        "sections" | "products" => of(Code::BatchWrongKind, "an array"),
        "object" => of(Code::BatchWrongKind, "an object"),
        _ => {
            let known = broken.schema["properties"].as_object();
            let known: Vec<String> = known
                .map(|known| known.keys().cloned().collect())
                .unwrap_or_default();
            let takes_text = broken.rule == "button" && known.iter().any(|key| key == "value");
            let or_text = if takes_text { "a text, or " } else { "" };
            let known = quoted_list(&known);
            let expected = format!("{or_text}an object with {known}");
            of(Code::BatchWrongKind, &expected)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::super::schema::{ILL_SPACE, MARK};
    use super::*;

    proptest! {
        /// What is said of a text must be what the schema refuses it for.
        #[test]
        fn a_refused_text_is_called_what_it_is(text in r"([ax \n\t\x0b\u{2028}]|\[\[?|\]\]?|\{\{?|\}\}?|     ){0,10}") {
            let matches = |pattern| Regex::new(pattern).expect("an expression").is_match(&text);
            prop_assert_eq!(is_marked(&text), matches(MARK));
            let ill = text.contains(is_line_break) || text.contains('\t') || text.contains(SPACES);
            prop_assert_eq!(ill, matches(ILL_SPACE));
        }
    }
}
