//! The templates of a number: listed, made, changed and removed. Definitions are handed on as
//! Infobip has them; what they mean is for `batch` to know.

use std::collections::{HashSet, VecDeque};

use serde_json::Value as Json;
use url::form_urlencoded::byte_serialize;

use super::answer::Refusal;
use super::{Infobip, TIMEOUT};
use crate::batch::Phone;
use crate::delivery::{Reason, Sender};
use crate::provider::cause::Cause;
use crate::provider::meaning::{self, Answer};
use crate::provider::templates::{Change, Reading, Step};
use crate::provider::{Method, Reply, Request};

/// The lists of the numbers that were read so far.
#[derive(Debug)]
pub(super) struct Lists {
    infobip: Infobip,
    waiting: VecDeque<Phone>,
    found: Vec<Json>,
    /// Templates that came already: numbers of one account have the same.
    known: HashSet<(String, String)>,
}

impl Reading for Lists {
    fn next(&mut self, reply: Option<&Reply>) -> Step<Vec<Json>> {
        if let Some(reply) = reply {
            let listed = match self.infobip.listed(reply) {
                Ok(listed) => listed,
                Err(reason) => return Step::Failed(reason),
            };
            for template in listed {
                let word = |key: &str| template[key].as_str().unwrap_or_default().to_owned();
                if self.known.insert((word("name"), word("language"))) {
                    self.found.push(template);
                }
            }
        }
        match self.waiting.pop_front() {
            Some(number) => Step::Ask(self.infobip.list(&number)),
            None => Step::Done(std::mem::take(&mut self.found)),
        }
    }
}

impl Infobip {
    /// Begins to read the templates of these numbers.
    pub(super) fn lists(&self, senders: &[Sender]) -> Lists {
        Lists {
            infobip: self.clone(),
            waiting: senders.iter().map(|sender| sender.number.clone()).collect(),
            found: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// What comes next in changing a template of the account that the first number belongs to.
    pub(super) fn next_of_change(
        &self,
        change: &Change,
        senders: &[Sender],
        replies: &[Reply],
    ) -> Option<Step<Json>> {
        let number = &senders.first()?.number;
        let said = |reply: &Reply| match self.verdict(reply) {
            Ok(verdict) => Step::Done(verdict),
            Err(reason) => Step::Failed(reason),
        };
        Some(match (change, replies) {
            (Change::Create { definition }, []) => Step::Ask(self.create(number, definition)),
            (
                Change::Delete {
                    language: Some(_), ..
                },
                _,
            ) => {
                let words = "it removes a template in all of its languages; leave the language out";
                Step::Failed(Cause::Refused.reason(words, String::new()))
            }
            (Change::Delete { name, .. }, []) => Step::Ask(self.delete(number, name)),
            (Change::Edit { .. }, []) => Step::Ask(self.list(number)),
            (
                Change::Edit {
                    name,
                    language,
                    definition,
                },
                [listed],
            ) => match self.id_of(listed, name, language.as_deref()) {
                Ok(id) => Step::Ask(self.edit(number, &id, definition)),
                Err(reason) => Step::Failed(reason),
            },
            (Change::Edit { .. }, [_, reply, ..]) | (_, [reply, ..]) => said(reply),
        })
    }

    /// The id of the one template of this name and language.
    fn id_of(&self, reply: &Reply, name: &str, language: Option<&str>) -> Result<String, Reason> {
        let is_meant = |template: &Json| {
            let language = language.is_none_or(|language| template["language"] == language);
            template["name"] == name && language
        };
        let mut meant = self.listed(reply)?.into_iter().filter(is_meant);
        let words = match (meant.next(), meant.next()) {
            (Some(one), None) => match &one["id"] {
                Json::String(id) => return Ok(id.clone()),
                Json::Number(id) => return Ok(id.to_string()),
                _ => "the template has no id",
            },
            (None, _) => "the number has no template of this name and language",
            _ => "the template has several languages; say which",
        };
        Err(Cause::TemplateMissing.reason(words, String::new()))
    }

    /// Asks for all templates of a number. There are no pages: all come at once.
    pub fn list(&self, sender: &Phone) -> Request {
        let url = self.templates_of(sender);
        Request {
            timeout: TIMEOUT,
            ..Request::get(url, &self.credential)
        }
    }

    /// The definitions in the answer to that.
    pub fn listed(&self, reply: &Reply) -> Result<Vec<Json>, Reason> {
        let (answer, body) = self.read(reply)?;
        match body {
            Json::Object(mut members) => match members.remove("templates") {
                Some(Json::Array(templates)) => Ok(templates),
                _ => Err(unreadable(&answer)),
            },
            _ => Err(unreadable(&answer)),
        }
    }

    /// Hands a new template in.
    pub fn create(&self, sender: &Phone, definition: &Json) -> Request {
        Request {
            timeout: TIMEOUT,
            ..Request::post(
                self.templates_of(sender),
                definition.to_string(),
                &self.credential,
            )
        }
    }

    /// Changes the template that Infobip calls `id`.
    pub fn edit(&self, sender: &Phone, id: &str, definition: &Json) -> Request {
        Request {
            method: Method::Patch,
            url: self.template_of(sender, id),
            ..self.create(sender, definition)
        }
    }

    /// Removes all templates of this name, in whatever language, of all numbers of the account.
    pub fn delete(&self, sender: &Phone, name: &str) -> Request {
        Request {
            method: Method::Delete,
            url: self.template_of(sender, name),
            ..self.list(sender)
        }
    }

    /// What is said of a template that was made, changed or removed: the template as it is now, or
    /// nothing.
    pub fn verdict(&self, reply: &Reply) -> Result<Json, Reason> {
        Ok(self.read(reply)?.1)
    }

    fn templates_of(&self, sender: &Phone) -> String {
        let digits = sender.as_str().trim_start_matches('+');
        format!("{}/whatsapp/2/senders/{digits}/templates", self.base_url)
    }

    fn template_of(&self, sender: &Phone, name: &str) -> String {
        let name: String = byte_serialize(name.as_bytes()).collect();
        format!("{}/{name}", self.templates_of(sender))
    }

    /// A good answer and what stands in it, or why there is none.
    fn read<'r>(&self, reply: &'r Reply) -> Result<(Answer<'r>, Json), Reason> {
        let answer = meaning::answer(reply).map_err(|outcome| meaning::reason(*outcome))?;
        if !answer.is_success() {
            return Err(self.refused(&answer));
        }
        // What was removed is told by an empty answer.
        if answer.body.is_empty() {
            return Ok((answer, Json::Null));
        }
        let body = serde_json::from_slice(answer.body).map_err(|_| unreadable(&answer))?;
        Ok((answer, body))
    }

    fn refused(&self, answer: &Answer<'_>) -> Reason {
        let Some(refusal) = Refusal::read(answer.body) else {
            return meaning::reason(meaning::wordless(answer));
        };
        let cause = match answer.status {
            401 => Cause::Credentials,
            403 => Cause::Permission,
            404 => Cause::TemplateMissing,
            429 => Cause::Throttled,
            400..=499 => Cause::Refused,
            _ => Cause::Unavailable,
        };
        let words = self.credential.removed_from(&refusal.all_words());
        cause.reason(&words, refusal.code)
    }
}

fn unreadable(answer: &Answer<'_>) -> Reason {
    meaning::reason(meaning::unreadable(answer.status))
}
