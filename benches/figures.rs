//! Figures, printed and never asserted: how fast rows are checked and kept, how fast messages are
//! sent, how much memory that takes; each beside a peer in the same run, because machines differ.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dropcast::batch::{
    BatchId, Content, Filling, Message, Moment, Options, Parameter, Phone, Priority,
};
use dropcast::delivery::{AttemptId, Sender};
use dropcast::provider::http::Client;
use dropcast::provider::sandbox::{Behaviour, Sandbox};
use dropcast::provider::{Adapter, Kind, Reply, Secret, Settings};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

mod checking;
mod service;

use checking::{Repeats, generate};
use service::{Outcome, SENDER, Service, TENANT, memory_kib, wait_for};

const IN_FLIGHT: usize = 512;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, what, path, database, rows] = arguments.as_slice()
        && what == checking::ALONE
    {
        return checking::alone(Path::new(path), Path::new(database), rows.parse()?);
    }
    let folder = tempfile::tempdir()?;
    let million = folder.path().join("million.json");
    generate(&million, 1_000_000, Repeats::Send)?;
    let runtime = tokio::runtime::Runtime::new()?;
    checking::figures(&runtime, folder.path(), &million)?;
    checking::memory_figures(folder.path())?;
    small_beside_big(folder.path(), &million)?;
    let bare = bare_loop(&runtime, 100_000)?;
    service_figures(folder.path(), &million, bare)
}

/// How long a small file takes until it is checked, alone and while a big one is being checked.
fn small_beside_big(folder: &Path, million: &Path) -> Outcome<()> {
    let home = folder.join("beside");
    let service = Service::start(&home)?;
    let key = home.join("key");
    let results = home.join("data/tenants/bench/whatsapp/results");
    let state = |name: &str| {
        let text = fs::read(results.join(format!("{name}.status.json"))).ok()?;
        let status: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(status["state"].as_str()?.to_owned())
    };
    let drop_small = |name: &str| {
        let small = folder.join(name);
        generate(&small, 10, Repeats::Send)?;
        let put = format!("put {} whatsapp/{name}\n", small.display());
        service::sftp(TENANT, service.port, &key, &[], &put)?;
        let began = Instant::now();
        wait_for(|| {
            let state = state(name)?;
            (state != "received" && state != "checking").then_some(())
        });
        Ok::<_, Box<dyn std::error::Error>>(began.elapsed().as_millis())
    };
    let alone_ms = drop_small("small-alone.json")?;
    let put = format!("put {} whatsapp/million.json\n", million.display());
    service::sftp(TENANT, service.port, &key, &[], &put)?;
    let beside_ms = drop_small("small-beside.json")?;
    let big = state("million.json").unwrap_or_default();
    println!(
        "small file checked after {alone_ms} ms alone, after {beside_ms} ms beside a million rows (then {big})"
    );
    Ok(())
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
        priority: Priority::default(),
        send_window: None,
        ignore_quiet_hours: false,
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
            proxy: None,
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
            generate(&path, rows, Repeats::Send)?;
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
