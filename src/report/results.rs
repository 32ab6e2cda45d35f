//! One line for each message: as JSON, and as a row of a spreadsheet.

use serde::Serialize;

use crate::batch::{Content, Fault};
use crate::delivery::standing::{MessageStanding, Note};
use crate::delivery::{Reason, State};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    index: u64,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_data: Option<&'a str>,
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    possible_duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Reason>,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    faults: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn of(standing: &'a MessageStanding) -> Self {
        let message = standing.message.as_ref();
        let mut line = Self {
            index: standing.index,
            line: message.map_or(0, |message| message.line),
            to: message.map(|message| message.to.as_str()),
            reference: message.and_then(|message| message.reference.as_deref()),
            callback_data: message.and_then(|message| message.callback_data.as_deref()),
            status: standing.state.as_str(),
            message_id: &standing.provider_id,
            attempts: Some(standing.attempts),
            accepted_at: None,
            possible_duplicate: standing.possible_duplicate,
            error: None,
            faults: &[],
            reads: None,
        };
        match &standing.note {
            Some(Note::Row {
                line: at,
                to,
                reference,
                callback_data,
                faults,
            }) => {
                line.line = *at;
                line.to = to.as_ref().map(crate::batch::Phone::as_str);
                line.reference = reference.as_deref();
                line.callback_data = callback_data.as_deref();
                line.faults = faults;
            }
            Some(Note::Reason(reason)) if standing.state != State::Accepted => {
                line.error = Some(reason);
            }
            _ => {}
        }
        if standing.state == State::Accepted {
            line.accepted_at = standing.changed_at.map(|moment| moment.to_string());
        }
        line
    }
}

/// A line of the results file, with its line break.
pub fn results_line(standing: &MessageStanding) -> Vec<u8> {
    with_break(&Entry::of(standing))
}

/// A line of the dry-run file: `valid`, with how it would read, or `invalid`, with its faults.
pub fn dry_run_line(standing: &MessageStanding, reads: Option<&str>) -> Vec<u8> {
    let mut line = Entry::of(standing);
    if standing.state == State::Waiting {
        line.status = "valid";
    }
    line.attempts = None;
    line.reads = match standing.message.as_ref().map(|message| &message.content) {
        Some(Content::Text { body, .. }) => Some(body),
        _ => reads,
    };
    with_break(&line)
}

fn with_break(line: &Entry<'_>) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("our own types serialise");
    text.push(b'\n');
    text
}

/// Whether the row of this message could be mended and sent.
pub fn is_mendable(standing: &MessageStanding) -> bool {
    match standing.state {
        State::Invalid => true,
        State::Failed => standing.in_row,
        _ => false,
    }
}

/// The first row of the spreadsheet form of results.
pub const CSV_HEADER: [&str; 13] = [
    "index",
    "line",
    "to",
    "reference",
    "callbackData",
    "status",
    "messageId",
    "attempts",
    "acceptedAt",
    "possibleDuplicate",
    "errorCode",
    "errorTitle",
    "providerCode",
];

/// A row of the spreadsheet form of results. Of several faults it names the first.
pub fn csv_row(standing: &MessageStanding) -> [String; 13] {
    let line = Entry::of(standing);
    let owned = |text: Option<&str>| text.map(plain).unwrap_or_default();
    let first = line.faults.first();
    let code = line.error.map(|error| error.code.clone());
    let title = line.error.map(|error| error.title.clone());
    [
        line.index.to_string(),
        line.line.to_string(),
        line.to.unwrap_or_default().to_owned(),
        owned(line.reference),
        owned(line.callback_data),
        line.status.to_owned(),
        line.message_id.to_owned(),
        standing.attempts.to_string(),
        line.accepted_at.unwrap_or_default(),
        line.possible_duplicate.to_string(),
        code.or_else(|| first.map(|fault| fault.code.to_string()))
            .unwrap_or_default(),
        title
            .or_else(|| first.map(|fault| plain(&fault.expected)))
            .unwrap_or_default(),
        line.error
            .map(|error| plain(&error.provider_code))
            .unwrap_or_default(),
    ]
}

/// Text that a spreadsheet shows instead of running: a leading sign of a formula is quoted.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Message, Moment, Options, Phone, Priority};

    fn standing(state: State) -> MessageStanding {
        let phone: Phone = serde_json::from_str("\"+31612345678\"").expect("a number");
        let message = Message {
            index: 4,
            line: 9,
            to: phone.clone(),
            from: phone,
            reference: Some("=1+1".into()),
            callback_data: None,
            scheduled_at: None,
            expires_at: Moment::from_millis(1),
            priority: Priority::default(),
            send_window: None,
            ignore_quiet_hours: false,
            options: Options::default(),
            content: Content::Text {
                body: "Hello".into(),
                preview_url: false,
            },
        };
        let changed_at = Some(Moment::from_millis(1_000));
        MessageStanding {
            message: Some(message),
            changed_at,
            state,
            ..MessageStanding::untouched(4)
        }
    }

    /// Customers' programs read these lines: names and order are a promise.
    #[test]
    fn a_results_line_says_what_became_of_its_row() {
        let accepted = MessageStanding {
            provider_id: "wamid.1".into(),
            attempts: 1,
            ..standing(State::Accepted)
        };
        assert_eq!(
            String::from_utf8(results_line(&accepted)).expect("text"),
            "{\"index\":4,\"line\":9,\"to\":\"+31612345678\",\"reference\":\"=1+1\",\
             \"status\":\"accepted\",\"messageId\":\"wamid.1\",\"attempts\":1,\
             \"acceptedAt\":\"1970-01-01T00:00:01.000Z\"}\n"
        );
        let failed = MessageStanding {
            note: Some(Note::Reason(Reason::new(
                "provider.recipient",
                "not on WhatsApp",
            ))),
            in_row: true,
            ..standing(State::Failed)
        };
        assert!(is_mendable(&failed) && !is_mendable(&accepted));
        let line = String::from_utf8(results_line(&failed)).expect("text");
        assert!(
            line.contains("\"error\":{\"code\":\"provider.recipient\""),
            "{line}"
        );
    }

    /// A reference that begins like a formula must not run in somebody's spreadsheet.
    #[test]
    fn a_spreadsheet_row_runs_nothing() {
        let row = csv_row(&standing(State::Unknown));
        assert_eq!(row[3], "'=1+1");
        assert_eq!(row.len(), CSV_HEADER.len());
    }
}
