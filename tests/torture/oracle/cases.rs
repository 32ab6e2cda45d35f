//! The judge is judged: made-up histories, each with one thing wrong, and what must be said of it.

use super::*;

const BATCH: &str = "20261121T091502Z-7kq2xm";
const SECOND: &str = "20261121T091502Z-aaaaaa";

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The recipient of row `index`.
fn to(index: u64) -> String {
    format!("+3161000000{index}")
}

fn request(index: u64, attempt: u32, taken: bool) -> Request {
    Request {
        batch: BATCH.into(),
        index,
        attempt,
        to: to(index),
        at: at(2_000),
        taken: taken.then(|| format!("wamid.{index}.{attempt}")),
        clear: true,
    }
}

fn line(index: u64, status: &str) -> Told {
    Told {
        index,
        line: 7 + index,
        to: to(index),
        reference: format!("r-{index}"),
        status: status.into(),
        message_id: if status == "accepted" {
            format!("wamid.{index}.1")
        } else {
            String::new()
        },
        attempts: 1,
        possible_duplicate: false,
    }
}

/// A history without fault: five rows, of which one is accepted, one invalid, one failed, one
/// unknown because of a death and one accepted at its second try.
fn good() -> History {
    let row = |index| Row {
        line: 7 + index,
        to: (index != 1).then(|| to(index)),
        reference: format!("r-{index}"),
    };
    let mut lines: Vec<Told> = ["accepted", "invalid", "failed", "unknown", "accepted"]
        .iter()
        .zip(0..)
        .map(|(status, index)| line(index, status))
        .collect();
    lines[1].to = String::new();
    lines[4].message_id = "wamid.4.2".into();
    lines[4].attempts = 2;
    let counts = [
        ("accepted", 2),
        ("invalid", 1),
        ("failed", 1),
        ("unknown", 1),
        ("total", 5),
    ];
    History {
        contents: vec![Content {
            tenant: "acme",
            sender: "acme's",
            bytes: b"five rows".to_vec(),
            is_good: true,
            rows: (0..5).map(row).collect(),
        }],
        drops: vec![Dropped {
            content: 0,
            name: "a.json".into(),
            asked_at: at(1_000),
            answer: DropAnswer::Ok,
        }],
        batches: vec![Batch {
            tenant: "acme",
            id: BATCH.into(),
            name: "a.json".into(),
            state: "finished".into(),
            reason: String::new(),
            counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
            kept: vec![("processed", b"five rows".to_vec())],
            lines: Some(lines),
        }],
        requests: vec![
            request(0, 1, true),
            request(2, 1, false),
            request(3, 1, true),
            request(4, 1, false),
            request(4, 2, true),
        ],
        deaths: vec![Death {
            at: at(3_000),
            under_way_since: at(1_000),
        }],
        cuts: 0,
        resending: BTreeSet::new(),
    }
}

fn lines(history: &mut History) -> &mut Vec<Told> {
    history.batches[0].lines.as_mut().expect("it has lines")
}

/// The same file again, refused as such, and dropped to be that.
fn twin(history: &mut History) -> &mut Batch {
    let again = Dropped {
        name: "b.json".into(),
        ..history.drops[0].clone()
    };
    history.drops.push(again);
    history.batches.push(Batch {
        tenant: "acme",
        id: SECOND.into(),
        name: "b.json".into(),
        state: "duplicate".into(),
        kept: vec![("errors", b"five rows".to_vec())],
        ..Batch::default()
    });
    &mut history.batches[1]
}

/// What is said of the good history with this change.
fn said(change: impl FnOnce(&mut History)) -> Vec<Condition> {
    let mut history = good();
    change(&mut history);
    let mut said: Vec<_> = judge(&history).iter().map(|it| it.condition).collect();
    said.dedup();
    said
}

/// A judge that sees faults where there are none would be switched off.
#[test]
fn a_good_history_is_let_pass() {
    assert_eq!(said(|_| {}), []);
    assert_eq!(said(|it| _ = twin(it)), []);
    // A doubtful drop may have a batch or none.
    for count in [0, 1] {
        let doubtful = |it: &mut History| {
            it.drops[0].answer = DropAnswer::Doubtful;
            if count == 0 {
                it.batches.clear();
                it.requests.clear();
            }
        };
        assert_eq!(said(doubtful), []);
    }
    let resent = |it: &mut History| {
        it.resending.insert("acme");
        it.requests.push(request(3, 2, true));
        let line = &mut lines(it)[3];
        (line.attempts, line.possible_duplicate) = (2, true);
    };
    assert_eq!(said(resent), []);
    let unclear = |it: &mut History| {
        it.deaths.clear();
        it.requests[2].clear = false;
    };
    assert_eq!(said(unclear), []);
    let cut = |it: &mut History| (it.deaths.clear(), it.cuts = 1).1;
    assert_eq!(said(cut), []);
    assert_eq!(said(|it| set_aside(it, 2)), []);
}

/// The file was set aside after so many deaths.
fn set_aside(history: &mut History, deaths: usize) {
    let batch = &mut history.batches[0];
    batch.state = "rejected".into();
    batch.reason = "file.quarantined".into();
    batch.kept[0].0 = "errors";
    batch.lines = None;
    history.requests.clear();
    history.deaths = vec![history.deaths[0].clone(); deaths];
}

/// A lost or an invented file is what a drop folder must never have.
#[test]
fn files_are_judged() {
    use Condition::*;
    let gone = |it: &mut History| {
        it.batches.clear();
        it.requests.clear();
    };
    assert_eq!(said(gone), [FileLost]);
    assert_eq!(said(|it| set_aside(it, 1)), [FileLost, NotEnded]);
    let only_refused = |it: &mut History| {
        it.requests.clear();
        it.batches[0].state = "duplicate".into();
        it.batches[0].kept[0].0 = "errors";
        it.batches[0].lines = None;
    };
    assert_eq!(said(only_refused), [FileLost]);
    assert_eq!(
        said(|it| it.drops[0].answer = DropAnswer::Never),
        [FileInvented]
    );
    let altered = |it: &mut History| it.batches[0].kept[0].1.push(b'!');
    assert_eq!(said(altered), [FileInvented, FileLost, FileInvented]);
    assert_eq!(said(|it| it.batches[0].kept.clear()), [FileNotKept]);
    assert_eq!(said(|it| it.batches[0].kept[0].0 = "errors"), [FileNotKept]);
    let twice = |it: &mut History| it.batches[0].kept.push(("errors", b"five rows".to_vec()));
    assert_eq!(said(twice), [FileNotKept]);
    assert_eq!(
        said(|it| it.batches[0].state = "sending".into()),
        [FileLost, NotEnded]
    );
    assert_eq!(said(|it| it.contents[0].is_good = false), [NotEnded]);
    let sent = |it: &mut History| {
        let twin = twin(it);
        twin.state = "finished".into();
        twin.kept[0].0 = "processed";
    };
    assert_eq!(said(sent), [RowsDiffer]);
}

/// A row that is missing, doubled, moved or told with another's reference misleads its reader.
#[test]
fn rows_are_judged() {
    use Condition::*;
    assert_eq!(
        said(|it| it.batches[0].lines = None),
        [RowsDiffer, CountsDiffer]
    );
    assert_eq!(said(|it| _ = lines(it).pop()), [RowsDiffer, CountsDiffer]);
    assert_eq!(said(|it| lines(it).push(line(5, "accepted"))), [RowsDiffer]);
    assert_eq!(
        said(|it| lines(it)[0].reference = "r-2".into()),
        [RowsDiffer]
    );
    assert_eq!(said(|it| lines(it)[0].line = 8), [RowsDiffer]);
    assert_eq!(said(|it| lines(it)[0].to = to(3)), [RowsDiffer]);
    assert_eq!(
        said(|it| it.contents[0].rows[1].to = Some(to(1))),
        [RowsDiffer]
    );
    let swapped = |it: &mut History| lines(it).swap(0, 4);
    assert!(said(swapped).contains(&RowsDiffer));
    let more = |it: &mut History| _ = it.batches[0].counts.insert("accepted".into(), 3);
    assert_eq!(said(more), [CountsDiffer]);
    let waiting = |it: &mut History| lines(it)[0].status = "waiting".into();
    assert_eq!(said(waiting), [NotEnded, CountsDiffer]);
}

/// Twice is the one thing that cannot be taken back.
#[test]
fn what_was_sent_twice_is_seen() {
    use Condition::*;
    assert_eq!(
        said(|it| it.requests.push(request(0, 2, true))),
        [SentTwice]
    );
    // The same attempt again, as by a client that tries again behind everybody's back.
    assert_eq!(
        said(|it| it.requests.push(request(2, 1, false))),
        [SentTwice]
    );
    let marked = |it: &mut History| {
        lines(it)[0].possible_duplicate = true;
        it.requests.push(request(0, 2, true));
    };
    assert_eq!(said(marked), [MarkedWithoutLeave]);
    let thrice = |it: &mut History| {
        it.resending.insert("acme");
        marked(it);
        it.requests.push(request(0, 3, true));
    };
    assert_eq!(said(thrice), [SentTwice]);
    let by_two = |it: &mut History| {
        twin(it).state = "finished".into();
        it.batches[1].kept[0].0 = "processed";
        it.batches[1].lines = it.batches[0].lines.clone();
        it.batches[1].counts = it.batches[0].counts.clone();
        let again: Vec<Request> = it.requests.clone();
        it.requests.extend(again.into_iter().map(|request| Request {
            batch: SECOND.into(),
            ..request
        }));
    };
    assert_eq!(said(by_two), [SentTwice]);
}

/// Results that say what did not happen are worse than none.
#[test]
fn what_results_say_is_held_against_the_provider() {
    use Condition::*;
    assert_eq!(said(|it| _ = it.requests.remove(0)), [AcceptedUntaken]);
    assert_eq!(said(|it| it.requests[0].taken = None), [AcceptedUntaken]);
    assert_eq!(
        said(|it| lines(it)[0].message_id.push('x')),
        [AcceptedUntaken]
    );
    let taken = |it: &mut History| it.requests[1].taken = Some("wamid".into());
    assert_eq!(said(taken), [RefusedTaken, FailedUnrefused]);
    assert_eq!(said(|it| _ = it.requests.remove(1)), [FailedUnrefused]);
    for status in ["expired", "cancelled", "suppressed"] {
        let told = |it: &mut History| {
            lines(it)[0].status = status.into();
            it.batches[0].counts.insert("accepted".into(), 1);
            it.batches[0].counts.insert(status.into(), 1);
        };
        assert_eq!(said(told), [RefusedTaken]);
    }
    // Of what was refused at its second try the first may have gone out.
    for (status, expected) in [
        ("failed", vec![RefusedTaken]),
        ("expired", vec![RefusedTaken]),
    ] {
        let resent = |it: &mut History| {
            it.resending.insert("acme");
            it.requests[1].taken = Some("wamid".into());
            it.requests.push(request(2, 2, false));
            let line = &mut lines(it)[2];
            (line.attempts, line.possible_duplicate) = (2, true);
            line.status = status.into();
            it.batches[0].counts.insert("failed".into(), 0);
            it.batches[0].counts.insert(status.into(), 1);
        };
        assert_eq!(said(resent), expected, "{status}");
    }
    let twin_sends = |it: &mut History| {
        twin(it);
        let request = it.requests[1].clone();
        it.requests.push(Request {
            batch: SECOND.into(),
            ..request
        });
    };
    assert_eq!(said(twin_sends), [RefusedTaken]);
}

/// Doubt is honest only where there was something to cause it.
#[test]
fn doubts_must_have_a_cause() {
    use Condition::*;
    assert_eq!(said(|it| it.deaths.clear()), [UnknownUnexplained]);
    let long_before = |it: &mut History| it.deaths[0].under_way_since = at(2_500);
    assert_eq!(said(long_before), [UnknownUnexplained]);
    let begun_again = |it: &mut History| {
        long_before(it);
        lines(it)[3].attempts = 2;
    };
    assert_eq!(said(begun_again), []);
    let unseen = |it: &mut History| {
        it.deaths.clear();
        it.requests.remove(2);
    };
    assert_eq!(said(unseen), [UnknownTooMany]);
    let many = |it: &mut History, count: u64| {
        let rows = &mut it.contents[0].rows;
        let first = rows.len() as u64;
        let number = |index: u64| format!("+316{index:08}");
        rows.extend((first..first + count).map(|index| Row {
            line: 7 + index,
            to: Some(number(index)),
            reference: format!("r-{index}"),
        }));
        for index in first..first + count {
            lines(it).push(Told {
                to: number(index),
                ..line(index, "unknown")
            });
            it.requests.push(Request {
                to: number(index),
                ..request(index, 1, true)
            });
        }
        it.batches[0].counts.insert("unknown".into(), 1 + count);
        it.batches[0].counts.insert("total".into(), 5 + count);
    };
    let most = IN_FLIGHT_MAX as u64;
    assert_eq!(said(|it| many(it, most - 1)), []);
    assert_eq!(said(|it| many(it, most)), [UnknownTooMany]);
}

/// Nothing may leave before its file was handed over, nor to anybody who is not in it.
#[test]
fn requests_are_judged() {
    use Condition::*;
    assert_eq!(said(|it| it.requests[0].at = at(999)), [SentTooSoon]);
    assert_eq!(said(|it| it.requests[1].to = to(1)), [RequestOdd]);
    let beyond = |it: &mut History| it.requests.push(request(9, 1, false));
    assert_eq!(said(beyond), [RequestOdd]);
    let to_invalid = |it: &mut History| it.requests.push(request(1, 1, false));
    assert_eq!(said(to_invalid), [RequestOdd]);
    let foreign = |it: &mut History| it.requests[1].batch = SECOND.into();
    assert_eq!(said(foreign), [FailedUnrefused, FileInvented]);
}
