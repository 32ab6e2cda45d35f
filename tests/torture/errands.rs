//! The clients of a run: OpenSSH's `sftp`, as cron jobs run it. Whoever is not answered `OK` comes
//! again until he is; what each of them heard is written down for the oracle.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::history::{Content, DropAnswer, Dropped};
use super::plan::{Errand, Way};
use crate::world::sftp::{Ran, Sftp};

/// How long a client waits before it comes again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a client may still be refused once nothing befalls the daemon any more.
const REFUSED_IN_PEACE: Duration = Duration::from_mins(1);

/// What an upload is held to that is cut off: the second packet of a large file takes 20 s.
const SLOW_KILOBITS: u32 = 100;

/// Where the door is at the moment, and whether there is peace.
#[derive(Debug, Default)]
pub(crate) struct Door {
    pub(crate) port: AtomicU16,
    pub(crate) is_peace: AtomicBool,
    /// Whether nobody need come any more.
    pub(crate) is_over: AtomicBool,
}

/// Runs the errands of one tenant, one after the other.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    pub(crate) begun: Instant,
    pub(crate) door: Arc<Door>,
    pub(crate) tenant: &'static str,
    /// The folder of the run, with the tenant's key.
    pub(crate) folder: PathBuf,
    pub(crate) contents: &'a [Content],
    pub(crate) drops: Vec<Dropped>,
}

impl Runner<'_> {
    /// Runs them all; gives what their clients heard.
    pub(crate) fn run(mut self, errands: &[Errand]) -> Vec<Dropped> {
        let tenant = self.tenant;
        for errand in errands.iter().filter(|it| it.tenant == tenant) {
            let name = errand.name.as_str();
            let content = errand.content;
            match errand.way {
                Way::Put => self.put(&[(content, name)]),
                Way::Renamed(after) => self.put_and_rename(content, name, after),
                Way::Resumed(after) => {
                    self.cut_off(content, name, after);
                    self.resume(content, name);
                }
                Way::Abandoned(after) => {
                    let asked_at = self.begun.elapsed();
                    self.cut_off(content, name, after);
                    self.heard(&[(content, name)], asked_at, DropAnswer::Never);
                }
                Way::Twice => {
                    self.put(&[(content, name)]);
                    self.put(&[(content, &format!("again-{name}"))]);
                }
                Way::Over(other) => self.put(&[(content, name), (other, name)]),
            }
        }
        self.drops
    }

    /// Puts files in one session until that is answered `OK` to the end.
    fn put(&mut self, files: &[(usize, &str)]) {
        let puts: Vec<String> = files
            .iter()
            .map(|(content, name)| self.put_command(*content, name))
            .collect();
        self.until_ok(|this| {
            let asked_at = this.begun.elapsed();
            let ran = this.client().run(&puts);
            this.heard(files, asked_at, answer(&ran));
            ran
        });
    }

    fn put_and_rename(&mut self, content: usize, name: &str, after: u64) {
        let working = format!("{name}.part");
        let put = [self.put_command(content, &working)];
        self.until_ok(|this| {
            let ran = this.client().run(&put);
            if !ran.ok {
                // Not asked for yet, whatever became of it.
                return ran;
            }
            // The time that the plan says, not a wait for something.
            thread::sleep(Duration::from_millis(after));
            let asked_at = this.begun.elapsed();
            let [from, to] = [&working, name].map(|name| format!("whatsapp/{name}"));
            let ran = this.client().rename(&from, &to);
            this.heard(&[(content, name)], asked_at, answer(&ran));
            ran
        });
    }

    /// Begins an upload and kills its client long before it can have ended.
    fn cut_off(&mut self, content: usize, name: &str, after: u64) {
        let local = self.local(content);
        let remote = format!("whatsapp/{name}");
        let upload = self.client().begin_put(&local, &remote, SLOW_KILOBITS);
        thread::sleep(Duration::from_millis(after));
        upload.cut();
    }

    fn resume(&mut self, content: usize, name: &str) {
        let local = self.local(content);
        let remote = format!("whatsapp/{name}");
        self.until_ok(|this| {
            for resumes in [true, false] {
                let asked_at = this.begun.elapsed();
                let client = this.client();
                let ran = if resumes {
                    client.reput(&local, &remote)
                } else {
                    client.put(&local, &remote)
                };
                this.heard(&[(content, name)], asked_at, answer(&ran));
                if ran.ok || !resumes {
                    return ran;
                }
            }
            unreachable!("the last try is given back")
        });
    }

    fn until_ok(&mut self, mut try_it: impl FnMut(&mut Self) -> Ran) {
        let mut peace_since = None;
        loop {
            // Looked at before: what is refused while peace breaks out need not have been in it.
            let is_peace = self.door.is_peace.load(Ordering::SeqCst);
            let ran = try_it(self);
            if ran.ok || self.door.is_over.load(Ordering::SeqCst) {
                return;
            }
            if is_peace {
                let since = *peace_since.get_or_insert_with(Instant::now);
                assert!(
                    since.elapsed() < REFUSED_IN_PEACE,
                    "refused in peace: {ran:?}"
                );
            }
            thread::sleep(PAUSE);
        }
    }

    fn heard(&mut self, files: &[(usize, &str)], asked_at: Duration, answer: DropAnswer) {
        self.drops
            .extend(files.iter().map(|(content, name)| Dropped {
                content: *content,
                name: (*name).to_owned(),
                asked_at,
                answer,
            }));
    }

    fn put_command(&self, content: usize, name: &str) -> String {
        let local = self.local(content);
        format!("put \"{}\" \"whatsapp/{name}\"", local.display())
    }

    /// The file of this content on the client's side.
    fn local(&self, content: usize) -> PathBuf {
        let path = self.beside("local").join(format!("content-{content}"));
        if !path.exists() {
            fs::write(&path, &self.contents[content].bytes).expect("written");
        }
        path
    }

    fn client(&self) -> Sftp {
        let key = self.folder.join(format!("{}.key", self.tenant));
        let port = self.door.port.load(Ordering::SeqCst);
        Sftp::new(self.tenant, port, key, self.beside("batchfiles"))
    }

    fn beside(&self, what: &str) -> PathBuf {
        let folder = Path::new(&self.folder).join(format!("{what}-{}", self.tenant));
        fs::create_dir_all(&folder).expect("a folder of the run");
        folder
    }
}

fn answer(ran: &Ran) -> DropAnswer {
    if ran.ok {
        DropAnswer::Ok
    } else {
        DropAnswer::Doubtful
    }
}
