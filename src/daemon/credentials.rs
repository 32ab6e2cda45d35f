//! Keeps what lets requests in: secrets are read again when their files change, tokens are asked
//! for anew before they end, and what waited for one that works goes on by itself.
//!
//! Files are looked at in turns, not watched: a secret may be a link into a folder that is replaced
//! as a whole. A file that cannot be used leaves everything as it was.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::journal;
use super::outlet::Outlet;
use super::sight::Sight;
use super::steering::Steering;
use crate::batch::TenantName;
use crate::clock;
use crate::config;
use crate::delivery::steering::Subject;
use crate::delivery::view::Reach;
use crate::provider::{Reply, Secret};
use crate::store::Error;

/// How often files are looked at. What a file says counts once two looks have found the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For how long after a change what is held for the old secret is tried at once: answers to it may
/// still be under way when the new one is there.
const FRESH_FOR: Duration = Duration::from_secs(15);

/// How often in that time.
const TRY_EVERY: Duration = Duration::from_secs(3);

/// The share of its life after which a token is asked for anew.
const RENEWED_AFTER: f64 = 0.8;

/// No token is asked for more often than this, however short it lives.
const RENEWED_AFTER_MIN: Duration = Duration::from_secs(10);

/// The wait after the first request for a token that failed; it doubles up to the second one.
const FAILED_WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// What lets the requests of all tenants in.
pub(super) struct Credentials {
    kept: Vec<Kept>,
    steering: Arc<Steering>,
    sight: Arc<Sight>,
    stop: CancellationToken,
}

/// One tenant's.
struct Kept {
    tenant: TenantName,
    outlet: Arc<Outlet>,
    secret: Secret,
    file: File,
    token: Token,
    /// Until when what is held is tried at once, and when the next time is.
    fresh: Option<(Instant, Instant)>,
}

/// A file that holds a secret.
#[derive(Clone)]
struct File {
    path: PathBuf,
    seen: Option<Stamp>,
    /// What the last look found, and the one before did not.
    coming: Option<Secret>,
    /// Whether it was told that it cannot be used.
    is_told: bool,
}

/// What changes when a file is written: its inode, its length and its time.
type Stamp = (u64, u64, Option<SystemTime>);

/// What a look at a file found.
enum Found {
    /// Nothing else than before.
    Same,
    /// Another secret.
    Secret(Secret),
    /// Nothing that can be used, for the first time since there was.
    Unusable(String),
}

/// How a token is come by, where one is needed.
struct Token {
    asking: Option<JoinHandle<Reply>>,
    due: Instant,
    failed: u32,
}

impl Credentials {
    /// What lets in the requests of these tenants, each with its secret and the secret's file.
    pub(super) fn new(
        tenants: impl Iterator<Item = (Arc<Outlet>, Secret, PathBuf)>,
        (steering, sight): (Arc<Steering>, Arc<Sight>),
        stop: CancellationToken,
    ) -> Self {
        Self {
            kept: tenants.map(Kept::new).collect(),
            steering,
            sight,
            stop,
        }
    }

    /// Keeps them until stopped.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        while !self.stop.is_cancelled() {
            for kept in &mut self.kept {
                kept.keep_token().await;
            }
            self.read_files().await;
            self.release().await?;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    async fn read_files(&mut self) {
        let files: Vec<(File, Secret)> = self
            .kept
            .iter()
            .map(|kept| (kept.file.clone(), kept.secret.clone()))
            .collect();
        let looked = spawn_blocking(move || {
            let look = |(mut file, secret): (File, Secret)| {
                let found = file.look(&secret);
                (file, found)
            };
            files.into_iter().map(look).collect::<Vec<_>>()
        });
        // It is cut off when the service ends, and then nobody misses it.
        let Ok(looked) = looked.await else { return };
        for (kept, (file, found)) in self.kept.iter_mut().zip(looked) {
            kept.file = file;
            match found {
                Found::Same => {}
                Found::Secret(secret) => kept.take_up(secret),
                Found::Unusable(why) => journal::secret_unusable(&kept.tenant, &why),
            }
        }
    }

    /// Lets what is held for a secret that has been replaced go on.
    async fn release(&mut self) -> Result<(), Error> {
        let now = clock::steady();
        for kept in &mut self.kept {
            let Some((until, again)) = kept.fresh else {
                continue;
            };
            if now >= until {
                kept.fresh = None;
            } else if now >= again && self.sight.is_held(&kept.tenant, Reach::Credential) {
                kept.fresh = Some((until, now + TRY_EVERY));
                let tenant = kept.tenant.clone();
                self.steering.retry(Subject::Tenant { tenant }).await?;
            }
        }
        Ok(())
    }
}

impl Kept {
    fn new((outlet, secret, path): (Arc<Outlet>, Secret, PathBuf)) -> Self {
        Self {
            tenant: outlet.tenant().clone(),
            outlet,
            secret,
            file: File::new(path),
            token: Token {
                asking: None,
                due: clock::steady(),
                failed: 0,
            },
            fresh: None,
        }
    }

    /// Another secret stands in the file.
    fn take_up(&mut self, secret: Secret) {
        journal::secret_replaced(&self.tenant);
        self.secret = secret;
        if self.outlet.adapter().token_request(&self.secret).is_some() {
            // An answer to the old one must not count as one to this.
            if let Some(asking) = self.token.asking.take() {
                asking.abort();
            }
            self.token.due = clock::steady();
            self.token.failed = 0;
        } else {
            self.shown(self.secret.clone());
        }
    }

    /// Has this be shown in requests from here on.
    fn shown(&mut self, secret: Secret) {
        self.outlet.adapter().credential().replace(secret);
        let now = clock::steady();
        self.fresh = Some((now + FRESH_FOR, now));
    }

    /// Asks for a token when it is time, and takes up the one that came.
    async fn keep_token(&mut self) {
        let now = clock::steady();
        match self.token.asking.take_if(|asking| asking.is_finished()) {
            Some(asked) => {
                // One that was cut off is asked again.
                if let Ok(reply) = asked.await {
                    self.answered(&reply);
                }
            }
            None if self.token.asking.is_none() && now >= self.token.due => {
                let Some(request) = self.outlet.adapter().token_request(&self.secret) else {
                    return;
                };
                let client = self.outlet.client().clone();
                let asking = tokio::spawn(async move { client.send(&request).await });
                self.token.asking = Some(asking);
            }
            None => {}
        }
    }

    fn answered(&mut self, reply: &Reply) {
        let now = clock::steady();
        match self.outlet.adapter().token(reply) {
            Ok(token) => {
                let wait = token.lives.mul_f64(RENEWED_AFTER).max(RENEWED_AFTER_MIN);
                self.token.due = now + wait;
                self.token.failed = 0;
                journal::token_renewed(&self.tenant, token.lives.as_secs());
                self.shown(token.secret);
            }
            Err(reason) => {
                let (first, most) = FAILED_WAIT;
                let wait = first
                    .saturating_mul(1 << self.token.failed.min(16))
                    .min(most);
                self.token.due = now + wait;
                self.token.failed += 1;
                if self.token.failed == 1 {
                    journal::token_refused(&self.tenant, &reason);
                }
            }
        }
    }
}

impl File {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            seen: None,
            coming: None,
            is_told: false,
        }
    }

    /// Looks whether it holds another secret than `held`.
    fn look(&mut self, held: &Secret) -> Found {
        match self.read() {
            Ok(None) => Found::Same,
            Ok(Some(secret)) if secret == *held => {
                (self.coming, self.is_told) = (None, false);
                Found::Same
            }
            // A writer may be half way: what stands there counts when it stays.
            Ok(Some(secret)) if self.coming.as_ref() != Some(&secret) => {
                (self.coming, self.seen) = (Some(secret), None);
                Found::Same
            }
            Ok(Some(secret)) => {
                (self.coming, self.is_told) = (None, false);
                Found::Secret(secret)
            }
            Err(why) => {
                (self.coming, self.seen) = (None, None);
                if std::mem::replace(&mut self.is_told, true) {
                    return Found::Same;
                }
                Found::Unusable(why)
            }
        }
    }

    /// The secret in it; `None` when it has not been written since the last look.
    fn read(&mut self) -> Result<Option<Secret>, String> {
        let Ok(stamp) = stamp(&self.path) else {
            return config::read_secret(&self.path).map(Some);
        };
        if self.seen == Some(stamp) && self.coming.is_none() {
            return Ok(None);
        }
        let secret = config::read_secret(&self.path)?;
        self.seen = Some(stamp);
        Ok(Some(secret))
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let about = fs::metadata(path)?;
    Ok((about.ino(), about.len(), about.modified().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Policy, Reason};
    use crate::provider::http::Client;
    use crate::provider::{self, Adapter, Credential, Load, Next, Request, Scheme};

    /// What a look found, in a word.
    fn word(found: &Found) -> &str {
        match found {
            Found::Same => "same",
            Found::Secret(secret) => secret.reveal(),
            Found::Unusable(_) => "unusable",
        }
    }

    /// A provider whose tokens are what it answers, and hold for a hundred seconds.
    #[derive(Debug)]
    struct Giving(Credential);

    impl Adapter for Giving {
        fn endpoint(&self) -> &'static str {
            "http://127.0.0.1:1"
        }

        fn credential(&self) -> &Credential {
            &self.0
        }

        fn token_request(&self, secret: &Secret) -> Option<Request> {
            let url = format!("{}/token", self.endpoint());
            Some(Request::post(url, secret.reveal().to_owned(), &self.0))
        }

        fn token(&self, reply: &Reply) -> Result<provider::Token, Reason> {
            match reply {
                Reply::Answer { body, .. } => Ok(provider::Token {
                    secret: Secret::new(String::from_utf8_lossy(body)),
                    lives: Duration::from_secs(100),
                }),
                _ => Err(Reason::new("a", "b")),
            }
        }

        fn next(&self, _load: &Load<'_>, _replies: &[Reply]) -> Next {
            Next::Done(Vec::new())
        }
    }

    /// A token that is asked for too late, or too often, stops a tenant.
    #[tokio::test]
    async fn a_token_is_renewed_before_it_ends() {
        let adapter = Giving(Credential::new(Scheme::Bearer, Secret::default()));
        let credential = adapter.credential().clone();
        let tenant = TenantName::parse("acme").expect("a name");
        let client = Client::new(None).expect("the roots are good");
        let ways = (Policy::default(), Arc::from([]));
        let outlet = Outlet::new(tenant, Arc::new(adapter), client, ways, &[]);
        let mut kept = Kept::new((Arc::new(outlet), Secret::new("s"), PathBuf::new()));
        let wait = |kept: &Kept| kept.token.due.saturating_duration_since(clock::steady());
        // The first one is asked for at once; where nobody answers, again and more and more seldom.
        kept.keep_token().await;
        assert!(kept.token.asking.is_some());
        let never = Reply::NeverLeft { why: "gone".into() };
        let mut waits = Vec::new();
        for _ in 0..12 {
            kept.answered(&never);
            waits.push(wait(&kept));
        }
        assert!(
            waits[0] <= FAILED_WAIT.0 && waits[3] > FAILED_WAIT.0 * 7,
            "{waits:?}"
        );
        assert!(waits[11] <= FAILED_WAIT.1);
        let given = Reply::Answer {
            status: 200,
            retry_after: None,
            body: b"t-1".to_vec(),
        };
        kept.answered(&given);
        assert_eq!(credential.secret().reveal(), "t-1");
        assert!(kept.fresh.is_some());
        let left = wait(&kept);
        assert!((70..=80).contains(&left.as_secs()), "{left:?}");
        // A failure takes nothing away.
        kept.answered(&never);
        assert_eq!(credential.secret().reveal(), "t-1");
    }

    /// Half a token, or none, would stop every message of a tenant whose token was good.
    #[test]
    fn a_secret_counts_once_it_is_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("acme.token");
        let write = |text: &str| fs::write(&path, text).expect("written");
        write("one\n");
        let mut file = File::new(path.clone());
        let mut held = Secret::new("one");
        let looks = |file: &mut File, held: &mut Secret| -> Vec<String> {
            let look = |_| {
                let found = file.look(held);
                if let Found::Secret(secret) = &found {
                    *held = secret.clone();
                }
                word(&found).to_owned()
            };
            (0..3).map(look).collect()
        };
        assert_eq!(looks(&mut file, &mut held), ["same"; 3]);
        write("tw");
        assert_eq!(word(&file.look(&held)), "same");
        write("two");
        assert_eq!(looks(&mut file, &mut held), ["same", "two", "same"]);
        // What cannot be used is told once, and what was there before still holds.
        write("");
        assert_eq!(looks(&mut file, &mut held), ["unusable", "same", "same"]);
        fs::remove_file(&path).expect("removed");
        assert_eq!(looks(&mut file, &mut held), ["same"; 3]);
        write("two");
        assert_eq!(looks(&mut file, &mut held), ["same"; 3]);
        fs::remove_file(&path).expect("removed");
        assert_eq!(looks(&mut file, &mut held), ["unusable", "same", "same"]);
        write("three");
        assert_eq!(looks(&mut file, &mut held), ["same", "three", "same"]);
    }
}
