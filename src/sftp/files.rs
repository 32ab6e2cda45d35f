//! What a tenant may see of the files of its tree, and what it may do to those that lie still:
//! look, list, read, set times, delete. Everything here may block; who calls it from where is for
//! `channel` to know. How a file is begun, finished and renamed is for `opening`, `closing` and
//! `renaming`.
//!
//! Folders are opened anew for each operation: one that was kept open would go on to take files
//! after an operator had removed it and made another.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::fs::{fstat, openat, statat, unlinkat};
use rustix::io::Errno;
use tokio::sync::Notify;

use super::jail::{self, Folder, Inlet, Name, Place, README};
use super::listing::{Listing, shown_file, shown_folder};
use super::packet::{Attributes, Status};
use super::premises::Premises;
use super::refusal::{Refusal, fixed};
use super::uploads::{Key, Unfit, Uploads};
use super::usage::Count;
use super::{Quota, Steered, clock};
use crate::batch::TenantName;
use crate::batch::name::{Companion, NameKind};
use crate::disk::{Root, UPLOAD_PREFIX};

/// What a tree shares with those of other sessions.
#[derive(Debug)]
pub(super) struct Shared {
    /// The uploads of all tenants.
    pub(super) uploads: Arc<Uploads>,
    /// Told of each file that has reached the spool.
    pub(super) arrived: Arc<Notify>,
    /// Told whose folders hold a file that steers.
    pub(super) steered: Steered,
    /// What its tenant's sessions share.
    pub(super) premises: Arc<Premises>,
}

/// One tenant's tree, as one session may use it.
#[derive(Debug)]
pub(super) struct Tree {
    tenant: TenantName,
    /// The name by which the session has logged in.
    user: String,
    root: Root,
    pub(super) spool: PathBuf,
    pub(super) quota: Quota,
    pub(super) uploads: Arc<Uploads>,
    pub(super) arrived: Arc<Notify>,
    steered: Steered,
    pub(super) premises: Arc<Premises>,
}

impl Tree {
    /// Tells whoever carries it out of a file that steers.
    pub(super) fn tell_if_it_steers(&self, key: &Key) {
        if let (Inlet::Drop(_), NameKind::Companion(Companion::Steers(_))) =
            (key.folder, NameKind::of(key.name.as_str()))
        {
            self.steered.tell(&self.tenant);
        }
    }

    /// Opens the tree that lies in `<tenants_dir>/<tenant>`; uploads go to `<spool_dir>/<tenant>`.
    pub(super) fn open(
        (tenants_dir, spool_dir): (&Path, &Path),
        (tenant, user): (TenantName, String),
        quota: Quota,
        shared: Shared,
    ) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(&tenants_dir.join(tenant.as_str()))?,
            spool: spool_dir.join(tenant.as_str()),
            tenant,
            user,
            quota,
            uploads: shared.uploads,
            arrived: shared.arrived,
            steered: shared.steered,
            premises: shared.premises,
        })
    }

    /// What `stat` shows.
    pub(super) fn stat(&self, place: &Place) -> Result<Attributes, Refusal> {
        let found = match place {
            Place::Folder(folder) => {
                return Ok(shown_folder(*folder, &fstat(self.folder(*folder)?)?));
            }
            Place::Nowhere | Place::Misnamed(_) => None,
            Place::Readme => find(self.folder(Folder::Root)?, README)?,
            Place::Written(tray, name) => find(self.folder(Folder::Tray(*tray))?, name.as_str())?,
            Place::Upload(folder, name) => {
                let key = self.key(*folder, name);
                let folder = self.folder(Folder::Inlet(*folder))?;
                let found = match find(&folder, &hidden(name))? {
                    Some(partial) => Some(partial),
                    None => find(&folder, name.as_str())?,
                };
                if found.is_none()
                    && let Some(ghost) = self.premises.ghosts.look(&key, clock::steady())
                {
                    return Ok(ghost);
                }
                found
            }
        };
        found
            .map(|stat| shown_file(place, &stat))
            .ok_or_else(Refusal::no_such_file)
    }

    /// Opens a file to be read.
    pub(super) fn open_to_read(&self, place: &Place) -> Result<Arc<File>, Refusal> {
        let file = match place {
            Place::Folder(_) => return Err(Refusal::failure("this is a folder")),
            Place::Nowhere | Place::Misnamed(_) => return Err(Refusal::no_such_file()),
            Place::Readme => open_file(self.folder(Folder::Root)?, README, OFlags::RDONLY)?,
            Place::Written(tray, name) => open_file(
                self.folder(Folder::Tray(*tray))?,
                name.as_str(),
                OFlags::RDONLY,
            )?,
            Place::Upload(folder, name) => {
                let folder = self.folder(Folder::Inlet(*folder))?;
                match open_file(&folder, &hidden(name), OFlags::RDONLY) {
                    Err(refusal) if refusal.status == Status::NoSuchFile => {
                        open_file(&folder, name.as_str(), OFlags::RDONLY)?
                    }
                    done => done?,
                }
            }
        };
        Ok(Arc::new(file))
    }

    /// Deletes a file. Of a batch that has been taken only the name goes.
    pub(super) fn remove(&self, place: &Place) -> Result<(), Refusal> {
        if let Place::Written(tray, name) = place {
            if !tray.may_be_cleared() {
                return Err(Refusal::denied("this folder is read-only"));
            }
            let folder = self.folder(Folder::Tray(*tray))?;
            unlinkat(&folder, name.as_str(), AtFlags::empty())?;
            return Ok(rustix::fs::fsync(&folder)?);
        }
        let key = self.upload_key(place)?;
        let _held = self.uploads.hold(&key);
        let folder = self.folder(Folder::Inlet(key.folder))?;
        let seen = self.premises.usage.seen();
        let partial = find(&folder, &hidden(&key.name))?;
        let visible = find(&folder, key.name.as_str())?;
        let was_ghost = self.premises.ghosts.forget(&key, clock::steady());
        if partial.is_none() && visible.is_none() {
            return if was_ghost {
                Ok(())
            } else {
                Err(Refusal::no_such_file())
            };
        }
        self.uploads.supersede(&key);
        // Its owner sees one file under this name, so both go.
        let usage = &self.premises.usage;
        if let Some(partial) = partial
            && unlink_if_there(&folder, &hidden(&key.name))?
        {
            usage.partial_gone(&key, seen, bytes_of(&partial));
        }
        if let Some(visible) = visible
            && unlink_if_there(&folder, key.name.as_str())?
        {
            usage.gone(seen, bytes_of(&visible));
        }
        Ok(self.sync_drop_folder(key.folder, &folder)?)
    }

    /// Sets what a client may set of a file that is not open: its times. Modes and owners are taken
    /// note of by nobody.
    pub(super) fn set(&self, place: &Place, wanted: &Attributes) -> Result<(), Refusal> {
        let shown = self.stat(place)?;
        let Place::Upload(folder, name) = place else {
            return Err(Refusal::denied("this is read-only"));
        };
        if wanted.size.is_some_and(|size| Some(size) != shown.size) {
            return Err(Refusal::denied("the size can be set while a file is open"));
        }
        if let Some(times) = wanted.times {
            // The file may go at any time, and its ghost must then say what was set.
            let (key, ghosts) = (self.key(*folder, name), &self.premises.ghosts);
            let is_ghost = ghosts.set_times(&key, Some(times), clock::steady());
            let folder = self.folder(Folder::Inlet(*folder))?;
            match set_times(&folder, &key, times) {
                Err(Errno::NOENT) if is_ghost => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Begins a listing.
    pub(super) fn list(&self, place: &Place) -> Result<Listing, Refusal> {
        if let Place::Folder(folder) = place {
            return Listing::new(*folder, self.folder(*folder)?, self.tenant.as_str());
        }
        self.stat(place)?;
        Err(Refusal::failure("this is not a folder"))
    }

    /// The room that the tenant has, in the order of a `statvfs` reply: what its quota leaves, or
    /// the disk if that is less. What is used is its own files.
    pub(super) fn room(&self) -> Result<[u64; 11], Refusal> {
        if self.premises.usage.is_doubtful() {
            self.count()?;
        }
        let folder = self.folder(Folder::Root)?;
        let disk = self.uploads.disk.room(&folder)?;
        let block = rustix::fs::fstatvfs(&folder)?.f_frsize.max(1);
        let used = self.premises.usage.total();
        let left = |most: u64, used: u64, disk: u64| most.saturating_sub(used).min(disk);
        let free_bytes = left(self.quota.folder_bytes_max, used.bytes, disk.bytes);
        let free_files = left(self.quota.files_max, used.files, disk.files);
        let free = free_bytes / block;
        let blocks = used.bytes.div_ceil(block) + free;
        let files = used.files + free_files;
        let longest = crate::batch::name::NAME_BYTES_MAX as u64;
        Ok([
            block, block, blocks, free, free, files, free_files, free_files, 0, 0, longest,
        ])
    }

    /// Counts the files of the folders it writes to again if nobody has for a while.
    pub(super) fn count_if_old(&self) -> Result<(), Refusal> {
        if self.premises.usage.is_old() {
            self.count()?;
        }
        Ok(())
    }

    /// Whether a refusal for lack of room could be wrong by now.
    pub(super) fn may_have_room(&self) -> bool {
        self.premises.usage.is_doubtful()
    }

    /// Counts the files of the drop folders, which takes as long as reading the folders.
    pub(super) fn count(&self) -> Result<(), Refusal> {
        self.premises.usage.count(|| {
            let mut count = Count::default();
            for folder in Inlet::ALL {
                match self.folder(Folder::Inlet(folder)) {
                    Ok(opened) => self.count_folder(folder, &opened, &mut count)?,
                    // One that a local hand removed, or put a link in place of, takes no uploads.
                    Err(refusal) if refusal.status != Status::Failure => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(count)
        })
    }

    /// Does what needs room; if there is none, counts what there is and tries again.
    pub(super) fn with_room<T>(&self, work: impl Fn() -> Result<T, Unfit>) -> Result<T, Refusal> {
        match work() {
            Err(Unfit::Full(_)) if self.may_have_room() => {
                self.count()?;
                Ok(work()?)
            }
            done => Ok(done?),
        }
    }

    fn count_folder(
        &self,
        folder: Inlet,
        opened: &OwnedFd,
        count: &mut Count,
    ) -> Result<(), Refusal> {
        let mut entries = Dir::read_from(opened)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let Ok(stat) = statat(opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if !is_regular(&stat) {
                continue;
            }
            let name = entry.file_name().to_bytes();
            let partial = name.strip_prefix(UPLOAD_PREFIX.as_bytes());
            match partial.map(Name::parse) {
                Some(Ok(name)) => count.add_partial(self.key(folder, &name), bytes_of(&stat)),
                _ => count.add(bytes_of(&stat)),
            }
        }
        Ok(())
    }

    /// Returns once the names in a drop folder are on disk; `opened` is that folder. One sync
    /// serves all who have changed it by then.
    pub(super) fn sync_drop_folder(&self, folder: Inlet, opened: &OwnedFd) -> Result<(), Errno> {
        let syncs = self.premises.inlet_syncs(folder);
        syncs.run(|| rustix::fs::fsync(opened))
    }

    /// What a path with `~` stands for; its owner is called as in listings, or as it logged in.
    pub(super) fn expand(&self, path: &[u8]) -> Option<Vec<u8>> {
        let expand = |owner: &str| jail::expand(path, owner);
        expand(&self.user).or_else(|| expand(self.tenant.as_str()))
    }

    /// The key of a place that can be written to; for any other the reason why not.
    pub(super) fn upload_key(&self, place: &Place) -> Result<Key, Refusal> {
        match place {
            Place::Upload(folder, name) => Ok(self.key(*folder, name)),
            Place::Misnamed(bad) => Err(Refusal::denied(bad.to_string())),
            Place::Nowhere => Err(Refusal::no_such_file()),
            Place::Folder(_) => Err(fixed()),
            Place::Readme | Place::Written(..) => Err(Refusal::denied("this is read-only")),
        }
    }

    fn key(&self, folder: Inlet, name: &Name) -> Key {
        Key {
            tenant: self.tenant.clone(),
            folder,
            name: name.clone(),
        }
    }

    pub(super) fn folder(&self, folder: Folder) -> Result<OwnedFd, Refusal> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let path = OsStr::new(folder.path());
        Ok(self.root.open_beneath(path, flags, Mode::empty())?)
    }
}

/// The name under which an upload is written.
pub(super) fn hidden(name: &Name) -> String {
    format!("{UPLOAD_PREFIX}{}", name.as_str())
}

/// The regular file of this name; `None` when there is nothing, refused when it is anything else.
pub(super) fn find(folder: impl AsFd, name: &str) -> Result<Option<Stat>, Refusal> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if is_regular(&stat) => Ok(Some(stat)),
        Ok(_) => Err(Refusal::denied("this is not a regular file")),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

pub(super) fn timestamps((read_at, changed_at): (u32, u32)) -> Timestamps {
    let moment = |seconds| Timespec {
        tv_sec: i64::from(seconds),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: moment(read_at),
        last_modification: moment(changed_at),
    }
}

pub(super) fn bytes_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

fn set_times(folder: impl AsFd, key: &Key, times: (u32, u32)) -> Result<(), Errno> {
    let name = &key.name;
    let (times, flags) = (timestamps(times), AtFlags::SYMLINK_NOFOLLOW);
    match rustix::fs::utimensat(&folder, hidden(name), &times, flags) {
        // A local job's file is known by its times, and with others it would be another file.
        Err(Errno::NOENT) if is_local_batch(&folder, key) => Ok(()),
        Err(Errno::NOENT) => rustix::fs::utimensat(&folder, name.as_str(), &times, flags),
        done => done,
    }
}

/// Whether a batch file of this name was put there by a local job: one that came through the door
/// has its link in the spool.
fn is_local_batch(folder: impl AsFd, key: &Key) -> bool {
    let found = find(folder, key.name.as_str()).ok().flatten();
    let is_local = |stat: Stat| stat.st_nlink == 1 && stat.st_size > 0;
    key.counts().is_some() && found.is_some_and(is_local)
}

pub(super) fn open_file(folder: impl AsFd, name: &str, access: OFlags) -> Result<File, Refusal> {
    // To open a device or a pipe does something by itself, so it is looked at first.
    find(&folder, name)?.ok_or_else(Refusal::no_such_file)?;
    // Without NONBLOCK a pipe that a local writer puts there meanwhile would hold the session.
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    if !is_regular(&fstat(&file)?) {
        return Err(Refusal::denied("this is not a regular file"));
    }
    Ok(file.into())
}

/// Removes a name; says whether it was there.
pub(super) fn unlink_if_there(folder: impl AsFd, name: &str) -> Result<bool, Errno> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
