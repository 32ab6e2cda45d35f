//! The part of the manual about what results say; the part about faults in files is held against
//! the code where that code is.

use dropcast::provider::cause::Cause;

use super::text;

/// Codes in results that are no answer of a provider.
const OTHERS: [&str; 7] = [
    "provider.interrupted",
    "policy.expired",
    "policy.duplicate_recipient",
    "policy.duplicate_reference",
    "store.damaged",
    "policy.cancelled",
    "media.upload",
];

/// A code without cause and cure leaves the sender of a message alone with it.
#[test]
fn the_manual_has_every_code_of_results_in_order() {
    let manual = text("docs/faults.md");
    let (_, rest) = manual.split_once("\n## Results\n").expect("the heading");
    let rows: Vec<Vec<&str>> = rest
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let codes: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let mut wanted: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    wanted.extend(OTHERS);
    assert_eq!(codes, wanted);
    for row in rows {
        let [code, cause, cure] = row.as_slice() else {
            panic!("code, cause and cure: {row:?}");
        };
        for words in [cause, cure] {
            assert!(words.len() > 10 && words.ends_with('.'), "{code}: {words}");
        }
    }
}

/// Whoever writes a program around `explain` looks its words up.
#[test]
fn the_manual_has_every_limit_that_explain_names() {
    let manual = text("docs/operating.md");
    let told = text("tests/golden/explain/sentences.txt");
    for line in told.lines() {
        let (limit, _) = line.split_once(": ").expect("a word and a sentence");
        let cell = format!("`{limit}`");
        let mut rows = manual.lines().filter(|line| line.starts_with("| `"));
        let is_there = |row: &str| {
            row.split(" | ")
                .next()
                .is_some_and(|row| row.contains(&cell))
        };
        assert!(rows.any(is_there), "{limit}");
    }
}
