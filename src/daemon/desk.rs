//! The operator's commands and views, carried out.
//!
//! In: what a command asks, from the admin socket. Out: an answer, once what was asked is on disk
//! and in force. What a person named is made out here; who may ask is for the socket's mode.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::sight::Sight;
use super::steering::Steering;
use super::{intake, journal};
use crate::batch::{Moment, Phone, TenantName};
use crate::clock;
use crate::config::Tenant;
use crate::delivery::Sender;
use crate::delivery::standing::{BatchStanding, BatchState};
use crate::delivery::steering::{By, Pause, Subject};
use crate::report::{self, Hindrance};
use crate::store::{BatchQuery, Cancelled, Error, Found, LISTED_MAX, Store};

mod messages;
mod views;
mod words;

pub use crate::admin::socket::{COMMANDS_PATH, ShortPath};

pub use words::{
    Answer, Asked, BatchTold, CountsTold, Explained, MessagesTold, Named, SenderTold, Wanted,
};

use messages::Marks;

/// Batches that are listed when nobody says how many.
const LISTED: u32 = 50;

/// The longest reason of a pause or a cancel, in characters.
const REASON_MAX: usize = 200;

/// What the desk knows of one tenant.
#[derive(Debug)]
struct Known {
    senders: Vec<Sender>,
    templates: Arc<intake::Desk>,
}

/// Carries commands out.
#[derive(Debug)]
pub(super) struct OperatorDesk {
    store: Store,
    steering: Arc<Steering>,
    sight: Arc<Sight>,
    tenants: BTreeMap<TenantName, Known>,
}

/// Why something is not done.
enum Not {
    /// The answer is no; why, in a sentence.
    No(String),
    Store(Error),
}

impl From<Error> for Not {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

fn no<T>(sentence: impl Into<String>) -> Result<T, Not> {
    Err(Not::No(sentence.into()))
}

impl OperatorDesk {
    pub(super) fn new(
        (store, steering, sight): (Store, Arc<Steering>, Arc<Sight>),
        tenants: &[Tenant],
        desks: &BTreeMap<TenantName, Arc<intake::Desk>>,
    ) -> Self {
        let known = |tenant: &Tenant| {
            let known = Known {
                senders: tenant.senders.clone(),
                templates: Arc::clone(&desks[&tenant.name]),
            };
            (tenant.name.clone(), known)
        };
        Self {
            store,
            steering,
            sight,
            tenants: tenants.iter().map(known).collect(),
        }
    }

    /// Answers what was asked, in JSON.
    pub(super) async fn answer(&self, asked: &[u8]) -> Vec<u8> {
        let answer = match serde_json::from_slice(asked) {
            Ok(asked) => self.carried_out(asked).await,
            Err(error) => Answer::No(format!("this is no command that I know: {error}")),
        };
        serde_json::to_vec(&answer).expect("our own types serialise")
    }

    async fn carried_out(&self, asked: Asked) -> Answer {
        match self.carry_out(asked).await {
            Ok(answer) => answer,
            Err(Not::No(sentence)) => Answer::No(sentence),
            Err(Not::Store(error)) => {
                let why = super::chain(&error);
                journal::command_failed(&why);
                Answer::No(why)
            }
        }
    }

    async fn carry_out(&self, asked: Asked) -> Result<Answer, Not> {
        match asked {
            Asked::Batches(wanted) => self.list(wanted).await,
            Asked::Batch { batch } => {
                let standing = self.find(batch).await?;
                let told = self.told(&standing).await?;
                Ok(Answer::Batch(Box::new(told)))
            }
            Asked::Explain { batch } => {
                let standing = self.find(batch).await?;
                let explained = self.explained(&standing).await?;
                Ok(Answer::Explained(Box::new(explained)))
            }
            Asked::Message { batch, index } => self.message(batch, index).await,
            Asked::Messages {
                to,
                reference,
                batch,
            } => {
                let to = to.map(|number| digits(&number));
                self.messages(Marks { to, reference }, batch).await
            }
            Asked::Senders { tenant } => {
                if let Some(tenant) = &tenant {
                    self.known(tenant)?;
                }
                Ok(Answer::Senders(self.senders(tenant.as_ref())))
            }
            Asked::Pause {
                subject,
                reason,
                for_ms,
            } => self.pause(subject, reason, for_ms).await,
            Asked::Resume { subject } => self.resume(subject).await,
            Asked::Retry { subject } => self.retry(subject).await,
            Asked::Cancel { batch, reason } => self.cancel(batch, reason).await,
            Asked::Limit {
                number,
                tenant,
                per_second,
            } => self.limit(&number, tenant, per_second).await,
        }
    }

    async fn list(&self, wanted: Wanted) -> Result<Answer, Not> {
        let word = wanted.state.as_deref();
        let limit = wanted.limit.unwrap_or(LISTED).min(LISTED_MAX);
        let states = match word {
            None => Vec::new(),
            Some(word) => match states(word) {
                states if states.is_empty() => return no(format!("there is no state `{word}`")),
                states => states,
            },
        };
        let query = BatchQuery {
            tenant: wanted.tenant,
            states,
            name: wanted.file,
            sha256: wanted.sha256,
            since: wanted.since,
            // Some words depend on more than the store knows: those are left out below.
            limit: if word.is_some() { LISTED_MAX } else { limit },
        };
        let mut told = Vec::new();
        for standing in self.store.batches(query).await? {
            if told.len() == limit as usize {
                break;
            }
            let one = self.told(&standing).await?;
            if word.is_none_or(|word| word == one.state) {
                told.push(one);
            }
        }
        Ok(Answer::Batches(told))
    }

    async fn pause(
        &self,
        subject: Named,
        reason: String,
        for_ms: Option<u64>,
    ) -> Result<Answer, Not> {
        check_reason(&reason)?;
        let subject = self.subject(subject, For::Pausing).await?;
        let now = clock::now();
        let until = for_ms.map(|ms| now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX)));
        let pause = Pause {
            subject,
            reason,
            by: By::Operator,
            since: now,
            until,
        };
        let sentence = pause.sentence();
        self.steering.pause(pause).await?;
        Ok(Answer::Done(sentence))
    }

    async fn resume(&self, subject: Named) -> Result<Answer, Not> {
        let subject = self.subject(subject, For::Resuming).await?;
        let what = subject.to_string();
        if !self.steering.resume(subject.clone(), By::Operator).await? {
            if !self.is_held(&subject).await? {
                let elsewhere = self.paused_in(&subject);
                return no(format!("{what} is not paused{elsewhere}"));
            }
            // Whoever says so has mended what it was held for.
            self.steering.retry(subject).await?;
            return Ok(Answer::Done(format!(
                "{what} was not paused but held; it is tried again now"
            )));
        }
        let mut sentence = format!("{what} goes on");
        if let Some(wider) = self.wider(&subject).await? {
            // Whoever resumes one thing of many must learn that another still stops it.
            let _ = write!(sentence, ", but {}", wider.sentence());
        }
        Ok(Answer::Done(sentence))
    }

    /// In which languages else a template is paused, and how those are resumed; empty for all else.
    fn paused_in(&self, subject: &Subject) -> String {
        let Subject::Template { tenant, name, .. } = subject else {
            return String::new();
        };
        let mut languages = Vec::new();
        for pause in self.steering.listed() {
            match pause.subject {
                Subject::Template {
                    tenant: whose,
                    name: other,
                    language,
                } if whose == *tenant && other == *name => match language {
                    Some(language) => languages.push(language),
                    None => return ", but every language of it is: leave out --language".into(),
                },
                _ => {}
            }
        }
        if languages.is_empty() {
            return String::new();
        }
        let languages = languages.join(", ");
        format!(" in every language, but in {languages}: say which with --language")
    }

    /// The pause of a wider subject that holds this one.
    async fn wider(&self, subject: &Subject) -> Result<Option<Pause>, Not> {
        let tenant = match subject {
            Subject::Tenant { .. } => return Ok(None),
            Subject::Sender { tenant, .. } | Subject::Template { tenant, .. } => tenant.clone(),
            Subject::Batch { batch } => match self.store.batch(batch.clone()).await? {
                Some(standing) => standing.arrival.tenant,
                None => return Ok(None),
            },
        };
        let whole = Subject::Tenant { tenant };
        let mut listed = self.steering.listed().into_iter();
        Ok(listed.find(|pause| pause.subject == whole))
    }

    async fn retry(&self, subject: Named) -> Result<Answer, Not> {
        let subject = self.subject(subject, For::Retrying).await?;
        let what = subject.to_string();
        let messages = self.steering.retry(subject).await?;
        Ok(Answer::Done(match messages {
            0 => format!("{what}: no message waited for another try"),
            1 => format!("{what}: 1 message is tried again now"),
            _ => format!("{what}: {messages} messages are tried again now"),
        }))
    }

    async fn cancel(&self, batch: String, reason: String) -> Result<Answer, Not> {
        check_reason(&reason)?;
        let standing = self.find(batch).await?;
        let batch = standing.arrival.batch;
        match self.steering.cancel(batch.clone(), reason).await? {
            Cancelled::Now { left, in_flight } => {
                let mut sentence = if standing.state == BatchState::Sending {
                    format!("batch {batch} is cancelled: {left} messages are not sent")
                } else {
                    format!("batch {batch} is cancelled: nothing of it is sent")
                };
                if in_flight > 0 {
                    let _ = write!(sentence, "; {in_flight} in flight end as they are answered");
                }
                Ok(Answer::Done(sentence))
            }
            Cancelled::Before => no(format!("batch {batch} was cancelled before")),
            Cancelled::TooLate(state) => {
                let state = state.as_str();
                no(format!(
                    "batch {batch} is {state}: there is nothing to cancel"
                ))
            }
            Cancelled::NoSuch => no(format!("there is no batch {batch}")),
        }
    }

    async fn limit(
        &self,
        number: &str,
        tenant: Option<TenantName>,
        per_second: Option<f64>,
    ) -> Result<Answer, Not> {
        let (tenant, sender) = self.sender(number, tenant.as_ref())?;
        let (number, most) = (sender.number.clone(), sender.messages_per_second);
        if let Some(rate) = per_second
            && !(rate > 0.0 && rate <= most)
        {
            return no(format!(
                "a limit lies above 0 and is at most {most} a second, as the settings of {} say; \
                 to stop it, pause it",
                number.as_str()
            ));
        }
        let sentence = match per_second {
            Some(rate) => format!("sender {} is limited to {rate} a second", number.as_str()),
            None => format!("sender {} has its {most} a second again", number.as_str()),
        };
        self.steering.limit(tenant, number, per_second).await?;
        Ok(Answer::Done(sentence))
    }
}

/// What a subject is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// A slip of the pen must not pause nothing.
    Pausing,
    /// What was paused may be gone from the settings by now.
    Resuming,
    Retrying,
}

/// Making out what a person named.
impl OperatorDesk {
    async fn find(&self, text: String) -> Result<BatchStanding, Not> {
        let shown = text.clone();
        match self.store.find(text).await? {
            Found::One(standing) => Ok(*standing),
            Found::None => no(format!(
                "there is no batch with the id, or a part of it, or the file name `{shown}`"
            )),
            Found::Several(standings) => {
                let mut sentence = format!("`{shown}` may mean several batches; say which:");
                for standing in standings {
                    let arrival = &standing.arrival;
                    let (batch, tenant, name) = (&arrival.batch, &arrival.tenant, &arrival.name);
                    let _ = write!(sentence, "\n  {batch}  {tenant}  {name}");
                }
                no(sentence)
            }
        }
    }

    fn known(&self, tenant: &TenantName) -> Result<&Known, Not> {
        match self.tenants.get(tenant) {
            Some(known) => Ok(known),
            None => no(format!("there is no tenant `{tenant}`")),
        }
    }

    /// The tenant that is meant where none may have been named.
    fn the_tenant(&self, tenant: Option<TenantName>) -> Result<TenantName, Not> {
        match (tenant, self.tenants.len()) {
            (Some(tenant), _) => Ok(tenant),
            (None, 1) => Ok(self.tenants.keys().next().cloned().expect("there is one")),
            (None, _) => no("say whose it is with --tenant"),
        }
    }

    fn sender(
        &self,
        number: &str,
        tenant: Option<&TenantName>,
    ) -> Result<(TenantName, &Sender), Not> {
        let wanted = digits(number);
        let of = |(name, known): (&TenantName, &'_ Known)| {
            let is_it = |sender: &&Sender| digits(sender.number.as_str()) == wanted;
            let at = known.senders.iter().position(|sender| is_it(&sender));
            at.map(|at| (name.clone(), at))
        };
        if let Some(tenant) = tenant {
            self.known(tenant)?;
        }
        let fits = |name: &TenantName| tenant.is_none_or(|tenant| tenant == name);
        let tenants = self.tenants.iter().filter(|(name, _)| fits(name));
        let mut found: Vec<_> = tenants.filter_map(of).collect();
        match (found.pop(), found.is_empty()) {
            (Some((tenant, at)), true) => {
                let sender = &self.tenants[&tenant].senders[at];
                Ok((tenant, sender))
            }
            (Some(_), false) => no(format!(
                "several tenants send from {number}; say which with --tenant"
            )),
            (None, _) => no(format!("nobody sends from {number}")),
        }
    }

    async fn subject(&self, named: Named, purpose: For) -> Result<Subject, Not> {
        match named {
            Named::Batch { batch } => {
                let standing = self.find(batch).await?;
                let batch = standing.arrival.batch;
                if purpose != For::Resuming && standing.state.is_settled() {
                    let state = standing.state.as_str();
                    return no(format!("batch {batch} is {state}: nothing of it is left"));
                }
                if purpose != For::Resuming && standing.cancelled_at.is_some() {
                    return no(format!("batch {batch} was cancelled"));
                }
                Ok(Subject::Batch { batch })
            }
            Named::Tenant { tenant } => {
                if purpose != For::Resuming {
                    self.known(&tenant)?;
                }
                Ok(Subject::Tenant { tenant })
            }
            Named::Sender { number, tenant } => {
                if purpose == For::Resuming
                    && let Some(subject) = self.paused_sender(&number, tenant.as_ref())
                {
                    return Ok(subject);
                }
                let (tenant, sender) = self.sender(&number, tenant.as_ref())?;
                let number = sender.number.clone();
                Ok(Subject::Sender { tenant, number })
            }
            Named::Template {
                tenant,
                name,
                language,
            } => {
                let tenant = self.the_tenant(tenant)?;
                if purpose == For::Pausing {
                    self.check_template(&tenant, &name, language.as_deref())?;
                }
                Ok(Subject::Template {
                    tenant,
                    name,
                    language,
                })
            }
        }
    }

    /// The sender that is paused under this number, whether or not it is in the settings.
    fn paused_sender(&self, number: &str, of: Option<&TenantName>) -> Option<Subject> {
        let wanted = digits(number);
        let is_it = |tenant: &TenantName, number: &Phone| {
            digits(number.as_str()) == wanted && of.is_none_or(|of| of == tenant)
        };
        let paused = self
            .steering
            .listed()
            .into_iter()
            .map(|pause| pause.subject);
        let mut fitting = paused.filter(|subject| match subject {
            Subject::Sender { tenant, number } => is_it(tenant, number),
            _ => false,
        });
        match (fitting.next(), fitting.next()) {
            (Some(subject), None) => Some(subject),
            _ => None,
        }
    }

    /// Says no for a template that the tenant does not have, as far as that can be known.
    fn check_template(
        &self,
        tenant: &TenantName,
        name: &str,
        language: Option<&str>,
    ) -> Result<(), Not> {
        let Ok(templates) = self.known(tenant)?.templates.shelf.templates() else {
            return Ok(());
        };
        let mut named = templates.all();
        named.retain(|template| template.name() == name);
        if named.is_empty() {
            return no(format!("tenant {tenant} has no template `{name}`"));
        }
        let languages: Vec<&str> = named.iter().map(|template| template.language()).collect();
        match language {
            Some(language) if !languages.contains(&language) => no(format!(
                "template `{name}` has other languages: {}",
                languages.join(", ")
            )),
            _ => Ok(()),
        }
    }
}

/// Every word by which a status calls where a batch stands.
pub fn state_words() -> Vec<&'static str> {
    let states = BatchState::ALL.iter().map(|state| state.as_str());
    states.chain(["scheduled", "paused"]).collect()
}

fn check_reason(reason: &str) -> Result<(), Not> {
    if reason.chars().count() > REASON_MAX || reason.contains(char::is_control) {
        return no(format!(
            "a reason is one line of at most {REASON_MAX} characters"
        ));
    }
    Ok(())
}

/// The states in which a batch may be that a status calls by this word; empty if there is no such
/// word.
fn states(word: &str) -> Vec<BatchState> {
    match word {
        "paused" | "scheduled" => vec![BatchState::Sending],
        "cancelling" => vec![
            BatchState::Cancelling,
            BatchState::Received,
            BatchState::Checking,
        ],
        _ => {
            let all = BatchState::ALL.into_iter();
            all.filter(|state| state.as_str() == word).collect()
        }
    }
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// A moment as programs read it.
fn text(moment: Option<Moment>) -> Option<String> {
    moment.map(|moment| moment.to_string())
}

/// The word by which a status calls where a batch stands.
fn word(standing: &BatchStanding, hindrance: Option<Hindrance>) -> String {
    report::state_word(standing, hindrance).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word that `batch list --state` offers and that then finds nothing would mislead.
    #[test]
    fn every_word_for_a_state_is_one_of_the_status_file() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../schemas/status.v1.json")).expect("JSON");
        let mut told: Vec<&str> = schema["properties"]["state"]["enum"]
            .as_array()
            .expect("words")
            .iter()
            .filter_map(serde_json::Value::as_str)
            .collect();
        let mut words = state_words();
        assert!(words.iter().all(|word| !states(word).is_empty()));
        told.sort_unstable();
        words.sort_unstable();
        assert_eq!(words, told);
    }
}
