//! inbox → batch → store: the loop that takes files in.
//!
//! An arrival gets its row, then its file is checked on a thread of its own and kept piece by
//! piece, and only when it was read to its end is the batch admitted. Until then a crash begins
//! anew.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::checking::{self, Checked, Keep, Wanted};
use super::checksums;
use super::media::MediaSpool;
use super::templates::Shelf;
use super::{Alarm, journal, lock};
use crate::admin::Figures;
use crate::batch::name::{DropFolder, NameKind};
use crate::batch::origin::Origin;
use crate::batch::read::{Checker, Rules};
use crate::batch::{Arrival, BatchId, Code, Fault, TenantName, verdict};
use crate::delivery::standing::BatchState;
use crate::inbox::{self, Inbox, Trigger, unpack};
use crate::store::{self, Admission, Admitted, Heard, Refusal, Start, Store};
use crate::{clock, crash};

/// How long the loop sleeps when nothing nudges it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often templates are looked at for changes: what a tenant sees of them is fresh within a
/// second.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// Files up to this size are checked in a lane of their own, so that none waits for a big one.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// Checks at once, in the lane of small files and in that of big ones.
const SMALL_CHECKS: usize = 2;
const BIG_CHECKS: usize = 1;

/// A file whose reading has stopped this often, together with the daemon and at the same row, is
/// taken to be the cause and not read once more.
const DEATHS_MAX: u32 = 2;

/// A file whose reading was interrupted is read again only in a daemon that has lived this long, so
/// that a daemon that is killed again and again for other reasons does not blame the file.
const CALM: Duration = Duration::from_secs(2);

/// How long checks under way may take to give up when the daemon stops.
const STOP_MAX: Duration = Duration::from_secs(3);

/// What checking needs to know of one tenant.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) rules: Rules,
    pub(super) duplicate_window: Duration,
    pub(super) shelf: Shelf,
    /// Its root, in which its folders lie.
    pub(super) root: PathBuf,
    /// Where the files are kept that its messages need.
    pub(super) media: Arc<MediaSpool>,
    /// How its files are taken from there.
    pub(super) inbox: inbox::Settings,
    /// Whether its drop folders are worth a look before their time.
    pub(super) look_wanted: AtomicBool,
}

impl Desk {
    /// When this arrival may be checked.
    fn start(&self, arrival: &Arrival) -> Start {
        let is_read = !matches!(arrival.origin, Origin::Unread(..));
        match self.inbox.trigger {
            Trigger::DoneFile if is_read => Start::WithDone,
            Trigger::DoneFile | Trigger::Close => Start::AtOnce,
        }
    }
}

/// The loop that takes files in, and what it needs.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) desks: BTreeMap<TenantName, Arc<Desk>>,
    pub(super) figures: Arc<Figures>,
    /// Nudged when the door has put a file into the spool.
    pub(super) arrived: Arc<Notify>,
    /// Nudges the sending.
    pub(super) admitted: Arc<Notify>,
    /// Nudges the reports.
    pub(super) changed: Arc<Notify>,
    /// Nudges the look at drop folders.
    pub(super) look: Arc<Notify>,
    pub(super) alarm: Alarm,
    pub(super) stop: CancellationToken,
}

/// Why a check did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inbox(#[from] inbox::Error),
    #[error("failed to read the file or the templates")]
    Read(#[from] io::Error),
    #[error("a checksum beside the file is still being written")]
    Coming,
    #[error("the check panicked")]
    Panic,
}

impl Intake {
    /// Shows each tenant its templates as they stand, until stopped.
    async fn keep_templates_shown(self: Arc<Self>) {
        let _alarm = self.alarm.clone();
        let mut complained = HashSet::new();
        while !self.stop.is_cancelled() {
            self.show_templates(&mut complained).await;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(SHOW_EVERY) => {}
            }
        }
    }

    /// Shows each tenant its templates as they stand.
    async fn show_templates(&self, complained: &mut HashSet<TenantName>) {
        for (tenant, desk) in &self.desks {
            let showing = {
                let desk = Arc::clone(desk);
                tokio::task::spawn_blocking(move || desk.shelf.show(desk.rules.senders.first()))
            };
            match showing.await {
                Ok(Err(error)) if complained.insert(tenant.clone()) => {
                    journal::templates_not_shown(tenant, &super::chain(&error));
                }
                Ok(Ok(())) => drop(complained.remove(tenant)),
                _ => {}
            }
        }
    }

    /// Gives every arrival in the spool its row.
    pub(super) async fn receive(&self) -> Result<(), store::Error> {
        for (tenant, desk) in &self.desks {
            let whose = tenant.clone();
            let arrivals = self.with_inbox(move |inbox| inbox.take(&whose)).await?;
            let Some(arrivals) = arrivals else { continue };
            // All at once, so that they are committed together.
            let rows = arrivals.iter().map(|arrival| {
                let (store, arrival) = (self.store.clone(), arrival.clone());
                let start = desk.start(&arrival);
                tokio::spawn(async move { store.receive(arrival, start).await })
            });
            for (row, arrival) in rows.collect::<Vec<_>>().into_iter().zip(&arrivals) {
                match row.await {
                    Ok(received) => received?,
                    Err(_) => return Err(store::Error::Stopped("giving a row panicked".into())),
                }
                journal::received(arrival);
                crash::point("received");
            }
            if !arrivals.is_empty() {
                self.with_inbox(move |inbox| inbox.hold_all(&arrivals))
                    .await?;
                self.changed.notify_one();
                if desk.inbox.trigger == Trigger::DoneFile {
                    // Their `.done` may have come before them.
                    self.want_look(tenant);
                }
            }
        }
        Ok(())
    }

    /// Gives what a stop left in the spool its row, and removes what belongs to batches that ended.
    pub(super) async fn clear_up(&self) -> Result<(), store::Error> {
        self.receive().await?;
        self.release_ended().await
    }

    /// Forgets what a stop left in the spool between the end of a batch and the removal of its
    /// file.
    async fn release_ended(&self) -> Result<(), store::Error> {
        for tenant in self.desks.keys() {
            let whose = tenant.clone();
            let held = self.with_inbox(move |inbox| inbox.held(&whose)).await?;
            for arrival in held.unwrap_or_default() {
                if self.store.has_ended(arrival.batch.clone()).await? {
                    self.with_inbox(move |inbox| inbox.release(&arrival))
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Works in the spool on a thread that may wait for the disk; `None` if that failed, which is
    /// told here.
    async fn with_inbox<T, F>(&self, work: F) -> Result<Option<T>, store::Error>
    where
        T: Send + 'static,
        F: FnOnce(&Inbox) -> Result<T, inbox::Error> + Send + 'static,
    {
        let inbox = self.inbox.clone();
        let done = tokio::task::spawn_blocking(move || work(&inbox)).await;
        let done =
            done.map_err(|_| store::Error::Stopped("a look at the spool panicked".into()))?;
        Ok(done
            .inspect_err(|error| journal::intake_failed(&super::chain(error)))
            .ok())
    }

    /// Takes files in until stopped, then waits for the checks under way.
    pub(super) async fn run(self) -> Result<(), store::Error> {
        let this = Arc::new(self);
        let small = Arc::new(Semaphore::new(SMALL_CHECKS));
        let big = Arc::new(Semaphore::new(BIG_CHECKS));
        let checks = TaskTracker::new();
        let active: Arc<Mutex<HashSet<BatchId>>> = Arc::default();
        let began = clock::steady();
        checks.spawn(Arc::clone(&this).keep_templates_shown());
        let tenants: Vec<TenantName> = this.desks.keys().cloned().collect();
        while !this.stop.is_cancelled() {
            if !this.wait_for_room().await {
                break;
            }
            this.receive().await?;
            for (arrival, state) in this.store.unchecked(tenants.clone()).await? {
                let interrupted = state == BatchState::Checking;
                if interrupted && clock::steady().duration_since(began) < CALM {
                    continue;
                }
                let Some(desk) = this.desks.get(&arrival.tenant) else {
                    continue;
                };
                let lane = if arrival.size_bytes <= SMALL_BYTES_MAX {
                    &small
                } else {
                    &big
                };
                if !lock(&active).insert(arrival.batch.clone()) {
                    continue;
                }
                let (this, desk, lane) = (Arc::clone(&this), Arc::clone(desk), Arc::clone(lane));
                let active = Arc::clone(&active);
                checks.spawn(async move {
                    let _alarm = this.alarm.clone();
                    let checked = match lane.acquire().await {
                        Ok(_permit) if !this.stop.is_cancelled() => {
                            this.check(&arrival, desk).await
                        }
                        _ => Ok(()),
                    };
                    if let Err(error) = checked {
                        if !matches!(error, Error::Coming) {
                            journal::check_failed(&arrival.batch, &super::chain(&error));
                        }
                        // Looked at again with the next beat, not at once.
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                    lock(&active).remove(&arrival.batch);
                });
            }
            tokio::select! {
                () = this.stop.cancelled() => {}
                () = this.arrived.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        checks.close();
        // A check that is cut off begins anew at the next start.
        let _ = tokio::time::timeout(STOP_MAX, checks.wait()).await;
        Ok(())
    }

    /// Waits until something can be begun; says whether to go on.
    async fn wait_for_room(&self) -> bool {
        let mut room = self.store.room();
        tokio::select! {
            () = self.stop.cancelled() => false,
            // A writer that is gone ends the daemon by itself.
            has_room = room.wait_for(|has_room| *has_room) => has_room.is_ok(),
        }
    }

    async fn check(&self, arrival: &Arrival, desk: Arc<Desk>) -> Result<(), Error> {
        let batch = &arrival.batch;
        if let Origin::Unread(reason, _) = arrival.origin {
            let size_bytes_max = desk.rules.limits.bytes_max;
            let fault = verdict::unread(arrival, reason, size_bytes_max);
            return self.refuse(arrival, Refused::unread(fault)).await;
        }
        let Some(deaths) = self.store.begin_check(batch.clone()).await? else {
            // Read to its end since the list was made that it stands in.
            return Ok(());
        };
        crash::point("check-begun");
        if deaths >= DEATHS_MAX {
            let found = format!("{deaths} readings that stopped the service at the same row");
            let fault = Fault::whole(
                Code::FileQuarantined,
                "a file that can be read to its end",
                found,
            )
            .hint("tell the operator; the file is kept in errors");
            return self.refuse(arrival, Refused::unread(fault)).await;
        }
        let checked = {
            let (store, inbox) = (self.store.clone(), self.inbox.clone());
            let (arrival, stop) = (arrival.clone(), self.stop.clone());
            let desk = Arc::clone(&desk);
            let check = move || {
                let heard = checksums::hear(&store, &inbox, &arrival, &desk)?;
                let checked = match heard.fault {
                    Some(fault) => Checked::refused(vec![fault]),
                    None => check_and_keep(&store, &inbox, &arrival, &desk, &stop)?,
                };
                Ok((checked, heard.heard))
            };
            tokio::task::spawn_blocking(check)
                .await
                .map_err(|_| Error::Panic)?
        };
        let (checked, heard) = match checked {
            Ok(checked) => checked,
            Err(error) => {
                // What is wrong with the disk or the templates is not the file's fault.
                self.store.put_back(batch.clone()).await?;
                return if self.stop.is_cancelled() {
                    Ok(())
                } else {
                    Err(error)
                };
            }
        };
        if let Some(reason) = &checked.refusal {
            let refused = Refused {
                state: BatchState::Rejected,
                faults: None,
                reason: reason.clone(),
                checked,
                heard,
            };
            return self.refuse(arrival, refused).await;
        }
        self.admit(arrival, &desk, (checked, heard)).await
    }

    async fn admit(
        &self,
        arrival: &Arrival,
        desk: &Desk,
        (checked, companions): (Checked, Vec<Heard>),
    ) -> Result<(), Error> {
        let head = checked
            .outline
            .as_ref()
            .map(|outline| outline.head.clone())
            .unwrap_or_default();
        let now = clock::now();
        let window_ms = i64::try_from(desk.duplicate_window.as_millis()).unwrap_or(i64::MAX);
        let by_key = !head.batch_key.is_empty();
        let admission = Admission {
            sha256: checked.sha256.clone(),
            batch_key: head.batch_key,
            allow_duplicate: head.allow_duplicate,
            seen_since: now.plus_ms(-window_ms),
            dialect: head.dialect.as_str().into(),
            campaign_name: head.campaign_name,
            warnings: checked.warnings.clone(),
            fault_count: checked.fault_count,
            dry_run: head.dry_run || arrival.folder == DropFolder::DryRun,
            heard: companions.clone(),
            now,
        };
        match self.store.admit(arrival.batch.clone(), admission).await? {
            Admitted::Whole => {
                crash::point("admitted");
                journal::admitted(
                    &arrival.batch,
                    &arrival.tenant,
                    checked.total,
                    checked.invalid,
                );
                self.figures.verdict(&arrival.tenant, "admitted");
                self.admitted.notify_one();
                self.changed.notify_one();
                if !companions.is_empty() {
                    self.want_look(&arrival.tenant);
                }
                Ok(())
            }
            Admitted::SentBefore(earlier) => {
                let fault = duplicate(by_key, &earlier);
                let refused = Refused {
                    state: BatchState::Duplicate,
                    faults: Some(vec![fault.clone()]),
                    reason: fault,
                    checked,
                    heard: companions,
                };
                self.refuse(arrival, refused).await
            }
        }
    }

    async fn refuse(&self, arrival: &Arrival, refused: Refused) -> Result<(), Error> {
        let Refused {
            state,
            reason,
            faults,
            checked,
            heard,
        } = refused;
        journal::refused(&arrival.batch, &arrival.tenant, &reason);
        self.figures.verdict(&arrival.tenant, state.as_str());
        let (faults, fault_count) = match faults {
            Some(faults) => {
                let count = faults.len() as u64;
                (Some(faults), count)
            }
            None => checked.told(&reason),
        };
        let was_heard = !heard.is_empty();
        let head = checked.head();
        let dialect = head.map(|head| head.dialect.as_str().to_owned());
        let campaign_name = head.map(|head| head.campaign_name.clone());
        let refusal = Refusal {
            dialect: dialect.unwrap_or_default(),
            campaign_name: campaign_name.unwrap_or_default(),
            warnings: checked.warnings,
            state,
            reason,
            faults,
            fault_count,
            sha256: checked.sha256,
            heard,
            now: clock::now(),
        };
        self.store.refuse(arrival.batch.clone(), refusal).await?;
        crash::point("refused");
        self.changed.notify_one();
        if was_heard {
            self.want_look(&arrival.tenant);
        }
        Ok(())
    }

    /// Has a tenant's drop folders looked at: what lies there has a meaning that it had not before.
    fn want_look(&self, tenant: &TenantName) {
        want_look((&self.desks, &self.look), tenant);
    }

    /// Has the drop folders of a tenant looked at whom the door has told of a file that steers.
    pub(super) fn steered(&self) -> impl Fn(&TenantName) + Send + Sync + 'static {
        let (desks, look) = (self.desks.clone(), Arc::clone(&self.look));
        move |tenant| want_look((&desks, &look), tenant)
    }
}

fn want_look((desks, look): (&BTreeMap<TenantName, Arc<Desk>>, &Notify), tenant: &TenantName) {
    if let Some(desk) = desks.get(tenant) {
        desk.look_wanted.store(true, Ordering::Release);
        look.notify_one();
    }
}

/// A file that is refused, and all that is known of it.
struct Refused {
    state: BatchState,
    reason: Fault,
    /// They stand in for the faults found while reading, if given.
    faults: Option<Vec<Fault>>,
    checked: Checked,
    heard: Vec<Heard>,
}

impl Refused {
    /// Nothing of it was read.
    fn unread(reason: Fault) -> Self {
        Self {
            state: BatchState::Rejected,
            reason,
            faults: None,
            checked: Checked::nothing(),
            heard: Vec::new(),
        }
    }
}

/// What is said of a file whose content or key was sent before.
fn duplicate(by_key: bool, earlier: &BatchId) -> Fault {
    if by_key {
        let found = format!("the key of batch {earlier}");
        Fault::whole(
            Code::FileDuplicate,
            "a `batchKey` that was not sent before",
            found,
        )
        .hint("give each batch a key of its own; to send this one again, change its key")
    } else {
        let found = format!("the content of batch {earlier}");
        Fault::whole(
            Code::FileDuplicate,
            "content that was not sent before",
            found,
        )
        .hint("to send it again on purpose, put `\"allowDuplicate\": true` into the file")
    }
}

fn check_and_keep(
    store: &Store,
    inbox: &Inbox,
    arrival: &Arrival,
    desk: &Desk,
    stop: &CancellationToken,
) -> Result<Checked, Error> {
    let templates = desk.shelf.templates()?;
    // What it comes upon stays at least until it is kept who needs it.
    let sight = desk.media.sight(&arrival.tenant, &desk.root);
    let checker = Checker {
        rules: &desk.rules,
        templates: &templates,
        files: &sight,
        received_at: arrival.received_at,
    };
    let NameKind::Batch { container, .. } = NameKind::of(&arrival.name) else {
        let fault = Fault::whole(Code::FileContainer, "a name that counts", "another name");
        return Ok(Checked {
            refusal: Some(fault),
            ..Checked::nothing()
        });
    };
    // Opened anew each time: two readers of one open file would share its place.
    let open = || {
        let file = inbox.file(arrival).map_err(io::Error::other)?;
        let opened = unpack::open(file, &arrival.name)?;
        let stop = stop.clone();
        Ok(opened.map(|(content, form)| {
            let content: Box<dyn BufRead + Send> = Box::new(Stoppable { content, stop });
            (content, form)
        }))
    };
    let runtime = Handle::current();
    let mut keeping = store.keeping(arrival.batch.clone());
    let mut piece = |piece| {
        let kept = runtime.block_on(keeping.keep(piece));
        crash::point("kept");
        kept.map_err(io::Error::other)
    };
    let mut keep = Keep {
        wanted: Wanted::Messages,
        piece: &mut piece,
    };
    let found = checking::check(&open, arrival.size_bytes, container, checker, &mut keep)?;
    runtime.block_on(keeping.finish())?;
    sight.failed()?;
    Ok(found)
}

/// The content of a file until the daemon stops, when reading it fails.
struct Stoppable {
    content: Box<dyn BufRead + Send>,
    stop: CancellationToken,
}

impl Stoppable {
    fn go_on(&self) -> io::Result<()> {
        if self.stop.is_cancelled() {
            // A number of the system's, so that nobody takes it for damage to the file.
            return Err(rustix::io::Errno::CANCELED.into());
        }
        Ok(())
    }
}

impl Read for Stoppable {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.go_on()?;
        self.content.read(into)
    }
}

impl BufRead for Stoppable {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.go_on()?;
        self.content.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.content.consume(amount);
    }
}
