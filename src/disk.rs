//! Files beneath a root, made durable: open without leaving the root, write-sync-rename, claim by
//! link. What the files mean is for others to know.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use cap_fs_ext::DirExt;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::crash;

pub mod room;

/// How every hidden name of ours begins: a file that is being written and is not yet there.
pub const HIDDEN_PREFIX: &str = ".dropcast-";

/// A folder that nothing opened through it can leave: no `..`, no links.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    way: Way,
}

/// Who sees to it that a path does not leave the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The kernel, in one call.
    Kernel,
    /// We, folder by folder: the kernel is older than the call, or a filter of system calls keeps
    /// it from us.
    Steps,
}

impl Root {
    /// The root at `path`, which must be a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut root = Self::open_by(path, Way::Kernel)?;
        let here = OsStr::new(".");
        match root.open_in_one(here, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            // Filters answer EPERM, which opening a folder that is open gives for no other reason.
            Err(Errno::NOSYS | Errno::PERM) => root.way = Way::Steps,
            done => drop(done?),
        }
        Ok(root)
    }

    /// The root at `path`, in this way and no other.
    pub fn open_by(path: &Path, way: Way) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { folder, way })
    }

    /// Opens `path`, relative to the root and without a leading slash, never leaving the root and
    /// never following a link. An empty path is the root itself.
    pub fn open_beneath(&self, path: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let parts = Path::new(path).components();
        let leads_out = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
        if parts.clone().any(leads_out) {
            return Err(Errno::XDEV.into());
        }
        let path = if path.is_empty() {
            OsStr::new(".")
        } else {
            path
        };
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match self.way {
            Way::Kernel => Ok(self.open_in_one(path, flags, mode)?),
            Way::Steps => self.open_by_steps(Path::new(path), flags, mode),
        }
    }

    fn open_in_one(&self, path: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // The kernel asks for another try when a rename ran beside the walk.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.folder, path, flags, mode, resolve) {
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Whatever is moved or swapped meanwhile, each step begins in a folder that is open and goes
    /// to a name in it that is no link.
    fn open_by_steps(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let names: Vec<&OsStr> = path
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(Component::as_os_str)
            .collect();
        let (last, parents) = match names.split_last() {
            Some((last, parents)) => (*last, parents),
            None => (OsStr::new("."), &[][..]),
        };
        let mut folder = cap_std::fs::Dir::from_std_file(self.folder.try_clone()?.into());
        for parent in parents {
            let next = folder.open_dir_nofollow(parent);
            folder = next.map_err(|error| link_or(error, &folder, parent))?;
        }
        Ok(rustix::fs::openat(&folder, last, flags, mode)?)
    }
}

/// A link that is not followed is told as the kernel tells it, and not as something that is no
/// folder.
fn link_or(error: io::Error, folder: impl AsFd, name: &OsStr) -> io::Error {
    let is_link = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
    if is_link { Errno::LOOP.into() } else { error }
}

/// Whether two files are one and the same inode.
pub fn same_inode(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    one.dev() == other.dev() && one.ino() == other.ino()
}

/// Writes a file so that `path` holds either what it held before or all of `bytes`, and returns
/// once that is on disk.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::new(path)?;
    draft.write_all(bytes)?;
    draft.seal()?.reveal()
}

/// How the hidden name of a draft begins; a number follows, so that no two writers share one.
const DRAFT_PREFIX: &str = ".dropcast-draft.";

/// Drafts that this process has begun.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// A file being written under a hidden name, to be revealed under its own.
pub struct Draft {
    hidden: Hidden,
    visible: PathBuf,
    file: io::BufWriter<File>,
    hash: digest::Context,
}

impl Draft {
    /// Begins the file at `path`.
    pub fn new(path: &Path) -> io::Result<Self> {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let hidden_name = format!("{DRAFT_PREFIX}{}.{number}", std::process::id());
        let hidden = Hidden(path.with_file_name(hidden_name));
        let file = File::create_new(&hidden.0)?;
        Ok(Self {
            hidden,
            visible: path.into(),
            file: io::BufWriter::with_capacity(64 << 10, file),
            hash: digest::Context::new(&digest::SHA256),
        })
    }

    /// Syncs the content; nothing can be added to it any more.
    pub fn seal(mut self) -> io::Result<Sealed> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let sha256 = hexadecimal(self.hash.finish().as_ref());
        Ok(Sealed {
            hidden: self.hidden,
            visible: self.visible,
            sha256,
        })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.hash.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A draft whose content is on disk and which is not yet seen.
#[derive(Debug)]
pub struct Sealed {
    hidden: Hidden,
    visible: PathBuf,
    sha256: String,
}

impl Sealed {
    /// SHA-256 of the content, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The same under another name in that folder: one that its content gives it.
    pub fn reveal_as(mut self, name: &OsStr) -> io::Result<()> {
        self.visible.set_file_name(name);
        self.reveal()
    }

    /// Renames it into place and syncs the folder.
    pub fn reveal(self) -> io::Result<()> {
        crash::point("draft-sealed");
        std::fs::rename(&self.hidden.0, &self.visible)?;
        crash::point("draft-renamed");
        sync_folder(self.visible.parent().unwrap_or(Path::new(".")))
    }
}

/// A hidden name. What still has it when it is dropped was not wanted, or did not fit on the disk.
#[derive(Debug)]
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        // After a reveal there is nothing under this name any more.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes the drafts that a stopped process left in `folder`.
pub fn remove_drafts(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(DRAFT_PREFIX.as_bytes())
        {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Returns once the names in `folder` are on disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Gives the inode behind an open file a further name. Whatever happens to its other names, the
/// link is to the very file that was opened. Fails if `target` exists, or if the file has no name
/// left at all.
pub fn link_open_file(file: impl AsFd, target: &Path) -> io::Result<()> {
    let source = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    rustix::fs::linkat(CWD, source, CWD, target, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

/// Looks whether the file system of `folder` can do what files are handed on by: give a file a
/// further name, rename without replacing, and exchange two names. Not all can.
pub fn check_renames(folder: &Path) -> io::Result<()> {
    let [one, other] = ["one", "other"].map(|end| folder.join(format!("{PROBE_PREFIX}{end}")));
    let remove = |path: &Path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let probe = || {
        let file = File::create_new(&one)?;
        link_open_file(&file, &other)?;
        let rename = |flags| rustix::fs::renameat_with(CWD, &one, CWD, &other, flags);
        match rename(RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => return Err(io::ErrorKind::Unsupported.into()),
        }
        rename(RenameFlags::EXCHANGE)?;
        remove(&other)?;
        Ok(rename(RenameFlags::NOREPLACE)?)
    };
    // A start that was cut off may have left them.
    remove(&one)?;
    remove(&other)?;
    let probed = probe();
    remove(&one)?;
    remove(&other)?;
    probed
}

/// How the names begin by which renames are tried out.
const PROBE_PREFIX: &str = ".dropcast-probe.";

/// Makes a folder and those above it, and returns once their names are on disk.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_folder(parent)?,
        }
    }
    Ok(())
}

/// How the hidden name of an upload begins that is not closed yet; the name that its client gave it
/// follows. What lies under such a name is never read as a batch.
pub const UPLOAD_PREFIX: &str = ".dropcast-up.";

/// Lets this process have as many files open as the system allows it: each session, upload and
/// connection to a provider takes one.
pub fn allow_many_open_files() -> io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        wanted,
    )?)
}

/// What this process makes from here on cannot be read by users of other groups: folders and files
/// hold phone numbers. A stricter mask that it was started with stays.
pub fn keep_from_others() {
    let before = rustix::process::umask(Mode::RWXO);
    rustix::process::umask(before | Mode::WGRP | Mode::RWXO);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(root: &Root, path: &str) -> Result<(), Option<Errno>> {
        let opened = root.open_beneath(OsStr::new(path), OFlags::RDONLY, Mode::empty());
        opened
            .map(drop)
            .map_err(|error| Errno::from_io_error(&error))
    }

    /// A tenant must not read the machine through a link that a local writer left behind, whoever
    /// looks after it.
    #[test]
    fn nothing_opened_through_a_root_is_outside_of_it() {
        let outer = tempfile::tempdir().expect("a temporary folder");
        let inside = outer.path().join("root");
        std::fs::create_dir_all(inside.join("a/b")).expect("made");
        std::fs::write(outer.path().join("secret"), b"s").expect("written");
        std::fs::write(inside.join("a/b/own"), b"o").expect("written");
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(to, inside.join(at)).expect("linked");
        };
        link("../secret", "link");
        link("..", "up");
        link("/", "a/top");
        link("b", "a/to-b");
        link("own", "a/b/to-own");
        for way in [Way::Kernel, Way::Steps] {
            let root = Root::open_by(&inside, way).expect("opened");
            for good in ["", ".", "a", "a/b/own", "a//b/", "./a/b/own"] {
                assert_eq!(opens(&root, good), Ok(()), "{way:?} {good}");
            }
            for (bad, error) in [
                ("../secret", Errno::XDEV),
                ("/etc/passwd", Errno::XDEV),
                ("./../root/a", Errno::XDEV),
                ("a/../a", Errno::XDEV),
                ("a/b/..", Errno::XDEV),
                ("link", Errno::LOOP),
                ("up/secret", Errno::LOOP),
                ("a/top/etc/passwd", Errno::LOOP),
                ("a/to-b/own", Errno::LOOP),
                ("a/b/to-own", Errno::LOOP),
                ("a/none/own", Errno::NOENT),
                ("a/b/own/x", Errno::NOTDIR),
            ] {
                assert_eq!(opens(&root, bad), Err(Some(error)), "{way:?} {bad}");
            }
            let folder = OFlags::RDONLY | OFlags::DIRECTORY;
            let opened = root.open_beneath(OsStr::new("a/to-b"), folder, Mode::empty());
            let error = opened.expect_err("a link to a folder");
            assert_eq!(Errno::from_io_error(&error), Some(Errno::NOTDIR), "{way:?}");
        }
        assert!(Root::open(&inside.join("a/b/own")).is_err());
    }

    /// A folder that a local hand swaps for a link while it is being opened must not lead outside.
    #[test]
    fn a_folder_swapped_for_a_link_leads_nowhere() {
        let outer = tempfile::tempdir().expect("a temporary folder");
        let inside = outer.path().join("root");
        let folder = |path: &str, holds: &str| {
            let path = outer.path().join(path);
            std::fs::create_dir_all(&path).expect("made");
            std::fs::write(path.join("file"), holds).expect("written");
        };
        folder("root/in", "own");
        folder("elsewhere", "secret");
        std::os::unix::fs::symlink("../elsewhere", inside.join("out")).expect("linked");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (one, other) = (inside.join("in"), inside.join("out"));
                while !done.load(Ordering::Relaxed) {
                    let exchange = RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(CWD, &one, CWD, &other, exchange).expect("swapped");
                }
            });
            for way in [Way::Kernel, Way::Steps] {
                let root = Root::open_by(&inside, way).expect("opened");
                let (mut opened, mut refused) = (0, 0);
                while opened < 500 || refused < 500 {
                    let path = OsStr::new("in/file");
                    match root.open_beneath(path, OFlags::RDONLY, Mode::empty()) {
                        Ok(file) => {
                            let text = io::read_to_string(File::from(file)).expect("read");
                            assert_eq!(text, "own", "{way:?}");
                            opened += 1;
                        }
                        Err(_) => refused += 1,
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    /// A start must not be refused where everything works, nor for what a former one left, and must
    /// leave nothing behind.
    #[test]
    fn renames_are_tried_out_without_a_trace() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(".dropcast-probe.other"), b"").expect("written");
        check_renames(folder.path()).expect("all of it works");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
        let none = check_renames(&folder.path().join("none"));
        assert!(none.is_err(), "a folder that is not there can do nothing");
    }

    /// A reader must never meet half a report.
    #[test]
    fn a_draft_is_invisible_until_it_is_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut draft = Draft::new(&folder.path().join("a.json")).expect("begun");
        draft.write_all(b"whole").expect("written");
        assert!(!folder.path().join("a.json").exists());
        draft.seal().expect("sealed").reveal().expect("revealed");
        assert_eq!(
            std::fs::read(folder.path().join("a.json")).expect("read"),
            b"whole"
        );
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
