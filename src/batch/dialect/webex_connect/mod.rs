//! A request of Webex Connect's messaging API, said in the native form: what stands beside its
//! destinations is the head, each destination a row. In an array or on lines each request is a row
//! of its own. `template` knows its templates, `session` what is said without one.

use std::sync::LazyLock;

use super::guest::{Guest, Surroundings, Turned, Whole, given, without_file_keys};
use super::judge::{self, Judge};
use crate::batch::fault::{Code, Trouble};
use crate::batch::tree::Node;

mod session;
mod template;
#[cfg(test)]
mod tests;

const HEAD: &str = include_str!("../../../../schemas/webex-connect.head.v1.json");
const ROW: &str = include_str!("../../../../schemas/webex-connect.row.v1.json");

pub(super) static GUEST: LazyLock<Guest> = LazyLock::new(|| Guest {
    head: Some(Judge::new(HEAD)),
    row: Judge::new(ROW),
    whole: Some(Whole {
        judge: Judge::new(&whole_schema()),
        turn: whole,
    }),
    turn_head: head,
    turn_row: |row, _| destination(row),
});

/// Keys of a request that have a native one of the same meaning.
const RENAMED: [(&str, &str); 5] = [
    ("callbackData", "callbackData"),
    ("correlationid", "reference"),
    ("notifyurl", "notifyUrl"),
    ("expiry", "expiresAt"),
    ("options", "urlOptions"),
];

/// What the native reader calls otherwise.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("; say it in the row or at the top", ""),
    ("`templateHeader`", "the header in `parameters`"),
    ("`templateButtons`", "the buttons in `parameters`"),
    ("`urlOptions`", "`options`"),
];

/// The schema of a whole request, with its one destination.
fn whole_schema() -> String {
    let parse = |text: &str| -> serde_json::Value {
        serde_json::from_str(text).expect("our own schemas are JSON")
    };
    let (mut request, mut destination) = (parse(HEAD), parse(ROW));
    without_file_keys(&mut request);
    destination[judge::ROW] = true.into();
    request["properties"]["destination"] = serde_json::json!({
        "description": "To whom.",
        "type": "array",
        "minItems": 1,
        "maxItems": 1,
        "x-expected": "one destination",
        "x-hint": "write one row for each recipient, so that each gets its own result",
        "items": destination,
    });
    if let Some(required) = request["required"].as_array_mut() {
        required.push("destination".into());
    }
    request.to_string()
}

/// What stands beside the destinations of a file.
fn head<'a>(head: &Node<'a>, around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = request(head, around);
    turned.for_file(head);
    turned
}

/// A request with its one destination.
fn whole<'a>(row: &Node<'a>, around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = request(row, around);
    let destinations = given(row, "destination").map(Node::items);
    if let Some([one, ..]) = destinations {
        let own = destination(one);
        turned.members.retain(|entry| !own.has(&entry.key));
        turned.members.extend(own.members);
        turned.ignored.extend(own.ignored);
    }
    turned
}

/// A request without its destinations.
fn request<'a>(node: &Node<'a>, around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    for (key, native) in RENAMED {
        turned.copy(native, given(node, key));
    }
    turned.times(node);
    turned.ignore(node, "notifyurlAuthId", "notifyurlAuthId");
    let channel = given(node, "channels").and_then(|it| given(it, "OTT-Messaging"));
    let whatsapp = channel.and_then(|it| given(it, "wa"));
    for place in [Some(node), channel, whatsapp].into_iter().flatten() {
        no_policy(place, &mut turned);
    }
    let hash = whatsapp.and_then(|it| given(it, "identity_key_hash"));
    turned.copy("identityHash", hash);
    if let Some(message) = given(node, "message") {
        template::turn(message, around, &mut turned);
    } else if let Some(whatsapp) = whatsapp {
        session::turn(whatsapp, &mut turned);
    }
    turned
}

/// A policy may stand beside the channels or in one of them.
fn no_policy(place: &Node<'_>, turned: &mut Turned<'_>) {
    if let Some(policy) = given(place, "contactPolicy") {
        let expected = "no `contactPolicy`";
        let trouble = Trouble::new(Code::BatchUnsupportedKey, expected, policy.kind());
        let hint = "it decides who gets the message and cannot be honoured: remove it";
        turned.misfit(policy.at, trouble.hint(hint));
    }
}

/// One recipient.
fn destination<'a>(node: &Node<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    let number = node
        .get("waid")
        .map(|waid| waid.items().first().unwrap_or(waid));
    turned.copy("to", number);
    turned.copy("reference", given(node, "correlationid"));
    for key in ["bsuid", "customerid"] {
        turned.ignore(node, key, key);
    }
    turned
}
