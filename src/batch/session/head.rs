//! What the head of a file says about messages without a template, read once for all rows. What
//! rows may still add is not missed here; what no row can mend is told at once.

use super::form::{Body, Form};
use super::given::{Given, not_text, unknown_name};
use super::words::Texts;
use super::{Kept, Member, Misfit, PLACEHOLDERS_MAX, Said, Session, check, made};
use crate::batch::Content;
use crate::batch::dialect::native::key_twice;
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::{quoted_list, resolve, too_many, unknown_hint};
use crate::batch::tree::{Entry, NOWHERE, Node, Value, duplicates};

/// The longest content that is said once for all rows: each of them is kept with it.
const CONTENT_BYTES_MAX: usize = 64 * 1024;

impl Session {
    /// Reads what the head says.
    pub(in crate::batch) fn prepare(said: &Said<'_>) -> (Self, Vec<Misfit>) {
        let mut session = Self {
            kept: said.kept(),
            ..Self::default()
        };
        let mut misfits = Vec::new();
        let names = session.content(said, &mut misfits);
        if let Some(node) = said.get(Member::Placeholders) {
            session.placeholders(node, names.as_deref(), &mut misfits);
        }
        let clashes = said.clashes().iter();
        misfits.extend(clashes.map(|(_, misfit)| misfit.clone()));
        (session, super::sorted(misfits))
    }

    /// Reads the content; gives the names of its placeholders if it has texts of its own.
    fn content(&mut self, row: &Said<'_>, misfits: &mut Vec<Misfit>) -> Option<Vec<String>> {
        let nothing = Kept::default();
        let mut found = Vec::new();
        let form = Form::of(row, &nothing, &mut found);
        // What rows have to say is not missed; keys without a type may be meant for rows of one.
        let is_typed = row.get(Member::Type).is_some() || row.content().is_some();
        let is_whole = found.is_empty();
        found.retain(|misfit| misfit.at != NOWHERE && is_typed);
        let is_told = !found.is_empty();
        misfits.append(&mut found);
        let form = form.filter(|_| !is_told)?;
        let texts = match Texts::of(&form, row.marks) {
            Ok(texts) => texts,
            Err(mut found) => {
                misfits.append(&mut found);
                return None;
            }
        };
        let mut found = check::unfilled(&form, &texts);
        found.retain(|misfit| misfit.at != NOWHERE);
        if let Body::Whole(node) = form.body
            && node.end - node.at > CONTENT_BYTES_MAX
        {
            let expected = format!("a content of at most {CONTENT_BYTES_MAX} bytes");
            found.push(Misfit::new(
                node.at,
                Trouble::new(Code::SessionLength, expected, "a longer one"),
            ));
        }
        let is_sound = found.is_empty();
        misfits.append(&mut found);
        if is_whole && is_sound && texts.names.is_empty() {
            self.ready = ready(&form, &texts);
        }
        Some(texts.names)
    }

    /// The names of the placeholders, or values for rows that give none.
    fn placeholders(
        &mut self,
        node: &Node<'_>,
        names: Option<&[String]>,
        misfits: &mut Vec<Misfit>,
    ) {
        match &node.value {
            Value::List(nodes) if nodes.len() > PLACEHOLDERS_MAX => {
                misfits.push(Misfit::new(node.at, too_many(nodes.len())));
            }
            Value::Object(entries) if entries.len() > PLACEHOLDERS_MAX => {
                misfits.push(Misfit::new(node.at, too_many(entries.len())));
            }
            Value::List(nodes) => self.declared = declared(node.at, nodes, names, misfits),
            Value::Object(entries) => {
                defaults(entries, names, misfits);
                self.defaults = entries
                    .iter()
                    .map(|entry| (entry.key.to_string(), entry.node.uprooted()))
                    .collect();
            }
            _ => {
                let expected = "an array of names, or an object of values by name";
                let trouble = Trouble::new(Code::BatchWrongKind, expected, node.kind());
                misfits.push(Misfit::new(node.at, trouble));
            }
        }
    }
}

/// The content that needs nothing of a row; `None` if rows have to complete it.
fn ready(form: &Form<'_>, texts: &Texts) -> Option<Content> {
    let given = Given::gather(texts, None, &[], &[]).ok()?;
    let node = given.filled(form, NOWHERE);
    check::all(form.kind, &node)
        .is_empty()
        .then(|| made::content(form.kind, &node))
}

/// The names that the file declares, held against those in its texts.
fn declared(
    at: usize,
    nodes: &[Node<'_>],
    names: Option<&[String]>,
    misfits: &mut Vec<Misfit>,
) -> Vec<String> {
    let mut declared: Vec<String> = Vec::new();
    for node in nodes {
        match name(node, &declared) {
            Ok(name) => declared.push(name.to_owned()),
            Err(trouble) => misfits.push(Misfit::new(node.at, trouble)),
        }
    }
    let Some(names) = names.filter(|_| declared.len() == nodes.len()) else {
        return declared;
    };
    let expected = match names.len() {
        0 => "no names: the text has no placeholders".to_owned(),
        _ => format!("the names in the text: {}", quoted_list(names)),
    };
    let code = Code::TemplatePlaceholders;
    for (name, node) in declared.iter().zip(nodes) {
        if !names.contains(name) {
            let trouble = Trouble::new(code, expected.clone(), "another name");
            let hint = unknown_hint(name, names);
            misfits.push(Misfit::new(node.at, trouble.hint(hint)));
        }
    }
    if names.iter().any(|name| !declared.contains(name)) {
        let hint = "the text has a placeholder that this list does not name";
        let trouble = Trouble::new(code, expected, "not all of them").hint(hint);
        misfits.push(Misfit::new(at, trouble));
    }
    declared
}

fn name<'n>(node: &'n Node<'_>, declared: &[String]) -> Result<&'n str, Trouble> {
    let hint = "at the top `placeholders` lists the names; rows give the values";
    match node.text() {
        Some(text) if text.trim().is_empty() => {
            Err(Trouble::new(Code::BatchBadValue, "a text", "an empty text").hint(hint))
        }
        Some(text) if declared.iter().any(|known| known == text) => Err(Trouble::new(
            Code::TemplatePlaceholders,
            "each name once",
            "a name given twice",
        )),
        Some(text) => Ok(text),
        None => Err(Trouble::new(Code::BatchWrongKind, "a text", node.kind()).hint(hint)),
    }
}

/// Checks values for rows that give none.
fn defaults(entries: &[Entry<'_>], names: Option<&[String]>, misfits: &mut Vec<Misfit>) {
    for entry in duplicates(entries) {
        misfits.push(Misfit::new(entry.key_at, key_twice()));
    }
    for entry in entries {
        if entry.node.text().is_none() {
            misfits.push(Misfit::new(entry.node.at, not_text(&entry.node)));
        } else if let Some(names) = names
            && resolve(&entry.key, names, &[]).is_none()
        {
            let hint = unknown_hint(&entry.key, names);
            misfits.push(Misfit::new(entry.key_at, unknown_name(names).hint(hint)));
        }
    }
}
