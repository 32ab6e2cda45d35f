//! A message of Bird's Channels API, said in the native form. `template` knows its templates,
//! `session` what is said without one.

use std::sync::LazyLock;

use super::guest::{Guest, Surroundings, Turned, given, says_something};
use super::judge::Judge;
use crate::batch::tree::{Node, Value};

mod session;
mod template;
#[cfg(test)]
mod tests;

pub(super) static GUEST: LazyLock<Guest> = LazyLock::new(|| Guest {
    head: None,
    row: Judge::new(include_str!("../../../../schemas/bird.row.v1.json")),
    whole: None,
    turn_head: head,
    turn_row: row,
});

/// Keys without a meaning for WhatsApp or for this program, with the names they are told by.
const IGNORED: [(&str, &str); 3] = [
    ("sender", "sender"),
    ("enableLinkTracking", "enableLinkTracking"),
    ("ignoreGlobalHoldout", "ignoreGlobalHoldout"),
];

/// Keys that have a native one of the same meaning. The last two are no keys of Bird's.
const RENAMED: [(&str, &str); 7] = [
    ("reference", "reference"),
    ("scheduledFor", "scheduledAt"),
    ("validity", "validitySeconds"),
    ("tags", "tags"),
    ("shortLinks", "shortLinks"),
    ("sendWindow", "sendWindow"),
    ("priority", "priority"),
];

/// Flags that have a native key of the same meaning; `false` says what their absence says.
const FLAGS: [(&str, &str); 2] = [
    ("capFrequency", "frequencyCap"),
    ("ignoreQuietHours", "ignoreQuietHours"),
];

/// What the native reader calls otherwise.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("; say it in the row or at the top", ""),
    ("`templateHeader`", "a parameter for the header"),
    ("`templateButtons`", "parameters for the buttons"),
    ("`templateLanguage`", "`locale`"),
    ("`templateName`", "`name`"),
];

/// Each file of this dialect is rows alone.
fn head<'a>(_head: &Node<'a>, _around: &Surroundings<'a>) -> Turned<'a> {
    Turned::default()
}

fn row<'a>(row: &Node<'a>, around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    let contacts = given(row, "receiver").and_then(|it| given(it, "contacts"));
    if let Some([contact, ..]) = contacts.map(Node::items) {
        turned.copy("to", given(contact, "identifierValue"));
        for key in ["platformAddress", "platformAddressSelector"] {
            turned.ignore(contact, key, key);
        }
    }
    for (key, native) in RENAMED {
        turned.copy(native, given(row, key));
    }
    for (key, native) in FLAGS {
        let flag = given(row, key).filter(|flag| says_something(flag));
        turned.copy(native, flag);
    }
    turned.copy(
        "replyTo",
        given(row, "replyTo").and_then(|it| given(it, "id")),
    );
    let url = given(row, "notification").and_then(|it| given(it, "url"));
    turned.copy("notifyUrl", url);
    let own = given(row, "meta").and_then(|it| given(it, "extraInformation"));
    turned.copy("useCase", own.and_then(|it| given(it, "useCase")));
    for (key, manual) in IGNORED {
        turned.ignore(row, key, manual);
    }
    let is_object = |node: &&Node<'a>| matches!(node.value, Value::Object(_));
    if let Some(template) = given(row, "template").filter(is_object) {
        template::turn(template, around, &mut turned);
    } else if let Some(body) = given(row, "body").filter(is_object) {
        session::turn(body, &mut turned);
    }
    turned
}
