//! How a filled template reads to its recipient, as plain text: what a dry run shows.

use super::Template;
use super::schema::media_word;
use super::shape::{ButtonKind, ButtonPart, Face, HeaderKind};
use crate::batch::content::{Button, ButtonValue, Header};
use crate::batch::{Filling, Parameter};

impl Template {
    /// What the recipient will read: header, body, footer, cards and buttons, each on lines of
    /// their own. Files and places stand in brackets.
    pub fn text(&self, filling: &Filling) -> String {
        let mut lines = Vec::new();
        let shape = &self.shape;
        lines.extend(header(&shape.face.header, filling.header.as_ref()));
        lines.push(body(&shape.face, &filling.body));
        if !shape.footer.is_empty() {
            lines.push(shape.footer.clone());
        }
        lines.extend(buttons(&shape.face, &filling.buttons));
        for (at, (face, card)) in shape.cards.iter().zip(&filling.cards).enumerate() {
            lines.push(format!("[card {}]", at + 1));
            lines.extend(header(&face.header, card.header.as_ref()));
            if !face.body.segments.is_empty() {
                lines.push(body(face, &card.body));
            }
            lines.extend(buttons(face, &card.buttons));
        }
        lines.join("\n")
    }
}

fn header(kind: &HeaderKind, filled: Option<&Header>) -> Option<String> {
    match kind {
        HeaderKind::None => None,
        HeaderKind::Text(text) => Some(text.filled(|_| match filled {
            Some(Header::Text(value)) => Some(value.text.as_str()),
            _ => None,
        })),
        HeaderKind::Media(kind) => Some(format!("[{}]", media_word(*kind))),
        HeaderKind::Location => Some("[location]".into()),
        HeaderKind::Product => Some("[product]".into()),
    }
}

fn body(face: &Face, values: &[Parameter]) -> String {
    face.body
        .filled(|at| values.get(at).map(|value| value.text.as_str()))
}

fn buttons(face: &Face, values: &[Button]) -> Vec<String> {
    let parts = face.buttons.iter().enumerate();
    parts
        .map(|(index, part)| {
            let value = values.iter().find(|it| usize::from(it.index) == index);
            button(part, value.map(|button| &button.value))
        })
        .collect()
}

/// A button's label, and what is behind it where that varies.
fn button(part: &ButtonPart, value: Option<&ButtonValue>) -> String {
    let label = match part.label.as_str() {
        "" => part.kind.types().last().copied().unwrap_or("button"),
        label => label,
    };
    let behind = match (&part.kind, value) {
        (ButtonKind::Url(link), Some(ButtonValue::Url(value))) => {
            format!(" {}{}", link.stem, value.text)
        }
        (ButtonKind::Fixed(behind), _) if !behind.is_empty() => format!(" {behind}"),
        (_, Some(ButtonValue::CopyCode(code))) => format!(" {code}"),
        _ => String::new(),
    };
    format!("[{label}]{behind}")
}
