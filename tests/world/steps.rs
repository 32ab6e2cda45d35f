//! The points, faults and waits of a test build: as `src/crash.rs` lists them, and as the sources
//! pass them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What stands before the name of a point in the sources.
const BEFORE_POINTS: [&str; 6] = [
    "crash::point(\"",
    "linked: \"",
    "spool_synced: \"",
    "renamed: \"",
    "shown: \"",
    "folder_synced: \"",
];

/// Points that the sources pass in their own tests only.
const OF_TESTS: &str = "test-";

/// The names that stand in the sources behind one of these texts.
fn behind(befores: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            for before in befores {
                let after = text.split(before).skip(1);
                names.extend(after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    names.retain(|name| !name.starts_with(OF_TESTS));
    names
}

/// The points that the sources pass.
pub(crate) fn points() -> BTreeSet<String> {
    behind(&BEFORE_POINTS)
}

/// The names that `src/crash.rs` lists under this heading.
fn listed(heading: &str) -> BTreeSet<String> {
    let text = include_str!("../../src/crash.rs");
    let doc: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .collect();
    let doc = doc.join("\n");
    let section = doc.split("\n # ").find(|part| part.starts_with(heading));
    let names = section.expect("a section of this name").split('`');
    names.skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whoever looks for where a build can be made to die reads one list: a point that is missing there
/// would never be tried by hand, and one that is gone would be tried in vain.
#[test]
fn the_points_are_those_that_are_listed() {
    assert_eq!(listed("Points"), points());
    assert_eq!(listed("Faults"), behind(&["crash::fault(\""]));
    assert_eq!(listed("Waits"), behind(&["crash::wait(\""]));
}
