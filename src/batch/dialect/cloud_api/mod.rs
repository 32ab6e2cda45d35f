//! A message of Meta's Cloud API, said in the native form. A file is one of them, an array of them
//! or one on each line; there is no head. The native reader knows what templates ask for and what
//! session messages may say.

use std::sync::LazyLock;

use super::guest::{Guest, Surroundings, Turned, given};
use super::judge::Judge;
use crate::batch::fault::{Code, Trouble};
use crate::batch::tree::Node;

mod parameters;
pub(super) mod template;
#[cfg(test)]
pub(super) mod tests;

pub(super) static GUEST: LazyLock<Guest> = LazyLock::new(|| Guest {
    head: None,
    row: Judge::new(include_str!("../../../../schemas/cloud-api.row.v1.json")),
    whole: None,
    turn_head: |_, _| Turned::default(),
    turn_row: row,
});

/// Keys of the message, and those of the native form. The last ones are no keys of the API, which
/// has the sender in its path and knows nothing of files.
const KEYS: [(&str, &str); 5] = [
    ("to", "to"),
    ("biz_opaque_callback_data", "callbackData"),
    ("recipient_identity_key_hash", "identityHash"),
    ("from", "from"),
    ("reference", "reference"),
];

/// What the native reader calls otherwise.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("; say it in the row or at the top", ""),
    ("`templateHeader`", "a component `header`"),
    ("`templateButtons`", "components `button`"),
    ("`templateCards`", "a component `carousel`"),
    ("`templateOffer`", "a component `limited_time_offer`"),
];

/// What a message can hold, by the word in `type`.
const CONTENTS: [&str; 11] = [
    "template",
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "reaction",
];

fn row<'a>(row: &Node<'a>, _around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    for (key, native) in KEYS {
        turned.copy(native, row.get(key));
    }
    turned.times(row);
    // Where both are named, the API takes the number.
    if let (Some(recipient), Some(_)) = (given(row, "recipient"), given(row, "to")) {
        turned.ignored.push(("recipient", recipient.at));
    }
    if let Some(context) = given(row, "context") {
        turned.copy("replyTo", context.get("message_id"));
    }
    content(row, &mut turned);
    turned
}

fn content<'a>(row: &Node<'a>, turned: &mut Turned<'a>) {
    let Some(named) = given(row, "type") else {
        return;
    };
    let word = named.text().unwrap_or_default();
    let Some(kind) = CONTENTS.into_iter().find(|kind| *kind == word) else {
        return;
    };
    for entry in row.entries() {
        let other = CONTENTS
            .iter()
            .find(|other| **other == entry.key && **other != kind);
        if let (Some(other), Some(_)) = (other, given(row, &entry.key)) {
            let expected = format!("only `{kind}`, which `type` names");
            let trouble = Trouble::new(Code::BatchBadValue, expected, format!("`{other}` too"));
            turned.misfit(
                entry.key_at,
                trouble.hint("write one message for each content"),
            );
        }
    }
    let Some(node) = given(row, kind) else {
        return;
    };
    if kind == "template" {
        template::turn(node, turned);
    } else {
        turned.put("type", named.clone());
        turned.put(kind, node.clone());
    }
}
