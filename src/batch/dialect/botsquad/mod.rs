//! A broadcast of Botsquad, said in the native form: the template with its references is the head,
//! each user a row. `references` puts the users' values in place.

use std::sync::LazyLock;

use super::cloud_api;
use super::guest::{Guest, Surroundings, Turned, object_at};
use super::judge::Judge;
use crate::batch::fault::{Code, Trouble};
use crate::batch::tree::Node;

mod references;
#[cfg(test)]
mod tests;

pub(super) static GUEST: LazyLock<Guest> = LazyLock::new(|| Guest {
    head: Some(Judge::new(include_str!(
        "../../../../schemas/botsquad.head.v1.json"
    ))),
    row: Judge::new(include_str!("../../../../schemas/botsquad.row.v1.json")),
    whole: None,
    turn_head: head,
    turn_row: row,
});

/// The names under which a user's number may stand.
const NUMBERS: [&str; 4] = ["phone", "phone_number", "address", "addr"];

/// What the native reader calls otherwise.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("; say it in the row or at the top", ""),
    ("`templateHeader`", "the component `header`"),
    ("`templateButtons`", "components of the type `button`"),
    ("`templateCards`", "the component `carousel`"),
    ("`templateOffer`", "the component `limited_time_offer`"),
];

fn head<'a>(head: &Node<'a>, _around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    turned.for_file(head);
    turned.times(head);
    if let Some(template) = head.get("template") {
        turned.copy("templateName", template.get("name"));
        let language = template.get("language");
        let code = language.and_then(|it| it.get("code"));
        turned.copy("templateLanguage", code.or(language));
        if let Some(components) = template.get("components") {
            references::check(components, &mut turned);
            // What is wrong with the components is told here, once for all users.
            turned.misfits.extend(said(template, components).misfits);
        }
    }
    if let Some(params) = head.get("params") {
        no_marks(params, &mut turned);
    }
    turned
}

fn row<'a>(row: &Node<'a>, around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    let mut numbers = row
        .entries()
        .iter()
        .filter(|it| NUMBERS.contains(&it.key.as_ref()));
    turned.copy("to", numbers.next().map(|entry| &entry.node));
    if let Some(second) = numbers.next() {
        let expected = "one of `phone`, `phone_number`, `address` and `addr`";
        let trouble = Trouble::new(Code::JsonDuplicateKey, expected, "a second one");
        turned.misfit(second.key_at, trouble.hint("remove one of them"));
    }
    let params = row.get("params");
    if let Some(params) = params {
        no_marks(params, &mut turned);
    }
    let template = around.head.get("template").unwrap_or(around.head);
    if let Some(components) = template.get("components") {
        let sources = references::Sources {
            own: params,
            defaults: around.head.get("params"),
            row_at: params.unwrap_or(row).at,
        };
        let filled = references::fill(components, &sources, &mut turned);
        turned.members.extend(said(template, &filled).members);
    }
    turned
}

/// What the components say in the native form: they are those of the Cloud API.
fn said<'a>(place: &Node<'_>, components: &Node<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    let components = ("components".into(), components.clone());
    cloud_api::template::turn(&object_at(place, [components]), &mut turned);
    turned
}

/// Values are put in place once; marks in them would be sent as they are, or filled again.
fn no_marks(params: &Node<'_>, turned: &mut Turned<'_>) {
    for entry in params.entries() {
        if entry.node.text().is_some_and(|text| text.contains("{{")) {
            let expected = "a value without `{{`";
            let trouble = Trouble::new(Code::ParameterMarks, expected, "a value with it");
            turned.misfit(
                entry.node.at,
                trouble.hint("references stand in the template only"),
            );
        }
    }
}
