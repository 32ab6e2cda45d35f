//! The world of a story: the built binary in a temporary folder, a real SFTP client, a scripted
//! provider. Everything is waited for by a fact and bounded; nothing is shared between stories.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

pub(crate) mod batches;
pub(crate) mod callbacks;
pub(crate) mod commands;
pub(crate) mod daemon;
pub(crate) mod folder;
mod host_key;
pub(crate) mod provider;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod sftp;
pub(crate) mod steps;

use self::daemon::Daemon;
use self::folder::TenantFolder;
use self::provider::{Provider, Reserved, Script};
use self::sftp::Sftp;

/// How long a fact may take that should come at once, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// How often a fact is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The number that every tenant of a story sends from.
pub(crate) const SENDER: &str = "+15550001111";

/// Lets time pass: what is promised is that nothing happens in it.
pub(crate) fn pass(time: Duration) {
    let begun = Instant::now();
    wait_for("time", time + SOON, || {
        (begun.elapsed() >= time).then_some(())
    });
}

/// Waits until `fact` yields something, and gives it. Panics with `what` after `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut fact: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(begun.elapsed() < limit, "no {what} within {limit:?}");
        thread::sleep(LOOK_EVERY);
    }
}

/// How a tenant of a story is set up.
#[derive(Clone, Debug)]
pub(crate) struct TenantPlan {
    /// Its name, and the user name of its login.
    pub(crate) name: &'static str,
    /// What its sender may send.
    pub(crate) messages_per_second: f64,
    /// Further lines of TOML at the end of its file.
    pub(crate) more: &'static str,
}

impl TenantPlan {
    /// A tenant whose sender is not what a story waits for.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            messages_per_second: 500.0,
            more: "",
        }
    }

    /// The same tenant with a rate of its own.
    pub(crate) fn rate(mut self, messages_per_second: f64) -> Self {
        self.messages_per_second = messages_per_second;
        self
    }
}

/// A folder with settings and keys, and at most one daemon that runs in it.
#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
    daemon: Option<Daemon>,
    starts: usize,
}

impl World {
    /// One tenant, `acme`, and a provider with this script; the daemon runs.
    pub(crate) fn start(script: Script) -> (Self, Provider) {
        Self::start_with(&[TenantPlan::new("acme")], script)
    }

    /// These tenants and a provider with this script; the daemon runs.
    pub(crate) fn start_with(tenants: &[TenantPlan], script: Script) -> (Self, Provider) {
        let reserved = Reserved::new();
        let mut world = Self::prepare(tenants, &reserved);
        let provider = reserved.open(script, &world.path("provider.log"));
        world.run();
        (world, provider)
    }

    /// A folder with nothing in it; no daemon runs.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            daemon: None,
            starts: 0,
        }
    }

    /// The same where large files may lie, which a temporary folder in memory is not.
    pub(crate) fn roomy() -> Self {
        let roomy = env!("CARGO_TARGET_TMPDIR");
        Self {
            folder: tempfile::tempdir_in(roomy).expect("a temporary folder"),
            daemon: None,
            starts: 0,
        }
    }

    /// These tenants, whose provider does not listen yet; no daemon runs.
    pub(crate) fn prepare(tenants: &[TenantPlan], provider: &Reserved) -> Self {
        Self::empty().laid_out(tenants, provider)
    }

    /// The same in the folder of this world.
    pub(crate) fn laid_out(self, tenants: &[TenantPlan], provider: &Reserved) -> Self {
        let world = self;
        world.write(
            "dropcast.toml",
            "data_dir = \"data\"\n\
             tenants_dir = \"tenants.d\"\n\n\
             [sftp]\nlisten = \"127.0.0.1:0\"\n\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n",
        );
        fs::create_dir(world.path("tenants.d")).expect("a folder for tenants");
        for tenant in tenants {
            world.write_tenant(tenant, &format!("http://{}/v25.0", provider.address()));
        }
        world
    }

    fn write_tenant(&self, plan: &TenantPlan, base_url: &str) {
        let name = plan.name;
        let key = sftp::make_key(&self.path(&format!("{name}.key")));
        let rate = plan.messages_per_second;
        let more = plan.more;
        self.write(
            &format!("tenants.d/{name}.toml"),
            format!(
                "[[logins]]\nuser = \"{name}\"\nauthorized_keys = [\"{key}\"]\n\n\
                 [provider]\nkind = \"meta-cloud\"\nbase_url = \"{base_url}\"\n\
                 access_token_file = \"{name}.token\"\n\
                 business_account_id = \"102290129340398\"\n\n\
                 [[senders]]\nnumber = \"{SENDER}\"\nphone_number_id = \"106540352242922\"\n\
                 messages_per_second = {rate:?}\n\n\
                 [templates]\ndir = \"{name}-templates\"\n\n{more}\n"
            ),
        );
        self.write(
            &format!("tenants.d/{name}.token"),
            "EAAG-token-of-the-story\n",
        );
        let template = json!({"data": [{
            "name": "order_update", "language": "en", "status": "APPROVED", "category": "UTILITY",
            "id": "1627019861106475", "parameter_format": "NAMED",
            "components": [{
                "type": "BODY", "text": "Hello {{first}}, order {{ref}} is on its way.",
                "example": {"body_text_named_params": [
                    {"param_name": "first", "example": "Ana"},
                    {"param_name": "ref", "example": "A-1007"}]}}]}]});
        self.write(
            &format!("tenants.d/{name}-templates/order_update.json"),
            template.to_string(),
        );
    }

    /// A path beneath the story's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where everything durable lies.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file of the story, and the folders above it.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let parent = path.parent().expect("beneath the story's folder");
        fs::create_dir_all(parent).expect("a folder of the story");
        fs::write(&path, text).expect("a file of the story");
        path
    }

    /// Writes a file to be uploaded.
    pub(crate) fn local(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        self.write(&format!("local/{name}"), text)
    }

    /// Starts the daemon and waits until its door is open.
    pub(crate) fn run(&mut self) {
        self.run_with("");
    }

    /// The same in a build that has points at which a test can step in, with these set.
    pub(crate) fn run_with(&mut self, fail_points: &str) {
        let command = daemon::serve(&self.path("dropcast.toml"));
        self.run_as(command, fail_points);
    }

    /// The same for a daemon to which the modes of files mean something, also if this is root.
    #[cfg(feature = "fail-points")]
    pub(crate) fn run_bound_by_modes(&mut self, fail_points: &str) {
        let serve = daemon::serve(&self.path("dropcast.toml"));
        let command = if rustix::process::geteuid().is_root() {
            daemon::bound_by_modes(&serve)
        } else {
            serve
        };
        self.run_as(command, fail_points);
    }

    fn run_as(&mut self, command: Command, fail_points: &str) {
        let log = self.next_log();
        self.daemon = Some(Daemon::start(command, log, fail_points));
    }

    /// The same for a daemon that may die before its door is open; says how it ended if it did.
    pub(crate) fn try_run_with(&mut self, fail_points: &str) -> Result<(), ExitStatus> {
        let command = daemon::serve(&self.path("dropcast.toml"));
        let log = self.next_log();
        self.daemon = Some(Daemon::try_start(command, log, fail_points)?);
        Ok(())
    }

    fn next_log(&mut self) -> PathBuf {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.starts += 1;
        host_key::place(&self.data_dir());
        self.path(&format!("daemon-{}.log", self.starts))
    }

    /// What the daemon has written so far.
    pub(crate) fn journal(&self) -> String {
        let log = self.path(&format!("daemon-{}.log", self.starts));
        fs::read_to_string(log).expect("the log is text")
    }

    /// How the daemon has ended, if it has by itself; then none runs any more.
    pub(crate) fn reap(&mut self) -> Option<ExitStatus> {
        let ended = self.daemon.as_mut()?.ended();
        if ended.is_some() {
            self.daemon = None;
        }
        ended
    }

    /// Halts the daemon, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        self.daemon.as_ref().expect("a daemon runs").signal(signal);
    }

    /// Whether the daemon has died by itself.
    #[cfg(feature = "fail-points")]
    pub(crate) fn is_dead(&mut self) -> bool {
        let daemon = self.daemon.as_mut().expect("a daemon runs");
        daemon.ended().is_some()
    }

    /// Waits until the daemon has died by itself.
    #[cfg(feature = "fail-points")]
    pub(crate) fn died(&mut self) {
        self.daemon.take().expect("a daemon runs").wait_for_end();
    }

    /// Kills the daemon as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.daemon.take().expect("a daemon runs").kill();
    }

    /// Asks the daemon to end; gives its exit code and how long it took.
    pub(crate) fn stop(&mut self) -> (Option<i32>, Duration) {
        self.daemon.take().expect("a daemon runs").stop()
    }

    /// Where the door is.
    pub(crate) fn port(&self) -> u16 {
        self.daemon.as_ref().expect("a daemon runs").sftp_port
    }

    /// Where the system tells this of the running daemon.
    pub(crate) fn process(&self, file: &str) -> PathBuf {
        let pid = self.daemon.as_ref().expect("a daemon runs").pid();
        Path::new("/proc").join(pid.to_string()).join(file)
    }

    /// Asks the running daemon for a page of its health end; gives the status and the text.
    pub(crate) fn ask_admin(&self, page: &str) -> (u16, String) {
        let address = self.listening("health");
        let mut stream = TcpStream::connect(address).expect("health is served");
        stream.set_read_timeout(Some(SOON)).expect("set");
        let request = format!("GET {page} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split_whitespace()
            .nth(1)
            .and_then(|it| it.parse().ok());
        (status.expect("a status"), text.to_owned())
    }

    /// Where the running daemon takes callbacks.
    pub(crate) fn receipts_address(&self) -> String {
        self.listening("receipts")
    }

    /// Where the running daemon says that it listens for this.
    fn listening(&self, what: &str) -> String {
        let log = self.journal();
        let listening = format!("{what} listening on ");
        let told = log.lines().find_map(|line| line.split_once(&listening));
        let (_, address) = told.unwrap_or_else(|| panic!("no line says `{listening}`"));
        let address = address.split_whitespace().next();
        address.expect("an address").to_owned()
    }

    /// Has a tenant's messages leave by another provider: what `[provider]` holds, and what stands
    /// beside the number of its sender.
    pub(crate) fn leave_by(&self, tenant: &str, provider: &str, sender: &str) {
        let text = format!(
            "{provider}\naccess_token_file = \"{tenant}.token\"\n\n\
             [[senders]]\nnumber = \"{SENDER}\"\n{sender}"
        );
        self.change_provider(tenant, &text, "[templates]");
    }

    /// Changes the provider in the settings of the tenant, and all that stands up to this table.
    pub(crate) fn change_provider(&self, tenant: &str, provider: &str, until: &str) {
        let name = format!("tenants.d/{tenant}.toml");
        let settings = fs::read_to_string(self.path(&name)).expect("settings");
        let (before, rest) = settings.split_once("[provider]").expect("a provider");
        let (_, after) = rest.split_once(until).expect("the table after it");
        self.write(
            &name,
            format!("{before}[provider]\n{provider}\n\n{until}{after}"),
        );
    }

    /// Changes a part of a settings file.
    pub(crate) fn change_settings(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).expect("settings");
        assert!(text.contains(from), "{name} has no `{from}`");
        self.write(name, text.replacen(from, to, 1));
    }

    /// The client of this tenant.
    pub(crate) fn client(&self, tenant: &str) -> Sftp {
        self.client_with_key_of(tenant, tenant)
    }

    /// A client that says it is `user` and shows the key of `key_of`.
    pub(crate) fn client_with_key_of(&self, user: &str, key_of: &str) -> Sftp {
        Sftp::new(
            user,
            self.port(),
            self.path(&format!("{key_of}.key")),
            self.path("batchfiles"),
        )
    }

    /// The folder of this tenant, as it lies on disk.
    pub(crate) fn folder(&self, tenant: &str) -> TenantFolder {
        TenantFolder::new(self.data_dir().join("tenants").join(tenant))
    }

    /// Uploads `text` under `name` into the drop folder of `acme`.
    pub(crate) fn drop_file(&self, name: &str, text: impl AsRef<[u8]>) {
        let local = self.local(name, text);
        let remote = format!("whatsapp/{name}");
        self.client("acme").put(&local, &remote).expect_ok();
    }

    /// Waits for a fact, and panics at once when the daemon has ended by itself.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut fact: impl FnMut() -> Option<T>,
    ) -> T {
        let daemon = self.daemon.as_mut().expect("a daemon runs");
        wait_for(what, limit, || {
            daemon.assert_running();
            fact()
        })
    }

    /// Waits until the newest batch under `name` of `acme` has ended; gives its status.
    pub(crate) fn ended(&mut self, name: &str) -> serde_json::Value {
        self.ended_of("acme", name, SOON)
    }

    /// Waits until a batch under `name` of `acme` has ended that is another than `before`.
    pub(crate) fn ended_after(
        &mut self,
        name: &str,
        before: &serde_json::Value,
    ) -> serde_json::Value {
        let folder = self.folder("acme");
        self.wait_for("final status of a newer batch", SOON, || {
            folder
                .status(name)
                .filter(|status| status["final"] == true && status["batch"] != before["batch"])
        })
    }

    /// Waits until the newest batch under `name` of `tenant` has ended; gives its status.
    pub(crate) fn ended_of(
        &mut self,
        tenant: &str,
        name: &str,
        limit: Duration,
    ) -> serde_json::Value {
        let folder = self.folder(tenant);
        let what = format!("final status of `{name}`");
        self.wait_for(&what, limit, || {
            folder.status(name).filter(|status| status["final"] == true)
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.daemon.take());
        if thread::panicking() {
            for start in 1..=self.starts {
                show(&self.path(&format!("daemon-{start}.log")));
            }
        }
    }
}

/// Lines of a log that are shown when a story fails.
const SHOWN_LINES: usize = 60;

fn show(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    eprintln!("--- {}\n{}", log.display(), shown.join("\n"));
}
