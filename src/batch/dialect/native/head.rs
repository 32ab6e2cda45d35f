//! What a file says once for all of its rows.

mod placeholders;

use super::keys::{self, Key};
use super::{
    CALLBACK_DATA_CHARS_MAX, Defaults, Notes, Numeral, REFERENCE_CHARS_MAX, SessionText, expiry,
    flag, key_twice, number_for_text, other, own_text, sender, validity_ms, word, wrong_kind,
};
use crate::batch::fault::{Code, Fault, Trouble};
use crate::batch::read::{Checker, Head, OnInvalid};
use crate::batch::scan::Place;
use crate::batch::spot::{Pointer, Spot, Warnings};
use crate::batch::template::LookupTrouble;
use crate::batch::tree::{Node, Value};

/// One member of the head.
#[derive(Debug)]
pub(in crate::batch) struct HeadMember {
    /// Its key.
    pub(in crate::batch) key: String,
    /// Where the key begins.
    pub(in crate::batch) key_place: Place,
    /// Where the value begins.
    pub(in crate::batch) place: Place,
    /// The bytes of its value; `None` when the head is too long.
    pub(in crate::batch) bytes: Option<Vec<u8>>,
}

/// What was found in the head, and where, until all of it is read.
struct Reading<'a> {
    head: Head,
    row_count: Option<u64>,
    members: &'a [HeadMember],
    prefix: &'a [&'a str],
    faults: Vec<Fault>,
}

/// The head of a file, with its faults; `prefix` is where pointers to its keys begin. Also gives
/// how many rows the file says it has.
pub(in crate::batch) fn read_head(
    members: &[HeadMember],
    prefix: &[&str],
    checker: Checker<'_>,
    warnings: &mut Warnings,
) -> (Head, Option<u64>, Vec<Fault>) {
    let mut reading = Reading {
        head: Head::default(),
        row_count: None,
        members,
        prefix,
        faults: Vec::new(),
    };
    let mut declared: Option<(&HeadMember, Node<'_>)> = None;
    let mut seen: Vec<&str> = Vec::new();
    for member in members {
        let known = keys::known(&member.key);
        let name = known.map_or(member.key.as_str(), |(key, manual)| match key {
            // Several names for one reference may stand side by side; ranks decide.
            Key::Reference(_) => member.key.as_str(),
            _ => manual,
        });
        if seen.contains(&name) {
            reading.fault_at_key(member, key_twice());
            continue;
        }
        seen.push(name);
        let Some((key, manual)) = known else {
            let key = member.key.as_str();
            let spot = reading.spot(member);
            let mut notes = Notes {
                spot: Spot {
                    place: member.key_place,
                    ..spot
                },
                faults: Vec::new(),
                warnings,
            };
            notes.unknown_key(key, &[key], 0, checker.rules.strict);
            let found = notes.faults;
            reading.faults.extend(found);
            continue;
        };
        let Some(bytes) = &member.bytes else {
            reading.fault_at_key(member, head_too_long());
            continue;
        };
        let Some(node) = Node::parse(bytes) else {
            let trouble = Trouble::new(Code::JsonSyntax, "JSON", "something else");
            reading.fault_at_key(member, trouble);
            continue;
        };
        if node.value == Value::Null {
            continue;
        }
        if key == Key::Placeholders {
            declared = Some((member, node));
            continue;
        }
        reading.member(member, key, manual, &node, checker, warnings);
    }
    reading.template(checker);
    if let Some((member, node)) = declared {
        reading.placeholders(member, &node);
    }
    reading.approved_text();
    (reading.head, reading.row_count, reading.faults)
}

impl<'a> Reading<'a> {
    fn spot(&self, member: &'a HeadMember) -> Spot<'a> {
        Spot {
            bytes: member.bytes.as_deref().unwrap_or_default(),
            place: member.place,
            pointer: Pointer::Head(self.prefix),
        }
    }

    fn fault(&mut self, member: &'a HeadMember, trouble: Trouble, tail: &[&str], at: usize) {
        let mut keys = vec![member.key.as_str()];
        keys.extend(tail);
        let fault = self.spot(member).fault(trouble, &keys, at);
        self.faults.push(fault);
    }

    fn fault_at_key(&mut self, member: &'a HeadMember, trouble: Trouble) {
        let spot = self.spot(member);
        let fault = spot.fault_at(trouble, &[&member.key], member.key_place);
        self.faults.push(fault);
    }

    /// The member with this meaning, if the head has it.
    fn find(&self, key: Key) -> Option<&'a HeadMember> {
        self.members
            .iter()
            .find(|member| keys::known(&member.key).is_some_and(|(known, _)| known == key))
    }

    fn member(
        &mut self,
        member: &'a HeadMember,
        key: Key,
        manual: &str,
        node: &Node<'_>,
        checker: Checker<'_>,
        warnings: &mut Warnings,
    ) {
        let tail = [member.key.as_str()];
        let mut notes = Notes {
            spot: self.spot(member),
            faults: Vec::new(),
            warnings,
        };
        let defaults = &mut self.head.native;
        if !defaults.take(key, node, checker, (&tail, manual), &mut notes)
            && !self.for_file(key, node, &tail, &mut notes)
        {
            // Faults about the key itself stand at the key; only `priority` has a value to fault.
            if key != Key::Priority {
                notes.spot.place = member.key_place;
            }
            match key {
                Key::Content if matches!(node.value, Value::Object(_) | Value::List(_)) => {
                    notes.unsupported_key(manual, &tail, 0);
                }
                Key::Content => notes.unknown_key(&member.key, &tail, 0, checker.rules.strict),
                _ => notes.shared_key(key, manual, node, (&tail, 0)),
            }
        }
        let found = notes.faults;
        self.faults.extend(found);
    }

    /// Takes a key that is for the whole file; says whether it is one.
    fn for_file(
        &mut self,
        key: Key,
        node: &Node<'_>,
        tail: &[&str],
        notes: &mut Notes<'_>,
    ) -> bool {
        let head = &mut self.head;
        match key {
            Key::CampaignName => {
                if let Some(name) = notes.take(word(node), tail, node.at) {
                    head.campaign_name = name.into();
                }
            }
            Key::SelfNamed => {
                let read = own_text(node, REFERENCE_CHARS_MAX);
                if let Some((text, _)) = notes.take(read, tail, node.at) {
                    head.batch_key = text.into();
                }
            }
            Key::AllowDuplicate => {
                head.allow_duplicate = notes.take(flag(node), tail, node.at).unwrap_or_default();
            }
            Key::DryRun => {
                head.dry_run = notes.take(flag(node), tail, node.at).unwrap_or_default();
            }
            Key::OnInvalid => match node.text() {
                Some("skip") => head.on_invalid = OnInvalid::Skip,
                Some("reject") => head.on_invalid = OnInvalid::Reject,
                _ => {
                    let expected = "`skip` or `reject`";
                    let trouble = Trouble::new(Code::BatchBadValue, expected, other(node));
                    notes.fault(trouble, tail, node.at);
                }
            },
            Key::RowCount => match &node.value {
                Value::Number(text) if text.parse::<u64>().is_ok() => {
                    self.row_count = text.parse().ok();
                }
                _ => notes.fault(wrong_kind("a whole number of rows", node), tail, node.at),
            },
            Key::Data => {
                let trouble = wrong_kind("an array of rows", node);
                let hint = "write `\"data\": [ … ]`, also for one row";
                notes.fault(trouble.hint(hint), tail, node.at);
            }
            Key::To => {
                let trouble = Trouble::new(
                    Code::BatchUnsupportedKey,
                    "recipients in the rows",
                    "`to` beside them",
                );
                let hint = "it was ignored: each row names its own recipient";
                notes.warn(trouble.hint(hint), "to", tail, node.at);
            }
            _ => return false,
        }
        true
    }

    /// Finds the template that the head names, or says once why there is none.
    fn template(&mut self, checker: Checker<'_>) {
        let defaults = &mut self.head.native;
        let name = defaults.template_name.clone();
        let language = defaults.template_language.clone();
        match (name, language) {
            (Some(name), Some(language)) => match checker.templates.find(&name, &language) {
                Ok(template) => defaults.template = Some(template.clone()),
                Err(LookupTrouble::Name(trouble)) => {
                    let trouble = match checker.templates.resembled(&name) {
                        Some(near) if trouble.code == Code::TemplateUnknown => {
                            trouble.hint(format!("did you mean `{near}`?"))
                        }
                        _ => trouble,
                    };
                    self.fault_of(Key::TemplateName, trouble);
                }
                Err(LookupTrouble::Language(trouble)) => {
                    self.fault_of(Key::TemplateLanguage, trouble);
                }
            },
            (None, _) => {
                if let Some(text) = defaults.message.take().map(|text| plain(&text)) {
                    match SessionText::read(&text) {
                        Ok(text) => defaults.message = Some(text),
                        Err(trouble) => self.fault_of(Key::Message, trouble),
                    }
                }
            }
            (Some(_), None) => {}
        }
    }

    fn fault_of(&mut self, key: Key, trouble: Trouble) {
        if let Some(member) = self.find(key) {
            self.fault(member, trouble, &[], 0);
        }
    }

    /// A text beside a template must be the approved one.
    fn approved_text(&mut self) {
        let Defaults {
            template,
            message,
            declared,
            ..
        } = &self.head.native;
        if let (Some(template), Some(text)) = (template, message) {
            if !template.says(&plain(text), declared) {
                let trouble = text_changed();
                self.fault_of(Key::Message, trouble);
            }
            self.head.native.message = None;
        }
    }
}

impl Defaults {
    /// Takes a key that rows may have too; says whether it is one. `names` are where it stands and
    /// how manuals call it.
    fn take(
        &mut self,
        key: Key,
        node: &Node<'_>,
        checker: Checker<'_>,
        names: (&[&str], &str),
        notes: &mut Notes<'_>,
    ) -> bool {
        let (tail, manual) = names;
        match key {
            Key::From => {
                let read = sender(node, checker.rules);
                if let Some((phone, numeral)) = notes.take(read, tail, node.at) {
                    self.from = Some(phone);
                    if numeral == Numeral::Number {
                        notes.warn(number_for_text(), manual, tail, node.at);
                    }
                }
            }
            Key::TemplateName => {
                self.template_name = notes.take(word(node), tail, node.at).map(Into::into);
            }
            Key::TemplateLanguage => {
                self.template_language = notes.take(word(node), tail, node.at).map(Into::into);
            }
            Key::Message => match node.text() {
                // The text is read as a session text once it is known that no template is named.
                Some(text) => {
                    self.message = Some(SessionText {
                        segments: vec![super::Segment::Words(text.into())],
                        names: Vec::new(),
                    });
                }
                None => notes.fault(wrong_kind("a text", node), tail, node.at),
            },
            Key::PreviewUrl => {
                self.preview_url = notes.take(flag(node), tail, node.at).unwrap_or_default();
            }
            Key::ExpiresAt => {
                let read = expiry(node, checker.received_at);
                self.expires_at = notes.take(read, tail, node.at);
            }
            Key::ValiditySeconds => {
                self.validity_ms = notes.take(validity_ms(node), tail, node.at);
            }
            Key::Reference(rank) => {
                let read = own_text(node, REFERENCE_CHARS_MAX);
                if let Some((text, _)) = notes.take(read, tail, node.at)
                    && self.reference_rank.is_none_or(|other| rank < other)
                {
                    self.reference_rank = Some(rank);
                    self.reference = Some(text.into());
                }
            }
            Key::CallbackData => {
                let read = own_text(node, CALLBACK_DATA_CHARS_MAX);
                let read = notes.take(read, tail, node.at);
                self.callback_data = read.map(|(text, _)| text.into());
            }
            _ => return false,
        }
        true
    }
}

/// What is said when there is too much beside the rows.
pub(in crate::batch) fn head_too_long() -> Trouble {
    Trouble::new(
        Code::BatchHeadTooLong,
        "at most 1 MiB and 1000 keys beside the rows",
        "more",
    )
    .hint("values that differ from row to row belong in `data`")
}

/// What is said when the text beside a template is not the approved one.
pub(super) fn text_changed() -> Trouble {
    Trouble::new(
        Code::TemplateTextChanged,
        "the approved text of the template, or no `message` at all",
        "another text",
    )
    .hint("approved wording cannot be changed in the file; remove `message`")
}

/// A text of which nothing has been cut.
fn plain(text: &SessionText) -> String {
    match text.segments.as_slice() {
        [super::Segment::Words(words)] => words.clone(),
        _ => String::new(),
    }
}
