//! Very many messages that wait: in how much memory, and how soon they go on after a death.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{cpu_seconds, setting, soon, status, upload};
use crate::service::{Outcome, Plan, SENDER, Service, TENANT, cloud_api, memory_kib};
use crate::stand_in::{Senders, StandIn};

/// Slow, so that they go on waiting.
const RATE: f64 = 100.0;

/// Requests of the dead that may still lie in a socket have been read by then.
const SETTLED: Duration = Duration::from_millis(500);

pub(crate) fn figures(runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let rows = setting("BENCH_ROWS", 10_000_000);
    let stand_in = StandIn::open(runtime, Senders::Counted)?;
    let plan = Plan {
        senders: vec![(SENDER.into(), RATE)],
        ..Plan::new(TENANT, cloud_api(stand_in.address))
    };
    let service = Service::start_as(folder, &[plan])?;
    type_in(folder, &["tenant", "pause", TENANT])?;
    let began = Instant::now();
    upload(&service, folder, (TENANT, "waiting.json", rows))?;
    status(folder, (TENANT, "waiting.json"), |status| {
        status["counts"]["waiting"] == rows
    });
    let kept = began.elapsed().as_secs_f64();
    let resumed = Instant::now();
    type_in(folder, &["tenant", "resume", TENANT])?;
    let first = runtime.block_on(soon("request", || stand_in.first()))?;
    let peak = memory_kib(service.pid(), "VmHWM:")? / 1024;
    println!(
        "{rows} waiting, kept after {kept:.0} s: peak {peak} MiB, first request {} ms after `resume`",
        first.saturating_duration_since(resumed).as_millis(),
    );
    drop(service);
    std::thread::sleep(SETTLED);
    stand_in.begin_afresh();
    let began = Instant::now();
    let service = Service::again(folder)?;
    let open = began.elapsed().as_millis();
    let first = runtime.block_on(soon("request", || stand_in.first()))?;
    runtime.block_on(soon("hundred requests", || {
        (stand_in.seen() >= 100).then_some(())
    }))?;
    println!(
        "{rows} waiting, after a kill: door open after {open} ms, first request after {} ms, peak {} MiB, {:.2} s of processor",
        first.saturating_duration_since(began).as_millis(),
        memory_kib(service.pid(), "VmHWM:")? / 1024,
        cpu_seconds(service.pid())?,
    );
    Ok(())
}

/// What an operator types.
fn type_in(folder: &Path, words: &[&str]) -> Outcome<()> {
    let done = Command::new(env!("CARGO_BIN_EXE_dropcast"))
        .args(words)
        .arg("--config")
        .arg(folder.join("dropcast.toml"))
        .stdout(Stdio::null())
        .status()?;
    if done.success() {
        return Ok(());
    }
    Err(format!("{words:?} failed").into())
}
