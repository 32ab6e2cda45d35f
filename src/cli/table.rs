//! Tables for people: columns as wide as their longest cell, colours only on a terminal.

use std::io;

use console::{Alignment, measure_text_width, pad_str, style};

use super::say;

/// The gap between two columns.
const GAP: &str = "  ";

/// A column: its heading, and to which side its cells lean.
pub(super) type Column = (&'static str, Alignment);

/// Text leans to the left.
pub(super) const fn text(heading: &'static str) -> Column {
    (heading, Alignment::Left)
}

/// Numbers lean to the right.
pub(super) const fn number(heading: &'static str) -> Column {
    (heading, Alignment::Right)
}

/// Writes a table.
pub(super) fn write<const N: usize>(columns: [Column; N], rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = columns.map(|(heading, _)| heading.len());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<_> = (0..N)
            .map(|at| pad_str(cells[at], widths[at], columns[at].1, None))
            .collect();
        padded.join(GAP).trim_end().to_owned()
    };
    let heading = line(columns.map(|(heading, _)| heading));
    say(&style(heading).bold())?;
    for row in rows {
        say(&line(std::array::from_fn(|at| row[at].as_str())))?;
    }
    Ok(())
}

/// What somebody else wrote, so that it cannot speak to the terminal.
pub(super) fn plain(text: &str) -> String {
    let shown = |sign: char| if sign.is_control() { '\u{fffd}' } else { sign };
    text.chars().map(shown).collect()
}

/// The word for where a batch stands, in the colour of how well that is.
pub(super) fn coloured(state: &str) -> String {
    let word = style(state);
    match state {
        "finished" | "checked" => word.green(),
        "paused" | "scheduled" | "cancelling" => word.yellow(),
        "rejected" | "duplicate" | "cancelled" => word.red(),
        _ => word.cyan(),
    }
    .to_string()
}

/// A number with its thousands apart, as people read it.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment without its fraction of a second.
pub(super) fn moment(text: &str) -> String {
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reference with an escape sequence must not colour, clear or type into a terminal.
    #[test]
    fn what_others_wrote_does_not_speak_to_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{9b}c\nd"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d"
        );
    }

    /// A number that is misread by a factor of ten is worse than none.
    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(moment("2026-11-21T09:15:02.114Z"), "2026-11-21T09:15:02Z");
    }
}
