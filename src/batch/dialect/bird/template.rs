//! A template of Bird's: found by its project or its name, filled by the names that its author
//! chose.

use crate::batch::dialect::guest::{Surroundings, Turned, at_place, given, unknown_id};
use crate::batch::dialect::parameters::{Named, Placed, Wish};
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::Template;
use crate::batch::tree::{Node, Value};

/// The only version that can be sent.
const LATEST: &str = "latest";

/// Says a `template` in the native form.
pub(super) fn turn<'a>(node: &Node<'a>, around: &Surroundings<'a>, turned: &mut Turned<'a>) {
    let language = given(node, "locale").map(language);
    let template = name(node, language.as_ref(), around, turned);
    turned.copy("templateLanguage", language.as_ref());
    let places = template.map(Template::places);
    let mut filling = Placed::default();
    if let Some((place, values)) = values(node, turned) {
        filling.place(values, places.as_ref(), turned);
        filling.say(place, turned);
    }
    if given(node, "version").and_then(Node::text) != Some(LATEST) {
        turned.ignore(node, "version", "template.version");
    }
    turned.ignore(node, "attachments", "template.attachments");
    turned.ignore(node, "settings", "template.settings");
    let links = given(node, "shortLinks");
    let enabled = links.and_then(|links| given(links, "enabled"));
    let is_off = enabled.is_some_and(|it| it.value == Value::Bool(false));
    if !is_off && !turned.has("shortLinks") {
        turned.copy("shortLinks", links);
    }
}

/// Names the template, and finds it where it is known.
fn name<'a>(
    node: &Node<'a>,
    language: Option<&Node<'a>>,
    around: &Surroundings<'a>,
    turned: &mut Turned<'a>,
) -> Option<&'a Template> {
    let text = |node: Option<&Node<'_>>| node.and_then(Node::text).map(str::to_owned);
    let known = around.templates;
    if let Some(name) = given(node, "name").filter(|name| name.text().is_some()) {
        turned.put("templateName", name.clone());
        let named = known.get(name.text()?, &text(language)?).map(AsRef::as_ref);
        same_project(node, name, around, turned);
        return named;
    }
    let project = given(node, "projectId")?;
    // A project has one id in all of its languages; which of them is meant, `locale` says.
    let Some(found) = known.by_id(project.text()?).first() else {
        turned.misfit(project.at, unknown_id());
        return None;
    };
    let name = Value::Text(found.name().into());
    turned.put("templateName", at_place(project, name));
    known.get(found.name(), &text(language)?).map(AsRef::as_ref)
}

/// Where both a project and a name are said, they must be of one template.
fn same_project<'a>(
    node: &Node<'a>,
    name: &Node<'a>,
    around: &Surroundings<'a>,
    turned: &mut Turned<'a>,
) {
    let Some(project) = given(node, "projectId") else {
        return;
    };
    let of_id = project.text().map(|id| around.templates.by_id(id));
    let [found, ..] = of_id.unwrap_or_default() else {
        turned.misfit(project.at, unknown_id());
        return;
    };
    if name.text() != Some(found.name()) {
        let expected = "`projectId` and `name` of one template";
        let trouble = Trouble::new(Code::TemplateUnknown, expected, "those of two");
        turned.misfit(project.at, trouble.hint("remove one of them"));
    }
}

/// A BCP 47 tag as the language code that templates have.
fn language<'a>(locale: &Node<'a>) -> Node<'a> {
    match locale.text() {
        Some(tag) if tag.contains('-') => {
            at_place(locale, Value::Text(tag.replace('-', "_").into()))
        }
        _ => locale.clone(),
    }
}

/// The values with their names, and where all of them stand.
fn values<'n, 'a>(
    node: &'n Node<'a>,
    turned: &mut Turned<'a>,
) -> Option<(&'n Node<'a>, Vec<Named<'a>>)> {
    let said = |key: &str| {
        let node = given(node, key)?;
        (!node.items().is_empty() || !node.entries().is_empty()).then_some(node)
    };
    match (said("parameters"), said("variables")) {
        (Some(_), Some(variables)) => {
            let expected = "`parameters` or `variables`";
            let trouble = Trouble::new(Code::BatchUnsupportedKey, expected, "both");
            turned.misfit(
                variables.at,
                trouble.hint("write all values under one of them"),
            );
            None
        }
        (Some(list), None) => Some((list, list.items().iter().filter_map(parameter).collect())),
        (None, Some(map)) => {
            let values = map.entries().iter().map(|entry| Named {
                name: entry.key.clone(),
                name_at: entry.key_at,
                node: entry.node.clone(),
                wish: Wish::Anywhere,
            });
            Some((map, values.collect()))
        }
        (None, None) => None,
    }
}

/// A typed value; numbers are texts as they are written. `None` where the schema has told why.
fn parameter<'a>(node: &Node<'a>) -> Option<Named<'a>> {
    let key = given(node, "key")?;
    let Value::Text(name) = &key.value else {
        return None;
    };
    let value = given(node, "value")?;
    let value = match &value.value {
        Value::Number(text) => at_place(value, Value::Text(text.clone())),
        _ => value.clone(),
    };
    Some(Named {
        name: name.clone(),
        name_at: key.at,
        node: value,
        wish: Wish::Anywhere,
    })
}
