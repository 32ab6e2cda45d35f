//! What somebody has paused, and the question that is asked before every attempt: may it begin?
//!
//! Pure. That a pause survives a restart is for the store, that it is in force at once for the
//! daemon.

use std::collections::HashMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::batch::{BatchId, Moment, Phone, TenantName};

/// What is steered: everything that is sent under this name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "scope")]
pub enum Subject {
    /// One batch.
    Batch {
        /// The batch.
        batch: BatchId,
    },
    /// One of a tenant's numbers.
    Sender {
        /// The tenant.
        tenant: TenantName,
        /// Its number.
        number: Phone,
    },
    /// A tenant, with all its batches and senders.
    Tenant {
        /// The tenant.
        tenant: TenantName,
    },
    /// One of a tenant's templates.
    Template {
        /// The tenant.
        tenant: TenantName,
        /// Its template.
        name: String,
        /// In one language; `None` for every language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<String>,
    },
}

impl Subject {
    /// Every scope, in the order in which a pause is looked for.
    pub const SCOPES: [&'static str; 4] = ["tenant", "batch", "sender", "template"];

    /// The word for what kind of thing it is, as in metrics.
    pub const fn scope(&self) -> &'static str {
        match self {
            Self::Tenant { .. } => Self::SCOPES[0],
            Self::Batch { .. } => Self::SCOPES[1],
            Self::Sender { .. } => Self::SCOPES[2],
            Self::Template { .. } => Self::SCOPES[3],
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Batch { batch } => write!(f, "batch {batch}"),
            Self::Sender { tenant, number } => {
                write!(f, "sender {} of tenant {tenant}", number.as_str())
            }
            Self::Tenant { tenant } => write!(f, "tenant {tenant}"),
            Self::Template {
                tenant,
                name,
                language: None,
            } => write!(f, "template {name} of tenant {tenant}"),
            Self::Template {
                tenant,
                name,
                language: Some(language),
            } => write!(f, "template {name} ({language}) of tenant {tenant}"),
        }
    }
}

/// Who steers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// Whoever runs the service. No tenant undoes what the operator does.
    Operator,
    /// The tenant, with what is its own.
    Tenant,
}

impl By {
    /// Both, so that a word can be read back.
    pub const ALL: [By; 2] = [By::Operator, By::Tenant];

    /// The word for it in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Tenant => "tenant",
        }
    }
}

/// Something is paused: nothing of it begins to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// What is paused.
    #[serde(flatten)]
    pub subject: Subject,
    /// Why, in the words of whoever paused it; may be empty.
    pub reason: String,
    /// Who paused it.
    pub by: By,
    /// Since when.
    pub since: Moment,
    /// It ends by itself at this moment; `None` if somebody must resume it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

impl Pause {
    /// Whether it is in force.
    pub fn holds_at(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The pause in a sentence, as in `paused by the operator (rate doubts) until 2026-…`.
    pub fn sentence(&self) -> String {
        let by = match self.by {
            By::Operator => "by the operator",
            By::Tenant => "by its owner",
        };
        let why = if self.reason.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.reason)
        };
        let until = match self.until {
            Some(until) => format!("until {until}"),
            None => "until it is resumed".into(),
        };
        format!("{} is paused {by}{why} {until}", self.subject)
    }
}

/// Everything that is paused, made to be asked before every attempt: a few look-ups by name, of
/// which most find nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pauses {
    batches: HashMap<BatchId, Pause>,
    tenants: HashMap<TenantName, OfTenant>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct OfTenant {
    whole: Option<Pause>,
    senders: HashMap<Phone, Pause>,
    templates: HashMap<String, OfTemplate>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct OfTemplate {
    every_language: Option<Pause>,
    languages: HashMap<String, Pause>,
}

impl Pauses {
    /// The set of `pauses`; of two with the same subject the later counts.
    pub fn new(pauses: impl IntoIterator<Item = Pause>) -> Self {
        let mut set = Self::default();
        for pause in pauses {
            set.insert(pause);
        }
        set
    }

    /// Adds a pause, in place of one with the same subject.
    pub fn insert(&mut self, pause: Pause) {
        let subject = pause.subject.clone();
        match subject {
            Subject::Batch { batch } => drop(self.batches.insert(batch, pause)),
            Subject::Tenant { tenant } => self.of(tenant).whole = Some(pause),
            Subject::Sender { tenant, number } => {
                self.of(tenant).senders.insert(number, pause);
            }
            Subject::Template {
                tenant,
                name,
                language,
            } => {
                let of_template = self.of(tenant).templates.entry(name).or_default();
                match language {
                    None => of_template.every_language = Some(pause),
                    Some(language) => drop(of_template.languages.insert(language, pause)),
                }
            }
        }
    }

    fn of(&mut self, tenant: TenantName) -> &mut OfTenant {
        self.tenants.entry(tenant).or_default()
    }

    /// Whether nothing is paused.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.tenants.is_empty()
    }

    /// The pause that keeps an attempt from beginning at `now`: the widest one that is in force.
    /// `template` is the name and the language of the message's template, `None` without one.
    pub fn holds(
        &self,
        whose: Whose<'_>,
        template: Option<(&str, &str)>,
        now: Moment,
    ) -> Option<&Pause> {
        if self.is_empty() {
            return None;
        }
        let of_tenant = self.tenants.get(whose.tenant);
        let in_force = |pause: &&Pause| pause.holds_at(now);
        let tenants = of_tenant.and_then(|of| of.whole.as_ref());
        let sender = || of_tenant?.senders.get(whose.sender);
        let of_template = || of_tenant?.templates.get(template?.0);
        tenants
            .filter(in_force)
            .or_else(|| held(&self.batches, whose.batch, now))
            .or_else(|| sender().filter(in_force))
            .or_else(|| of_template()?.every_language.as_ref().filter(in_force))
            .or_else(|| held(&of_template()?.languages, template?.1, now))
    }

    /// The pause that keeps the whole of a batch from beginning, whatever its senders.
    pub fn holds_batch(&self, tenant: &TenantName, batch: &BatchId, now: Moment) -> Option<&Pause> {
        let whole = self.tenants.get(tenant).and_then(|of| of.whole.as_ref());
        whole
            .filter(|pause| pause.holds_at(now))
            .or_else(|| held(&self.batches, batch, now))
    }

    /// The pauses of one tenant's senders and templates that are in force: what may keep a part
    /// of its batches from beginning.
    pub fn parts(&self, tenant: &TenantName, now: Moment) -> Vec<&Pause> {
        let Some(of) = self.tenants.get(tenant) else {
            return Vec::new();
        };
        let templates = of.templates.values().flat_map(|of_template| {
            let every = of_template.every_language.iter();
            every.chain(of_template.languages.values())
        });
        let mut parts: Vec<_> = of.senders.values().chain(templates).collect();
        parts.retain(|pause| pause.holds_at(now));
        parts.sort_by(|one, other| one.subject.cmp(&other.subject));
        parts
    }
}

fn held<'a, K, Q>(pauses: &'a HashMap<K, Pause>, key: &Q, now: Moment) -> Option<&'a Pause>
where
    K: std::borrow::Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ?Sized,
{
    pauses.get(key).filter(|pause| pause.holds_at(now))
}

/// Whose message an attempt would send, and from which number.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The tenant.
    pub tenant: &'a TenantName,
    /// The batch.
    pub batch: &'a BatchId,
    /// The sender.
    pub sender: &'a Phone,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_000_000);

    fn tenant(name: &str) -> TenantName {
        TenantName::parse(name).expect("a name")
    }

    fn number(text: &str) -> Phone {
        serde_json::from_str(&format!("{text:?}")).expect("a number")
    }

    fn batch(random: u64) -> BatchId {
        BatchId::new(NOW, random)
    }

    fn pause(subject: Subject, until: Option<Moment>) -> Pause {
        Pause {
            subject,
            reason: String::new(),
            by: By::Operator,
            since: NOW,
            until,
        }
    }

    fn subjects() -> [Subject; 5] {
        let acme = || tenant("acme");
        [
            Subject::Tenant { tenant: acme() },
            Subject::Batch { batch: batch(1) },
            Subject::Sender {
                tenant: acme(),
                number: number("+15550001111"),
            },
            Subject::Template {
                tenant: acme(),
                name: "offer".into(),
                language: None,
            },
            Subject::Template {
                tenant: acme(),
                name: "offer".into(),
                language: Some("nl".into()),
            },
        ]
    }

    fn asked(pauses: &Pauses, who: (&str, u64, &str), template: Option<(&str, &str)>) -> bool {
        let (tenant, batch, sender) = (tenant(who.0), batch(who.1), number(who.2));
        let whose = Whose {
            tenant: &tenant,
            batch: &batch,
            sender: &sender,
        };
        pauses.holds(whose, template, NOW).is_some()
    }

    /// A pause that reached further than its subject would stop other people's messages; one that
    /// did not reach its whole subject would send what somebody has stopped.
    #[test]
    fn each_pause_holds_its_subject_and_nothing_else() {
        const ONE: &str = "+15550001111";
        const TWO: &str = "+15550002222";
        let questions = [
            // Who asks, with which template, and which of the five subjects hold it.
            (("acme", 1, ONE), Some(("offer", "nl")), [1, 1, 1, 1, 1]),
            (("acme", 1, ONE), Some(("offer", "en")), [1, 1, 1, 1, 0]),
            (("acme", 1, ONE), Some(("other", "nl")), [1, 1, 1, 0, 0]),
            (("acme", 1, ONE), None, [1, 1, 1, 0, 0]),
            (("acme", 2, TWO), None, [1, 0, 0, 0, 0]),
            (("zorg", 3, ONE), Some(("offer", "nl")), [0, 0, 0, 0, 0]),
        ];
        for (at, subject) in subjects().into_iter().enumerate() {
            let pauses = Pauses::new([pause(subject.clone(), None)]);
            for (who, template, expected) in questions {
                let held = asked(&pauses, who, template);
                assert_eq!(held, expected[at] == 1, "{subject} {who:?} {template:?}");
            }
        }
    }

    /// `--for 30m` must end by itself, and a wide pause that is over must not hide a narrow one.
    #[test]
    fn a_pause_ends_at_its_moment() {
        let over = |subject| pause(subject, Some(NOW));
        let still = |subject| pause(subject, Some(NOW.plus_ms(1)));
        let who = ("acme", 1, "+15550001111");
        for subject in subjects() {
            let template = Some(("offer", "nl"));
            assert!(!asked(&Pauses::new([over(subject.clone())]), who, template));
            assert!(asked(&Pauses::new([still(subject)]), who, template));
        }
        let [whole, .., part] = subjects();
        let both = Pauses::new([over(whole), still(part)]);
        assert!(asked(&both, who, Some(("offer", "nl"))));
        assert_eq!(both.parts(&tenant("acme"), NOW).len(), 1);
        assert!(
            both.holds_batch(&tenant("acme"), &batch(1), NOW).is_none(),
            "a part is not the whole"
        );
    }
}
