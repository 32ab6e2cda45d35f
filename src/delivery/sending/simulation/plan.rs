//! What a seed makes up: tenants with their numbers, batches, and everything that goes wrong until
//! the world is healed. Each seed has only some kinds of trouble, so that none hides another.

use std::time::Duration;

use super::provider::{Fault, Kind};
use super::{
    BatchId, EPOCH, Message, Moment, Phone, Policy, Rng, Sender, Subject, TenantName,
    UnknownPolicy, Way,
};
use crate::batch::{Content, Filling, Options, Priority};

/// Trouble is over after so long.
const TROUBLE_MS: u64 = 60_000;

/// Templates of every tenant.
const TEMPLATES: [&str; 3] = ["offer", "code", "reminder"];

/// Everything that will happen.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) permits: usize,
    pub(super) tenants: Vec<Peer>,
    pub(super) batches: Vec<Arriving>,
    pub(super) happenings: Vec<(Duration, Happening)>,
    /// How long the store takes, in microseconds, at least and at most.
    pub(super) store_us: (u64, u64),
    /// How long the way to the provider takes, at least, and by how much that varies.
    pub(super) way_us: (u64, u64),
    /// How much later than wanted a request leaves, at most.
    pub(super) late_us: u64,
    /// Of so many readings one fails; 0 for none.
    pub(super) fails_reading: u64,
    /// Of so many requests one must wait for a file; 0 for none.
    pub(super) waits_for_file: u64,
}

/// A tenant, and how it is at its provider.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: TenantName,
    pub(super) way: Way,
    /// What the provider takes from each number, as a share of what is set.
    pub(super) true_share: f64,
    /// Whether it says how long to wait.
    pub(super) says_wait: bool,
}

/// A batch that will come.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) id: BatchId,
    pub(super) tenant: usize,
    pub(super) messages: Vec<Message>,
    pub(super) chunk_size: u64,
}

/// What happens in the world, apart from sending.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Arrives(usize),
    Crash,
    /// The wall clock steps by so many milliseconds.
    Step(i64),
    /// For so many milliseconds, or until it is resumed.
    Pause(Subject, Option<i64>),
    Resume(Subject),
    Cancel(usize),
    Retry(Subject),
    Full,
    Room,
    Limit(usize, Phone, f64),
    Goes(Fault),
    /// All trouble is over.
    Heal,
}

/// One chance in `n`.
pub(super) fn once_in(rng: &mut Rng, n: u64) -> bool {
    rng.u64(0..n) == 0
}

fn pick<T: Clone>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(0..of.len())].clone()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn number(tenant: usize, at: usize) -> Phone {
    Phone::from_e164(&format!("+1555000{tenant}{at}11")).expect("digits")
}

pub(super) fn batch_id(no: usize) -> BatchId {
    BatchId::new(EPOCH, no as u64)
}

/// A message with nothing special about it.
pub(super) fn message(index: u64, from: &Phone, to: u64) -> Message {
    Message {
        index,
        line: index + 1,
        to: Phone::from_e164(&format!("+316{to:08}")).expect("digits"),
        from: from.clone(),
        reference: None,
        callback_data: None,
        scheduled_at: None,
        expires_at: EPOCH.plus_ms(30 * 24 * 3_600_000),
        priority: Priority::Normal,
        send_window: None,
        ignore_quiet_hours: false,
        options: Options::default(),
        content: Content::Text {
            body: String::new(),
            preview_url: false,
        },
    }
}

pub(super) fn template(name: &str) -> Content {
    Content::Template(Filling {
        name: name.into(),
        language: "en".into(),
        ..Filling::default()
    })
}

impl Course {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let is_shared = rng.bool();
        let tenants: Vec<Peer> = (0..rng.usize(1..4))
            .map(|no| peer(rng, no, is_shared))
            .collect();
        let count = rng.usize(1..5);
        let batches: Vec<_> = (0..count).map(|no| arriving(rng, no, &tenants)).collect();
        let mut course = Self {
            permits: pick(rng, &[2, 8, 32, 2_048]),
            tenants,
            batches,
            happenings: Vec::new(),
            store_us: pick(rng, &[(50, 200), (500, 5_000), (20_000, 400_000)]),
            way_us: (rng.u64(500..80_000), rng.u64(1..4_000)),
            late_us: pick(rng, &[1, 3_000]),
            fails_reading: pick(rng, &[0, 0, 0, 20]),
            waits_for_file: 0,
        };
        for no in 0..count {
            let at = ms(rng.u64(0..20_000));
            course.happenings.push((at, Happening::Arrives(no)));
        }
        course.trouble(rng);
        course.waits_for_file = pick(rng, &[0, 0, 10]);
        course.happenings.push((ms(TROUBLE_MS), Happening::Heal));
        course
    }

    fn trouble(&mut self, rng: &mut Rng) {
        if once_in(rng, 3) {
            self.some(rng, 3, |_, _| Happening::Crash);
        }
        if once_in(rng, 4) {
            self.some(rng, 3, |rng, _| step(rng));
        }
        if once_in(rng, 3) {
            self.some(rng, 4, |rng, course| {
                let subject = course.subject(rng);
                let span = pick(rng, &[None, Some(500), Some(20_000), Some(600_000)]);
                Happening::Pause(subject, span)
            });
            self.some(rng, 4, |rng, course| Happening::Resume(course.subject(rng)));
        }
        if once_in(rng, 5) {
            self.some(rng, 2, |rng, course| {
                Happening::Cancel(rng.usize(0..course.batches.len()))
            });
        }
        if once_in(rng, 4) {
            self.some(rng, 3, |rng, course| Happening::Retry(course.subject(rng)));
        }
        if once_in(rng, 6) {
            self.some(rng, 2, |_, _| Happening::Full);
            self.some(rng, 2, |_, _| Happening::Room);
        }
        if once_in(rng, 6) {
            self.some(rng, 2, |rng, course| {
                let tenant = rng.usize(0..course.tenants.len());
                let sender = pick(rng, &course.tenants[tenant].way.senders);
                let share = pick(rng, &[0.3, 1.0]);
                let limit = sender.messages_per_second * share;
                Happening::Limit(tenant, sender.number, limit)
            });
        }
        if rng.bool() {
            self.some(rng, 4, |rng, course| Happening::Goes(course.fault(rng)));
        }
    }

    fn some(
        &mut self,
        rng: &mut Rng,
        most: usize,
        happening: impl Fn(&mut Rng, &Self) -> Happening,
    ) {
        for _ in 0..rng.usize(1..=most) {
            // Most trouble comes while most is being sent.
            let within = pick(rng, &[5_000, TROUBLE_MS]);
            let at = ms(rng.u64(0..within));
            let happening = happening(rng, self);
            self.happenings.push((at, happening));
        }
    }

    fn subject(&self, rng: &mut Rng) -> Subject {
        let no = rng.usize(0..self.tenants.len());
        let tenant = self.tenants[no].name.clone();
        match rng.u8(0..4) {
            0 => Subject::Batch {
                batch: batch_id(rng.usize(0..self.batches.len())),
            },
            1 => Subject::Sender {
                tenant,
                number: pick(rng, &self.tenants[no].way.senders).number,
            },
            2 => Subject::Tenant { tenant },
            _ => Subject::Template {
                tenant,
                name: pick(rng, &TEMPLATES).into(),
                language: pick(rng, &[None, Some("en".into())]),
            },
        }
    }

    fn fault(&self, rng: &mut Rng) -> Fault {
        let tenant = rng.usize(0..self.tenants.len());
        let number = pick(rng, &self.tenants[tenant].way.senders).number;
        Fault {
            kind: pick(rng, &Kind::ALL),
            tenant,
            number: rng.bool().then_some(number),
            template: pick(rng, &TEMPLATES).into(),
            lasts: ms(pick(rng, &[300, 5_000, 40_000])),
            share: pick(rng, &[0.1, 0.5, 1.0]),
            wait: pick(rng, &[None, Some(0), Some(1_000), Some(90_000)]).map(ms),
        }
    }
}

fn step(rng: &mut Rng) -> Happening {
    const MINUTE: i64 = 60_000;
    let far = pick(
        rng,
        &[150, 2_000, 5 * MINUTE, 90 * MINUTE, 3 * 24 * 60 * MINUTE],
    );
    Happening::Step(if rng.bool() { far } else { -far })
}

fn peer(rng: &mut Rng, no: usize, is_shared: bool) -> Peer {
    let rate = pick(rng, &[0.5, 2.0, 10.0, 80.0, 300.0]);
    let sender = |at| Sender {
        number: number(no, at),
        provider_id: String::new(),
        messages_per_second: rate,
    };
    let endpoint = if is_shared { 0 } else { no };
    let unknown = pick(rng, &[UnknownPolicy::Hold, UnknownPolicy::Resend]);
    Peer {
        name: TenantName::parse(&format!("tenant{no}")).expect("a name"),
        way: Way {
            endpoint: format!("https://provider{endpoint}.example"),
            policy: Policy { unknown },
            bulk_max: pick(rng, &[1, 1, 5]),
            session_bulk_max: 1,
            quiet_hours: std::sync::Arc::default(),
            senders: (0..rng.usize(1..3)).map(sender).collect(),
        },
        true_share: pick(rng, &[1.0, 1.0, 1.0, 0.6, 0.3]),
        says_wait: rng.bool(),
    }
}

fn arriving(rng: &mut Rng, no: usize, tenants: &[Peer]) -> Arriving {
    let tenant = rng.usize(0..tenants.len());
    let way = &tenants[tenant].way;
    let most = pick(rng, &[1, 3, 10, 10, 30, 30, 100, 300]);
    // Slow numbers need not show for hours what they show in minutes.
    let most = most
        .min((way.senders[0].messages_per_second * 30.0) as u64)
        .max(1);
    let recipients = pick(rng, &[2, 100_000]);
    let lanes = [
        rng.bool(),
        once_in(rng, 3),
        once_in(rng, 3),
        once_in(rng, 4),
        once_in(rng, 4),
    ];
    let (scheduled, expires) = (rng.u64(0..100_000), rng.u64(0..100_000));
    let messages = (0..rng.u64(1..=most)).map(|index| {
        let from = if lanes[0] {
            pick(rng, &way.senders).number
        } else {
            way.senders[0].number.clone()
        };
        let mut message = message(index, &from, rng.u64(0..recipients));
        if lanes[1] {
            message.content = template(pick(rng, &TEMPLATES));
        }
        if lanes[2] {
            message.priority = pick(rng, &[Priority::High, Priority::Normal, Priority::Low]);
        }
        if lanes[3] {
            message.scheduled_at = at(rng, scheduled);
        }
        if lanes[4] {
            let base = message.scheduled_at.unwrap_or(EPOCH);
            message.expires_at = base.plus_ms(1 + rng.u64(0..=expires) as i64);
        }
        message
    });
    Arriving {
        id: batch_id(no),
        tenant,
        messages: messages.collect(),
        chunk_size: pick(rng, &[1, 7, 50, 1_000]),
    }
}

fn at(rng: &mut Rng, within: u64) -> Option<Moment> {
    let far = if once_in(rng, 20) { 40 } else { 1 };
    let ms = rng.u64(0..=within * far) as i64;
    rng.bool().then(|| EPOCH.plus_ms(ms))
}
