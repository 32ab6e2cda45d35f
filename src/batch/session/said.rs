//! What a row, or the top of a file, names of a message without a template.

use super::{Kind, Misfit};
use crate::batch::dialect::native::key_twice;
use crate::batch::fault::{Code, Trouble};
use crate::batch::tree::{Node, Value};

/// What a key says about a message without a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::batch) enum Member {
    /// The kind of message.
    Type,
    /// The text, or the address of the file.
    Message,
    /// The text beneath a file.
    Caption,
    /// The name of a document.
    Filename,
    /// Whether a link in the text is shown as a preview.
    PreviewUrl,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
    /// What a place is called.
    Name,
    /// The address of a place.
    Address,
    /// The names of placeholders, or values for them.
    Placeholders,
    /// The whole content, as in the Cloud API.
    Content(Kind),
}

impl Member {
    /// How many there are, all kinds of whole content taken as one.
    pub(super) const COUNT: usize = 11;

    /// What this key means in the native form. `None` for a key that says nothing of the sort.
    #[cfg(test)]
    pub(in crate::batch) fn of(key: &str) -> Option<Self> {
        Some(match key {
            "type" => Self::Type,
            "message" | "body" => Self::Message,
            "caption" => Self::Caption,
            "filename" => Self::Filename,
            "previewUrl" => Self::PreviewUrl,
            "latitude" => Self::Latitude,
            "longitude" => Self::Longitude,
            "name" => Self::Name,
            "address" => Self::Address,
            "placeholders" => Self::Placeholders,
            _ => Self::Content(Kind::of(key)?),
        })
    }

    /// Its place among all of them.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Type => 0,
            Self::Message => 1,
            Self::Caption => 2,
            Self::Filename => 3,
            Self::PreviewUrl => 4,
            Self::Latitude => 5,
            Self::Longitude => 6,
            Self::Name => 7,
            Self::Address => 8,
            Self::Placeholders => 9,
            Self::Content(_) => 10,
        }
    }

    /// Its name in the native form.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Message => "message",
            Self::Caption => "caption",
            Self::Filename => "filename",
            Self::PreviewUrl => "previewUrl",
            Self::Latitude => "latitude",
            Self::Longitude => "longitude",
            Self::Name => "name",
            Self::Address => "address",
            Self::Placeholders => "placeholders",
            Self::Content(kind) => kind.as_str(),
        }
    }
}

/// What one level of a file names.
#[derive(Clone, Debug)]
pub(super) struct Named<N> {
    slots: [Option<N>; Member::COUNT],
    /// The kind of the whole content, if there is one.
    whole: Option<Kind>,
}

impl<N> Default for Named<N> {
    fn default() -> Self {
        Self {
            slots: [const { None }; Member::COUNT],
            whole: None,
        }
    }
}

impl<N> Named<N> {
    pub(super) fn slot(&self, member: Member) -> Option<&N> {
        self.slots[member.index()].as_ref()
    }

    /// The whole content that is named, with its kind.
    pub(super) fn content(&self) -> Option<(Kind, &N)> {
        let kind = self.whole?;
        Some((kind, self.slot(Member::Content(kind))?))
    }

    /// Whether something is named that can be sent.
    pub(super) fn says_something(&self) -> bool {
        let sayings = [
            Member::Type,
            Member::Message,
            Member::Latitude,
            Member::Longitude,
        ];
        self.whole.is_some() || sayings.iter().any(|member| self.slot(*member).is_some())
    }
}

/// What the head names, kept for all of its rows.
pub(super) type Kept = Named<Node<'static>>;

/// What becomes of marks such as `[[name]]` in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::batch) enum Marks {
    /// Values stand in their place.
    #[default]
    Filled,
    /// They are words like any other, as in dialects that have no marks.
    Words,
}

/// What a row names, or the head while it is being read.
#[derive(Clone, Debug, Default)]
pub(in crate::batch) struct Said<'a> {
    /// What becomes of marks in its texts.
    pub(in crate::batch) marks: Marks,
    named: Named<&'a Node<'a>>,
    clashes: Vec<(Member, Misfit)>,
}

impl<'a> Said<'a> {
    /// Takes the value of a key, which begins at `key_at`. One that is `null` counts as absent.
    pub(in crate::batch) fn add(&mut self, member: Member, key_at: usize, node: &'a Node<'a>) {
        if node.value == Value::Null {
            return;
        }
        let slot = &mut self.named.slots[member.index()];
        if slot.is_some() {
            let trouble = match member {
                Member::Content(kind) if self.named.whole != Some(kind) => one_content(),
                _ => key_twice(),
            };
            self.clashes.push((member, Misfit::new(key_at, trouble)));
            return;
        }
        *slot = Some(node);
        if let Member::Content(kind) = member {
            self.named.whole = Some(kind);
        }
    }

    /// The value of a member.
    pub(in crate::batch) fn get(&self, member: Member) -> Option<&'a Node<'a>> {
        self.named.slot(member).copied()
    }

    /// Whether something is said that can be sent.
    pub(in crate::batch) fn says_something(&self) -> bool {
        self.named.says_something()
    }

    /// Whether nothing at all is said.
    pub(super) fn is_silent(&self) -> bool {
        self.clashes.is_empty() && self.named.slots.iter().all(Option::is_none)
    }

    pub(super) fn content(&self) -> Option<(Kind, &'a Node<'a>)> {
        self.named.content().map(|(kind, node)| (kind, *node))
    }

    /// What was said twice, and by which member.
    pub(super) fn clashes(&self) -> &[(Member, Misfit)] {
        &self.clashes
    }

    /// All of it, to outlive the bytes it was read from.
    pub(super) fn kept(&self) -> Kept {
        let mut kept = Kept {
            whole: self.named.whole,
            ..Kept::default()
        };
        for member in self.members() {
            kept.slots[member.index()] = self.get(member).map(Node::uprooted);
        }
        kept
    }

    /// Every member that can be named here.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + use<> {
        let flat = [
            Member::Type,
            Member::Message,
            Member::Caption,
            Member::Filename,
            Member::PreviewUrl,
            Member::Latitude,
            Member::Longitude,
            Member::Name,
            Member::Address,
            Member::Placeholders,
        ];
        flat.into_iter()
            .chain(self.named.whole.map(Member::Content))
    }
}

impl Kept {
    /// The same, as a row would name it.
    pub(super) fn as_said(&self) -> Said<'_> {
        let mut named = Named {
            whole: self.whole,
            ..Named::default()
        };
        for (slot, node) in named.slots.iter_mut().zip(&self.slots) {
            *slot = node.as_ref();
        }
        Said {
            named,
            ..Said::default()
        }
    }
}

/// What is said about a second content.
pub(super) fn one_content() -> Trouble {
    let expected = "one content: a text, a file, a place or another";
    Trouble::new(Code::SessionType, expected, "a second one").hint("remove one of the two")
}
