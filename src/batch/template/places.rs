//! The places of a template that a text alone can fill, for providers that let authors name them.

use std::collections::BTreeMap;

use super::shape::{ButtonKind, HeaderKind};
use super::{Template, Variable};
use crate::batch::content::MediaKind;

/// The places of one template that a text can fill.
#[derive(Clone, Debug)]
pub(in crate::batch) struct Places<'t> {
    /// The names or numbers of the body's placeholders, in order.
    pub(in crate::batch) body: &'t [String],
    /// What the header asks for.
    pub(in crate::batch) header: HeaderNeed,
    /// The buttons whose link ends in a value.
    pub(in crate::batch) links: Vec<u8>,
    /// The buttons that copy a code.
    pub(in crate::batch) codes: Vec<u8>,
    /// The quick replies, with the words on them.
    pub(in crate::batch) replies: Vec<(u8, &'t String)>,
    variables: &'t BTreeMap<String, Variable>,
}

/// What a header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::batch) enum HeaderNeed {
    /// Nothing, or more than a text can say.
    None,
    /// The value of its placeholder.
    Text,
    /// The address of a file.
    File(MediaKind),
}

impl Template {
    /// The places that a text can fill.
    pub(in crate::batch) fn places(&self) -> Places<'_> {
        let face = &self.shape.face;
        let mut places = Places {
            body: self.names(),
            header: match &face.header {
                HeaderKind::Text(text) if !text.names.is_empty() => HeaderNeed::Text,
                HeaderKind::Media(kind) => HeaderNeed::File(*kind),
                _ => HeaderNeed::None,
            },
            links: Vec::new(),
            codes: Vec::new(),
            replies: Vec::new(),
            variables: &self.variables,
        };
        for (index, button) in (0_u8..).zip(&face.buttons) {
            match &button.kind {
                ButtonKind::Url(_) => places.links.push(index),
                ButtonKind::CopyCode(_) => places.codes.push(index),
                ButtonKind::QuickReply => places.replies.push((index, &button.label)),
                _ => {}
            }
        }
        places
    }
}

impl<'t> Places<'t> {
    /// The place that the template or its definition gives this name.
    pub(in crate::batch) fn of_name(&self, name: &str) -> Option<Variable> {
        if self.body.iter().any(|known| known == name) {
            return Some(Variable::Body(name.to_owned()));
        }
        self.variables.get(name).cloned()
    }

    /// Every name that a value can have.
    pub(in crate::batch) fn names(&self) -> impl Iterator<Item = &'t String> {
        let own = self.variables.keys();
        self.body
            .iter()
            .chain(own.filter(|name| !self.body.contains(name)))
    }
}
