//! Finished files are seen and claimed.
//!
//! In: entries in the spool's `new` folder, put there by the door before a client hears `OK`, and
//! files of local jobs in the drop folders, which are brought into the spool here. Out:
//! [`Arrival`]s. An entry lies in `new` until its arrival has a row, then in `held` until its batch
//! has ended; both moves can be done again after a crash, because the row is the truth. Which file
//! of a drop folder an entry stands for is told by the entry itself, so that a file is taken once
//! whatever is killed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::batch::name::SpoolName;
use crate::batch::origin::{Origin, SpoolEntry};
use crate::batch::{Arrival, Moment, TenantName};
use crate::disk::room::Reserve;
use crate::{crash, disk};

pub mod companion;
mod drops;
mod leave;
mod settle;
mod sweep;
mod take;
mod taken;
pub mod unpack;
pub mod watch;

pub use drops::Drops;
pub use settle::{Age, Look, PutOff, Waits};
pub use sweep::{Found, InHand, Lookout, Now, Swept, What};
pub use take::Taking;

/// How the hidden name begins under which a file is put aside while it is looked at; its own name
/// follows.
const ASIDE_PREFIX: &str = ".dropcast-gone.";

/// The longest of the prefixes that hidden names of ours have before a name.
const OWN_PREFIX_BYTES_MAX: usize = 16;

/// A file that was not seen to be closed must lie unchanged this many times as long.
const UNCLOSED_TIMES: u32 = 10;
const UNCLOSED_MIN: Duration = Duration::from_secs(30);

/// How long a file lies there before it is refused for its name or its size.
const REFUSED_AFTER: Duration = Duration::from_mins(1);

/// How long something that never comes is waited for.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// What makes a batch of a file start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trigger {
    /// That it is whole.
    #[default]
    Close,
    /// A file `<name>.done` beside it.
    DoneFile,
}

/// How the files of one tenant are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a local job's file must lie unchanged after it was closed or moved in.
    pub settle: Duration,
    /// What makes a batch start.
    pub trigger: Trigger,
}

impl Settings {
    /// How long files must lie unchanged.
    pub fn waits(&self) -> Waits {
        let unclosed = (self.settle * UNCLOSED_TIMES).max(UNCLOSED_MIN);
        Waits {
            closed: self.settle,
            unclosed: crash::wait("wait-unclosed", unclosed),
            refused: crash::wait("wait-refused", REFUSED_AFTER),
            abandoned: crash::wait("wait-abandoned", ABANDONED_AFTER),
        }
    }
}

/// Something is wrong with the spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file of the spool did not do what it must.
    #[error("failed to {verb} `{}`", path.display())]
    Spool {
        /// What was tried.
        verb: &'static str,
        /// On which folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The spool: whole files on their way to being batches.
#[derive(Clone, Debug)]
pub struct Inbox {
    new: PathBuf,
    held: PathBuf,
    /// What copies leave free on the disk.
    reserve: Reserve,
    /// Held while a name is put aside: two that do so with one name would meet there.
    leaving: Arc<Mutex<()>>,
}

impl Inbox {
    /// The spool in `folder`, with a folder for each tenant.
    pub fn open(folder: &Path, tenants: &[TenantName]) -> Result<Self, Error> {
        let inbox = Self {
            new: folder.join("new"),
            held: folder.join("held"),
            reserve: Reserve::default(),
            leaving: Arc::default(),
        };
        for tenant in tenants {
            for part in [&inbox.new, &inbox.held] {
                let path = part.join(tenant.as_str());
                disk::make_folder(&path).map_err(|source| fault("make", &path, source))?;
            }
            take::remove_coming(&inbox.new.join(tenant.as_str()))?;
        }
        Ok(inbox)
    }

    /// Where the door puts finished files.
    pub fn new_folder(&self) -> &Path {
        &self.new
    }

    /// Where files lie whose arrival has a row.
    pub fn held_folder(&self) -> &Path {
        &self.held
    }

    /// Arrivals of `tenant` that have no row yet, oldest first.
    pub fn take(&self, tenant: &TenantName) -> Result<Vec<Arrival>, Error> {
        arrivals(&self.new, tenant)
    }

    /// Arrivals of `tenant` whose files are held for their batches.
    pub fn held(&self, tenant: &TenantName) -> Result<Vec<Arrival>, Error> {
        arrivals(&self.held, tenant)
    }

    /// Moves an arrival that has its row to where it waits for the end of its batch.
    pub fn hold(&self, arrival: &Arrival) -> Result<(), Error> {
        let from = path_in(&self.new, arrival);
        match fs::rename(&from, path_in(&self.held, arrival)) {
            // Lost to a crash or done before: the entry is where it belongs, or comes again.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(fault("move", &from, error))
            }
            _ => {
                crash::point("held");
                Ok(())
            }
        }
    }

    /// The same with several. One that cannot be moved does not keep the others from it; it is
    /// found again.
    pub fn hold_all(&self, arrivals: &[Arrival]) -> Result<(), Error> {
        let done = arrivals.iter().map(|arrival| self.hold(arrival));
        done.fold(Ok(()), Result::and)
    }

    /// The file of an arrival that has its row: beside the others, or not yet moved.
    pub fn file(&self, arrival: &Arrival) -> Result<fs::File, Error> {
        let held = path_in(&self.held, arrival);
        fs::File::open(&held)
            .or_else(|_| fs::File::open(path_in(&self.new, arrival)))
            // It may have been moved between the two looks.
            .or_else(|_| fs::File::open(&held))
            .map_err(|error| fault("open", &held, error))
    }

    /// The bytes of an arrival as they came in; `None` when they are not here, or not any more.
    pub fn content(&self, arrival: &Arrival) -> Option<fs::File> {
        match arrival.origin {
            Origin::Unread(..) => None,
            Origin::Door | Origin::Copied(_) => self.file(arrival).ok(),
        }
    }

    /// Forgets the file of a batch that has ended.
    pub fn release(&self, arrival: &Arrival) -> Result<(), Error> {
        for path in [path_in(&self.held, arrival), path_in(&self.new, arrival)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(fault("remove", &path, error));
                }
                _ => {}
            }
        }
        crash::point("released");
        Ok(())
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path_in(part: &Path, arrival: &Arrival) -> PathBuf {
    let name = SpoolName {
        batch: arrival.batch.clone(),
        folder: arrival.folder,
        name: arrival.name.clone(),
    };
    let origin = arrival.origin;
    let entry = SpoolEntry { name, origin };
    part.join(arrival.tenant.as_str()).join(entry.to_string())
}

/// The arrivals of `tenant` in one part of the spool, oldest first.
fn arrivals(part: &Path, tenant: &TenantName) -> Result<Vec<Arrival>, Error> {
    let folder = part.join(tenant.as_str());
    let failed = |source| fault("list", &folder, source);
    let mut arrivals = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // What is not ours stays where somebody put it.
        let name = entry.file_name();
        let Some(SpoolEntry { name, origin }) = name.to_str().and_then(SpoolEntry::parse) else {
            continue;
        };
        let about = entry.metadata().map_err(failed)?;
        if about.is_file() {
            // The link into the spool, or the name there, was the last change of the inode.
            let changed_ms = about.ctime() * 1000 + about.ctime_nsec() / 1_000_000;
            let size_bytes = match origin {
                Origin::Unread(..) => take::noted_size(&entry.path()).map_err(failed)?,
                Origin::Door | Origin::Copied(_) => about.size(),
            };
            arrivals.push(Arrival {
                tenant: tenant.clone(),
                batch: name.batch,
                folder: name.folder,
                name: name.name,
                size_bytes,
                received_at: Moment::from_millis(changed_ms),
                origin,
            });
        }
    }
    arrivals.sort_by(|one, other| one.batch.cmp(&other.batch));
    Ok(arrivals)
}

fn fault(verb: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Spool {
        verb,
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crash after any step must find the file again, exactly once.
    #[test]
    fn an_arrival_is_found_until_it_is_released() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tenant = TenantName::parse("acme").expect("a name");
        let inbox = Inbox::open(folder.path(), std::slice::from_ref(&tenant)).expect("opened");
        let entry = "20261121T091502Z-7kq2xm.w.orders.json";
        fs::write(inbox.new_folder().join("acme").join(entry), b"{}").expect("written");
        fs::write(inbox.new_folder().join("acme/foreign"), b"").expect("written");
        let arrivals = inbox.take(&tenant).expect("taken");
        assert_eq!(arrivals.len(), 1);
        let arrival = &arrivals[0];
        assert_eq!(
            (arrival.name.as_str(), arrival.size_bytes),
            ("orders.json", 2)
        );
        assert!(inbox.file(arrival).is_ok());
        inbox.hold(arrival).expect("held");
        inbox.hold(arrival).expect("held twice");
        assert!(inbox.take(&tenant).expect("taken").is_empty());
        assert!(inbox.file(arrival).is_ok());
        inbox.release(arrival).expect("released");
        inbox.release(arrival).expect("released twice");
        assert!(inbox.file(arrival).is_err());
    }

    /// One file that the disk does not let go must not keep those behind it from being sent.
    #[test]
    fn an_arrival_that_cannot_be_held_keeps_no_other_from_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tenant = TenantName::parse("acme").expect("a name");
        let inbox = Inbox::open(folder.path(), std::slice::from_ref(&tenant)).expect("opened");
        let entries = ["20261121T091502Z-7kq2xm.w.a", "20261121T091503Z-7kq2xm.w.b"];
        for entry in entries {
            fs::write(inbox.new_folder().join("acme").join(entry), b"{}").expect("written");
        }
        let arrivals = inbox.take(&tenant).expect("taken");
        fs::create_dir(inbox.held_folder().join("acme").join(entries[0])).expect("in the way");
        assert!(inbox.hold_all(&arrivals).is_err());
        assert!(inbox.held_folder().join("acme").join(entries[1]).is_file());
    }
}
