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

use tokio::task::spawn_blocking;

use super::checksums;
use super::intake::Desk;
use super::journal;
use crate::batch::name::{Companion, DropFolder};
use crate::batch::origin::Unread;
use crate::batch::{BatchId, TenantName, verdict};
use crate::clock;
use crate::delivery::standing::{BatchStanding, BatchState};
use crate::inbox::companion::{self, Checksum};
use crate::inbox::{self, Age, Drops, Found, Inbox, Trigger, What};
use crate::report;
use crate::store::{self, FileName, Heard, Newest, Store};

/// Checksums of files that are remembered while a companion waits beside them.
const SUMS_MAX: usize = 1_000;

/// Hears the companions of one tenant.
#[derive(Debug)]
pub(super) struct Heeding {
    tenant: TenantName,
    desk: Arc<Desk>,
    /// So that a large file is not read again with every sweep.
    sums: HashMap<(BatchId, Companion), Option<String>>,
}

/// What came of hearing companions.
#[derive(Debug, Default)]
pub(super) struct Heeded {
    /// Companions that are refused.
    pub(super) refused: Vec<Found>,
    /// Whether a batch may begin, or changed.
    pub(super) started: bool,
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
    pub(super) fn new(tenant: TenantName, desk: Arc<Desk>) -> Self {
        Self {
            tenant,
            desk,
            sums: HashMap::new(),
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
        for found in companions {
            let What::Heed { kind, age, .. } = found.what else {
                continue;
            };
            let one = heard(&found, kind);
            let known = earlier
                .iter()
                .find(|(_, folder, other)| *folder == found.folder && *other == one);
            let then = match known {
                Some((batch, _, _)) => Then::Heard(batch.clone()),
                None if kind == Companion::Done => self.done(store, &found, &mut heeded).await?,
                None => self.sum(store, inbox, &found).await?,
            };
            match then {
                Then::Refuse(why) => heeded.refused.push(Found {
                    what: What::Refuse(why),
                    ..found
                }),
                // Its sender may still be looking at it.
                Then::Heard(batch) if age > Age::Fresh => {
                    if self.remove(inbox, &found).await {
                        store.cleared(batch, one).await?;
                    }
                }
                Then::Gone if age > Age::Fresh => drop(self.remove(inbox, &found).await),
                Then::Wait | Then::Heard(_) | Then::Gone => {}
            }
        }
        Ok(heeded)
    }

    /// A companion that was heard and does not lie there any more needs not to be remembered. The
    /// folder is looked at after it was heard: one that came since the sweep is not gone.
    async fn forget_gone(
        &self,
        store: &Store,
        earlier: &[(BatchId, DropFolder, Heard)],
    ) -> Result<(), store::Error> {
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
        inbox: &Inbox,
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
        let Some(of_file) = self.sum_of(inbox, &newest.standing, kind).await else {
            return Ok(lonely);
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

    /// The checksum of a batch's file as it was uploaded; `None` when nobody has the file any more.
    async fn sum_of(
        &mut self,
        inbox: &Inbox,
        standing: &BatchStanding,
        kind: Companion,
    ) -> Option<String> {
        let arrival = standing.arrival.clone();
        let key = (arrival.batch.clone(), kind);
        if let Some(known) = self.sums.get(&key) {
            return known.clone();
        }
        let inbox = inbox.clone();
        let whatsapp = self.desk.root.join("whatsapp");
        let sum = spawn_blocking(move || {
            let kept = ["processed", "errors"]
                .map(|folder| whatsapp.join(report::path(&arrival, folder, "")));
            let file = inbox
                .content(&arrival)
                .or_else(|| kept.iter().find_map(|path| std::fs::File::open(path).ok()))?;
            companion::sum_of(file, kind).ok()
        });
        let sum = sum.await.ok().flatten();
        if self.sums.len() >= SUMS_MAX {
            self.sums.clear();
        }
        self.sums.insert(key, sum.clone());
        sum
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

fn heard(found: &Found, kind: Companion) -> Heard {
    Heard {
        kind,
        name: found.name.clone(),
        identity: found.look.identity,
    }
}
