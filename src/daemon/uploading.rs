//! Files on their way to providers, before the messages that name them: each is uploaded once for
//! each number that sends it, and its id is kept for as long as the provider knows it.
//!
//! Nobody waits here. A request whose files are not there yet is put back, and told when they are:
//! an upload that a crash cuts off has sent no message, and is done again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::lock;
use super::media::MediaSpool;
use super::outlet::Outlet;
use crate::batch::content::{MediaFile, MediaSource};
use crate::batch::media::BYTES_MAX;
use crate::batch::{Message, Moment, Phone, TenantName};
use crate::delivery::sending::Going;
use crate::delivery::{Outcome, Reason, Scope};
use crate::provider::Upload;
use crate::store::{Error, MediaId, MediaKey, Store};
use crate::{clock, crash};

/// Uploads at once, and how many bytes of files they have together: with the requests that are made
/// of them, twice that is held in memory.
const UPLOADS_MAX: usize = 8;
const UPLOADS_KIB_MAX: u32 = (BYTES_MAX >> 10) as u32;

/// Uploads that are begun or wait for their turn, before none is added.
const UNDER_WAY_MAX: usize = 64;

/// Files whose id is known here; beyond it those at rest are forgotten, and looked up again.
const KNOWN_MAX: usize = 10_000;

/// How long before the provider forgets a file it is not named any more: a message may wait that
/// long at the provider before its file is fetched.
const MARGIN: Duration = Duration::from_hours(24);

/// How long a file that the provider has refused is not offered again.
const FAILED_FOR: Duration = Duration::from_mins(10);

/// The same for one that was put off, if the provider does not say.
const REST: Duration = Duration::from_secs(2);

/// How long it counts against a file that its id was lost once: one that is lost again is at fault.
const LOST_FOR: Duration = Duration::from_hours(1);

/// How soon a message is tried again whose file was lost.
const LOST_WAIT: Duration = Duration::from_secs(1);

/// Whether a request may leave as far as its files are concerned.
#[derive(Debug)]
pub(super) enum Readiness {
    /// All are there.
    Ready,
    /// These are not there; some may be on their way.
    Waits(Vec<MediaFile>),
    /// Some will not be there: this becomes of each message.
    Ended(Vec<Outcome>),
}

/// How a file stands at the provider.
#[derive(Clone, Debug)]
enum Standing {
    UnderWay,
    Known(MediaId),
    /// It was not taken, and this follows for a message that needs it.
    Failed(Outcome, Instant),
    /// It was put off, as one message was told, and is not offered again before then.
    Resting(Instant),
}

/// The files on their way, of all tenants.
#[derive(Debug)]
pub(super) struct Uploading {
    store: Store,
    spool: Arc<MediaSpool>,
    standings: Mutex<HashMap<MediaKey, Standing>>,
    /// When ids were lost that the provider was sent anew for.
    lost: Mutex<HashMap<MediaKey, Instant>>,
    uploads: Semaphore,
    kib: Semaphore,
}

impl Uploading {
    pub(super) fn new(store: Store, spool: Arc<MediaSpool>) -> Self {
        Self {
            store,
            spool,
            standings: Mutex::default(),
            lost: Mutex::default(),
            uploads: Semaphore::new(UPLOADS_MAX),
            kib: Semaphore::new(UPLOADS_KIB_MAX as usize),
        }
    }

    /// Whether a request may leave at `now`.
    pub(super) fn look(&self, going: &Going, now: Moment) -> Readiness {
        let mut missing: Vec<MediaFile> = Vec::new();
        let mut failed = Vec::new();
        for item in &going.items {
            let mut failure = None;
            for file in item.message.content.files() {
                match self.standing(&key(going, file), now) {
                    Some(Standing::Known(_)) => {}
                    Some(Standing::Failed(outcome, _)) => {
                        self.rest(key(going, file), &outcome);
                        failure = Some(outcome);
                    }
                    _ if missing.contains(file) => {}
                    _ => missing.push(file.clone()),
                }
            }
            failed.push(failure);
        }
        if failed.iter().any(Option::is_some) {
            let outcomes = failed.into_iter();
            let again = || later("another message's file was not taken");
            return Readiness::Ended(outcomes.map(|it| it.unwrap_or_else(again)).collect());
        }
        if missing.is_empty() {
            return Readiness::Ready;
        }
        Readiness::Waits(missing)
    }

    /// Takes the upload of a file in hand, if nobody has, and there are not too many. Whoever gets
    /// the key must [`bring`](Self::bring) it.
    pub(super) fn begin(&self, whose: (&TenantName, &Phone), file: &MediaFile) -> Option<MediaKey> {
        let key = MediaKey::of(whose, file);
        if self.standing(&key, clock::now()).is_some() {
            return None;
        }
        let mut standings = lock(&self.standings);
        let under_way = |standing: &Standing| matches!(standing, Standing::UnderWay);
        if standings.len() >= KNOWN_MAX {
            standings.retain(|_, standing| under_way(standing));
        }
        if standings.values().filter(|it| under_way(it)).count() >= UNDER_WAY_MAX {
            return None;
        }
        standings.insert(key.clone(), Standing::UnderWay);
        Some(key)
    }

    /// Brings a file to the provider, unless it knows it already.
    pub(super) async fn bring(
        &self,
        outlet: Option<&Outlet>,
        key: MediaKey,
        file: MediaFile,
    ) -> Result<(), Error> {
        let standing = match self.store.media_id(key.clone(), clock::now()).await? {
            Some(id) => Standing::Known(id),
            None => match self.upload(outlet, &key, &file).await {
                Ok((provider_id, kept)) => {
                    crash::point("media-uploaded");
                    let id = MediaId {
                        provider_id,
                        until: until(kept, clock::now()),
                    };
                    self.store.keep_media_id(key.clone(), id.clone()).await?;
                    crash::point("media-kept");
                    Standing::Known(id)
                }
                Err(outcome) => Standing::Failed(*outcome, clock::steady()),
            },
        };
        lock(&self.standings).insert(key, standing);
        Ok(())
    }

    /// The messages of a request with the ids of their files; `None` if one of these is not known
    /// any more.
    pub(super) fn named<'a>(&self, going: &'a Going) -> Option<Vec<Cow<'a, Message>>> {
        let now = clock::now();
        let named = |message: &'a Message| {
            if message.content.files().next().is_none() {
                return Some(Cow::Borrowed(message));
            }
            let mut message = message.clone();
            for (_, _, media) in message.content.media_mut() {
                if let MediaSource::File(file) = &media.source {
                    let Some(Standing::Known(id)) = self.standing(&key(going, file), now) else {
                        return None;
                    };
                    media.source = MediaSource::Id(id.provider_id);
                }
            }
            Some(Cow::Owned(message))
        };
        going
            .items
            .iter()
            .map(|item| named(&item.message))
            .collect()
    }

    /// What follows for messages whose request found a file missing here.
    pub(super) fn missing(going: &Going) -> Vec<Outcome> {
        vec![later("its file must be uploaded again"); going.items.len()]
    }

    /// The outcomes of a request, once ids are forgotten that the provider does not know any more:
    /// a message that was refused for that alone is tried again with a new one.
    pub(super) async fn heed_losses(
        &self,
        (outlet, going): (&Outlet, &Going),
        messages: &[Cow<'_, Message>],
        mut outcomes: Vec<Outcome>,
    ) -> Result<Vec<Outcome>, Error> {
        let sent = going.items.iter().zip(messages);
        for ((item, message), outcome) in sent.zip(&mut outcomes) {
            let Outcome::Refused { reason, .. } = outcome else {
                continue;
            };
            if !outlet.has_lost_file(reason) {
                continue;
            }
            let mut is_new = false;
            let media = item.message.content.media().zip(message.content.media());
            for (own, named) in media {
                let (Some(file), Some(id)) = (own.source.file(), named.source.id()) else {
                    continue;
                };
                is_new |= self.lose(key(going, file), id).await?;
            }
            if is_new {
                *outcome = later(&reason.detail);
            }
        }
        Ok(outcomes)
    }

    /// Forgets an id that is lost. Says whether another try may be better: not for a file that was
    /// uploaded anew for the same reason a while ago.
    async fn lose(&self, key: MediaKey, id: &str) -> Result<bool, Error> {
        {
            let mut standings = lock(&self.standings);
            match standings.get(&key) {
                Some(Standing::Known(known)) if known.provider_id == id => {}
                // It was forgotten before this message was answered.
                _ => return Ok(true),
            }
            let mut lost = lock(&self.lost);
            let now = clock::steady();
            lost.retain(|_, at| now.duration_since(*at) < LOST_FOR);
            if lost.contains_key(&key) || lost.len() >= KNOWN_MAX {
                return Ok(false);
            }
            lost.insert(key.clone(), now);
            standings.insert(key.clone(), Standing::UnderWay);
        }
        // Until the row is gone, nobody may look the same id up again.
        self.store.forget_media_id(key.clone(), id.into()).await?;
        lock(&self.standings).remove(&key);
        Ok(true)
    }

    /// How a file stands; `None` if that is not known, or not true any more.
    fn standing(&self, key: &MediaKey, now: Moment) -> Option<Standing> {
        let mut standings = lock(&self.standings);
        let standing = standings.get(key)?.clone();
        let is_over = match &standing {
            Standing::UnderWay => false,
            Standing::Known(id) => id.until <= now,
            Standing::Failed(_, at) => clock::steady().duration_since(*at) >= FAILED_FOR,
            Standing::Resting(until) => clock::steady() >= *until,
        };
        if is_over {
            standings.remove(key);
            return None;
        }
        Some(standing)
    }

    /// One message has been told that a file was put off: the next ones wait until it is offered
    /// again.
    fn rest(&self, key: MediaKey, outcome: &Outcome) {
        if let Outcome::Deferred { wait, .. } = outcome {
            let until = clock::steady() + wait.unwrap_or(REST);
            lock(&self.standings).insert(key, Standing::Resting(until));
        }
    }

    async fn upload(
        &self,
        outlet: Option<&Outlet>,
        key: &MediaKey,
        file: &MediaFile,
    ) -> Result<(String, Duration), Box<Outcome>> {
        let failed = |_| Box::new(later("the service stops"));
        let _one = self.uploads.acquire().await.map_err(failed)?;
        let kib = (file.size_bytes >> 10) as u32 + 1;
        let kib = self.kib.acquire_many(kib.min(UPLOADS_KIB_MAX)).await;
        let _kib = kib.map_err(failed)?;
        let (spool, kept) = (Arc::clone(&self.spool), key.clone());
        let read = move || spool.read(&kept.tenant, &kept.sha256);
        let content = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(Some(content))) => content,
            Ok(Ok(None)) => return Err(Box::new(damaged())),
            Ok(Err(error)) => return Err(Box::new(later(&error.to_string()))),
            Err(_) => return Err(Box::new(later("reading the file failed"))),
        };
        let Some(outlet) = outlet else {
            return Err(Box::new(later("the tenant has no settings")));
        };
        let upload = Upload {
            sha256: &key.sha256,
            mime_type: &key.mime_type,
            name: &file.name,
            content: &content,
        };
        let uploaded = outlet.upload(&key.number, &upload).await;
        uploaded.map_err(|outcome| match *outcome {
            // Whatever became of the file, the message was not sent.
            Outcome::Unclear { reason } => Box::new(Outcome::Deferred {
                reason,
                wait: None,
                scope: Scope::Message,
            }),
            _ => outcome,
        })
    }
}

fn key(going: &Going, file: &MediaFile) -> MediaKey {
    MediaKey::of((&going.tenant, &going.from), file)
}

/// Until when messages may name a file that the provider keeps for so long.
fn until(kept: Duration, now: Moment) -> Moment {
    let span = kept.saturating_sub(MARGIN.min(kept / 10));
    now.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// The message is tried again soon.
fn later(detail: &str) -> Outcome {
    Outcome::Deferred {
        reason: Reason {
            detail: detail.into(),
            ..Reason::new("media.upload", "its file has not reached the provider yet")
        },
        wait: Some(LOST_WAIT),
        scope: Scope::Message,
    }
}

/// The kept file is gone from the disk, or not what it was.
fn damaged() -> Outcome {
    Outcome::Refused {
        reason: Reason {
            hint: "upload the file and send the row again".into(),
            ..Reason::new(
                "store.damaged",
                "the file could not be read back from the service's own store",
            )
        },
        in_row: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id that runs out between hand-over and delivery would lose the message at the provider.
    #[test]
    fn an_id_is_given_up_before_the_provider_forgets_it() {
        let now = Moment::from_millis(0);
        let days = |days: u64| Duration::from_hours(24 * days);
        let month = until(days(30), now);
        assert_eq!(month, now.plus_ms(days(29).as_millis() as i64));
        let hour = until(Duration::from_hours(1), now);
        assert_eq!(hour, now.plus_ms(54 * 60_000));
    }
}
