//! The calls that send messages: one for many templates, and one for each other kind.

use std::sync::{Arc, Mutex};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::shape::Errors;
use super::tray::{Report, Told};
use super::words::{self, Mishap, Status};
use super::{Memory, Own, admit, answer, calls, lock};
use crate::clock;
use crate::provider::sandbox::{Desk, LATE, Numbers};

/// What is not known of the real API, and can be had either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Modes {
    /// What a message id does that comes again.
    pub repeats: Repeats,
    /// When it is told that a template or its values are wrong.
    pub wrongs: Wrongs,
    /// Whether faults name the message that they are in.
    pub paths: Paths,
    /// How many messages a request may hold; `None` for any number.
    pub messages_max: Option<usize>,
}

/// What a message id does that comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Repeats {
    /// The message is sent again.
    #[default]
    Accept,
    /// The message is refused.
    Reject,
    /// It is answered as the first time, and not sent again.
    Dedupe,
}

/// When it is told that a template or its values are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Wrongs {
    /// In the report, after the message was taken.
    #[default]
    Later,
    /// At once, for the whole request.
    AtOnce,
}

/// Whether faults name the message that they are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Paths {
    /// They do not.
    #[default]
    Bare,
    /// They begin with its place in the request.
    Placed,
}

/// What is done with a whole request.
enum Fate {
    Served(Vec<Status>, Pace),
    Refused(Box<Response>),
}

/// What becomes of an answer.
#[derive(PartialEq)]
enum Pace {
    Usual,
    Late,
    /// A gateway says something else instead.
    Lost,
}

/// Answers one request.
pub(super) async fn messages(
    State(desk): State<Arc<Desk>>,
    Extension(own): Own,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk.ledger.heard();
    let answer = match served(&desk, &own, &call, admit(&headers, body)) {
        Ok((answer, pace)) => {
            if pace == Pace::Late {
                desk.pause(LATE).await;
            }
            match pace {
                Pace::Lost => words::gateway(StatusCode::GATEWAY_TIMEOUT),
                Pace::Usual | Pace::Late => answer,
            }
        }
        Err(refused) => {
            desk.ledger.refused();
            *refused
        }
    };
    desk.take_time().await;
    answer
}

fn served(
    desk: &Desk,
    own: &Mutex<Memory>,
    call: &str,
    body: Result<Value, Box<Response>>,
) -> Result<(Response, Pace), Box<Response>> {
    let body = body?;
    let modes = desk.behaviour.infobip;
    let messages = read(call, &body, modes)?;
    let from = messages[0]["from"].as_str().unwrap_or_default();
    if let Some(rate) = desk.behaviour.rate
        && !desk.ledger.within(rate, from, clock::steady())
    {
        return Err(Box::new(words::error(
            StatusCode::TOO_MANY_REQUESTS,
            Some(1),
        )));
    }
    let (statuses, pace) = match desk.fate(&messages, modes) {
        Fate::Served(statuses, pace) => (statuses, pace),
        Fate::Refused(refused) => return Err(refused),
    };
    let bulk_id = body["bulkId"].as_str().map(str::to_owned);
    let bulk_id = bulk_id.unwrap_or_else(|| desk.ledger.digits());
    let mut memory = lock(own);
    if let Some(refused) = wrong_at_once(&memory, call, &messages, modes) {
        return Err(refused);
    }
    let mut entries = Vec::with_capacity(messages.len());
    for (message, status) in messages.iter().zip(statuses) {
        let of = (call, bulk_id.as_str());
        entries.push(desk.take(&mut memory, message, status, of));
    }
    let mut told = if call == calls::TEMPLATE {
        json!({ "messages": entries, "bulkId": bulk_id })
    } else {
        entries.remove(0)
    };
    // Nothing may stumble over what is new.
    told["novelty"] = json!("sandbox");
    Ok((answer(StatusCode::OK, told.to_string()), pace))
}

/// The messages of a request whose shape is good.
fn read<'b>(call: &str, body: &'b Value, modes: Modes) -> Result<Vec<&'b Value>, Box<Response>> {
    let mut errors = Errors::new();
    let refused = |status, errors: &Errors| Box::new(words::exception(status, errors));
    let Some(shape) = calls::message(call) else {
        return Err(refused(StatusCode::NOT_FOUND, &errors));
    };
    let messages: Vec<&Value> = match (call, body["messages"].as_array()) {
        (calls::TEMPLATE, Some(messages)) => messages.iter().collect(),
        (calls::TEMPLATE, None) => Vec::new(),
        _ => vec![body],
    };
    let most = modes.messages_max.unwrap_or(usize::MAX);
    if !(1..=most).contains(&messages.len()) {
        let what = format!("size must be between 1 and {most}");
        errors.entry("messages".into()).or_default().push(what);
    }
    for (at, message) in messages.iter().enumerate() {
        let path = place(call, at, modes);
        shape.check(message, &path, &mut errors);
    }
    if errors.is_empty() {
        Ok(messages)
    } else {
        Err(refused(StatusCode::BAD_REQUEST, &errors))
    }
}

/// How the paths of a message begin.
fn place(call: &str, at: usize, modes: Modes) -> String {
    match modes.paths {
        Paths::Placed if call == calls::TEMPLATE => format!("messages[{at}]."),
        Paths::Placed | Paths::Bare => String::new(),
    }
}

/// Refuses a request in which a template or its values are wrong, where that is told at once.
fn wrong_at_once(
    memory: &Memory,
    call: &str,
    messages: &[&Value],
    modes: Modes,
) -> Option<Box<Response>> {
    if modes.wrongs == Wrongs::Later {
        return None;
    }
    let mut errors = Errors::new();
    for (at, message) in messages.iter().enumerate() {
        if misfit(memory, call, message).is_some() {
            let path = format!("{}content.templateName", place(call, at, modes));
            let what = "the template or its values are wrong".to_owned();
            errors.entry(path).or_default().push(what);
        }
    }
    let response = words::exception(StatusCode::BAD_REQUEST, &errors);
    (!errors.is_empty()).then(|| Box::new(response))
}

fn misfit(memory: &Memory, call: &str, message: &Value) -> Option<Mishap> {
    let from = message["from"].as_str().unwrap_or_default();
    let is_template = call == calls::TEMPLATE;
    is_template
        .then(|| memory.shelf.misfit(from, &message["content"]))
        .flatten()
}

fn ending(message: &Value) -> &str {
    let to = message["to"].as_str().unwrap_or_default();
    to.get(to.len().saturating_sub(4)..).unwrap_or_default()
}

impl Desk {
    /// What the recipients' numbers cause.
    fn fate(&self, messages: &[&Value], modes: Modes) -> Fate {
        let mut statuses = vec![words::PENDING; messages.len()];
        let mut pace = Pace::Usual;
        if self.behaviour.numbers == Numbers::Plain {
            return Fate::Served(statuses, pace);
        }
        let attempt = |at: usize| messages[at]["messageId"].as_str().unwrap_or_default();
        for (at, message) in messages.iter().enumerate() {
            match ending(message) {
                "0400" => {
                    let path = place(calls::TEMPLATE, at, modes);
                    let what = "is not taken by the sandbox".to_owned();
                    let errors = Errors::from([(format!("{path}content"), vec![what])]);
                    let refused = words::exception(StatusCode::BAD_REQUEST, &errors);
                    return Fate::Refused(Box::new(refused));
                }
                "0429" if self.ledger.is_first_trouble(attempt(at)) => {
                    let refused = words::error(StatusCode::TOO_MANY_REQUESTS, Some(1));
                    return Fate::Refused(Box::new(refused));
                }
                "0502" => {
                    let refused = words::gateway(StatusCode::BAD_GATEWAY);
                    return Fate::Refused(Box::new(refused));
                }
                "0404" => statuses[at] = words::DESTINATION,
                "0410" => statuses[at] = words::BLOCKLISTED,
                "0500" if self.ledger.is_first_trouble(attempt(at)) => {
                    statuses[at] = words::SYSTEM_ERROR;
                }
                "0408" => pace = Pace::Late,
                "0504" => pace = Pace::Lost,
                _ => {}
            }
        }
        Fate::Served(statuses, pace)
    }

    /// Takes a message in or not, and says so.
    fn take(
        &self,
        memory: &mut Memory,
        message: &Value,
        status: Status,
        (call, bulk_id): (&str, &str),
    ) -> Value {
        let given = message["messageId"].as_str().filter(|it| !it.is_empty());
        let id = given.map_or_else(|| self.ledger.digits(), str::to_owned);
        let is_repeated = memory.tray.knows(&id);
        let status = match self.behaviour.infobip.repeats {
            Repeats::Reject if is_repeated && status == words::PENDING => words::DUPLICATE,
            _ => status,
        };
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        let entry = json!({
            "to": text("to"), "messageCount": 1, "messageId": id, "status": status.written(),
        });
        if status != words::PENDING {
            self.ledger.refused();
            return entry;
        }
        if is_repeated && self.behaviour.infobip.repeats == Repeats::Dedupe {
            return entry;
        }
        self.ledger.accepted();
        let (number, now) = (self.ledger.message_number(), clock::now());
        self.ledger.remember(&id, number, now);
        let (status, mishap, told) = self.end(memory, call, message);
        let report = Report {
            message_id: id,
            bulk_id: bulk_id.to_owned(),
            from: text("from"),
            to: text("to"),
            at: now,
            status,
            mishap,
        };
        if let Some(speaker) = self.speaker.get()
            && told == Told::Later
        {
            report.tell(speaker);
        }
        memory.tray.take(report, told);
        entry
    }

    /// What becomes of a message that was taken.
    fn end(&self, memory: &Memory, call: &str, message: &Value) -> (Status, Mishap, Told) {
        if let Some(mishap) = misfit(memory, call, message) {
            return (words::UNDELIVERABLE, mishap, Told::Later);
        }
        let scripted = self.behaviour.numbers == Numbers::Scripted;
        match ending(message) {
            "0700" if scripted => (words::DELIVERED, words::NONE, Told::Never),
            "0702" if scripted => (words::UNDELIVERABLE, words::UNKNOWN_USER, Told::Later),
            "0715" if scripted => (words::EXPIRED, words::VALIDITY, Told::Later),
            _ => (words::DELIVERED, words::NONE, Told::Later),
        }
    }
}
