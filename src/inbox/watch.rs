//! Word of files in the drop folders that were closed by a writer or moved in. It only saves time:
//! what is missed here, for whatever reason, is found by the next sweep.
//!
//! The system is asked for these two events alone. Any that comes with each write would be raised
//! thousands of times a second by an upload through the door.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::batch::TenantName;
use crate::batch::name::DropFolder;
use crate::disk::HIDDEN_PREFIX;

/// Events that are handed on together, give or take what one reading brings.
const EVENTS_MAX: usize = 1_000;

const BUFFER_BYTES: usize = 16 << 10;

/// A file that was closed or moved in: whose, where, and its name.
pub type Event = (TenantName, DropFolder, String);

/// Watches drop folders.
#[derive(Debug)]
pub struct Watch {
    events: AsyncFd<OwnedFd>,
    folders: HashMap<i32, (TenantName, DropFolder)>,
}

impl Watch {
    /// A watch on nothing yet.
    #[expect(
        deprecated,
        reason = "what replaces it cannot be called without `unsafe`; the descriptor is owned by \
                  this watch and never another, which is all that is asked for"
    )]
    pub fn new() -> io::Result<Self> {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self {
            events: AsyncFd::new(events)?,
            folders: HashMap::new(),
        })
    }

    /// Watches the drop folders beneath a tenant's root. To be said again now and then: a folder
    /// that was deleted and made anew is another one.
    pub fn add(&mut self, tenant: &TenantName, root: &Path) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        for folder in DropFolder::ALL {
            let path = root.join(folder.path());
            let id = inotify::add_watch(self.events.get_ref(), &path, flags)?;
            self.folders.insert(id, (tenant.clone(), folder));
        }
        Ok(())
    }

    /// Waits for the next events. Dropping the wait loses none.
    pub async fn next(&mut self) -> io::Result<Vec<Event>> {
        loop {
            let mut ready = self.events.readable().await?;
            let mut events = Vec::new();
            if read(self.events.get_ref(), &mut self.folders, &mut events)? {
                ready.clear_ready();
            }
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

/// Reads what there is, and says whether that was all.
fn read(
    watch: &OwnedFd,
    folders: &mut HashMap<i32, (TenantName, DropFolder)>,
    events: &mut Vec<Event>,
) -> io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(watch, &mut buffer);
    // What is in the buffer has left the system's queue.
    while events.len() < EVENTS_MAX || !reader.is_buffer_empty() {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::AGAIN) => return Ok(true),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if event.events().contains(ReadFlags::IGNORED) {
            folders.remove(&event.wd());
            continue;
        }
        let name = event.file_name().and_then(|name| name.to_str().ok());
        // Uploads through the door are written under names like these.
        let name = name.filter(|name| !name.starts_with(HIDDEN_PREFIX));
        if let (Some((tenant, folder)), Some(name)) = (folders.get(&event.wd()), name) {
            events.push((tenant.clone(), *folder, name.to_owned()));
        }
    }
    Ok(false)
}
