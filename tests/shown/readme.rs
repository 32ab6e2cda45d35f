//! What the README says is true: its batch is accepted, its paths lead somewhere, its promises have
//! stories.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{as_shown, blocks, names, root, text};

/// The only headings, in their order.
const HEADINGS: [&str; 5] = [
    "What it is",
    "First run",
    "Promises",
    "Operating",
    "Formats",
];

/// How many promises there are.
const PROMISES: u32 = 6;

/// A reader finds things where the other pages say they stand.
#[test]
fn the_readme_has_its_five_headings() {
    let readme = text("README.md");
    let prose: String = readme.split("```").step_by(2).collect();
    let headings: Vec<&str> = prose.lines().filter(|line| line.starts_with('#')).collect();
    let wanted: Vec<String> = HEADINGS.iter().map(|name| format!("## {name}")).collect();
    assert_eq!(headings[0], "# dropcast");
    assert_eq!(headings[1..], wanted);
}

/// Developers begin with a copy of what they read: it must be accepted as it stands.
#[test]
fn the_batches_on_the_pages_are_accepted() {
    let mut world = as_shown();
    world.run();
    let mut files: Vec<(String, String)> = Vec::new();
    for page in ["README.md", "docs/formats.md"] {
        let page = text(page);
        for end in ["json", "jsonl"] {
            for block in blocks(&page, end) {
                files.push((format!("shown-{}.{end}", files.len()), block.to_owned()));
            }
        }
    }
    assert!(files.len() >= 5, "{files:?}");
    // One with hours of its own may have to wait for them longer than anybody watches.
    let waits = |block: &str| block.contains("\"sendWindow\"");
    for (name, block) in &files {
        let folder = if waits(block) {
            "whatsapp/dry-run"
        } else {
            "whatsapp"
        };
        let local = world.local(name, block);
        let remote = format!("{folder}/{name}");
        world.client("acme").put(&local, &remote).expect_ok();
    }
    for (name, block) in &files {
        let status = world.ended(name);
        let (state, accepted) = if waits(block) {
            ("checked", 0)
        } else {
            ("finished", 1)
        };
        assert_eq!(status["state"], state, "{block}{status:#}");
        assert_eq!(status["counts"]["accepted"], accepted, "{block}{status:#}");
        assert_eq!(status["counts"]["total"], 1, "{block}{status:#}");
        assert_eq!(status["warnings"], Value::Array(vec![]), "{block}");
    }
}

/// A path that leads nowhere costs each reader a search.
#[test]
fn each_path_on_the_pages_leads_somewhere() {
    const FOLDERS: [&str; 7] = [
        "benches/",
        "deploy/",
        "docs/",
        "examples/",
        "schemas/",
        "src/",
        "tests/",
    ];
    let mut pages = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/providers"] {
        let pages_here = names(folder)
            .into_iter()
            .filter(|name| name.ends_with(".md"));
        pages.extend(pages_here.map(|name| format!("{folder}/{name}")));
    }
    let mut found = 0;
    for page in pages {
        let text = text(&page);
        for span in text.split('`').filter(|span| !span.contains(' ')) {
            if FOLDERS.iter().any(|folder| span.starts_with(folder)) {
                assert!(root(span).exists(), "{page} speaks of `{span}`");
                found += 1;
            }
        }
    }
    assert!(found > 5, "{found} paths");
}

/// The picture of the folder is what senders build their readers on.
#[test]
fn the_files_in_the_picture_are_those_that_are_written() {
    const EXAMPLE: &str = "order_update.json";
    let status = text(&format!("examples/reports/{EXAMPLE}.status.json"));
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let batch = status["batch"].as_str().expect("a batch id");
    let mut written: BTreeSet<String> = status["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| file.as_str().expect("a path"))
        .map(|file| {
            file.replace(batch, "<batch>")
                .replace(EXAMPLE, "orders.json")
        })
        .collect();
    written.insert("results/orders.json.status.json".into());
    let readme = text("README.md");
    let picture = readme.split("```").nth(1).expect("a picture");
    let drawn: BTreeSet<String> = picture
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.contains("orders.json"))
        .map(str::to_owned)
        .collect();
    assert_eq!(drawn, written);
}

/// A promise without a story is a wish.
#[test]
fn each_promise_has_a_story_that_says_so() {
    let readme = text("README.md");
    let (_, rest) = readme.split_once("## Promises\n").expect("the heading");
    let (promises, _) = rest.split_once("\n## ").expect("a heading after it");
    let number = |line: &str| line.split_once(". ")?.0.parse::<u32>().ok();
    let numbers: Vec<u32> = promises.lines().filter_map(number).collect();
    assert_eq!(numbers, (1..=PROMISES).collect::<Vec<_>>());
    let mut kept = BTreeSet::new();
    for name in names("tests/story") {
        let story = text(&format!("tests/story/{name}"));
        let header = story.lines().take_while(|line| line.starts_with("//!"));
        for line in header.filter_map(|line| line.strip_prefix("//! Promise")) {
            let digits = line.split(|c: char| !c.is_ascii_digit());
            kept.extend(digits.filter_map(|digit| digit.parse::<u32>().ok()));
        }
    }
    assert_eq!(kept.into_iter().collect::<Vec<_>>(), numbers);
}
