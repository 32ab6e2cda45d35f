//! What a run of the torture is judged by. In: what was dropped and how that was answered, what the
//! provider wrote down, what came back into the folders, when the daemon died. Out: every breach of
//! a promise. It knows nothing of how the daemon works and decides nothing by its log.
//!
//! A run has failed when, for the files:
//!
//! - a file whose close or rename was answered `OK` has no batch, or is sent by none
//!   ([`FileLost`]);
//! - there is a batch of a file that nobody dropped or finished, or more batches of it than drops
//!   ([`FileInvented`]);
//! - an ended batch's file does not lie, byte by byte, in one place: `processed/` if it was sent,
//!   `errors/` if it was refused ([`FileNotKept`]);
//! - a batch has not ended as its content must ([`NotEnded`]).
//!
//! For the messages of each batch that was sent:
//!
//! - there is not exactly one results file with one line for each row, in order, with the row's
//!   reference and recipient, `invalid` where the row is and nowhere else ([`RowsDiffer`]);
//! - the status counts otherwise than the lines do ([`CountsDiffer`]);
//! - a message was taken more than once without `possibleDuplicate`, more than twice with it, or by
//!   two batches, or one attempt was seen twice ([`SentTwice`]);
//! - one is `accepted` that the provider did not take, or gave another id ([`AcceptedUntaken`]);
//! - one is `invalid`, `expired`, `suppressed` or `cancelled`, or of a refused file, and was taken;
//!   or it is `failed` and was taken, unless `possibleDuplicate` says that an earlier try of it may
//!   have been ([`RefusedTaken`]);
//! - one is `failed` that the provider never refused ([`FailedUnrefused`]);
//! - one is marked `possibleDuplicate` though its tenant lets nothing be sent again
//!   ([`MarkedWithoutLeave`]).
//!
//! For those that are `unknown`:
//!
//! - neither the provider's own answer, nor a death, nor a broken connection explains one
//!   ([`UnknownUnexplained`]);
//! - a death left more of them than one sender may have under way, or there are more that the
//!   provider never saw than all deaths and broken connections explain ([`UnknownTooMany`]).
//!
//! For the requests:
//!
//! - one came before its file's client asked for the close or the rename ([`SentTooSoon`]);
//! - one is for a message or a recipient that its batch does not have ([`RequestOdd`]).
//!
//! It has not failed when the provider took a message that is `unknown`: that is the one honest
//! doubt. Nor when a file is set aside (`file.quarantined`) that may have been read when the daemon
//! died, and died again: it cannot tell a kill from a file that kills. A doubtful drop, whose
//! client was cut off while it waited for its answer, may have one batch or none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::history::{Batch, Content, Death, DropAnswer, Dropped, History, Request, Row, Told};

#[cfg(doc)]
use self::Condition::*;

mod cases;

/// Attempts of one sender that may be under way at once.
pub(crate) const IN_FLIGHT_MAX: usize = 512;

/// Deaths that may be taken for a file's fault.
const QUARANTINE_DEATHS: usize = 2;

/// The provider may write a request down that its sender did not live to see gone.
const DYING: Duration = Duration::from_secs(2);

/// Which promise was broken; the head of this file says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    FileLost,
    FileInvented,
    FileNotKept,
    NotEnded,
    RowsDiffer,
    CountsDiffer,
    SentTwice,
    AcceptedUntaken,
    RefusedTaken,
    FailedUnrefused,
    MarkedWithoutLeave,
    UnknownUnexplained,
    UnknownTooMany,
    SentTooSoon,
    RequestOdd,
}

/// A promise that was broken, and where.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    pub(crate) condition: Condition,
    pub(crate) words: String,
}

/// Every breach in a history.
pub(crate) fn judge(history: &History) -> Vec<Breach> {
    let mut judge = Judge::new(history);
    judge.files();
    for batch in &history.batches {
        judge.batch(batch);
    }
    judge.requests();
    judge.doubts();
    judge.breaches
}

struct Judge<'a> {
    history: &'a History,
    /// The content of each batch, where it can be told.
    content_of: HashMap<&'a str, usize>,
    of_message: HashMap<(&'a str, u64), Vec<&'a Request>>,
    /// Unknown messages by death and sender.
    by_death: BTreeMap<(usize, &'static str), usize>,
    /// Unknown messages that only a broken connection explains.
    by_cut: usize,
    /// Unknown messages that the provider never saw: a death or a broken connection.
    unseen: usize,
    breaches: Vec<Breach>,
}

impl<'a> Judge<'a> {
    fn new(history: &'a History) -> Self {
        let mut of_message: HashMap<_, Vec<&Request>> = HashMap::new();
        for request in &history.requests {
            let key = (request.batch.as_str(), request.index);
            of_message.entry(key).or_default().push(request);
        }
        let content_of = |batch: &'a Batch| Some((batch.id.as_str(), content_of(history, batch)?));
        Self {
            history,
            content_of: history.batches.iter().filter_map(content_of).collect(),
            of_message,
            by_death: BTreeMap::new(),
            by_cut: 0,
            unseen: 0,
            breaches: Vec::new(),
        }
    }

    fn breach(&mut self, condition: Condition, words: String) {
        self.breaches.push(Breach { condition, words });
    }

    /// Holds the drops of each content and name against its batches.
    fn files(&mut self) {
        let history = self.history;
        let mut dropped: BTreeMap<(usize, &str), (usize, usize)> = BTreeMap::new();
        for drop in &history.drops {
            let (least, most) = dropped.entry((drop.content, &drop.name)).or_default();
            *least += usize::from(drop.answer == DropAnswer::Ok);
            *most += usize::from(drop.answer != DropAnswer::Never);
        }
        let mut batches: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for batch in &history.batches {
            match self.content_of.get(batch.id.as_str()) {
                Some(content) => *batches.entry((*content, &batch.name)).or_default() += 1,
                None => self.breach(
                    Condition::FileInvented,
                    format!("{} `{}`: nobody dropped these bytes", batch.id, batch.name),
                ),
            }
        }
        for (key, (least, most)) in &dropped {
            let found = batches.remove(key).unwrap_or(0);
            let words = format!("`{}`: {found} batches of {least} to {most} drops", key.1);
            if found < *least {
                self.breach(Condition::FileLost, words);
            } else if found > *most {
                self.breach(Condition::FileInvented, words);
            }
        }
        for ((_, name), found) in batches {
            let words = format!("`{name}`: {found} batches under a name of another content");
            self.breach(Condition::FileInvented, words);
        }
        self.goodness();
    }

    /// Each good content of which there is any batch must be sent by one of them.
    fn goodness(&mut self) {
        let mut sent: BTreeMap<usize, bool> = BTreeMap::new();
        for batch in &self.history.batches {
            if let Some(content) = self.content_of.get(batch.id.as_str()) {
                let is_set_aside = self.is_set_aside(batch);
                *sent.entry(*content).or_default() |= batch.state == "finished" || is_set_aside;
            }
        }
        for (content, was_sent) in sent {
            if self.history.contents[content].is_good && !was_sent {
                let words = format!("content {content}: refused by each of its batches");
                self.breach(Condition::FileLost, words);
            }
        }
    }

    /// Whether the file was set aside after deaths that may have fallen into its reading.
    fn is_set_aside(&self, batch: &Batch) -> bool {
        let asked_at = self
            .history
            .drops
            .iter()
            .filter(|drop| drop.name == batch.name);
        let asked_at = asked_at.map(|drop| drop.asked_at).min().unwrap_or_default();
        let deaths = self
            .history
            .deaths
            .iter()
            .filter(|death| death.at > asked_at);
        batch.reason == "file.quarantined" && deaths.count() >= QUARANTINE_DEATHS
    }

    fn batch(&mut self, batch: &Batch) {
        let Some(content) = self.content_of.get(batch.id.as_str()) else {
            return;
        };
        let content = &self.history.contents[*content];
        let is_sent = match batch.state.as_str() {
            "finished" if content.is_good => true,
            "rejected" if !content.is_good => false,
            "duplicate" => false,
            _ if self.is_set_aside(batch) => false,
            state => {
                let (id, reason) = (&batch.id, &batch.reason);
                let words = format!("{id} `{}`: `{state}` for `{reason}`", batch.name);
                return self.breach(Condition::NotEnded, words);
            }
        };
        let folder = if is_sent { "processed" } else { "errors" };
        let whole = |(found, bytes): &(&str, Vec<u8>)| *found == folder && *bytes == content.bytes;
        if batch.kept.len() != 1 || !batch.kept.iter().all(whole) {
            let folders: Vec<_> = batch.kept.iter().map(|(found, _)| found).collect();
            let words = format!("{} `{}`: in {folders:?}", batch.id, batch.name);
            self.breach(Condition::FileNotKept, words);
        }
        if is_sent {
            self.results(batch, content);
            return;
        }
        let requests = &self.history.requests;
        let asked = requests.iter().filter(|it| it.batch == batch.id).count();
        if asked > 0 || batch.lines.is_some() {
            let words = format!("{} `{}`: {asked} requests", batch.id, batch.name);
            self.breach(Condition::RefusedTaken, words);
        }
    }

    fn results(&mut self, batch: &Batch, content: &Content) {
        let lines = batch.lines.as_deref().unwrap_or_default();
        if lines.len() != content.rows.len() {
            let (found, rows) = (lines.len(), content.rows.len());
            let words = format!("{}: {found} lines for {rows} rows", batch.id);
            self.breach(Condition::RowsDiffer, words);
        }
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for ((index, row), line) in (0..).zip(&content.rows).zip(lines) {
            *counts.entry(&line.status).or_default() += 1;
            self.row(batch, index, (row, line));
            self.message(batch, content, line);
        }
        let told = |status: &str| batch.counts.get(status).copied().unwrap_or(0);
        let differs = |(status, count): (&&str, &u64)| told(status) != *count;
        let total: u64 = counts.values().sum();
        if counts.iter().any(differs) || told("total") != total {
            let words = format!("{}: {:?} told, {counts:?} lines", batch.id, batch.counts);
            self.breach(Condition::CountsDiffer, words);
        }
    }

    fn row(&mut self, batch: &Batch, index: u64, (row, line): (&Row, &Told)) {
        let is_same = line.index == index
            && line.line == row.line
            && line.reference == row.reference
            && (line.status == "invalid") == row.to.is_none()
            && row.to.as_ref().is_none_or(|to| *to == line.to);
        if !is_same {
            let words = format!("{}: row {index} {row:?} became {line:?}", batch.id);
            self.breach(Condition::RowsDiffer, words);
        }
    }

    fn message(&mut self, batch: &Batch, content: &Content, line: &Told) {
        let key = (batch.id.as_str(), line.index);
        let tries = self.of_message.get(&key).cloned().unwrap_or_default();
        let taken: Vec<&str> = tries.iter().filter_map(|it| it.taken.as_deref()).collect();
        let words = format!("{}: {line:?} of {tries:?}", batch.id);
        let attempts: BTreeSet<u32> = tries.iter().map(|it| it.attempt).collect();
        let most = if line.possible_duplicate { 2 } else { 1 };
        if taken.len() > most || attempts.len() < tries.len() {
            self.breach(Condition::SentTwice, words.clone());
        }
        if line.possible_duplicate && !self.history.resending.contains(content.tenant) {
            self.breach(Condition::MarkedWithoutLeave, words.clone());
        }
        match line.status.as_str() {
            "accepted" if !taken.contains(&line.message_id.as_str()) => {
                self.breach(Condition::AcceptedUntaken, words);
            }
            "accepted" => {}
            "unknown" => {
                // A later attempt may have begun that never came to the provider.
                let last = tries.last().filter(|last| last.attempt >= line.attempts);
                self.unknown(content, last.copied(), words);
            }
            "failed" | "invalid" | "expired" | "suppressed" | "cancelled" => {
                if !taken.is_empty() {
                    self.breach(Condition::RefusedTaken, words.clone());
                }
                let refused = |it: &&Request| it.taken.is_none() && it.clear;
                if line.status == "failed" && !tries.iter().any(refused) {
                    self.breach(Condition::FailedUnrefused, words);
                }
            }
            _ => self.breach(Condition::NotEnded, words),
        }
    }

    /// Looks for what left a message in doubt whose last request was `last`.
    fn unknown(&mut self, content: &Content, last: Option<&Request>, words: String) {
        let Some(last) = last else {
            self.unseen += 1;
            return;
        };
        if !last.clear {
            return;
        }
        let covers = |death: &Death| {
            (death.under_way_since..=death.at.saturating_add(DYING)).contains(&last.at)
        };
        if let Some(death) = self.history.deaths.iter().position(covers) {
            *self.by_death.entry((death, content.sender)).or_default() += 1;
        } else if self.by_cut < self.history.cuts {
            self.by_cut += 1;
        } else {
            self.breach(Condition::UnknownUnexplained, words);
        }
    }

    /// Holds what the provider saw against what there is to be sent, and when.
    fn requests(&mut self) {
        let history = self.history;
        let mut asked_at: BTreeMap<(usize, &str), Duration> = BTreeMap::new();
        for drop in &history.drops {
            let at = asked_at
                .entry((drop.content, &drop.name))
                .or_insert(drop.asked_at);
            *at = drop.asked_at.min(*at);
        }
        let names: HashMap<&str, &str> = history
            .batches
            .iter()
            .map(|it| (it.id.as_str(), it.name.as_str()))
            .collect();
        let mut takers: HashMap<&str, &str> = HashMap::new();
        for request in &history.requests {
            let batch = request.batch.as_str();
            let Some(content) = self.content_of.get(batch).copied() else {
                let words = format!("{batch}: sent for a file that nobody dropped: {request:?}");
                self.breach(Condition::FileInvented, words);
                continue;
            };
            let row = history.contents[content].rows.get(request.index as usize);
            if row.and_then(|row| row.to.as_ref()) != Some(&request.to) {
                let words = format!("{request:?} for {row:?}");
                self.breach(Condition::RequestOdd, words);
            }
            let asked_at = asked_at.get(&(content, names[batch]));
            if asked_at.is_some_and(|asked_at| request.at < *asked_at) {
                let words = format!("{request:?}, asked for at {asked_at:?}");
                self.breach(Condition::SentTooSoon, words);
            }
            if request.taken.is_some() && *takers.entry(&request.to).or_insert(batch) != batch {
                let words = format!(
                    "by {} and {batch}: {request:?}",
                    takers[request.to.as_str()]
                );
                self.breach(Condition::SentTwice, words);
            }
        }
    }

    /// Holds the number of messages in doubt against what there was to cause them.
    fn doubts(&mut self) {
        let too_many: Vec<String> = self
            .by_death
            .iter()
            .filter(|(_, count)| **count > IN_FLIGHT_MAX)
            .map(|((death, sender), count)| format!("death {death} left {count} of {sender}"))
            .collect();
        for words in too_many {
            self.breach(Condition::UnknownTooMany, words);
        }
        let senders: BTreeSet<&str> = self.history.contents.iter().map(|it| it.sender).collect();
        let by_deaths = IN_FLIGHT_MAX * self.history.deaths.len() * senders.len();
        let most = self.history.cuts + by_deaths;
        let found = self.by_cut + self.unseen;
        if found > most {
            let words = format!("{found} of which the provider knows nothing, {most} at most");
            self.breach(Condition::UnknownTooMany, words);
        }
    }
}

/// The content of a batch: by its bytes, or by its name when no bytes are kept.
fn content_of(history: &History, batch: &Batch) -> Option<usize> {
    let is = |content: &Content| {
        content.tenant == batch.tenant
            && batch.kept.iter().any(|(_, bytes)| *bytes == content.bytes)
    };
    if !batch.kept.is_empty() {
        return history.contents.iter().position(is);
    }
    let named = |drop: &&Dropped| {
        drop.name == batch.name && history.contents[drop.content].tenant == batch.tenant
    };
    history.drops.iter().find(named).map(|drop| drop.content)
}
