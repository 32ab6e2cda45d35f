//! `dropcast batch`: batches as they stand, and what an operator does about them.

use std::io;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::asking::Line;
use super::steering::{Deed, Manner, PauseOptions, command, how_long, odd, steer, tenant};
use super::table::{self, coloured, grouped, moment, number, text};
use super::{ConfigOption, EXIT_DONE, say, watch};
use crate::batch::{Moment, TenantName};
use crate::clock;
use crate::daemon::desk::{Answer, Asked as Question, BatchTold, Named, Wanted, state_words};

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Asked {
    /// Lists batches, newest first.
    List(List),
    /// Shows how one batch stands.
    Show {
        #[command(flatten)]
        one: One,
        /// Writes JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Follows one batch until it has ended; exits with 1 if it was cancelled or refused.
    Watch {
        #[command(flatten)]
        one: One,
        /// Writes a line of JSON for each change.
        #[arg(long)]
        json: bool,
    },
    /// Begins nothing more of a batch, until it is resumed.
    Pause {
        #[command(flatten)]
        one: Steered,
        #[command(flatten)]
        how: PauseOptions,
    },
    /// Ends the pause of a batch; one that is held is tried again at once.
    Resume(Steered),
    /// Stops a batch for good: what has not begun is never sent, and told as `cancelled`.
    Cancel {
        #[command(flatten)]
        one: Steered,
        /// Why, for the status that the tenant reads and for those who come after you.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Tries at once what waits for another try.
    Retry(Steered),
}

/// One batch.
#[derive(Clone, Debug, Args)]
pub(super) struct One {
    /// The batch: its id, the beginning or end of one, or its file's name (the newest of it).
    #[arg(value_name = "BATCH")]
    pub(super) batch: String,
    #[command(flatten)]
    pub(super) config: ConfigOption,
}

/// One batch, and how what came of it is told.
#[derive(Clone, Debug, Args)]
pub(super) struct Steered {
    /// The batch: its id, the beginning or end of one, or its file's name (the newest of it).
    #[arg(value_name = "BATCH")]
    batch: String,
    #[command(flatten)]
    manner: Manner,
}

/// Which batches are listed.
#[derive(Clone, Debug, Args)]
pub(super) struct List {
    /// Only this tenant's.
    #[arg(long, value_name = "NAME", value_parser = tenant)]
    tenant: Option<TenantName>,
    /// Only those in this state, such as `sending`, `paused` or `finished`.
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(state_words()))]
    state: Option<String>,
    /// Only those whose file has this name.
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Only those with this content.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Only those received since: a length of time such as `2h`, or a moment such as
    /// 2026-11-21T09:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Moment>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Writes JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigOption,
}

/// Does what was asked.
pub(super) fn run(asked: Asked) -> io::Result<u8> {
    let (Steered { batch, manner }, deed) = match asked {
        Asked::List(wanted) => return list(wanted),
        Asked::Show { one, json } => return show(one, json),
        Asked::Watch { one, json } => return watch::run(&one, json),
        Asked::Cancel { one, reason } => {
            let batch = one.batch;
            return command(&one.manner, &Question::Cancel { batch, reason });
        }
        Asked::Pause { one, how } => (one, Deed::Pause(how)),
        Asked::Resume(one) => (one, Deed::Resume),
        Asked::Retry(one) => (one, Deed::Retry),
    };
    steer(&manner, Named::Batch { batch }, deed)
}

fn list(wanted: List) -> io::Result<u8> {
    let question = Question::Batches(Wanted {
        tenant: wanted.tenant,
        state: wanted.state,
        file: wanted.file,
        sha256: wanted.sha256,
        since: wanted.since,
        limit: Some(wanted.limit),
    });
    let batches = match Line::to(&wanted.config.path).and_then(|line| line.ask(&question)) {
        Ok(Answer::Batches(batches)) => batches,
        Ok(other) => return Err(odd(&other)),
        Err(code) => return Ok(code),
    };
    if wanted.json {
        say(&serde_json::to_string_pretty(&batches)?)?;
        return Ok(EXIT_DONE);
    }
    let columns = [
        text("BATCH"),
        text("TENANT"),
        text("STATE"),
        number("TOTAL"),
        number("ACCEPTED"),
        number("LEFT"),
        number("WRONG"),
        text("FILE"),
    ];
    let rows: Vec<_> = batches.iter().map(row).collect();
    table::write(columns, &rows)?;
    Ok(EXIT_DONE)
}

fn row(batch: &BatchTold) -> [String; 8] {
    let counts = &batch.counts;
    let wrong = counts.invalid + counts.failed + counts.expired + counts.unknown;
    [
        batch.batch.to_string(),
        batch.tenant.to_string(),
        coloured(&batch.state),
        grouped(counts.total),
        grouped(counts.accepted),
        grouped(counts.waiting + counts.in_flight),
        grouped(wrong),
        table::plain(&batch.file),
    ]
}

fn show(one: One, json: bool) -> io::Result<u8> {
    let question = Question::Batch { batch: one.batch };
    let batch = match Line::to(&one.config.path).and_then(|line| line.ask(&question)) {
        Ok(Answer::Batch(batch)) => batch,
        Ok(other) => return Err(odd(&other)),
        Err(code) => return Ok(code),
    };
    if json {
        say(&serde_json::to_string_pretty(&batch)?)?;
        return Ok(EXIT_DONE);
    }
    write(&batch)?;
    Ok(EXIT_DONE)
}

/// Writes one batch for people: what there is nothing to say of is left out.
fn write(batch: &BatchTold) -> io::Result<()> {
    let counts = &batch.counts;
    let when = |moment_text: &Option<String>| moment_text.as_deref().map(moment);
    let facts = [
        ("batch", Some(batch.batch.to_string())),
        ("file", Some(table::plain(&batch.file))),
        ("tenant", Some(batch.tenant.to_string())),
        ("state", Some(coloured(&batch.state))),
        ("campaign", Some(table::plain(&batch.campaign_name))),
        ("refused", Some(batch.refusal.clone())),
        ("held", Some(batch.held.clone())),
        ("sha256", Some(batch.sha256.clone())),
        ("received", Some(moment(&batch.received_at))),
        ("started", when(&batch.started_at)),
        ("cancelled", when(&batch.cancelled_at)),
        ("because", Some(table::plain(&batch.cancel_reason))),
        ("finished", when(&batch.finished_at)),
        ("ends about", when(&batch.estimated_end_at)),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact.filter(|fact| !fact.is_empty()) {
            say(&format_args!("{name:<12}{fact}"))?;
        }
    }
    let messages = [
        ("total", counts.total),
        ("waiting", counts.waiting),
        ("in flight", counts.in_flight),
        ("accepted", counts.accepted),
        ("failed", counts.failed),
        ("invalid", counts.invalid),
        ("expired", counts.expired),
        ("suppressed", counts.suppressed),
        ("cancelled", counts.cancelled),
        ("unknown", counts.unknown),
    ];
    let told = messages
        .into_iter()
        .filter(|(name, count)| *name == "total" || *count > 0);
    let told: Vec<_> = told
        .map(|(name, count)| format!("{} {name}", grouped(count)))
        .collect();
    say(&format_args!("{:<12}{}", "messages", told.join(", ")))
}

/// Reads a moment, or a length of time before now.
fn since(text: &str) -> Result<Moment, String> {
    if let Some(moment) = Moment::parse(text) {
        return Ok(moment);
    }
    let ago: Duration = how_long(text).map_err(|_| {
        "write a length of time such as `2h`, or a moment such as 2026-11-21T09:00:00Z".to_owned()
    })?;
    let ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(clock::now().plus_ms(-ms))
}
