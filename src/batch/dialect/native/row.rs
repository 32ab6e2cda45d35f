//! One row becomes a message, or faults.

use std::sync::Arc;

use super::content::{self, Sources};
use super::head::text_changed;
use super::keys::{self, Key};
use super::{
    CALLBACK_DATA_CHARS_MAX, Notes, Numeral, REFERENCE_CHARS_MAX, SessionText, expiry, flag,
    key_twice, number_for_text, own_text, phone, sender, validity_ms, word, wrong_kind,
};
use crate::batch::fault::{Code, Fault, Trouble};
use crate::batch::read::{BadRow, Checker, Head, Row};
use crate::batch::spot::{Spot, Warnings, sort};
use crate::batch::template::{LookupTrouble, Template};
use crate::batch::tree::{Entry, Node, Value, duplicates};
use crate::batch::{Content, Message, Moment, Options, Phone};

/// The keys of one row, by their meaning.
#[derive(Default)]
struct Keys<'n> {
    to: Option<&'n Node<'n>>,
    from: Option<&'n Node<'n>>,
    reference: Option<(u8, &'n Entry<'n>)>,
    callback_data: Option<&'n Node<'n>>,
    template_name: Option<&'n Entry<'n>>,
    template_language: Option<&'n Entry<'n>>,
    placeholders: Option<&'n Node<'n>>,
    message: Option<&'n Node<'n>>,
    preview_url: Option<&'n Node<'n>>,
    expires_at: Option<&'n Node<'n>>,
    validity_seconds: Option<&'n Node<'n>>,
}

/// A row that could not even be read: one fault, and nothing else is known of it.
pub(in crate::batch) fn bad_row(index: u64, line: u64, fault: Fault) -> Row {
    Row::Bad(BadRow {
        index,
        line,
        to: None,
        reference: None,
        callback_data: None,
        faults: vec![fault],
    })
}

/// Reads one row against the head.
pub(in crate::batch) fn read_row(
    spot: Spot<'_>,
    head: &Head,
    checker: Checker<'_>,
    warnings: &mut Warnings,
) -> Row {
    let index = spot.pointer.index().unwrap_or_default();
    let line = spot.place.line;
    let Some(node) = Node::parse(spot.bytes) else {
        let trouble = Trouble::new(Code::JsonSyntax, "JSON", "something else");
        return bad_row(index, line, spot.fault(trouble, &[], 0));
    };
    let Value::Object(entries) = &node.value else {
        let trouble = Trouble::new(Code::BatchWrongKind, "an object with `to`", node.kind());
        return bad_row(index, line, spot.fault(trouble, &[], node.at));
    };
    let notes = Notes {
        spot,
        faults: Vec::new(),
        warnings,
    };
    let mut reading = Reading {
        notes,
        head,
        checker,
        row_at: node.at,
    };
    let keys = reading.keys(entries);
    let to = reading.to(&keys);
    let from = reading.from(&keys);
    let reference = reading.reference(&keys);
    let callback_data = reading.callback_data(&keys);
    let (content, authentication) = reading.content(&keys);
    let expires_at = reading.expires_at(&keys, authentication);
    let mut faults = reading.notes.faults;
    match (to, from, content, expires_at) {
        (Some(to), Some(from), Some(content), Some(expires_at)) if faults.is_empty() => {
            Row::Good(Message {
                index,
                line,
                to,
                from,
                reference,
                callback_data,
                scheduled_at: None,
                expires_at,
                options: Options::default(),
                content,
            })
        }
        (to, ..) => {
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

struct Reading<'a, 'w> {
    notes: Notes<'w>,
    head: &'a Head,
    checker: Checker<'a>,
    row_at: usize,
}

impl Reading<'_, '_> {
    fn keys<'n>(&mut self, entries: &'n [Entry<'n>]) -> Keys<'n> {
        for entry in duplicates(entries) {
            self.notes.fault(key_twice(), &[&entry.key], entry.key_at);
        }
        let mut keys = Keys::default();
        for entry in entries {
            let name = entry.key.as_ref();
            let Some((key, manual)) = keys::known(name) else {
                let strict = self.checker.rules.strict;
                self.notes.unknown_key(name, &[name], entry.key_at, strict);
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
            Key::Placeholders => &mut keys.placeholders,
            Key::Message => &mut keys.message,
            Key::PreviewUrl => &mut keys.preview_url,
            Key::ExpiresAt => &mut keys.expires_at,
            Key::ValiditySeconds => &mut keys.validity_seconds,
            Key::Reference(rank) => {
                if keys.reference.is_none_or(|(other, _)| rank < other) {
                    keys.reference = Some((rank, entry));
                }
                return;
            }
            Key::TemplateName | Key::TemplateLanguage => {
                let slot = match key {
                    Key::TemplateName => &mut keys.template_name,
                    _ => &mut keys.template_language,
                };
                if slot.replace(entry).is_some() {
                    notes.fault(key_twice(), &[name], entry.key_at);
                }
                return;
            }
            Key::OnInvalid | Key::SelfNamed | Key::AllowDuplicate | Key::DryRun | Key::Data => {
                let trouble = Trouble::new(
                    Code::BatchUnsupportedKey,
                    format!("`{manual}` at the top of the file"),
                    "the same key in a row",
                );
                let hint = "it is for the whole file; move it to the top";
                notes.fault(trouble.hint(hint), &[name], entry.key_at);
                return;
            }
            Key::CampaignName | Key::RowCount => {
                notes.ignored_key(manual, &[name], entry.key_at);
                return;
            }
            Key::Content if matches!(node.value, Value::Object(_) | Value::List(_)) => {
                notes.unsupported_key(manual, &[name], entry.key_at);
                return;
            }
            Key::Content => {
                let strict = self.checker.rules.strict;
                notes.unknown_key(name, &[name], entry.key_at, strict);
                return;
            }
            _ => {
                notes.shared_key(key, manual, node, (&[name], entry.key_at));
                return;
            }
        };
        if slot.replace(node).is_some() {
            notes.fault(key_twice(), &[name], entry.key_at);
        }
    }

    fn to(&mut self, keys: &Keys<'_>) -> Option<Phone> {
        let Some(node) = keys.to else {
            let trouble = Trouble::new(Code::PhoneMissing, "a recipient in `to`", "none")
                .hint("each row names its own recipient; nothing is inherited");
            self.notes.fault(trouble, &[], self.row_at);
            return None;
        };
        let rules = self.checker.rules;
        let read = phone(node, rules.phone_check, rules.phone_lenient);
        let (phone, numeral) = self.notes.take(read, &["to"], node.at)?;
        if numeral == Numeral::Number {
            self.notes.warn(number_for_text(), "to", &["to"], node.at);
        }
        Some(phone)
    }

    fn from(&mut self, keys: &Keys<'_>) -> Option<Phone> {
        let rules = self.checker.rules;
        if let Some(node) = keys.from {
            let (phone, _) = self.notes.take(sender(node, rules), &["from"], node.at)?;
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
                self.notes.fault(trouble, &[], self.row_at);
                None
            }
        }
    }

    fn reference(&mut self, keys: &Keys<'_>) -> Option<String> {
        let Some((_, entry)) = keys.reference else {
            return self.head.native.reference.clone();
        };
        let read = own_text(&entry.node, REFERENCE_CHARS_MAX);
        let tail = [entry.key.as_ref()];
        let (text, numeral) = self.notes.take(read, &tail, entry.node.at)?;
        if numeral == Numeral::Number {
            let at = entry.node.at;
            self.notes.warn(number_for_text(), "reference", &tail, at);
        }
        Some(text.to_owned())
    }

    fn callback_data(&mut self, keys: &Keys<'_>) -> Option<String> {
        let Some(node) = keys.callback_data else {
            return self.head.native.callback_data.clone();
        };
        let read = own_text(node, CALLBACK_DATA_CHARS_MAX);
        let (text, numeral) = self.notes.take(read, &["callbackData"], node.at)?;
        if numeral == Numeral::Number {
            let tail = ["callbackData"];
            self.notes.warn(number_for_text(), tail[0], &tail, node.at);
        }
        Some(text.to_owned())
    }

    /// The content, and whether it counts as an authentication message.
    fn content(&mut self, keys: &Keys<'_>) -> (Option<Content>, bool) {
        let defaults = &self.head.native;
        let own = keys.template_name.is_some() || keys.template_language.is_some();
        let named = own || defaults.template_name.is_some();
        let message_only = keys.message.is_some() || defaults.message.is_some();
        if !named && message_only {
            return (self.session(keys), false);
        }
        if !named {
            let trouble = Trouble::new(
                Code::BatchMissingKey,
                "`templateName` and `templateLanguage`, or `message`",
                "none of them",
            );
            let hint = "name the template once at the top of the file, or write the text";
            self.notes.fault(trouble.hint(hint), &[], self.row_at);
            return (None, false);
        }
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
            .is_some_and(|head| Arc::ptr_eq(head, &template));
        let declared: &[String] = if same { &defaults.declared } else { &[] };
        if let Some(node) = keys.message {
            match node.text() {
                Some(text) if template.says(text, declared) => {}
                Some(_) => self.notes.fault(text_changed(), &["message"], node.at),
                None => {
                    let trouble = wrong_kind("a text", node);
                    self.notes.fault(trouble, &["message"], node.at);
                }
            }
        }
        let sources = Sources {
            own: keys.placeholders,
            declared,
            defaults: &defaults.values,
            row_at: self.row_at,
        };
        let content = content::template(&template, &sources, &mut self.notes);
        (content, template.is_authentication())
    }

    /// The template that the row names, alone or together with the head.
    fn own_template(&mut self, keys: &Keys<'_>) -> Option<Arc<Template>> {
        let defaults = &self.head.native;
        let mut read = |entry: Option<&Entry<'_>>, default: &Option<String>| match entry {
            None => Ok(default.clone()),
            Some(entry) => {
                let tail = [entry.key.as_ref()];
                let text = self.notes.take(word(&entry.node), &tail, entry.node.at);
                text.map(|text| Some(text.to_owned())).ok_or(())
            }
        };
        let name = read(keys.template_name, &defaults.template_name);
        let language = read(keys.template_language, &defaults.template_language);
        let (name, language) = (name.ok()?, language.ok()?);
        let templates = self.checker.templates;
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
            self.notes.fault(missing, &[], self.row_at);
            return None;
        };
        let (entry, trouble) = match templates.find(name, language) {
            Ok(template) => return Some(template.clone()),
            Err(LookupTrouble::Name(trouble)) => (keys.template_name, trouble),
            Err(LookupTrouble::Language(trouble)) => (keys.template_language, trouble),
        };
        match entry {
            Some(entry) => {
                let tail = [entry.key.as_ref()];
                self.notes.fault(trouble, &tail, entry.node.at);
            }
            None => self.notes.fault(trouble, &[], self.row_at),
        }
        None
    }

    fn session(&mut self, keys: &Keys<'_>) -> Option<Content> {
        let defaults = &self.head.native;
        let preview_url = match keys.preview_url {
            None => defaults.preview_url,
            Some(node) => self.notes.take(flag(node), &["previewUrl"], node.at)?,
        };
        let own: Option<SessionText> = match keys.message {
            None => None,
            Some(node) => {
                let read = match node.text() {
                    Some(text) => SessionText::read(text),
                    None => Err(wrong_kind("a text", node)),
                };
                Some(self.notes.take(read, &["message"], node.at)?)
            }
        };
        let (text, declared): (&SessionText, &[String]) = match (&own, &defaults.message) {
            (Some(own), _) => (own, &[]),
            (None, Some(text)) => (text, &defaults.declared),
            (None, None) => return None,
        };
        let sources = Sources {
            own: keys.placeholders,
            declared,
            defaults: &defaults.values,
            row_at: self.row_at,
        };
        content::session(text, preview_url, &sources, keys.message, &mut self.notes)
    }

    fn expires_at(&mut self, keys: &Keys<'_>, authentication: bool) -> Option<Moment> {
        let Checker {
            rules, received_at, ..
        } = self.checker;
        let moment = match keys.expires_at {
            None => self.head.native.expires_at,
            Some(node) => {
                let read = expiry(node, received_at);
                Some(self.notes.take(read, &["expiresAt"], node.at)?)
            }
        };
        let validity = match keys.validity_seconds {
            None => self.head.native.validity_ms,
            Some(node) => {
                let tail = ["validitySeconds"];
                Some(self.notes.take(validity_ms(node), &tail, node.at)?)
            }
        };
        let after = validity.map(|ms| received_at.plus_ms(ms));
        let default = if authentication {
            rules.default_validity_authentication
        } else {
            rules.default_validity
        };
        let default_ms = i64::try_from(default.as_millis()).unwrap_or(i64::MAX);
        Some(match (moment, after) {
            (Some(one), Some(other)) => one.min(other),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => received_at.plus_ms(default_ms),
        })
    }
}
