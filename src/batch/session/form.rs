//! Which of all that a row and the head name is meant, and its content in the one form that is
//! checked: that of the Cloud API. What a row names wins over what the head names.

use super::said::{Kept, one_content};
use super::{Kind, Member, Misfit, Said};
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::quoted_list;
use crate::batch::tree::{Entry, NOWHERE, Node, Value};

/// The content of one message, with its marks.
#[derive(Debug)]
pub(super) struct Form<'b> {
    /// What kind it is.
    pub(super) kind: Kind,
    /// Whether it was given whole or by single keys.
    pub(super) body: Body<'b>,
}

/// Content, as it was given.
#[derive(Debug)]
pub(super) enum Body<'b> {
    /// As a whole object.
    Whole(&'b Node<'b>),
    /// By single keys, which are put into an object here.
    Flat(Node<'b>),
}

impl<'b> Form<'b> {
    /// Finds what is meant. `None` when that cannot be told, or part of it is missing; then why
    /// stands among the misfits.
    pub(super) fn of(
        row: &Said<'b>,
        head: &'b Kept,
        misfits: &mut Vec<Misfit>,
    ) -> Option<Form<'b>> {
        let head = head.as_said();
        let own = [Member::Message, Member::Latitude, Member::Longitude];
        let names_parts = own.iter().any(|member| row.get(*member).is_some());
        if row.content().is_some() {
            return whole(row, misfits);
        }
        let kind = match row.get(Member::Type) {
            Some(node) => Some(kind(node, misfits)?),
            None => None,
        };
        if let Some((of_head, node)) = head.content()
            && !names_parts
            && kind.is_none_or(|kind| kind == of_head)
        {
            clashes(row, misfits);
            let body = Body::Whole(node);
            return Some(Form {
                kind: of_head,
                body,
            });
        }
        let kind = match (kind, head.content(), head.get(Member::Type)) {
            (Some(kind), ..) => kind,
            (None, None, Some(node)) => self::kind(node, misfits)?,
            (None, ..) => {
                let kind = unnamed(row, &head);
                strays(kind, &head, misfits);
                kind
            }
        };
        // What the head says for rows of another type is not meant for one that names its own.
        strays(kind, row, misfits);
        flat(kind, row, &head, misfits)
    }

    /// The content.
    pub(super) fn node(&self) -> &Node<'b> {
        match &self.body {
            Body::Whole(node) => node,
            Body::Flat(node) => node,
        }
    }

    /// Where the text stands that tells what the marks are.
    pub(super) fn main_at(&self) -> usize {
        match &self.body {
            Body::Whole(node) => node.at,
            Body::Flat(node) => match &node.value {
                Value::Object(entries) => entries.first().map_or(NOWHERE, |entry| entry.node.at),
                _ => NOWHERE,
            },
        }
    }
}

/// The kind that is named.
fn kind(node: &Node<'_>, misfits: &mut Vec<Misfit>) -> Option<Kind> {
    let found = node.text().and_then(Kind::of);
    if found.is_none() {
        let names: Vec<String> = Kind::ALL.map(|kind| kind.as_str().to_owned()).into();
        let expected = format!("one of {}", quoted_list(&names));
        let found = match node.text() {
            Some(text) if !text.is_empty() => "another word",
            _ => node.kind(),
        };
        let mut trouble = Trouble::new(Code::SessionType, expected, found);
        let lower = node.text().map(str::to_ascii_lowercase).unwrap_or_default();
        if let Some(near) = Kind::of(lower.trim()) {
            trouble = trouble.hint(format!("did you mean `{}`?", near.as_str()));
        }
        misfits.push(Misfit::new(node.at, trouble));
    }
    found
}

/// The kind that single keys mean where none is named.
fn unnamed(row: &Said<'_>, head: &Said<'_>) -> Kind {
    let has = |said: &Said<'_>, member| said.get(member).is_some();
    let place = [Member::Latitude, Member::Longitude];
    let placed = |said| place.iter().any(|member| has(said, *member));
    if has(row, Member::Message) || !placed(row) && (has(head, Member::Message) || !placed(head)) {
        return Kind::Text;
    }
    Kind::Location
}

/// The whole content that a row names.
fn whole<'b>(row: &Said<'b>, misfits: &mut Vec<Misfit>) -> Option<Form<'b>> {
    let (of_object, node) = row.content()?;
    if let Some(named) = row.get(Member::Type)
        && kind(named, misfits)? != of_object
    {
        let expected = format!("`{}`, as the content beside it", of_object.as_str());
        let trouble = Trouble::new(Code::SessionType, expected, "another kind");
        misfits.push(Misfit::new(named.at, trouble));
    }
    for member in [Member::Message, Member::Latitude, Member::Longitude] {
        if let Some(node) = row.get(member) {
            misfits.push(Misfit::new(node.at, one_content()));
        }
    }
    clashes(row, misfits);
    let body = Body::Whole(node);
    Some(Form {
        kind: of_object,
        body,
    })
}

/// Single keys that change nothing beside a whole content, though they look as if they did.
fn clashes(row: &Said<'_>, misfits: &mut Vec<Misfit>) {
    for member in [Member::Caption, Member::Filename] {
        if let Some(node) = row.get(member) {
            let name = member.as_str();
            let expected = format!("`{name}` inside of the content");
            let trouble = Trouble::new(Code::SessionType, expected, format!("`{name}` beside it"));
            misfits.push(Misfit::new(node.at, trouble));
        }
    }
}

/// The members that single keys become, in the order of the Cloud API; the first is the main one.
fn parts(kind: Kind) -> &'static [(Member, &'static str)] {
    use crate::batch::content::MediaKind::{Document, Image, Video};
    const LINK: (Member, &str) = (Member::Message, "link");
    const CAPTION: (Member, &str) = (Member::Caption, "caption");
    match kind {
        Kind::Text => &[
            (Member::Message, "body"),
            (Member::PreviewUrl, "preview_url"),
        ],
        Kind::Media(Image | Video) => &[LINK, CAPTION],
        Kind::Media(Document) => &[LINK, CAPTION, (Member::Filename, "filename")],
        Kind::Media(_) => &[LINK],
        Kind::Location => &[
            (Member::Latitude, "latitude"),
            (Member::Longitude, "longitude"),
            (Member::Name, "name"),
            (Member::Address, "address"),
        ],
        Kind::Contacts | Kind::Interactive | Kind::Reaction => &[],
    }
}

fn flat<'b>(
    kind: Kind,
    row: &Said<'b>,
    head: &Said<'b>,
    misfits: &mut Vec<Misfit>,
) -> Option<Form<'b>> {
    let parts = parts(kind);
    if parts.is_empty() {
        let name = kind.as_str();
        let expected = format!("`{name}` with the content, as in the Cloud API");
        let trouble = Trouble::new(Code::BatchMissingKey, expected, "`type` alone");
        misfits.push(Misfit::new(NOWHERE, trouble));
        return None;
    }
    let entries: Vec<Entry<'b>> = parts
        .iter()
        .filter_map(|(member, key)| {
            let node = row.get(*member).or_else(|| head.get(*member))?;
            Some(Entry {
                key: (*key).into(),
                key_at: node.at,
                node: lent(node),
            })
        })
        .collect();
    if matches!(kind, Kind::Text | Kind::Media(_)) && entries.iter().all(|it| it.key != parts[0].1)
    {
        let expected = match kind {
            Kind::Text => "`message` with the text",
            _ => "`message` with the address of the file",
        };
        let trouble = Trouble::new(Code::BatchMissingKey, expected, "none");
        misfits.push(Misfit::new(NOWHERE, trouble));
        return None;
    }
    let body = Body::Flat(Node {
        at: NOWHERE,
        end: NOWHERE,
        value: Value::Object(entries),
    });
    Some(Form { kind, body })
}

/// Single keys that this kind of message does not have.
fn strays(kind: Kind, said: &Said<'_>, misfits: &mut Vec<Misfit>) {
    let fits = |member| parts(kind).iter().any(|(part, _)| *part == member);
    for member in [
        Member::Message,
        Member::Caption,
        Member::Filename,
        Member::Latitude,
        Member::Longitude,
    ] {
        if let Some(node) = said.get(member).filter(|_| !fits(member)) {
            misfits.push(Misfit::new(node.at, stray(kind, member)));
        }
    }
}

/// What is said about a key that this kind of message does not have.
fn stray(kind: Kind, member: Member) -> Trouble {
    let expected = format!("keys that a message of the type `{}` has", kind.as_str());
    let trouble = Trouble::new(
        Code::SessionType,
        expected,
        format!("`{}`", member.as_str()),
    );
    match member {
        Member::Caption => trouble.hint("only images, videos and documents have a caption"),
        Member::Filename => trouble.hint("only documents have a file name"),
        _ => trouble.hint("remove it, or write another `type`"),
    }
}

/// The same value, lent.
pub(super) fn lent<'b>(node: &'b Node<'_>) -> Node<'b> {
    let value = match &node.value {
        Value::Null => Value::Null,
        Value::Bool(it) => Value::Bool(*it),
        Value::Number(text) => Value::Number(text.as_ref().into()),
        Value::Text(text) => Value::Text(text.as_ref().into()),
        Value::List(nodes) => Value::List(nodes.iter().map(lent).collect()),
        Value::Object(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| Entry {
                    key: entry.key.as_ref().into(),
                    key_at: entry.key_at,
                    node: lent(&entry.node),
                })
                .collect(),
        ),
    };
    let (at, end) = (node.at, node.end);
    Node { at, end, value }
}
