//! `dropcast sender`: the numbers that messages leave from, how fast they are, and what stops them.

use std::io;

use clap::{Args, Subcommand};

use super::asking::Line;
use super::steering::{Deed, Manner, PauseOptions, command, odd, steer, tenant};
use super::table::{self, number, text};
use super::{ConfigOption, EXIT_DONE, EXIT_USAGE, complain, say};
use crate::batch::TenantName;
use crate::daemon::desk::{Answer, Asked as Question, Named, SenderTold};

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Asked {
    /// Lists the senders: how fast each may go, how fast it goes, and what stops it.
    List {
        /// Only this tenant's.
        #[arg(long, value_name = "NAME", value_parser = tenant)]
        tenant: Option<TenantName>,
        /// Writes JSON instead of a table.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Begins nothing more from a sender, until it is resumed.
    Pause {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        how: PauseOptions,
    },
    /// Ends the pause of a sender; one that is held is tried again at once.
    Resume(One),
    /// Tries at once what waits for another try, and forgets that the sender holds.
    Retry(One),
    /// Makes a sender slower than its settings say, also after a restart.
    Limit {
        #[command(flatten)]
        one: One,
        /// Messages a second at most; `off` lets it be as fast as its settings say.
        #[arg(value_name = "RATE")]
        rate: String,
    },
}

/// One sender.
#[derive(Clone, Debug, Args)]
pub(super) struct One {
    /// Its number, such as +15550001111.
    #[arg(value_name = "NUMBER")]
    number: String,
    /// Whose it is; needed where several tenants have the number.
    #[arg(long, value_name = "NAME", value_parser = tenant)]
    tenant: Option<TenantName>,
    #[command(flatten)]
    manner: Manner,
}

/// Does what was asked.
pub(super) fn run(asked: Asked) -> io::Result<u8> {
    let (one, deed) = match asked {
        Asked::List {
            tenant,
            json,
            config,
        } => {
            let answer = Line::to(&config.path);
            return match answer.and_then(|line| line.ask(&Question::Senders { tenant })) {
                Ok(Answer::Senders(senders)) => list(&senders, json),
                Ok(other) => Err(odd(&other)),
                Err(code) => Ok(code),
            };
        }
        Asked::Limit { one, rate } => return limit(one, &rate),
        Asked::Pause { one, how } => (one, Deed::Pause(how)),
        Asked::Resume(one) => (one, Deed::Resume),
        Asked::Retry(one) => (one, Deed::Retry),
    };
    let One {
        number,
        tenant,
        manner,
    } = one;
    steer(&manner, Named::Sender { number, tenant }, deed)
}

fn limit(one: One, rate: &str) -> io::Result<u8> {
    let per_second = rate.parse().ok().filter(|rate: &f64| rate.is_finite());
    if per_second.is_none() && rate != "off" {
        complain(&"write the rate as messages a second, such as 20 or 0.5, or `off`");
        return Ok(EXIT_USAGE);
    }
    let asked = Question::Limit {
        number: one.number,
        tenant: one.tenant,
        per_second,
    };
    command(&one.manner, &asked)
}

fn list(senders: &[SenderTold], json: bool) -> io::Result<u8> {
    if json {
        say(&serde_json::to_string_pretty(senders)?)?;
        return Ok(EXIT_DONE);
    }
    write(senders)?;
    Ok(EXIT_DONE)
}

/// Writes senders as a table.
pub(super) fn write(senders: &[SenderTold]) -> io::Result<()> {
    let columns = [
        text("TENANT"),
        text("NUMBER"),
        number("RATE"),
        number("SET"),
        number("LEARNED"),
        number("LIMIT"),
        number("NOW"),
        number("IN FLIGHT"),
        text("HELD"),
    ];
    let rate = |rate: Option<f64>| rate.map_or("-".into(), rounded);
    let row = |sender: &SenderTold| {
        [
            sender.tenant.to_string(),
            sender.number.as_str().to_owned(),
            rounded(sender.rate),
            rounded(sender.configured_rate),
            rate(sender.learned_rate),
            rate(sender.operators_rate),
            rate(sender.recent_rate),
            format!("{}/{}", sender.in_flight, sender.permits),
            sender.held.clone(),
        ]
    };
    table::write(columns, &senders.iter().map(row).collect::<Vec<_>>())
}

/// A rate with one place, where it is not whole.
fn rounded(rate: f64) -> String {
    let places = usize::from(rate.fract() != 0.0);
    format!("{rate:.places$}")
}
