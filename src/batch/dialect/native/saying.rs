//! Which keys of a row, or of the head, are its content when it names no template, and what is said
//! about them when it does. Exports have columns such as `name` and `address` for reasons of their
//! own: they mean something only beside a `type` that goes with them.

use super::Notes;
use super::keys::is_common;
use crate::batch::session::{Kind, Member, Said};
use crate::batch::tree::{Entry, Value};

/// Keys that could be content, with what each would mean.
pub(super) type Sayings<'n> = Vec<(Member, &'n Entry<'n>)>;

/// The `type` that is named among them.
pub(super) fn kind_of<'n>(sayings: &Sayings<'n>) -> Option<&'n str> {
    sayings
        .iter()
        .find(|(member, _)| *member == Member::Type)
        .and_then(|(_, entry)| entry.node.text())
}

/// Those that are content, for a row or head whose `type` is `kind`; the others are keys of the
/// tenant's own.
pub(super) fn said<'n>(
    sayings: &Sayings<'n>,
    kind: Option<&str>,
    strict: bool,
    notes: &mut Notes<'_>,
) -> Said<'n> {
    let mut said = Said::default();
    for (member, entry) in sayings {
        if is_meant(*member, entry, kind) {
            said.add(*member, entry.key_at, &entry.node);
        } else {
            notes.unknown_key(&entry.key, entry.key_at, strict);
        }
    }
    said
}

fn is_meant(member: Member, entry: &Entry<'_>, kind: Option<&str>) -> bool {
    let kind = kind.and_then(Kind::of);
    match member {
        _ if !is_common(&entry.key) => true,
        Member::Content(own) => {
            matches!(entry.node.value, Value::Object(_) | Value::List(_)) || kind == Some(own)
        }
        Member::Message => kind == Some(Kind::Text),
        Member::Filename => matches!(kind, Some(Kind::Media(_))),
        _ => kind == Some(Kind::Location),
    }
}

/// What is said about content beside a template, but for its text, which may be the approved one.
pub(super) fn beside_template(sayings: &Sayings<'_>, strict: bool, notes: &mut Notes<'_>) {
    for (member, entry) in sayings {
        let is_whole = matches!(entry.node.value, Value::Object(_) | Value::List(_));
        match member {
            Member::Message if entry.key == "message" => {}
            Member::PreviewUrl => {}
            Member::Type => match entry.node.text() {
                Some("text" | "template") => {}
                _ => notes.unsupported_key("type", entry.key_at),
            },
            Member::Caption => notes.unsupported_key("caption", entry.key_at),
            Member::Content(kind) if is_whole => {
                notes.unsupported_key(kind.as_str(), entry.key_at);
            }
            _ => notes.unknown_key(&entry.key, entry.key_at, strict),
        }
    }
}

/// The text that should be the approved one.
pub(super) fn text<'n>(sayings: &Sayings<'n>) -> Option<&'n Entry<'n>> {
    sayings
        .iter()
        .find(|(member, entry)| *member == Member::Message && entry.key == "message")
        .map(|(_, entry)| *entry)
}
