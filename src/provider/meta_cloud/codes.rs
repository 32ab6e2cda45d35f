//! What the Cloud API's error codes mean for a message. The texts for people are [`Cause`]'s.

use std::time::Duration;

use crate::delivery::Scope;
use crate::provider::cause::Cause;
use crate::provider::meaning::Class;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct Entry {
    /// The first of the codes that it is for.
    pub(super) first: i64,
    /// The last of them.
    pub(super) last: i64,
    /// What follows from it.
    pub(in crate::provider) class: Class,
    /// What it is for people.
    pub(in crate::provider) cause: Cause,
}

/// The sub-code of 100 that says that the id in the path is unknown.
const SUBCODE_UNKNOWN_ID: i64 = 33;

/// What is known about a code.
pub(in crate::provider) fn meaning(code: i64, subcode: Option<i64>) -> Option<Entry> {
    if code == 100 && subcode == Some(SUBCODE_UNKNOWN_ID) {
        return Some(one(100, SENDER, Cause::Sender));
    }
    let after = TABLE.partition_point(|entry| entry.last < code);
    TABLE
        .get(after)
        .filter(|entry| entry.first <= code)
        .copied()
}

/// What follows from 401 and 403 without a known code: a minute, so that credentials that are taken
/// again are used soon.
pub(super) const CREDENTIAL: Class = Class::later(Scope::Credential, Duration::from_mins(1));

// The same request may pass in a moment.
const RETRY: Class = Class::Later {
    scope: Scope::Message,
    wait: None,
};
const SLOWER: Class = Class::later(Scope::Rate, Duration::from_secs(1));
const PAIR: Class = Class::later(Scope::Recipient, Duration::from_secs(6));
const CALL_LIMIT: Class = Class::later(Scope::Rate, Duration::from_mins(1));
const MAINTENANCE: Class = Class::later(Scope::Sender, Duration::from_mins(1));
// Somebody has to do something first; the waits are how often we look whether they did.
const ACCOUNT: Class = Class::later(Scope::Credential, Duration::from_mins(15));
const SENDER: Class = Class::later(Scope::Sender, Duration::from_mins(5));
const RESTRICTED: Class = Class::later(Scope::Sender, Duration::from_hours(1));
const TEMPLATE: Class = Class::later(Scope::Template, Duration::from_mins(30));
// Trying again within a day prolongs the provider's own block.
const NEXT_DAY: Class = Class::later(Scope::Message, Duration::from_hours(24));

/// Ascending, without overlap. Codes that the documentation only knows from later notices stand
/// here too, for it leaves open whether they also come as an answer.
#[rustfmt::skip]
pub(super) const TABLE: &[Entry] = &[
    one(0, CREDENTIAL, Cause::Credentials),
    one(1, RETRY, Cause::Unavailable),
    one(2, RETRY, Cause::Unavailable),
    one(3, CREDENTIAL, Cause::Permission),
    one(4, CALL_LIMIT, Cause::Throttled),
    one(10, CREDENTIAL, Cause::Permission),
    one(17, CALL_LIMIT, Cause::Throttled),
    one(33, SENDER, Cause::Sender),
    one(100, Class::BadRow, Cause::Parameter),
    one(104, CREDENTIAL, Cause::Credentials),
    one(190, CREDENTIAL, Cause::Credentials),
    span(200, 299, CREDENTIAL, Cause::Permission),
    one(368, ACCOUNT, Cause::Account),
    // "Duplicate post": an earlier request with this content was taken, perhaps this one's.
    one(506, Class::Open, Cause::Doubtful),
    one(803, SENDER, Cause::Sender),
    span(80_007, 80_008, CALL_LIMIT, Cause::Throttled),
    one(130_403, Class::Never, Cause::RecipientOptedOut),
    one(130_429, SLOWER, Cause::Throttled),
    one(130_472, Class::Never, Cause::RecipientLimited),
    one(130_497, Class::Never, Cause::Country),
    one(131_000, RETRY, Cause::Unavailable),
    one(131_005, CREDENTIAL, Cause::Permission),
    one(131_008, Class::BadRow, Cause::Parameter),
    one(131_009, Class::BadRow, Cause::Parameter),
    one(131_016, RETRY, Cause::Unavailable),
    one(131_021, Class::BadRow, Cause::Recipient),
    one(131_026, Class::BadRow, Cause::Recipient),
    one(131_030, Class::Never, Cause::RecipientNotAllowed),
    one(131_031, ACCOUNT, Cause::Account),
    one(131_037, SENDER, Cause::Sender),
    one(131_042, ACCOUNT, Cause::Account),
    one(131_043, Class::Never, Cause::Expired),
    one(131_045, SENDER, Cause::Sender),
    one(131_047, Class::Never, Cause::Session),
    one(131_048, RESTRICTED, Cause::SenderRestricted),
    one(131_049, NEXT_DAY, Cause::RecipientLimited),
    one(131_050, Class::Never, Cause::RecipientOptedOut),
    one(131_051, Class::BadRow, Cause::MessageType),
    one(131_052, Class::Never, Cause::Media),
    one(131_053, Class::BadRow, Cause::Media),
    one(131_055, Class::Never, Cause::TemplateRefused),
    one(131_056, PAIR, Cause::PairRate),
    one(131_057, MAINTENANCE, Cause::Unavailable),
    one(131_062, Class::BadRow, Cause::Recipient),
    one(131_063, TEMPLATE, Cause::TemplateRefused),
    one(131_064, ACCOUNT, Cause::Account),
    one(132_000, Class::BadRow, Cause::Parameter),
    one(132_001, Class::Never, Cause::TemplateMissing),
    one(132_005, Class::BadRow, Cause::Parameter),
    one(132_007, Class::Never, Cause::Policy),
    one(132_008, Class::BadRow, Cause::Parameter),
    one(132_012, Class::BadRow, Cause::Parameter),
    one(132_015, TEMPLATE, Cause::TemplatePaused),
    one(132_016, Class::Never, Cause::TemplateDisabled),
    one(132_018, Class::BadRow, Cause::Parameter),
    one(132_068, Class::Never, Cause::TemplateRefused),
    one(132_069, Class::later(Scope::Template, Duration::from_hours(1)), Cause::Throttled),
    span(133_000, 133_003, SENDER, Cause::Sender),
    one(133_004, RETRY, Cause::Unavailable),
    span(133_005, 133_014, SENDER, Cause::Sender),
    one(133_015, SENDER, Cause::Sender),
    one(133_016, RESTRICTED, Cause::Sender),
    one(134_011, ACCOUNT, Cause::Account),
    one(134_100, Class::Never, Cause::TemplateRefused),
    one(134_101, Class::later(Scope::Template, Duration::from_mins(10)), Cause::Unavailable),
    one(134_102, ACCOUNT, Cause::Account),
    one(135_000, Class::BadRow, Cause::Parameter),
    one(137_000, Class::BadRow, Cause::Recipient),
];

const fn one(code: i64, class: Class, cause: Cause) -> Entry {
    span(code, code, class, cause)
}

const fn span(first: i64, last: i64, class: Class, cause: Cause) -> Entry {
    Entry {
        first,
        last,
        class,
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The search needs the order; a code out of place would be taken for an unknown one.
    #[test]
    fn every_line_of_the_table_is_found() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].last < pair[1].first, "{}", pair[1].first);
        }
        for entry in TABLE {
            assert!(entry.first <= entry.last);
            for code in [entry.first, entry.last] {
                let found = meaning(code, None).expect("in the table");
                assert_eq!((found.first, found.cause), (entry.first, entry.cause));
            }
        }
        for unknown in [-1, 5, 99, 300, 131_001, 137_001, i64::MIN, i64::MAX] {
            assert!(meaning(unknown, None).is_none(), "{unknown}");
        }
    }

    /// The row of the manual for an entry.
    fn row(entry: &Entry) -> String {
        let codes = match (entry.first, entry.last) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}–{last}"),
        };
        let (class, waits) = match entry.class {
            Class::BadRow | Class::Never => ("refused for good", ""),
            Class::Open => ("unclear", ""),
            Class::Later { scope, .. } => {
                let waits = match scope {
                    Scope::Message => "message",
                    Scope::Recipient => "recipient",
                    Scope::Rate | Scope::Sender => "sender",
                    Scope::Template => "template",
                    Scope::Credential => "credentials",
                    Scope::Endpoint => "address",
                };
                let class = match (entry.cause, scope) {
                    (Cause::Throttled | Cause::PairRate, _) => "throttled",
                    (_, Scope::Message | Scope::Recipient) => "refused for now",
                    _ => "stop the lane",
                };
                (class, waits)
            }
        };
        let cause = entry.cause.as_str();
        format!("| {codes} | {class} | {waits} | `{cause}` |\n")
    }

    /// An operator who looks a code up must find what happens. `UPDATE_EXPECT=1` rewrites it.
    #[test]
    fn the_manual_lists_every_code() {
        const HEAD: &str = "| code | class | what waits | in the results |\n|---|---|---|---|\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sending.md");
        let page = std::fs::read_to_string(&path).expect("read");
        let (before, after) = page.split_once(HEAD).expect("the table is there");
        let is_row = |line: &&str| line.starts_with('|');
        let told: String = after.split_inclusive('\n').take_while(is_row).collect();
        let rows: String = TABLE.iter().map(row).collect();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let after = &after[told.len()..];
            std::fs::write(&path, format!("{before}{HEAD}{rows}{after}")).expect("written");
            return;
        }
        assert_eq!(told, rows);
    }

    /// A wrong phone number id in the settings must stop its sender, not fail each row of a batch.
    #[test]
    fn an_unknown_id_in_the_path_is_the_senders_fault() {
        let entry = meaning(100, Some(SUBCODE_UNKNOWN_ID)).expect("known");
        assert_eq!((entry.class, entry.cause), (SENDER, Cause::Sender));
    }
}
