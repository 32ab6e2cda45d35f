//! `dropcast message`: single messages, found by recipient or reference, and shown.

use std::io;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::asking::Line;
use super::steering::odd;
use super::table::{self, number, text};
use super::{ConfigOption, EXIT_DONE, EXIT_NO, complain, say};
use crate::daemon::desk::{Answer, Asked as Question, MessagesTold};

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Asked {
    /// Finds messages, at most a hundred, in the newest batches first; exits with 1 if none is
    /// found.
    Find(Find),
    /// Shows one message as its line in the results says it, or would at this moment.
    Show {
        /// The batch: its id, the beginning or end of one, or its file's name (the newest of it).
        #[arg(value_name = "BATCH")]
        batch: String,
        /// The place of its row in the file, from 0.
        #[arg(value_name = "INDEX")]
        index: u64,
        #[command(flatten)]
        config: ConfigOption,
    },
}

/// What messages are found by.
#[derive(Clone, Debug, Args)]
#[group(id = "marks", required = true, multiple = true, args = ["to", "reference"])]
pub(super) struct Find {
    /// The recipient's number.
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
    /// The tenant's own reference.
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Only in this batch.
    #[arg(long, value_name = "BATCH")]
    batch: Option<String>,
    /// Writes a line of JSON for each message instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigOption,
}

/// Does what was asked.
pub(super) fn run(asked: Asked) -> io::Result<u8> {
    let (question, config, json) = match asked {
        Asked::Show {
            batch,
            index,
            config,
        } => (Question::Message { batch, index }, config, false),
        Asked::Find(find) => {
            let question = Question::Messages {
                to: find.to,
                reference: find.reference,
                batch: find.batch,
            };
            (question, find.config, find.json)
        }
    };
    match Line::to(&config.path).and_then(|line| line.ask(&question)) {
        Ok(Answer::Message(message)) => {
            say(&format_args!("{message:#}"))?;
            Ok(EXIT_DONE)
        }
        Ok(Answer::Messages(found)) => list(&found, json),
        Ok(other) => Err(odd(&other)),
        Err(code) => Ok(code),
    }
}

fn list(found: &MessagesTold, json: bool) -> io::Result<u8> {
    let messages = &found.messages;
    if json {
        for message in messages {
            say(message)?;
        }
    } else if !messages.is_empty() {
        let columns = [
            text("BATCH"),
            number("INDEX"),
            text("TO"),
            text("REFERENCE"),
            text("STATUS"),
            text("ERROR"),
        ];
        table::write(columns, &messages.iter().map(row).collect::<Vec<_>>())?;
    }
    if !found.is_whole {
        complain(&"not all messages were looked at: name a batch with --batch");
    } else if messages.is_empty() {
        complain(&"no message was found");
    }
    Ok(if messages.is_empty() {
        EXIT_NO
    } else {
        EXIT_DONE
    })
}

fn row(message: &Value) -> [String; 6] {
    let shown = |pointer: &str| match message.pointer(pointer) {
        Some(Value::String(text)) => table::plain(text),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let code = shown("/error/code");
    [
        shown("/batch"),
        shown("/index"),
        shown("/to"),
        shown("/reference"),
        shown("/status"),
        if code.is_empty() {
            shown("/faults/0/code")
        } else {
            code
        },
    ]
}
