//! What Infobip's statuses of a message mean when it is handed over. The group decides, and in the
//! group of the rejected the id does. The texts for people are [`Cause`]'s.

use std::time::Duration;

use crate::delivery::Scope;
use crate::provider::cause::Cause;
use crate::provider::meaning::Class;

/// What follows from a status.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// It was taken.
    Taken,
    /// It was not.
    Not(Class, Cause),
}

/// The groups of messages that were taken: nothing is decided yet, or it has arrived.
const TAKEN: [i64; 3] = [0, 1, 3];
const UNDELIVERABLE: i64 = 2;
const EXPIRED: i64 = 4;
const REJECTED: i64 = 5;

/// The id that says that this message was handed over before.
const DUPLICATE: i64 = 23;

/// What a status means; `None` for a group that is not known.
pub(super) fn meaning(group: i64, id: i64) -> Option<Meaning> {
    match group {
        // Each attempt has an id of its own: the one that was taken before is this very one.
        _ if id == DUPLICATE => Some(Meaning::Taken),
        group if TAKEN.contains(&group) => Some(Meaning::Taken),
        EXPIRED => Some(Meaning::Not(Class::Never, Cause::Expired)),
        UNDELIVERABLE | REJECTED => {
            let known = TABLE.iter().find(|(known, ..)| *known == id);
            let (class, cause) = known.map_or((Class::Never, Cause::Refused), |row| (row.1, row.2));
            Some(Meaning::Not(class, cause))
        }
        _ => None,
    }
}

// The same message may pass in a moment.
const RETRY: Class = Class::Later {
    scope: Scope::Message,
    wait: None,
};
// Somebody has to do something first; the waits are how often we look whether they did.
const ACCOUNT: Class = Class::later(Scope::Credential, Duration::from_mins(15));
pub(super) const SENDER: Class = Class::later(Scope::Sender, Duration::from_mins(5));
// By default twenty messages an hour to one number.
const FLOOD: Class = Class::later(Scope::Recipient, Duration::from_mins(15));

/// Ids of the groups 2 and 5. One that does not stand here is refused for good.
#[rustfmt::skip]
const TABLE: &[(i64, Class, Cause)] = &[
    (6, Class::Never, Cause::Country),
    (8, Class::BadRow, Cause::Recipient),
    (9, Class::Never, Cause::Recipient),
    (10, Class::Never, Cause::RecipientOptedOut),
    (11, SENDER, Cause::Sender),
    (12, ACCOUNT, Cause::Account),
    (13, SENDER, Cause::SenderRestricted),
    (14, Class::Never, Cause::RecipientOptedOut),
    (17, ACCOUNT, Cause::Account),
    (18, Class::Never, Cause::RecipientNotAllowed),
    (19, Class::Never, Cause::Country),
    (20, FLOOD, Cause::PairRate),
    (21, RETRY, Cause::Unavailable),
    (25, Class::BadRow, Cause::Parameter),
    (51, Class::BadRow, Cause::Recipient),
    (52, Class::BadRow, Cause::Recipient),
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::super::errors;
    use super::*;

    /// What happens, and what waits, as the manual has it.
    fn words(class: Class) -> [&'static str; 2] {
        match class {
            Class::BadRow => ["refused for good, to be mended in the row", ""],
            Class::Never => ["refused for good", ""],
            Class::Open => ["unclear", ""],
            Class::Later { scope, .. } => match scope {
                Scope::Message => ["refused for now", "message"],
                Scope::Recipient => ["throttled", "recipient"],
                Scope::Sender => ["stop the lane", "sender"],
                Scope::Credential => ["stop the lane", "credentials"],
                Scope::Rate | Scope::Template | Scope::Endpoint => ["throttled", "sender"],
            },
        }
    }

    /// Whoever looks a code up must find what happens. `UPDATE_EXPECT=1` rewrites the tables.
    #[test]
    fn the_manual_lists_every_status_and_error() {
        let (mut handed, mut reported) = (String::new(), String::new());
        for (id, class, cause) in TABLE {
            let [what, waits] = words(*class);
            let cause = cause.as_str();
            writeln!(handed, "| {id} | {what} | {waits} | `{cause}` |").expect("a text");
        }
        for (id, class, cause) in errors::TABLE {
            let mended = if *class == Class::BadRow { "yes" } else { "" };
            let cause = cause.as_str();
            writeln!(reported, "| {id} | {mended} | `{cause}` |").expect("a text");
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers/infobip.md");
        let text = std::fs::read_to_string(&path).expect("the page");
        let mut found = text.clone();
        for (head, rows) in [
            (
                "| id | class | what waits | in the results |\n|---|---|---|---|\n",
                handed,
            ),
            (
                "| id | in the row | in the results |\n|---|---|---|\n",
                reported,
            ),
        ] {
            let (before, after) = found.split_once(head).expect("the table is there");
            let is_row = |line: &&str| line.starts_with('|');
            let old: usize = after
                .split_inclusive('\n')
                .take_while(is_row)
                .map(str::len)
                .sum();
            found = format!("{before}{head}{rows}{}", &after[old..]);
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, found).expect("written");
        } else {
            assert_eq!(text, found, "run this test with UPDATE_EXPECT=1");
        }
    }

    /// An id that stood twice would have two meanings.
    #[test]
    fn each_id_has_one_meaning() {
        let ids = TABLE.iter().map(|(id, ..)| id);
        let errors = errors::TABLE.iter().map(|(id, ..)| id);
        assert!(ids.is_sorted_by(|one, other| one < other));
        assert!(errors.is_sorted_by(|one, other| one < other));
    }
}
