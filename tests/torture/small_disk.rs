//! A disk that can be filled: a file system in memory, of its own, over one folder. Only root can
//! mount one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Far more than a run needs, and little enough to be filled at once.
const SIZE: &str = "size=160m";

/// Bytes written at once while it is being filled; the last step is the smallest.
const STEPS: [usize; 3] = [1 << 20, 64 << 10, 4 << 10];

/// A small disk that is there until it is let go.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one over this folder; `None` where that is not allowed.
    pub(crate) fn mount(folder: &Path) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        fs::create_dir_all(folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(folder);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then(|| Self {
            folder: folder.into(),
        })
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Fills it to the last page.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("room for a name");
        for step in STEPS {
            let piece = vec![0_u8; step];
            while ballast.write_all(&piece).is_ok() {}
        }
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).expect("what fills it");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that is about to be killed may still have files open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        drop(unmounted);
    }
}
