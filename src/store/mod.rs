//! Batches and messages at rest.
//!
//! In: verbs of the business (`receive`, `keep`, `admit`, `begin`, `record` …). Out: what was
//! asked, once it is on disk. One thread holds the writing connection and commits in groups: it
//! takes what has queued up while the last group was being synced, so a busy store syncs once for
//! hundreds of verbs and an idle one at once. A crash loses only verbs that nobody was told are
//! done.
//!
//! A full disk is waited out (`reserve`): what has happened is still recorded, from room that was
//! put aside for it; everything else waits until there is room again. Any other failure is a broken
//! disk or a broken invariant: nobody can say what is on disk, so the writer stops for good, every
//! caller gets an error, and the daemon ends.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{mpsc, oneshot, watch};

use crate::crash;

mod arrivals;
mod bars;
mod chunk;
mod companions;
mod finding;
mod holding;
mod keeping;
mod media;
mod messages;
mod publications;
mod reserve;
mod retention;
mod sending;
mod settling;
mod steering;
mod wishes;

pub use arrivals::{AHEAD_ROWS_MAX, Admission, Admitted, Refusal, Start};
pub use chunk::{Chunk, Packer};
pub use companions::{FileName, Heard, Newest, Started};
pub use finding::{BatchQuery, Found, LISTED_MAX};
pub use holding::{Questioned, Released};
pub use keeping::{Keeping, Piece, UNDER_WAY_MAX};
pub use media::{MediaId, MediaKey};
pub use publications::Publication;
use reserve::{Need, Queue, Space};
pub use retention::Aged;
pub use sending::{Age, Looked};
pub use settling::{Finish, Heeded};
pub use steering::{Cancelled, SenderLimit, Settling};
pub use wishes::{Deed, Granted, Wish};

/// Verbs that may wait for the writer before a caller is made to wait.
const QUEUE_MAX: usize = 2_048;

/// Verbs that are committed together at most.
const GROUP_MAX: usize = 1_000;

/// Connections that read; more readers wait for one of these.
const READERS: usize = 3;

/// How long a connection waits for another process that reads the file, such as a backup.
const BUSY_WAIT: Duration = Duration::from_secs(10);

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_start.sql"),
    include_str!("migrations/0002_companions.sql"),
    include_str!("migrations/0003_sending.sql"),
    include_str!("migrations/0004_retention.sql"),
    include_str!("migrations/0005_steering.sql"),
    include_str!("migrations/0006_bars.sql"),
    include_str!("migrations/0007_settling.sql"),
    include_str!("migrations/0008_media.sql"),
];

/// The migration since which chunks are labelled.
const LABELS: usize = 2;

/// Something is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or brought up to date.
    #[error("failed to open the store `{path}`")]
    Open {
        /// The file.
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file was written by a later version.
    #[error(
        "the store `{path}` has version {found}, this program knows up to {known}; run the newer program"
    )]
    Newer {
        /// The file.
        path: String,
        /// The version in the file.
        found: usize,
        /// The last version known here.
        known: usize,
    },
    /// A question could not be answered.
    #[error("failed to read from the store")]
    Read(#[source] rusqlite::Error),
    /// The writer has stopped after a failure, which it told once.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}

/// A verb as the writer sees it: what to do inside the group's transaction, as often as the group
/// is tried, and what to do once it is on disk.
trait Verb: Send {
    fn work(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn need(&self) -> Need;
    fn tell(self: Box<Self>);
}

struct VerbOf<T, F> {
    work: F,
    need: Need,
    value: Option<T>,
    answer: oneshot::Sender<T>,
}

impl<T, F> Verb for VerbOf<T, F>
where
    T: Send,
    F: Fn(&Connection) -> rusqlite::Result<T> + Send,
{
    fn work(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.value = Some((self.work)(connection)?);
        Ok(())
    }

    fn need(&self) -> Need {
        self.need
    }

    fn tell(self: Box<Self>) {
        if let Some(value) = self.value {
            // A caller that does not wait any more needs no answer.
            drop(self.answer.send(value));
        }
    }
}

/// The store. Clones share one writer.
#[derive(Clone, Debug)]
pub struct Store {
    verbs: mpsc::Sender<Box<dyn Verb>>,
    failure: watch::Receiver<Option<String>>,
    room: watch::Receiver<bool>,
    readers: Arc<Readers>,
}

#[derive(Debug)]
struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Arc<tokio::sync::Semaphore>,
}

impl Store {
    /// Opens the store at `path`, makes it if it is not there, and brings it up to date.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Open {
            path: path.display().to_string(),
            source,
        };
        let mut writer = Connection::open(path).map_err(failed)?;
        prepare_writer(&writer).map_err(failed)?;
        migrate(&mut writer, path)?;
        let idle = (0..READERS)
            .map(|_| open_reader(path))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(failed)?;
        let (verbs, queue) = mpsc::channel(QUEUE_MAX);
        let (tell_failure, failure) = watch::channel(None);
        let (space, room) = Space::open(path);
        thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_groups(&writer, Queue::new(queue, space), &tell_failure))
            .map_err(|error| failed(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let free = Arc::new(tokio::sync::Semaphore::new(READERS));
        Ok(Self {
            verbs,
            failure,
            room,
            readers: Arc::new(Readers {
                idle: Mutex::new(idle),
                free,
            }),
        })
    }

    /// Returns when the writer has failed, with its words.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        let words = failure
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|words| words.clone());
        words.unwrap_or_else(|| "the writer is gone".into())
    }

    /// Does `work` inside the next group and returns once that group is on disk.
    async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answered = self.begin_write(work).await?;
        answered.await.map_err(|_| self.stopped())
    }

    /// The same for what has happened already and must be recorded although the disk is full.
    async fn write_outcome<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answered = self.queue_verb(Need::Reserve, work).await?;
        answered.await.map_err(|_| self.stopped())
    }

    /// Queues `work` for the writer. What is queued later is done later; the answer comes once the
    /// group is on disk.
    async fn begin_write<T, F>(&self, work: F) -> Result<oneshot::Receiver<T>, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.queue_verb(Need::Room, work).await
    }

    async fn queue_verb<T, F>(&self, need: Need, work: F) -> Result<oneshot::Receiver<T>, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let verb: Box<dyn Verb> = Box::new(VerbOf {
            work,
            need,
            value: None,
            answer,
        });
        if self.verbs.send(verb).await.is_err() {
            return Err(self.stopped());
        }
        Ok(answered)
    }

    /// Answers a question from what is on disk, beside the writer.
    async fn read<T, F>(&self, question: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        // Waited for here and not on a thread: threads that wait for each other wait for ever.
        let permit = Arc::clone(&self.readers.free).acquire_owned().await;
        let readers = Arc::clone(&self.readers);
        let answer = tokio::task::spawn_blocking(move || {
            let connection = lock(&readers.idle).pop();
            let connection = connection.expect("as many connections as permits");
            let answer = question(&connection);
            lock(&readers.idle).push(connection);
            drop(permit);
            answer
        });
        match answer.await {
            Ok(answer) => answer.map_err(Error::Read),
            Err(_) => Err(Error::Stopped("a question to the store panicked".into())),
        }
    }

    fn stopped(&self) -> Error {
        let words = self.failure.borrow().clone();
        Error::Stopped(words.unwrap_or_else(|| "it was closed".into()))
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn prepare_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "page_size", 8192)?;
    // Only a store that is made now can take it: what is deleted goes back to the disk in steps.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Every commit is synced: what a verb has answered survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let shown = || path.display().to_string();
    let failed = |source| Error::Open {
        path: shown(),
        source,
    };
    let version = "SELECT user_version FROM pragma_user_version";
    let found: i64 = connection
        .query_row(version, (), |row| row.get(0))
        .map_err(failed)?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > MIGRATIONS.len() {
        return Err(Error::Newer {
            path: shown(),
            found,
            known: MIGRATIONS.len(),
        });
    }
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let step = connection.transaction().map_err(failed)?;
        step.execute_batch(migration).map_err(failed)?;
        if at == LABELS {
            keeping::label_old_chunks(&step).map_err(failed)?;
        }
        step.pragma_update(None, "user_version", (at + 1) as i64)
            .map_err(failed)?;
        step.commit().map_err(failed)?;
    }
    Ok(())
}

/// The writer's life: take what has queued up, do it, sync it, tell it. Ends when the last handle
/// is dropped, or at the first failure but a full disk.
fn write_groups(
    connection: &Connection,
    mut queue: Queue,
    tell_failure: &watch::Sender<Option<String>>,
) {
    let mut verbs = Vec::with_capacity(GROUP_MAX);
    while queue.next_group(&mut verbs) {
        match commit_group(connection, &mut verbs) {
            Ok(()) => {
                verbs.drain(..).for_each(Verb::tell);
                queue.committed();
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                // SQLite may have rolled back by itself; then there is nothing left to roll back.
                let _ = connection.execute_batch("ROLLBACK");
                queue.full(&mut verbs);
            }
            Err(error) => {
                // A failed sync is never tried again: the pages may be marked clean although they
                // are not on disk. The next start reads what really is there.
                tell_failure.send_replace(Some(why_it_stops(&error)));
                return;
            }
        }
    }
}

fn why_it_stops(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => format!(
            "the disk failed to take or to sync what was written ({error}); what really is on it \
             is read at the next start"
        ),
        _ => error.to_string(),
    }
}

fn commit_group(connection: &Connection, verbs: &mut [Box<dyn Verb>]) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for verb in verbs {
        verb.work(connection)?;
    }
    if crash::fault("store-sync") {
        let failed = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        return Err(rusqlite::Error::SqliteFailure(failed, None));
    }
    crash::point("store-commit-before");
    connection.execute_batch("COMMIT")?;
    crash::point("store-committed");
    Ok(())
}

#[cfg(test)]
mod tests;
