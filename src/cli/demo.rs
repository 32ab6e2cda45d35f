//! `dropcast demo`: the whole way of one file, in a temporary folder, against the built-in sandbox.
//!
//! Nothing is staged: a daemon is started with a settings file, a real SFTP client uploads the
//! example batch through the door, and what is shown is read back through the door.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use russh::client::{self, Handle};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg};
use russh_sftp::client::SftpSession;
use russh_sftp::protocol::OpenFlags;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::serve::stop_on_signals;
use super::{EXIT_NO, complain};
use crate::batch::TenantName;
use crate::daemon::Tally;
use crate::{config, daemon};

const BATCH: &[u8] = include_bytes!("../../examples/batches/order_update.json");
const BATCH_NAME: &str = "order_update.json";
const TEMPLATE: &[u8] = include_bytes!("../../examples/templates/order_update.json");
const USER: &str = "demo";

/// Fast enough not to bore, slow enough to be seen.
const MESSAGES_PER_SECOND: u32 = 250;

/// The demo has failed if its batch has not ended by then.
const END_MAX: Duration = Duration::from_mins(2);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What went wrong, in a sentence.
type Sentence = String;

/// Whether the daemon goes on after the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It stops and its folder is removed.
    Stop,
    /// It goes on until it is interrupted.
    Keep,
}

/// Runs the demo.
pub(super) fn run(afterwards: Afterwards) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format_args!("failed to start the runtime: {error}"));
            return ExitCode::from(EXIT_NO);
        }
    };
    match runtime.block_on(play(afterwards)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            complain(&sentence);
            ExitCode::from(EXIT_NO)
        }
    }
}

async fn play(afterwards: Afterwards) -> Result<(), Sentence> {
    let folder = tempfile::Builder::new()
        .prefix("dropcast-demo-")
        .tempdir()
        .map_err(told)?;
    let key = set_up(folder.path()).map_err(told)?;
    let config = config::load(&folder.path().join("dropcast.toml"))
        .map_err(|error| error.lines().join("\n"))?;
    let daemon = daemon::start(config)
        .await
        .map_err(|error| error.sentence())?;
    let (address, host_keys) = (daemon.sftp_address(), daemon.host_keys());
    let tally = daemon.tally();
    let line = |key: &String| format!("[{}]:{} {key}\n", address.ip(), address.port());
    let known_hosts = host_keys.iter().map(line).collect::<Vec<_>>().concat();
    fs::write(folder.path().join("known_hosts"), known_hosts).map_err(told)?;
    let stop = CancellationToken::new();
    stop_on_signals(&stop);
    let running = tokio::spawn(daemon.run(stop.clone()));
    say(&format!(
        "dropcast runs in {} with its SFTP door at {address}.",
        folder.path().display()
    ));
    let shown = show((address, host_keys, key), &tally, &stop).await;
    if shown.is_ok() && afterwards == Afterwards::Keep {
        let key_path = folder.path().join("demo.key");
        let known_hosts = folder.path().join("known_hosts");
        say(&format!(
            "\nStill running. Drop files of your own into whatsapp/:\n\n  sftp -P {} -i {} -o UserKnownHostsFile={} {USER}@{}\n\nCtrl-C stops it and removes the folder.",
            address.port(),
            key_path.display(),
            known_hosts.display(),
            address.ip(),
        ));
        stop.cancelled().await;
    }
    stop.cancel();
    let ended = running
        .await
        .map_err(told)?
        .map_err(|error| error.sentence());
    shown.and(ended)
}

/// Writes what a daemon needs: settings, a tenant, a template, a key.
fn set_up(folder: &Path) -> io::Result<PrivateKey> {
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(io::Error::other)?;
    let private = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let public = key.public_key().to_openssh().map_err(io::Error::other)?;
    write_private(&folder.join("demo.key"), private.as_bytes())?;
    fs::create_dir(folder.join("tenants.d"))?;
    fs::create_dir(folder.join("templates"))?;
    fs::write(folder.join("templates/order_update.json"), TEMPLATE)?;
    fs::write(
        folder.join("dropcast.toml"),
        "data_dir = \"data\"\ntenants_dir = \"tenants.d\"\n\n[sftp]\nlisten = \"127.0.0.1:0\"\n",
    )?;
    let tenant = format!(
        "[[logins]]\nuser = \"{USER}\"\nauthorized_keys = [\"{public}\"]\n\n\
         [provider]\nkind = \"sandbox\"\n\n\
         [[senders]]\nnumber = \"+15550001111\"\nphone_number_id = \"106540352242922\"\n\
         messages_per_second = {MESSAGES_PER_SECOND}\n\n[templates]\ndir = \"../templates\"\n"
    );
    fs::write(folder.join("tenants.d/demo.toml"), tenant)?;
    Ok(key)
}

fn write_private(path: &PathBuf, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(bytes)
}

/// Uploads the batch, follows it to its end, and shows what came back.
async fn show(
    (address, host_keys, key): (SocketAddr, Vec<String>, PrivateKey),
    tally: &Tally,
    stop: &CancellationToken,
) -> Result<(), Sentence> {
    let (_connection, sftp) = connect(address, host_keys, key).await?;
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
    let mut file = sftp
        .open_with_flags(format!("whatsapp/{BATCH_NAME}"), flags)
        .await
        .map_err(told)?;
    file.write_all(BATCH).await.map_err(told)?;
    file.shutdown().await.map_err(told)?;
    say(&format!(
        "Uploaded examples/batches/{BATCH_NAME} ({} bytes) to /whatsapp.",
        BATCH.len()
    ));
    let status = follow(&sftp, tally, stop).await?;
    let files: Vec<String> = status["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str().map(str::to_owned))
        .collect();
    let find = |end: &str| {
        let found = files.iter().find(|path| path.ends_with(end));
        found.ok_or_else(|| format!("the status names no file that ends in {end}"))
    };
    let results = read(&sftp, find(".results.jsonl")?).await?;
    let errors = read(&sftp, find(".errors.json")?).await?;
    let results: Vec<Value> = String::from_utf8_lossy(&results)
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .map_err(told)?;
    let errors: Value = serde_json::from_slice(&errors).map_err(told)?;
    tell(&status, &files, &results, &errors);
    add_up(&status, &results, &errors)
}

/// Follows the status file until it is final. It changes every other second; what moves the bar in
/// between is what the daemon counts.
async fn follow(
    sftp: &SftpSession,
    tally: &Tally,
    stop: &CancellationToken,
) -> Result<Value, Sentence> {
    let tenant = TenantName::parse(USER).ok_or("the demo's tenant has no good name")?;
    let bar = if io::stderr().is_terminal() {
        ProgressBar::new(0)
    } else {
        ProgressBar::hidden()
    };
    let style = "sending {bar:40.green} {pos}/{len} {msg}";
    bar.set_style(ProgressStyle::with_template(style).map_err(told)?);
    let path = format!("whatsapp/results/{BATCH_NAME}.status.json");
    let watch = async {
        loop {
            if let Ok(text) = sftp.read(path.clone()).await
                && let Ok(status) = serde_json::from_slice::<Value>(&text)
            {
                let count = |name: &str| status["counts"][name].as_u64().unwrap_or(0);
                bar.set_length(count("total"));
                bar.set_position(count("invalid") + tally.handed_over(&tenant));
                bar.set_message(status["state"].as_str().unwrap_or_default().to_owned());
                if status["final"] == true {
                    return status;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let status = tokio::select! {
        () = stop.cancelled() => return Err("interrupted".into()),
        status = tokio::time::timeout(END_MAX, watch) => status,
    };
    bar.finish_and_clear();
    status.map_err(|_| format!("the batch had not ended after {} s", END_MAX.as_secs()))
}

fn tell(status: &Value, files: &[String], results: &[Value], errors: &Value) {
    say(&format!(
        "\nBatch {} is {}.",
        plain(&status["batch"]),
        plain(&status["state"])
    ));
    say("\nFiles (under /whatsapp):");
    for path in files {
        say(&format!("  {path}"));
    }
    say("\nCounts:");
    for (name, count) in status["counts"].as_object().into_iter().flatten() {
        if count != 0 {
            say(&format!("  {name:<12}{count:>6}"));
        }
    }
    say("\nThree lines of the results:");
    results
        .iter()
        .take(3)
        .for_each(|line| say(&format!("  {line}")));
    say("\nTwo faults:");
    for fault in errors["faults"].as_array().into_iter().flatten().take(2) {
        say(&format!(
            "  line {}, column {}: {} {}: expected {}, found {}",
            fault["line"],
            fault["column"],
            plain(&fault["code"]),
            plain(&fault["pointer"]),
            plain(&fault["expected"]),
            plain(&fault["found"]),
        ));
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Holds the files against the batch and against each other.
fn add_up(status: &Value, results: &[Value], errors: &Value) -> Result<(), Sentence> {
    let batch: Value = serde_json::from_slice(BATCH).map_err(told)?;
    let rows = batch["data"].as_array().map_or(0, Vec::len);
    let count = |name: &str| status["counts"][name].as_u64().unwrap_or(0) as usize;
    let with_status = |word: &str| results.iter().filter(|line| line["status"] == word).count();
    let in_order = results
        .iter()
        .enumerate()
        .all(|(at, line)| line["index"] == at);
    let faulty = results
        .iter()
        .filter(|line| line["faults"].is_array())
        .count();
    let checks = [
        (
            count("total") == rows,
            "the status counts every row of the file",
        ),
        (
            results.len() == rows && in_order,
            "the results have one line for each row, in order",
        ),
        (
            with_status("accepted") == count("accepted"),
            "results and status count the same accepted",
        ),
        (
            with_status("invalid") == count("invalid"),
            "results and status count the same invalid",
        ),
        (
            faulty == count("invalid"),
            "each invalid row has its faults",
        ),
        (
            errors["count"].as_u64() > Some(1),
            "the errors file names the faults",
        ),
        (
            count("waiting") + count("inFlight") == 0,
            "nothing is left to send",
        ),
        (
            count("accepted") > 0 && count("invalid") > 0,
            "some rows were sent and some refused",
        ),
    ];
    let wrong: Vec<_> = checks
        .iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, what)| *what)
        .collect();
    if wrong.is_empty() {
        say("\nIt all adds up.");
        return Ok(());
    }
    Err(format!("this does not hold: {}", wrong.join("; ")))
}

/// A client that trusts the keys of this very daemon and no others.
struct Trust(Vec<String>);

impl client::Handler for Trust {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let russh::keys::PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let shown = key.to_openssh().unwrap_or_default();
        // The comment behind a key is not part of it.
        let bare = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Ok(self.0.iter().any(|known| bare(known) == bare(&shown)))
    }
}

async fn connect(
    address: SocketAddr,
    host_keys: Vec<String>,
    key: PrivateKey,
) -> Result<(Handle<Trust>, SftpSession), Sentence> {
    let settings = Arc::new(client::Config {
        nodelay: true,
        ..client::Config::default()
    });
    let mut connection = client::connect(settings, address, Trust(host_keys))
        .await
        .map_err(told)?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let entered = connection
        .authenticate_publickey(USER, key)
        .await
        .map_err(told)?;
    if !entered.success() {
        return Err("the door refused the demo's own key".into());
    }
    let channel = connection.channel_open_session().await.map_err(told)?;
    channel
        .request_subsystem(true, "sftp")
        .await
        .map_err(told)?;
    let sftp = SftpSession::new(channel.into_stream())
        .await
        .map_err(told)?;
    Ok((connection, sftp))
}

async fn read(sftp: &SftpSession, path: &str) -> Result<Vec<u8>, Sentence> {
    sftp.read(format!("whatsapp/{path}")).await.map_err(told)
}

fn told(error: impl std::fmt::Display) -> Sentence {
    error.to_string()
}

fn say(line: &str) {
    // Nobody reads a closed pipe; the exit code still tells.
    let _ = writeln!(io::stdout(), "{line}");
}
