//! How soon a message leaves: from the answered close of a file of one row to the stand-in seeing
//! its request.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::{row, setting, soon, spread, upload, write_batch};
use crate::client::Client;
use crate::service::{Outcome, Plan, Service, TENANT, cloud_api};
use crate::stand_in::{Senders, StandIn, WATCHED};

/// What the service does between one file and the next, so that it is idle again.
const REST: Duration = Duration::from_millis(50);

/// Idle, and while a big batch of the same tenant is being sent.
pub(crate) fn figures(runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let big = setting("BENCH_BIG", 1_000_000);
    let stand_in = StandIn::open(runtime, Senders::Counted)?;
    let plan = Plan::new(TENANT, cloud_api(stand_in.address));
    let service = Service::start_as(folder, &[plan])?;
    let key = folder.join("key");
    let client = runtime.block_on(Client::connect(TENANT, service.port, &key))?;
    let files = |word: &'static str, head: &'static str| {
        let times = files_of(&client, &stand_in, (word, head));
        let times = runtime.block_on(times)?;
        println!("close to request, {word:<28} {}", spread(times));
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    files("idle", "")?;
    files("idle, high priority", HIGH)?;
    stand_in.begin_afresh();
    upload(&service, folder, (TENANT, "big.json", big))?;
    runtime.block_on(soon("request of the big batch", || {
        (stand_in.seen() > big / 100).then_some(())
    }))?;
    for (word, head) in [
        ("beside a big batch", ""),
        ("beside it, high priority", HIGH),
    ] {
        files(word, head)?;
        if stand_in.seen() >= big {
            println!("the big batch of {big} had ended before that: set BENCH_BIG higher");
        }
    }
    Ok(())
}

const HIGH: &str = r#""priority":"high","#;

async fn files_of(
    client: &Client,
    stand_in: &StandIn,
    (word, head): (&str, &str),
) -> Outcome<Vec<Duration>> {
    let mut times = Vec::new();
    for number in 0..setting("BENCH_FILES", 200) {
        let to = format!("{WATCHED}{number:07}");
        let name = format!("{}-{number}.json", word.replace([' ', ','], "-"));
        let mut content = Vec::new();
        let rows = [row(&to, "", number)].into_iter();
        write_batch(&mut content, (&name, head), rows)?;
        let before = stand_in.seen_to(&to);
        let closed = client.put(&name, &content).await?;
        let seen = soon("request", || {
            stand_in.seen_to(&to).filter(|seen| Some(*seen) != before)
        });
        times.push(seen.await?.saturating_duration_since(closed));
        tokio::time::sleep(REST).await;
    }
    Ok(times)
}
