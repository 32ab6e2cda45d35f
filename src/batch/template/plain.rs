//! A quick look at what most rows say: plain texts for a body's placeholders and nothing else,
//! which no schema refuses. Whatever is not plain is for the schema to judge.

use super::shape::Shape;
use crate::batch::tree::{Node, Value};
use crate::batch::values::{Part, Said};

impl Shape {
    /// Whether each placeholder of the body has a text of which no rule could complain, and nothing
    /// else is said or needed. The schema need not be asked then: its patterns are shared by all
    /// threads, and asking costs more than reading the row.
    pub(super) fn takes_plainly(&self, said: &Said<'_>) -> bool {
        let face = &self.face;
        let needs_more = self.code
            || self.offer_ends()
            || !self.cards.is_empty()
            || face.header_varies()
            || face.buttons.iter().any(|button| button.kind.is_required());
        let [Some(body), None, None, None, None] = &said.parts else {
            return false;
        };
        let names = &face.body.names;
        let is_plain = |node: &Node<'_>| node.text().is_some_and(is_plain);
        // As many values as names, and one for each name: so no name has two, or none.
        !needs_more
            && match body {
                Part::Node(Node {
                    value: Value::Object(entries),
                    ..
                }) => {
                    let fits = |name: &String| {
                        let mut entries = entries.iter();
                        entries.any(|entry| entry.key == *name && is_plain(&entry.node))
                    };
                    entries.len() == names.len() && names.iter().all(fits)
                }
                Part::Object(body) => {
                    let fits = |name: &String| {
                        body.members.iter().any(|member| match &member.part {
                            Part::Node(node) => member.name == name && is_plain(node),
                            Part::Object(_) | Part::List { .. } => false,
                        })
                    };
                    body.members.len() == names.len() && names.iter().all(fits)
                }
                Part::Node(_) | Part::List { .. } => false,
            }
    }
}

/// Whether a text has none of the characters that ill values are made of, and one that is seen.
fn is_plain(text: &str) -> bool {
    let mut last = b' ';
    let (mut plain, mut seen, mut odd) = (true, false, false);
    for byte in text.bytes() {
        plain &= byte >= b' ' && byte != b'[' && byte != b'{' && (byte != b' ' || last != b' ');
        seen |= byte.is_ascii_graphic();
        // The first bytes of what could be a blank or a line break beyond ASCII.
        odd |= matches!(byte, 0xc2 | 0xe1..=0xe3 | 0xef);
        last = byte;
    }
    plain
        && (seen || text.chars().any(is_seen))
        && !(odd && text.contains(['\u{85}', '\u{2028}', '\u{2029}']))
}

/// Whether a character is more than room between others.
fn is_seen(char: char) -> bool {
    !char.is_whitespace() && !matches!(char, '\u{200b}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parts::Parts;
    use super::super::{Template, Templates};
    use super::*;
    use crate::batch::terms::Needs;
    use crate::batch::values::View;

    /// Whether `template` takes these placeholders plainly, and whether its schema takes them.
    fn taken(template: &Template, placeholders: &str) -> (bool, bool) {
        taken_as(template, placeholders, &[])
    }

    /// The same in a file that declares names of its own.
    fn taken_as(template: &Template, placeholders: &str, declared: &[String]) -> (bool, bool) {
        let node = Node::parse(placeholders.as_bytes()).expect("JSON");
        let parts = Parts {
            declared,
            ..Parts::new([Some(&node), None, None, None, None])
        };
        let (said, _) = parts.gather(&template.shape);
        let plain = template.shape.takes_plainly(&said);
        (plain, template.validator.is_valid(View::Row(&said)))
    }

    const PLAIN: &str = r#"{"name":"t","language":"en","status":"APPROVED","category":"UTILITY",
        "components":[{"type":"BODY","text":"Hello {{1}}, it is {{2}}."}]}"#;

    proptest! {
        /// Were the quick look laxer than the schema, WhatsApp would refuse what was taken here.
        #[test]
        fn what_is_plain_passes_the_schema(
            text in r"([ a-z\[\]{}\n\r\t\x0b\x0c]|é| {4,6}|\[\[x\]\]|\{\{y\}\}|[\u{85}\u{a0}\u{200b}\u{2028}\u{2029}\u{2060}\u{3000}\u{feff}]){0,12}",
            other in prop::sample::select(vec!["\"2\": \"x\"", "\"3\": \"x\"", "\"2\": 5", "\"2\": \"\""]),
        ) {
            let (templates, problems) = Templates::parse(&[("t.json".into(), PLAIN.into())]);
            prop_assert!(problems.is_empty(), "{problems:?}");
            let template = templates.get("t", "en").expect("the template");
            let value = serde_json::to_string(&text).expect("texts are JSON");
            let row = format!("{{\"1\": {value}, {other}}}");
            let (plain, valid) = taken(template, &row);
            prop_assert!(!plain || valid, "{row}");
        }
    }

    const NAMED: &str = r#"{"name":"t","language":"en","status":"APPROVED","category":"UTILITY",
        "parameter_format":"NAMED",
        "components":[{"type":"BODY","text":"Hello {{a}}, it is {{b}} and {{1}}."}]}"#;
    const NUMBERED: &str = r#"{"name":"t","language":"en","status":"APPROVED","category":"UTILITY",
        "components":[{"type":"BODY","text":"Hello {{1}}, it is {{2}} and {{3}}."}]}"#;

    proptest! {
        /// A value that is lost is a message that says something else than its sender wrote.
        #[test]
        fn no_value_is_lost_whatever_the_file_calls_it(
            named: bool,
            declared in prop::collection::vec(prop::sample::select(vec!["a", "b", "1", "2", "3", "x"]), 0..4),
            values in prop::collection::vec("[a-z]{1,3}", 2..5),
            names in prop::option::of(prop::sample::subsequence(vec!["1", "2", "3", "a", "b", "x"], 2..5)),
        ) {
            let text = if named { NAMED } else { NUMBERED };
            let (templates, _) = Templates::parse(&[("t.json".into(), text.into())]);
            let template = templates.get("t", "en").expect("the template");
            let declared: Vec<String> = declared.into_iter().map(str::to_owned).collect();
            let row = match names {
                None => serde_json::json!(values),
                Some(names) => names.into_iter().zip(values.clone()).collect(),
            };
            let text = row.to_string();
            let (plain, valid) = taken_as(template, &text, &declared);
            prop_assert!(!plain || valid, "{text}");
            let node = Node::parse(text.as_bytes()).expect("JSON");
            let parts = Parts {
                declared: &declared,
                ..Parts::new([Some(&node), None, None, None, None])
            };
            if let Ok(filling) = template.fill(&parts, Needs::default()) {
                let mut sent: Vec<&str> = filling.body.iter().map(|it| it.text.as_str()).collect();
                let list = row.as_array().into_iter().flatten();
                let members = row.as_object().into_iter().flatten().map(|(_, it)| it);
                let texts = list.chain(members).filter_map(|it| it.as_str());
                let mut said: Vec<&str> = texts.collect();
                if !named && row.is_array() {
                    prop_assert_eq!(&sent, &said);
                }
                sent.sort_unstable();
                said.sort_unstable();
                prop_assert_eq!(sent, said);
            }
        }
    }

    /// What most rows say must not be read slowly, however they say it.
    #[test]
    fn ordinary_texts_are_plain() {
        let (templates, _) = Templates::parse(&[("t.json".into(), PLAIN.into())]);
        let template = templates.get("t", "en").expect("the template");
        for row in [r#"{"2": "noon", "1": "Ana"}"#, r#"["Ana", "noon"]"#] {
            assert_eq!(taken(template, row), (true, true), "{row}");
        }
        for text in [
            "Ana",
            "Monday 23 November",
            "12:30 – 14:00",
            "Zoë",
            "مرحبا بكم",
            "こんにちは",
            "a\u{a0}b",
        ] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "",
            "a  b",
            "[[x]]",
            "{{x}}",
            "a\nb",
            "a\tb",
            "\u{a0}",
            "\u{200b}",
            "a\u{2028}",
            "a\u{85}",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
