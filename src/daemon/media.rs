//! The files of tenants that their messages need, kept apart from the folders in which the tenants
//! may change them: each by its content, once, for as long as a batch needs it.
//!
//! A file is copied and synced before a message that needs it is kept, so a batch that was admitted
//! has its files whatever becomes of those it was written with. A copy that nobody needs is removed
//! later, unless a batch has asked for it meanwhile.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use aws_lc_rs::digest;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::lock;
use crate::batch::TenantName;
use crate::batch::media::{BYTES_MAX, FOLDER, FileType, Files, HEAD_BYTES, Look};
use crate::clock;
use crate::disk::room::{Reserve, Room};
use crate::disk::{self, Draft, Root};

/// Files whose content is remembered, so that a picture that every batch names is read once; beyond
/// it all are forgotten.
const REMEMBERED_MAX: usize = 4_096;

/// Names without a file that are remembered while a batch is checked.
const NOTHINGS_MAX: usize = 10_000;

/// Longer than the time between two ticks by which any file system dates its files.
const TICK_MS: i64 = 3_000;

/// What is copied at once.
const BLOCK_BYTES: usize = 256 << 10;

/// What a file is known by while nobody writes to it: its place, its size, and when it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    inode: (u64, u64),
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self {
            inode: (about.dev(), about.ino()),
            size_bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }

    /// Whether what is written to it from now on is sure to change its times: file systems count
    /// time in ticks.
    fn has_settled(&self) -> bool {
        let now_ms = clock::now().as_millis();
        self.changed.0.saturating_mul(1_000).saturating_add(TICK_MS) < now_ms
    }
}

/// A kept file: whose, and by which content.
type Kept = (TenantName, String);

/// Who holds what, so that nothing is removed that is about to be needed.
#[derive(Debug, Default)]
struct Holds {
    /// How many checks under way have come upon it.
    held: HashMap<Kept, usize>,
    /// What was held at any time since it was last looked for what nobody needs.
    since: HashSet<Kept>,
}

/// The files that are kept, of all tenants.
#[derive(Debug)]
pub(super) struct MediaSpool {
    folder: PathBuf,
    holds: Mutex<Holds>,
    remembered: Mutex<HashMap<Identity, String>>,
}

impl MediaSpool {
    /// The spool beneath the data folder, without what a stopped process left unfinished there.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("media");
        disk::make_folder(&folder)?;
        for tenant in fs::read_dir(&folder)? {
            disk::remove_drafts(&tenant?.path())?;
        }
        Ok(Self {
            folder,
            holds: Mutex::default(),
            remembered: Mutex::default(),
        })
    }

    /// What a tenant has in its folder, as one batch sees it. What it sees is kept, and stays at
    /// least until this is dropped.
    pub(super) fn sight<'a>(&'a self, tenant: &TenantName, root: &Path) -> Sight<'a> {
        Sight {
            spool: self,
            tenant: tenant.clone(),
            source: Source::of(root),
            seen: Mutex::default(),
            held: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// The content of a kept file; `None` if it is not there, or not what it was.
    pub(super) fn read(&self, tenant: &TenantName, sha256: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(tenant, sha256)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            done => done?,
        };
        let size_bytes = file.metadata()?.len().min(BYTES_MAX);
        let mut content = Vec::with_capacity(size_bytes as usize);
        file.take(BYTES_MAX).read_to_end(&mut content)?;
        let sum = digest::digest(&digest::SHA256, &content);
        let is_whole = disk::hexadecimal(sum.as_ref()) == sha256;
        Ok(is_whole.then_some(content))
    }

    /// Begins to look for what nobody needs: the files that are kept for a tenant.
    pub(super) fn begin_sweep(&self, tenant: &TenantName) -> io::Result<Vec<String>> {
        lock(&self.holds).since.retain(|(whose, _)| whose != tenant);
        let entries = match fs::read_dir(self.folder.join(tenant.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            done => done?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(disk::HIDDEN_PREFIX) {
                files.push(name.into_owned());
            }
        }
        Ok(files)
    }

    /// Removes those of these files that nobody has come upon since the sweep began. Says how many.
    pub(super) fn remove(&self, tenant: &TenantName, files: &[String]) -> io::Result<u64> {
        // Held throughout: whoever comes upon one of them meanwhile finds it gone, and copies it.
        let holds = lock(&self.holds);
        let mut gone = 0;
        for sha256 in files {
            let kept = (tenant.clone(), sha256.clone());
            if holds.held.contains_key(&kept) || holds.since.contains(&kept) {
                continue;
            }
            match fs::remove_file(self.path(tenant, sha256)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => gone += 1,
            }
        }
        Ok(gone)
    }

    fn path(&self, tenant: &TenantName, sha256: &str) -> PathBuf {
        self.folder.join(tenant.as_str()).join(sha256)
    }

    fn hold(&self, kept: &Kept) {
        let mut holds = lock(&self.holds);
        *holds.held.entry(kept.clone()).or_default() += 1;
        holds.since.insert(kept.clone());
    }

    fn let_go(&self, kept: &Kept) {
        let mut holds = lock(&self.holds);
        if let Some(count) = holds.held.get_mut(kept) {
            *count -= 1;
            if *count == 0 {
                holds.held.remove(kept);
            }
        }
    }

    fn remember(&self, identity: Identity, sha256: &str) {
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(identity, sha256.to_owned());
    }
}

/// The folder in which files lie that a batch may name.
#[derive(Debug)]
struct Source(Option<Root>);

impl Source {
    /// That of the tenant whose tree begins at `root`.
    fn of(root: &Path) -> Self {
        Self(Root::open(root).ok())
    }

    /// The plain file of this name; otherwise what there is instead.
    fn open(&self, folder: &str, name: &str) -> io::Result<Result<File, Look>> {
        let Some(root) = &self.0 else {
            return Ok(Err(Look::Nothing));
        };
        // Without NONBLOCK a pipe that a local writer puts there would hold the check.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let path = Path::new(folder).join(name);
        let opened = root.open_beneath(path.as_os_str(), flags, Mode::empty());
        let file: File = match opened {
            Ok(file) => file.into(),
            Err(error) => {
                return match Errno::from_io_error(&error) {
                    Some(Errno::NOENT | Errno::NOTDIR) => Ok(Err(Look::Nothing)),
                    Some(Errno::LOOP | Errno::NXIO | Errno::ACCESS) => Ok(Err(Look::Other)),
                    _ => Err(error),
                };
            }
        };
        let is_plain = file.metadata()?.is_file();
        Ok(if is_plain { Ok(file) } else { Err(Look::Other) })
    }
}

/// What a file is by its first bytes.
fn kind(file: &File, name: &str) -> io::Result<Option<FileType>> {
    let mut head = [0; HEAD_BYTES];
    let mut length = 0;
    while length < HEAD_BYTES {
        match file.read_at(&mut head[length..], length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(FileType::of(&head[..length], name))
}

/// The files of one tenant, as one batch sees them.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    spool: &'a MediaSpool,
    tenant: TenantName,
    source: Source,
    seen: Mutex<HashMap<String, Arc<OnceLock<Look>>>>,
    held: Mutex<Vec<Kept>>,
    failure: Mutex<Option<io::Error>>,
}

impl Files for Sight<'_> {
    fn look(&self, name: &str) -> Look {
        let cell = Arc::clone(lock(&self.seen).entry(name.to_owned()).or_default());
        let found = cell.get_or_init(|| {
            self.take(name).unwrap_or_else(|error| {
                lock(&self.failure).get_or_insert(error);
                Look::Nothing
            })
        });
        let found = found.clone();
        // Of files there are no more than the tenant may have; of names there is no end.
        let mut seen = lock(&self.seen);
        if found == Look::Nothing && seen.len() > NOTHINGS_MAX {
            seen.remove(name);
        }
        found
    }
}

impl Sight<'_> {
    /// What failed on the disk while it was looked, for which no file is to blame.
    pub(super) fn failed(&self) -> io::Result<()> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    /// Looks at a file, and keeps it if it could be sent.
    fn take(&self, name: &str) -> io::Result<Look> {
        let file = match self.source.open(FOLDER, name)? {
            Ok(file) => file,
            Err(look) => return Ok(look),
        };
        let identity = Identity::of(&file)?;
        let (size_bytes, is) = (identity.size_bytes, kind(&file, name)?);
        let found = |sha256| Look::File {
            sha256,
            size_bytes,
            is,
        };
        if is.is_none() || size_bytes > BYTES_MAX || size_bytes == 0 {
            return Ok(found(String::new()));
        }
        let known = lock(&self.spool.remembered).get(&identity).cloned();
        if let Some(sha256) = known {
            self.hold(&sha256);
            if self.spool.path(&self.tenant, &sha256).exists() {
                return Ok(found(sha256));
            }
        }
        Ok(match self.copy(file, identity)? {
            Some(sha256) => {
                if identity.has_settled() {
                    self.spool.remember(identity, &sha256);
                }
                found(sha256)
            }
            None => Look::Changing,
        })
    }

    /// Copies a file into the spool, and returns its sum once it is on disk there; `None` if
    /// somebody is writing to it.
    fn copy(&self, mut file: File, identity: Identity) -> io::Result<Option<String>> {
        let folder = self.spool.folder.join(self.tenant.as_str());
        disk::make_folder(&folder)?;
        let room = Room::on_disk_of(&File::open(&folder)?, Reserve::default())?;
        if room.bytes < identity.size_bytes || room.files == 0 {
            return Err(Errno::NOSPC.into());
        }
        let mut draft = Draft::new(&folder.join("draft"))?;
        let mut block = vec![0; BLOCK_BYTES];
        let mut left = identity.size_bytes;
        while left > 0 {
            let most = BLOCK_BYTES.min(usize::try_from(left).unwrap_or(BLOCK_BYTES));
            let length = file.read(&mut block[..most])?;
            if length == 0 {
                return Ok(None);
            }
            draft.write_all(&block[..length])?;
            left -= length as u64;
        }
        let sealed = draft.seal()?;
        if Identity::of(&file)? != identity {
            return Ok(None);
        }
        let sha256 = sealed.sha256().to_owned();
        self.hold(&sha256);
        sealed.reveal_as(OsStr::new(&sha256))?;
        Ok(Some(sha256))
    }

    fn hold(&self, sha256: &str) {
        let kept = (self.tenant.clone(), sha256.to_owned());
        self.spool.hold(&kept);
        lock(&self.held).push(kept);
    }
}

impl Drop for Sight<'_> {
    fn drop(&mut self) {
        for kept in lock(&self.held).drain(..) {
            self.spool.let_go(&kept);
        }
    }
}

/// The files in a folder of whoever checks without a service: they are looked at and not kept.
#[derive(Debug)]
pub(super) struct Beside(Source);

impl Beside {
    /// Those that lie in `folder` itself.
    pub(super) fn of(folder: &Path) -> Self {
        Self(Source::of(folder))
    }
}

impl Files for Beside {
    fn look(&self, name: &str) -> Look {
        let look = || {
            let file = match self.0.open("", name)? {
                Ok(file) => file,
                Err(look) => return Ok(look),
            };
            Ok::<_, io::Error>(Look::File {
                sha256: String::new(),
                size_bytes: file.metadata()?.len(),
                is: kind(&file, name)?,
            })
        };
        // What cannot be read here cannot be said to be wrong, nor to be right.
        look().unwrap_or(Look::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture";

    struct Bench {
        _temporary: tempfile::TempDir,
        root: PathBuf,
        spool: MediaSpool,
        acme: TenantName,
    }

    impl Bench {
        fn new() -> Self {
            let temporary = tempfile::tempdir().expect("a temporary folder");
            let root = temporary.path().join("tenants/acme");
            fs::create_dir_all(root.join(FOLDER)).expect("made");
            Self {
                spool: MediaSpool::open(temporary.path()).expect("opened"),
                acme: TenantName::parse("acme").expect("a name"),
                root,
                _temporary: temporary,
            }
        }

        fn write(&self, name: &str, content: &[u8]) {
            fs::write(self.root.join(FOLDER).join(name), content).expect("written");
        }

        fn sight(&self) -> Sight<'_> {
            self.spool.sight(&self.acme, &self.root)
        }
    }

    fn sum(look: &Look) -> String {
        match look {
            Look::File { sha256, .. } => sha256.clone(),
            other => panic!("a file: {other:?}"),
        }
    }

    /// A tenant that mends or deletes its file must not change what is under way.
    #[test]
    fn what_a_batch_has_seen_stays_as_it_was() {
        let bench = Bench::new();
        bench.write("shoe.jpg", JPEG);
        let sight = bench.sight();
        let sha256 = sum(&sight.look("shoe.jpg"));
        bench.write("shoe.jpg", b"\xff\xd8\xff\xe0 another picture");
        assert_eq!(sum(&sight.look("shoe.jpg")), sha256, "one batch, one file");
        assert_ne!(sum(&bench.sight().look("shoe.jpg")), sha256);
        fs::remove_file(bench.root.join(FOLDER).join("shoe.jpg")).expect("removed");
        assert_eq!(bench.sight().look("shoe.jpg"), Look::Nothing);
        let kept = bench.spool.read(&bench.acme, &sha256).expect("read");
        assert_eq!(kept.as_deref(), Some(JPEG));
        sight.failed().expect("nothing failed");
    }

    /// A copy that goes while a check has come upon it would leave a batch without its file.
    #[test]
    fn what_is_needed_soon_is_not_removed() {
        let bench = Bench::new();
        bench.write("shoe.jpg", JPEG);
        let sight = bench.sight();
        let sha256 = sum(&sight.look("shoe.jpg"));
        let remove = |files: &[String]| bench.spool.remove(&bench.acme, files).expect("removed");
        let found = bench.spool.begin_sweep(&bench.acme).expect("listed");
        assert_eq!(found, std::slice::from_ref(&sha256));
        assert_eq!(remove(&found), 0, "a check holds it");
        drop(sight);
        // One that comes and goes between the question and the removal.
        let found = bench.spool.begin_sweep(&bench.acme).expect("listed");
        drop(bench.sight().look("shoe.jpg"));
        assert_eq!(remove(&found), 0, "a batch may have been kept meanwhile");
        let found = bench.spool.begin_sweep(&bench.acme).expect("listed");
        assert_eq!(remove(&found), 1);
        assert_eq!(bench.spool.read(&bench.acme, &sha256).expect("read"), None);
        let again = sum(&bench.sight().look("shoe.jpg"));
        assert_eq!(again, sha256, "it is copied once more");
    }

    /// A batch must not send what lies elsewhere on the machine, nor wait for a pipe.
    #[test]
    fn only_plain_files_of_the_folder_are_looked_at() {
        let bench = Bench::new();
        let folder = bench.root.join(FOLDER);
        fs::write(bench.root.join("secret.jpg"), JPEG).expect("written");
        std::os::unix::fs::symlink("../../secret.jpg", folder.join("link.jpg")).expect("linked");
        fs::create_dir(folder.join("folder")).expect("made");
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            folder.join("pipe"),
            Mode::from_raw_mode(0o600),
        )
        .expect("made");
        let sight = bench.sight();
        for other in ["link.jpg", "folder", "pipe"] {
            assert_eq!(sight.look(other), Look::Other, "{other}");
        }
        assert_eq!(sight.look("none.jpg"), Look::Nothing);
        assert_eq!(Beside::of(&folder).look("link.jpg"), Look::Other);
        sight.failed().expect("nothing failed");
    }
}
