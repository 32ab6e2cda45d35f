//! One tenant's file becomes its settings. Who may log in is for `login` to read, and how messages
//! leave for `account` and `senders`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Tenant;
use super::file::{File, Section, shown_text};
use super::hours;
use super::keys;
use super::login::{self, Users};
use super::problem::Findings;
use super::{account, senders};
use crate::batch::read::{Limits, PhoneCheck, Rules};
use crate::batch::terms::Terms;
use crate::batch::window::Zone;
use crate::batch::{Phone, TenantName};
use crate::delivery::retention::Retention;
use crate::delivery::{self, UnknownPolicy};
use crate::inbox::{self, Trigger};
use crate::provider::{self, Account};
use crate::report;
use crate::sftp::{self, CONNECTIONS_MAX, TENANT_SESSIONS_MAX};

const DAY: Duration = Duration::from_hours(24);
/// How long things may be kept or remembered.
const KEPT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(3650 * 24);
/// How long a message may be held that may have gone out: providers bring receipts for a week.
const HOLD: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(7 * 24);
const UNKNOWN_HOLD: Duration = Duration::from_mins(15);
/// How long a message may wait: the contract lets nothing be planned further ahead.
const VALIDITY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(35 * 24);
const TIB: u64 = 1 << 40;
/// A row is held in memory as a whole, and so is its nesting.
const ROW_BYTES: RangeInclusive<u64> = 1 << 10..=16 << 20;
const DEPTH: RangeInclusive<u64> = 4..=100;
const FAULTS: RangeInclusive<u64> = 1..=1_000_000;
const ROWS: RangeInclusive<u64> = 1..=1_000_000_000;
/// The number of a tenant's files; reading a folder of more takes seconds.
const FILES: RangeInclusive<u64> = 1..=10_000_000;
/// Bounds of the quotas and waits that change nothing in this version.
const QUOTA: RangeInclusive<u64> = 1..=1_000_000_000;
/// How often templates are read from a provider.
const SYNC_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
const SYNC_EVERY_DEFAULT: Duration = Duration::from_mins(15);
const SETTLE_MS: RangeInclusive<u64> = 0..=3_600_000;

/// Reads a tenant's file; `None` when it could not be taken apart. The settings can be relied on
/// only if no problem was noted.
pub(super) fn read(
    path: &Path,
    name: TenantName,
    shared: Retention,
    users: &mut Users,
    findings: &Findings,
) -> Option<Tenant> {
    let file = File::open(path, &keys::TENANT, findings)?;
    let (document, is_whole) = file.parse();
    if !is_whole {
        return None;
    }
    let top = Section::top(&file, &document);
    let provider = account::provider(&top.section("provider"));
    let senders = senders::senders(&top, provider.kind());
    let policy = top.section("policy");
    let unknown = policy.word(
        "unknown",
        &[
            ("hold", UnknownPolicy::Hold),
            ("resend", UnknownPolicy::Resend),
        ],
    );
    read_idle_policy(&policy);
    let time_zone = hours::time_zone(&policy, Zone::UTC);
    let rules = rules(
        &top,
        senders.iter().map(|sender| sender.number.clone()).collect(),
        time_zone.clone(),
        provider.terms(),
    );
    Some(Tenant {
        logins: login::logins(&top, &name, users),
        quota: quota(&top.section("limits"), rules.limits.bytes_max),
        sessions_max: sessions_max(&top.section("limits")),
        rules,
        templates_dir: templates_dir(&top.section("templates")),
        sync_every: sync_every(&top, &provider),
        duplicate_window: policy.duration("duplicate_window", KEPT).unwrap_or(2 * DAY),
        policy: delivery::Policy {
            unknown: unknown.unwrap_or_default(),
        },
        unknown_hold: policy
            .duration("unknown_hold", HOLD)
            .unwrap_or(UNKNOWN_HOLD),
        quiet_hours: hours::quiet_hours(&policy, &time_zone).into(),
        inbox: taking(&policy),
        results: results(&top.section("results")),
        retention: retention(&top.section("retention"), shared),
        name,
        provider,
        senders,
    })
}

/// How long things are kept; what the section leaves out is as in `shared`.
pub(super) fn retention(section: &Section<'_>, shared: Retention) -> Retention {
    let kept = |key, otherwise| section.duration(key, KEPT).unwrap_or(otherwise);
    Retention {
        processed: kept("processed", shared.processed),
        results: kept("results", shared.results),
        content: kept("content", shared.content),
        history: kept("history", shared.history),
    }
}

fn templates_dir(section: &Section<'_>) -> Option<PathBuf> {
    let dir = section.path("dir")?;
    if !dir.is_dir() {
        let (full, shown) = (section.full("dir"), dir.display());
        let text = format!("`{full}` names `{shown}`, which is not a folder; make it");
        section.problem("dir", text);
    }
    Some(std::path::absolute(&dir).unwrap_or(dir))
}

/// How often templates are read from the provider.
fn sync_every(top: &Section<'_>, provider: &provider::Settings) -> Option<Duration> {
    let section = top.section("templates");
    let every = section
        .duration("sync_every", SYNC_EVERY)
        .unwrap_or(SYNC_EVERY_DEFAULT);
    if section.flag("sync") != Some(true) {
        return None;
    }
    match &provider.account {
        Account::MetaCloud(own) if own.business_account_id.is_empty() => {
            let cure = "write the id of the account that owns the templates, which stands beside \
                        its name in the provider's console";
            top.section("provider").require("business_account_id", cure);
        }
        Account::MetaCloud(_) | Account::Infobip(_) | Account::Bird(_) => {}
        Account::WebexConnect(_) | Account::Botsquad(_) | Account::Sandbox(_) => {
            let why = format!("{} has no list of templates", provider.kind().as_str());
            section.note_idle("sync", &why);
            return None;
        }
    }
    Some(every)
}

fn rules(top: &Section<'_>, senders: Vec<Phone>, time_zone: Zone, terms: Arc<dyn Terms>) -> Rules {
    let policy = top.section("policy");
    let phone_check = policy.word(
        "phone_check",
        &[
            ("format", PhoneCheck::Format),
            ("possible", PhoneCheck::Possible),
            ("valid", PhoneCheck::Valid),
        ],
    );
    let takes = "a share from 0 to 1, such as `0.25` for a quarter of the rows";
    let invalid_max = policy.number("invalid_max", takes, |share| (0.0..=1.0).contains(&share));
    let validity = |key| policy.duration(key, VALIDITY);
    let otherwise = Rules::default();
    Rules {
        senders,
        any_sender: otherwise.any_sender,
        phone_check: phone_check.unwrap_or_default(),
        phone_lenient: policy.flag("phone_lenient").unwrap_or_default(),
        strict: policy.flag("strict").unwrap_or_default(),
        invalid_max: invalid_max.unwrap_or(otherwise.invalid_max),
        default_validity: validity("default_validity").unwrap_or(otherwise.default_validity),
        default_validity_authentication: validity("default_validity_authentication")
            .unwrap_or(otherwise.default_validity_authentication),
        time_zone,
        terms,
        limits: limits(&top.section("limits")),
    }
}

fn sessions_max(section: &Section<'_>) -> usize {
    let most = section.count("sessions_max", 1..=CONNECTIONS_MAX as u64);
    let most = most.and_then(|most| usize::try_from(most).ok());
    most.unwrap_or(TENANT_SESSIONS_MAX)
}

fn limits(section: &Section<'_>) -> Limits {
    let otherwise = Limits::default();
    for quota in ["open_batches_max", "rows_per_day_max"] {
        section.count(quota, QUOTA);
    }
    let bytes = |key| section.bytes(key, 1..=TIB);
    let size = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
    Limits {
        bytes_max: bytes("bytes_max").unwrap_or(otherwise.bytes_max),
        expanded_bytes_max: bytes("expanded_bytes_max").unwrap_or(otherwise.expanded_bytes_max),
        rows_max: section
            .count("rows_max", ROWS)
            .unwrap_or(otherwise.rows_max),
        row_bytes_max: size(section.bytes("row_bytes_max", ROW_BYTES))
            .unwrap_or(otherwise.row_bytes_max),
        depth_max: size(section.count("depth_max", DEPTH)).unwrap_or(otherwise.depth_max),
        faults_max: size(section.count("faults_max", FAULTS)).unwrap_or(otherwise.faults_max),
    }
}

fn quota(section: &Section<'_>, upload_bytes_max: u64) -> sftp::Quota {
    let otherwise = sftp::Quota::default();
    let folder_bytes_max = section.bytes("folder_bytes_max", 1..=1024 * TIB);
    let files_max = section.count("files_max", FILES);
    sftp::Quota {
        upload_bytes_max,
        folder_bytes_max: folder_bytes_max.unwrap_or(otherwise.folder_bytes_max),
        files_max: files_max.unwrap_or(otherwise.files_max),
    }
}

/// What changes nothing in this version is held to its form all the same, so that a file that is
/// good today is good when it does.
fn read_idle_policy(policy: &Section<'_>) {
    for key in ["session_window", "delivery_window"] {
        policy.duration(key, KEPT);
    }
}

/// How files are taken.
fn taking(policy: &Section<'_>) -> inbox::Settings {
    const SETTLE_MS_DEFAULT: u64 = 2_000;
    let triggers = [("close", Trigger::Close), ("done-file", Trigger::DoneFile)];
    let settle_ms = policy.count("settle_ms", SETTLE_MS);
    inbox::Settings {
        settle: Duration::from_millis(settle_ms.unwrap_or(SETTLE_MS_DEFAULT)),
        trigger: policy.word("trigger", &triggers).unwrap_or_default(),
    }
}

fn results(section: &Section<'_>) -> report::Settings {
    const TAKES: &str = "`jsonl` and `csv`";
    let formats = section.texts("formats");
    for (at, format) in &formats {
        if !["jsonl", "csv"].contains(format) {
            let (full, format) = (section.full("formats"), shown_text(format));
            let text = format!("`{full}` holds {format}; it takes {TAKES}");
            section.file().problem(*at, text);
        }
    }
    let names = |name: &str| formats.iter().any(|(_, format)| *format == name);
    if names("csv") && !names("jsonl") {
        let full = section.full("formats");
        let text = format!(
            "`{full}` leaves out `jsonl`, which is always written; write \
             `formats = [\"jsonl\", \"csv\"]`"
        );
        section.problem("formats", text);
    }
    report::Settings {
        csv: names("csv"),
        gzip: section.flag("gzip").unwrap_or_default(),
    }
}
