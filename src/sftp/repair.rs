//! After a crash: uploads that reached the spool and not their visible name are given it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, renameat, renameat_with, statat};
use rustix::io::Errno;

use super::files::is_regular;
use crate::batch::TenantName;
use crate::batch::name::{DropFolder, NameKind, SpoolName};
use crate::disk::{Root, UPLOAD_PREFIX};

/// An inode, wherever it is named.
type Inode = (u64, u64);

/// Finishes the renames that a crash cut off: for each spool entry whose file lies in the drop
/// folder under its upload's hidden name, or under the unfinished name it was being renamed from.
/// Says how many were finished. Nothing else is touched. To be called before the door serves.
///
/// `spool_dirs` are the folders that hold `<tenant>/<spool name>`.
pub fn repair(tenants_dir: &Path, spool_dirs: &[&Path]) -> io::Result<usize> {
    let mut mended = 0;
    for spool_dir in spool_dirs {
        for tenant in entries(spool_dir)? {
            let Some(name) = tenant.to_str().and_then(TenantName::parse) else {
                continue;
            };
            let spool = spool_dir.join(&tenant);
            let root = match Root::open(&tenants_dir.join(name.as_str())) {
                Ok(root) if spool.is_dir() => root,
                Ok(_) => continue,
                // A tenant whose folder is gone has no names to mend.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            mended += repair_tenant(&root, &spool)?;
        }
    }
    Ok(mended)
}

fn repair_tenant(root: &Root, spool: &Path) -> io::Result<usize> {
    let mut wanted: HashMap<DropFolder, HashMap<Inode, String>> = HashMap::new();
    for entry in entries(spool)? {
        let Some(parsed) = entry.to_str().and_then(SpoolName::parse) else {
            continue;
        };
        let stat = spool.join(&entry).symlink_metadata()?;
        if stat.is_file() {
            let inode = (stat.dev(), stat.ino());
            let names = wanted.entry(parsed.folder).or_default();
            names.insert(inode, parsed.name);
        }
    }
    let mut mended = 0;
    for (folder, names) in wanted {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = match root.open_beneath(OsStr::new(folder.path()), flags, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            done => done?,
        };
        mended += repair_folder(&opened, names)?;
    }
    Ok(mended)
}

fn repair_folder(folder: &OwnedFd, mut names: HashMap<Inode, String>) -> io::Result<usize> {
    let mut mended = 0;
    let mut failed = None;
    names.retain(|inode, name| {
        if inode_of(folder, OsStr::new(name)) == Some(*inode) {
            return false;
        }
        let hidden = format!("{UPLOAD_PREFIX}{name}");
        if inode_of(folder, OsStr::new(&hidden)) != Some(*inode) {
            return true;
        }
        match renameat(folder, &hidden, folder, name.as_str()) {
            Ok(()) => mended += 1,
            Err(error) => failed = Some(error),
        }
        false
    });
    if !names.is_empty() {
        mended += repair_renames(folder, &names)?;
    }
    if mended > 0 {
        rustix::fs::fsync(folder)?;
    }
    failed.map_or(Ok(mended), |error| Err(error.into()))
}

/// Looks for inodes under unfinished names, which takes reading the folder.
fn repair_renames(folder: &OwnedFd, names: &HashMap<Inode, String>) -> io::Result<usize> {
    let mut found = Vec::new();
    let mut dir = Dir::read_from(folder)?;
    while let Some(entry) = dir.read() {
        let entry = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        let unfinished = entry
            .to_str()
            .is_some_and(|text| NameKind::of(text) == NameKind::Unfinished);
        if unfinished
            && let Some(name) = inode_of(folder, &entry).and_then(|inode| names.get(&inode))
        {
            found.push((entry, name));
        }
    }
    let mut mended = 0;
    for (entry, name) in found {
        // Whatever has the name by now came later, and keeps it.
        match renameat_with(
            folder,
            &*entry,
            folder,
            name.as_str(),
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => mended += 1,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(mended)
}

fn inode_of(folder: &OwnedFd, name: &OsStr) -> Option<Inode> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    is_regular(&stat).then_some((stat.st_dev, stat.st_ino))
}

/// The names in a folder; none when it is not there.
fn entries(folder: &Path) -> io::Result<Vec<OsString>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A power cut between the link and the rename must not leave a tenant's file without its name.
    #[test]
    fn a_cut_rename_is_finished_and_nothing_else_is_touched() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (tenants, spool) = (home.path().join("tenants"), home.path().join("new"));
        let tenant = tenants.join("acme");
        crate::sftp::lay_out(&tenant).expect("laid out");
        std::fs::create_dir_all(spool.join("acme")).expect("made");
        let batch = "20261121T091502Z-7kq2xm";
        let link = |file: &str, mark: &str, name: &str| {
            let file = tenant.join(file);
            if !file.exists() {
                std::fs::write(&file, file.as_os_str().as_bytes()).expect("written");
            }
            let entry = spool.join(format!("acme/{batch}.{mark}.{name}"));
            std::fs::hard_link(file, entry).expect("linked");
        };
        link("whatsapp/.dropcast-up.a.json", "w", "a.json");
        std::fs::write(tenant.join("whatsapp/a.json"), b"an older one").expect("written");
        link("whatsapp/dry-run/b.json.part", "d", "b.json");
        link("whatsapp/c.json", "w", "c.json");
        // Renamed by its owner after it had been taken.
        link("whatsapp/kept.json", "w", "was-called.json");
        // Taken, renamed to an unfinished name, and its own name used again.
        link("whatsapp/d.json.part", "w", "d.json");
        std::fs::write(tenant.join("whatsapp/d.json"), b"a newer one").expect("written");
        std::fs::write(tenant.join("whatsapp/.dropcast-up.e.json"), b"half").expect("written");

        let none = home.path().join("none");
        let done = repair(&tenants, &[&spool, &none]).expect("repaired");
        assert_eq!(done, 2);
        let read = |path: &str| std::fs::read(tenant.join(path)).expect("readable");
        assert!(read("whatsapp/a.json").ends_with(b".dropcast-up.a.json"));
        assert!(read("whatsapp/dry-run/b.json").ends_with(b"b.json.part"));
        assert_eq!(read("whatsapp/d.json"), b"a newer one");
        for untouched in [
            "whatsapp/c.json",
            "whatsapp/kept.json",
            "whatsapp/d.json.part",
            "whatsapp/.dropcast-up.e.json",
        ] {
            assert!(tenant.join(untouched).exists(), "{untouched}");
        }
        for gone in [
            ".dropcast-up.a.json",
            "dry-run/b.json.part",
            "was-called.json",
        ] {
            assert!(!tenant.join("whatsapp").join(gone).exists(), "{gone}");
        }
        assert_eq!(repair(&tenants, &[&spool]).expect("repaired"), 0);
    }
}
