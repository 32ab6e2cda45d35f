//! The kinds of messages without a template, by the names that the Cloud API gives them.

use crate::batch::content::MediaKind;

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::batch) enum Kind {
    /// A text.
    Text,
    /// A file.
    Media(MediaKind),
    /// A place on the map.
    Location,
    /// Contact cards.
    Contacts,
    /// Buttons, a list, a link, a flow or products.
    Interactive,
    /// An emoji under a message of the recipient's.
    Reaction,
}

impl Kind {
    /// Every kind, in the order in which people are told of them.
    pub(super) const ALL: [Self; 10] = [
        Self::Text,
        Self::Media(MediaKind::Image),
        Self::Media(MediaKind::Video),
        Self::Media(MediaKind::Audio),
        Self::Media(MediaKind::Document),
        Self::Media(MediaKind::Sticker),
        Self::Location,
        Self::Contacts,
        Self::Interactive,
        Self::Reaction,
    ];

    /// The kind of this name.
    pub(in crate::batch) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its name.
    pub(in crate::batch) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Media(kind) => media_name(kind),
            Self::Location => "location",
            Self::Contacts => "contacts",
            Self::Interactive => "interactive",
            Self::Reaction => "reaction",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(super) fn index(self) -> usize {
        let place = Self::ALL.into_iter().position(|kind| kind == self);
        place.expect("every kind that can be named is listed")
    }
}

/// The kinds of files that are messages by themselves; animations are only in headers.
const fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video | MediaKind::Gif => "video",
        MediaKind::Audio => "audio",
        MediaKind::Document => "document",
        MediaKind::Sticker => "sticker",
    }
}
