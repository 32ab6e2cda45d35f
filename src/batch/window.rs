//! A stretch of local hours that comes again on days of the week: when a message may go, or when
//! nothing may. Says which hours, days and zones there are and how they are written; at which
//! moments it is open is for `turn` to say, and how people spell all this for `written`.

use std::fmt;
use std::hash::{Hash, Hasher};

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod turn;
pub mod written;

pub use turn::Turn;

/// Hours of some days in a zone. From an hour up to an earlier one it crosses midnight, and belongs
/// to the day it begins on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Written")]
pub struct SendWindow {
    from: Hour,
    to: Hour,
    time_zone: Zone,
    #[serde(skip_serializing_if = "Days::are_all")]
    days: Days,
}

/// A window as it is kept, before it is known to be one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    from: Hour,
    to: Hour,
    time_zone: Zone,
    #[serde(default)]
    days: Days,
}

impl TryFrom<Written> for SendWindow {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written {
            from,
            to,
            time_zone,
            days,
        } = written;
        Self::new(from, to, time_zone, days).ok_or("a window from an hour to the same hour")
    }
}

impl SendWindow {
    /// The hours from `from` up to `to` of these days. `None` when they are the same hour, which
    /// could mean always as well as never, or when it begins at the end of a day.
    pub fn new(from: Hour, to: Hour, time_zone: Zone, days: Days) -> Option<Self> {
        let good = from != to && from != Hour::END;
        good.then_some(Self {
            from,
            to,
            time_zone,
            days,
        })
    }

    /// The hour from which it is open.
    pub const fn from(&self) -> Hour {
        self.from
    }

    /// The hour at which it is open no more; before `from` it is one of the next day.
    pub const fn to(&self) -> Hour {
        self.to
    }

    /// Where these hours are read off the clock.
    pub const fn time_zone(&self) -> &Zone {
        &self.time_zone
    }

    /// The days that it begins on.
    pub const fn days(&self) -> Days {
        self.days
    }
}

/// An hour on the clock, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(u16);

impl Hour {
    /// The end of a day, 24:00.
    pub const END: Self = Self(24 * 60);

    /// Reads `08:00` or `8:00`, up to `24:00`; seconds may stand behind it if they are none.
    pub fn parse(text: &str) -> Option<Self> {
        let (hours, rest) = text.trim().split_once(':')?;
        let minutes = rest.strip_suffix(":00").unwrap_or(rest);
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let good = (1..=2).contains(&hours.len()) && minutes.len() == 2;
        if !good || !digits(hours) || !digits(minutes) {
            return None;
        }
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        let hour = Self(hours * 60 + minutes);
        (minutes < 60 && hour <= Self::END).then_some(hour)
    }

    /// How many minutes after midnight it is on a day without changes of the clock.
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

/// `08:00`.
impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for Hour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no hour of a day"))
    }
}

/// A time zone: one of the IANA data base that comes with the program, or a fixed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone whose clocks show UTC.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Reads a name of the IANA data base, in upper or lower case, or an offset such as `+02:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with(['+', '-']) {
            return offset(text).map(Self);
        }
        let zone = TimeZone::get(text).ok()?;
        // The data base has a name for "nobody knows".
        (!zone.is_unknown() && zone.iana_name().is_some()).then_some(Self(zone))
    }

    /// The zone, to reckon with.
    pub const fn as_jiff(&self) -> &TimeZone {
        &self.0
    }
}

/// The zone that is so far from UTC: `+02:00`, `+0200` or `+02`.
fn offset(text: &str) -> Option<TimeZone> {
    // Further from UTC than this no clock is.
    const MINUTES_MAX: i32 = 14 * 60;

    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|sign| *sign != ':').collect();
    let formed = match text.len() {
        3 | 5 => !text.contains(':'),
        6 => text.as_bytes()[3] == b':',
        _ => false,
    };
    if !formed || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at_checked(2)?;
    let hours: i32 = hours.parse().ok()?;
    let minutes: i32 = if minutes.is_empty() {
        0
    } else {
        minutes.parse().ok()?
    };
    let all = hours * 60 + minutes;
    if minutes >= 60 || all > MINUTES_MAX {
        return None;
    }
    let offset = jiff::tz::Offset::from_seconds(sign * all * 60).ok()?;
    Some(TimeZone::fixed(offset))
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

/// `Europe/Amsterdam` or `+02:00`.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.0.iana_name() {
            return f.write_str(name);
        }
        let offset = self
            .0
            .to_fixed_offset()
            .map_or(0, jiff::tz::Offset::seconds);
        let minutes = offset.abs() / 60;
        let sign = if offset < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal zones have equal names; those with offsets alone are few.
        self.0.iana_name().hash(state);
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no time zone of this name"))
    }
}

/// Days of the week, one or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days(u8);

/// The days in the order of the week, as they are written.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// These days; `None` when there are none.
    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Option<Self> {
        let all = days.into_iter().fold(0, |all, day| all | bit(day));
        (all != 0).then_some(Self(all))
    }

    /// These days and those.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether this day is one of them.
    pub fn has(self, day: Weekday) -> bool {
        self.0 & bit(day) != 0
    }

    /// Whether every day is one of them.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn are_all(&self) -> bool {
        *self == Self::ALL
    }

    /// Their names, from Monday on.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = DAYS.into_iter().filter(move |(_, day)| self.has(*day));
        named.map(|(name, _)| name)
    }
}

fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

impl Default for Days {
    fn default() -> Self {
        Self::ALL
    }
}

impl Serialize for Days {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let day = |name: &String| DAYS.iter().find(|(known, _)| known == name);
        let days: Option<Vec<Weekday>> = names.iter().map(|n| day(n).map(|d| d.1)).collect();
        let days = days.and_then(Self::of);
        days.ok_or_else(|| serde::de::Error::custom("no days of the week"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages are kept with their windows: one that is read back must be the same.
    #[test]
    fn a_window_is_read_back_as_it_was_kept() {
        for text in [
            r#"{"from":"08:00","to":"20:30","timeZone":"Europe/Amsterdam"}"#,
            r#"{"from":"22:00","to":"24:00","timeZone":"UTC","days":["mon","sun"]}"#,
            r#"{"from":"22:00","to":"06:00","timeZone":"-03:30","days":["wed"]}"#,
        ] {
            let window: SendWindow = serde_json::from_str(text).expect("a window");
            assert_eq!(serde_json::to_string(&window).expect("JSON"), text);
        }
        for text in [
            r#"{"from":"08:00","to":"08:00","timeZone":"UTC"}"#,
            r#"{"from":"24:00","to":"08:00","timeZone":"UTC"}"#,
            r#"{"from":"08:00","to":"09:00","timeZone":"UTC","days":[]}"#,
            r#"{"from":"08:00","to":"09:00","timeZone":"Etc/Unknown"}"#,
        ] {
            assert!(serde_json::from_str::<SendWindow>(text).is_err(), "{text}");
        }
    }

    /// An hour that is read otherwise than it was meant wakes people at night.
    #[test]
    fn hours_are_those_of_a_clock() {
        for (text, minutes) in [
            ("08:00", 480),
            ("8:05", 485),
            ("00:00", 0),
            ("23:59", 1439),
            ("24:00", 1440),
            ("09:30:00", 570),
        ] {
            assert_eq!(
                Hour::parse(text).map(Hour::minutes),
                Some(minutes),
                "{text}"
            );
        }
        for text in [
            "", "8", "0800", "24:01", "08:60", "8am", "08:0", "-1:00", "08:00:30",
        ] {
            assert_eq!(Hour::parse(text), None, "{text}");
        }
    }

    /// A zone taken for another moves every hour.
    #[test]
    fn zones_are_those_of_the_data_base_or_offsets() {
        for (text, name) in [
            ("Europe/Amsterdam", "Europe/Amsterdam"),
            ("europe/amsterdam", "Europe/Amsterdam"),
            ("UTC", "UTC"),
            ("+02:00", "+02:00"),
            ("+0200", "+02:00"),
            ("-03:30", "-03:30"),
            ("+14", "+14:00"),
            ("+00:00", "UTC"),
            ("-00:00", "UTC"),
        ] {
            let zone = Zone::parse(text).map(|zone| zone.to_string());
            assert_eq!(zone.as_deref(), Some(name), "{text}");
        }
        for text in [
            "",
            "Amsterdam",
            "CEST",
            "+2",
            "+02:60",
            "+15:00",
            "+02:0",
            "+é0",
            "2:00",
            "EST5EDT,M3.2.0,M11.1.0",
            "Etc/Unknown",
        ] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }
}
