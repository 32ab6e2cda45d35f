//! What the codes of Webex Connect mean for a message. The texts for people are [`Cause`]'s.

use std::time::Duration;

use crate::delivery::Scope;
use crate::provider::cause::Cause;
use crate::provider::meaning::Class;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    code: u32,
    /// What follows from it.
    pub(super) class: Class,
    /// What it is for people.
    pub(super) cause: Cause,
}

/// What is known about a code.
pub(super) fn meaning(code: &str) -> Option<Entry> {
    let code: u32 = code.parse().ok()?;
    let at = TABLE.binary_search_by_key(&code, |entry| entry.code).ok()?;
    Some(TABLE[at])
}

/// What follows from a key that is not taken.
pub(super) const CREDENTIAL: Class = Class::later(Scope::Credential, Duration::from_mins(1));
/// What follows from going too fast.
pub(super) const SLOWER: Class = Class::later(Scope::Rate, Duration::from_secs(1));

// The same request may pass in a moment.
const RETRY: Class = Class::Later {
    scope: Scope::Message,
    wait: None,
};
const PAIR: Class = Class::later(Scope::Recipient, Duration::from_secs(6));
const MAINTENANCE: Class = Class::later(Scope::Sender, Duration::from_mins(1));
// Somebody has to do something first; the waits are how often we look whether they did.
const ACCOUNT: Class = Class::later(Scope::Credential, Duration::from_mins(15));
const SENDER: Class = Class::later(Scope::Sender, Duration::from_mins(5));
const RESTRICTED: Class = Class::later(Scope::Sender, Duration::from_hours(1));
const TEMPLATE: Class = Class::later(Scope::Template, Duration::from_mins(30));

/// Ascending. Codes that the documentation only knows from delivery receipts stand here too, for
/// it leaves open whether they also come as an answer; those of success do not.
#[rustfmt::skip]
const TABLE: &[Entry] = &[
    one(7000, Class::Never, Cause::Refused),
    one(7001, CREDENTIAL, Cause::Credentials),
    one(7002, CREDENTIAL, Cause::Credentials),
    one(7003, Class::BadRow, Cause::Parameter),
    one(7004, Class::BadRow, Cause::Parameter),
    one(7005, Class::Never, Cause::Expired),
    one(7006, RETRY, Cause::Unavailable),
    one(7007, ACCOUNT, Cause::Account),
    one(7009, Class::Never, Cause::Refused),
    one(7010, RETRY, Cause::Unavailable),
    one(7011, RETRY, Cause::Unavailable),
    one(7020, SLOWER, Cause::Throttled),
    one(7104, SENDER, Cause::Sender),
    one(7108, Class::Never, Cause::TemplateMissing),
    // "Unknown status": that of the message, too.
    one(7200, Class::Open, Cause::Doubtful),
    one(7701, Class::BadRow, Cause::Media),
    one(7703, ACCOUNT, Cause::Account),
    one(7704, RETRY, Cause::Unavailable),
    one(7705, Class::Never, Cause::Expired),
    one(7706, SLOWER, Cause::Throttled),
    one(7707, SENDER, Cause::Sender),
    one(7710, Class::Never, Cause::Session),
    one(7711, RESTRICTED, Cause::SenderRestricted),
    one(7712, Class::Never, Cause::RecipientLimited),
    one(7713, RETRY, Cause::Unavailable),
    one(7714, Class::BadRow, Cause::Parameter),
    one(7715, Class::BadRow, Cause::Recipient),
    one(7717, RETRY, Cause::Unavailable),
    one(7721, Class::BadRow, Cause::Parameter),
    one(7722, Class::BadRow, Cause::Parameter),
    one(7723, Class::BadRow, Cause::Parameter),
    one(7726, Class::BadRow, Cause::Recipient),
    one(7727, Class::BadRow, Cause::Media),
    one(7729, RETRY, Cause::Unavailable),
    one(7730, RETRY, Cause::Unavailable),
    one(7731, RETRY, Cause::Unavailable),
    one(7733, Class::BadRow, Cause::Recipient),
    one(7736, RETRY, Cause::Unavailable),
    one(7802, Class::BadRow, Cause::Recipient),
    one(7803, ACCOUNT, Cause::Account),
    one(7804, Class::BadRow, Cause::Parameter),
    one(7805, Class::Never, Cause::TemplateMissing),
    one(7808, Class::BadRow, Cause::Parameter),
    one(7809, Class::BadRow, Cause::Parameter),
    one(7811, Class::Never, Cause::Policy),
    one(7812, Class::BadRow, Cause::Parameter),
    one(7813, Class::BadRow, Cause::Parameter),
    one(7814, Class::BadRow, Cause::Media),
    one(7815, Class::BadRow, Cause::Parameter),
    one(7816, Class::BadRow, Cause::Parameter),
    one(7819, Class::BadRow, Cause::Parameter),
    one(7820, Class::BadRow, Cause::Parameter),
    one(7821, Class::Never, Cause::Policy),
    one(7830, Class::BadRow, Cause::Parameter),
    // The token is that of the app at Meta, not ours.
    one(7832, SENDER, Cause::Sender),
    one(7833, RETRY, Cause::Unavailable),
    one(7834, RETRY, Cause::Unavailable),
    one(7835, ACCOUNT, Cause::Permission),
    one(7836, SLOWER, Cause::Throttled),
    one(7837, ACCOUNT, Cause::Permission),
    one(7838, Class::BadRow, Cause::Parameter),
    one(7839, SENDER, Cause::Sender),
    one(7840, ACCOUNT, Cause::Permission),
    one(7842, ACCOUNT, Cause::Account),
    one(7845, SLOWER, Cause::Throttled),
    one(7846, RETRY, Cause::Unavailable),
    one(7849, Class::Never, Cause::TemplateMissing),
    one(7854, RETRY, Cause::Unavailable),
    one(7860, ACCOUNT, Cause::Account),
    one(7861, Class::BadRow, Cause::Media),
    one(7862, Class::BadRow, Cause::Recipient),
    one(7863, Class::Never, Cause::Refused),
    one(7865, SENDER, Cause::Sender),
    one(7868, Class::Never, Cause::TemplateDisabled),
    one(7869, TEMPLATE, Cause::TemplatePaused),
    one(7870, MAINTENANCE, Cause::Unavailable),
    one(7871, Class::BadRow, Cause::Recipient),
    one(7872, Class::Never, Cause::RecipientLimited),
    one(7874, PAIR, Cause::PairRate),
    one(9000, Class::Never, Cause::Refused),
    one(9001, Class::Never, Cause::Refused),
    one(9002, Class::Never, Cause::RecipientOptedOut),
    one(9003, Class::Never, Cause::Refused),
    one(9004, RETRY, Cause::Unavailable),
    one(9005, Class::Never, Cause::Refused),
    one(9006, Class::Never, Cause::RecipientLimited),
    one(9007, Class::Never, Cause::Refused),
    one(9010, Class::Never, Cause::RecipientOptedOut),
];

const fn one(code: u32, class: Class, cause: Cause) -> Entry {
    Entry { code, class, cause }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The search needs the order; a code out of place would be taken for an unknown one.
    #[test]
    fn every_line_of_the_table_is_found() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].code < pair[1].code, "{}", pair[1].code);
        }
        for entry in TABLE {
            let found = meaning(&entry.code.to_string()).expect("in the table");
            assert_eq!(found.cause, entry.cause);
        }
        for unknown in ["", "1001", "7008", "7500", "7501", "7502", "seven", "-7000"] {
            assert!(meaning(unknown).is_none(), "{unknown}");
        }
    }

    /// The row of the manual for an entry.
    fn row(entry: &Entry) -> String {
        let follows = match entry.class {
            Class::BadRow => "refused for good; the row can be mended",
            Class::Never => "refused for good",
            Class::Open => "`unknown`",
            Class::Later { scope, .. } => match scope {
                Scope::Message => "tried again",
                Scope::Recipient => "the recipient waits",
                Scope::Rate => "the sender slows down",
                Scope::Sender => "the sender waits",
                Scope::Template => "the template waits",
                Scope::Credential => "everything with this key waits",
                Scope::Endpoint => "everything to this address waits",
            },
        };
        let cause = entry.cause.as_str();
        format!("| {} | {follows} | `{cause}` |\n", entry.code)
    }

    /// An operator who looks a code up must find what happens. `UPDATE_EXPECT=1` rewrites it.
    #[test]
    fn the_manual_lists_every_code() {
        const HEAD: &str = "| code | what follows | in the results |\n|---|---|---|\n";
        let path = "docs/providers/webex-connect.md";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
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
}
