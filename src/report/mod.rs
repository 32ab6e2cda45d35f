//! Outcomes become the customer's report.
//!
//! In: how a batch and its messages stand. Out: the text of the files that the tenant finds, as a
//! pure function of what is committed, so that writing one twice gives the same bytes. Where and
//! when they are put is for `daemon` to know.

use crate::batch::{Arrival, BatchId, Fault};
use crate::delivery::retention::{self, Kept, Retention};
use crate::delivery::standing::{BatchStanding, BatchState};

mod results;
mod status;

pub use results::{CSV_HEADER, csv_row, dry_run_line, is_mendable, results_line};
pub use status::{Hindrance, Outlook, state_word, status};

/// The forms in which a tenant wants results, beside the lines of JSON that are always written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether results are also written as `.csv`.
    pub csv: bool,
    /// Whether results are compressed with gzip.
    pub gzip: bool,
}

/// What is wrong with a file.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Errors<'a> {
    batch: &'a BatchId,
    file: &'a str,
    verdict: &'static str,
    count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    more: u64,
    faults: &'a [Fault],
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The errors file: every fault that was kept, and how many more there were.
pub fn errors(standing: &BatchStanding, faults: &[Fault]) -> Vec<u8> {
    let refused = matches!(standing.state, BatchState::Rejected | BatchState::Duplicate);
    let count = standing.fault_count.max(faults.len() as u64);
    pretty(&Errors {
        batch: &standing.arrival.batch,
        file: &standing.arrival.name,
        verdict: if refused { "refused" } else { "partial" },
        count,
        more: count - faults.len() as u64,
        faults,
    })
}

/// Where a file that is written for a batch lies beneath `whatsapp/`: in `folder`, under the id of
/// the batch, the name it was uploaded under, and `end`.
pub fn path(arrival: &Arrival, folder: &str, end: &str) -> String {
    format!("{folder}/{}.{}{end}", arrival.batch, arrival.name)
}

/// The text of `README.txt` in the folder of a tenant for whom things are kept so long.
pub fn readme(retention: Retention) -> String {
    let text = include_str!("readme.txt").to_owned();
    Kept::ALL.into_iter().fold(text, |text, kept| {
        let length = retention::words(retention.of(kept));
        text.replace(&format!("{{{}}}", kept.as_str()), &format!("{length:<12}"))
    })
}

/// JSON for people: indented, with a line break at its end.
fn pretty(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("our own types serialise");
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A tenant must read its own figures, not somebody else's or a placeholder.
    #[test]
    fn the_readme_tells_how_long_what_is_kept() {
        let days = |days: u64| Duration::from_hours(24 * days);
        let text = readme(Retention {
            processed: days(30),
            results: days(90),
            content: Duration::ZERO,
            history: days(400),
        });
        for line in [
            "  30 days      files in processed",
            "  90 days      files in results and errors",
            "  not at all   on the server: numbers",
            "  400 days     on the server: what became",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains(['{', '}']), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }
}
