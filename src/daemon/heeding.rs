//! Companions that lie in a tenant's drop folders, seen by the sweep: heard, waited with, or
//! refused.
//!
//! Which file a companion belongs to must never be guessed wrongly: one that was meant for
//! yesterday's file would refuse today's. So
//!
//! - what was heard is committed with what came of it, by the companion's inode and time, and is
//!   removed after; until then it is known as heard and means nothing to any other file;
//! - a checksum that fits the newest file of its name belongs to it;
//! - one that does not waits for a minute, in which a file sent together with it would have come,
//!   and for as long as a file of its name is on its way; then it is told as wrong about the newest
//!   file;
//! - unless that one's batch had ended before the companion came, or another checksum of its kind
//!   was heard about it: then this one is for the file that comes next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use super::checksums;
use super::intake::Desk;
use super::journal;
use super::steering::Steering;
use crate::batch::name::{Companion, DropFolder};
use crate::batch::origin::Unread;
use crate::batch::{BatchId, TenantName, verdict};
use crate::delivery::standing::{BatchStanding, BatchState};
use crate::inbox::companion::{self, Checksum};
use crate::inbox::{self, Age, Drops, Found, Inbox, Trigger, What};
use crate::report;
use crate::store::{self, FileName, Heard, Newest, Store};
use crate::{clock, crash};

mod wishes;

use wishes::wish_of;

/// Checksums of files that are remembered while a companion waits beside them.
const SUMS_MAX: usize = 1_000;

/// Files that are read at a time for their checksums, of all tenants.
static SUMS: Semaphore = Semaphore::const_new(2);

/// How long the loop waits for a checksum: what another tenant wants stopped does not wait longer.
const SUM_WAIT: Duration = Duration::from_millis(50);

/// How soon it looks again for one that takes longer.
const SUM_LOOK_EVERY: Duration = Duration::from_millis(500);

/// Of which file a checksum is, and of which kind.
type SumKey = (BatchId, Companion);

/// What was heard before and may still lie there.
type Earlier = [(BatchId, DropFolder, Heard)];

/// Hears the companions of one tenant.
#[derive(Debug)]
pub(super) struct Heeding {
    tenant: TenantName,
    desk: Arc<Desk>,
    steering: Arc<Steering>,
    /// So that a large file is not read again with every sweep.
    sums: HashMap<SumKey, Option<String>>,
    /// The one that is being taken.
    coming_sum: Option<(SumKey, JoinHandle<Option<String>>)>,
}

/// The checksum of a file.
enum Sum {
    /// It is being taken.
    Coming,
    /// As it was uploaded; `None` when nobody has the file any more.
    Known(Option<String>),
}

/// What came of hearing companions.
#[derive(Debug, Default)]
pub(super) struct Heeded {
    /// Companions that are refused.
    pub(super) refused: Vec<Found>,
    /// Whether a batch may begin, or changed.
    pub(super) started: bool,
    /// How soon some have to be looked at again.
    pub(super) again: Option<Duration>,
}

/// What is done with a companion.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Then {
    /// Nothing yet.
    Wait,
    /// It is heard about this batch.
    Heard(BatchId),
    /// It says nothing that is not known, so it goes.
    Gone,
    /// It is refused.
    Refuse(Unread),
}

impl Heeding {
    pub(super) fn new(tenant: TenantName, (desk, steering): (Arc<Desk>, Arc<Steering>)) -> Self {
        Self {
            tenant,
            desk,
            steering,
            sums: HashMap::new(),
            coming_sum: None,
        }
    }

    /// Hears the companions that a sweep has found.
    pub(super) async fn heed(
        &mut self,
        store: &Store,
        inbox: &Inbox,
        companions: Vec<Found>,
    ) -> Result<Heeded, store::Error> {
        let mut heeded = Heeded::default();
        let earlier = store.heard(self.tenant.clone()).await?;
        self.forget_gone(store, &earlier).await?;
        let is_wish = |found: &Found| wish_of(found).is_some();
        let (wishes, others): (Vec<Found>, Vec<Found>) = companions.into_iter().partition(is_wish);
        // First, since reading what others are about may take a while.
        self.steer((store, inbox), (wishes, &earlier), &mut heeded)
            .await?;
        for found in others {
            let What::Heed { kind, .. } = found.what else {
                continue;
            };
            let one = heard(&found, kind);
            let then = match known(&earlier, &found, &one) {
                Some(batch) => Then::Heard(batch),
                None if kind == Companion::Done => self.done(store, &found, &mut heeded).await?,
                None => self.sum(store, (inbox, &mut heeded), &found).await?,
            };
            self.settle((store, inbox), (found, then), &mut heeded)
                .await?;
        }
        Ok(heeded)
    }

    /// Does what was decided about a companion.
    async fn settle(
        &self,
        (store, inbox): (&Store, &Inbox),
        (found, then): (Found, Then),
        heeded: &mut Heeded,
    ) -> Result<(), store::Error> {
        let What::Heed { kind, age, .. } = found.what else {
            return Ok(());
        };
        match then {
            Then::Refuse(why) => heeded.refused.push(Found {
                what: What::Refuse(why),
                ..found
            }),
            // Its sender may still be looking at it.
            Then::Heard(batch) if age > Age::Fresh => {
                if self.remove(inbox, &found).await {
                    store.cleared(batch, heard(&found, kind)).await?;
                    crash::point("companion-cleared");
                }
            }
            Then::Gone if age > Age::Fresh => drop(self.remove(inbox, &found).await),
            Then::Wait | Then::Heard(_) | Then::Gone => {}
        }
        Ok(())
    }

    /// A companion that was heard and does not lie there any more needs not to be remembered. The
    /// folder is looked at after it was heard: one that came since the sweep is not gone.
    async fn forget_gone(&self, store: &Store, earlier: &Earlier) -> Result<(), store::Error> {
        for (batch, folder, one) in earlier {
            let (root, at, name) = (self.desk.root.clone(), *folder, one.name.clone());
            let lies = spawn_blocking(move || Drops::open(&root)?.identity(at, &name));
            if let Ok(Ok(lies)) = lies.await
                && lies != Some(one.identity)
            {
                store.cleared(batch.clone(), one.clone()).await?;
            }
        }
        Ok(())
    }

    /// A `.done` lets the newest file of its name begin, where that waits for one.
    async fn done(
        &self,
        store: &Store,
        found: &Found,
        heeded: &mut Heeded,
    ) -> Result<Then, store::Error> {
        let What::Heed { kind, age, .. } = found.what else {
            return Ok(Then::Wait);
        };
        let file = self.file_of(found);
        if self.desk.inbox.trigger == Trigger::DoneFile {
            let reason = (verdict::replaced(), clock::now());
            let started = store.start(file, heard(found, kind), reason).await?;
            if let Some(batch) = started.batch {
                journal::done_came(&batch, &self.tenant);
                for batch in started.replaced {
                    journal::refused(&batch, &self.tenant, &verdict::replaced());
                }
                heeded.started = true;
                return Ok(Then::Heard(batch));
            }
        } else if age >= Age::Ripe && store.newest(file).await?.is_some() {
            // Nothing waits for it.
            return Ok(Then::Gone);
        }
        Ok(if age == Age::Abandoned {
            Then::Refuse(Unread::Abandoned)
        } else {
            Then::Wait
        })
    }

    /// A checksum whose file was checked before, or has not come.
    async fn sum(
        &mut self,
        store: &Store,
        (inbox, heeded): (&Inbox, &mut Heeded),
        found: &Found,
    ) -> Result<Then, store::Error> {
        let What::Heed {
            kind,
            age,
            is_early,
        } = found.what
        else {
            return Ok(Then::Wait);
        };
        if age < Age::Settled {
            return Ok(Then::Wait);
        }
        let lonely = if age == Age::Abandoned {
            Then::Refuse(Unread::Abandoned)
        } else {
            Then::Wait
        };
        let Some(newest) = store.newest(self.file_of(found)).await? else {
            return Ok(lonely);
        };
        let state = newest.standing.state;
        if matches!(state, BatchState::Received | BatchState::Checking) {
            // It is read when the check begins.
            return Ok(Then::Wait);
        }
        let Some(checksum) = self.read(found, kind).await else {
            return Ok(Then::Wait);
        };
        let of_file = match self.sum_of(inbox, &newest.standing, kind).await {
            Sum::Known(Some(of_file)) => of_file,
            Sum::Known(None) => return Ok(lonely),
            Sum::Coming => {
                heeded.again = heeded.again.or(Some(SUM_LOOK_EVERY));
                return Ok(Then::Wait);
            }
        };
        let first = !newest.heard.contains(&kind);
        let fits = checksum.sum.as_ref() == Some(&of_file);
        if newest.ended_before(checksum.changed_ns) && (is_early || !fits) {
            return Ok(lonely);
        }
        if fits {
            return self.fits(store, (&newest, first), &checksum, age).await;
        }
        if !first {
            return Ok(lonely);
        }
        if age < Age::Ripe {
            return Ok(Then::Wait);
        }
        self.differs(store, &newest, (&checksum, &of_file)).await
    }

    /// A checksum that fits the newest file of its name.
    async fn fits(
        &self,
        store: &Store,
        (newest, first): (&Newest, bool),
        checksum: &Checksum,
        age: Age,
    ) -> Result<Then, store::Error> {
        let batch = newest.standing.arrival.batch.clone();
        if !first {
            // Said twice, or said of the same content before it comes again.
            return Ok(if age >= Age::Ripe {
                Then::Gone
            } else {
                Then::Wait
            });
        }
        let one = checksums::heard(checksum);
        store.hear_late(batch.clone(), one, None).await?;
        Ok(Then::Heard(batch))
    }

    /// A checksum that says that the newest file of its name is not what was meant to be sent.
    async fn differs(
        &self,
        store: &Store,
        newest: &Newest,
        (checksum, of_file): (&Checksum, &str),
    ) -> Result<Then, store::Error> {
        let batch = newest.standing.arrival.batch.clone();
        let warning = match &checksum.sum {
            None => verdict::garbled(),
            Some(sum) => verdict::mismatch(checksum.kind, sum, of_file),
        };
        let one = checksums::heard(checksum);
        journal::checksum_late(&batch, &self.tenant, &warning);
        if store.hear_late(batch.clone(), one, Some(warning)).await? {
            return Ok(Then::Heard(batch));
        }
        // Its status is final, so the companion itself is answered.
        Ok(Then::Refuse(match checksum.sum {
            None => Unread::ChecksumGarbled,
            Some(_) => Unread::ChecksumMismatch,
        }))
    }

    /// The checksum of a batch's file as it was uploaded. A large file is read beside the loop, one
    /// at a time.
    async fn sum_of(&mut self, inbox: &Inbox, standing: &BatchStanding, kind: Companion) -> Sum {
        let key = (standing.arrival.batch.clone(), kind);
        if let Some(known) = self.sums.get(&key) {
            return Sum::Known(known.clone());
        }
        if let Some((of, coming)) = self.coming_sum.take() {
            if !coming.is_finished() {
                self.coming_sum = Some((of, coming));
                return Sum::Coming;
            }
            let sum = coming.await.ok().flatten();
            self.know(of, sum);
            // It may have been this one; if not, this one begins with the next look.
            return match self.sums.get(&key) {
                Some(known) => Sum::Known(known.clone()),
                None => Sum::Coming,
            };
        }
        let mut coming = self.begin_sum(inbox, standing, kind);
        let Ok(sum) = tokio::time::timeout(SUM_WAIT, &mut coming).await else {
            self.coming_sum = Some((key, coming));
            return Sum::Coming;
        };
        let sum = sum.ok().flatten();
        self.know(key, sum.clone());
        Sum::Known(sum)
    }

    fn know(&mut self, key: SumKey, sum: Option<String>) {
        if self.sums.len() >= SUMS_MAX {
            self.sums.clear();
        }
        self.sums.insert(key, sum);
    }

    fn begin_sum(
        &self,
        inbox: &Inbox,
        standing: &BatchStanding,
        kind: Companion,
    ) -> JoinHandle<Option<String>> {
        let (inbox, arrival) = (inbox.clone(), standing.arrival.clone());
        let whatsapp = self.desk.root.join("whatsapp");
        let sum = move || {
            let kept = ["processed", "errors"]
                .map(|folder| whatsapp.join(report::path(&arrival, folder, "")));
            let file = inbox
                .content(&arrival)
                .or_else(|| kept.iter().find_map(|path| std::fs::File::open(path).ok()))?;
            companion::sum_of(file, kind).ok()
        };
        tokio::spawn(async move {
            let _turn = SUMS.acquire().await;
            spawn_blocking(sum).await.ok().flatten()
        })
    }

    /// The companion as it lies there, if it still is what the sweep has seen.
    async fn read(&self, found: &Found, kind: Companion) -> Option<Checksum> {
        let (root, file) = (self.desk.root.clone(), found.clone());
        let read = spawn_blocking(move || {
            let drops = Drops::open(&root)?;
            companion::read(&drops, (file.folder, &file.name), kind)
        });
        let checksum = read.await.ok()?.ok().flatten()?;
        (checksum.identity == found.look.identity).then_some(checksum)
    }

    async fn remove(&self, inbox: &Inbox, found: &Found) -> bool {
        let (inbox, root, file) = (inbox.clone(), self.desk.root.clone(), found.clone());
        let removed = spawn_blocking(move || {
            let drops = Drops::open(&root)?;
            let mark = (file.look.identity, file.look.size_bytes);
            inbox.remove_companion(&drops, (file.folder, &file.name), mark)
        });
        let removed: Result<bool, inbox::Error> = match removed.await {
            Ok(removed) => removed,
            Err(_) => return false,
        };
        removed.unwrap_or_else(|error| {
            journal::sweep_failed(&self.tenant, &super::chain(&error));
            false
        })
    }

    fn file_of(&self, found: &Found) -> FileName {
        let name = Companion::of(&found.name).map_or(found.name.as_str(), |(_, file)| file);
        FileName {
            tenant: self.tenant.clone(),
            folder: found.folder,
            name: name.into(),
        }
    }
}

/// The batch about which a companion was heard before.
fn known(earlier: &Earlier, found: &Found, one: &Heard) -> Option<BatchId> {
    let mut earlier = earlier.iter();
    let found = earlier.find(|(_, folder, other)| *folder == found.folder && other == one);
    found.map(|(batch, _, _)| batch.clone())
}

fn heard(found: &Found, kind: Companion) -> Heard {
    Heard {
        kind,
        name: found.name.clone(),
        identity: found.look.identity,
    }
}
