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
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::drops::{Drops, find, look};
use super::settle::{self, Age, Kind, Look, Next, Sighting, Waits};
use super::taken::{Taken, taken};
use super::{Error, Inbox};
use crate::batch::name::{Companion, DropFolder, NameKind, names_to_come};
use crate::batch::origin::{Identity, Unread};
use crate::batch::{Moment, TenantName};
use crate::disk::{HIDDEN_PREFIX, UPLOAD_PREFIX};

/// Files of one tenant that are watched at a time; the others have to wait for their turn.
const SIGHTINGS_MAX: usize = 10_000;

/// Files that are watched besides, from their close to the next sweep.
const CLOSED_MAX: usize = 10_000;

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
    /// Copy it unless it is what the spool holds a copy of: that was of the same inode.
    TakeIfNew,
    /// Refuse it without reading it.
    Refuse(Unread),
    /// Hold it against the file that it is about.
    Heed {
        /// What it is.
        kind: Companion,
        /// For how long it has lain there.
        age: Age,
        /// Whether a file that it may be about is on its way.
        is_early: bool,
    },
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
    /// How many were too many to be watched.
    pub left_out: usize,
}

/// Files that are not to be found, though the spool does not show them as they are.
#[derive(Clone, Debug, Default)]
pub struct InHand {
    /// Those that are on their way into the spool.
    pub coming: HashSet<Identity>,
    /// Those that are what the spool holds copies of, except for their times.
    pub known: HashSet<Look>,
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

/// A file that a sweep has seen.
#[derive(Debug)]
struct Seen {
    folder: DropFolder,
    name: String,
    look: Look,
    has_links: bool,
}

/// The names of files that are on their way, so that what is said of them waits.
type Coming = HashSet<(DropFolder, String)>;

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
            // What it asks for is in force at once.
            Next::Heed(Companion::Steers(_), _) => Some(Duration::ZERO),
            Next::Heed(_, Age::Fresh) => Some(self.waits.closed),
            _ => Some(Duration::ZERO),
        })
    }

    /// Looks at everything in the drop folders, except at what is `in_hand` already.
    pub fn sweep(&mut self, inbox: &Inbox, in_hand: &InHand, now: Now) -> Result<Swept, Error> {
        let drops = self.drops()?;
        let mut swept = Swept::default();
        let mut seen = see_all(&drops, &mut swept)?;
        let mut known = taken(inbox, &self.tenant)?;
        let coming = coming(&seen, &known);
        seen.retain(|seen| !known.has(&seen.look) && !in_hand.coming.contains(&seen.look.identity));
        if seen.iter().any(|seen| seen.has_links) {
            known = taken(inbox, &self.tenant)?;
            seen.retain(|seen| !known.has(&seen.look));
        }
        let is_known = |look: &Look| {
            known.copied.contains(&look.identity.inode) && in_hand.known.contains(look)
        };
        seen.retain(|seen| !is_known(&seen.look));
        swept.left_out = self.choose(&mut seen);
        let here: HashSet<(DropFolder, &str)> = seen
            .iter()
            .map(|seen| (seen.folder, seen.name.as_str()))
            .collect();
        self.sightings
            .retain(|(folder, name), _| here.contains(&(*folder, name.as_str())));
        for seen in seen {
            let around = Around {
                drops: &drops,
                coming: &coming,
                has_copy: known.copied.contains(&seen.look.identity.inode),
            };
            self.judge(seen, now, &around, &mut swept)?;
        }
        Ok(swept)
    }

    /// Leaves so many files as are watched at a time, and says how many others there are. What
    /// counts comes first: thousands of unfinished files must not hide one that is finished.
    fn choose(&self, seen: &mut Vec<Seen>) -> usize {
        seen.retain(|seen| !is_ours(&seen.name));
        let left_out = seen.len().saturating_sub(SIGHTINGS_MAX);
        if left_out > 0 {
            seen.sort_by_cached_key(|seen| {
                let key = (seen.folder, seen.name.clone());
                (rank(&seen.name), !self.sightings.contains_key(&key))
            });
            seen.truncate(SIGHTINGS_MAX);
        }
        left_out
    }

    /// Decides about one file that nobody has taken.
    fn judge(
        &mut self,
        seen: Seen,
        now: Now,
        around: &Around<'_>,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        let Seen {
            folder, name, look, ..
        } = seen;
        let Some(sighting) = self.see(folder, &name, look, now.steady).copied() else {
            return Ok(());
        };
        let what = match self.next(&name, &sighting, now) {
            Next::Wait(rest) => {
                swept.wait(rest);
                return Ok(());
            }
            Next::Take if around.has_copy => What::TakeIfNew,
            Next::Take => What::Take,
            Next::Refuse(why) => What::Refuse(why),
            Next::Heed(kind, age) => {
                if age == Age::Fresh {
                    swept.wait(self.waits.closed);
                }
                let about = Companion::of(&name).map_or(name.as_str(), |(_, file)| file);
                let is_early = around.coming.contains(&(folder, about.to_owned()));
                What::Heed {
                    kind,
                    // While its file is on its way it does not ripen.
                    age: if is_early { age.min(Age::Settled) } else { age },
                    is_early,
                }
            }
            Next::Remove => What::Remove,
        };
        // The one more look.
        let still = find(around.drops.folder(folder)?, &name).map(|stat| self::look(&stat));
        if still == Some(look) {
            swept.found.push(Found {
                folder,
                name,
                look,
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
        let most = SIGHTINGS_MAX + CLOSED_MAX;
        let is_full = self.sightings.len() >= most && !self.sightings.contains_key(&key);
        if is_ours(name) || is_full {
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

/// What a file is judged by besides itself.
struct Around<'a> {
    drops: &'a Drops,
    coming: &'a Coming,
    /// Whether the spool holds a copy of its inode.
    has_copy: bool,
}

fn see_all(drops: &Drops, swept: &mut Swept) -> Result<Vec<Seen>, Error> {
    let mut seen = Vec::new();
    for folder in DropFolder::ALL {
        let listed = drops.list(folder)?;
        swept.unusable += listed.unusable;
        let opened = drops.folder(folder)?;
        for name in listed.names {
            if let Some(stat) = find(&opened, &name) {
                seen.push(Seen {
                    folder,
                    name,
                    look: look(&stat),
                    has_links: stat.st_nlink > 1,
                });
            }
        }
    }
    Ok(seen)
}

/// The names of files that have no row: they are being written, lie there, or are in the spool.
fn coming(seen: &[Seen], known: &Taken) -> Coming {
    let mut coming = known.new_names.clone();
    for Seen {
        folder, name, look, ..
    } in seen
    {
        let upload = name.strip_prefix(UPLOAD_PREFIX);
        let has_row = known.has(look) && !known.new_inodes.contains(&look.identity.inode);
        if upload.is_some() || !(has_row || is_ours(name)) {
            let names = names_to_come(upload.unwrap_or(name));
            coming.extend(names.map(|name| (*folder, name.to_owned())));
        }
    }
    coming
}

/// Whether it is a hidden file of ours, other than an upload.
fn is_ours(name: &str) -> bool {
    name.starts_with(HIDDEN_PREFIX) && !name.starts_with(UPLOAD_PREFIX)
}

/// Which files are watched first if there are too many: those that something comes of.
fn rank(name: &str) -> u8 {
    match NameKind::of(name) {
        NameKind::Batch { .. } | NameKind::Companion(_) => 0,
        NameKind::Encrypted | NameKind::Other => 1,
        NameKind::Unfinished => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
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
        in_hand: InHand,
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
                in_hand: InHand::default(),
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
            let swept = self.lookout.sweep(&self.inbox, &self.in_hand, now);
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
        let tenant = yard.lookout.tenant.clone();
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

    fn named<'a>(found: &'a [Found], name: &str) -> &'a Found {
        let one = found.iter().find(|found| found.name == name);
        one.unwrap_or_else(|| panic!("no {name}"))
    }

    /// A tool that sets the times of a file after writing it must not have it sent twice, and one
    /// that writes it anew must not have it forgotten.
    #[test]
    fn a_file_is_new_when_its_bytes_are() {
        let mut yard = Yard::new();
        let local = yard.drop.join("a.json");
        write(&local, "{\"a\":1}");
        let drops = yard.lookout.drops().expect("opened");
        let tenant = yard.lookout.tenant.clone();
        let found = yard.sweep();
        yard.inbox.copy(&tenant, &drops, &found[0]).expect("copied");
        let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let file = fs::File::options().append(true).open(&local);
        let file = file.expect("opened");
        file.set_modified(long_ago).expect("set");
        for part in ["new", "held"] {
            let found = yard.sweep();
            assert_eq!(named(&found, "a.json").what, What::TakeIfNew, "{part}");
            let is_known = yard.inbox.has_copy(&tenant, &drops, &found[0]);
            assert!(is_known.expect("compared"), "{part}");
            for arrival in yard.inbox.take(&tenant).expect("taken") {
                yard.inbox.hold(&arrival).expect("held");
            }
        }
        let touched = yard.sweep()[0].look;
        yard.in_hand.known.insert(touched);
        assert_eq!(yard.sweep(), [], "it is not compared again");

        write(&local, "{\"a\":2}");
        let found = yard.sweep();
        assert_eq!(named(&found, "a.json").what, What::TakeIfNew);
        let is_known = yard.inbox.has_copy(&tenant, &drops, &found[0]);
        assert!(!is_known.expect("compared"));
        let taking = yard.inbox.copy(&tenant, &drops, &found[0]).expect("copied");
        assert!(matches!(taking, Taking::Spooled(_)));
        assert_eq!(yard.sweep(), []);
    }

    /// What a disk that is nearly full has left is needed for the results.
    #[test]
    fn a_file_that_does_not_fit_is_not_copied() {
        let mut yard = Yard::new();
        write(&yard.drop.join("a.json"), "{}");
        let drops = yard.lookout.drops().expect("opened");
        let tenant = yard.lookout.tenant.clone();
        let found = yard.sweep();
        yard.inbox.reserve = crate::disk::room::Reserve {
            bytes: u64::MAX,
            bytes_part: 1,
            ..Default::default()
        };
        let copied = yard.inbox.copy(&tenant, &drops, &found[0]);
        let Err(Error::Spool { source, .. }) = copied else {
            panic!("{copied:?}");
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        let spool = yard.spooled("");
        assert_eq!(fs::read_dir(spool).expect("listed").count(), 0);
    }

    /// A client that heard `OK` for a whole file must not be told by an older look that the file
    /// is refused.
    #[test]
    fn nothing_is_refused_for_what_it_was() {
        let mut yard = Yard::new();
        let (empty, other) = (yard.drop.join("empty.json"), yard.drop.join("x.txt"));
        write(&empty, "");
        write(&other, "{}");
        let drops = yard.lookout.drops().expect("opened");
        let tenant = yard.lookout.tenant.clone();
        let found = yard.sweep();
        write(&empty, "{}");
        fs::hard_link(&other, yard.spooled(SPOOL_NAME)).expect("linked");
        let mut linked = named(&found, "x.txt").clone();
        let stat = find(drops.folder(DropFolder::Whatsapp).expect("opened"), "x.txt");
        linked.look = look(&stat.expect("there"));
        for (stale, why) in [
            (named(&found, "empty.json"), Unread::Empty),
            (named(&found, "x.txt"), Unread::UnknownEnding),
            (&linked, Unread::UnknownEnding),
        ] {
            let taking = yard.inbox.refuse_unread(&tenant, &drops, (stale, why));
            assert_eq!(taking.expect("looked"), Taking::Changed, "{}", stale.name);
        }
        let spool = yard.spooled("");
        assert_eq!(fs::read_dir(spool).expect("listed").count(), 1);
    }

    /// Thousands of uploads that broke off must not keep a finished file from being sent.
    #[test]
    fn unfinished_files_hide_no_other() {
        let mut yard = Yard::new();
        for number in 0..SIGHTINGS_MAX {
            write(&yard.drop.join(format!("{number}.part")), "");
        }
        assert_eq!(yard.sweep().len(), SIGHTINGS_MAX);
        write(&yard.drop.join("a.json"), "{}");
        write(&yard.drop.join("b.json.done"), "");
        let now = Now {
            steady: crate::clock::steady(),
            wall: crate::clock::now(),
        };
        let swept = yard
            .lookout
            .sweep(&yard.inbox, &InHand::default(), now)
            .expect("swept");
        assert_eq!(swept.left_out, 2);
        assert_eq!(named(&swept.found, "a.json").what, What::Take);
        named(&swept.found, "b.json.done");
    }

    /// A checksum that comes first must lie there until its file has come, however slowly that is
    /// uploaded.
    #[test]
    fn a_companion_is_early_while_its_file_is_on_its_way() {
        let mut yard = Yard::new();
        let companion = yard.drop.join("a.json.md5");
        let on_its_way = |yard: &mut Yard| {
            let found = yard.sweep();
            let What::Heed { age, is_early, .. } = named(&found, "a.json.md5").what else {
                panic!("{found:?}");
            };
            assert_eq!(
                age,
                if is_early {
                    Age::Settled
                } else {
                    Age::Abandoned
                }
            );
            is_early
        };
        write(&companion, "");
        assert!(!on_its_way(&mut yard));
        for name in [
            ".dropcast-up.a.json",
            "a.json.filepart",
            ".a.json",
            "a.json",
        ] {
            let path = yard.drop.join(name);
            write(&path, "{}");
            assert!(on_its_way(&mut yard), "{name}");
            fs::remove_file(&path).expect("removed");
        }
        for other in ["dry-run/a.json.part", "b.json.part", "a.json.md5.part"] {
            write(&yard.drop.join(other), "");
            assert!(!on_its_way(&mut yard), "{other}");
        }
        // In the spool it is on its way until it has a row.
        let (visible, spooled) = (yard.drop.join("a.json"), yard.spooled(SPOOL_NAME));
        write(&visible, "{}");
        fs::hard_link(&visible, &spooled).expect("linked");
        assert!(on_its_way(&mut yard));
        let held = yard.inbox.held_folder().join("acme").join(SPOOL_NAME);
        fs::rename(spooled, held).expect("held");
        assert!(!on_its_way(&mut yard));
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
