//! The zone and the quiet hours of a tenant.

use super::file::Section;
use super::keys::alike;
use crate::batch::Moment;
use crate::batch::window::written::{DAYS_TAKEN, HOUR_TAKEN, ZONE_TAKEN, days, zone_near};
use crate::batch::window::{Days, Hour, SendWindow, Zone};
use crate::delivery::window::{Gate, QuietHours};

/// The most stretches of quiet hours that a tenant may have: each is looked at for each message.
const QUIET_MAX: usize = 16;
const QUIET: &str = "quiet_hours";
/// The name of a stretch of them, to its readers.
const QUIET_FULL: &str = "policy.quiet_hours";
/// What a stretch of them says.
const KEYS: [&str; 4] = ["from", "to", "time_zone", "days"];
const QUIET_TAKES: &str = "`{ from = \"22:00\", to = \"07:00\" }`, with `time_zone` and `days` if \
                           need be, or a list of such";

/// The zone in which hours are read that name none of their own.
pub(super) fn time_zone(section: &Section<'_>, otherwise: Zone) -> Zone {
    let text = section.peek("time_zone").unwrap_or_default();
    let near = zone_near(text).filter(|_| Zone::parse(text).is_none());
    let takes = match near {
        Some(near) => format!("{ZONE_TAKEN}; did you mean `{near}`?"),
        None => ZONE_TAKEN.to_owned(),
    };
    let zone = section.read("time_zone", &takes, |value| Zone::parse(value.as_str()?));
    zone.unwrap_or(otherwise)
}

/// The hours in which a tenant wants nothing sent.
pub(super) fn quiet_hours(policy: &Section<'_>, zone: &Zone) -> Vec<QuietHours> {
    let Some(stretches) = policy.tables(QUIET, QUIET_FULL) else {
        policy.read(QUIET, QUIET_TAKES, |_| None::<()>);
        return Vec::new();
    };
    if stretches.len() > QUIET_MAX {
        let text = format!("`{QUIET_FULL}` holds more than {QUIET_MAX} stretches; leave some out");
        policy.problem(QUIET, text);
        return Vec::new();
    }
    let quiet: Vec<QuietHours> = stretches
        .iter()
        .filter_map(|stretch| hours(stretch, zone))
        .map(QuietHours)
        .collect();
    // Any moment does to see whether there is one in the weeks after it.
    let some_moment = Moment::from_millis(1_800_000_000_000);
    if Gate::new(None, &quiet).opens_at(some_moment).is_none() {
        let text =
            format!("`{QUIET_FULL}` leave no hour in which anything is sent; make them shorter");
        policy.problem(QUIET, text);
    }
    quiet
}

/// One stretch; `None` when something is wrong in it.
fn hours(stretch: &Section<'_>, zone: &Zone) -> Option<SendWindow> {
    for (at, name) in stretch.names() {
        if !KEYS.contains(&name) {
            let full = stretch.full(name);
            let text = match alike(name, KEYS.into_iter(), |known| known) {
                Some(known) => format!("`{full}` is not a setting; did you mean `{known}`?"),
                None => format!("`{full}` is not a setting; it takes {QUIET_TAKES}"),
            };
            stretch.file().problem(at, text);
        }
    }
    let hour = |key: &str, takes: &str| {
        stretch.require(key, &format!("write {HOUR_TAKEN}"));
        stretch.read(key, takes, |value| Hour::parse(value.as_str()?))
    };
    let from = hour("from", HOUR_TAKEN);
    let to = hour("to", &format!("{HOUR_TAKEN}, up to `24:00`"));
    let zone = time_zone(stretch, zone.clone());
    let days = on_days(stretch);
    let (from, to) = (from?, to?);
    let hours = SendWindow::new(from, to, zone, days);
    if hours.is_none() {
        let full = stretch.full("to");
        let text = if from == to {
            format!("`{full}` is the hour of `from`; write `00:00` and `24:00` for whole days")
        } else {
            let full = stretch.full("from");
            format!("`{full}` is `24:00`; write `00:00` for the hour at which a day begins")
        };
        stretch.problem(if from == to { "to" } else { "from" }, text);
    }
    hours
}

/// The days on which a stretch begins; all of them when nothing is said.
fn on_days(stretch: &Section<'_>) -> Days {
    if !stretch.has("days") {
        return Days::ALL;
    }
    if stretch.peek("days").is_some() {
        let read = stretch.read("days", DAYS_TAKEN, |value| days(value.as_str()?));
        return read.unwrap_or_default();
    }
    let texts = stretch.texts("days");
    let full = stretch.full("days");
    if texts.is_empty() {
        let text = format!("`{full}` holds no day; leave it out for every day");
        stretch.problem("days", text);
    }
    let mut all: Option<Days> = None;
    for (at, text) in texts {
        if let Some(days) = days(text) {
            all = Some(all.map_or(days, |all| all.and(days)));
        } else {
            let text = format!("`{full}` holds a text that is no day; it takes {DAYS_TAKEN}");
            stretch.file().problem(at, text);
        }
    }
    all.unwrap_or_default()
}
