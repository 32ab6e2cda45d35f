//! What must hold of a content and cannot be said, or not be said well, in a JSON Schema: sums,
//! differences, and choices between two keys.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{Kind, Misfit};
use crate::batch::address::{self, Place};
use crate::batch::content::MediaKind;
use crate::batch::fault::{Code, Trouble};
use crate::batch::media;
use crate::batch::template::quoted_list;
use crate::batch::tree::{Node, Value};
use crate::batch::verbatim;

/// The most rows of a list in all of its sections.
const LIST_ROWS_MAX: usize = 10;
/// The most products of a message in all of its sections.
const PRODUCTS_MAX: usize = 30;

/// The rules that a content breaks. Where it has not even its form, the schema says so.
pub(super) fn broken(kind: Kind, node: &Node<'_>) -> Vec<Misfit> {
    let mut broken = Broken::default();
    match kind {
        Kind::Text => {}
        Kind::Media(kind) => broken.file(kind, node, &["link", "id", "file"]),
        Kind::Location => {
            for key in ["latitude", "longitude"] {
                if let Some(node) = member(node, key)
                    && node.text().is_some_and(|text| !is_within(key, text))
                {
                    broken.add(node, degrees(key, node));
                }
            }
        }
        Kind::Contacts => {
            items(node).for_each(|contact| broken.contact(contact));
            broken.misfits.extend(verbatim::changed(node));
        }
        Kind::Interactive => {
            broken.interactive(node);
            broken.misfits.extend(verbatim::changed(node));
        }
        Kind::Reaction => {
            let emoji = member(node, "emoji").and_then(|node| Some((node, node.text()?)));
            if let Some((node, text)) = emoji.filter(|(_, text)| !ONE_EMOJI.is_match(text)) {
                broken.add(node, no_emoji(text));
            }
        }
    }
    broken.misfits
}

/// What is said about a coordinate that is none.
pub(super) fn degrees(key: &str, node: &Node<'_>) -> Trouble {
    let most = if key == "latitude" { 90 } else { 180 };
    let expected = format!("degrees from -{most} to {most}, such as 52.3702");
    let (code, found) = match &node.value {
        Value::Number(_) => (Code::BatchBadValue, "another number"),
        Value::Text(text) if !text.is_empty() => (Code::BatchBadValue, "a text of another form"),
        _ => (Code::BatchWrongKind, node.kind()),
    };
    Trouble::new(code, expected, found)
}

/// The value of a key.
pub(super) fn member<'n>(node: &'n Node<'_>, key: &str) -> Option<&'n Node<'n>> {
    let Value::Object(entries) = &node.value else {
        return None;
    };
    let found = entries.iter().find(|entry| entry.key == key)?;
    Some(&found.node)
}

/// The value at the end of several keys.
fn deep<'n>(node: &'n Node<'_>, keys: &[&str]) -> Option<&'n Node<'n>> {
    keys.iter().try_fold(node, |node, key| member(node, key))
}

fn items<'n>(node: &'n Node<'_>) -> impl Iterator<Item = &'n Node<'n>> {
    let nodes: &'n [Node<'n>] = match &node.value {
        Value::List(nodes) => nodes,
        _ => &[],
    };
    nodes.iter()
}

/// The entries of a list beneath a key.
fn each<'n>(node: &'n Node<'_>, key: &str) -> impl Iterator<Item = &'n Node<'n>> {
    member(node, key).into_iter().flat_map(|node| items(node))
}

fn is_within(key: &str, text: &str) -> bool {
    let most = if key == "latitude" { 90.0 } else { 180.0 };
    let degrees: Result<f64, _> = text.parse();
    degrees.is_ok_and(|degrees| (-most..=most).contains(&degrees))
}

/// One emoji or none, after the Unicode Standard's own rule for what may be one: those that a later
/// year brings are taken too.
static ONE_EMOJI: LazyLock<Regex> = LazyLock::new(|| {
    let flag = r"\p{Regional_Indicator}{2}";
    let key = r"[0-9#*]\x{FE0F}?\x{20E3}";
    let part = r"\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\x{FE0F}|[\x{E0020}-\x{E007F}]+)?";
    let emoji = format!("^(?:{flag}|{key}|{part}(?:\u{200D}{part})*)?$");
    Regex::new(&emoji).expect("the expression is written here")
});

/// What is shown as a picture.
static PICTURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\p{Emoji_Presentation}|\x{FE0F}").expect("the expression is written here")
});

fn no_emoji(text: &str) -> Trouble {
    let expected = "one emoji, or an empty text to take it back";
    let found = match text.chars().count() {
        1 => "another character".into(),
        count => format!("{count} characters that are not one emoji"),
    };
    Trouble::new(Code::BatchBadValue, expected, found)
}

#[derive(Default)]
struct Broken {
    misfits: Vec<Misfit>,
}

impl Broken {
    fn add(&mut self, node: &Node<'_>, trouble: Trouble) {
        self.misfits.push(Misfit::new(node.at, trouble));
    }

    /// A file comes from one of these sources, and its ending fits its kind.
    fn file(&mut self, kind: MediaKind, node: &Node<'_>, sources: &[&str]) {
        if !matches!(node.value, Value::Object(_)) {
            return;
        }
        let given = sources.iter().filter(|key| member(node, key).is_some());
        let told = match given.count() {
            0 => Some((Code::MediaMissing, "none")),
            1 => None,
            _ => Some((Code::MediaSource, "several")),
        };
        if let Some((code, found)) = told {
            let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
            let expected = format!("one of {}", quoted_list(&sources));
            self.add(node, Trouble::new(code, expected, found));
        }
        if let Some(file) = member(node, "file").filter(|_| sources.contains(&"file"))
            && let Some(Err(trouble)) = file.text().map(media::named)
        {
            self.add(file, trouble);
        }
        if let Some(link) = member(node, "link")
            && let Some(text) = link.text()
            && let Err(trouble) = address::file(text, kind, Place::Message)
        {
            self.add(link, trouble);
        }
    }

    fn contact(&mut self, contact: &Node<'_>) {
        const PARTS: [&str; 5] = ["first_name", "last_name", "middle_name", "prefix", "suffix"];
        if let Some(name) = member(contact, "name")
            && matches!(name.value, Value::Object(_))
            && PARTS.iter().all(|part| member(name, part).is_none())
        {
            let expected = "a part of the name beside `formatted_name`, such as `first_name`";
            self.add(name, Trouble::new(Code::BatchMissingKey, expected, "none"));
        }
        for url in each(contact, "urls").filter_map(|url| member(url, "url")) {
            self.page(url);
        }
    }

    /// A link that people open.
    fn page(&mut self, node: &Node<'_>) {
        if let Some(text) = node.text()
            && let Err(trouble) = address::page(text)
        {
            self.add(node, trouble);
        }
    }

    fn interactive(&mut self, node: &Node<'_>) {
        for (name, kind) in [
            ("image", MediaKind::Image),
            ("video", MediaKind::Video),
            ("document", MediaKind::Document),
        ] {
            if let Some(file) = deep(node, &["header", name]) {
                self.file(kind, file, &["link", "id"]);
            }
        }
        let Some(action) = member(node, "action") else {
            return;
        };
        match member(node, "type").and_then(|node| node.text()) {
            Some("button") => {
                let replies = || each(action, "buttons").filter_map(|it| member(it, "reply"));
                self.distinct(replies(), "id", "an id that no other button has");
                self.distinct(replies(), "title", "a title that no other button has");
            }
            Some("list") => {
                let rows = || each(action, "sections").flat_map(|it| each(it, "rows"));
                self.sections(action, rows().count(), (LIST_ROWS_MAX, "rows"));
                self.distinct(rows(), "id", "an id that no other row has");
            }
            Some("product_list") => {
                let products = each(action, "sections").flat_map(|it| each(it, "product_items"));
                self.sections(action, products.count(), (PRODUCTS_MAX, "products"));
            }
            Some("cta_url") => {
                if let Some(url) = deep(action, &["parameters", "url"]) {
                    self.page(url);
                }
            }
            Some("flow") => self.flow(action),
            _ => {}
        }
    }

    /// Several sections each have a heading, and not too many entries in all.
    fn sections(&mut self, action: &Node<'_>, count: usize, limit: (usize, &str)) {
        let (most, what) = limit;
        if let Some(sections) = member(action, "sections").filter(|_| count > most) {
            let expected = format!("at most {most} {what} in all sections together");
            self.add(
                sections,
                Trouble::new(Code::SessionCount, expected, count.to_string()),
            );
        }
        if each(action, "sections").nth(1).is_none() {
            return;
        }
        for section in each(action, "sections") {
            if matches!(section.value, Value::Object(_)) && member(section, "title").is_none() {
                let expected = "`title` in each of several sections";
                self.add(
                    section,
                    Trouble::new(Code::BatchMissingKey, expected, "none"),
                );
            }
        }
    }

    /// No two entries have the same text under `key`.
    fn distinct<'n>(
        &mut self,
        entries: impl Iterator<Item = &'n Node<'n>>,
        key: &str,
        expected: &str,
    ) {
        let mut seen = HashSet::new();
        for node in entries.filter_map(|entry| member(entry, key)) {
            if let Some(text) = node.text()
                && !seen.insert(text.trim())
            {
                self.add(
                    node,
                    Trouble::new(Code::SessionDoubled, expected, "the same again"),
                );
            }
        }
    }

    fn flow(&mut self, action: &Node<'_>) {
        let Some(flow) = member(action, "parameters") else {
            return;
        };
        let (id, name) = (member(flow, "flow_id"), member(flow, "flow_name"));
        if matches!(flow.value, Value::Object(_)) && id.is_some() == name.is_some() {
            let expected = "either `flow_id` or `flow_name`";
            let trouble = match id {
                Some(_) => Trouble::new(Code::SessionType, expected, "both"),
                None => Trouble::new(Code::BatchMissingKey, expected, "none"),
            };
            self.add(flow, trouble);
        }
        if let Some(label) = member(flow, "flow_cta")
            && label.text().is_some_and(|text| PICTURE.is_match(text))
        {
            let expected = "a text without emoji";
            self.add(
                label,
                Trouble::new(Code::BatchBadValue, expected, "an emoji"),
            );
        }
    }
}
