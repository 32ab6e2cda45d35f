//! The figures an operator scrapes, and whether the daemon is ready. Who counts what and when is
//! `daemon`'s business.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::batch::TenantName;
use receiving::Receiving;

mod receiving;

/// The upper ends of the histogram's buckets, in seconds.
const SEND_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Whether the daemon takes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// Not yet.
    Starting,
    /// It does.
    Ready,
    /// It will again: the disk has no room for them.
    Full,
    /// No more: it is about to stop.
    Draining,
}

impl Readiness {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Full => "the disk is full",
            Self::Draining => "draining",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    tenant: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    tenant: String,
    verdict: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScopeLabels {
    scope: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// The figures. All methods may be called from anywhere at any time.
#[derive(Debug)]
pub struct Figures {
    registry: Registry,
    messages: Family<OutcomeLabels, Counter>,
    batches: Family<VerdictLabels, Counter>,
    turned_away: Family<ReasonLabels, Counter>,
    paused: Family<ScopeLabels, Gauge>,
    purged: Family<KindLabels, Counter>,
    breakers: Family<KindLabels, Gauge>,
    resting: Gauge,
    waiting: Gauge,
    in_flight: Gauge,
    send_seconds: Histogram,
    receiving: Receiving,
    readiness: AtomicU8,
    is_full: AtomicBool,
}

impl Figures {
    /// All at nought, and not ready.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("dropcast");
        let figures = Self {
            messages: Family::default(),
            batches: Family::default(),
            turned_away: Family::default(),
            paused: Family::default(),
            purged: Family::default(),
            breakers: Family::default(),
            resting: Gauge::default(),
            waiting: Gauge::default(),
            in_flight: Gauge::default(),
            send_seconds: Histogram::new(SEND_SECONDS),
            receiving: Receiving::default(),
            readiness: AtomicU8::new(Readiness::Starting as u8),
            is_full: AtomicBool::new(false),
            registry: Registry::default(),
        };
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", build);
        registry.register(
            "messages",
            "Attempts and messages by what became of them",
            figures.messages.clone(),
        );
        registry.register(
            "batches",
            "Files by what became of them",
            figures.batches.clone(),
        );
        registry.register(
            "connections_turned_away",
            "SFTP connections that got no place, by why",
            figures.turned_away.clone(),
        );
        registry.register(
            "paused",
            "Tenants, batches, senders and templates that somebody has paused",
            figures.paused.clone(),
        );
        registry.register(
            "purged",
            "What was old and has gone: files (processed, results), batches (content, history)",
            figures.purged.clone(),
        );
        registry.register(
            "breakers_open",
            "Endpoints, credentials, senders and templates that were found not to work and are not used for a while",
            figures.breakers.clone(),
        );
        registry.register(
            "senders_resting",
            "Senders that were throttled and rest as long as their provider asked",
            figures.resting.clone(),
        );
        registry.register(
            "waiting",
            "Messages that are to be sent and are not on their way",
            figures.waiting.clone(),
        );
        registry.register(
            "in_flight",
            "Messages on their way to a provider",
            figures.in_flight.clone(),
        );
        registry.register(
            "send_seconds",
            "Time from a request to its answer",
            figures.send_seconds.clone(),
        );
        figures.receiving.register(&mut registry);
        Self {
            registry,
            ..figures
        }
    }

    /// Counts what became of a message of this tenant.
    pub fn outcome(&self, tenant: &TenantName, outcome: &str) {
        let labels = OutcomeLabels {
            tenant: tenant.as_str().to_owned(),
            outcome: outcome.to_owned(),
        };
        self.messages.get_or_create(&labels).inc();
    }

    /// How many messages of this tenant have had this outcome since the start.
    pub fn outcomes(&self, tenant: &TenantName, outcome: &str) -> u64 {
        let labels = OutcomeLabels {
            tenant: tenant.as_str().to_owned(),
            outcome: outcome.to_owned(),
        };
        self.messages.get_or_create(&labels).get()
    }

    /// Counts what became of a file of this tenant.
    pub fn verdict(&self, tenant: &TenantName, verdict: &str) {
        let labels = VerdictLabels {
            tenant: tenant.as_str().to_owned(),
            verdict: verdict.to_owned(),
        };
        self.batches.get_or_create(&labels).inc();
    }

    /// Counts a connection that the door has turned away.
    pub fn turned_away(&self, reason: &'static str) {
        self.turned_away
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// How many things of this kind are paused.
    pub fn paused(&self, scope: &'static str, count: usize) {
        let gauge = self.paused.get_or_create(&ScopeLabels { scope });
        gauge.set(whole(count as u64));
    }

    /// Counts what of this kind was old and has gone.
    pub fn purged(&self, kind: &'static str, count: u64) {
        self.purged
            .get_or_create(&KindLabels { kind })
            .inc_by(count);
    }

    /// What is counted of what providers say later.
    pub fn receiving(&self) -> &Receiving {
        &self.receiving
    }

    /// How many things of this kind are not used for a while, because they were found not to work.
    pub fn open(&self, kind: &'static str, count: usize) {
        let gauge = self.breakers.get_or_create(&KindLabels { kind });
        gauge.set(whole(count as u64));
    }

    /// How many senders rest because they were throttled.
    pub fn resting(&self, count: usize) {
        self.resting.set(whole(count as u64));
    }

    /// How many messages wait.
    pub fn waiting(&self, count: u64) {
        self.waiting.set(whole(count));
    }

    /// A request with so many messages leaves.
    pub fn attempt_began(&self, messages: usize) {
        self.in_flight.inc_by(whole(messages as u64));
    }

    /// Its reply came, or none will, after `took`.
    pub fn attempt_ended(&self, messages: usize, took: Duration) {
        self.in_flight.dec_by(whole(messages as u64));
        self.send_seconds.observe(took.as_secs_f64());
    }

    /// Says whether the daemon takes files.
    pub fn ready(&self, readiness: Readiness) {
        self.readiness.store(readiness as u8, Ordering::Relaxed);
    }

    /// Whether the daemon takes files.
    pub fn readiness(&self) -> Readiness {
        let stored = self.readiness.load(Ordering::Relaxed);
        let found = [Readiness::Ready, Readiness::Draining]
            .into_iter()
            .find(|readiness| *readiness as u8 == stored)
            .unwrap_or(Readiness::Starting);
        if found == Readiness::Ready && self.is_full.load(Ordering::Relaxed) {
            return Readiness::Full;
        }
        found
    }

    /// Says whether the disk has room for files and what comes of them.
    pub fn has_room(&self, has_room: bool) {
        self.is_full.store(!has_room, Ordering::Relaxed);
    }

    /// All of them as a scraper reads them.
    pub fn written(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string never fails");
        text
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alerts and dashboards of operators name these series.
    #[test]
    fn the_series_have_their_names() {
        let figures = Figures::new();
        let tenant = TenantName::parse("acme").expect("a name");
        figures.outcome(&tenant, "accepted");
        figures.outcome(&tenant, "accepted");
        figures.verdict(&tenant, "partial");
        figures.turned_away("penalised");
        figures.paused("sender", 2);
        figures.purged("content", 3);
        figures.receiving().receipt("delivered", "none");
        figures.receiving().refused("signature");
        figures.receiving().settled("receipt", "accepted", 2);
        figures.open("credential", 1);
        figures.resting(4);
        figures.waiting(1_000);
        figures.attempt_began(1);
        figures.attempt_began(5);
        figures.attempt_ended(1, Duration::from_millis(40));
        let text = figures.written();
        for line in [
            r#"dropcast_messages_total{tenant="acme",outcome="accepted"} 2"#,
            r#"dropcast_batches_total{tenant="acme",verdict="partial"} 1"#,
            r#"dropcast_connections_turned_away_total{reason="penalised"} 1"#,
            r#"dropcast_paused{scope="sender"} 2"#,
            r#"dropcast_purged_total{kind="content"} 3"#,
            r#"dropcast_receipts_total{says="delivered",effect="none"} 1"#,
            r#"dropcast_callbacks_refused_total{reason="signature"} 1"#,
            r#"dropcast_settled_total{by="receipt",state="accepted"} 2"#,
            r#"dropcast_breakers_open{kind="credential"} 1"#,
            "dropcast_senders_resting 4",
            "dropcast_waiting 1000",
            "dropcast_in_flight 5",
            r#"dropcast_send_seconds_bucket{le="0.025"} 0"#,
            r#"dropcast_send_seconds_bucket{le="0.05"} 1"#,
            "dropcast_send_seconds_count 1",
            concat!(
                "dropcast_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
