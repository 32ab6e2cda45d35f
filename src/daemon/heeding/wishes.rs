//! Files that steer: `<name>.cancel`, `.pause` and `.resume`, carried out as soon as they are seen,
//! in the order in which they came.
//!
//! A wish means a batch that was there when it came, never one that comes later: what lies about
//! from yesterday stops nothing today. One that means no running batch is refused, so that whoever
//! dropped it learns within seconds that nothing was stopped. What was heard is committed with the
//! deed; the file goes once its sender has had time to look at it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::{Earlier, Heeded, Heeding, Then, heard, known};
use crate::batch::name::{Companion, DropFolder, Verb, batch_named};
use crate::batch::origin::Unread;
use crate::batch::{Arrival, Moment, verdict};
use crate::clock;
use crate::inbox::{Age, Drops, Found, Inbox, What, companion};
use crate::store::{self, Deed, FileName, Store, Wish};

/// Wishes that one sweep carries out; the others are for the next, so that thousands of them keep
/// no other tenant waiting.
const WISHES_MAX: usize = 64;

/// What a file that a sweep has found asks for; `None` when it asks for nothing.
pub(super) fn wish_of(found: &Found) -> Option<(Verb, Age)> {
    match found.what {
        What::Heed {
            kind: Companion::Steers(verb),
            age,
            ..
        } => Some((verb, age)),
        _ => None,
    }
}

impl Heeding {
    /// Carries out what the files that steer ask for.
    pub(super) async fn steer(
        &self,
        (store, inbox): (&Store, &Inbox),
        (mut wishes, earlier): (Vec<Found>, &Earlier),
        heeded: &mut Heeded,
    ) -> Result<(), store::Error> {
        // Of two that came in the same moment the harder one has the last word.
        wishes.sort_by_key(|found| (found.look.changed_ns, wish_of(found).map(|(verb, _)| verb)));
        let mut left = WISHES_MAX;
        let mut coming = None;
        for found in wishes {
            let Some((verb, _)) = wish_of(&found) else {
                continue;
            };
            let then = match known(earlier, &found, &heard(&found, Companion::Steers(verb))) {
                Some(batch) => Then::Heard(batch),
                None if left == 0 => {
                    heeded.again = Some(Duration::ZERO);
                    continue;
                }
                None => {
                    left -= 1;
                    if coming.is_none() {
                        coming = self.coming(inbox).await;
                    }
                    let coming = coming.as_deref().unwrap_or_default();
                    self.wish(store, (&found, coming), heeded).await?
                }
            };
            self.settle((store, inbox), (found, then), heeded).await?;
        }
        Ok(())
    }

    /// The arrivals that are safe in the spool and may have no row yet.
    async fn coming(&self, inbox: &Inbox) -> Option<Vec<Arrival>> {
        let (inbox, tenant) = (inbox.clone(), self.tenant.clone());
        let listed = spawn_blocking(move || inbox.take(&tenant)).await;
        listed.ok()?.ok()
    }

    async fn wish(
        &self,
        store: &Store,
        (found, coming): (&Found, &[Arrival]),
        heeded: &mut Heeded,
    ) -> Result<Then, store::Error> {
        let Some((verb, age)) = wish_of(found) else {
            return Ok(Then::Wait);
        };
        let file = self.file_of(found);
        let came_at = Moment::from_millis(found.look.changed_ns / 1_000_000);
        // The spool was looked at before: what has left it since has its row.
        for arrival in coming {
            let is_meant = arrival.received_at <= came_at && means(&file, arrival);
            if is_meant && store.batch(arrival.batch.clone()).await?.is_none() {
                heeded.again = Some(Duration::ZERO);
                return Ok(Then::Wait);
            }
        }
        // Of what is only checked nothing would be sent in any case.
        let has_no_use = found.folder == DropFolder::DryRun && verb != Verb::Cancel;
        let meant = if has_no_use {
            None
        } else {
            store.meant(file, came_at).await?
        };
        let Some(standing) = meant else {
            return Ok(unheard(age));
        };
        let deed = match verb {
            Verb::Cancel => Deed::Cancel,
            Verb::Resume => Deed::Resume,
            Verb::Pause => {
                let Some(reason) = self.reason(found).await else {
                    heeded.again = Some(Duration::ZERO);
                    return Ok(Then::Wait);
                };
                Deed::Pause(reason)
            }
        };
        let batch = standing.arrival.batch;
        let wish = Wish {
            batch: batch.clone(),
            deed,
            heard: heard(found, Companion::Steers(verb)),
            denial: verdict::steering_denied(verb),
            now: clock::now(),
        };
        if !self.steering.grant(wish).await? {
            return Ok(unheard(age));
        }
        // A file that waited for its `.done` may be read.
        heeded.started = true;
        Ok(Then::Heard(batch))
    }

    /// Why a batch is to be paused, as its file says; `None` when that is another file by now.
    async fn reason(&self, found: &Found) -> Option<String> {
        let (desk, file) = (Arc::clone(&self.desk), found.clone());
        let read = spawn_blocking(move || {
            let drops = Drops::open(&desk.root)?;
            companion::words(&drops, (file.folder, &file.name), file.look.identity)
        });
        read.await.ok()?.ok()?
    }
}

/// Whether a wish for this name may mean this arrival.
fn means(file: &FileName, arrival: &Arrival) -> bool {
    let by_id = || {
        let (batch, _) = batch_named(&file.name)?;
        (batch == arrival.batch).then_some(())
    };
    file.folder == arrival.folder && (file.name == arrival.name || by_id().is_some())
}

/// A wish that means no running batch is told as soon as its sender is done with it.
fn unheard(age: Age) -> Then {
    if age > Age::Fresh {
        Then::Refuse(Unread::Steering)
    } else {
        Then::Wait
    }
}
