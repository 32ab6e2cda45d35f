//! Lengths of time and numbers of bytes, as people write them.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;

/// The units of bytes, the largest first.
const BYTE_UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// Reads `30d`, `48h`, `10 min`, `1h 30min`. A day has 24 hours; months and years, whose length
/// varies, are not taken.
pub fn duration(text: &str) -> Option<Duration> {
    let span = SpanParser::new().parse_span(text.trim()).ok()?;
    if span.get_months() != 0 || span.get_years() != 0 {
        return None;
    }
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

/// Writes a length of time so that a settings file can hold it, in its largest whole unit. Parts
/// of a second are left out.
pub fn duration_text(duration: Duration) -> String {
    // Two days are better known as 48 hours; from three on, days are counted.
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".into(),
        s if s % DAY_S == 0 && s > 2 * DAY_S => format!("{}d", s / DAY_S),
        s if s % HOUR_S == 0 => format!("{}h", s / HOUR_S),
        s if s % MINUTE_S == 0 => format!("{}min", s / MINUTE_S),
        s => format!("{s}s"),
    }
}

/// Reads `64 KiB`, `2GiB`, `8 TiB`, or plain digits.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = BYTE_UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, factor) = match unit {
        Some((unit, factor)) => (text.strip_suffix(unit)?, *factor),
        None => (text, 1),
    };
    let number: u64 = number.trim_end().parse().ok()?;
    number.checked_mul(factor)
}

/// Writes a number of bytes so that a settings file can hold it, in its largest whole unit.
pub fn bytes_text(bytes: u64) -> String {
    let whole = |(_, factor): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
    match BYTE_UNITS.iter().find(whole) {
        Some((unit, factor)) => format!("{} {unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator who writes a time as people do must get that time, or be told.
    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30d", 30 * DAY_S),
            ("48h", 2 * DAY_S),
            ("10min", 600),
            ("15 min", 900),
            ("1h 30min", 5400),
            ("2 weeks", 14 * DAY_S),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "48", "-5d", "5 fortnights", "2mo", "1y", "P3D", "h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    /// What `config show` prints must mean the same when it is pasted into a file.
    #[test]
    fn what_is_written_is_read_back() {
        for (seconds, text) in [
            (0, "0s"),
            (90, "90s"),
            (600, "10min"),
            (2 * DAY_S, "48h"),
            (30 * DAY_S, "30d"),
            (25 * HOUR_S, "25h"),
        ] {
            let length = Duration::from_secs(seconds);
            assert_eq!(duration_text(length), text);
            assert_eq!(duration(text), Some(length), "{text}");
        }
        for (number, text) in [
            (0, "0"),
            (1500, "1500"),
            (65536, "64 KiB"),
            (2 << 30, "2 GiB"),
        ] {
            assert_eq!(bytes_text(number), text);
            assert_eq!(bytes(text), Some(number), "{text}");
        }
        for bad in ["", "GiB", "2 GB", "-1", "99999999999999 TiB", "1.5 GiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
