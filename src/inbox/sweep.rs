//! Files in a tenant's drop folders that nobody has taken yet, and what is to be done with each.
//! When a file is finished is for `settle` to decide; the taking is for `take`.
//!
//! A sweep looks at the drop folders first and at the spool after, and that order is what keeps a
//! file from being taken twice. What the door puts in has its place in the spool before its name is
//! seen, and what was copied was seen before; so whatever was taken when the folders were looked
//! at is in the spool when the spool is looked at, unless it was released in between. A release
//! comes after the removal of every name of the file. So a file that is in no part of the spool
//! and still has its name at one more look afterwards was never taken. Entries go from `new` to
//! `held`, so `new` is looked at first. An entry that is renamed within its folder while that is
//! read may be missed; that happens once in its life, so where a file has further links, which
//! every file of the door has, the spool is looked at once more.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::drops::{Drops, find, look};
use super::settle::{self, Age, Kind, Look, Next, Sighting, Waits};
use super::{Error, Inbox, fault};
use crate::batch::name::{Companion, DropFolder, NameKind};
use crate::batch::origin::{Identity, SpoolEntry, Unread};
use crate::batch::{Moment, TenantName};
use crate::disk::{HIDDEN_PREFIX, UPLOAD_PREFIX};

/// Files of one tenant that are watched at a time; the others have to wait for their turn.
const SIGHTINGS_MAX: usize = 10_000;

/// A file that something is to be done about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub folder: DropFolder,
    /// Its name there.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// What is to be done.
    pub what: What,
}

/// What is to be done about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Copy it: it is whole.
    Take,
    /// Refuse it without reading it.
    Refuse(Unread),
    /// Hold it against the file that it is about.
    Heed(Companion, Age),
    /// Remove it: nobody goes on with this upload.
    Remove,
}

/// What a sweep has brought.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// What is to be done.
    pub found: Vec<Found>,
    /// After which time there will be more; `None` if nothing is being waited for.
    pub again_after: Option<Duration>,
    /// How many files have a name under which nothing can be answered.
    pub unusable: usize,
}

/// The two clocks, read together.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The steady one.
    pub steady: Instant,
    /// The wall's.
    pub wall: Moment,
}

/// Watches the drop folders of one tenant.
#[derive(Debug)]
pub struct Lookout {
    tenant: TenantName,
    root: PathBuf,
    waits: Waits,
    size_bytes_max: u64,
    sightings: HashMap<(DropFolder, String), Sighting>,
}

/// What of a tenant's files has been taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Inodes that the door has put into the spool, or is about to.
    pub(super) inodes: HashSet<u64>,
    /// Files that were copied, or are to be moved away.
    files: HashSet<Identity>,
}

impl Taken {
    fn has(&self, look: &Look) -> bool {
        self.inodes.contains(&look.identity.inode) || self.files.contains(&look.identity)
    }
}

impl Lookout {
    /// Watches the folders beneath `root`.
    pub fn new(tenant: TenantName, root: PathBuf, waits: Waits, size_bytes_max: u64) -> Self {
        Self {
            tenant,
            root,
            waits,
            size_bytes_max,
            sightings: HashMap::new(),
        }
    }

    /// Whose folders these are.
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// The folders, opened.
    pub fn drops(&self) -> Result<Drops, Error> {
        Drops::open(&self.root)
    }

    /// A file was closed by a writer or moved to this name. Says how long to wait before a sweep
    /// is worth it; `None` when this is no file to be watched.
    pub fn note(
        &mut self,
        drops: &Drops,
        (folder, name): (DropFolder, &str),
        now: Now,
    ) -> Result<Option<Duration>, Error> {
        if name.starts_with(HIDDEN_PREFIX) {
            return Ok(None);
        }
        let Some(stat) = find(drops.folder(folder)?, name) else {
            return Ok(None);
        };
        let look = look(&stat);
        let Some(sighting) = self.see(folder, name, look, now.steady) else {
            return Ok(None);
        };
        sighting.closed();
        let sighting = *sighting;
        if stat.st_nlink > 1 {
            // Nearly always one of the door's, of which there may be thousands at a time; a local
            // job's is found by the sweep that comes anyway.
            return Ok(None);
        }
        Ok(match self.next(name, &sighting, now) {
            Next::Wait(rest) => Some(rest),
            Next::Heed(_, Age::Fresh) => Some(self.waits.closed),
            _ => Some(Duration::ZERO),
        })
    }

    /// Looks at everything in the drop folders, except at what is `in_hand` already.
    pub fn sweep(
        &mut self,
        inbox: &Inbox,
        in_hand: &HashSet<Identity>,
        now: Now,
    ) -> Result<Swept, Error> {
        let drops = self.drops()?;
        let mut swept = Swept::default();
        let mut seen = Vec::new();
        for folder in DropFolder::ALL {
            let listed = drops.list(folder)?;
            swept.unusable += listed.unusable;
            let opened = drops.folder(folder)?;
            for name in listed.names {
                if let Some(stat) = find(&opened, &name) {
                    seen.push((folder, name, look(&stat), stat.st_nlink > 1));
                }
            }
        }
        let known = taken(inbox, &self.tenant)?;
        seen.retain(|(_, _, look, _)| !known.has(look) && !in_hand.contains(&look.identity));
        if seen.iter().any(|(_, _, _, has_links)| *has_links) {
            let known = taken(inbox, &self.tenant)?;
            seen.retain(|(_, _, look, _)| !known.has(look));
        }
        let here: HashSet<(DropFolder, &str)> = seen
            .iter()
            .map(|(folder, name, ..)| (*folder, name.as_str()))
            .collect();
        self.sightings
            .retain(|(folder, name), _| here.contains(&(*folder, name.as_str())));
        for (folder, name, look, _) in seen {
            self.judge(&drops, (folder, name, look), now, &mut swept)?;
        }
        Ok(swept)
    }

    /// Decides about one file that nobody has taken.
    fn judge(
        &mut self,
        drops: &Drops,
        (folder, name, seen): (DropFolder, String, Look),
        now: Now,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        let Some(sighting) = self.see(folder, &name, seen, now.steady).copied() else {
            return Ok(());
        };
        let what = match self.next(&name, &sighting, now) {
            Next::Wait(rest) => {
                swept.wait(rest);
                return Ok(());
            }
            Next::Take => What::Take,
            Next::Refuse(why) => What::Refuse(why),
            Next::Heed(companion, age) => {
                if age == Age::Fresh {
                    swept.wait(self.waits.closed);
                }
                What::Heed(companion, age)
            }
            Next::Remove => What::Remove,
        };
        // The one more look.
        let still = find(drops.folder(folder)?, &name).map(|stat| look(&stat));
        if still == Some(seen) {
            swept.found.push(Found {
                folder,
                name,
                look: seen,
                what,
            });
        }
        Ok(())
    }

    fn see(
        &mut self,
        folder: DropFolder,
        name: &str,
        look: Look,
        now: Instant,
    ) -> Option<&mut Sighting> {
        let key = (folder, name.to_owned());
        let is_ours = name.starts_with(HIDDEN_PREFIX) && !name.starts_with(UPLOAD_PREFIX);
        let is_full = self.sightings.len() >= SIGHTINGS_MAX && !self.sightings.contains_key(&key);
        if is_ours || is_full {
            return None;
        }
        let sighting = self
            .sightings
            .entry(key)
            .or_insert_with(|| Sighting::new(look, now));
        sighting.again(look, now);
        Some(sighting)
    }

    fn next(&self, name: &str, sighting: &Sighting, now: Now) -> Next {
        let kind = if name.starts_with(UPLOAD_PREFIX) {
            Kind::Partial
        } else {
            Kind::Named(NameKind::of(name))
        };
        let age_ms = now.wall.as_millis() - sighting.look().changed_ns / 1_000_000;
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        let bounds = (&self.waits, self.size_bytes_max);
        settle::next(kind, sighting, (now.steady, age), bounds)
    }
}

impl Swept {
    fn wait(&mut self, rest: Duration) {
        self.again_after = Some(self.again_after.map_or(rest, |other| other.min(rest)));
    }
}

/// What of a tenant's files is in the spool.
pub(super) fn taken(inbox: &Inbox, tenant: &TenantName) -> Result<Taken, Error> {
    let mut taken = Taken::default();
    for part in [inbox.new_folder(), inbox.held_folder()] {
        let folder = part.join(tenant.as_str());
        let failed = |source| fault("list", &folder, source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let known = name.to_str().and_then(SpoolEntry::parse);
            if let Some(identity) = known.and_then(|known| known.origin.identity()) {
                taken.files.insert(identity);
                continue;
            }
            // Whatever else lies there may be what the door is about to put in.
            match entry.metadata() {
                Ok(about) => drop(taken.inodes.insert(about.ino())),
                // It went on to the next part, or was released.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::inbox::Taking;

    /// Nothing has to lie still, so that whatever is not known as taken is found at once.
    const AT_ONCE: Waits = Waits {
        closed: Duration::ZERO,
        unclosed: Duration::ZERO,
        refused: Duration::ZERO,
        abandoned: Duration::ZERO,
    };
    const SPOOL_NAME: &str = "20261121T091502Z-7kq2xm.w.door.json";

    struct Yard {
        _home: tempfile::TempDir,
        drop: PathBuf,
        inbox: Inbox,
        lookout: Lookout,
    }

    impl Yard {
        fn new() -> Self {
            let home = tempfile::tempdir().expect("a temporary folder");
            let tenant = TenantName::parse("acme").expect("a name");
            let root = home.path().join("tenants/acme");
            fs::create_dir_all(root.join("whatsapp/dry-run")).expect("made");
            let spool = home.path().join("spool");
            let inbox = Inbox::open(&spool, std::slice::from_ref(&tenant)).expect("opened");
            Self {
                drop: root.join("whatsapp"),
                lookout: Lookout::new(tenant, root, AT_ONCE, 1_000),
                inbox,
                _home: home,
            }
        }

        fn spooled(&self, name: &str) -> PathBuf {
            self.inbox.new_folder().join("acme").join(name)
        }

        fn sweep(&mut self) -> Vec<Found> {
            let now = Now {
                steady: crate::clock::steady(),
                wall: crate::clock::now(),
            };
            let swept = self.lookout.sweep(&self.inbox, &HashSet::new(), now);
            swept.expect("swept").found
        }
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).expect("written");
    }

    /// What the door has taken must not be copied as well, and what it has not must be.
    #[test]
    fn what_was_taken_is_not_found_again() {
        let mut yard = Yard::new();
        let (door, local) = (yard.drop.join("door.json"), yard.drop.join("local.json"));
        write(&door, "{}");
        // The door shows its entry to nobody but this room before the file has its name.
        let hidden = yard.spooled(&format!(".dropcast-link.{SPOOL_NAME}"));
        fs::hard_link(&door, &hidden).expect("linked");
        write(&local, "{\"a\":1}");
        symlink(&local, yard.drop.join("link.json")).expect("linked");
        write(&yard.drop.join(".dropcast-gone.x.json"), "{}");
        let found = yard.sweep();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].name.as_str(), found[0].what),
            ("local.json", What::Take)
        );
        fs::rename(&hidden, yard.spooled(SPOOL_NAME)).expect("shown");

        let drops = yard.lookout.drops().expect("opened");
        let tenant = yard.lookout.tenant().clone();
        let taken = yard.inbox.copy(&tenant, &drops, &found[0]).expect("copied");
        assert!(matches!(taken, Taking::Spooled(_)));
        // Renamed it is still the file that was taken; written to it is another.
        let renamed = yard.drop.join("dry-run/other.json");
        fs::rename(&local, &renamed).expect("renamed");
        assert_eq!(yard.sweep(), []);
        let arrivals = yard.inbox.take(&tenant).expect("taken");
        assert_eq!(arrivals.len(), 2);
        yard.inbox.hold(&arrivals[0]).expect("held");
        yard.inbox.hold(&arrivals[1]).expect("held");
        assert_eq!(yard.sweep(), []);
        write(&renamed, "{\"a\":12}");
        let again = yard.inbox.copy(&tenant, &drops, &found[0]).expect("looked");
        assert_eq!(again, Taking::Changed);
        let found = yard.sweep();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].folder, DropFolder::DryRun);
    }

    /// A sweep runs beside the door and beside the ends of batches: at no moment of a file's life
    /// may it look as if nobody had taken it.
    #[test]
    fn no_moment_of_a_files_life_looks_like_a_new_file() {
        const SWEEPS: usize = 5_000;
        let mut yard = Yard::new();
        let part = yard.drop.join(".dropcast-up.door.json");
        let visible = yard.drop.join("door.json");
        let hidden = yard.spooled(&format!(".dropcast-link.{SPOOL_NAME}"));
        let new = yard.spooled(SPOOL_NAME);
        let held = yard.inbox.held_folder().join("acme").join(SPOOL_NAME);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    write(&part, "{}");
                    fs::hard_link(&part, &hidden).expect("linked");
                    fs::rename(&part, &visible).expect("named");
                    fs::rename(&hidden, &new).expect("shown");
                    fs::rename(&new, &held).expect("held");
                    fs::remove_file(&visible).expect("removed");
                    fs::remove_file(&held).expect("released");
                }
            });
            let taken = (0..SWEEPS).find_map(|_| {
                let found = yard.sweep();
                found.into_iter().find(|found| found.what == What::Take)
            });
            over.store(true, Ordering::Release);
            assert_eq!(taken, None);
        });
    }
}
