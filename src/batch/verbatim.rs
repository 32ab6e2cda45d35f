//! Parts of a row that are handed on as they are, such as what a flow is given: the same JSON, its
//! numbers included. What belongs in them is for whoever receives them to know.

use serde_json::{Number, Value as Json};

use super::fault::{Code, Misfit, Trouble};
use super::tree::{Node, Value};

/// The most faults told of one part.
const FAULTS_MAX: usize = 100;

/// The same value as JSON of its own. Numbers that cannot be kept are for [`changed`] to tell.
pub(super) fn json(node: &Node<'_>) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(it) => Json::Bool(*it),
        Value::Number(text) => text.parse().map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(nodes) => nodes.iter().map(json).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|entry| (entry.key.to_string(), json(&entry.node)))
            .collect(),
    }
}

/// The numbers in it that would not come out as they went in.
pub(super) fn changed(node: &Node<'_>) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    look(node, &mut misfits);
    misfits
}

fn look(node: &Node<'_>, misfits: &mut Vec<Misfit>) {
    match &node.value {
        Value::Number(text) if !is_kept(text) && misfits.len() < FAULTS_MAX => {
            let trouble = Trouble::new(
                Code::BatchBadValue,
                "a number that can be handed on digit for digit",
                "a longer or larger one",
            );
            let hint = "it would arrive rounded: write it in quotation marks, or with less digits";
            misfits.push(Misfit::new(node.at, trouble.hint(hint)));
        }
        Value::List(nodes) => nodes.iter().for_each(|node| look(node, misfits)),
        Value::Object(entries) => entries.iter().for_each(|entry| look(&entry.node, misfits)),
        _ => {}
    }
}

/// Whether a number is the same once it is read and written again.
fn is_kept(text: &str) -> bool {
    let Ok(number) = text.parse::<Number>() else {
        return false;
    };
    let written = decimal(text);
    written.is_some() && written == decimal(&number.to_string())
}

/// A JSON number as its sign, its digits without zeros at either end, and its power of ten.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{rest}");
    let digits = digits.trim_start_matches('0');
    let bare = digits.trim_end_matches('0');
    if bare.is_empty() {
        return Some((negative, String::new(), 0));
    }
    let power: i64 = power.parse().ok()?;
    let zeros = i64::try_from(digits.len() - bare.len()).ok()?;
    let power = power.checked_sub(i64::try_from(rest.len()).ok()?)?;
    Some((negative, bare.to_owned(), power.checked_add(zeros)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An order number that arrives rounded is the number of another order.
    #[test]
    fn numbers_that_would_be_rounded_are_told() {
        for (text, kept) in [
            ("0", true),
            ("-0", true),
            ("7", true),
            ("19.90", true),
            ("1e2", true),
            ("1E-7", true),
            ("0.0", true),
            ("1e0000000000000000000000", true),
            ("-9223372036854775808", true),
            ("18446744073709551615", true),
            ("0.30000000000000004", true),
            ("100000000000000000000", true),
            ("18446744073709551617", false),
            ("12345678901234567890123", false),
            ("3.14159265358979323846", false),
            ("0.1000000000000000000001", false),
            ("1e400", false),
            ("1e-400", false),
            ("1e99999999999999999999", false),
        ] {
            assert_eq!(is_kept(text), kept, "{text}");
        }
        let text = br#"{"a": [1, {"b": 1e400}], "c": 12345678901234567890123, "d": "1e400"}"#;
        let node = Node::parse(text).expect("JSON");
        let places: Vec<usize> = changed(&node).iter().map(|misfit| misfit.at).collect();
        assert_eq!(places, [16, 30]);
    }

    proptest! {
        /// What is taken must be the same after it was kept and read again, as often as one likes.
        #[test]
        fn what_is_kept_stays_as_it_is(text in r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?(e-?[0-9]{1,3})?") {
            if is_kept(&text) {
                let once = serde_json::to_string(&json(&Node::parse(text.as_bytes()).expect("JSON")));
                let once = once.expect("JSON");
                let again: Json = serde_json::from_str(&once).expect("JSON");
                prop_assert_eq!(decimal(&again.to_string()), decimal(&text));
            }
        }
    }
}
