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
use super::spooling::LINK_PREFIX;
use crate::batch::TenantName;
use crate::batch::name::{DropFolder, NameKind, SpoolName};
use crate::crash;
use crate::disk::{Root, UPLOAD_PREFIX};

/// An inode, wherever it is named.
type Inode = (u64, u64);

/// What a spool entry says about its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The file may lie under the name it was being renamed from.
    New,
    /// It has a row, so it has had its name: what its owner has called it since is its owner's
    /// matter.
    Held,
}

/// Finishes what a crash cut off: for each spool entry whose file lies in the drop folder under its
/// upload's hidden name, the rename to the visible one; for those in `new_dir` also the rename from
/// an unfinished name. Then entries that were hidden until then are shown. Says how many renames
/// were finished. Nothing else is touched. To be called before the door serves.
///
/// Both folders hold `<tenant>/<spool name>`.
pub fn repair(tenants_dir: &Path, new_dir: &Path, held_dir: &Path) -> io::Result<usize> {
    let mut mended = 0;
    for (spool_dir, part) in [(new_dir, Part::New), (held_dir, Part::Held)] {
        for tenant in entries(spool_dir)? {
            let Some(name) = tenant.to_str().and_then(TenantName::parse) else {
                continue;
            };
            let spool = spool_dir.join(&tenant);
            if !spool.is_dir() {
                continue;
            }
            match Root::open(&tenants_dir.join(name.as_str())) {
                Ok(root) => mended += repair_tenant(&root, &spool, part)?,
                // A tenant whose folder is gone has no names to mend.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            show_all(&spool)?;
        }
    }
    Ok(mended)
}

/// Shows the entries whose files had not got their names. Whatever their clients have heard, it was
/// not that the files were refused.
fn show_all(spool: &Path) -> io::Result<()> {
    let mut shown = 0;
    for entry in entries(spool)? {
        let name = entry
            .to_str()
            .and_then(|text| text.strip_prefix(LINK_PREFIX));
        if let Some(name) = name.filter(|name| SpoolName::parse(name).is_some()) {
            std::fs::rename(spool.join(&entry), spool.join(name))?;
            crash::point("repair-shown");
            shown += 1;
        }
    }
    if shown > 0 {
        crate::disk::sync_folder(spool)?;
    }
    Ok(())
}

fn repair_tenant(root: &Root, spool: &Path, part: Part) -> io::Result<usize> {
    let mut wanted: HashMap<DropFolder, HashMap<Inode, String>> = HashMap::new();
    for entry in entries(spool)? {
        let name = entry.to_str().unwrap_or_default();
        let name = name.strip_prefix(LINK_PREFIX).unwrap_or(name);
        let Some(parsed) = SpoolName::parse(name) else {
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
        mended += repair_folder(&opened, names, part)?;
    }
    Ok(mended)
}

fn repair_folder(
    folder: &OwnedFd,
    mut names: HashMap<Inode, String>,
    part: Part,
) -> io::Result<usize> {
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
            Ok(()) => {
                crash::point("repair-renamed");
                mended += 1;
            }
            Err(error) => failed = Some(error),
        }
        false
    });
    if part == Part::New && !names.is_empty() {
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
        let tenants = home.path().join("tenants");
        let (new, held) = (home.path().join("new"), home.path().join("held"));
        let tenant = tenants.join("acme");
        crate::sftp::lay_out(&tenant).expect("laid out");
        for spool in [&new, &held] {
            std::fs::create_dir_all(spool.join("acme")).expect("made");
        }
        let batch = "20261121T091502Z-7kq2xm";
        let link_in = |spool: &Path, prefix: &str, (file, mark, name): (&str, &str, &str)| {
            let file = tenant.join(file);
            if !file.exists() {
                std::fs::write(&file, file.as_os_str().as_bytes()).expect("written");
            }
            let entry = spool.join(format!("acme/{prefix}{batch}.{mark}.{name}"));
            std::fs::hard_link(file, entry).expect("linked");
        };
        let link = |file: &str, mark: &str, name: &str| link_in(&new, "", (file, mark, name));
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

        // Cut off before the daemon was shown the entry.
        let cut = ("whatsapp/.dropcast-up.f.json", "w", "f.json");
        link_in(&new, LINK_PREFIX, cut);
        // Taken, and renamed by its owner to an unfinished name, which it keeps.
        link_in(&held, "", ("whatsapp/g.json.part", "w", "g.json"));
        link_in(
            &held,
            "",
            ("whatsapp/dry-run/.dropcast-up.h.json", "d", "h.json"),
        );

        let done = repair(&tenants, &new, &held).expect("repaired");
        assert_eq!(done, 4);
        let read = |path: &str| std::fs::read(tenant.join(path)).expect("readable");
        assert!(read("whatsapp/a.json").ends_with(b".dropcast-up.a.json"));
        assert!(read("whatsapp/dry-run/b.json").ends_with(b"b.json.part"));
        assert_eq!(read("whatsapp/d.json"), b"a newer one");
        for untouched in [
            "whatsapp/c.json",
            "whatsapp/kept.json",
            "whatsapp/d.json.part",
            "whatsapp/.dropcast-up.e.json",
            "whatsapp/f.json",
            "whatsapp/g.json.part",
            "whatsapp/dry-run/h.json",
        ] {
            assert!(tenant.join(untouched).exists(), "{untouched}");
        }
        for gone in [
            ".dropcast-up.a.json",
            "dry-run/b.json.part",
            "was-called.json",
            ".dropcast-up.f.json",
            "g.json",
        ] {
            assert!(!tenant.join("whatsapp").join(gone).exists(), "{gone}");
        }
        let none = home.path().join("none");
        assert_eq!(repair(&tenants, &new, &none).expect("repaired"), 0);
        let shown = new.join(format!("acme/{batch}.w.f.json"));
        assert!(
            shown.exists()
                && !new
                    .join(format!("acme/{LINK_PREFIX}{batch}.w.f.json"))
                    .exists()
        );
    }
}
