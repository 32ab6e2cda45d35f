//! Templates are read from the providers on a timer and put beside the tenants' own definitions,
//! and whoever sends is told which of them can be sent.
//!
//! What was read is one file, written whole. A reading that fails changes nothing: the templates
//! that were known stay known, and the journal says so once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::intake::Desk;
use super::outlet::Outlet;
use super::steering::Steering;
use super::templates::PULLED;
use super::{chain, journal, lock};
use crate::batch::TenantName;
use crate::batch::template::Templates;
use crate::clock;
use crate::config::Tenant;
use crate::delivery::breaker::Gate;
use crate::delivery::{Reason, Sender};
use crate::disk;
use crate::provider::cause::Cause;
use crate::provider::http::Client;
use crate::provider::templates::{REQUESTS_MAX, Step};
use crate::provider::{self, Adapter, Reply};
use crate::store::Error;

pub use crate::provider::templates::Change;

/// How often it is looked whose templates are to be read, and whether files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A reading that failed is repeated after this time, or as often as readings are wanted.
const FAILED_WAIT: Duration = Duration::from_mins(1);

/// The most requests that one change takes.
const CHANGE_REQUESTS_MAX: usize = 8;

/// Accounts that are read from at a time.
const PULLS_MAX: usize = 8;

/// How far readings lie from the rhythm that is wanted, so that those of many tenants spread.
const JITTER: f64 = 0.1;

/// Which templates can be sent, of the tenants whose templates come from their providers.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    known: Mutex<BTreeMap<TenantName, (Templates, Duration)>>,
    version: AtomicU64,
}

impl Approvals {
    /// Goes up with every change and with every reading.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn publish(&self, tenant: &TenantName, templates: Templates, every: Duration) {
        lock(&self.known).insert(tenant.clone(), (templates, every));
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether it is known that this template can be sent.
    pub(super) fn knows(&self, gate: &Gate) -> bool {
        let Gate::Template(tenant, name, language) = gate else {
            return false;
        };
        let known = lock(&self.known);
        let template = known
            .get(tenant)
            .and_then(|(templates, _)| templates.get(name, language));
        template.is_some_and(|template| template.is_usable())
    }

    /// Why nothing can be sent with a template, and for how long that stands without another
    /// reading; `None` where it can, or where nobody knows.
    pub(super) fn obstacle(&self, gate: &Gate) -> Option<(Reason, Duration)> {
        let Gate::Template(tenant, name, language) = gate else {
            return None;
        };
        let known = lock(&self.known);
        let (templates, every) = known.get(tenant)?;
        let reason = match templates.get(name, language) {
            Some(template) if template.is_usable() => return None,
            None => Cause::TemplateMissing.reason("", String::new()),
            Some(template) => {
                let status = template.status();
                let cause = match status {
                    "PAUSED" => Cause::TemplatePaused,
                    "DISABLED" => Cause::TemplateDisabled,
                    _ => Cause::TemplateMissing,
                };
                cause.reason(&format!("its status is {status}"), String::new())
            }
        };
        Some((reason, every.saturating_mul(2) + LOOK_EVERY))
    }
}

/// The loop that reads them.
pub(super) struct Pulling {
    sources: Vec<Source>,
    steering: Arc<Steering>,
    stop: CancellationToken,
}

/// One tenant's account.
pub(super) struct Source {
    outlet: Arc<Outlet>,
    senders: Arc<[Sender]>,
    desk: Arc<Desk>,
    /// The folder of what was read.
    folder: PathBuf,
    every: Duration,
    due: Instant,
    is_reading: bool,
    /// Whether it was told that a reading failed.
    is_told: bool,
    /// The definitions that were published.
    published: Option<u64>,
}

impl Source {
    pub(super) fn new(
        (outlet, desk): (Arc<Outlet>, Arc<Desk>),
        senders: &[Sender],
        folder: PathBuf,
        every: Duration,
    ) -> Self {
        // All at once, they would be one burst at each start.
        let first = LOOK_EVERY.min(every).mul_f64(fastrand::f64());
        Self {
            outlet,
            senders: senders.into(),
            desk,
            folder,
            every,
            due: clock::steady() + first,
            is_reading: false,
            is_told: false,
            published: None,
        }
    }
}

/// What a reading came to: how many templates, and whether they differ from those before.
type Read = Result<(usize, bool), Unread>;

enum Unread {
    Refused(Reason),
    Disk(io::Error),
}

impl Pulling {
    pub(super) fn new(
        sources: Vec<Source>,
        steering: Arc<Steering>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            sources,
            steering,
            stop,
        }
    }

    /// Reads until stopped.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut reading: JoinSet<(usize, Read)> = JoinSet::new();
        while !self.sources.is_empty() && !self.stop.is_cancelled() {
            self.begin(&mut reading);
            self.publish().await;
            let wait = self.wait();
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(done) = reading.join_next() => {
                    // One that was cut off begins again with the next start.
                    if let Ok((at, read)) = done {
                        self.ended(at, read);
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.stop.cancelled().await;
        Ok(())
    }

    fn begin(&mut self, reading: &mut JoinSet<(usize, Read)>) {
        let now = clock::steady();
        for (at, source) in self.sources.iter_mut().enumerate() {
            if source.is_reading || now < source.due || reading.len() >= PULLS_MAX {
                continue;
            }
            source.is_reading = true;
            let outlet = Arc::clone(&source.outlet);
            let (senders, folder) = (Arc::clone(&source.senders), source.folder.clone());
            reading.spawn(async move {
                let pulled = pull(outlet.adapter(), outlet.client(), &senders).await;
                let read = match pulled {
                    Ok(definitions) => keep_aside(folder, definitions).await,
                    Err(reason) => Err(Unread::Refused(reason)),
                };
                (at, read)
            });
        }
    }

    fn ended(&mut self, at: usize, read: Read) {
        let source = &mut self.sources[at];
        source.is_reading = false;
        let tenant = source.outlet.tenant();
        let wait = match read {
            Ok((count, is_other)) => {
                if is_other || source.is_told {
                    journal::templates_pulled(tenant, count);
                }
                source.is_told = false;
                // What is held is held on.
                source.published = None;
                source.every
            }
            Err(unread) => {
                if !std::mem::replace(&mut source.is_told, true) {
                    match unread {
                        Unread::Refused(reason) => journal::templates_not_pulled(tenant, &reason),
                        Unread::Disk(error) => journal::templates_not_kept(tenant, &error),
                    }
                }
                source.every.min(FAILED_WAIT)
            }
        };
        let spread = 1.0 + JITTER * (2.0 * fastrand::f64() - 1.0);
        source.due = clock::steady() + wait.mul_f64(spread);
    }

    /// How long until one is due, at most until the next look at files.
    fn wait(&self) -> Duration {
        let now = clock::steady();
        let idle = self.sources.iter().filter(|source| !source.is_reading);
        let next = idle.map(|source| source.due.saturating_duration_since(now));
        next.min()
            .unwrap_or(LOOK_EVERY)
            .clamp(Duration::from_millis(10), LOOK_EVERY)
    }

    /// Tells whoever sends how the templates stand, where a provider has ever told.
    async fn publish(&mut self) {
        for source in &mut self.sources {
            let (desk, folder) = (Arc::clone(&source.desk), source.folder.clone());
            let looked = spawn_blocking(move || {
                let is_read = folder.join(PULLED).exists();
                is_read.then(|| desk.shelf.edition())
            });
            // What cannot be read now is read with the next look.
            let Ok(Some(Ok((templates, edition)))) = looked.await else {
                continue;
            };
            if source.published.replace(edition) != Some(edition) {
                let approvals = self.steering.approvals();
                approvals.publish(source.outlet.tenant(), templates, source.every);
            }
        }
    }
}

/// Reads the templates of a tenant without a service; an error is a sentence for people.
pub async fn pull_of(tenant: &Tenant) -> Result<Vec<Json>, String> {
    let (adapter, client) = let_in(tenant).await.map_err(|it| sentence(&it))?;
    let pulled = pull(adapter.as_ref(), &client, &tenant.senders).await;
    pulled.map_err(|reason| sentence(&reason))
}

/// Changes a template of a tenant without a service; gives what its provider says, or a sentence
/// for people.
pub async fn change_of(tenant: &Tenant, change: &Change) -> Result<Json, String> {
    let (adapter, client) = let_in(tenant).await.map_err(|it| sentence(&it))?;
    let changed = change_at(adapter.as_ref(), &client, (change, &tenant.senders)).await;
    changed.map_err(|reason| sentence(&reason))
}

async fn change_at(
    adapter: &dyn Adapter,
    client: &Client,
    (change, senders): (&Change, &[Sender]),
) -> Result<Json, Reason> {
    let mut replies: Vec<Reply> = Vec::new();
    while replies.len() < CHANGE_REQUESTS_MAX {
        match adapter.change(change, senders, &replies) {
            Some(Step::Ask(request)) => replies.push(client.send(&request).await),
            Some(Step::Done(done)) => return Ok(done),
            Some(Step::Failed(reason)) => return Err(reason),
            None => return Err(no_such_call()),
        }
    }
    Err(unended())
}

/// Why not, in the provider's own words where it gave some.
fn sentence(reason: &Reason) -> String {
    let mut told = reason.title.clone();
    for (before, words, after) in [
        (" (", &reason.provider_code, ")"),
        (": ", &reason.detail, ""),
        ("; ", &reason.hint, ""),
    ] {
        if !words.is_empty() {
            told.extend([before, words, after]);
        }
    }
    told
}

/// The adapter and the connections of a tenant, with a token where one is needed.
async fn let_in(tenant: &Tenant) -> Result<(Arc<dyn Adapter>, Client), Reason> {
    let settings = &tenant.provider;
    let client = Client::through(settings.ca_file.as_deref(), settings.proxy.as_ref());
    let client =
        client.map_err(|error| Cause::Unreachable.reason(&chain(&error), String::new()))?;
    let adapter = provider::adapter(settings, None);
    if let Some(request) = adapter.token_request(&settings.access_token) {
        let token = adapter.token(&client.send(&request).await)?;
        adapter.credential().replace(token.secret);
    }
    Ok((adapter, client))
}

/// Reads the templates of an account.
async fn pull(
    adapter: &dyn Adapter,
    client: &Client,
    senders: &[Sender],
) -> Result<Vec<Json>, Reason> {
    let mut reading = adapter.pull(senders).ok_or_else(no_such_call)?;
    let mut reply = None;
    for _ in 0..REQUESTS_MAX {
        match reading.next(reply.as_ref()) {
            Step::Ask(request) => reply = Some(client.send(&request).await),
            Step::Done(done) => return Ok(done),
            Step::Failed(reason) => return Err(reason),
        }
    }
    Err(unended())
}

fn no_such_call() -> Reason {
    let words = "it has no such call, or the settings do not say whose templates";
    Cause::Refused.reason(words, String::new())
}

fn unended() -> Reason {
    Cause::UnreadableAnswer.reason("its answers have no end", String::new())
}

async fn keep_aside(folder: PathBuf, definitions: Vec<Json>) -> Read {
    let kept = spawn_blocking(move || keep(&folder, &definitions));
    match kept.await {
        Ok(kept) => kept.map_err(Unread::Disk),
        Err(error) => Err(Unread::Disk(io::Error::other(error))),
    }
}

/// Writes down what was read. Gives how many templates there are, and whether they differ from
/// those before.
pub fn keep(folder: &Path, definitions: &[Json]) -> io::Result<(usize, bool)> {
    disk::make_folder(folder)?;
    let path = folder.join(PULLED);
    let mut text = serde_json::to_vec_pretty(definitions).map_err(io::Error::other)?;
    text.push(b'\n');
    let is_other = fs::read(&path).unwrap_or_default() != text;
    if is_other {
        disk::write_whole(&path, &text)?;
    }
    Ok((definitions.len(), is_other))
}
