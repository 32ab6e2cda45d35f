//! `pause`, `resume` and `retry`, for all that can be steered.

use std::io;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::asking::{Line, Unreachable};
use super::{ConfigOption, EXIT_DONE, EXIT_NO, EXIT_UNREACHABLE, complain, say};
use crate::batch::TenantName;
use crate::config;
use crate::daemon::desk::{Answer, Asked, Named};

/// How long a pause lasts, and why.
#[derive(Clone, Debug, Args)]
pub(super) struct PauseOptions {
    /// Resumes by itself after this long, as in `30m` or `2h`; without it, at `resume`.
    #[arg(long = "for", value_name = "DURATION", value_parser = how_long)]
    lasts: Option<Duration>,
    /// Why, for the status that the tenant reads and for those who come after you.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Whom a command is for, and how what came of it is told.
#[derive(Clone, Debug, Args)]
pub(super) struct Manner {
    /// Writes what came of it as JSON: `done`, and `message` with the sentence.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigOption,
}

/// What came of a command, for programs.
#[derive(Serialize)]
struct Outcome {
    done: bool,
    message: String,
}

/// What is done to a subject.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Pause(PauseOptions),
    Resume,
    Retry,
}

/// Does it, and says what came of it.
pub(super) fn steer(manner: &Manner, subject: Named, deed: Deed) -> io::Result<u8> {
    let asked = match deed {
        Deed::Pause(PauseOptions { lasts, reason }) => Asked::Pause {
            subject,
            reason,
            for_ms: lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)),
        },
        Deed::Resume => Asked::Resume { subject },
        Deed::Retry => Asked::Retry { subject },
    };
    command(manner, &asked)
}

/// Asks for something to be done, and says what came of it.
pub(super) fn command(manner: &Manner, asked: &Asked) -> io::Result<u8> {
    let line = match Line::to(&manner.config.path) {
        Ok(line) => line,
        Err(code) => return Ok(code),
    };
    let (done, message) = match line.try_ask(asked) {
        Ok(Answer::Done(sentence)) => (true, sentence),
        Ok(Answer::No(sentence)) => (false, sentence),
        Ok(other) => return Err(odd(&other)),
        Err(Unreachable(sentence)) => {
            complain(&sentence);
            return Ok(EXIT_UNREACHABLE);
        }
    };
    if manner.json {
        let outcome = Outcome { done, message };
        say(&serde_json::to_string_pretty(&outcome)?)?;
    } else if done {
        say(&message)?;
    } else {
        complain(&message);
    }
    Ok(if done { EXIT_DONE } else { EXIT_NO })
}

/// The daemon answered what was not asked.
pub(super) fn odd(answer: &Answer) -> io::Error {
    io::Error::other(format!("the daemon answered something else: {answer:?}"))
}

/// Reads a length of time.
pub(super) fn how_long(text: &str) -> Result<Duration, String> {
    let read = config::duration(text).filter(|duration| !duration.is_zero());
    read.ok_or_else(|| "write a length of time such as `30m`, `2h` or `1h 30m`".into())
}

/// Reads the name of a tenant.
pub(super) fn tenant(text: &str) -> Result<TenantName, String> {
    let parsed = TenantName::parse(text);
    parsed.ok_or_else(|| "a tenant's name has 1 to 63 of `a-z`, `0-9`, `-` and `_`".into())
}
