//! What Bird says without a template, as content of the Cloud API. Bodies that WhatsApp has no
//! like of are told.

use crate::batch::dialect::guest::{Turned, at_place, given, object_at, word_at};
use crate::batch::fault::{Code, Trouble};
use crate::batch::tree::{Node, Value};

/// Bodies that are known and have no like in WhatsApp.
const KNOWN: [&str; 7] = [
    "html",
    "gif",
    "carousel",
    "section",
    "authentication",
    "template",
    "action",
];

type Members<'a> = Vec<(std::borrow::Cow<'a, str>, Node<'a>)>;

/// Says a `body` in the native form.
pub(super) fn turn<'a>(body: &Node<'a>, turned: &mut Turned<'a>) {
    let Some(kind) = given(body, "type") else {
        return;
    };
    let word = kind.text().unwrap_or_default();
    if let Some(known) = KNOWN.iter().find(|known| **known == word) {
        let expected = "`text`, `image`, `file`, `location` or `list`";
        let trouble = Trouble::new(Code::BatchUnsupportedKey, expected, format!("`{known}`"));
        let hint = "a session message of this kind cannot be sent; an approved template may do";
        turned.misfit(kind.at, trouble.hint(hint));
        return;
    }
    let Some(content) = given(body, word) else {
        return;
    };
    let said = match word {
        "text" => text(content, turned),
        "image" => image(content, turned),
        "file" => file(content, turned),
        "location" => location(content).map(|node| ("location", node)),
        "list" => list(content, turned).map(|node| ("interactive", node)),
        _ => None,
    };
    if let Some((native, node)) = said {
        turned.put("type", word_at(kind, native));
        turned.put(native, node);
    }
}

type Said<'a> = Option<(&'static str, Node<'a>)>;

fn text<'a>(content: &Node<'a>, turned: &mut Turned<'a>) -> Said<'a> {
    if has_actions(content) {
        return tappable(content, None, turned);
    }
    let mut members = Members::new();
    add(&mut members, "body", given(content, "text"));
    let whatsapp = given(content, "metadata").and_then(|it| given(it, "whatsapp"));
    let preview = whatsapp.and_then(|it| given(it, "previewUrl"));
    add(&mut members, "preview_url", preview);
    Some(("text", object_at(content, members)))
}

fn image<'a>(content: &Node<'a>, turned: &mut Turned<'a>) -> Said<'a> {
    let image = given(content, "images")?.items().first()?;
    media("image", image, content, turned)
}

fn file<'a>(content: &Node<'a>, turned: &mut Turned<'a>) -> Said<'a> {
    let file = given(content, "files")?.items().first()?;
    let media_type = given(file, "contentType")?.text()?.to_ascii_lowercase();
    let kind = match media_type.split('/').next() {
        Some("image") if media_type == "image/webp" => "sticker",
        Some("image") => "image",
        Some("video") => "video",
        Some("audio") => "audio",
        _ => "document",
    };
    media(kind, file, content, turned)
}

/// A file of one kind or another with the text and actions beneath it.
fn media<'a>(
    kind: &'static str,
    file: &Node<'a>,
    content: &Node<'a>,
    turned: &mut Turned<'a>,
) -> Said<'a> {
    let mut members = Members::new();
    add(&mut members, "link", given(file, "mediaUrl"));
    if kind == "document" {
        add(&mut members, "filename", given(file, "filename"));
    }
    let bare = matches!(kind, "audio" | "sticker");
    let actions = given(content, "actions").filter(|_| has_actions(content));
    if let (true, Some(beside)) = (bare, given(content, "text").or(actions)) {
        let expected = "nothing beside a sound or a sticker";
        let trouble = Trouble::new(Code::BatchUnsupportedKey, expected, beside.kind());
        let hint = "WhatsApp shows such a file alone: send the text as a message of its own";
        turned.misfit(beside.at, trouble.hint(hint));
        return None;
    }
    if actions.is_some() {
        let kind_of = ("type".into(), word_at(file, kind));
        let header = object_at(file, [kind_of, (kind.into(), object_at(file, members))]);
        return tappable(content, Some(header), turned);
    }
    add(&mut members, "caption", given(content, "text"));
    Some((kind, object_at(file, members)))
}

fn location<'a>(content: &Node<'a>) -> Option<Node<'a>> {
    let coordinates = given(content, "coordinates")?;
    let mut members = Members::new();
    add(&mut members, "latitude", given(coordinates, "latitude"));
    add(&mut members, "longitude", given(coordinates, "longitude"));
    let called = given(content, "location");
    let part = |key: &str| called.and_then(|it| given(it, key));
    add(&mut members, "name", part("label"));
    add(&mut members, "address", part("address"));
    Some(object_at(content, members))
}

/// A text, perhaps beneath a file, with something to tap.
fn tappable<'a>(content: &Node<'a>, header: Option<Node<'a>>, turned: &mut Turned<'a>) -> Said<'a> {
    let actions = given(content, "actions")?;
    let Some(text) = given(content, "text") else {
        let trouble = Trouble::new(Code::BatchMissingKey, "`text`", "none");
        turned.misfit(
            content.at,
            trouble.hint("WhatsApp shows actions beneath a text only"),
        );
        return None;
    };
    let kinds: Vec<&str> = actions.items().iter().filter_map(kind).collect();
    let (word, action) = match kinds.as_slice() {
        ["link"] => ("cta_url", link(&actions.items()[0])?),
        ["locationRequest"] if header.is_none() => {
            let name = ("name".into(), word_at(actions, "send_location"));
            ("location_request_message", object_at(actions, [name]))
        }
        answers if answers.iter().all(|kind| is_answer(kind)) => {
            let buttons = actions.items().iter().filter_map(button).collect();
            let buttons = at_place(actions, Value::List(buttons));
            ("button", object_at(actions, [("buttons".into(), buttons)]))
        }
        _ => {
            let expected = "up to three answers, or one link, or the request for a place";
            let found = "actions that WhatsApp cannot show together";
            turned.misfit(
                actions.at,
                Trouble::new(Code::BatchUnsupportedKey, expected, found),
            );
            return None;
        }
    };
    let mut members: Members<'a> = vec![("type".into(), word_at(actions, word))];
    members.extend(header.map(|header| ("header".into(), header)));
    members.push((
        "body".into(),
        object_at(text, [("text".into(), text.clone())]),
    ));
    members.push(("action".into(), action));
    Some(("interactive", object_at(content, members)))
}

fn list<'a>(content: &Node<'a>, turned: &mut Turned<'a>) -> Option<Node<'a>> {
    let text = given(content, "text")?;
    let mut members: Members<'a> = vec![("type".into(), word_at(content, "list"))];
    if let Some(title) = given(content, "title") {
        let header = [
            ("type".into(), word_at(title, "text")),
            ("text".into(), title.clone()),
        ];
        members.push(("header".into(), object_at(title, header)));
    }
    members.push((
        "body".into(),
        object_at(text, [("text".into(), text.clone())]),
    ));
    let mut sections = Vec::new();
    let items = given(content, "items").map(Node::items).unwrap_or_default();
    // Rows that stand beside the sections come first, without a title.
    let own = has_actions(content).then_some(content);
    for section in own.into_iter().chain(items) {
        let mut inner = Members::new();
        if !std::ptr::eq(section, content) {
            add(&mut inner, "title", given(section, "title"));
        }
        if let Some(rows) = given(section, "actions") {
            inner.push(("rows".into(), self::rows(rows, turned)));
        }
        sections.push(object_at(section, inner));
    }
    let button = given(content, "metadata").and_then(|it| given(it, "button"));
    let mut action = Members::new();
    add(
        &mut action,
        "button",
        button.and_then(|it| given(it, "label")),
    );
    let place = given(content, "items").unwrap_or(content);
    let sections = at_place(place, Value::List(sections));
    action.push(("sections".into(), sections));
    members.push(("action".into(), object_at(content, action)));
    Some(object_at(content, members))
}

fn rows<'a>(actions: &Node<'a>, turned: &mut Turned<'a>) -> Node<'a> {
    let mut rows = Vec::new();
    for action in actions.items() {
        if let Some(answer) = answer(action) {
            let mut members = Members::new();
            add(&mut members, "id", Some(id(answer)));
            add(&mut members, "title", given(answer, "text"));
            let description = given(answer, "metadata").and_then(|it| given(it, "description"));
            let label = description.and_then(|it| given(it, "label"));
            add(&mut members, "description", label);
            rows.push(object_at(action, members));
        } else if kind(action).is_some() {
            let expected = "`reply` or `postback`: the rows of a list are answers";
            let trouble = Trouble::new(Code::BatchUnsupportedKey, expected, "another action");
            turned.misfit(action.at, trouble);
        }
    }
    at_place(actions, Value::List(rows))
}

fn button<'a>(action: &Node<'a>) -> Option<Node<'a>> {
    let answer = answer(action)?;
    let mut members = Members::new();
    add(&mut members, "id", Some(id(answer)));
    add(&mut members, "title", given(answer, "text"));
    let reply = object_at(action, members);
    let kind = ("type".into(), word_at(action, "reply"));
    Some(object_at(action, [kind, ("reply".into(), reply)]))
}

fn link<'a>(action: &Node<'a>) -> Option<Node<'a>> {
    let link = given(action, "link")?;
    let mut members = Members::new();
    add(&mut members, "display_text", given(link, "text"));
    add(&mut members, "url", given(link, "url"));
    let name = ("name".into(), word_at(action, "cta_url"));
    let parameters = ("parameters".into(), object_at(link, members));
    Some(object_at(action, [name, parameters]))
}

/// What comes back when an answer is tapped: its payload, or its words.
fn id<'n, 'a>(answer: &'n Node<'a>) -> &'n Node<'a> {
    let payload = given(answer, "payload");
    let payload = payload.filter(|it| it.text().is_none_or(|text| !text.is_empty()));
    payload.or(given(answer, "text")).unwrap_or(answer)
}

fn answer<'n, 'a>(action: &'n Node<'a>) -> Option<&'n Node<'a>> {
    action.get(kind(action).filter(|kind| is_answer(kind))?)
}

fn kind<'n>(action: &'n Node<'_>) -> Option<&'n str> {
    given(action, "type")?.text()
}

fn is_answer(kind: &str) -> bool {
    matches!(kind, "reply" | "postback")
}

fn has_actions(content: &Node<'_>) -> bool {
    content
        .get("actions")
        .is_some_and(|it| !it.items().is_empty())
}

/// Adds a value that is there.
fn add<'a>(members: &mut Members<'a>, key: &'static str, node: Option<&Node<'a>>) {
    if let Some(node) = node.filter(|node| node.value != Value::Null) {
        members.push((key.into(), node.clone()));
    }
}
