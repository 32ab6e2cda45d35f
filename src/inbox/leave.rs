//! A batch ends: its file loses every name in the drop folders, and nothing else does.
//!
//! Between a look at a name and its removal a newer file may have got it. So the name is first put
//! aside under a hidden one, looked at there, and put back if it is another file; whatever has the
//! name by then keeps it. A start finishes what a crash has left aside.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, RenameFlags, fstat, fsync, renameat_with, unlinkat};
use rustix::io::Errno;

use super::drops::{Drops, find, look, open_file};
use super::settle::Look;
use super::take::same_bytes;
use super::taken::taken;
use super::{ASIDE_PREFIX, Error, Inbox, fault};
use crate::batch::Arrival;
use crate::batch::name::{DropFolder, NAME_BYTES_MAX};
use crate::batch::origin::Identity;
use crate::crash;

/// How often the names of a file are looked for while its owner goes on renaming it.
const TRIES: usize = 8;

/// What is done with the file behind a name.
#[derive(Clone, Copy, Debug)]
enum Fate<'a> {
    Unlink,
    /// It goes to this name in that folder.
    Move(&'a OwnedFd, &'a str),
}

/// By what the file is known whose names go.
#[derive(Clone, Copy, Debug)]
enum Mark<'a> {
    /// It is the inode that the spool holds.
    Inode(u64),
    /// It is this file of this size.
    File(Identity, u64),
    /// The same, of which this is a copy: with other times it still is that file while it holds
    /// the same bytes.
    Copied(Identity, u64, &'a File),
}

impl Mark<'_> {
    fn is(self, folder: &OwnedFd, name: &str) -> bool {
        let Some(stat) = find(folder, name) else {
            return false;
        };
        let found = look(&stat);
        match self {
            Self::Inode(inode) => stat.st_ino == inode,
            Self::File(identity, size_bytes) => {
                found.identity == identity && found.size_bytes == size_bytes
            }
            Self::Copied(identity, size_bytes, copy) => {
                found.identity.inode == identity.inode
                    && found.size_bytes == size_bytes
                    && (found.identity == identity || holds(folder, (name, found), copy))
            }
        }
    }
}

/// Whether the file that looks like this holds what `copy` does. What cannot be read now is told
/// apart by its times.
fn holds(folder: &OwnedFd, (name, found): (&str, Look), copy: &File) -> bool {
    let Ok(file) = open_file(folder, name) else {
        return false;
    };
    let is_as_seen = || fstat(&file).is_ok_and(|stat| look(&stat) == found);
    is_as_seen() && same_bytes(&file, copy).unwrap_or(false) && is_as_seen()
}

/// A drop folder, opened, with its path for the words of an error.
struct Opened<'a> {
    folder: OwnedFd,
    path: &'a Path,
}

impl Inbox {
    /// Removes every name that the file of an arrival has in the drop folders. `kept` is where a
    /// further link to it may lie.
    pub fn remove_names(&self, drops: &Drops, arrival: &Arrival, kept: &Path) -> Result<(), Error> {
        let Some(identity) = arrival.origin.identity() else {
            return self.remove_door_names(drops, arrival, kept);
        };
        let copy = self.content(arrival);
        let mark = match &copy {
            Some(copy) => Mark::Copied(identity, arrival.size_bytes, copy),
            None => Mark::File(identity, arrival.size_bytes),
        };
        self.leave_anywhere(drops, arrival, mark, Fate::Unlink)
            .map(drop)
    }

    /// Moves the file of an arrival that was refused unread to `name` in the tenant's folder `to`.
    /// Says whether it is there; it is not if it was changed or deleted meanwhile.
    pub fn move_away(
        &self,
        drops: &Drops,
        arrival: &Arrival,
        (to, name): (&str, &str),
    ) -> Result<bool, Error> {
        let tray = drops.beneath(to)?;
        let Some(identity) = arrival.origin.identity() else {
            return Ok(false);
        };
        if find(&tray, name).is_some() {
            return Ok(true);
        }
        if taken(self, &arrival.tenant)?
            .inodes
            .contains(&identity.inode)
        {
            // Its owner has given it a name that counts, and it has become a batch.
            return Ok(false);
        }
        let mark = Mark::File(identity, arrival.size_bytes);
        let moved = self.leave_anywhere(drops, arrival, mark, Fate::Move(&tray, name))?;
        fsync(&tray).map_err(|error| fault("sync", Path::new(to), error.into()))?;
        Ok(moved)
    }

    /// Removes a companion, if it still is the one that was read. Says whether it was.
    pub fn remove_companion(
        &self,
        drops: &Drops,
        (folder, name): (DropFolder, &str),
        (identity, size_bytes): (Identity, u64),
    ) -> Result<bool, Error> {
        let path = drops.path(folder);
        let opened = Opened {
            folder: drops.folder(folder)?,
            path: &path,
        };
        let mark = Mark::File(identity, size_bytes);
        self.leave(&opened, name, mark, Fate::Unlink)
    }

    /// Gives names back that a crash has left aside. Files whose batch has not ended lose them
    /// again in the end. To be called before anything is swept or removed.
    pub fn finish_leaving(&self, drops: &Drops) -> Result<(), Error> {
        for folder in DropFolder::ALL {
            let path = drops.path(folder);
            let opened = drops.folder(folder)?;
            for aside in drops.list(folder)?.names {
                let Some(name) = aside.strip_prefix(ASIDE_PREFIX) else {
                    continue;
                };
                put_back(&opened, &aside, name).map_err(|error| fault("put back", &path, error))?;
            }
            fsync(&opened).map_err(|error| fault("sync", &path, error.into()))?;
        }
        Ok(())
    }

    /// The door's files are told by their inode, which counts its names: the spool's, that of the
    /// kept copy, and what is left is in the drop folders under whatever name their owner gave it.
    fn remove_door_names(
        &self,
        drops: &Drops,
        arrival: &Arrival,
        kept: &Path,
    ) -> Result<(), Error> {
        let file = self.file(arrival)?;
        // A listing may miss a name that is being renamed, so it takes two to show that there is
        // none.
        let mut found_none = 0;
        for _ in 0..TRIES {
            let failed = |source| fault("look at", kept, source);
            let spooled = file.metadata().map_err(failed)?;
            let also = kept
                .symlink_metadata()
                .is_ok_and(|it| it.ino() == spooled.ino());
            if spooled.nlink() <= 1 + u64::from(also) || found_none == 2 {
                // Whatever further names it has are not in the drop folders.
                return Ok(());
            }
            let mark = Mark::Inode(spooled.ino());
            let left = self.leave_anywhere(drops, arrival, mark, Fate::Unlink)?;
            found_none = if left { 0 } else { found_none + 1 };
        }
        // A name that stayed would be a new file once the spool has forgotten this one.
        let busy = io::Error::other("it goes on being renamed");
        let path = drops.path(arrival.folder).join(&arrival.name);
        Err(fault("remove", &path, busy))
    }

    /// The recorded name first, which is nearly always the one; then every other.
    fn leave_anywhere(
        &self,
        drops: &Drops,
        arrival: &Arrival,
        mark: Mark<'_>,
        fate: Fate<'_>,
    ) -> Result<bool, Error> {
        let mut left = false;
        let others = DropFolder::ALL
            .into_iter()
            .filter(|folder| *folder != arrival.folder);
        for folder in std::iter::once(arrival.folder).chain(others) {
            let path = drops.path(folder);
            let opened = Opened {
                folder: drops.folder(folder)?,
                path: &path,
            };
            if folder == arrival.folder {
                let only = find(&opened.folder, &arrival.name).is_some_and(|it| it.st_nlink == 1);
                left |= self.leave(&opened, &arrival.name, mark, fate)?;
                // Links of the door's files are counted by the caller, and one file moves once.
                let enough =
                    only || matches!((mark, fate), (Mark::Inode(_), _) | (_, Fate::Move(..)));
                if left && enough {
                    return Ok(true);
                }
            }
            for name in drops.list(folder)?.names {
                left |= mark.is(&opened.folder, &name) && self.leave(&opened, &name, mark, fate)?;
            }
        }
        Ok(left)
    }

    /// Takes one name away, if it is the file's.
    fn leave(
        &self,
        opened: &Opened<'_>,
        name: &str,
        mark: Mark<'_>,
        fate: Fate<'_>,
    ) -> Result<bool, Error> {
        let failed = |error: io::Error| fault("remove", &opened.path.join(name), error);
        let left = {
            let _alone = self.alone();
            leave(&opened.folder, name, mark, fate).map_err(failed)?
        };
        if left {
            fsync(&opened.folder).map_err(|error| failed(error.into()))?;
            crash::point("name-removed");
        }
        Ok(left)
    }
}

fn leave(folder: &OwnedFd, name: &str, mark: Mark<'_>, fate: Fate<'_>) -> io::Result<bool> {
    if !mark.is(folder, name) {
        return Ok(false);
    }
    // Names that are hidden or longer than the door takes are not written to again by any client.
    let plain = name.starts_with(ASIDE_PREFIX) || name.len() > NAME_BYTES_MAX;
    if plain {
        return meet(folder, name, fate);
    }
    let aside = format!("{ASIDE_PREFIX}{name}");
    // What lies aside already came from a crash, or from the meeting of two newer files: it gets
    // the name when this one goes.
    let flags = if find(folder, &aside).is_some() {
        RenameFlags::EXCHANGE
    } else {
        RenameFlags::NOREPLACE
    };
    match renameat_with(folder, name, folder, &aside, flags) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    crash::point("name-aside");
    let is_ours = mark.is(folder, &aside) && meet(folder, &aside, fate)?;
    if !is_ours {
        put_back(folder, &aside, name)?;
    }
    Ok(is_ours)
}

fn meet(folder: &OwnedFd, name: &str, fate: Fate<'_>) -> io::Result<bool> {
    let done = match fate {
        Fate::Unlink => unlinkat(folder, name, AtFlags::empty()),
        Fate::Move(tray, to) => renameat_with(folder, name, tray, to, RenameFlags::NOREPLACE),
    };
    match done {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file its name back, unless a newer one has it: then it stays aside until that one's
/// batch has ended, or until the next start.
fn put_back(folder: &OwnedFd, aside: &str, name: &str) -> io::Result<()> {
    match renameat_with(folder, aside, folder, name, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::EXIST | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::batch::origin::Origin;
    use crate::batch::{BatchId, Moment, TenantName};

    struct Yard {
        home: tempfile::TempDir,
        drop: PathBuf,
        inbox: Inbox,
        drops: Drops,
    }

    fn yard() -> Yard {
        let home = tempfile::tempdir().expect("a temporary folder");
        let root = home.path().join("acme");
        for folder in ["whatsapp/dry-run", "whatsapp/errors"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        let tenant = TenantName::parse("acme").expect("a name");
        let inbox = Inbox::open(&home.path().join("spool"), &[tenant]).expect("opened");
        Yard {
            drop: root.join("whatsapp"),
            drops: Drops::open(&root).expect("opened"),
            inbox,
            home,
        }
    }

    impl Yard {
        fn write(&self, name: &str, text: &str) -> Identity {
            fs::write(self.drop.join(name), text).expect("written");
            let (folder, name) = match name.strip_prefix("dry-run/") {
                Some(name) => (DropFolder::DryRun, name),
                None => (DropFolder::Whatsapp, name),
            };
            let identity = self.drops.identity(folder, name).expect("looked");
            identity.expect("there")
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.drop.join(name)).ok()
        }

        fn remove(&self, arrival: &Arrival) {
            let kept = self.home.path().join("kept");
            let removed = self.inbox.remove_names(&self.drops, arrival, &kept);
            removed.expect("removed");
        }
    }

    fn arrival(origin: Origin, size_bytes: u64) -> Arrival {
        Arrival {
            tenant: TenantName::parse("acme").expect("a name"),
            batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
            folder: DropFolder::Whatsapp,
            name: "orders.json".into(),
            size_bytes,
            received_at: Moment::from_millis(1),
            origin,
        }
    }

    /// The end of a batch must take its own file away, whatever it is called by now, and no other.
    #[test]
    fn every_name_of_a_file_goes_and_no_other() {
        let yard = yard();
        let mine = arrival(Origin::Copied(yard.write("orders.json", "old")), 3);
        fs::hard_link(yard.drop.join("orders.json"), yard.drop.join("orders.tmp")).expect("linked");
        yard.remove(&mine);
        assert_eq!(
            (yard.read("orders.json"), yard.read("orders.tmp")),
            (None, None)
        );

        let mine = arrival(Origin::Copied(yard.write("orders.json", "old")), 3);
        fs::rename(yard.drop.join("orders.json"), yard.drop.join("dry-run/x")).expect("renamed");
        yard.write("orders.json", "new");
        yard.remove(&mine);
        assert_eq!(yard.read("dry-run/x"), None);
        assert_eq!(yard.read("orders.json").as_deref(), Some("new"));
        // One that was written to since is another file.
        let mine = arrival(Origin::Copied(yard.write("orders.json", "old")), 3);
        yard.write("orders.json", "changed");
        yard.remove(&mine);
        assert_eq!(yard.read("orders.json").as_deref(), Some("changed"));

        yard.write("orders.json", "door");
        let mine = arrival(Origin::Door, 4);
        let spooled = "spool/held/acme/20261121T091502Z-7kq2xm.w.orders.json";
        for link in [spooled, "kept"] {
            let link = yard.home.path().join(link);
            fs::hard_link(yard.drop.join("orders.json"), link).expect("linked");
        }
        fs::rename(
            yard.drop.join("orders.json"),
            yard.drop.join("dry-run/y.part"),
        )
        .expect("renamed");
        yard.write("orders.json", "newer");
        yard.remove(&mine);
        assert_eq!(yard.read("dry-run/y.part"), None);
        assert_eq!(yard.read("orders.json").as_deref(), Some("newer"));
    }

    /// A file whose times were set while it was sent goes all the same; one that was written anew
    /// stays, also if it is as long as before.
    #[test]
    fn a_file_with_other_times_goes_and_one_with_other_bytes_stays() {
        let yard = yard();
        let entry = "spool/held/acme/20261121T091502Z-7kq2xm";
        for (text, left) in [("same", None), ("anew", Some("anew"))] {
            let mine = arrival(Origin::Copied(yard.write("orders.json", "same")), 4);
            let copy = format!("{entry}.w{}.orders.json", mine.origin);
            fs::copy(yard.drop.join("orders.json"), yard.home.path().join(copy)).expect("copied");
            let was = mine.origin.identity();
            while Some(yard.write("orders.json", text)) == was {}
            yard.remove(&mine);
            assert_eq!(yard.read("orders.json").as_deref(), left);
        }
    }

    /// A name that is left when the spool forgets its file would be sent once more.
    #[test]
    fn a_file_with_many_names_loses_them_all_or_says_so() {
        let yard = yard();
        yard.write("orders.json", "door");
        let mine = arrival(Origin::Door, 4);
        let spooled = "spool/held/acme/20261121T091502Z-7kq2xm.w.orders.json";
        let visible = yard.drop.join("orders.json");
        fs::hard_link(&visible, yard.home.path().join(spooled)).expect("linked");
        let linked = yard.home.path().join("elsewhere");
        fs::hard_link(&visible, &linked).expect("linked");
        // A pass removes all names that it lists, so what stays has to come anew each time.
        let over = std::sync::atomic::AtomicBool::new(false);
        let kept = yard.home.path().join("kept");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Acquire) {
                    let _ = fs::hard_link(&linked, &visible);
                }
            });
            // The other thread gets its turn when the machine has one for it.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            let mut removed = None;
            while removed.is_none() && std::time::Instant::now() < deadline {
                removed = yard.inbox.remove_names(&yard.drops, &mine, &kept).err();
            }
            over.store(true, std::sync::atomic::Ordering::Release);
            assert!(removed.is_some(), "it was told to be gone");
        });
        yard.remove(&mine);
        assert_eq!(yard.read("orders.json"), None);
    }

    /// A newer file that a crash, or a meeting of two, has left aside gets its name back.
    #[test]
    fn what_lies_aside_gets_its_name_when_it_is_free() {
        let yard = yard();
        yard.write(".dropcast-gone.a.json", "a");
        yard.write(".dropcast-gone.orders.json", "older");
        let mine = arrival(Origin::Copied(yard.write("orders.json", "mine")), 4);
        yard.inbox.finish_leaving(&yard.drops).expect("finished");
        assert_eq!(yard.read("a.json").as_deref(), Some("a"));
        assert_eq!(yard.read("orders.json").as_deref(), Some("mine"));
        yard.remove(&mine);
        assert_eq!(yard.read("orders.json").as_deref(), Some("older"));
        assert_eq!(yard.read(".dropcast-gone.orders.json"), None);
    }

    /// A file that was refused unread is not lost: it is moved, once, unless it has changed.
    #[test]
    fn a_refused_file_is_moved_away() {
        let yard = yard();
        let identity = yard.write("orders.json", "");
        let reason = crate::batch::origin::Unread::Empty;
        let mine = arrival(Origin::Unread(reason, identity), 0);
        let to = ("whatsapp/errors", "kept.json");
        for _ in 0..2 {
            let moved = yard.inbox.move_away(&yard.drops, &mine, to);
            assert!(moved.expect("moved"));
        }
        assert_eq!(yard.read("errors/kept.json").as_deref(), Some(""));
        let mine = arrival(Origin::Unread(reason, yard.write("orders.json", "")), 0);
        yard.write("orders.json", "{}");
        let to = ("whatsapp/errors", "other.json");
        let moved = yard.inbox.move_away(&yard.drops, &mine, to);
        assert!(!moved.expect("looked"));
        assert_eq!(yard.read("orders.json").as_deref(), Some("{}"));
    }
}
