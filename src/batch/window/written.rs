//! How people write the days of a week and the names of time zones, and what they may have meant.
//! In files and in settings alike.

use jiff::civil::Weekday;

use super::{Days, Zone};

/// What an element of `days` may be, for sentences.
pub const DAYS_TAKEN: &str = "`mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`, or several, as \
                              `mon-fri`";
/// What a zone may be, for sentences.
pub const ZONE_TAKEN: &str =
    "a time zone such as `Europe/Amsterdam`, or an offset such as `+02:00`";
/// What an hour may be, for sentences.
pub const HOUR_TAKEN: &str = "an hour such as `08:00`";

/// Names of days in full, from Monday on; from two letters on, each beginning of them is taken.
const NAMES: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
const LETTERS_MIN: usize = 2;
/// The longest text that is looked at; people write shorter ones.
const BYTES_MAX: usize = 64;

/// Reads `mon`, `Monday`, `Mo.`, `mon-fri`, `weekdays`, `weekend` and `daily`, and several of them
/// with commas or blanks between; `None` when one of them is no day.
pub fn days(text: &str) -> Option<Days> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let plain = text.trim().to_lowercase().replace(['–', '—'], "-");
    let plain = plain.replace(" - ", "-");
    let mut all = Vec::new();
    let words = plain.split([',', ';', ' ']).filter(|word| !word.is_empty());
    for word in words {
        all.extend(several(word)?);
    }
    Days::of(all)
}

fn several(word: &str) -> Option<Vec<Weekday>> {
    let range = |from: Weekday, to: Weekday| {
        let count = usize::from(to.since(from).unsigned_abs()) + 1;
        from.cycle_forward().take(count).collect()
    };
    match word {
        "weekdays" | "weekday" | "workdays" | "workday" => {
            return Some(range(Weekday::Monday, Weekday::Friday));
        }
        "weekend" | "weekends" => return Some(range(Weekday::Saturday, Weekday::Sunday)),
        "daily" | "all" => return Some(range(Weekday::Monday, Weekday::Sunday)),
        _ => {}
    }
    match word.split_once('-') {
        Some((from, to)) => Some(range(day(from)?, day(to)?)),
        None => day(word).map(|day| vec![day]),
    }
}

fn day(word: &str) -> Option<Weekday> {
    let word = word.strip_suffix('.').unwrap_or(word);
    let is_short = word.len() < LETTERS_MIN;
    let means =
        |name: &&'static str| name.starts_with(word) || word.strip_suffix('s') == Some(name);
    let found = NAMES.iter().position(means);
    let found = match word {
        // A short form that is no beginning of the name.
        "weds" => Some(2),
        _ => found.filter(|_| !is_short),
    };
    Weekday::from_monday_zero_offset(i8::try_from(found?).ok()?).ok()
}

/// The name of the day that `text` resembles, in full.
pub fn day_near(text: &str) -> Option<&'static str> {
    const SLIPS_MAX: usize = 2;
    let plain = text.trim().to_lowercase();
    if plain.len() > BYTES_MAX {
        return None;
    }
    let measured = NAMES.map(|name| (strsim::osa_distance(&plain, name), name));
    let near = measured.into_iter().min()?;
    (near.0 <= SLIPS_MAX).then_some(near.1)
}

/// The zone of the data base that `text` resembles: the same but for blanks, dashes and slips, or
/// the one of the city that it names.
pub fn zone_near(text: &str) -> Option<Zone> {
    const SHORT: usize = 4;

    let letters = |name: &str| name.replace([' ', '-', '_'], "").to_lowercase();
    let plain = letters(text.trim());
    if plain.len() > BYTES_MAX || plain.len() < SHORT {
        return None;
    }
    let slips_max = match plain.len() {
        ..6 => 0,
        6..9 => 1,
        _ => 2,
    };
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let near = |name: &str| {
        let name = letters(name);
        let whole = strsim::osa_distance(&plain, &name);
        // Whoever writes no region means a city.
        let part = if plain.contains('/') {
            usize::MAX
        } else {
            strsim::osa_distance(&plain, &city(&name))
        };
        whole.min(part)
    };
    let names = jiff::tz::db().available();
    let measured = names.map(|name| (near(name.as_str()), name.as_str().to_owned()));
    let found = measured
        .filter(|(slips, name)| *slips <= slips_max && city(name).len() >= SHORT)
        .min()?;
    Zone::parse(&found.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> Option<String> {
        days(text).map(|days| days.names().collect::<Vec<_>>().join(" "))
    }

    /// A day that is read as another sends on it.
    #[test]
    fn days_are_read_as_people_write_them() {
        for (text, expected) in [
            ("mon", "mon"),
            ("Monday", "mon"),
            ("TUES.", "tue"),
            ("weds", "wed"),
            ("Th", "thu"),
            ("fridays", "fri"),
            ("mon-fri", "mon tue wed thu fri"),
            ("Mon – Wed", "mon tue wed"),
            ("fri-mon", "mon fri sat sun"),
            ("weekend", "sat sun"),
            ("weekdays, sat", "mon tue wed thu fri sat"),
            ("daily", "mon tue wed thu fri sat sun"),
        ] {
            assert_eq!(spelled(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "m",
            "s",
            "1",
            "mondaz",
            "mon-",
            "-",
            "maandag",
            "mon to fri",
        ] {
            assert_eq!(spelled(text), None, "{text}");
        }
    }

    /// A day that is misspelt is mended at a glance once it is named.
    #[test]
    fn a_day_that_resembles_one_is_named() {
        for (text, expected) in [
            ("mondy", Some("monday")),
            ("Saterday", Some("saturday")),
            ("wendesday", Some("wednesday")),
            ("x", None),
            ("holiday", None),
        ] {
            assert_eq!(day_near(text), expected, "{text}");
        }
    }

    /// Nobody knows the names of all zones by heart.
    #[test]
    fn a_zone_that_resembles_one_is_named() {
        for (text, expected) in [
            ("Amsterdam", Some("Europe/Amsterdam")),
            ("Europe/Amsterdm", Some("Europe/Amsterdam")),
            ("america/new york", Some("America/New_York")),
            ("New York", Some("America/New_York")),
            ("Europe-Berlin", Some("Europe/Berlin")),
            ("Sao Paulo", Some("America/Sao_Paulo")),
            ("CEST", None),
            ("+2", None),
            ("", None),
            ("home", None),
        ] {
            let near = zone_near(text).map(|zone| zone.to_string());
            assert_eq!(near.as_deref(), expected, "{text}");
        }
    }
}
