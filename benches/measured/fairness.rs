//! Small batches of many tenants beside a big one: how long the small take, and what that costs the
//! big one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{row, setting, soon, spread, upload, write_batch};
use crate::client::Client;
use crate::service::{Outcome, Plan, Service, TENANT, cloud_api};
use crate::stand_in::{Senders, StandIn, WATCHED};

/// Tenants with small batches, and the rows of each.
const SMALL: (u64, u64) = (20, 50);

/// How often each of them uploads one.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) fn figures(runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let big = setting("BENCH_BIG", 1_000_000);
    let window = Duration::from_secs(setting("BENCH_SECONDS", 20));
    let stand_in = StandIn::open(runtime, Senders::Counted)?;
    let provider = cloud_api(stand_in.address);
    let small: Vec<String> = (0..SMALL.0)
        .map(|number| format!("small-{number}"))
        .collect();
    let mut plans = vec![Plan::new(TENANT, provider.as_str())];
    plans.extend(small.iter().map(|name| Plan::new(name, provider.as_str())));
    let service = Service::start_as(folder, &plans)?;
    let clients = runtime.block_on(async {
        let mut clients = Vec::new();
        for name in &small {
            clients.push(Client::connect(name, service.port, &folder.join("key")).await?);
        }
        Ok::<_, Box<dyn std::error::Error>>(clients)
    })?;
    upload(&service, folder, (TENANT, "big.json", big))?;
    runtime.block_on(soon("request of the big batch", || {
        (stand_in.seen() > big / 100).then_some(())
    }))?;
    let since = |(began, seen): (Instant, u64)| {
        (stand_in.seen() - seen) as f64 / began.elapsed().as_secs_f64()
    };
    let began = (Instant::now(), stand_in.seen());
    std::thread::sleep(window);
    let alone = since(began);
    let began = (Instant::now(), stand_in.seen());
    let local = tokio::task::LocalSet::new();
    let times = local.block_on(runtime, drop_small(clients, &stand_in, window))?;
    let all = since(began);
    if stand_in.seen() >= big {
        println!("the big batch of {big} had ended before that: set BENCH_BIG higher");
    }
    let small_rate = (times.len() as u64 * SMALL.1) as f64 / window.as_secs_f64();
    println!(
        "{} tenants with batches of {} beside {big}: close to last request {}; the big one goes at {alone:.0}/s alone and {:.0}/s beside them ({:.2} x slower)",
        SMALL.0,
        SMALL.1,
        spread(times),
        all - small_rate,
        alone / (all - small_rate),
    );
    Ok(())
}

/// Lets each tenant upload small batches for this long; gives how long each took.
async fn drop_small(
    clients: Vec<Client>,
    stand_in: &StandIn,
    window: Duration,
) -> Outcome<Vec<Duration>> {
    let rounds = window.as_secs() / EVERY.as_secs();
    let tasks: Vec<_> = (0..)
        .zip(clients)
        .map(|(tenant, client)| {
            let stand_in = stand_in.clone();
            tokio::task::spawn_local(async move {
                let mut times = Vec::new();
                for round in 0..rounds {
                    let due = Instant::now() + EVERY;
                    times.push(one_small(&client, &stand_in, (tenant, round)).await?);
                    tokio::time::sleep_until(due.into()).await;
                }
                Ok::<_, Box<dyn std::error::Error>>(times)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

/// How long it takes from the answered close to the last request.
async fn one_small(
    client: &Client,
    stand_in: &StandIn,
    (tenant, round): (u64, u64),
) -> Outcome<Duration> {
    let first = (tenant * 1_000 + round) * SMALL.1;
    let to: Arc<[String]> = (first..first + SMALL.1)
        .map(|number| format!("{WATCHED}{number:07}"))
        .collect();
    let name = format!("small-{round}.json");
    let mut content = Vec::new();
    let rows = to
        .iter()
        .zip(first..)
        .map(|(to, number)| row(to, "", number));
    write_batch(&mut content, (&name, ""), rows)?;
    let closed = client.put(&name, &content).await?;
    let last = soon("last request of a small batch", || {
        let seen: Option<Vec<Instant>> = to.iter().map(|to| stand_in.seen_to(to)).collect();
        seen?.into_iter().max()
    });
    Ok(last.await?.saturating_duration_since(closed))
}
