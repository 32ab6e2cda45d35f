//! Files beneath a root, made durable: open without leaving the root, write-sync-rename, claim by
//! link. What the files mean is for others to know.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};

/// How every hidden name of ours begins: a file that is being written and is not yet there.
pub const HIDDEN_PREFIX: &str = ".dropcast-";

/// A folder that nothing opened through it can leave: no `..`, no links.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
}

impl Root {
    /// The root at `path`, which must be a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            folder: rustix::fs::open(path, flags, Mode::empty())?,
        })
    }

    /// Opens `path`, relative to the root and without a leading slash, never leaving the root and
    /// never following a link. An empty path is the root itself.
    pub fn open_beneath(&self, path: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.is_empty() {
            OsStr::new(".")
        } else {
            path
        };
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // The kernel asks for another try when a rename ran beside the walk.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.folder, path, flags, mode, resolve) {
                Err(rustix::io::Errno::AGAIN) => {}
                done => return Ok(done?),
            }
        }
        Err(rustix::io::Errno::AGAIN.into())
    }
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

    /// Renames it into place and syncs the folder.
    pub fn reveal(self) -> io::Result<()> {
        std::fs::rename(&self.hidden.0, &self.visible)?;
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

    /// A tenant must not read the machine through a link that a local writer left behind.
    #[test]
    fn nothing_opened_through_a_root_is_outside_of_it() {
        let outer = tempfile::tempdir().expect("a temporary folder");
        let inside = outer.path().join("root");
        std::fs::create_dir(&inside).expect("made");
        std::fs::write(outer.path().join("secret"), b"s").expect("written");
        std::fs::write(inside.join("own"), b"o").expect("written");
        std::os::unix::fs::symlink("../secret", inside.join("link")).expect("linked");
        std::os::unix::fs::symlink("..", inside.join("up")).expect("linked");
        let root = Root::open(&inside).expect("opened");
        let open = |path: &str| root.open_beneath(OsStr::new(path), OFlags::RDONLY, Mode::empty());
        assert!(open("own").is_ok());
        assert!(open("").is_ok());
        for bad in [
            "../secret",
            "/etc/passwd",
            "link",
            "up/secret",
            "./../root/own",
        ] {
            assert!(open(bad).is_err(), "{bad}");
        }
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
