//! What a file says once for all of its rows.

mod placeholders;

use super::asked;
use super::hours;
use super::keys::{self, Key};
use super::saying::{self, Sayings};
use super::{
    CALLBACK_DATA_CHARS_MAX, Defaults, ID_CHARS_MAX, Notes, Numeral, REFERENCE_CHARS_MAX,
    defaults_elsewhere, disagreement, expiry, flag, key_twice, named_otherwise, number_for_text,
    other, own_text, schedule, sender, validity_ms, word, wrong_kind,
};
use crate::batch::fault::{Code, Fault, Trouble};
use crate::batch::read::{Checker, Head, OnDuplicate, OnInvalid};
use crate::batch::session::{Marks, Member, Session};
use crate::batch::spot::{Spot, Warnings};
use crate::batch::template::{LookupTrouble, Parts, keys_twice};
use crate::batch::tree::{Entry, Node, Value};
use crate::batch::values::ROW_KEYS;
use crate::batch::verbatim::changed;

/// The members of a head in the native form.
#[derive(Clone, Copy, Debug)]
pub(in crate::batch) struct Told<'a> {
    /// The members.
    pub(in crate::batch) entries: &'a [Entry<'a>],
    /// What marks in its texts are.
    pub(in crate::batch) marks: Marks,
}

/// What was found in the head until all of it is read.
struct Reading<'a, 'w> {
    head: Head,
    row_count: Option<u64>,
    entries: &'a [Entry<'a>],
    marks: Marks,
    /// What could be said without a template.
    sayings: Sayings<'a>,
    notes: Notes<'w>,
}

/// The head of a file, as it is `told` in the native form, with what is wrong in it. Also gives how
/// many rows the file says it has. Members that the spot has no bytes of are too long.
pub(in crate::batch) fn read_head(
    told: Told<'_>,
    spot: Spot<'_>,
    checker: Checker<'_>,
    warnings: &mut Warnings,
) -> (Head, Option<u64>, Vec<Fault>) {
    let Told { entries, marks } = told;
    let mut reading = Reading {
        head: Head::default(),
        row_count: None,
        entries,
        marks,
        sayings: Sayings::new(),
        notes: Notes::new(spot, warnings),
    };
    let mut declared: Option<&Entry<'_>> = None;
    let mut seen: Vec<&str> = Vec::new();
    for entry in entries {
        let known = keys::known(&entry.key);
        let name = known.map_or(entry.key.as_ref(), |(key, manual)| match key {
            // Several names for one reference may stand side by side; ranks decide.
            Key::Reference(_) => entry.key.as_ref(),
            _ => manual,
        });
        if seen.contains(&name) {
            reading.notes.fault(key_twice(), entry.key_at);
            continue;
        }
        seen.push(name);
        let Some((key, manual)) = known else {
            if keys::is_defaults(entry) {
                reading.notes.fault(defaults_elsewhere(), entry.key_at);
                continue;
            }
            let strict = checker.rules.strict;
            reading.notes.unknown_key(&entry.key, entry.key_at, strict);
            continue;
        };
        if spot.is_too_long(entry.key_at) {
            reading.notes.fault(head_too_long(), entry.key_at);
            continue;
        }
        if entry.node.value == Value::Null {
            continue;
        }
        if key == Key::Placeholders {
            declared = Some(entry);
            continue;
        }
        if let Key::Session(member) = key {
            reading.sayings.push((member, entry));
            continue;
        }
        reading.member(entry, key, manual, checker);
    }
    reading.template(checker);
    if reading.head.native.names_template() {
        reading.beside_template(checker);
    } else {
        reading.session(declared, checker);
    }
    if let Some(entry) = declared {
        let native = &mut reading.head.native;
        if native.names_template() || !native.session.says_something() {
            reading.placeholders(&entry.node);
        } else {
            // A row may still name a template of its own.
            let kept = native.parts.keep(0, &entry.node);
            reading.notes.misfits(kept.err().into_iter().collect());
        }
    }
    reading.parts(declared.map(|entry| &entry.node));
    reading.approved_text();
    (reading.head, reading.row_count, reading.notes.faults)
}

impl Reading<'_, '_> {
    fn member(&mut self, entry: &Entry<'_>, key: Key, manual: &str, checker: Checker<'_>) {
        let node = &entry.node;
        let notes = &mut self.notes;
        if let Key::Asked(asked) = key {
            let terms = checker.rules.terms.as_ref();
            asked::take((asked, entry), terms, &mut self.head.native.options, notes);
            return;
        }
        if self.head.native.take(key, node, checker, manual, notes) || self.for_file(key, node) {
            return;
        }
        let notes = &mut self.notes;
        match key {
            Key::CloudTemplate if matches!(node.value, Value::Object(_)) => {
                notes.unsupported_key(manual, entry.key_at);
            }
            Key::CloudTemplate if node.text().is_some() => {
                notes.fault(named_otherwise(), entry.key_at);
            }
            Key::CloudTemplate => {
                notes.unknown_key(&entry.key, entry.key_at, checker.rules.strict);
            }
            _ => notes.shared_key(key, manual, node, entry.key_at),
        }
    }

    /// Takes a key that is for the whole file; says whether it is one.
    fn for_file(&mut self, key: Key, node: &Node<'_>) -> bool {
        let head = &mut self.head;
        let notes = &mut self.notes;
        match key {
            Key::CampaignName => {
                if let Some(name) = notes.take(word(node), node.at) {
                    head.campaign_name = name.into();
                }
            }
            Key::SelfNamed => {
                let read = own_text(node, REFERENCE_CHARS_MAX);
                if let Some((text, _)) = notes.take(read, node.at) {
                    head.batch_key = text.into();
                }
            }
            Key::AllowDuplicate => {
                head.allow_duplicate = notes.take(flag(node), node.at).unwrap_or_default();
            }
            Key::DryRun => {
                head.dry_run = notes.take(flag(node), node.at).unwrap_or_default();
            }
            Key::OnInvalid => match node.text() {
                Some("skip") => head.on_invalid = OnInvalid::Skip,
                Some("reject") => head.on_invalid = OnInvalid::Reject,
                _ => {
                    let expected = "`skip` or `reject`";
                    let trouble = Trouble::new(Code::BatchBadValue, expected, other(node));
                    notes.fault(trouble, node.at);
                }
            },
            Key::OnDuplicateRecipient => {
                let read = on_duplicate(node);
                head.on_duplicate_recipient = notes.take(read, node.at).unwrap_or_default();
            }
            Key::OnDuplicateReference => {
                let read = on_duplicate(node);
                head.on_duplicate_reference = notes.take(read, node.at).unwrap_or_default();
            }
            Key::RowCount => match &node.value {
                Value::Number(text) if text.parse::<u64>().is_ok() => {
                    self.row_count = text.parse().ok();
                }
                _ => notes.fault(wrong_kind("a whole number of rows", node), node.at),
            },
            Key::Data => {
                let trouble = wrong_kind("an array of rows", node);
                let hint = "write `\"data\": [ … ]`, also for one row";
                notes.fault(trouble.hint(hint), node.at);
            }
            Key::To => {
                let trouble = Trouble::new(
                    Code::BatchUnsupportedKey,
                    "recipients in the rows",
                    "`to` beside them",
                );
                let hint = "it was ignored: each row names its own recipient";
                notes.warn(trouble.hint(hint), "to", node.at);
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
            (_, language) => {
                if let Some(id) = defaults.template_id.clone() {
                    match checker.templates.find_by_id(&id, language.as_deref()) {
                        Ok(template) => defaults.template = Some(template),
                        Err(trouble) => self.fault_of(Key::TemplateId, trouble),
                    }
                }
            }
        }
        self.named_twice(checker);
    }

    /// A name and an id side by side mean the same template.
    fn named_twice(&mut self, checker: Checker<'_>) {
        let native = &self.head.native;
        if let (Some(name), Some(id), Some(template)) =
            (&native.template_name, &native.template_id, &native.template)
            && let Some(trouble) = disagreement(template, (name, id), checker.templates)
        {
            self.fault_of(Key::TemplateId, trouble);
        }
    }

    /// Content beside a template is a mistake, but for its own text.
    fn beside_template(&mut self, checker: Checker<'_>) {
        let sayings = &self.sayings;
        saying::beside_template(sayings, checker.rules.strict, &mut self.notes);
        if let Some(Entry { node, .. }) = saying::text(sayings)
            && node.text().is_none()
        {
            self.notes.fault(wrong_kind("a text", node), node.at);
        }
    }

    /// Content without a template, and values for the marks in it.
    fn session(&mut self, declared: Option<&Entry<'_>>, checker: Checker<'_>) {
        let kind = saying::kind_of(&self.sayings);
        let strict = checker.rules.strict;
        let mut said = saying::said(&self.sayings, kind, strict, &mut self.notes);
        let says_something = said.says_something();
        if let Some(entry) = declared {
            said.add(Member::Placeholders, entry.key_at, &entry.node);
        }
        said.marks = self.marks;
        let (session, misfits) = Session::prepare(&said);
        self.head.native.session = session;
        // Values alone may be meant for templates that the rows name.
        if says_something {
            self.notes.misfits(misfits);
        }
    }

    /// Notes what is wrong with the member that has this meaning.
    fn fault_of(&mut self, key: Key, trouble: Trouble) {
        let is_it =
            |entry: &&Entry<'_>| keys::known(&entry.key).is_some_and(|(known, _)| known == key);
        if let Some(entry) = self.entries.iter().find(is_it) {
            self.notes.fault(trouble, entry.node.at);
        }
    }

    /// What is said to the template once for all rows must fit it as far as it goes.
    fn parts(&mut self, values: Option<&Node<'_>>) {
        let native = &self.head.native;
        let session = !native.names_template() && native.session.says_something();
        let mut parts = [None; ROW_KEYS.len()];
        // Beside a text they are its values, and looked through as such.
        let values = values.filter(|node| !session && matches!(node.value, Value::Object(_)));
        parts[0] = values;
        for entry in self.entries {
            let Some((Key::Part(place), manual)) = keys::known(&entry.key) else {
                continue;
            };
            if session && !entry.node.is_hollow() {
                self.notes.unsupported_key(manual, entry.key_at);
            } else {
                parts[place] = Some(&entry.node);
            }
        }
        let mut misfits: Vec<_> = match &self.head.native.template {
            Some(template) => template.check_head(&Parts::new(parts)),
            // No row looks through them again.
            None => parts.into_iter().flatten().flat_map(keys_twice).collect(),
        };
        // What buttons hand on as it is can be told where it stands, and once.
        for misfit in parts.into_iter().skip(2).flatten().flat_map(changed) {
            if !misfits.contains(&misfit) {
                misfits.push(misfit);
            }
        }
        self.notes.misfits(misfits);
    }

    /// A text beside a template must be the approved one.
    fn approved_text(&mut self) {
        let native = &self.head.native;
        if let Some(template) = &native.template
            && let Some(Entry { node, .. }) = saying::text(&self.sayings)
            && let Some(text) = node.text()
            && !template.says(text, &native.declared)
        {
            self.notes.fault(text_changed(), node.at);
        }
    }
}

impl Defaults {
    /// Whether the head names a template, alone or by its id.
    pub(super) fn names_template(&self) -> bool {
        self.template_name.is_some() || self.template_id.is_some()
    }

    /// Takes a key that rows may have too, `manual` to its readers; says whether it is one.
    fn take(
        &mut self,
        key: Key,
        node: &Node<'_>,
        checker: Checker<'_>,
        manual: &str,
        notes: &mut Notes<'_>,
    ) -> bool {
        match key {
            Key::From => {
                let read = sender(node, checker.rules);
                if let Some((phone, numeral)) = notes.take(read, node.at) {
                    self.from = Some(phone);
                    if numeral == Numeral::Number {
                        notes.warn(number_for_text(), manual, node.at);
                    }
                }
            }
            Key::TemplateName => {
                self.template_name = notes.take(word(node), node.at).map(Into::into);
            }
            Key::TemplateLanguage => {
                self.template_language = notes.take(word(node), node.at).map(Into::into);
            }
            Key::Part(place) => {
                let kept = self.parts.keep(place, node);
                notes.misfits(kept.err().into_iter().collect());
            }
            Key::TemplateId => {
                let read = own_text(node, ID_CHARS_MAX);
                self.template_id = notes.take(read, node.at).map(|(text, _)| text.into());
            }
            Key::ScheduledAt => {
                let read = schedule(node, checker.received_at);
                self.scheduled_at = notes.take(read, node.at).flatten();
            }
            Key::ExpiresAt => {
                let read = expiry(node, checker.received_at);
                self.expires_at = notes.take(read, node.at);
            }
            Key::ValiditySeconds => {
                self.validity_ms = notes.take(validity_ms(node), node.at);
            }
            Key::SendWindow => {
                let read = hours::window(node, &checker.rules.time_zone);
                self.send_window = read.map_err(|misfits| notes.misfits(misfits)).ok();
            }
            Key::Priority => self.priority = notes.take(hours::priority(node), node.at),
            Key::IgnoreQuietHours => self.ignore_quiet_hours = notes.take(flag(node), node.at),
            Key::Reference(rank) => {
                let read = own_text(node, REFERENCE_CHARS_MAX);
                if let Some((text, _)) = notes.take(read, node.at)
                    && self.reference_rank.is_none_or(|other| rank < other)
                {
                    self.reference_rank = Some(rank);
                    self.reference = Some(text.into());
                }
            }
            Key::CallbackData => {
                let read = own_text(node, CALLBACK_DATA_CHARS_MAX);
                let read = notes.take(read, node.at);
                self.callback_data = read.map(|(text, _)| text.into());
            }
            _ => return false,
        }
        true
    }
}

fn on_duplicate(node: &Node<'_>) -> Result<OnDuplicate, Trouble> {
    match node.text() {
        Some("send") => Ok(OnDuplicate::Send),
        Some("skip") => Ok(OnDuplicate::Skip),
        _ => {
            let expected = "`send` or `skip`";
            Err(Trouble::new(Code::BatchBadValue, expected, other(node)))
        }
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
