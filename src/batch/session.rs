//! What a message without a template says: a text, a file, a place, contact cards, something to
//! tap or a reaction, as a row and the top of its file name it together.
//!
//! `said` holds what they name, `form` finds which of it is meant, `words` finds the marks in it
//! and `given` their values, `check` holds it against `schemas/session.v1.json` and `rules` against
//! what no schema can say; `head` does once a file what need not be done for each row. Which keys
//! of which dialect mean which [`Member`] is for the dialects to know.

use super::Content;
use super::fault::Misfit;
use super::template::PLACEHOLDERS_MAX;
use super::tree::{NOWHERE, Node};
use form::Form;
use given::Given;
use said::Kept;
use words::Texts;

mod check;
mod form;
mod given;
mod head;
mod kind;
mod made;
mod rules;
mod said;
#[cfg(test)]
pub(super) mod tests;
mod words;

pub(super) use kind::Kind;
pub(super) use said::{Marks, Member, Said};

/// The most faults told of one message.
const FAULTS_MAX: usize = 100;

/// What the head of a file says about messages without a template, ready for its rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    kept: Kept,
    /// The file's own names for the placeholders, in order; empty if it declares none.
    declared: Vec<String>,
    /// Values for rows that give none.
    defaults: Vec<(String, Node<'static>)>,
    /// What each row says that says nothing itself; `None` where that depends on the row.
    ready: Option<Content>,
}

impl Session {
    /// Whether the head says something that can be sent.
    pub(super) fn says_something(&self) -> bool {
        self.kept.says_something()
    }

    /// The `type` that the head names.
    pub(super) fn kind(&self) -> Option<&str> {
        self.kept.slot(Member::Type)?.text()
    }

    /// What the recipient of one row will get.
    pub(super) fn fill<'b>(&'b self, said: &Said<'b>) -> Result<Content, Vec<Misfit>> {
        if let (Some(ready), true) = (&self.ready, said.is_silent()) {
            return Ok(ready.clone());
        }
        let clashes = said.clashes().iter();
        let mut misfits: Vec<Misfit> = clashes.map(|(_, misfit)| misfit.clone()).collect();
        let form = match Form::of(said, &self.kept, &mut misfits) {
            Some(form) if misfits.is_empty() => form,
            _ => return Err(sorted(misfits)),
        };
        let texts = Texts::of(&form, said.marks)?;
        // Names that the head declares are those of its own text.
        let declared: &[String] = match form.main_at() {
            NOWHERE => &self.declared,
            _ => &[],
        };
        let own = said.get(Member::Placeholders);
        let given = match Given::gather(&texts, own, declared, &self.defaults) {
            Ok(given) => given,
            Err(mut misfits) => {
                misfits.extend(check::unfilled(&form, &texts));
                return Err(sorted(misfits));
            }
        };
        let node = given.filled(&form, own.map_or(NOWHERE, |node| node.at));
        let misfits = check::all(form.kind, &node);
        if misfits.is_empty() {
            return Ok(made::content(form.kind, &node));
        }
        Err(sorted(misfits))
    }
}

/// Faults by their place, each once, as many as are told. What has no place of its own stands at
/// the start of the row, before the others.
fn sorted(mut misfits: Vec<Misfit>) -> Vec<Misfit> {
    misfits.sort_by_key(|misfit| misfit.at.wrapping_add(1));
    misfits.dedup();
    misfits.truncate(FAULTS_MAX);
    misfits
}
