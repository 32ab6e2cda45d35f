//! What the stand-in says later: callbacks in its provider's form, a few times again where they are
//! not answered with 200.
//!
//! What is to be said waits in a bounded queue and is said by a few at once, so that callbacks
//! overtake each other as real ones do. When the queue is full, what comes is lost, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::http::{self, Client};
use super::super::{Error, Method, Reply, Request, Secret};

/// Statuses that wait to be said.
const QUEUE_MAX: usize = 64 << 10;

/// Statuses of one callback.
const TOGETHER_MAX: usize = 100;

/// Callbacks under way at once.
const SPEAKERS: usize = 4;

/// How often a callback is said at most, and how long it waits before it is said again for the
/// first time; then twice as long each time.
const TRIES_MAX: u32 = 5;
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A status that is to be said.
#[derive(Clone, Debug)]
pub(super) struct Status {
    /// The number or account that it is about: callbacks are put together by it.
    pub(super) about: String,
    /// As the provider has it.
    pub(super) content: Value,
}

/// How a provider calls back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// The callbacks that hold these statuses.
    pub(super) bodies: fn(&[Status]) -> Vec<String>,
    /// The headers that show whose a callback is: from the secret, the address and the body.
    pub(super) headers: fn(&Secret, &str, &str) -> Vec<(&'static str, Secret)>,
}

impl Form {
    /// A callback for each status, with nothing that shows whose it is.
    pub(super) const PLAIN: Self = Self {
        bodies: |statuses| {
            let bodies = statuses.iter().map(|status| status.content.to_string());
            bodies.collect()
        },
        headers: |_, _, _| Vec::new(),
    };
}

/// Where callbacks go, and what they are signed with.
#[derive(Clone, Debug)]
pub struct Callbacks {
    url: String,
    secret: Secret,
    client: Client,
}

impl Callbacks {
    /// Callbacks to `url`. They go to this machine, or over https; otherwise it is said why not.
    pub fn new(url: String, secret: &str) -> Result<Self, Error> {
        http::check(&url).map_err(|why| Error::Callbacks { why })?;
        let client = Client::new(None)?;
        Ok(Self {
            url,
            secret: Secret::new(secret),
            client,
        })
    }

    /// Whoever is handed statuses, and those who say them until `stop`.
    pub(super) fn begin(self, form: Form, stop: &CancellationToken) -> Speaker {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let told = Arc::<Told>::default();
        for _ in 0..SPEAKERS {
            let (this, told, stop) = (self.clone(), Arc::clone(&told), stop.clone());
            let waiting = Arc::clone(&waiting);
            tokio::spawn(async move {
                let _ = stop
                    .run_until_cancelled(this.speak(form, &waiting, &told))
                    .await;
            });
        }
        Speaker { queue, told }
    }

    async fn speak(
        &self,
        form: Form,
        waiting: &tokio::sync::Mutex<mpsc::Receiver<Status>>,
        told: &Told,
    ) {
        let mut statuses = Vec::with_capacity(TOGETHER_MAX);
        loop {
            statuses.clear();
            let count = {
                let mut waiting = waiting.lock().await;
                waiting.recv_many(&mut statuses, TOGETHER_MAX).await
            };
            if count == 0 {
                return;
            }
            let mut is_told = true;
            for body in (form.bodies)(&statuses) {
                is_told &= self.say(form, body).await;
            }
            let counted = if is_told { &told.taken } else { &told.lost };
            counted.fetch_add(count as u64, Relaxed);
        }
    }

    /// Says it until it is answered, a few times at most; whether it was.
    async fn say(&self, form: Form, body: String) -> bool {
        let request = Request {
            method: Method::Post,
            url: self.url.clone(),
            headers: (form.headers)(&self.secret, &self.url, &body),
            content_type: "application/json".into(),
            body: Bytes::from(body),
            timeout: TIMEOUT,
        };
        for tried in 0..TRIES_MAX {
            if matches!(
                self.client.send(&request).await,
                Reply::Answer { status: 200, .. }
            ) {
                return true;
            }
            tokio::time::sleep(AGAIN_AFTER * 2_u32.pow(tried)).await;
        }
        false
    }
}

/// What became of statuses.
#[derive(Debug, Default)]
struct Told {
    taken: AtomicU64,
    lost: AtomicU64,
}

/// Takes statuses that are to be said.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    queue: mpsc::Sender<Status>,
    told: Arc<Told>,
}

impl Speaker {
    /// How many statuses were answered, and how many given up.
    pub(super) fn told(&self) -> (u64, u64) {
        let count = |number: &AtomicU64| number.load(Relaxed);
        (count(&self.told.taken), count(&self.told.lost))
    }

    /// Has this said.
    pub(super) fn tell(&self, status: Status) {
        if self.queue.try_send(status).is_err() {
            self.told.lost.fetch_add(1, Relaxed);
        }
    }
}
