//! `dropcast explain`: why a batch is not faster, which limit binds, and when it will have ended.

use std::io;

use clap::Args;

use super::asking::Line;
use super::steering::odd;
use super::table::{coloured, grouped, moment, plain};
use super::{ConfigOption, EXIT_DONE, say, sender};
use crate::daemon::desk::{Answer, Asked, Explained};

#[derive(Clone, Debug, Args)]
pub(super) struct Explain {
    /// The batch: its id, the beginning or end of one, or its file's name (the newest of it).
    #[arg(value_name = "BATCH")]
    batch: String,
    /// Writes JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigOption,
}

/// Asks and tells.
pub(super) fn run(asked: Explain) -> io::Result<u8> {
    let question = Asked::Explain { batch: asked.batch };
    let line = Line::to(&asked.config.path);
    match line.and_then(|line| line.ask(&question)) {
        Ok(Answer::Explained(explained)) if asked.json => {
            say(&serde_json::to_string_pretty(&explained)?)?;
            Ok(EXIT_DONE)
        }
        Ok(Answer::Explained(explained)) => {
            write(&explained)?;
            Ok(EXIT_DONE)
        }
        Ok(other) => Err(odd(&other)),
        Err(code) => Ok(code),
    }
}

fn write(explained: &Explained) -> io::Result<()> {
    let batch = &explained.batch;
    let counts = &batch.counts;
    let (id, file, tenant) = (&batch.batch, plain(&batch.file), &batch.tenant);
    let state = coloured(&batch.state);
    say(&format_args!(
        "batch {id} ({file}, tenant {tenant}) is {state}"
    ))?;
    say(&format_args!(
        "  messages  {} of {} done, {} waiting, {} in flight",
        grouped(counts.closed()),
        grouped(counts.total),
        grouped(counts.waiting),
        grouped(counts.in_flight),
    ))?;
    say(&format_args!("  limit     {}", explained.because))?;
    if let Some(until) = &explained.until {
        say(&format_args!("  until     {}", moment(until)))?;
    }
    let end = batch.estimated_end_at.as_deref().map(moment);
    let ended = batch.finished_at.as_deref().map(moment);
    match (ended, end) {
        (Some(ended), _) => say(&format_args!("  ended     {ended}"))?,
        (None, Some(end)) => match &explained.ends_last {
            None => say(&format_args!("  ends      about {end}"))?,
            Some(number) => {
                let (number, all) = (number.as_str(), explained.senders.len());
                say(&format_args!(
                    "  ends      about {end}: {number} will be the last of its {all} senders"
                ))?;
            }
        },
        (None, None) => say(&"  ends      nobody can say yet")?,
    }
    if !explained.senders.is_empty() {
        say(&"")?;
        sender::write(&explained.senders)?;
    }
    Ok(())
}
