//! A template of Webex Connect's: found by its id, which each language has of its own, filled by
//! the names that its author chose, and by a few that are the provider's own.

use crate::batch::Moment;
use crate::batch::dialect::guest::{
    Surroundings, Turned, at_place, given, object_at, unknown_id, word_at,
};
use crate::batch::dialect::parameters::{Named, Placed, Wish};
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::{Places, Template, quoted_list};
use crate::batch::tree::{Entry, Node, Value};

/// The names that are the provider's own and stand for files in the header.
const FILES: [&str; 3] = ["image", "video", "document"];

/// Says a `message` in the native form.
pub(super) fn turn<'a>(message: &Node<'a>, around: &Surroundings<'a>, turned: &mut Turned<'a>) {
    let template = find(message, around, turned);
    let places = template.map(Template::places);
    let Some(parameters) = given(message, "parameters") else {
        return;
    };
    let mut filling = Placed::default();
    let mut values = Vec::new();
    for entry in parameters.entries() {
        let node = &entry.node;
        match entry.key.as_ref() {
            key if FILES.contains(&key) => file(entry, &mut filling, turned),
            "quickReply" => replies(node, places.as_ref(), &mut filling, turned),
            "otp" => values.extend(code(entry, places.as_ref())),
            _ => values.extend(value(entry)),
        }
    }
    filling.place(values, places.as_ref(), turned);
    filling.say(parameters, turned);
}

/// Finds the template and names it. One that is not known is told.
fn find<'a>(
    message: &Node<'a>,
    around: &Surroundings<'a>,
    turned: &mut Turned<'a>,
) -> Option<&'a Template> {
    let id = given(message, "template")?;
    let found = match around.templates.by_id(id.text()?) {
        [] => {
            turned.misfit(id.at, unknown_id());
            return None;
        }
        [one] => one,
        several => {
            let expected = "the id of a template in one language";
            let found = format!("an id that {} languages share", several.len());
            turned.misfit(id.at, Trouble::new(Code::TemplateLanguage, expected, found));
            return None;
        }
    };
    let name = Value::Text(found.name().into());
    turned.put("templateName", at_place(id, name));
    let language = Value::Text(found.language().into());
    turned.put("templateLanguage", at_place(id, language));
    Some(found)
}

/// A value under a name of the author's. `None` where the schema has told why.
fn value<'a>(entry: &Entry<'a>) -> Option<Named<'a>> {
    let node = &entry.node;
    let (node, wish) = match given(node, "type").and_then(Node::text) {
        Some("url") => (given(node, "payload")?.clone(), Wish::Link),
        Some("currency") => (currency(node)?, Wish::Body),
        Some("date_time") => (date_time(node)?, Wish::Body),
        _ => (node.clone(), Wish::Anywhere),
    };
    Some(Named {
        name: entry.key.clone(),
        name_at: entry.key_at,
        node,
        wish,
    })
}

fn currency<'a>(node: &Node<'a>) -> Option<Node<'a>> {
    let amount = given(node, "amount_1000")?;
    let thousandths: i64 = amount.text()?.parse().ok()?;
    let amount = at_place(amount, Value::Number(thousandths.to_string().into()));
    let members = [
        ("currency".into(), given(node, "currency_code")?.clone()),
        ("amount1000".into(), amount),
        ("fallback".into(), given(node, "fallback_value")?.clone()),
    ];
    Some(object_at(node, members))
}

fn date_time<'a>(node: &Node<'a>) -> Option<Node<'a>> {
    let mut members = vec![("fallback".into(), given(node, "fallback_value")?.clone())];
    let timestamp = given(node, "timestamp");
    let seconds = timestamp
        .and_then(Node::text)
        .and_then(|text| text.parse::<i64>().ok());
    if let (Some(timestamp), Some(ms)) = (timestamp, seconds.and_then(|it| it.checked_mul(1000))) {
        let moment = Value::Text(Moment::from_millis(ms).to_string().into());
        members.push(("dateTime".into(), at_place(timestamp, moment)));
    }
    Some(object_at(node, members))
}

/// The one-time code is the first placeholder of the body; the button takes it from there.
fn code<'a>(entry: &Entry<'a>, places: Option<&Places<'_>>) -> Option<Named<'a>> {
    let value = given(&entry.node, "value")?;
    let first = places.and_then(|places| places.body.first());
    Some(Named {
        name: first.map_or_else(|| entry.key.clone(), |name| name.clone().into()),
        name_at: entry.key_at,
        node: value.clone(),
        wish: Wish::Anywhere,
    })
}

fn file<'a>(entry: &Entry<'a>, filling: &mut Placed<'a>, turned: &mut Turned<'a>) {
    let node = &entry.node;
    let (Some(kind), Some(link)) = (
        FILES.into_iter().find(|kind| *kind == entry.key),
        given(node, "link"),
    ) else {
        return;
    };
    if filling.header.is_some() {
        let expected = "one of `image`, `video` and `document`";
        let trouble = Trouble::new(Code::JsonDuplicateKey, expected, "a second one");
        turned.misfit(entry.key_at, trouble.hint("a header shows one file"));
        return;
    }
    let mut members = vec![
        ("type".into(), word_at(node, kind)),
        ("url".into(), link.clone()),
    ];
    if let Some(name) = given(node, "filename") {
        members.push(("filename".into(), name.clone()));
    }
    filling.header = Some(object_at(node, members));
}

/// Quick replies find their buttons by the words on them; where the definition does not say
/// them, by their order.
fn replies<'a>(
    node: &Node<'a>,
    places: Option<&Places<'_>>,
    filling: &mut Placed<'a>,
    turned: &mut Turned<'a>,
) {
    let Some(places) = places else {
        return;
    };
    let mut free = places.replies.clone();
    for reply in node.items() {
        let (Some(label), Some(payload)) = (given(reply, "button_text"), given(reply, "payload"))
        else {
            continue;
        };
        let words = label.text().unwrap_or_default();
        let found = free
            .iter()
            .position(|(_, known)| known.as_str() == words)
            .or_else(|| free.iter().position(|(_, known)| known.is_empty()));
        if let Some(found) = found {
            let (index, _) = free.remove(found);
            filling.button(index, "quick-reply", payload);
            continue;
        }
        let known: Vec<String> = places.replies.iter().map(|(_, it)| (*it).clone()).collect();
        let expected = match known.len() {
            0 => "no `quickReply`: the template has none".into(),
            _ => format!(
                "the words on a quick reply of this template: {}",
                quoted_list(&known)
            ),
        };
        let trouble = Trouble::new(Code::ParameterUnknown, expected, "other words");
        turned.misfit(label.at, trouble);
    }
}
