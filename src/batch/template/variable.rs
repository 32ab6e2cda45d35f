//! Providers that name a template's variables themselves have a place for each name.

use super::shape::Shape;

/// A place of a template that varies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The placeholder of the body with this name or number.
    Body(String),
    /// The header.
    Header,
    /// The button with this index.
    Button(u8),
}

impl Variable {
    /// Reads `body:<placeholder>`, `header` or `button:<index>`; `None` when the template has no
    /// such place.
    pub(super) fn read(text: &str, shape: &Shape) -> Option<Self> {
        let face = &shape.face;
        match text.split_once(':') {
            None if text == "header" => face.header_varies().then_some(Self::Header),
            Some(("body", name)) => face
                .body
                .position(name)
                .map(|_| Self::Body(name.to_owned())),
            Some(("button", index)) => {
                let index: u8 = index.parse().ok()?;
                let button = face.buttons.get(usize::from(index))?;
                button.kind.varies().then_some(Self::Button(index))
            }
            _ => None,
        }
    }
}
