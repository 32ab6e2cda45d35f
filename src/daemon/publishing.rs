//! report → disk: files put in place for the tenant, each once.
//!
//! A file is written under a hidden name, announced with its hash, renamed into place, and noted as
//! done. What is done is never written again, also if the tenant has deleted it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::batch::media::NoFiles;
use crate::batch::origin::Origin;
use crate::batch::read::{self, Checker, Form, Limits, Rules};
use crate::batch::{Arrival, BatchId, retry_file};
use crate::delivery::standing::{BatchStanding, MessageStanding};
use crate::disk::{self, Draft};
use crate::inbox::{self, Drops, Inbox, unpack};
use crate::store::{self, Publication, Store};
use crate::{crash, report};

/// Messages that are read from the store at once.
const PAGE: u64 = 1_000;

/// Reports that are written at once; long results do not keep short ones waiting.
const WRITERS: usize = 4;

/// What is wrong when a report cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inbox(#[from] inbox::Error),
    #[error("failed to write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    #[error("failed to remove an old file from `{path}`")]
    Remove { path: PathBuf, source: io::Error },
    #[error("writing a report panicked")]
    Panic,
}

/// What reporting needs to know of one tenant.
#[derive(Debug)]
pub(super) struct Office {
    /// The tenant's `whatsapp` folder.
    pub(super) folder: PathBuf,
    pub(super) results: report::Settings,
    pub(super) desk: Arc<super::intake::Desk>,
    /// Written statuses hold it to read; who removes one by what it says, to write.
    pub(super) statuses: RwLock<()>,
}

impl Office {
    /// The tenant's drop folders.
    fn drops(&self) -> Result<Drops, Error> {
        Ok(Drops::open(&self.desk.root)?)
    }
}

/// Puts files in place.
#[derive(Debug)]
pub(super) struct Publisher {
    store: Store,
    inbox: Inbox,
    writers: Semaphore,
}

impl Publisher {
    pub(super) fn new(store: Store, inbox: Inbox) -> Self {
        Self {
            store,
            inbox,
            writers: Semaphore::new(WRITERS),
        }
    }

    /// Waits until long reports may be written.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.writers.acquire().await.map_err(|_| Error::Panic)
    }

    pub(super) async fn errors(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
    ) -> Result<(), Error> {
        let path = report::path(&standing.arrival, "errors", ".errors.json");
        let faults = self.store.clone();
        let standing = standing.clone();
        self.publish(
            office,
            &standing.arrival.batch.clone(),
            &path,
            move |draft| {
                let batch = standing.arrival.batch.clone();
                let faults = Handle::current().block_on(faults.faults(batch))?;
                Ok(draft.write_all(&report::errors(&standing, &faults))?)
            },
        )
        .await
    }

    pub(super) async fn results(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
    ) -> Result<(), Error> {
        let stem = report::path(&standing.arrival, "results", ".results");
        let batch = &standing.arrival.batch;
        let end = if office.results.gzip { ".gz" } else { "" };
        let pages = Pages::of(&self.store, standing);
        let gzip = office.results.gzip;
        let lines = pages.clone();
        self.publish(office, batch, &format!("{stem}.jsonl{end}"), move |draft| {
            packed(draft, gzip, &mut |out| {
                lines.each(&mut |standing| Ok(out.write_all(&report::results_line(standing))?))
            })
        })
        .await?;
        if office.results.csv {
            self.publish(office, batch, &format!("{stem}.csv{end}"), move |draft| {
                packed(draft, gzip, &mut |out| {
                    let mut table = csv::Writer::from_writer(out);
                    table
                        .write_record(report::CSV_HEADER)
                        .map_err(io::Error::other)?;
                    pages.each(&mut |standing| {
                        let row = report::csv_row(standing);
                        Ok(table.write_record(row).map_err(io::Error::other)?)
                    })?;
                    Ok(table.flush()?)
                })
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn dry_run(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
    ) -> Result<(), Error> {
        let batch = &standing.arrival.batch;
        let path = report::path(&standing.arrival, "results", ".dry-run.jsonl");
        let pages = Pages::of(&self.store, standing);
        let desk = Arc::clone(&office.desk);
        self.publish(office, batch, &path, move |draft| {
            let templates = desk.shelf.templates()?;
            pages.each(&mut |standing| {
                let message = standing.message.as_ref();
                let reads = message.and_then(|message| templates.text(&message.content));
                Ok(draft.write_all(&report::dry_run_line(standing, reads.as_deref()))?)
            })
        })
        .await
    }

    /// A batch file with the rows that can be mended, in their own words.
    pub(super) async fn retry(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
    ) -> Result<(), Error> {
        let counts = standing.counts;
        if counts.invalid == 0 && counts.failed == 0 {
            return Ok(());
        }
        let arrival = standing.arrival.clone();
        let pages = Pages::of(&self.store, standing);
        let (inbox, looked_at, looked_through) =
            (self.inbox.clone(), arrival.clone(), pages.clone());
        let form = on_disk(move || {
            let form = content(&inbox, &looked_at)?.1;
            let any = looked_through.any(&report::is_mendable)?;
            Ok(any.then_some(form))
        });
        let end = match form.await? {
            None => return Ok(()),
            Some(Form::Json) => ".retry.json",
            Some(Form::Lines) => ".retry.jsonl",
        };
        let path = report::path(&arrival, "results", end);
        let (inbox, desk) = (self.inbox.clone(), Arc::clone(&office.desk));
        let batch = arrival.batch.clone();
        self.publish_if_any(office, &batch, &path, move |draft| {
            write_retry(draft, &arrival, &inbox, &desk, &pages)
        })
        .await
    }

    /// Keeps the file itself, under the batch's own name.
    pub(super) async fn file(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
        folder: &str,
    ) -> Result<(), Error> {
        let arrival = &standing.arrival;
        let path = report::path(arrival, folder, "");
        if self
            .store
            .publication(arrival.batch.clone(), path.clone())
            .await?
            == Publication::Done
        {
            return Ok(());
        }
        self.store
            .announce(arrival.batch.clone(), path.clone(), standing.sha256.clone())
            .await?;
        let (inbox, office, whose) = (self.inbox.clone(), Arc::clone(office), arrival.clone());
        let target = path.clone();
        let is_there = on_disk(move || match whose.origin {
            Origin::Unread(..) => move_away(&inbox, &office, &whose, &target),
            Origin::Door | Origin::Copied(_) => link(&inbox, &office, &whose, &target),
        });
        if is_there.await? {
            crash::point("file-linked");
            self.store.published(arrival.batch.clone(), path).await?;
        }
        Ok(())
    }

    /// Removes every name that the file has in the drop folders; a newer file of its name stays.
    pub(super) async fn remove_visible_names(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
        folder: &str,
    ) -> Result<(), Error> {
        let arrival = standing.arrival.clone();
        let kept = office.folder.join(report::path(&arrival, folder, ""));
        let (inbox, office) = (self.inbox.clone(), Arc::clone(office));
        on_disk(move || {
            // One that was refused unread has been moved away; if it was not, it has been changed.
            if !matches!(arrival.origin, Origin::Unread(..)) {
                inbox.remove_names(&office.drops()?, &arrival, &kept)?;
            }
            Ok(())
        })
        .await
    }

    /// Writes a file under a hidden name, announces it with its hash, puts it in place, and notes
    /// that it is there; does nothing if that was noted before.
    async fn publish<W>(
        &self,
        office: &Arc<Office>,
        batch: &BatchId,
        path: &str,
        write: W,
    ) -> Result<(), Error>
    where
        W: FnOnce(&mut Draft) -> Result<(), Error> + Send + 'static,
    {
        let write = |draft: &mut Draft| write(draft).map(|()| Made::Content);
        self.publish_if_any(office, batch, path, write).await
    }

    /// The same, unless it turns out that there is nothing to write.
    async fn publish_if_any<W>(
        &self,
        office: &Arc<Office>,
        batch: &BatchId,
        path: &str,
        write: W,
    ) -> Result<(), Error>
    where
        W: FnOnce(&mut Draft) -> Result<Made, Error> + Send + 'static,
    {
        if self.store.publication(batch.clone(), path.into()).await? == Publication::Done {
            return Ok(());
        }
        let (at, store) = (office.folder.join(path), self.store.clone());
        let (batch, path) = (batch.clone(), path.to_owned());
        on_disk(move || {
            let failed = |source| Error::Write {
                path: at.clone(),
                source,
            };
            let mut draft = Draft::new(&at).map_err(failed)?;
            if write(&mut draft).map_err(|error| error.at(&at))? == Made::Nothing {
                return Ok(());
            }
            let sealed = draft.seal().map_err(failed)?;
            crash::point("report-sealed");
            let runtime = Handle::current();
            let sha256 = sealed.sha256().to_owned();
            runtime.block_on(store.announce(batch.clone(), path.clone(), sha256))?;
            crash::point("report-announced");
            sealed.reveal().map_err(failed)?;
            crash::point("report-revealed");
            runtime.block_on(store.published(batch, path))?;
            crash::point("report-done");
            Ok(())
        })
        .await
    }
}

/// What a writer of a report made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Content,
    /// Nothing that is worth a file.
    Nothing,
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::Write {
            path: PathBuf::new(),
            source,
        }
    }
}

impl Error {
    /// The same failure, with the file that was being written where none is named.
    fn at(self, written: &Path) -> Self {
        match self {
            Self::Write { path, source } if path.as_os_str().is_empty() => Self::Write {
                path: written.into(),
                source,
            },
            other => other,
        }
    }
}

/// Links the file that the spool holds to `path`, beneath `whatsapp/`.
fn link(inbox: &Inbox, office: &Office, arrival: &Arrival, path: &str) -> Result<bool, Error> {
    let at = office.folder.join(path);
    let linked = match disk::link_open_file(&inbox.file(arrival)?, &at) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    linked
        .and_then(|()| disk::sync_folder(at.parent().unwrap_or(Path::new("."))))
        .map_err(|source| Error::Write { path: at, source })?;
    Ok(true)
}

/// Moves a file that nobody has read from its drop folder to `path`, beneath `whatsapp/`.
fn move_away(inbox: &Inbox, office: &Office, arrival: &Arrival, path: &str) -> Result<bool, Error> {
    let (folder, name) = path.split_once('/').unwrap_or(("errors", path));
    let to = (&*format!("whatsapp/{folder}"), name);
    Ok(inbox.move_away(&office.drops()?, arrival, to)?)
}

/// Does work that waits for the disk on a thread where that hinders nobody.
pub(super) async fn on_disk<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Panic)?
}

/// The content of the file of an arrival, from its beginning. It is opened anew each time: two
/// readers of one open file would share its place.
fn content(inbox: &Inbox, arrival: &Arrival) -> Result<unpack::Content, Error> {
    let opened = unpack::open(inbox.file(arrival)?, &arrival.name)?;
    Ok(opened.map_err(|fault| io::Error::other(fault.expected))?)
}

/// Writes the envelope of a file and, of its rows, those that could be mended, in their own words.
fn write_retry(
    draft: &mut Draft,
    arrival: &Arrival,
    inbox: &Inbox,
    desk: &super::intake::Desk,
    pages: &Pages,
) -> Result<Made, Error> {
    let templates = desk.shelf.templates()?;
    let received_at = arrival.received_at;
    // It was read before; bounds that were lowered since must not make rows of it disappear.
    let rules = Rules {
        limits: Limits {
            rows_max: u64::MAX,
            expanded_bytes_max: u64::MAX,
            depth_max: usize::MAX,
            row_bytes_max: desk
                .rules
                .limits
                .row_bytes_max
                .max(Limits::default().row_bytes_max),
            ..desk.rules.limits
        },
        ..desk.rules.clone()
    };
    let checker = Checker {
        rules: &rules,
        templates: &templates,
        // Which rows go into the file was decided before.
        files: &NoFiles,
        received_at,
    };
    let (first, form) = content(inbox, arrival)?;
    let outline = read::outline(first, form, checker)?;
    let envelope = retry_file::retry_envelope(content(inbox, arrival)?.0, outline.head.layout)?;
    draft.write_all(&envelope.before)?;
    let mut wanted = Wanted {
        pages,
        page: Vec::new(),
        from: 0,
    };
    let mut index = 0;
    let (mut made, mut separator): (Made, &[u8]) = (Made::Nothing, b"");
    read::rows(
        content(inbox, arrival)?.0,
        &outline,
        checker,
        &mut |_, bytes| {
            // The words of a row that is too long are not at hand.
            if wanted.has(index).map_err(io::Error::other)? && !bytes.is_empty() {
                draft.write_all(separator)?;
                draft.write_all(bytes)?;
                (made, separator) = (Made::Content, envelope.separator);
            }
            index += 1;
            Ok(())
        },
    )?;
    draft.write_all(envelope.after)?;
    Ok(made)
}

/// Which rows could be mended, asked for in the order of the file.
struct Wanted<'a> {
    pages: &'a Pages,
    page: Vec<MessageStanding>,
    from: u64,
}

impl Wanted<'_> {
    fn has(&mut self, index: u64) -> Result<bool, Error> {
        if self.page.is_empty() || index >= self.from + PAGE {
            self.from = index / PAGE * PAGE;
            self.page = self.pages.page(self.from)?;
        }
        let found = self
            .page
            .binary_search_by_key(&index, |standing| standing.index);
        Ok(found.is_ok_and(|at| report::is_mendable(&self.page[at])))
    }
}

/// Gives `write` the draft, or a gzip stream into it.
fn packed(
    draft: &mut Draft,
    gzip: bool,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    if !gzip {
        return write(draft);
    }
    let mut stream = flate2::write::GzEncoder::new(draft, flate2::Compression::default());
    write(&mut stream)?;
    stream.finish()?;
    Ok(())
}

/// The messages of a batch in the order of the file, a page at a time.
#[derive(Clone, Debug)]
struct Pages {
    store: Store,
    batch: BatchId,
    total: u64,
}

impl Pages {
    fn of(store: &Store, standing: &BatchStanding) -> Self {
        Self {
            store: store.clone(),
            batch: standing.arrival.batch.clone(),
            total: standing.counts.total,
        }
    }

    fn page(&self, from: u64) -> Result<Vec<MessageStanding>, Error> {
        Ok(Handle::current().block_on(self.store.messages(self.batch.clone(), from, PAGE))?)
    }

    fn each(
        &self,
        visit: &mut dyn FnMut(&MessageStanding) -> Result<(), Error>,
    ) -> Result<(), Error> {
        (0..self.total)
            .step_by(PAGE as usize)
            .try_for_each(|from| self.page(from)?.iter().try_for_each(&mut *visit))
    }

    fn any(&self, wanted: &dyn Fn(&MessageStanding) -> bool) -> Result<bool, Error> {
        for from in (0..self.total).step_by(PAGE as usize) {
            if self.page(from)?.iter().any(wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
