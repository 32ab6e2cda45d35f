//! One row becomes a message, or faults.

use std::sync::Arc;

use super::asked;
use super::files;
use super::head::text_changed;
use super::hours;
use super::keys::{self, Key};
use super::saying::{self, Sayings};
use super::{
    CALLBACK_DATA_CHARS_MAX, ID_CHARS_MAX, Notes, Numeral, REFERENCE_CHARS_MAX, defaults_elsewhere,
    disagreement, expires_before_its_time, expiry, flag, key_twice, named_otherwise,
    number_for_text, own_text, phone, schedule, sender, validity_ms, word, wrong_kind,
};
use crate::batch::dialect::Dialect;
use crate::batch::fault::{Code, Fault, Misfit, Trouble};
use crate::batch::read::{BadRow, Checker, Head, Row};
use crate::batch::session::{Marks, Member};
use crate::batch::spot::{Spot, Warnings, sort};
use crate::batch::template::{LookupTrouble, Parts, Template};
use crate::batch::terms::{Asked, Part, Weight};
use crate::batch::tree::{Entry, Node, Value, duplicates};
use crate::batch::values::ROW_KEYS;
use crate::batch::{Content, Message, Moment, Options, Phone, Priority, SendWindow};

/// The keys of one row, by their meaning.
#[derive(Default)]
pub(super) struct Keys<'n> {
    to: Option<&'n Node<'n>>,
    from: Option<&'n Node<'n>>,
    reference: Option<(u8, &'n Entry<'n>)>,
    callback_data: Option<&'n Node<'n>>,
    template_name: Option<&'n Entry<'n>>,
    template_language: Option<&'n Entry<'n>>,
    /// What speaks to the template, in the order of `ROW_KEYS`.
    parts: [Option<&'n Entry<'n>>; ROW_KEYS.len()],
    template_id: Option<&'n Entry<'n>>,
    /// What could be said without a template.
    sayings: Sayings<'n>,
    scheduled_at: Option<&'n Node<'n>>,
    expires_at: Option<&'n Node<'n>>,
    /// What is asked of the provider besides.
    asked: Vec<(Asked, &'n Entry<'n>)>,
    validity_seconds: Option<&'n Node<'n>>,
    send_window: Option<&'n Node<'n>>,
    priority: Option<&'n Node<'n>>,
    ignore_quiet_hours: Option<&'n Node<'n>>,
}

/// A row that could not even be read: one fault, and nothing else is known of it.
pub(in crate::batch) fn bad_row(spot: Spot<'_>, fault: Fault) -> Row {
    Row::Bad(BadRow {
        index: spot.pointer.index().unwrap_or_default(),
        line: spot.place.line,
        to: None,
        reference: None,
        callback_data: None,
        faults: vec![fault],
    })
}

/// The same row, bad for `faults` if there is one.
pub(in crate::batch) fn with_faults(row: Row, mut faults: Vec<Fault>) -> Row {
    if faults.is_empty() {
        return row;
    }
    sort(&mut faults);
    faults.dedup();
    Row::Bad(match row {
        Row::Bad(bad) => BadRow { faults, ..bad },
        Row::Good(message) => BadRow {
            index: message.index,
            line: message.line,
            to: Some(message.to),
            reference: message.reference,
            callback_data: message.callback_data,
            faults,
        },
    })
}

/// Reads one row, an object of `entries`, against the head.
pub(in crate::batch) fn read_row(
    entries: &[Entry<'_>],
    spot: Spot<'_>,
    head: &Head,
    checker: Checker<'_>,
    warnings: &mut Warnings,
) -> Row {
    let index = spot.pointer.index().unwrap_or_default();
    let line = spot.place.line;
    let notes = Notes::new(spot, warnings);
    let mut reading = Reading {
        notes,
        head,
        checker,
        row_at: 0,
    };
    let keys = reading.keys(entries);
    let to = reading.to(&keys);
    let from = reading.from(&keys);
    let reference = reading.reference(&keys);
    let callback_data = reading.callback_data(&keys);
    let (content, authentication) = reading.content(&keys);
    let options = reading.options(&keys);
    let times = reading.times(&keys, authentication);
    reading.offer(&keys, content.as_ref(), times.as_ref());
    let leaving = reading.leaving(&keys, authentication);
    reading.in_window(&keys, leaving.send_window.as_ref(), times.as_ref());
    let good = reading.notes.faults.is_empty();
    let message = match (&to, from, content, times) {
        (Some(to), Some(from), Some(content), Some(times)) if good => Some(Message {
            index,
            line,
            to: to.clone(),
            from,
            reference: reference.clone(),
            callback_data: callback_data.clone(),
            scheduled_at: times.scheduled_at,
            expires_at: times.expires_at,
            priority: leaving.priority,
            send_window: leaving.send_window,
            ignore_quiet_hours: leaving.ignore_quiet_hours,
            options,
            content,
        }),
        _ => None,
    };
    let mut message = message;
    if let Some(message) = &mut message {
        let against = (head, checker, reading.row_at);
        files::look(message, &keys, against, &mut reading.notes);
        reading.object(message, &keys);
    }
    let mut faults = reading.notes.faults;
    match message {
        Some(message) if faults.is_empty() => Row::Good(message),
        _ => {
            sort(&mut faults);
            // A key twice under one name is found as such and as two names for one thing.
            faults.dedup();
            Row::Bad(BadRow {
                index,
                line,
                to,
                reference,
                callback_data,
                faults,
            })
        }
    }
}

impl<'n> Keys<'n> {
    /// Where the row says this part of its message; `None` where its head does.
    fn place(&self, part: Part) -> Option<usize> {
        self.part(part).map(|node| node.at)
    }

    /// What the row says of this part of its message; `None` where its head does.
    pub(super) fn part(&self, part: Part) -> Option<&'n Node<'n>> {
        let entry = |entry: Option<&'n Entry<'n>>| entry.map(|entry| &entry.node);
        match part {
            Part::Whole => None,
            Part::To => self.to,
            Part::Template => entry(self.template_name.or(self.template_id)),
            Part::Placeholders => entry(self.parts[0]),
            Part::Header => entry(self.parts[1]),
            Part::Buttons => entry(self.parts[2]),
            Part::Cards => entry(self.parts[3]),
            Part::Offer => entry(self.parts[4]),
            Part::Content => {
                let is_word = |member: Member| matches!(member, Member::Type | Member::PreviewUrl);
                let content = self.sayings.iter().find(|(member, _)| !is_word(*member));
                content.map(|(_, entry)| &entry.node)
            }
            Part::Expiry => self.expires_at.or(self.validity_seconds),
            Part::Asked(asked) => {
                let found = self.asked.iter().find(|(other, _)| *other == asked);
                found.map(|(_, entry)| &entry.node)
            }
        }
    }
}

struct Reading<'a, 'w> {
    notes: Notes<'w>,
    head: &'a Head,
    checker: Checker<'a>,
    row_at: usize,
}

impl Reading<'_, '_> {
    fn keys<'n>(&mut self, entries: &'n [Entry<'n>]) -> Keys<'n> {
        for entry in duplicates(entries) {
            self.notes.fault(key_twice(), entry.key_at);
        }
        let mut keys = Keys::default();
        for entry in entries {
            let name = entry.key.as_ref();
            let Some((key, manual)) = keys::known(name) else {
                if keys::is_defaults(entry) {
                    self.notes.fault(defaults_elsewhere(), entry.key_at);
                    continue;
                }
                let strict = self.checker.rules.strict;
                self.notes.unknown_key(name, entry.key_at, strict);
                continue;
            };
            if entry.node.value == Value::Null && key != Key::To {
                continue;
            }
            self.key(entry, key, manual, &mut keys);
        }
        keys
    }

    fn key<'n>(&mut self, entry: &'n Entry<'n>, key: Key, manual: &str, keys: &mut Keys<'n>) {
        let node = &entry.node;
        let name = entry.key.as_ref();
        let notes = &mut self.notes;
        let slot = match key {
            Key::To => &mut keys.to,
            Key::From => &mut keys.from,
            Key::CallbackData => &mut keys.callback_data,
            Key::ScheduledAt => &mut keys.scheduled_at,
            Key::ExpiresAt => &mut keys.expires_at,
            Key::ValiditySeconds => &mut keys.validity_seconds,
            Key::SendWindow => &mut keys.send_window,
            Key::Priority => &mut keys.priority,
            Key::IgnoreQuietHours => &mut keys.ignore_quiet_hours,
            Key::Reference(rank) => {
                if keys.reference.is_none_or(|(other, _)| rank < other) {
                    keys.reference = Some((rank, entry));
                }
                return;
            }
            Key::TemplateName | Key::TemplateLanguage | Key::TemplateId => {
                let slot = match key {
                    Key::TemplateName => &mut keys.template_name,
                    Key::TemplateId => &mut keys.template_id,
                    _ => &mut keys.template_language,
                };
                if slot.replace(entry).is_some() {
                    notes.fault(key_twice(), entry.key_at);
                }
                return;
            }
            Key::Placeholders | Key::Part(_) => {
                let place = match key {
                    Key::Part(place) => place,
                    _ => 0,
                };
                if keys.parts[place].replace(entry).is_some() {
                    notes.fault(key_twice(), entry.key_at);
                }
                return;
            }
            Key::OnDuplicateRecipient | Key::OnDuplicateReference
                if node.text() == Some("send") =>
            {
                return;
            }
            Key::OnDuplicateRecipient
            | Key::OnDuplicateReference
            | Key::OnInvalid
            | Key::SelfNamed
            | Key::AllowDuplicate
            | Key::DryRun
            | Key::Data => {
                let trouble = Trouble::new(
                    Code::BatchUnsupportedKey,
                    format!("`{manual}` at the top of the file"),
                    "the same key in a row",
                );
                let hint = "it is for the whole file; move it to the top";
                notes.fault(trouble.hint(hint), entry.key_at);
                return;
            }
            Key::CampaignName | Key::RowCount => {
                notes.ignored_key(manual, entry.key_at);
                return;
            }
            Key::Session(member) => {
                keys.sayings.push((member, entry));
                return;
            }
            Key::Asked(asked) => {
                keys.asked.push((asked, entry));
                return;
            }
            Key::CloudTemplate if matches!(node.value, Value::Object(_)) => {
                notes.unsupported_key(manual, entry.key_at);
                return;
            }
            Key::CloudTemplate if node.text().is_some() => {
                notes.fault(named_otherwise(), entry.key_at);
                return;
            }
            Key::CloudTemplate => {
                let strict = self.checker.rules.strict;
                notes.unknown_key(name, entry.key_at, strict);
                return;
            }
            Key::Ignored => {
                notes.shared_key(key, manual, node, entry.key_at);
                return;
            }
        };
        if slot.replace(node).is_some() {
            notes.fault(key_twice(), entry.key_at);
        }
    }

    fn to(&mut self, keys: &Keys<'_>) -> Option<Phone> {
        let Some(node) = keys.to else {
            let trouble = Trouble::new(Code::PhoneMissing, "a recipient in `to`", "none")
                .hint("each row names its own recipient; nothing is inherited");
            self.notes.fault(trouble, self.row_at);
            return None;
        };
        let rules = self.checker.rules;
        let read = phone(node, rules.phone_check, rules.phone_lenient);
        let (phone, numeral) = self.notes.take(read, node.at)?;
        if numeral == Numeral::Number {
            self.notes.warn(number_for_text(), "to", node.at);
        }
        Some(phone)
    }

    fn from(&mut self, keys: &Keys<'_>) -> Option<Phone> {
        let rules = self.checker.rules;
        if let Some(node) = keys.from {
            let (phone, _) = self.notes.take(sender(node, rules), node.at)?;
            return Some(phone);
        }
        match (&self.head.native.from, rules.senders.as_slice()) {
            (Some(from), _) => Some(from.clone()),
            (None, [only]) => Some(only.clone()),
            (None, several) => {
                let found = match several.len() {
                    0 => "none, and you have no sender number".into(),
                    count => format!("none, and you have {count} sender numbers"),
                };
                let trouble = Trouble::new(Code::BatchMissingKey, "`from`", found)
                    .hint("name the sender once at the top of the file");
                self.notes.fault(trouble, self.row_at);
                None
            }
        }
    }

    fn reference(&mut self, keys: &Keys<'_>) -> Option<String> {
        let Some((_, entry)) = keys.reference else {
            return self.head.native.reference.clone();
        };
        let read = own_text(&entry.node, REFERENCE_CHARS_MAX);
        let (text, numeral) = self.notes.take(read, entry.node.at)?;
        if numeral == Numeral::Number {
            let at = entry.node.at;
            self.notes.warn(number_for_text(), "reference", at);
        }
        Some(text.to_owned())
    }

    fn callback_data(&mut self, keys: &Keys<'_>) -> Option<String> {
        let Some(node) = keys.callback_data else {
            return self.head.native.callback_data.clone();
        };
        let read = own_text(node, CALLBACK_DATA_CHARS_MAX);
        let (text, numeral) = self.notes.take(read, node.at)?;
        if numeral == Numeral::Number {
            self.notes.warn(number_for_text(), "callbackData", node.at);
        }
        Some(text.to_owned())
    }

    /// The content, and whether it counts as an authentication message.
    fn content(&mut self, keys: &Keys<'_>) -> (Option<Content>, bool) {
        let defaults = &self.head.native;
        let own = [keys.template_name, keys.template_language, keys.template_id];
        let own = own.iter().any(Option::is_some);
        let named = own || defaults.names_template();
        if !named {
            return (self.session(keys), false);
        }
        saying::beside_template(&keys.sayings, self.checker.rules.strict, &mut self.notes);
        let template = if own || defaults.template.is_none() {
            self.own_template(keys)
        } else {
            defaults.template.clone()
        };
        let Some(template) = template else {
            return (None, false);
        };
        let same = defaults
            .template
            .as_ref()
            .is_some_and(|head| head.name() == template.name());
        let declared: &[String] = if same { &defaults.declared } else { &[] };
        if let Some(Entry { node, .. }) = saying::text(&keys.sayings) {
            match node.text() {
                Some(text) if template.says(text, declared) => {}
                Some(_) => self.notes.fault(text_changed(), node.at),
                None => self.notes.fault(wrong_kind("a text", node), node.at),
            }
        }
        let parts = Parts {
            declared,
            defaults: Some(&defaults.parts.parts()),
            ..Parts::new(keys.parts.map(|part| part.map(|entry| &entry.node)))
        };
        let needs = self.checker.rules.terms.needs();
        let filled = template.fill(&parts, needs).map(Content::Template);
        (self.taken(filled), template.is_authentication())
    }

    fn taken(&mut self, content: Result<Content, Vec<Misfit>>) -> Option<Content> {
        content.map_err(|misfits| self.notes.misfits(misfits)).ok()
    }

    /// Content without a template.
    fn session(&mut self, keys: &Keys<'_>) -> Option<Content> {
        let defaults = &self.head.native;
        let strict = self.checker.rules.strict;
        let kind = saying::kind_of(&keys.sayings).or(defaults.session.kind());
        let mut said = saying::said(&keys.sayings, kind, strict, &mut self.notes);
        if !said.says_something() && !defaults.session.says_something() {
            let trouble = Trouble::new(
                Code::BatchMissingKey,
                "`templateName` and `templateLanguage`, or `message`",
                "none of them",
            );
            let hint = "name the template once at the top of the file, or write the text";
            self.notes.fault(trouble.hint(hint), self.row_at);
            return None;
        }
        for (part, manual) in keys.parts.iter().zip(ROW_KEYS).skip(1) {
            if let Some(part) = part.filter(|part| !part.node.is_hollow()) {
                self.notes.unsupported_key(manual, part.key_at);
            }
        }
        if let Some(values) = keys.parts[0] {
            said.add(Member::Placeholders, values.key_at, &values.node);
        }
        if self.head.dialect != Dialect::Native {
            said.marks = Marks::Words;
        }
        let filled = defaults.session.fill(&said);
        self.taken(filled)
    }

    /// The template that the row names, alone or together with the head.
    fn own_template(&mut self, keys: &Keys<'_>) -> Option<Arc<Template>> {
        let defaults = &self.head.native;
        let mut read = |entry: Option<&Entry<'_>>, default: &Option<String>| match entry {
            None => Ok(default.clone()),
            Some(entry) => {
                let text = self.notes.take(word(&entry.node), entry.node.at);
                text.map(|text| Some(text.to_owned())).ok_or(())
            }
        };
        let name = read(keys.template_name, &defaults.template_name);
        let language = read(keys.template_language, &defaults.template_language);
        let (name, language) = (name.ok()?, language.ok()?);
        let templates = self.checker.templates;
        if let Some(entry) = keys.template_id
            && (keys.template_name.is_none() || language.is_none())
        {
            let read = own_text(&entry.node, ID_CHARS_MAX);
            let (id, _) = self.notes.take(read, entry.node.at)?;
            let found = templates.find_by_id(id, language.as_deref());
            let found = self.notes.take(found, entry.node.at)?;
            return self.agreed(keys, found);
        }
        if name.is_none()
            && let (Some(id), Some(entry)) = (&defaults.template_id, keys.template_language)
        {
            let found = templates.find_by_id(id, language.as_deref());
            return self.notes.take(found, entry.node.at);
        }
        let (Some(name), Some(language)) = (&name, &language) else {
            let missing = if name.is_none() {
                Trouble::new(
                    Code::BatchMissingKey,
                    "`templateName`",
                    "`templateLanguage` alone",
                )
            } else {
                let trouble = Trouble::new(
                    Code::BatchMissingKey,
                    "`templateLanguage`",
                    "`templateName` alone",
                );
                let known = name.as_deref().and_then(|name| templates.languages(name));
                match known {
                    Some(known) => trouble.hint(format!("this template is approved in {known}")),
                    None => trouble,
                }
            };
            self.notes.fault(missing, self.row_at);
            return None;
        };
        let (entry, trouble) = match templates.find(name, language) {
            Ok(template) => return self.agreed(keys, template.clone()),
            Err(LookupTrouble::Name(trouble)) => (keys.template_name, trouble),
            Err(LookupTrouble::Language(trouble)) => (keys.template_language, trouble),
        };
        match entry {
            Some(entry) => {
                self.notes.fault(trouble, entry.node.at);
            }
            None => self.notes.fault(trouble, self.row_at),
        }
        None
    }

    /// The template, unless the row's own name and id mean two of them.
    fn agreed(&mut self, keys: &Keys<'_>, template: Arc<Template>) -> Option<Arc<Template>> {
        let (Some(name), Some(entry)) = (keys.template_name, keys.template_id) else {
            return Some(template);
        };
        let read = own_text(&entry.node, ID_CHARS_MAX);
        let (id, _) = self.notes.take(read, entry.node.at)?;
        let name = name.node.text().unwrap_or_default();
        match disagreement(&template, (name, id), self.checker.templates) {
            Some(trouble) => {
                self.notes.fault(trouble, entry.node.at);
                None
            }
            None => Some(template),
        }
    }

    fn options(&mut self, keys: &Keys<'_>) -> Options {
        let mut options = self.head.native.options.clone();
        let terms = self.checker.rules.terms.as_ref();
        for asked in &keys.asked {
            asked::take(*asked, terms, &mut options, &mut self.notes);
        }
        options
    }

    /// Tells what the provider does not take of a message that is good in every other respect.
    fn object(&mut self, message: &Message, keys: &Keys<'_>) {
        for objection in self.checker.rules.terms.objections(message) {
            let at = keys.place(objection.part).unwrap_or(self.row_at);
            let trouble = Trouble::new(objection.code, objection.expected, objection.found);
            let trouble = trouble.hint(objection.hint);
            match objection.weight {
                Weight::Fault => self.notes.fault(trouble, at),
                Weight::Warning => {
                    let key = format!("{:?}", objection.part);
                    self.notes.warn(trouble, &key, at);
                }
            }
        }
    }

    /// Nobody is told of an offer that is over.
    fn offer(&mut self, keys: &Keys<'_>, content: Option<&Content>, times: Option<&Times>) {
        let (Some(Content::Template(filling)), Some(times)) = (content, times) else {
            return;
        };
        let leaves_at = times.scheduled_at.unwrap_or(self.checker.received_at);
        if filling.offer_expires_at.is_some_and(|it| it <= leaves_at) {
            let at = keys.parts[4].map_or(self.row_at, |part| part.node.at);
            self.notes.fault(offer_over(), at);
        }
    }

    /// In which hours it goes, and before which others.
    fn leaving(&mut self, keys: &Keys<'_>, authentication: bool) -> Leaving {
        let head = &self.head.native;
        let send_window = match keys.send_window {
            None => head.send_window.clone(),
            Some(node) => {
                let read = hours::window(node, &self.checker.rules.time_zone);
                read.map_err(|misfits| self.notes.misfits(misfits)).ok()
            }
        };
        let priority = match keys.priority {
            None => head.priority,
            Some(node) => self.notes.take(hours::priority(node), node.at),
        };
        let ignore_quiet_hours = match keys.ignore_quiet_hours {
            None => head.ignore_quiet_hours,
            Some(node) => self.notes.take(flag(node), node.at),
        };
        Leaving {
            send_window,
            priority: priority.unwrap_or_default(),
            // A one-time code that waits for the morning opens nothing any more.
            ignore_quiet_hours: authentication || ignore_quiet_hours.unwrap_or_default(),
        }
    }

    /// A message whose window opens too late would wait for nothing.
    fn in_window(&mut self, keys: &Keys<'_>, window: Option<&SendWindow>, times: Option<&Times>) {
        let (Some(window), Some(times)) = (window, times) else {
            return;
        };
        let from = times.scheduled_at.unwrap_or(self.checker.received_at);
        let opens_at = window.opens_at(from);
        if opens_at.is_none_or(|opens_at| opens_at >= times.expires_at) {
            let node = keys.send_window.or(keys.expires_at);
            let node = node.or(keys.validity_seconds).or(keys.scheduled_at);
            let at = node.map_or(self.row_at, |node| node.at);
            self.notes.fault(hours::never_open(), at);
        }
    }

    fn times(&mut self, keys: &Keys<'_>, authentication: bool) -> Option<Times> {
        let Checker {
            rules, received_at, ..
        } = self.checker;
        let head = &self.head.native;
        let scheduled_at = match keys.scheduled_at {
            None => head.scheduled_at,
            Some(node) => self.notes.take(schedule(node, received_at), node.at)?,
        };
        let moment = match keys.expires_at {
            None => head.expires_at,
            Some(node) => Some(self.notes.take(expiry(node, received_at), node.at)?),
        };
        let validity = match keys.validity_seconds {
            None => head.validity_ms,
            Some(node) => Some(self.notes.take(validity_ms(node), node.at)?),
        };
        let from = scheduled_at.unwrap_or(received_at);
        let after = validity.map(|ms| from.plus_ms(ms));
        let default = if authentication {
            rules.default_validity_authentication
        } else {
            rules.default_validity
        };
        let default_ms = i64::try_from(default.as_millis()).unwrap_or(i64::MAX);
        let expires_at = match (moment, after) {
            (Some(one), Some(other)) => one.min(other),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => from.plus_ms(default_ms),
        };
        if expires_at <= from {
            let node = keys.expires_at.or(keys.scheduled_at);
            let at = node.map_or(self.row_at, |node| node.at);
            self.notes.fault(expires_before_its_time(), at);
            return None;
        }
        Some(Times {
            scheduled_at,
            expires_at,
        })
    }
}

/// An offer that is over when its message leaves.
fn offer_over() -> Trouble {
    let expected = "an offer that ends after the message is sent";
    Trouble::new(Code::PolicyExpired, expected, "one that ends before")
        .hint("look at the year and the offset; milliseconds are no seconds")
}

/// In which hours a message goes, and before which others.
struct Leaving {
    send_window: Option<SendWindow>,
    priority: Priority,
    ignore_quiet_hours: bool,
}

/// When a message may be sent.
struct Times {
    scheduled_at: Option<Moment>,
    expires_at: Moment,
}
