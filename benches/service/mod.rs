//! The built binary as the figures need it: started in a folder of its own, and looked at from
//! outside.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The number that the tenant sends from.
pub(crate) const SENDER: &str = "+15550001111";
/// The tenant, and the user name of its login.
pub(crate) const TENANT: &str = "bench";
/// The approved template of the tenant.
pub(crate) const TEMPLATE: &str = r#"{"name":"parcel","language":"en","status":"APPROVED","category":"UTILITY",
    "parameter_format":"NAMED","components":[{"type":"BODY","text":
    "Hello {{first}}, order {{ref}} with {{items}} items leaves {{city}} on {{day}} for you."}]}"#;

/// What a figure gives, or why there is none.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A tenant as the figures need it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its name, and the user name of its login.
    pub(crate) name: String,
    /// The lines of TOML that say what it sends through.
    pub(crate) provider: String,
    /// Its numbers, and how many messages a second each may send.
    pub(crate) senders: Vec<(String, f64)>,
}

impl Plan {
    /// A tenant with one number that sends as fast as can be through what these lines say.
    pub(crate) fn new(name: &str, provider: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            provider: provider.into(),
            senders: vec![(SENDER.into(), 100_000.0)],
        }
    }
}

/// The lines that send through a Cloud API at this address.
pub(crate) fn cloud_api(address: SocketAddr) -> String {
    format!(
        "kind = \"meta-cloud\"\nbase_url = \"http://{address}/v25.0\"\naccess_token_file = \"../token\"\n"
    )
}

/// A `dropcast serve` in a folder of its own.
pub(crate) struct Service {
    /// Where its door is.
    pub(crate) port: u16,
    child: Child,
}

impl Service {
    /// Starts it in `folder`, which is made, with one tenant and the sandbox.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let mut plan = Plan::new(TENANT, "kind = \"sandbox\"\n");
        plan.senders[0].1 = 10_000.0;
        Self::start_as(folder, &[plan])
    }

    /// Starts it in `folder`, which is made, with these tenants.
    pub(crate) fn start_as(folder: &Path, tenants: &[Plan]) -> Outcome<Self> {
        fs::create_dir_all(folder.join("tenants.d"))?;
        fs::create_dir_all(folder.join("templates"))?;
        fs::write(folder.join("templates/parcel.json"), TEMPLATE)?;
        let mut token = File::options();
        let mut token = token
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(folder.join("token"))?;
        token.write_all(b"bench-token\n")?;
        let public = make_key(&folder.join("key"))?;
        fs::write(
            folder.join("dropcast.toml"),
            "data_dir = \"data\"\ntenants_dir = \"tenants.d\"\n[sftp]\nlisten = \"127.0.0.1:0\"\n",
        )?;
        for Plan {
            name,
            provider,
            senders,
        } in tenants
        {
            let mut tenant = format!(
                "[[logins]]\nuser = \"{name}\"\nauthorized_keys = [\"{public}\"]\n[templates]\ndir = \"../templates\"\n[provider]\n{provider}"
            );
            for (number, rate) in senders {
                let id = number.trim_start_matches('+');
                writeln!(
                    tenant,
                    "[[senders]]\nnumber = \"{number}\"\nphone_number_id = \"{id}\"\nmessages_per_second = {rate:?}"
                )?;
            }
            fs::write(folder.join(format!("tenants.d/{name}.toml")), tenant)?;
        }
        Self::again(folder)
    }

    /// Starts what is set up in `folder`.
    pub(crate) fn again(folder: &Path) -> Outcome<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dropcast"))
            .args(["serve", "--config"])
            .arg(folder.join("dropcast.toml"))
            .stderr(Stdio::piped())
            .spawn()?;
        let journal = BufReader::new(child.stderr.take().ok_or("no journal")?);
        let mut lines = journal.lines();
        let port = loop {
            let line = lines.next().ok_or("the service ended")??;
            if let Some((_, address)) = line.rsplit_once("door listening on ") {
                let address = address.split_whitespace().next().unwrap_or_default();
                break address.parse::<SocketAddr>()?.port();
            }
        };
        // The journal is read on, or the service would wait for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { port, child })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing is measured any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a key pair without a passphrase; gives the public line.
pub(crate) fn make_key(path: &Path) -> Outcome<String> {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()?;
    if !made.success() {
        return Err("ssh-keygen failed".into());
    }
    let public = fs::read_to_string(path.with_extension("pub"))?;
    Ok(public.trim().to_owned())
}

/// A line of a process's status, such as `VmRSS:`, in KiB.
pub(crate) fn memory_kib(pid: u32, line: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let text = found.ok_or_else(|| format!("no {line} of process {pid}"))?;
    Ok(text.trim().trim_end_matches(" kB").trim().parse()?)
}

/// Runs OpenSSH's `sftp` with these lines of commands; `options` come before the host.
pub(crate) fn sftp(
    user: &str,
    port: u16,
    key: &Path,
    options: &[&str],
    lines: &str,
) -> Outcome<()> {
    let mut client = Command::new("sftp")
        .args(["-q", "-b", "-", "-F/dev/null"])
        .args([
            "-oStrictHostKeyChecking=no",
            "-oUserKnownHostsFile=/dev/null",
        ])
        .args([
            "-oIdentitiesOnly=yes",
            "-oBatchMode=yes",
            "-oLogLevel=ERROR",
        ])
        .args(options)
        .arg("-i")
        .arg(key)
        .args(["-P", &port.to_string(), &format!("{user}@127.0.0.1")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut commands = client.stdin.take().ok_or("no stdin")?;
    commands.write_all(lines.as_bytes())?;
    drop(commands);
    if !client.wait()?.success() {
        return Err(format!("sftp failed on port {port}").into());
    }
    Ok(())
}

/// Waits for a fact, looking often.
pub(crate) fn wait_for<T>(mut fact: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = fact() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
