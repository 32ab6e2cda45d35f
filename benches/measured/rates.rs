//! How many messages a second leave, beside a bare loop of the same HTTP client.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use dropcast::provider::Kind;
use dropcast::provider::sandbox::{Behaviour, Sandbox, Seen};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{cpu_seconds, middle, rate_of, row, setting, status, upload, upload_rows};
use crate::bare::{self, IN_FLIGHT};
use crate::service::{Outcome, Plan, Service, TENANT, cloud_api, memory_kib};

/// One message in a request, against stand-ins that answer at once and after a while.
pub(crate) fn one_by_one(runtime: &Runtime, folder: &Path) -> Outcome<()> {
    for latency_ms in [0, 50] {
        let home = folder.join(format!("rates-{latency_ms}"));
        beside_bare(runtime, &home, latency_ms)?;
    }
    Ok(())
}

fn beside_bare(runtime: &Runtime, home: &Path, latency_ms: u64) -> Outcome<()> {
    let messages = setting("BENCH_MESSAGES", 200_000);
    let (address, stop, served) = sandbox(runtime, latency_ms)?;
    let service = Service::start_as(home, &[Plan::new(TENANT, cloud_api(address))])?;
    let (mut bare, mut ours, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..setting("BENCH_ROUNDS", 5) {
        bare.push(runtime.block_on(bare::rate(address, round, messages))?);
        let name = format!("round-{round}.json");
        let cpu_before = cpu_seconds(service.pid())?;
        upload(&service, home, (TENANT, &name, messages))?;
        let ended = status(home, (TENANT, &name), |status| status["final"] == true);
        let (rate, accepted) = rate_of(&ended)?;
        if accepted != messages {
            println!("only {accepted} of {messages} were accepted");
        }
        ours.push(rate);
        cpu.push((cpu_seconds(service.pid())? - cpu_before) * 1e6 / messages as f64);
    }
    let peak = memory_kib(service.pid(), "VmHWM:")? / 1024;
    drop(service);
    stop.cancel();
    let seen = runtime.block_on(served)?;
    let (bare, ours, cpu) = (middle(bare), middle(ours), middle(cpu));
    println!(
        "sending, answers after {latency_ms:>2} ms  {ours:>9.0} messages/s {:>6.2} x bare loop ({bare:.0} messages/s, {IN_FLIGHT} in flight), {cpu:.0} us of processor a message, peak {peak} MiB, {} repeated",
        ours / bare,
        seen.repeated,
    );
    Ok(())
}

type Running = (SocketAddr, CancellationToken, JoinHandle<Seen>);

/// The built-in stand-in, within this program.
fn sandbox(runtime: &Runtime, latency_ms: u64) -> Outcome<Running> {
    let behaviour = Behaviour {
        latency: Duration::from_millis(latency_ms),
        ..Behaviour::default()
    };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sandbox = runtime.block_on(Sandbox::open(listen, Kind::Sandbox, behaviour))?;
    let address = sandbox.address();
    let stop = CancellationToken::new();
    let served = runtime.spawn(sandbox.serve(stop.clone()));
    Ok((address, stop, served))
}

/// Up to a hundred messages in a request.
pub(crate) fn in_bulk(runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let messages = setting("BENCH_MESSAGES", 1_000_000);
    for senders in [1, 8] {
        let home = folder.join(format!("bulk-{senders}"));
        let (address, stop, served) = sandbox(runtime, 0)?;
        let base_url = format!("base_url = \"http://{address}/v25.0\"");
        let provider = format!("kind = \"sandbox\"\nbulk_max = 100\n{base_url}\n");
        let mut plan = Plan::new(TENANT, provider);
        plan.senders = (0..senders)
            .map(|sender| (format!("+1555000{sender:04}"), 100_000.0))
            .collect();
        let service = Service::start_as(&home, std::slice::from_ref(&plan))?;
        let (mut rates, mut cpu) = (Vec::new(), Vec::new());
        for round in 0..setting("BENCH_ROUNDS", 3) {
            let name = format!("round-{round}.json");
            let rows = (0..messages).map(|number| {
                let (from, _) = &plan.senders[number as usize % plan.senders.len()];
                row(&super::recipient(number), from, number)
            });
            let before = cpu_seconds(service.pid())?;
            upload_rows(&service, &home, (TENANT, &name), rows)?;
            let ended = status(&home, (TENANT, &name), |status| status["final"] == true);
            let (rate, accepted) = rate_of(&ended)?;
            if accepted != messages {
                println!("only {accepted} of {messages} were accepted");
            }
            rates.push(rate);
            cpu.push((cpu_seconds(service.pid())? - before) * 1e6 / messages as f64);
        }
        let peak = memory_kib(service.pid(), "VmHWM:")? / 1024;
        drop(service);
        stop.cancel();
        let seen = runtime.block_on(served)?;
        println!(
            "sending in bulk, numbers: {senders} {:>10.0} messages/s, {:.0} in a request, {:.1} us of processor a message with the checking, peak {peak} MiB, {} repeated",
            middle(rates),
            seen.accepted as f64 / seen.requests as f64,
            middle(cpu),
            seen.repeated,
        );
    }
    Ok(())
}
