//! What Botsquad's answers say, in the places that the profile names.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::Botsquad;
use super::profile::{Profile, Standing};
use super::wire::digits;
use crate::delivery::Outcome;
use crate::provider::cause::Cause;
use crate::provider::meaning::{self, Answer, Class};
use crate::provider::{Credential, Reply};

/// The id of the broadcast that was made, or what became of all of its messages.
pub(super) fn made(
    reply: &Reply,
    profile: &Profile,
    credential: &Credential,
) -> Result<String, Box<Outcome>> {
    let answer = meaning::answer(reply)?;
    if !answer.is_success() {
        return Err(Box::new(refusal(&answer, credential)));
    }
    let body: Json = serde_json::from_slice(answer.body).unwrap_or_default();
    let id = profile.id_pointers.iter().find_map(|pointer| {
        let id = match body.pointer(pointer)? {
            Json::String(id) => id.clone(),
            Json::Number(id) => id.to_string(),
            _ => return None,
        };
        let is_word = !id.contains(|c: char| !c.is_ascii_graphic());
        meaning::provider_id(&id).filter(|_| is_word)
    });
    id.ok_or_else(|| Box::new(meaning::unreadable(answer.status)))
}

/// The broadcast was not made, unless the status leaves that open. A refusal is of the whole of it.
fn refusal(answer: &Answer<'_>, credential: &Credential) -> Outcome {
    let words = match answer.status {
        400 | 402 | 409 | 413 | 415 | 422 => words(answer),
        _ => None,
    };
    let Some(words) = words else {
        return meaning::wordless(answer);
    };
    let words = credential.removed_from(&words);
    Class::Never.outcome(Cause::Refused.reason(&words, String::new()), None)
}

/// The whole body as the reason, for nobody knows its form. `None` for the page of somebody who
/// stands between here and the API.
fn words(answer: &Answer<'_>) -> Option<String> {
    let text = std::str::from_utf8(answer.body).ok()?.trim();
    let is_own = match answer.status {
        400 => !text.starts_with('<'),
        _ => serde_json::from_str::<Json>(text).is_ok(),
    };
    is_own.then(|| text.to_owned())
}

/// What is known of the users of a broadcast.
#[derive(Debug, Default)]
pub(super) struct States {
    /// By digits: how the user stands, and why.
    users: HashMap<String, (Standing, String)>,
    /// Whether the broadcast is said to have nothing more to do, and to have told of everybody.
    is_over: bool,
    /// Whether there is no use in asking again.
    pub(super) is_gone: bool,
}

impl States {
    /// Takes in what an answer says. One that says nothing changes nothing: the broadcast was
    /// made.
    pub(super) fn take(&mut self, reply: &Reply, profile: &Profile) {
        let Reply::Answer { status, body, .. } = reply else {
            return;
        };
        match status {
            200..=299 => {}
            400..=499 if *status != 429 => {
                self.is_gone = true;
                return;
            }
            _ => return,
        }
        let Ok(body) = serde_json::from_slice::<Json>(body) else {
            return;
        };
        // Servers of an older kind tell of failures alone; those of a newer one tell them twice.
        for item in list(&body, &profile.failures_pointers) {
            self.item(item, Some(Standing::Failed), profile);
        }
        let mut is_told = false;
        for item in list(&body, &profile.statuses_pointers) {
            self.item(item, None, profile);
            is_told = true;
        }
        let pending = first(&body, &profile.statistics_pointers)
            .and_then(|statistics| statistics["pending"].as_u64());
        self.is_over = is_told && pending == Some(0);
    }

    fn item(&mut self, item: &Json, standing: Option<Standing>, profile: &Profile) {
        let Some(address) = member(item, &profile.item_address_keys) else {
            return;
        };
        let standing = standing.unwrap_or_else(|| {
            let word = item["status"].as_str().unwrap_or_default();
            profile.status_map.standing(word)
        });
        let reason = member(item, &profile.item_reason_keys);
        let details = member(item, &profile.item_details_keys);
        let why: Vec<String> = [reason, details].into_iter().flatten().collect();
        self.users
            .insert(digits(&address), (standing, why.join(": ")));
    }

    /// Whether more may be heard of one of these.
    pub(super) fn is_open<'a>(&self, mut digits: impl Iterator<Item = &'a str>) -> bool {
        let is_open = |digits: &str| match self.users.get(digits) {
            Some((standing, _)) => *standing == Standing::Pending,
            None => !self.is_over,
        };
        !self.is_gone && digits.any(is_open)
    }

    /// What became of one user of the broadcast `id`, as far as it is known. What was handed over
    /// and has not failed is accepted.
    pub(super) fn outcome(&self, id: &str, digits: &str, adapter: &Botsquad) -> Outcome {
        let settings = &adapter.settings;
        let refused = |cause: Cause, why: &str| {
            let why = adapter.credential.removed_from(why);
            let reason = cause.reason(&why, String::new());
            Class::Never.outcome(reason, None)
        };
        match self.users.get(digits) {
            Some((Standing::Failed, why)) if settings.optout_pattern.is_in(why) => {
                refused(Cause::RecipientOptedOut, why)
            }
            Some((Standing::Failed, why)) => refused(Cause::Refused, why),
            Some((Standing::Cancelled, _)) => refused(Cause::Refused, "cancelled"),
            None if self.is_over => {
                let why = "the broadcast is over, and says nothing of this recipient";
                Class::Open.outcome(Cause::Doubtful.reason(why, String::new()), None)
            }
            Some((Standing::Pending | Standing::Sent, _)) | None => Outcome::Accepted {
                provider_id: format!("{id}/{digits}"),
            },
        }
    }
}

/// The value in the first of these places that is there.
fn first<'b>(body: &'b Json, pointers: &[String]) -> Option<&'b Json> {
    pointers.iter().find_map(|pointer| body.pointer(pointer))
}

fn list<'b>(body: &'b Json, pointers: &[String]) -> impl Iterator<Item = &'b Json> {
    let items = first(body, pointers).and_then(Json::as_array);
    items.into_iter().flatten()
}

/// The text of the first of these members that is there.
fn member(item: &Json, keys: &[String]) -> Option<String> {
    let value = keys.iter().find_map(|key| match item.get(key) {
        None | Some(Json::Null) => None,
        found => found,
    })?;
    Some(match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    })
}
