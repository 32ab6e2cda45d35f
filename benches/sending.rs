//! Figures of sending, printed and never asserted: how fast beside a bare loop of the same HTTP
//! client, how soon, how evenly, and in how much memory. Arguments choose among the sections:
//! `cargo bench --bench sending -- latency senders`.
//!
//! The environment makes a run small: `BENCH_MESSAGES` of a round, `BENCH_ROUNDS`, `BENCH_BIG` rows
//! of what others are beside, `BENCH_FILES` of one row, `BENCH_SENDERS`, `BENCH_SECONDS` of them,
//! `BENCH_ROWS` that wait.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::path::Path;

use tokio::runtime::Runtime;

mod bare;
mod client;
mod measured;
#[allow(dead_code, reason = "other figures start it in other ways")]
mod service;
mod stand_in;

use measured::{fairness, latency, rates, senders, waiting};
use service::Outcome;

type Section = fn(&Runtime, &Path) -> Outcome<()>;

const SECTIONS: [(&str, Section); 6] = [
    ("rates", rates::one_by_one),
    ("bulk", rates::in_bulk),
    ("latency", latency::figures),
    ("senders", senders::figures),
    ("waiting", waiting::figures),
    ("fairness", fairness::figures),
];

fn main() -> Outcome<()> {
    // Cargo's own options are not for this program.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for word in &wanted {
        if !SECTIONS.iter().any(|(name, _)| name == word) {
            return Err(format!("there is no section `{word}`").into());
        }
    }
    let runtime = Runtime::new()?;
    for (name, section) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            // A temporary folder may be in memory, where a sync costs nothing.
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            section(&runtime, folder.path())?;
        }
    }
    Ok(())
}
