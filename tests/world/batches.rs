//! Batch files as the senders of stories write them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::SENDER;

/// The recipient of row `index`: a Dutch mobile number of its own.
pub(crate) fn recipient(index: u64) -> String {
    format!("+316{:08}", 10_000_000 + index)
}

/// The row `index` of a file for the template `order_update`.
pub(crate) fn row(index: u64) -> Value {
    json!({
        "to": recipient(index),
        "placeholders": {"first": format!("Ana {index}"), "ref": format!("A-{index}")},
        "reference": format!("order-{index}"),
        "callbackData": format!("data-{index}"),
    })
}

/// A batch file with these rows, each on a line of its own from line 7 on.
pub(crate) fn file_of(rows: &[Value]) -> String {
    let mut text = format!(
        "{{\n\"campaignName\": \"Dispatch run 12\",\n\"from\": \"{}\",\n\
         \"templateName\": \"order_update\", \"templateLanguage\": \"en\",\n\
         \"placeholders\": [\"first\", \"ref\"],\n\"data\": [\n",
        SENDER.trim_start_matches('+')
    );
    for (index, row) in rows.iter().enumerate() {
        let comma = if index + 1 < rows.len() { "," } else { "" };
        writeln!(text, "{row}{comma}").expect("a text takes text");
    }
    text.push_str("]\n}\n");
    text
}

/// The line on which row `index` of [`file_of`] stands.
pub(crate) fn line_of(index: u64) -> u64 {
    7 + index
}

/// A batch file with `count` good rows.
pub(crate) fn good_file(count: u64) -> String {
    good_file_from(0, count)
}

/// A batch file with `count` good rows whose recipients begin at number `first`.
pub(crate) fn good_file_from(first: u64, count: u64) -> String {
    let rows: Vec<Value> = (first..first + count).map(row).collect();
    file_of(&rows)
}
