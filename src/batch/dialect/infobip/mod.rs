//! Infobip's request for template messages, said in the native form. The rows stand in `messages`;
//! beside them stands little. The native reader knows what templates ask for.

use std::sync::LazyLock;

use super::guest::{Guest, Surroundings, Turned, copied, given};
use super::judge::Judge;
use crate::batch::tree::Node;

mod buttons;
mod template;
#[cfg(test)]
mod tests;

pub(super) static GUEST: LazyLock<Guest> = LazyLock::new(|| Guest {
    head: Some(Judge::new(include_str!(
        "../../../../schemas/infobip.head.v1.json"
    ))),
    row: Judge::new(include_str!("../../../../schemas/infobip.row.v1.json")),
    whole: None,
    turn_head: head,
    turn_row: row,
});

/// Keys of a row, and those of the native form.
const ROW_KEYS: [(&str, &str); 9] = [
    ("to", "to"),
    ("from", "from"),
    ("messageId", "reference"),
    ("callbackData", "callbackData"),
    ("notifyUrl", "notifyUrl"),
    ("urlOptions", "urlOptions"),
    ("smsFailover", "smsFailover"),
    ("entityId", "entityId"),
    ("applicationId", "applicationId"),
];

/// What the native reader calls otherwise.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("; say it in the row or at the top", ""),
    ("`templateHeader`", "`header` in `templateData`"),
    ("`templateButtons`", "`buttons` in `templateData`"),
    ("`templateCards`", "`carousel` in `templateData`"),
    ("`templateOffer`", "`limitedTimeOffer` in `templateData`"),
];

fn head<'a>(head: &Node<'a>, _around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    turned.copy("campaignName", head.get("bulkId"));
    turned.for_file(head);
    turned.times(head);
    turned
}

fn row<'a>(row: &Node<'a>, around: &Surroundings<'a>) -> Turned<'a> {
    let mut turned = Turned::default();
    for (key, native) in ROW_KEYS {
        turned.copy(native, row.get(key));
    }
    turned.times(row);
    if let Some(context) = given(row, "context") {
        turned.copy("replyTo", context.get("replyToMessageId"));
    }
    if let Some(content) = given(row, "content") {
        let name = copied(content, "templateName");
        let language = copied(content, "language");
        turned.copy("templateName", name.as_ref());
        turned.copy("templateLanguage", language.as_ref());
        let text = |node: &Option<Node<'a>>| Some(node.as_ref()?.text()?.to_owned());
        let known = text(&name).zip(text(&language));
        let known = known.and_then(|(name, language)| around.templates.get(&name, &language));
        if let Some(data) = given(content, "templateData") {
            template::turn(data, known.map(AsRef::as_ref), &mut turned);
        }
    }
    turned
}
