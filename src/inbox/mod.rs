//! Finished files are seen and claimed.
//!
//! In: entries in the spool's `new` folder, put there by the door before a client hears `OK`. Out:
//! [`Arrival`]s. An entry lies in `new` until its arrival has a row, then in `held` until its batch
//! has ended; both moves can be done again after a crash, because the row is the truth.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::batch::name::SpoolName;
use crate::batch::{Arrival, Moment, TenantName};
use crate::disk;

pub mod unpack;

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
}

impl Inbox {
    /// The spool in `folder`, with a folder for each tenant.
    pub fn open(folder: &Path, tenants: &[TenantName]) -> Result<Self, Error> {
        let inbox = Self {
            new: folder.join("new"),
            held: folder.join("held"),
        };
        for tenant in tenants {
            for part in [&inbox.new, &inbox.held] {
                let path = part.join(tenant.as_str());
                disk::make_folder(&path).map_err(|source| fault("make", &path, source))?;
            }
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
            _ => Ok(()),
        }
    }

    /// The file of an arrival that has its row: beside the others, or not yet moved.
    pub fn file(&self, arrival: &Arrival) -> Result<fs::File, Error> {
        let held = path_in(&self.held, arrival);
        fs::File::open(&held)
            .or_else(|_| fs::File::open(path_in(&self.new, arrival)))
            .map_err(|error| fault("open", &held, error))
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
        Ok(())
    }
}

fn path_in(part: &Path, arrival: &Arrival) -> PathBuf {
    let name = SpoolName {
        batch: arrival.batch.clone(),
        folder: arrival.folder,
        name: arrival.name.clone(),
    };
    part.join(arrival.tenant.as_str()).join(name.to_string())
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
        let Some(name) = name.to_str().and_then(SpoolName::parse) else {
            continue;
        };
        let about = entry.metadata().map_err(failed)?;
        if about.is_file() {
            // The link into the spool was the last change of the inode.
            let changed_ms = about.ctime() * 1000 + about.ctime_nsec() / 1_000_000;
            arrivals.push(Arrival {
                tenant: tenant.clone(),
                batch: name.batch,
                folder: name.folder,
                name: name.name,
                size_bytes: about.size(),
                received_at: Moment::from_millis(changed_ms),
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
}
