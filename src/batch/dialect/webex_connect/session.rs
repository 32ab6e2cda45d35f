//! What Webex Connect says without a template, as content of the Cloud API.

use std::borrow::Cow;

use crate::batch::dialect::guest::{Turned, at_place, given, object_at, word_at};
use crate::batch::fault::{Code, Trouble};
use crate::batch::tree::{Entry, Node, Value};

/// Kinds of the provider's and what they are in the Cloud API.
const KINDS: [(&str, &str); 10] = [
    ("text", "text"),
    ("image", "image"),
    ("video", "video"),
    ("audio", "audio"),
    ("document", "document"),
    ("sticker", "sticker"),
    ("location", "location"),
    ("contacts", "contacts"),
    ("list", "interactive"),
    ("reply", "interactive"),
];

/// Says what stands under `wa` in the native form.
pub(super) fn turn<'a>(whatsapp: &Node<'a>, turned: &mut Turned<'a>) {
    let Some(kind) = given(whatsapp, "type") else {
        return;
    };
    let word = kind.text().unwrap_or_default();
    if word == "hsm" {
        let trouble = Trouble::new(Code::BatchUnsupportedKey, "another kind", "`hsm`");
        let hint = "it is the old form of templates: name the template in `message`";
        turned.misfit(kind.at, trouble.hint(hint));
    }
    let known = KINDS.into_iter().find(|(known, _)| *known == word);
    let (Some((own, native)), Some(content)) = (known, given(whatsapp, word)) else {
        return;
    };
    let said = match own {
        "text" => text(content, given(whatsapp, "preview_url")),
        "location" => location(content),
        "contacts" => content.clone(),
        "list" => interactive(content, "list"),
        "reply" => interactive(content, "button"),
        _ => file(content),
    };
    turned.put("type", word_at(kind, native));
    turned.put(native, said);
}

fn text<'a>(content: &Node<'a>, preview: Option<&Node<'a>>) -> Node<'a> {
    let mut members: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
    members.extend(
        content
            .get("body")
            .map(|body| ("body".into(), body.clone())),
    );
    if let Some(preview) = preview {
        let flag = match preview.text() {
            Some(text) => at_place(preview, Value::Bool(text == "true")),
            None => preview.clone(),
        };
        members.push(("preview_url".into(), flag));
    }
    object_at(content, members)
}

/// A file, without what WhatsApp finds out by itself.
fn file<'a>(content: &Node<'a>) -> Node<'a> {
    let members = content.entries().iter().filter_map(|entry| {
        let key: Cow<'a, str> = match entry.key.as_ref() {
            "url" => "link".into(),
            "mimeType" | "provider" => return None,
            _ => entry.key.clone(),
        };
        Some((key, entry.node.clone()))
    });
    object_at(content, members)
}

/// A place; degrees may be texts.
fn location<'a>(content: &Node<'a>) -> Node<'a> {
    let members = content.entries().iter().map(|entry| {
        let degrees = match &entry.node.value {
            Value::Text(text) if matches!(entry.key.as_ref(), "latitude" | "longitude") => {
                text.parse::<f64>().ok().filter(|it| it.is_finite())
            }
            _ => None,
        };
        let node = match degrees {
            Some(degrees) => at_place(&entry.node, Value::Number(degrees.to_string().into())),
            None => entry.node.clone(),
        };
        (entry.key.clone(), node)
    });
    object_at(content, members)
}

/// A list or answers: the same parts as in the Cloud API, but for files in the header.
fn interactive<'a>(content: &Node<'a>, kind: &'static str) -> Node<'a> {
    let mut members: Vec<(Cow<'a, str>, Node<'a>)> = vec![("type".into(), word_at(content, kind))];
    for Entry { key, node, .. } in content.entries() {
        let node = match key.as_ref() {
            "header" if node.value != Value::Null => header(node),
            _ => node.clone(),
        };
        members.push((key.clone(), node));
    }
    object_at(content, members)
}

fn header<'a>(node: &Node<'a>) -> Node<'a> {
    let members = node.entries().iter().map(|entry| {
        let node = match entry.key.as_ref() {
            "image" | "video" | "document" => file(&entry.node),
            _ => entry.node.clone(),
        };
        (entry.key.clone(), node)
    });
    object_at(node, members)
}
