//! What the sending tells of itself, and what follows from it: which limit binds a batch now, in a
//! sentence, and when the batch will probably have ended.
//!
//! Pure. The loop that sends says how things stand; commands and statuses show it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::Reason;
use super::sending::Bar;
use super::steering::Pause;
use crate::batch::{BatchId, Moment, Phone, TenantName};

/// Of its allowed rate, the share at which a sender counts as going at that rate.
const AT_RATE: f64 = 0.85;

/// An end that is further away than this is nobody's estimate: ten years.
const FAR_MS: f64 = 10.0 * 365.0 * 86_400_000.0;

/// How the sending stands, as its loop last said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Views {
    /// Every sender.
    pub senders: BTreeMap<(TenantName, Phone), SenderView>,
    /// Every batch that is being sent.
    pub batches: HashMap<BatchId, BatchView>,
    /// What stands against sending for a while.
    pub bars: Vec<Bar>,
    /// Whether nothing begins because the disk is full.
    pub is_disk_full: bool,
}

/// How one sender stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderView {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its number.
    pub number: Phone,
    /// What its settings allow, in messages a second.
    pub configured_rate: f64,
    /// What the provider has shown to take, if that is less.
    pub learned_rate: Option<f64>,
    /// What the operator allows, if anything was said.
    pub operators_rate: Option<f64>,
    /// How fast it went over the last seconds; `None` when that was not measured.
    pub recent_rate: Option<f64>,
    /// Attempts under way.
    pub in_flight: usize,
    /// Attempts that may be under way at once.
    pub permits: usize,
    /// What stops it for a while.
    pub hold: Option<Hold>,
}

/// Which of its rates is the lowest, and so holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateBy {
    /// `messages_per_second` in the settings.
    Settings,
    /// What the provider was found to take.
    Provider,
    /// What the operator has set.
    Operator,
}

impl SenderView {
    /// The rate that holds, and whose it is.
    pub fn rate(&self) -> (f64, RateBy) {
        let mut lowest = (self.configured_rate, RateBy::Settings);
        let others = [
            (self.learned_rate, RateBy::Provider),
            (self.operators_rate, RateBy::Operator),
        ];
        for (rate, by) in others {
            if let Some(rate) = rate.filter(|rate| *rate < lowest.0) {
                lowest = (rate, by);
            }
        }
        lowest
    }
}

/// What was found not to work for a while, and how much waits with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// How far it reaches.
    pub reach: Reach,
    /// The next try.
    pub until: Moment,
    /// Why.
    pub reason: Reason,
}

/// How far a hold reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The provider asked this sender to be slower.
    Throttle,
    /// The sender.
    Sender,
    /// One template.
    Template,
    /// All that is sent with the same credentials.
    Credential,
    /// All that goes to the same address.
    Endpoint,
}

/// How one batch stands, as far as its messages alone do not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchView {
    /// The senders that its messages left to send have been found to use.
    pub senders: Vec<Phone>,
    /// The index of the next message that was never tried; `None` when all have been.
    pub position: Option<u64>,
    /// What stops its template, or it as a whole, for a while.
    pub hold: Option<Hold>,
    /// The pause of a sender or template that all of its messages left to send were found to need.
    pub paused_by: Option<Pause>,
    /// A sender that it needs and that its tenant does not have.
    pub lacks_sender: Option<Phone>,
    /// When its next message may go, where each waits for a time that its row names.
    pub scheduled_at: Option<Moment>,
    /// When its window opens or quiet hours end, where that keeps it.
    pub window_opens_at: Option<Moment>,
    /// When the next of its messages is tried again, where all that are left wait for that.
    pub next_try_at: Option<Moment>,
    /// Batches of higher priority, or further back in their turns, that its senders serve first.
    pub before: usize,
    /// Its share of what its senders send, from 0.0 to 1.0.
    pub share: f64,
}

/// All that decides which limit binds a batch.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The pause in force.
    pub pause: Option<&'a Pause>,
    /// Whether nothing begins because the disk is full.
    pub is_disk_full: bool,
    /// How the batch stands.
    pub batch: &'a BatchView,
    /// The senders that it uses.
    pub senders: &'a [&'a SenderView],
    /// Messages that wait or are in flight.
    pub left: u64,
    /// How many messages are held when nothing else is left, and until when.
    pub awaited: Option<(u64, Moment)>,
    /// The moment of asking.
    pub now: Moment,
}

/// What keeps a batch from being faster.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// The disk is full.
    Disk,
    /// Somebody has paused it, or what it needs.
    Paused(Pause),
    /// Its tenant has no such sender.
    NoSender(Phone),
    /// Something does not work for a while; with the sender that it is about, where the batch uses
    /// several.
    Held(Hold, Option<Phone>),
    /// Its messages are for later.
    Scheduled(Moment),
    /// Its window is closed.
    Window(Moment),
    /// What is left waits for another try.
    NextTry(Moment),
    /// Its sender serves other batches too.
    Shared {
        /// How many go before it.
        before: usize,
        /// What it gets, in messages a second.
        rate: f64,
    },
    /// Everything that may be under way is, and the provider takes its time to answer.
    Permits(usize),
    /// The rate of its sender; of several, of the one that will end last.
    Rate {
        /// In messages a second.
        rate: f64,
        /// Whose it is.
        by: RateBy,
        /// The sender, where there are several.
        of: Option<Phone>,
    },
    /// So many messages may have gone out; what became of them is waited for until this moment.
    Receipts(u64, Moment),
    /// Nothing is left to begin.
    Nothing,
}

impl Binding {
    /// The word for it, for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Paused(_) => "paused",
            Self::NoSender(_) => "sender",
            Self::Held(hold, _) => match hold.reach {
                Reach::Throttle => "throttle",
                Reach::Sender => "senderHeld",
                Reach::Template => "templateHeld",
                Reach::Credential => "credentialHeld",
                Reach::Endpoint => "endpointHeld",
            },
            Self::Scheduled(_) => "scheduled",
            Self::Window(_) => "window",
            Self::NextTry(_) => "nextTry",
            Self::Shared { .. } => "otherBatches",
            Self::Permits(_) => "answers",
            Self::Rate { by, .. } => match by {
                RateBy::Settings => "rate",
                RateBy::Provider => "learnedRate",
                RateBy::Operator => "operatorsLimit",
            },
            Self::Receipts(..) => "receipts",
            Self::Nothing => "nothing",
        }
    }

    /// Until when it binds, where that is known.
    pub fn until(&self) -> Option<Moment> {
        match self {
            Self::Paused(pause) => pause.until,
            Self::Held(hold, _) => Some(hold.until),
            Self::Scheduled(at) | Self::Window(at) | Self::NextTry(at) | Self::Receipts(_, at) => {
                Some(*at)
            }
            _ => None,
        }
    }

    /// Whether it stops the batch altogether with no end in sight.
    fn stops_for_good(&self) -> bool {
        match self {
            Self::Disk | Self::NoSender(_) => true,
            Self::Paused(pause) => pause.until.is_none(),
            _ => false,
        }
    }
}

/// The sentence that `explain` says and a status holds.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk => f.write_str("the disk is full; it goes on when there is room"),
            Self::Paused(pause) => f.write_str(&pause.sentence()),
            Self::NoSender(number) => write!(
                f,
                "{} is not among the tenant's senders; add it to the settings",
                number.as_str()
            ),
            Self::Held(hold, None) => write!(f, "{hold}"),
            Self::Held(hold, Some(number)) => write!(f, "{}: {hold}", number.as_str()),
            Self::Scheduled(at) => write!(f, "its messages are scheduled; the next is due at {at}"),
            Self::Window(at) => write!(f, "it may not send at this hour; it goes on at {at}"),
            Self::NextTry(at) => {
                write!(f, "what is left waits for another try; the next is at {at}")
            }
            Self::Shared { before, rate } => {
                let others = counted(*before, "other batch", "other batches");
                let rate = shown(*rate);
                write!(
                    f,
                    "its sender also serves {others}; its share is {rate} a second"
                )
            }
            Self::Permits(permits) => {
                let messages = counted(*permits, "message", "messages");
                write!(
                    f,
                    "{messages} under way at once, as many as may be: the provider is slow"
                )?;
                f.write_str(" to answer")
            }
            Self::Rate { rate, by, of } => {
                let whose = match by {
                    RateBy::Settings => "`messages_per_second` of",
                    RateBy::Provider => "what the provider was found to take from",
                    RateBy::Operator => "the operator's limit on",
                };
                let rate = shown(*rate);
                match of {
                    None => write!(f, "{whose} its sender: {rate} a second"),
                    Some(number) => {
                        let number = number.as_str();
                        write!(f, "{whose} {number}, which will end last: {rate} a second")
                    }
                }
            }
            Self::Receipts(messages, until) => {
                let messages = counted(*messages as usize, "message", "messages");
                write!(
                    f,
                    "{messages} may have gone out; word of what became of that is waited for \
                     until {until}"
                )
            }
            Self::Nothing => f.write_str("nothing is left to begin"),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reach {
            Reach::Throttle => "the provider asked its sender to be slower",
            Reach::Sender => "its sender holds",
            Reach::Template => "its template holds",
            Reach::Credential => "everything sent with its credentials holds",
            Reach::Endpoint => "everything sent to its provider holds",
        };
        let Reason { title, code, .. } = &self.reason;
        write!(f, "{what}: {title} ({code}); next try at {}", self.until)
    }
}

/// Which limit binds: of all that hold, the one that must go first for the batch to go faster.
pub fn binding(facts: Facts<'_>) -> Binding {
    let Facts { batch, now, .. } = facts;
    let to_come = |at: &Moment| *at > now;
    if facts.left == 0 {
        return facts.awaited.map_or(Binding::Nothing, |(messages, until)| {
            Binding::Receipts(messages, until)
        });
    }
    if facts.is_disk_full {
        return Binding::Disk;
    }
    if let Some(pause) = facts.pause {
        return Binding::Paused(pause.clone());
    }
    if let Some(number) = &batch.lacks_sender {
        return Binding::NoSender(number.clone());
    }
    if let Some(held) = held(facts) {
        return held;
    }
    if let Some(at) = batch.scheduled_at.filter(to_come) {
        return Binding::Scheduled(at);
    }
    if let Some(at) = batch.window_opens_at.filter(to_come) {
        return Binding::Window(at);
    }
    if let Some(at) = batch.next_try_at.filter(to_come) {
        return Binding::NextTry(at);
    }
    speed(facts)
}

/// What stops the batch for a while: its own hold, or of those of all senders that it uses the one
/// that ends first.
fn held(facts: Facts<'_>) -> Option<Binding> {
    let own = facts.batch.hold.as_ref();
    if let Some(own) = own.filter(|hold| hold.until > facts.now) {
        return Some(Binding::Held(own.clone(), None));
    }
    let holds = facts.senders.iter();
    let holds = holds.map(|sender| Some((sender.hold_at(facts.now)?, sender)));
    let all: Option<Vec<(&Hold, &&SenderView)>> = holds.collect();
    let (hold, sender) = all?.into_iter().min_by_key(|(hold, _)| hold.until)?;
    let is_its_own = matches!(hold.reach, Reach::Throttle | Reach::Sender);
    let of = facts.one_of_several(sender).filter(|_| is_its_own);
    Some(Binding::Held(hold.clone(), of))
}

impl SenderView {
    /// What stops it at this moment.
    pub fn hold_at(&self, now: Moment) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| hold.until > now)
    }

    fn is_full(&self) -> bool {
        self.permits > 0 && self.in_flight >= self.permits
    }
}

impl Facts<'_> {
    /// The number of a sender, where the batch uses several.
    fn one_of_several(&self, sender: &SenderView) -> Option<Phone> {
        (self.senders.len() > 1).then(|| sender.number.clone())
    }
}

/// What binds a batch that goes on.
fn speed(facts: Facts<'_>) -> Binding {
    let goes = |sender: &&&SenderView| sender.hold_at(facts.now).is_none();
    let going = facts.senders.iter().filter(goes);
    let slowest = going.min_by(|one, other| one.rate().0.total_cmp(&other.rate().0));
    let Some(slowest) = slowest else {
        return Binding::Nothing;
    };
    let recent: Option<f64> = facts.senders.iter().map(|sender| sender.recent_rate).sum();
    let allowed: f64 = facts.senders.iter().map(|sender| sender.rate().0).sum();
    let is_at_rate = recent.is_none_or(|recent| recent >= allowed * AT_RATE);
    if !is_at_rate && facts.senders.iter().all(|sender| sender.is_full()) {
        return Binding::Permits(facts.senders.iter().map(|sender| sender.permits).sum());
    }
    let (rate, by) = slowest.rate();
    if facts.batch.before > 0 {
        return Binding::Shared {
            before: facts.batch.before,
            rate: rate * facts.batch.share,
        };
    }
    let of = facts.one_of_several(slowest);
    Binding::Rate { rate, by, of }
}

/// The sender by which a batch will have ended last, and when that will be: what is left counts as
/// spread evenly over those that have some of it left, since a sender that has none is not among
/// them any more. `None` when nobody can say.
pub fn last_sender(facts: Facts<'_>) -> Option<(Phone, Moment)> {
    let binds = binding(facts);
    if facts.left == 0 || binds.stops_for_good() {
        return None;
    }
    let left = facts.left as f64 / facts.senders.len() as f64;
    let mut last: Option<(Phone, Moment)> = None;
    for sender in facts.senders {
        let rate = match (&binds, sender.recent_rate) {
            // The provider decides, and how fast it is has been seen.
            (Binding::Permits(_), Some(recent)) => recent,
            (Binding::Shared { .. }, _) => sender.rate().0 * facts.batch.share,
            _ => sender.rate().0,
        };
        let left_ms = left / rate.max(0.0) * 1_000.0;
        if !(0.0..FAR_MS).contains(&left_ms) {
            return None;
        }
        let held_until = sender.hold_at(facts.now).map(|hold| hold.until);
        let begins = binds.until().max(held_until).unwrap_or(facts.now);
        let end = begins.max(facts.now).plus_ms(left_ms as i64);
        if last.as_ref().is_none_or(|(_, other)| end > *other) {
            last = Some((sender.number.clone(), end));
        }
    }
    last
}

/// A number of things, as people say it.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A rate as people write it: whole, or with one place where it is small.
fn shown(rate: f64) -> String {
    let places = usize::from(rate < 10.0 && rate.fract() != 0.0);
    format!("{rate:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::steering::{By, Subject};

    const NOW: Moment = Moment::from_millis(1_763_716_502_000);

    fn estimated_end(facts: Facts<'_>) -> Option<Moment> {
        Some(last_sender(facts)?.1)
    }

    fn number() -> Phone {
        serde_json::from_str("\"+15550001111\"").expect("a number")
    }

    fn sender() -> SenderView {
        SenderView {
            tenant: TenantName::parse("acme").expect("a name"),
            number: number(),
            configured_rate: 80.0,
            learned_rate: None,
            operators_rate: None,
            recent_rate: Some(79.0),
            in_flight: 9,
            permits: 80,
            hold: None,
        }
    }

    fn batch() -> BatchView {
        BatchView {
            share: 1.0,
            ..BatchView::default()
        }
    }

    fn pause(until: Option<Moment>) -> Pause {
        Pause {
            subject: Subject::Tenant {
                tenant: TenantName::parse("acme").expect("a name"),
            },
            reason: "texts are looked at".into(),
            by: By::Operator,
            since: NOW,
            until,
        }
    }

    fn hold(reach: Reach, in_s: i64) -> Hold {
        Hold {
            reach,
            until: NOW.plus_ms(in_s * 1_000),
            reason: Reason::new("provider.throttled", "the provider asks for fewer messages"),
        }
    }

    fn facts<'a>(batch: &'a BatchView, senders: &'a [&'a SenderView]) -> Facts<'a> {
        Facts {
            pause: None,
            is_disk_full: false,
            batch,
            senders,
            left: 800,
            awaited: None,
            now: NOW,
        }
    }

    /// An operator who asks why a batch is slow must be told the one thing that makes it so.
    #[test]
    fn each_limit_has_its_sentence() {
        let learned = SenderView {
            learned_rate: Some(20.0),
            operators_rate: Some(40.0),
            ..sender()
        };
        let limited = SenderView {
            operators_rate: Some(2.5),
            ..sender()
        };
        let slow = SenderView {
            recent_rate: Some(12.0),
            in_flight: 80,
            ..sender()
        };
        let throttled = SenderView {
            hold: Some(hold(Reach::Throttle, 30)),
            ..sender()
        };
        let at = Some(NOW.plus_ms(60_000));
        let shares = BatchView {
            before: 3,
            share: 0.25,
            ..batch()
        };
        let held = |reach| BatchView {
            hold: Some(hold(reach, 60)),
            ..batch()
        };
        let scheduled = BatchView {
            scheduled_at: at,
            ..batch()
        };
        let window = BatchView {
            window_opens_at: at,
            ..batch()
        };
        let waits = BatchView {
            next_try_at: at,
            ..batch()
        };
        let lacks = BatchView {
            lacks_sender: Some(number()),
            ..batch()
        };
        let cases = [
            (batch(), sender()),
            (batch(), learned),
            (batch(), limited),
            (batch(), slow),
            (batch(), throttled),
            (shares, sender()),
            (held(Reach::Sender), sender()),
            (held(Reach::Template), sender()),
            (held(Reach::Credential), sender()),
            (held(Reach::Endpoint), sender()),
            (scheduled, sender()),
            (window, sender()),
            (waits, sender()),
            (lacks, sender()),
        ];
        let mut told = Vec::new();
        let mut tell = |facts: Facts<'_>| {
            let binds = binding(facts);
            let end = estimated_end(facts).map_or("nobody can say".into(), |end| end.to_string());
            told.push(format!("{}: {binds}; end: {end}\n", binds.as_str()));
        };
        for (batch, sender) in &cases {
            tell(facts(batch, &[sender]));
        }
        let (batch, sender) = (batch(), sender());
        let senders = [&sender];
        let goes = facts(&batch, &senders);
        let (for_a_while, for_good) = (pause(at), pause(None));
        for pause in [&for_a_while, &for_good] {
            tell(Facts {
                pause: Some(pause),
                ..goes
            });
        }
        tell(Facts {
            is_disk_full: true,
            ..goes
        });
        tell(Facts { left: 0, ..goes });
        let awaited = at.map(|at| (2, at));
        tell(Facts {
            left: 0,
            awaited,
            ..goes
        });
        expect_test::expect_file!["../../tests/golden/explain/sentences.txt"]
            .assert_eq(&told.concat());
    }

    /// Of several senders the slowest, or the one that rests longest, ends last: an estimate from
    /// all of their rates together would be told to somebody and be wrong by hours.
    #[test]
    fn the_sender_that_ends_last_decides_the_end() {
        let batch = batch();
        let other = |rate, hold| SenderView {
            number: serde_json::from_str("\"+15550002222\"").expect("a number"),
            configured_rate: rate,
            hold,
            ..sender()
        };
        let (fast, slow) = (sender(), other(2.0, None));
        let both = [&fast, &slow];
        let binds = binding(facts(&batch, &both));
        assert_eq!(
            binds.to_string(),
            "`messages_per_second` of +15550002222, which will end last: 2 a second"
        );
        let end = estimated_end(facts(&batch, &both));
        assert_eq!(end, Some(NOW.plus_ms(200_000)), "400 of 800 at 2 a second");
        let rests = other(80.0, Some(hold(Reach::Throttle, 60)));
        let last = last_sender(facts(&batch, &[&fast, &rests]));
        let expected = (rests.number.clone(), NOW.plus_ms(65_000));
        assert_eq!(last, Some(expected), "a minute, and 400 at 80 a second");
        let held = SenderView {
            hold: Some(hold(Reach::Sender, 90)),
            ..sender()
        };
        let binds = binding(facts(&batch, &[&held, &rests])).to_string();
        assert!(
            binds.starts_with("+15550002222: the provider asked"),
            "{binds}"
        );
    }

    /// One sender that holds does not stop a batch that has another.
    #[test]
    fn a_batch_is_held_when_all_its_senders_are() {
        let batch = batch();
        let held = |in_s| SenderView {
            hold: Some(hold(Reach::Throttle, in_s)),
            ..sender()
        };
        let (long, short, over, free) = (held(60), held(5), held(-1), sender());
        assert_eq!(binding(facts(&batch, &[&long, &free])).as_str(), "rate");
        assert_eq!(binding(facts(&batch, &[&long, &over])).as_str(), "rate");
        let both = [&long, &short];
        assert_eq!(
            binding(facts(&batch, &both)).until(),
            Some(NOW.plus_ms(5_000))
        );
    }

    /// An estimate must not be made of nothing: a rate of nought, or an end in a thousand years.
    #[test]
    fn an_end_that_nobody_can_see_is_not_told() {
        let batch = batch();
        let none = SenderView {
            operators_rate: Some(0.0),
            ..sender()
        };
        assert_eq!(estimated_end(facts(&batch, &[&none])), None);
        assert_eq!(estimated_end(facts(&batch, &[])), None);
        let slow = SenderView {
            configured_rate: 1e-9,
            ..sender()
        };
        assert_eq!(estimated_end(facts(&batch, &[&slow])), None);
    }
}
