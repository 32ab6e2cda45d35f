//! What the stand-in checks in a message without a template: Bird's own closed forms, and the
//! limits that WhatsApp sets to what they become.

use serde_json::Value as Json;

use super::shape::{Findings, within};

/// The longest text alone, and beneath a file or above something to tap, in characters.
const TEXT_CHARS_MAX: usize = 4096;
const CAPTION_CHARS_MAX: usize = 1024;
/// The most buttons of a message and rows of a list, and what stands on them, in characters.
const BUTTONS_MAX: usize = 3;
const ROWS_MAX: usize = 10;
const BUTTON_CHARS_MAX: usize = 20;
const ROW_CHARS_MAX: usize = 24;
const DESCRIPTION_CHARS_MAX: usize = 72;

/// Bodies that the API knows and WhatsApp has no like of.
const UNSUPPORTED: [&str; 4] = ["html", "gif", "section", "authentication"];

/// Whether a body is one that cannot become a message of WhatsApp.
pub(super) fn is_unsupported(body: &Json) -> bool {
    let kind = body["type"].as_str().unwrap_or_default();
    UNSUPPORTED.contains(&kind)
}

/// Checks a `body`.
pub(super) fn check(body: &Json, findings: &mut Findings) {
    let Some(kind) = body["type"].as_str() else {
        findings.add("body.type", "missing");
        return;
    };
    findings.closed("body", body, (&["type", kind], 2));
    let (path, said) = (within("body", kind), &body[kind]);
    match kind {
        "text" => text(&path, said, findings),
        "image" => files(
            &path,
            said,
            ("images", &["mediaUrl", "altText"], 1),
            findings,
        ),
        "file" => {
            let members = ["mediaUrl", "contentType", "filename", "altText", "metadata"];
            files(&path, said, ("files", &members, 2), findings);
        }
        "location" => location(&path, said, findings),
        "list" => list(&path, said, findings),
        "carousel" => {
            let members = (["items", "text"].as_slice(), 2);
            findings.closed(&path, said, members);
        }
        kind if UNSUPPORTED.contains(&kind) => {}
        _ => findings.add("body.type", "not one of the types of a body"),
    }
}

fn text(path: &str, said: &Json, findings: &mut Findings) {
    let members = ["text", "actions", "attachments", "metadata"];
    findings.closed(path, said, (&members, 1));
    let actions = &said["actions"];
    let most = match actions {
        Json::Null => TEXT_CHARS_MAX,
        _ => CAPTION_CHARS_MAX,
    };
    findings.text(&within(path, "text"), &said["text"], (1, most));
    buttons(path, actions, findings);
}

fn files(
    path: &str,
    said: &Json,
    (list, members, needed): (&str, &[&str], usize),
    findings: &mut Findings,
) {
    findings.closed(path, said, (&[list, "text", "actions", "metadata"], 1));
    findings.text(&within(path, "text"), &said["text"], (0, CAPTION_CHARS_MAX));
    let path_of_list = within(path, list);
    let items = findings.items(&path_of_list, &said[list]);
    if items.is_empty() {
        findings.add(path_of_list.as_str(), "empty");
    }
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path_of_list}[{at}]");
        findings.closed(&path, item, (members, needed));
        findings.address(&within(&path, "mediaUrl"), &item["mediaUrl"]);
    }
    buttons(path, &said["actions"], findings);
}

fn location(path: &str, said: &Json, findings: &mut Findings) {
    findings.closed(path, said, (&["coordinates", "location"], 1));
    for (key, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let degrees = said["coordinates"][key].as_f64();
        if !degrees.is_some_and(|it| (-most..=most).contains(&it)) {
            findings.add(format!("{path}.coordinates.{key}"), "not such degrees");
        }
    }
    if !said["location"].is_null() {
        let path = within(path, "location");
        findings.closed(&path, &said["location"], (&["address", "label"], 0));
    }
}

fn list(path: &str, said: &Json, findings: &mut Findings) {
    let members = ["text", "title", "altText", "items", "actions", "metadata"];
    findings.closed(path, said, (&members, 1));
    findings.text(&within(path, "text"), &said["text"], (1, TEXT_CHARS_MAX));
    let label = &said["metadata"]["button"]["label"];
    let label_path = format!("{path}.metadata.button.label");
    findings.text(&label_path, label, (1, BUTTON_CHARS_MAX));
    let mut rows = 0;
    let sections = findings.items(&within(path, "items"), &said["items"]);
    for (at, section) in sections.iter().enumerate() {
        let path = format!("{path}.items[{at}]");
        let members = ["title", "description", "mediaUrl", "altText", "actions"];
        findings.closed(&path, section, (&members, 0));
        rows += actions(&path, &section["actions"], ROW_CHARS_MAX, findings);
    }
    rows += actions(path, &said["actions"], ROW_CHARS_MAX, findings);
    if !(1..=ROWS_MAX).contains(&rows) {
        findings.add(path, "not 1 to 10 rows");
    }
}

fn buttons(path: &str, list: &Json, findings: &mut Findings) {
    if actions(path, list, BUTTON_CHARS_MAX, findings) > BUTTONS_MAX {
        findings.add(within(path, "actions"), "more than 3 buttons");
    }
}

/// Checks a list of actions with words of at most so many characters; gives how many there are.
fn actions(path: &str, list: &Json, chars_max: usize, findings: &mut Findings) -> usize {
    let path = within(path, "actions");
    let items = findings.items(&path, list);
    for (at, item) in items.iter().enumerate() {
        let kind = item["type"].as_str().unwrap_or_default();
        let item_path = format!("{path}[{at}]");
        let path = within(&item_path, kind);
        let own = &item[kind];
        match kind {
            "link" => {
                findings.text(&within(&path, "text"), &own["text"], (1, chars_max));
                findings.address(&within(&path, "url"), &own["url"]);
            }
            "reply" | "postback" => {
                if own["text"].is_null() {
                    findings.add(within(&path, "text"), "missing");
                }
                findings.text(&within(&path, "text"), &own["text"], (1, chars_max));
                let label = &own["metadata"]["description"]["label"];
                let path = format!("{path}.metadata.description.label");
                findings.text(&path, label, (0, DESCRIPTION_CHARS_MAX));
            }
            "locationRequest" | "buy" => {}
            _ => findings.add(
                within(&item_path, "type"),
                "not one of the types of an action",
            ),
        }
    }
    items.len()
}
