//! What is found in a file must not depend on how it is read.

use std::io::{BufReader, Cursor};

use proptest::prelude::*;

use super::*;
use crate::batch::media::NoFiles;
use crate::batch::read::{Form, Limits, Rules};
use crate::batch::template::Templates;
use crate::batch::{Moment, Phone};

fn rules() -> Rules {
    Rules {
        senders: vec![Phone::from_e164("+15550001111").expect("a number")],
        limits: Limits {
            row_bytes_max: 300,
            ..Limits::default()
        },
        ..Rules::default()
    }
}

/// What is found with so many threads.
fn found(text: &str, form: Form, threads: usize) -> (Checked, Vec<Piece>) {
    let (rules, templates) = (rules(), Templates::default());
    let checker = Checker {
        rules: &rules,
        templates: &templates,
        files: &NoFiles,
        received_at: Moment::from_millis(1_800_000_000_000),
    };
    let content = || Box::new(BufReader::new(Cursor::new(text.as_bytes().to_vec())));
    let (outline, sums) = read_ahead(content(), |content| read::outline(content, form, checker))
        .expect("memory does not fail");
    assert_eq!(outline.faults, [], "{text}");
    let crew = Crew {
        outline: &outline,
        checker,
        wanted: Wanted::Messages,
        marker: Marker::of(&outline.head, 5),
        threads,
    };
    let mut pieces = Vec::new();
    let keep = &mut |piece| {
        pieces.push(piece);
        Ok(())
    };
    let (all, quick) =
        check_rows(Summing::new(content()), crew, keep).expect("memory does not fail");
    assert_eq!(Some(quick), sums.map(|sums| sums.quick));
    (all, pieces)
}

/// A row, by its kind.
fn row(kind: u8, number: usize) -> String {
    let to = format!("+3161234{:04}", number % 40);
    match kind {
        0 => r#"{"to": "+31"}"#.into(),
        1 => "[]".into(),
        2 => format!(r#"{{"to": "{to}", "department{}": "x"}}"#, number % 130),
        3 => format!(r#"{{"to": "{to}", "note": "{}"}}"#, "n".repeat(400)),
        4 => format!(r#"{{"to": "{to}", "reference": "{}"}}"#, number % 50),
        5 => format!(
            r#"{{"to": "{to}", "note": {}1{}}}"#,
            "[".repeat(40),
            "]".repeat(40)
        ),
        6 => format!(r#"{{"to": "{to}", "refrence": "\u00e9 ü"}}"#),
        _ => format!(r#"{{"to": "{to}"}}"#),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Were it otherwise, a batch that is checked again after a crash would send something else.
    #[test]
    fn the_number_of_threads_changes_nothing(
        kinds in prop::collection::vec(0..12_u8, 1..60), skips: bool, lines: bool,
    ) {
        // Enough for several stretches.
        let rows = (0..2_300).map(|at| row(kinds[at % kinds.len()], at));
        let rows: Vec<String> = rows.collect();
        let word = if skips { "skip" } else { "send" };
        let head = format!(
            r#""message": "Hello", "onDuplicateRecipient": "{word}", "onDuplicateReference": "{word}""#
        );
        let (text, form) = if lines {
            (format!("{{\"defaults\": {{{head}}}}}\n{}\n", rows.join("\n")), Form::Lines)
        } else {
            (format!("{{{head}, \"data\": [{}]}}", rows.join(", \n")), Form::Json)
        };
        let (alone, alone_pieces) = found(&text, form, 1);
        let (four, four_pieces) = found(&text, form, 4);
        prop_assert!(alone_pieces.len() > 2);
        prop_assert_eq!(format!("{alone:?}"), format!("{four:?}"));
        prop_assert_eq!(format!("{alone_pieces:?}"), format!("{four_pieces:?}"));
        let suppressed: usize = alone_pieces.iter().map(|piece| piece.suppressed.len()).sum();
        // Forty recipients get one message each, whatever the rows.
        let sent = alone.total - alone.invalid - suppressed as u64;
        prop_assert!(if skips { sent <= 40 } else { suppressed == 0 }, "{} sent", sent);
    }
}

/// One small file must not make a chunk that nobody can hold, however long its head is.
#[test]
fn a_long_head_makes_several_chunks() {
    let text = "x".repeat(4_096);
    let rows: Vec<String> = (0..2_000).map(|at| row(9, at)).collect();
    let text = format!(r#"{{"message": "{text}", "data": [{}]}}"#, rows.join(","));
    let (all, pieces) = found(&text, Form::Json, 2);
    assert_eq!((all.total, all.invalid, pieces.len()), (2_000, 0, 2));
    assert!(pieces.iter().all(|piece| piece.chunks.len() == 2));
}

/// What a second head says would hold for some rows, and the first for others.
#[test]
fn a_head_on_a_later_line_refuses_the_file() {
    let head = r#"{"defaults": {"message": "x"}}"#;
    let text = format!("{head}\n{}\n{head}\n{}\n", row(7, 1), row(7, 2));
    for threads in [1, 2] {
        let (checked, _) = found(&text, Form::Lines, threads);
        let code = checked.refusal.map(|fault| fault.code);
        assert_eq!(code, Some(crate::batch::Code::BatchShape));
    }
}

/// A file that is written to while it is read would be sent as nobody has checked it.
#[test]
fn a_file_that_changes_is_not_taken() {
    let (rules, templates) = (rules(), Templates::default());
    let checker = Checker {
        rules: &rules,
        templates: &templates,
        files: &NoFiles,
        received_at: Moment::from_millis(1_800_000_000_000),
    };
    for (second, taken) in [
        ("+31612345678", true),
        ("+31612345679", false),
        ("+3", false),
    ] {
        let opened = std::cell::Cell::new(0);
        let open = || {
            let to = if opened.replace(opened.get() + 1) == 0 {
                "+31612345678"
            } else {
                second
            };
            let text = format!(r#"{{"message": "Hello", "data": [{{"to": "{to}"}}]}}"#);
            let content: Box<dyn io::BufRead + Send> = Box::new(Cursor::new(text.into_bytes()));
            Ok(Ok((content, Form::Json)))
        };
        let mut keep = Keep {
            wanted: Wanted::Messages,
            piece: &mut |_| Ok(()),
        };
        let found = check(&open, 10, Container::Plain, checker, &mut keep);
        assert_eq!(found.is_ok(), taken, "{second}");
    }
}

/// What waits is told apart by its lanes: a file with a lane for each row would fill the memory of
/// a service that others use too.
#[test]
fn a_file_has_a_bounded_number_of_lanes() {
    let rows = |count: usize| {
        let row = |at: usize| {
            let (from, to) = (at % 1_400, 1 + at / 1_400);
            let clock = |minute: usize| format!("{:02}:{:02}", minute / 60, minute % 60);
            let (from, to) = (clock(from), clock((from + to) % 1_440));
            format!(r#"{{"to": "+31612345678", "sendWindow": {{"from": "{from}", "to": "{to}"}}}}"#)
        };
        let rows: Vec<String> = (0..count).map(row).collect();
        format!(r#"{{"message": "Hello", "data": [{}]}}"#, rows.join(",\n"))
    };
    for (count, code) in [
        (LANES_MAX, None),
        (LANES_MAX + 1, Some(Code::BatchTooVaried)),
    ] {
        let (all, _) = found(&rows(count), Form::Json, 2);
        assert_eq!(all.refusal.map(|fault| fault.code), code, "{count}");
    }
}
