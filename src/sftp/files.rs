//! What a tenant may do to the files of its tree, and what makes an upload whole on disk.
//! Everything here may block; who calls it from where is for `channel` to know.
//!
//! An upload is written under a hidden name in its own folder. At its close the bytes are synced,
//! the inode is linked into the spool, the spool is synced, the hidden name becomes the visible one
//! and the folder is synced; only then is the close answered. A power cut at any point leaves
//! either a partial file or an entry in the spool whose rename `repair` finishes.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, SeekFrom, Stat, Timespec};
use rustix::fs::{Timestamps, fstat, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;
use tokio::sync::Notify;

use super::extents::Extents;
use super::jail::{Folder, Name, Place, README};
use super::listing::{Listing, shown_file, shown_folder};
use super::packet::{self, Attributes, OpenFlags, Status};
use super::uploads::{EndWanted, Key, Upload, Uploads, superseded, taken};
use crate::batch::name::{NameKind, SpoolName};
use crate::batch::{BatchId, TenantName};
use crate::clock;
use crate::disk::{self, Root, UPLOAD_PREFIX};

/// Ids are random within a second; so many in a row are never all taken.
const ID_TRIES: usize = 16;

/// An answer other than what was asked for: the status and the sentence that the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) words: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(status: Status, words: impl Into<Cow<'static, str>>) -> Self {
        let words = words.into();
        Self { status, words }
    }

    pub(super) fn failure(words: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::Failure, words)
    }

    /// The reply that tells it.
    pub(super) fn reply(&self, id: u32) -> Vec<u8> {
        packet::status(id, self.status, &self.words)
    }

    fn denied(words: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::PermissionDenied, words)
    }

    fn no_such_file() -> Self {
        Self::new(Status::NoSuchFile, "no such file")
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if Errno::from_io_error(&error) == Some(Errno::LOOP) {
            return Self::denied("links are not followed");
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::no_such_file(),
            io::ErrorKind::PermissionDenied => Self::denied("permission denied"),
            io::ErrorKind::AlreadyExists => Self::failure("a file of this name exists"),
            io::ErrorKind::IsADirectory => Self::denied("this is a folder"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::failure("no space left; try again later")
            }
            kind => {
                tracing::debug!(%error, "failed to serve a file");
                Self::failure(format!("the server could not do this: {kind}"))
            }
        }
    }
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// What a rename may find at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onto {
    /// Nothing, or it is refused.
    Nothing,
    /// A file, which it replaces.
    Anything,
}

/// One tenant's tree, as its sessions may use it.
#[derive(Debug)]
pub(super) struct Tree {
    tenant: TenantName,
    root: Root,
    spool: PathBuf,
    uploads: Arc<Uploads>,
    arrived: Arc<Notify>,
    upload_bytes_max: u64,
}

impl Tree {
    /// Opens the tree that lies in `<tenants_dir>/<tenant>`; uploads go to `<spool_dir>/<tenant>`.
    pub(super) fn open(
        (tenants_dir, spool_dir): (&Path, &Path),
        tenant: TenantName,
        uploads: Arc<Uploads>,
        arrived: Arc<Notify>,
        upload_bytes_max: u64,
    ) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(&tenants_dir.join(tenant.as_str()))?,
            spool: spool_dir.join(tenant.as_str()),
            tenant,
            uploads,
            arrived,
            upload_bytes_max,
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
                let folder = self.folder(Folder::Drop(*folder))?;
                match find(&folder, &hidden(name))? {
                    Some(partial) => Some(partial),
                    None => find(&folder, name.as_str())?,
                }
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
                let folder = self.folder(Folder::Drop(*folder))?;
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

    /// Opens a file to be written. Whoever was writing to the name before is cut off.
    pub(super) fn begin_upload(
        &self,
        place: &Place,
        flags: OpenFlags,
    ) -> Result<Arc<Upload>, Refusal> {
        let key = self.upload_key(place)?;
        let _held = self.uploads.hold(&key);
        let folder = self.folder(Folder::Drop(key.folder))?;
        let hidden = hidden(&key.name);
        let partial = find(&folder, &hidden)?;
        let visible = find(&folder, key.name.as_str())?;
        let is_there = partial.is_some() || visible.is_some();
        if !is_there && !flags.has(OpenFlags::CREATE) {
            return Err(Refusal::no_such_file());
        }
        if is_there && flags.has(OpenFlags::CREATE) && flags.has(OpenFlags::EXCLUSIVE) {
            return Err(Refusal::failure("a file of this name exists"));
        }

        let mut end_wanted = EndWanted::No;
        let mut resumes = is_there && !flags.has(OpenFlags::TRUNCATE);
        if resumes && partial.is_none() && visible.as_ref().is_some_and(|it| is_taken(&key, it)) {
            // scp writes whole files without asking for a new one; it sets the size at the end.
            if flags.0 != OpenFlags::WRITE | OpenFlags::CREATE {
                return Err(taken());
            }
            end_wanted = EndWanted::Yes;
            resumes = false;
        }
        if partial.as_ref().is_some_and(|it| it.st_nlink > 1) {
            // A close that failed half-way left its link in the spool: these bytes stay as they
            // are.
            resumes = false;
        }

        let written_before = self.uploads.supersede(&key);
        let (file, written) = if resumes {
            if partial.is_none() {
                let name = key.name.as_str();
                renameat_with(&folder, name, &folder, &hidden, RenameFlags::NOREPLACE)?;
            }
            let file = open_file(&folder, &hidden, OFlags::RDWR)?;
            let written = match written_before {
                Some(written) => written,
                None => cut_at_first_hole(&file)?,
            };
            (file, written)
        } else {
            unlink_if_there(&folder, &hidden)?;
            (create_file(&folder, &hidden)?, Extents::default())
        };
        let begun = (file, written);
        let upload = self
            .uploads
            .begin(key, begun, end_wanted, self.upload_bytes_max)?;
        Ok(upload)
    }

    /// Closes an upload. When this returns without a refusal, the file is on disk under its name,
    /// and in the spool if its name counts.
    pub(super) fn finish_upload(&self, upload: &Upload) -> Result<(), Refusal> {
        let key = &upload.key;
        let hidden = hidden(&key.name);
        if let Err(refusal) = upload.seal() {
            if refusal == taken() {
                // What was written is no beginning of anything that could be resumed.
                let _held = self.uploads.hold(key);
                if upload.still_owns_its_name() {
                    unlink_if_there(self.folder(Folder::Drop(key.folder))?, &hidden)?;
                }
            }
            return Err(refusal);
        }
        // Before the name is held, since this is what takes long.
        let synced = upload.file.sync_all();
        let _held = self.uploads.hold(key);
        let folder = self.folder(Folder::Drop(key.folder))?;
        let is_ours = upload.still_owns_its_name()
            && find(&folder, &hidden)?.is_some_and(|it| is_same(&it, &upload.file));
        if !is_ours {
            return Err(superseded());
        }
        if let Err(error) = synced {
            // A second sync would succeed and mean nothing: the bytes are not to be built upon.
            unlink_if_there(&folder, &hidden)?;
            return Err(error.into());
        }
        // Whatever else has this name would stop the rename, after the link is made.
        find(&folder, key.name.as_str())?;
        let arrives = NameKind::of(key.name.as_str()).counts();
        let link = arrives
            .then(|| self.link_into_spool(&upload.file, key))
            .transpose()?;
        if let Err(error) = renameat(&folder, &hidden, &folder, key.name.as_str()) {
            self.take_back(link)?;
            return Err(error.into());
        }
        rustix::fs::fsync(&folder)?;
        if arrives {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Renames a file within the drop folders. A name that begins to count is an arrival, just as
    /// a close is.
    pub(super) fn rename(&self, from: &Place, to: &Place, onto: Onto) -> Result<(), Refusal> {
        let from = self.upload_key(from)?;
        let to = self.upload_key(to)?;
        let _held = self.uploads.hold_both(&from, &to);
        let from_folder = self.folder(Folder::Drop(from.folder))?;
        let to_folder = self.folder(Folder::Drop(to.folder))?;
        let (from_hidden, to_hidden) = (hidden(&from.name), hidden(&to.name));
        let partial = find(&from_folder, &from_hidden)?;
        let visible = find(&from_folder, from.name.as_str())?;
        if self.uploads.is_open(&from) || self.uploads.is_open(&to) {
            return Err(Refusal::failure("this file is still being written"));
        }
        if from == to && (partial.is_some() || visible.is_some()) {
            return Ok(());
        }
        if onto == Onto::Nothing
            && (find(&to_folder, to.name.as_str())?.is_some()
                || find(&to_folder, &to_hidden)?.is_some())
        {
            return Err(Refusal::failure("a file of this name exists"));
        }

        let mut link = None;
        let moved = if partial.is_some() {
            if NameKind::of(to.name.as_str()).counts() {
                return Err(Refusal::failure(
                    "this upload was not finished; resume it or upload it again",
                ));
            }
            unlink_if_there(&to_folder, to.name.as_str())?;
            renameat(&from_folder, &from_hidden, &to_folder, &to_hidden)
        } else {
            let found = visible.ok_or_else(Refusal::no_such_file)?;
            if arrives_by_rename(&from, &to, &found) {
                let file = open_file(&from_folder, from.name.as_str(), OFlags::RDONLY)?;
                file.sync_all()?;
                link = Some(self.link_into_spool(&file, &to)?);
            }
            let flags = match onto {
                Onto::Nothing => RenameFlags::NOREPLACE,
                Onto::Anything => RenameFlags::empty(),
            };
            let (old, new) = (from.name.as_str(), to.name.as_str());
            renameat_with(&from_folder, old, &to_folder, new, flags)
        };
        let arrives = link.is_some();
        if let Err(error) = moved {
            self.take_back(link)?;
            return Err(error.into());
        }
        if partial.is_none() {
            // An abandoned upload to the target would hide the file that lies there.
            unlink_if_there(&to_folder, &to_hidden)?;
        }
        rustix::fs::fsync(&to_folder)?;
        if from.folder != to.folder {
            rustix::fs::fsync(&from_folder)?;
        }
        if arrives {
            self.arrived.notify_one();
        }
        Ok(())
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
        let folder = self.folder(Folder::Drop(key.folder))?;
        let partial = find(&folder, &hidden(&key.name))?;
        let visible = find(&folder, key.name.as_str())?;
        if partial.is_none() && visible.is_none() {
            return Err(Refusal::no_such_file());
        }
        self.uploads.supersede(&key);
        // Its owner sees one file under this name, so both go.
        unlink_if_there(&folder, &hidden(&key.name))?;
        unlink_if_there(&folder, key.name.as_str())?;
        Ok(rustix::fs::fsync(&folder)?)
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
            let folder = self.folder(Folder::Drop(*folder))?;
            let times = timestamps(times);
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let partial = rustix::fs::utimensat(&folder, hidden(name), &times, flags);
            if partial == Err(Errno::NOENT) {
                rustix::fs::utimensat(&folder, name.as_str(), &times, flags)?;
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

    /// The room on the disk, in the order of a `statvfs` reply.
    pub(super) fn room(&self) -> Result<[u64; 11], Refusal> {
        let room = rustix::fs::fstatvfs(self.folder(Folder::Root)?)?;
        Ok([
            room.f_bsize,
            room.f_frsize,
            room.f_blocks,
            room.f_bfree,
            room.f_bavail,
            room.f_files,
            room.f_ffree,
            room.f_favail,
            0,
            0,
            crate::batch::name::NAME_BYTES_MAX as u64,
        ])
    }

    /// The key of a place that can be written to; for any other the reason why not.
    fn upload_key(&self, place: &Place) -> Result<Key, Refusal> {
        match place {
            Place::Upload(folder, name) => Ok(Key {
                tenant: self.tenant.clone(),
                folder: *folder,
                name: name.clone(),
            }),
            Place::Misnamed(bad) => Err(Refusal::denied(bad.to_string())),
            Place::Nowhere => Err(Refusal::no_such_file()),
            Place::Folder(_) => Err(fixed()),
            Place::Readme | Place::Written(..) => Err(Refusal::denied("this is read-only")),
        }
    }

    fn folder(&self, folder: Folder) -> Result<OwnedFd, Refusal> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let path = OsStr::new(folder.path());
        Ok(self.root.open_beneath(path, flags, Mode::empty())?)
    }

    /// Links the inode into the spool under a new batch id and returns once that is on disk.
    fn link_into_spool(&self, file: &File, key: &Key) -> Result<PathBuf, Refusal> {
        disk::make_folder(&self.spool)?;
        for _ in 0..ID_TRIES {
            let entry = SpoolName {
                batch: BatchId::new(clock::now(), fastrand::u64(..)),
                folder: key.folder,
                name: key.name.as_str().to_owned(),
            };
            let link = self.spool.join(entry.to_string());
            match disk::link_open_file(file, &link) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    if let Err(error) = disk::sync_folder(&self.spool) {
                        self.take_back(Some(link))?;
                        return Err(error.into());
                    }
                    return Ok(link);
                }
            }
        }
        Err(Refusal::failure("no batch id was free; try again"))
    }

    /// Removes a link from the spool whose file did not get its name.
    fn take_back(&self, link: Option<PathBuf>) -> io::Result<()> {
        if let Some(link) = link {
            std::fs::remove_file(link)?;
            disk::sync_folder(&self.spool)?;
        }
        Ok(())
    }
}

/// Why no folder can be made, renamed or removed, and nothing linked.
pub(super) fn fixed() -> Refusal {
    Refusal::denied("the folders are fixed: files only, and no links")
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

/// Whether the bytes under this visible name belong to a batch, or to one that will be.
fn is_taken(key: &Key, visible: &Stat) -> bool {
    visible.st_nlink > 1 || NameKind::of(key.name.as_str()).counts()
}

/// Whether this rename makes a batch. Not when the file is one already: its spool entry, or what
/// became of it, is a further link. And not when a local writer owns the file and may write on;
/// such a file is copied once it has settled, which is not done here.
fn arrives_by_rename(from: &Key, to: &Key, found: &Stat) -> bool {
    NameKind::of(to.name.as_str()).counts()
        && !NameKind::of(from.name.as_str()).counts()
        && found.st_nlink == 1
        && found.st_uid == rustix::process::geteuid().as_raw()
}

fn is_same(found: &Stat, file: &File) -> bool {
    fstat(file).is_ok_and(|open| (open.st_dev, open.st_ino) == (found.st_dev, found.st_ino))
}

fn open_file(folder: impl AsFd, name: &str, access: OFlags) -> Result<File, Refusal> {
    // Without NONBLOCK a pipe that a local writer left would hold the session for ever.
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    if !is_regular(&fstat(&file)?) {
        return Err(Refusal::denied("this is not a regular file"));
    }
    Ok(file.into())
}

fn create_file(folder: impl AsFd, name: &str) -> Result<File, Refusal> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o640))?.into())
}

fn unlink_if_there(folder: impl AsFd, name: &str) -> Result<(), Refusal> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A partial file whose writer died with the daemon may have holes that nobody remembers.
fn cut_at_first_hole(file: &File) -> Result<Extents, Refusal> {
    let size = file.metadata()?.len();
    let whole = match rustix::fs::seek(file, SeekFrom::Hole(0)) {
        Ok(hole) => hole.min(size),
        // An empty file has no bytes at all to seek from, and some file systems tell no holes.
        Err(_) => size,
    };
    if whole < size {
        file.set_len(whole)?;
    }
    Ok(Extents::of(whole))
}
