//! Figures, printed and never asserted: how fast rows are checked and kept, how fast messages are
//! sent, how much memory that takes; each beside a peer in the same run, because machines differ.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dropcast::batch::name::{Container, DropFolder};
use dropcast::batch::origin::Origin;
use dropcast::batch::read::{Checker, Limits, PhoneCheck, Rules};
use dropcast::batch::template::Templates;
use dropcast::batch::{
    Arrival, BatchId, Content, Filling, Message, Moment, Options, Parameter, Phone, TenantName,
};
use dropcast::daemon::checking;
use dropcast::delivery::{AttemptId, Sender};
use dropcast::inbox::unpack;
use dropcast::provider::http::Client;
use dropcast::provider::sandbox::{Behaviour, Sandbox};
use dropcast::provider::{Adapter, Kind, Reply, Secret, Settings};
use dropcast::store::{Start, Store};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

mod service;

use service::{Outcome, SENDER, Service, TEMPLATE, TENANT, memory_kib, wait_for};

const IN_FLIGHT: usize = 512;
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
        origin: Origin::Door,
    };
    runtime.block_on(store.receive(arrival, Start::AtOnce))?;
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
        ..Parameter::text(text)
    });
    let message = Arc::new(Message {
        index: 0,
        line: 1,
        to: Phone::from_e164("+31612345678").ok_or("a number")?,
        from: sender.clone(),
        reference: None,
        callback_data: None,
        scheduled_at: None,
        expires_at: Moment::from_millis(i64::MAX),
        options: Options::default(),
        content: Content::Template(Filling {
            name: "parcel".into(),
            language: "en".into(),
            body: body.into(),
            ..Filling::default()
        }),
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
        let home = folder.join(format!("service-{rows}"));
        let service = Service::start(&home)?;
        let status = send(&service, &home, &path)?;
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
            memory_kib(service.pid(), "VmHWM:")? / 1024,
        );
    }
    Ok(())
}

/// Uploads a file and waits for its final status.
fn send(service: &Service, home: &Path, path: &Path) -> Outcome<serde_json::Value> {
    let name = path.file_name().ok_or("a name")?.to_string_lossy();
    let key = home.join("key");
    let put = format!("put {} whatsapp/{name}\n", path.display());
    service::sftp(TENANT, service.port, &key, &[], &put)?;
    let results = home.join("data/tenants/bench/whatsapp/results");
    let status = results.join(format!("{name}.status.json"));
    Ok(wait_for(|| {
        let text = fs::read(&status).ok()?;
        let status = serde_json::from_slice::<serde_json::Value>(&text).ok()?;
        (status["final"] == true).then_some(status)
    }))
}
