//! Figures, printed and never asserted: how fast rows are checked and kept and how much memory that
//! takes; each beside a peer in the same run, because machines differ. Sending has its own.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::fs;
use std::path::Path;
use std::time::Instant;

mod checking;
#[allow(dead_code, reason = "other figures start it in other ways")]
mod service;

use checking::{Repeats, generate};
use service::{Outcome, Service, TENANT, wait_for};

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
    small_beside_big(folder.path(), &million)
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
