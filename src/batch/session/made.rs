//! Content that has passed every check becomes what providers are given.

use super::Kind;
use super::rules::member;
use crate::batch::Content;
use crate::batch::content::{Location, Media, MediaFile, MediaSource};
use crate::batch::media;
use crate::batch::tree::{Node, Value};
use crate::batch::verbatim::json;

/// What the recipient will get.
pub(super) fn content(kind: Kind, node: &Node<'_>) -> Content {
    match kind {
        Kind::Text => Content::Text {
            body: text(node, "body").unwrap_or_default(),
            preview_url: member(node, "preview_url")
                .is_some_and(|node| node.value == Value::Bool(true)),
        },
        Kind::Media(kind) => Content::Media {
            kind,
            media: Media {
                source: source(node),
                filename: text(node, "filename"),
            },
            caption: text(node, "caption").filter(|caption| !caption.is_empty()),
            voice: member(node, "voice").map(|node| node.value == Value::Bool(true)),
        },
        Kind::Location => Content::Location(Location {
            latitude: degrees(node, "latitude"),
            longitude: degrees(node, "longitude"),
            name: text(node, "name"),
            address: text(node, "address"),
        }),
        Kind::Contacts => Content::Contacts(json(node)),
        Kind::Interactive => Content::Interactive(json(node)),
        Kind::Reaction => Content::Reaction {
            message_id: text(node, "message_id").unwrap_or_default(),
            emoji: text(node, "emoji").unwrap_or_default(),
        },
    }
}

fn source(node: &Node<'_>) -> MediaSource {
    if let Some(Ok(name)) = member(node, "file").and_then(|file| file.text().map(media::named)) {
        return MediaSource::File(MediaFile::named(name));
    }
    match text(node, "link") {
        Some(link) => MediaSource::Link(link),
        None => MediaSource::Id(text(node, "id").unwrap_or_default()),
    }
}

fn text(node: &Node<'_>, key: &str) -> Option<String> {
    member(node, key)?.text().map(str::to_owned)
}

fn degrees(node: &Node<'_>, key: &str) -> f64 {
    let text = member(node, key).map(|node| match &node.value {
        Value::Text(text) | Value::Number(text) => text.parse(),
        _ => Ok(0.0),
    });
    text.and_then(Result::ok)
        .expect("the schema takes numbers and texts of digits only")
}
