//! Figures, printed and never asserted: how fast rows are checked and kept, how fast messages are
//! sent, how much memory that takes; each beside a peer in the same run, because machines differ.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::borrow::Cow;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dropcast::batch::name::{Container, DropFolder};
use dropcast::batch::read::{Checker, Limits, PhoneCheck, Rules};
use dropcast::batch::template::Templates;
use dropcast::batch::{Arrival, BatchId, Content, Message, Moment, Parameter, Phone, TenantName};
use dropcast::daemon::checking;
use dropcast::delivery::{AttemptId, Sender};
use dropcast::inbox::unpack;
use dropcast::provider::http::Client;
use dropcast::provider::sandbox::{Behaviour, Sandbox};
use dropcast::provider::{Adapter, Kind, Reply, Secret, Settings};
use dropcast::store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const SENDER: &str = "+15550001111";
const IN_FLIGHT: usize = 512;
const TEMPLATE: &str = r#"{"name":"parcel","language":"en","status":"APPROVED","category":"UTILITY",
    "parameter_format":"NAMED","components":[{"type":"BODY","text":
    "Hello {{first}}, order {{ref}} with {{items}} items leaves {{city}} on {{day}} for you."}]}"#;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let million = folder.path().join("million.json");
    generate(&million, 1_000_000)?;
    let runtime = tokio::runtime::Runtime::new()?;
    checking_figures(&runtime, folder.path(), &million)?;
    let bare = bare_loop(&runtime, 100_000)?;
    service_figures(folder.path(), &million, bare)
}

/// Rows of about 180 bytes with five placeholders.
fn generate(path: &Path, rows: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write!(
        out,
        r#"{{"campaignName":"bench","templateName":"parcel","templateLanguage":"en","data":["#
    )?;
    for row in 0..rows {
        let comma = if row == 0 { "" } else { "," };
        write!(
            out,
            "{comma}\n{{\"to\":\"+3161{:07}\",\"reference\":\"R-{row:08}\",\"placeholders\":{{\"first\":\"Ana\",\"ref\":\"A-{row:08}\",\"items\":\"{}\",\"city\":\"Rotterdam\",\"day\":\"Monday 23 November\"}}}}",
            row % 10_000_000,
            row % 9 + 1,
        )?;
    }
    writeln!(out, "\n]}}")?;
    out.flush()
}

#[derive(serde::Deserialize)]
struct BareRow<'a> {
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow)]
    reference: Cow<'a, str>,
    #[serde(borrow)]
    placeholders: BarePlaceholders<'a>,
}

#[derive(serde::Deserialize)]
struct BarePlaceholders<'a> {
    #[serde(borrow)]
    first: Cow<'a, str>,
    #[serde(borrow, rename = "ref")]
    order: Cow<'a, str>,
    #[serde(borrow)]
    items: Cow<'a, str>,
    #[serde(borrow)]
    city: Cow<'a, str>,
    #[serde(borrow)]
    day: Cow<'a, str>,
}

impl BareRow<'_> {
    fn seen(&self) -> usize {
        let values = &self.placeholders;
        let all = [&self.to, &self.reference, &values.first, &values.order];
        let rest = [&values.items, &values.city, &values.day];
        all.into_iter().chain(rest).map(|text| text.len()).sum()
    }
}

/// Check and store, beside bare parsing of the same file into borrowed structs.
fn checking_figures(
    runtime: &tokio::runtime::Runtime,
    folder: &Path,
    million: &Path,
) -> Outcome<()> {
    let rows = 1_000_000_f64;
    let began = Instant::now();
    let mut seen = 0_usize;
    let mut file = BufReader::with_capacity(1 << 17, File::open(million)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let row = line.strip_suffix(b"\n").unwrap_or(&line);
        let row = row.strip_suffix(b",").unwrap_or(row);
        if let Ok(row) = serde_json::from_slice::<BareRow<'_>>(row) {
            seen += row.seen();
        }
        line.clear();
    }
    let bare = rows / began.elapsed().as_secs_f64();
    println!("bare parsing, one core          {bare:>12.0} rows/s ({seen} bytes seen)");
    let store = Store::open(&folder.join("bench.db"))?;
    for (what, keeps) in [
        ("checked", Keeps::Nothing),
        ("checked and stored", Keeps::All),
    ] {
        let rate = rows / check(runtime, million, &store, keeps)?.as_secs_f64();
        println!(
            "{what:<32}{rate:>12.0} rows/s {:>6.2} x bare parsing",
            rate / bare
        );
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    All,
}

fn check(
    runtime: &tokio::runtime::Runtime,
    path: &Path,
    store: &Store,
    keeps: Keeps,
) -> Outcome<Duration> {
    let sender = Phone::from_e164(SENDER).ok_or("a number")?;
    let rules = Rules {
        senders: vec![sender],
        phone_check: PhoneCheck::Possible,
        phone_lenient: false,
        strict: false,
        invalid_max: 1.0,
        default_validity: Duration::from_hours(48),
        default_validity_authentication: Duration::from_mins(10),
        limits: Limits::default(),
    };
    let (templates, _) = Templates::parse(&[("parcel.json".into(), TEMPLATE.into())]);
    let received_at = Moment::from_millis(1_800_000_000_000);
    let checker = Checker {
        rules: &rules,
        templates: &templates,
        received_at,
    };
    let batch = BatchId::new(received_at, 1);
    let size_bytes = fs::metadata(path)?.len();
    let arrival = Arrival {
        tenant: TenantName::parse("bench").ok_or("a name")?,
        batch: batch.clone(),
        folder: DropFolder::Whatsapp,
        name: "million.json".into(),
        size_bytes,
        received_at,
    };
    runtime.block_on(store.receive(arrival))?;
    runtime.block_on(store.begin_check(batch.clone()))?;
    let open = || unpack::open(File::open(path)?, "million.json");
    let mut keep = |piece| match keeps {
        Keeps::Nothing => Ok(()),
        Keeps::All => runtime
            .block_on(store.keep(batch.clone(), piece))
            .map_err(io::Error::other),
    };
    let began = Instant::now();
    let found = checking::check(&open, size_bytes, Container::Plain, checker, &mut keep)?;
    if found.total != 1_000_000 || found.invalid != 0 {
        return Err(format!("{} rows, {} invalid", found.total, found.invalid).into());
    }
    Ok(began.elapsed())
}

/// The same HTTP client and stand-in with nothing kept: what sending could reach at most.
fn bare_loop(runtime: &tokio::runtime::Runtime, requests: u64) -> Outcome<f64> {
    let sender = Phone::from_e164(SENDER).ok_or("a number")?;
    let body = ["Ana", "A-1", "3", "Rotterdam", "Monday"].map(|text| Parameter {
        name: Some("first".into()),
        text: text.into(),
    });
    let message = Arc::new(Message {
        index: 0,
        line: 1,
        to: Phone::from_e164("+31612345678").ok_or("a number")?,
        from: sender.clone(),
        reference: None,
        callback_data: None,
        expires_at: Moment::from_millis(i64::MAX),
        content: Content::Template {
            name: "parcel".into(),
            language: "en".into(),
            body: body.into(),
        },
    });
    let sender = Arc::new(Sender {
        number: sender,
        provider_id: "106540352242922".into(),
        messages_per_second: 10_000.0,
    });
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sandbox = Sandbox::open(listen, Behaviour::default()).await?;
        let settings = Settings {
            kind: Kind::Sandbox,
            base_url: String::new(),
            access_token: Secret::new("bench"),
            business_account_id: String::new(),
            ca_file: None,
        };
        let adapter = Adapter::new(&settings, Some(sandbox.address()));
        let server = tokio::spawn(sandbox.serve(stop.clone()));
        let client = Client::new(None)?;
        let permits = Arc::new(Semaphore::new(IN_FLIGHT));
        let batch = BatchId::new(Moment::from_millis(0), 1);
        let began = Instant::now();
        for index in 0..requests {
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let id = AttemptId {
                batch: batch.clone(),
                index,
                attempt: 1,
            };
            let request = adapter.request(&sender, &id, &message);
            let client = client.clone();
            tokio::spawn(async move {
                if !matches!(
                    client.send(&request).await,
                    Reply::Answer { status: 200, .. }
                ) {
                    println!("a request of the bare loop was not accepted");
                }
                drop(permit);
            });
        }
        let _all = permits.acquire_many(u32::try_from(IN_FLIGHT)?).await?;
        let rate = requests as f64 / began.elapsed().as_secs_f64();
        println!("bare HTTP loop, {IN_FLIGHT} in flight    {rate:>12.0} messages/s");
        stop.cancel();
        server.await?;
        Ok(rate)
    })
}

/// The built binary: sending, and the most memory it ever held.
fn service_figures(folder: &Path, million: &Path, bare: f64) -> Outcome<()> {
    for rows in [10_000_u64, 100_000, 1_000_000] {
        let path = folder.join(format!("rows-{rows}.json"));
        if rows == 1_000_000 {
            fs::rename(million, &path)?;
        } else {
            generate(&path, rows)?;
        }
        let service = Service::start(folder.join(format!("service-{rows}")))?;
        let status = service.send(&path)?;
        let moment = |key: &str| {
            let text = status[key].as_str().unwrap_or_default();
            Moment::parse(text)
                .map(Moment::as_millis)
                .ok_or(format!("no {key} in the status"))
        };
        let sending_ms = (moment("finishedAt")? - moment("startedAt")?).max(1);
        let accepted = status["counts"]["accepted"].as_u64().unwrap_or(0);
        let rate = accepted as f64 * 1000.0 / sending_ms as f64;
        println!(
            "service, {rows:>9} rows         {rate:>12.0} messages/s {:>6.2} x bare loop, peak {:>4} MiB, {accepted} accepted",
            rate / bare,
            service.peak_kib()? / 1024,
        );
    }
    Ok(())
}

/// A `dropcast serve` with the sandbox provider.
struct Service {
    folder: PathBuf,
    child: Child,
    port: u16,
}

impl Service {
    fn start(folder: PathBuf) -> Outcome<Self> {
        fs::create_dir_all(folder.join("tenants.d"))?;
        fs::create_dir_all(folder.join("templates"))?;
        fs::write(folder.join("templates/parcel.json"), TEMPLATE)?;
        let key = folder.join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()?;
        if !made.success() {
            return Err("ssh-keygen failed".into());
        }
        let public = fs::read_to_string(folder.join("key.pub"))?;
        fs::write(
            folder.join("dropcast.toml"),
            "data_dir = \"data\"\ntenants_dir = \"tenants.d\"\n[sftp]\nlisten = \"127.0.0.1:0\"\n",
        )?;
        let tenant = format!(
            "[[logins]]\nuser = \"bench\"\nauthorized_keys = [\"{}\"]\n[provider]\nkind = \"sandbox\"\n[[senders]]\nnumber = \"{SENDER}\"\nphone_number_id = \"106540352242922\"\nmessages_per_second = 10000\n[templates]\ndir = \"../templates\"\n",
            public.trim(),
        );
        fs::write(folder.join("tenants.d/bench.toml"), tenant)?;
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
        Ok(Self {
            folder,
            child,
            port,
        })
    }

    /// Uploads a file and waits for its final status.
    fn send(&self, path: &Path) -> Outcome<serde_json::Value> {
        let name = path
            .file_name()
            .ok_or("a name")?
            .to_string_lossy()
            .into_owned();
        let mut client = Command::new("sftp")
            .args([
                "-q",
                "-b",
                "-",
                "-oStrictHostKeyChecking=no",
                "-oUserKnownHostsFile=/dev/null",
            ])
            .args([
                "-oIdentitiesOnly=yes",
                "-oBatchMode=yes",
                "-oLogLevel=ERROR",
                "-i",
            ])
            .arg(self.folder.join("key"))
            .args(["-P", &self.port.to_string(), "bench@127.0.0.1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut commands = client.stdin.take().ok_or("no stdin")?;
        writeln!(commands, "put {} whatsapp/{name}", path.display())?;
        drop(commands);
        if !client.wait()?.success() {
            return Err("the upload failed".into());
        }
        let results = self.folder.join("data/tenants/bench/whatsapp/results");
        let status = results.join(format!("{name}.status.json"));
        loop {
            if let Ok(text) = fs::read(&status)
                && let Ok(status) = serde_json::from_slice::<serde_json::Value>(&text)
                && status["final"] == true
            {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn peak_kib(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing is measured any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
