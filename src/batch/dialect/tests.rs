//! What holds for every dialect: each case in `tests/golden/dialect` beside all that is said about
//! it, and what no file may do. `UPDATE_EXPECT=1` rewrites what is said.

use std::path::PathBuf;

use proptest::prelude::*;

use super::saying::templates;
use crate::batch::golden::{form, root, rules, said};
use crate::batch::read::Form;

fn cases() -> Vec<PathBuf> {
    let folder = root().join("tests/golden/dialect");
    let mut cases = Vec::new();
    for dialect in std::fs::read_dir(folder).expect("the folder of dialects") {
        let dialect = dialect.expect("an entry").path();
        if !dialect.is_dir() {
            continue;
        }
        let entries = std::fs::read_dir(dialect).expect("the folder of cases");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        cases.extend(paths.filter(|path| !path.to_string_lossy().ends_with(".expected.json")));
    }
    cases.sort();
    cases
}

/// Tenants write programs against codes and places, in whatever dialect: neither may change unseen.
#[test]
fn each_case_of_a_dialect_is_told_as_it_was() {
    let templates = templates();
    let cases = cases();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    for path in cases {
        let case = path.file_stem().expect("a name").to_string_lossy();
        let mut rules = rules();
        rules.strict = case.starts_with("strict_");
        let bytes = std::fs::read(&path).expect("read");
        let said = said(&bytes, form(&path), &rules, &templates);
        let text = serde_json::to_string_pretty(&said).expect("JSON") + "\n";
        let expected = path.with_file_name(format!("{case}.expected.json"));
        expect_test::expect_file![expected].assert_eq(&text);
    }
}

/// The cases as they stand, each with its form.
fn texts() -> Vec<(Vec<u8>, Form)> {
    let read = |path: PathBuf| (std::fs::read(&path).expect("read"), form(&path));
    cases().into_iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// One file must not stop the daemon, whatever is in it.
    #[test]
    fn no_bytes_of_any_dialect_cause_a_panic(
        (bytes, form) in prop::sample::select(texts()),
        at: prop::sample::Index,
        with in prop::sample::select(vec![
            "null", "[]", "{}", "\"\"", "-1e999", "true", "{", "}", "\"", ",", "\u{fffd}",
        ]),
        cut: prop::sample::Index,
    ) {
        let mut bytes = bytes;
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes.splice(at..=at, with.bytes());
            said(&bytes, form, &rules(), &templates());
            bytes.truncate(cut.index(bytes.len()));
        }
        said(&bytes, form, &rules(), &templates());
    }
}
