//! `dropcast batch watch`: one batch, live, until it has ended.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::asking::{Line, Unreachable};
use super::batch::One;
use super::steering::odd;
use super::table::{coloured, grouped, moment, plain};
use super::{EXIT_DONE, EXIT_NO, EXIT_UNREACHABLE, complain, say};
use crate::clock;
use crate::daemon::desk::{Answer, Asked, Explained};

/// The moving picture.
const TEMPLATE: &str = "{prefix}\n{wide_bar} {human_pos}/{human_len}\n{msg}";

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Over how long the shown rate is measured.
const RATE_OVER: Duration = Duration::from_secs(10);

/// How long a daemon may be away, as during a restart, before the watch is given up.
const AWAY_MAX: Duration = Duration::from_secs(30);

/// Follows a batch.
pub(super) fn run(one: &One, json: bool) -> io::Result<u8> {
    let line = match Line::to(&one.config.path) {
        Ok(line) => line,
        Err(code) => return Ok(code),
    };
    // Once it is known which batch is meant, a newer file of its name is another.
    let mut question = Asked::Explain {
        batch: one.batch.clone(),
    };
    let mut last = match line.ask(&question) {
        Ok(Answer::Explained(explained)) => explained,
        Ok(other) => return Err(odd(&other)),
        Err(code) => return Ok(code),
    };
    question = Asked::Explain {
        batch: last.batch.batch.to_string(),
    };
    let mut shown = Shown::new(json);
    let mut pace = Pace::default();
    let mut away_since = None;
    loop {
        shown.show(&last, pace.rate(&last))?;
        if last.batch.is_final {
            shown.end();
            return Ok(code(&last.batch.state));
        }
        thread::sleep(ASK_EVERY);
        match line.try_ask(&question) {
            Ok(Answer::Explained(explained)) => {
                last = explained;
                away_since = None;
            }
            Ok(Answer::No(sentence)) => {
                shown.end();
                complain(&sentence);
                return Ok(EXIT_NO);
            }
            Ok(other) => return Err(odd(&other)),
            Err(Unreachable(sentence)) => {
                let since = *away_since.get_or_insert_with(clock::steady);
                if clock::steady().duration_since(since) > AWAY_MAX {
                    shown.end();
                    complain(&sentence);
                    return Ok(EXIT_UNREACHABLE);
                }
            }
        }
    }
}

fn code(state: &str) -> u8 {
    match state {
        "finished" | "checked" => EXIT_DONE,
        _ => EXIT_NO,
    }
}

/// How many messages have ended of late.
#[derive(Debug, Default)]
struct Pace {
    seen: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Messages a second.
    fn rate(&mut self, explained: &Explained) -> f64 {
        let now = clock::steady();
        self.seen.push_back((now, explained.batch.counts.closed()));
        let is_old = |at: Instant| now.duration_since(at) > RATE_OVER;
        while self.seen.len() > 1 && self.seen.front().is_some_and(|(at, _)| is_old(*at)) {
            self.seen.pop_front();
        }
        let (Some(first), Some(last)) = (self.seen.front(), self.seen.back()) else {
            return 0.0;
        };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds > 0.0 {
            last.1.saturating_sub(first.1) as f64 / seconds
        } else {
            0.0
        }
    }
}

/// Where it is shown.
#[derive(Debug)]
enum Shown {
    /// A bar that moves, and below it what there is to say.
    Bar(ProgressBar),
    /// A line for each change; the last one that was written.
    Lines(String),
    /// The same for programs.
    Json(String),
}

impl Shown {
    fn new(json: bool) -> Self {
        if json {
            return Self::Json(String::new());
        }
        if !io::stdout().is_terminal() {
            return Self::Lines(String::new());
        }
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well-formed");
        Self::Bar(ProgressBar::new(0).with_style(style))
    }

    fn show(&mut self, explained: &Explained, rate: f64) -> io::Result<()> {
        let batch = &explained.batch;
        match self {
            Self::Bar(bar) => {
                bar.set_length(batch.counts.total);
                bar.set_position(batch.counts.closed());
                let (id, file) = (&batch.batch, plain(&batch.file));
                let state = coloured(&batch.state);
                bar.set_prefix(format!("{id}  {file}  {state}"));
                bar.set_message(format!("{}\n{}", counted(explained, rate), why(explained)));
                Ok(())
            }
            Self::Lines(last) => {
                let text = format!("{}  {}", counted(explained, rate), why(explained));
                // What has not changed needs no line; the rate alone is no change.
                let told = format!("{:?}{}", batch.counts, batch.state);
                if std::mem::replace(last, told.clone()) == told {
                    return Ok(());
                }
                let now = moment(&clock::now().to_string());
                say(&format_args!("{now}  {}  {text}", batch.state))
            }
            Self::Json(last) => {
                let text = serde_json::to_string(explained)?;
                let told = format!("{:?}{}{}", batch.counts, batch.state, batch.is_final);
                if std::mem::replace(last, told.clone()) == told {
                    return Ok(());
                }
                say(&text)
            }
        }
    }

    /// Leaves the last picture where it is.
    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
        }
    }
}

fn counted(explained: &Explained, rate: f64) -> String {
    let counts = &explained.batch.counts;
    let mut text = format!(
        "{}/{} done, {} accepted, {} in flight",
        grouped(counts.closed()),
        grouped(counts.total),
        grouped(counts.accepted),
        grouped(counts.in_flight)
    );
    let wrong = [
        ("failed", counts.failed),
        ("invalid", counts.invalid),
        ("expired", counts.expired),
        ("cancelled", counts.cancelled),
        ("unknown", counts.unknown),
    ];
    for (name, count) in wrong {
        if count > 0 {
            text = format!("{text}, {} {name}", grouped(count));
        }
    }
    if rate > 0.0 {
        text = format!("{text}; {rate:.1} a second");
    }
    text
}

fn why(explained: &Explained) -> String {
    let mut text = explained.because.clone();
    if let Some(end) = &explained.batch.estimated_end_at {
        text = format!("{text}; ends about {}", moment(end));
    }
    text
}
