//! Each file in `examples/batches` is dropped, and what comes back is held against the files in
//! `examples/reports`; `UPDATE_EXPECT=1` rewrites those.
//!
//! A report is shown as it came, but for what differs from run to run: the batch id, the moments,
//! the provider's ids and the number of attempts are those of [`BATCH`] and of [`MOMENTS`],
//! `wamid.<index>`, and 1.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::{as_shown, names, root, text};
use crate::world::daemon::dropcast;
use crate::world::folder::TenantFolder;
use crate::world::{SOON, World};

const BATCH: &str = "20261121T091502Z-7kq2xm";

/// The moments of a batch, in their order, as they are shown.
const MOMENTS: [(&str, &str); 4] = [
    ("receivedAt", "2026-11-21T09:15:02.114Z"),
    ("startedAt", "2026-11-21T09:15:02.390Z"),
    ("acceptedAt", "2026-11-21T09:15:04.255Z"),
    ("finishedAt", "2026-11-21T09:15:07.003Z"),
];

/// The example that is also dropped for a dry run.
const DRY: &str = "positional.json";

/// The reports of some batches, by the name under which they are shown.
type Reports = BTreeMap<String, String>;

/// Developers build their exports and readers from these files: what differs from them breaks at
/// the customer, not here.
#[test]
fn every_example_is_answered_as_its_report_shows() {
    let batches = names("examples/batches");
    let mut world = as_shown();
    world.run();
    let mut reports = Reports::new();

    let dry = text(&format!("examples/batches/{DRY}"));
    let local = world.local(DRY, &dry);
    let remote = format!("whatsapp/dry-run/{DRY}");
    world.client("acme").put(&local, &remote).expect_ok();
    let checked = world.ended(DRY);
    assert_eq!(checked["state"], "checked", "{checked:#}");
    take(&world, &checked, &dry, &mut reports);
    reports.remove(&format!("{DRY}.status.json"));
    assert_eq!(reports.len(), 1, "{:?}", reports.keys());

    for name in &batches {
        world.drop_file(name, text(&format!("examples/batches/{name}")));
    }
    for name in &batches {
        let status = ended_after(&mut world, name, &checked["batch"]);
        let original = text(&format!("examples/batches/{name}"));
        take(&world, &status, &original, &mut reports);
    }
    hold(&reports);
}

/// Waits until the batch of `name` that is not `before` has ended.
fn ended_after(world: &mut World, name: &str, before: &Value) -> Value {
    let folder = world.folder("acme");
    world.wait_for(&format!("answer to `{name}`"), SOON, || {
        let status = folder.status(name)?;
        (status["final"] == true && status["batch"] != *before).then_some(status)
    })
}

/// Takes up everything that was written about a batch.
fn take(world: &World, status: &Value, original: &str, reports: &mut Reports) {
    let folder = world.folder("acme");
    folder.assert_files_are_there(status);
    let batch = status["batch"].as_str().expect("a batch id");
    let name = status["file"].as_str().expect("a name");
    let kept = folder.of_batch("results", status, "status.json");
    let kept = fs::read_to_string(kept).expect("the last state is kept");
    let newest = folder.path(&format!("whatsapp/results/{name}.status.json"));
    assert_eq!(kept, fs::read_to_string(newest).expect("a status"));
    reports.insert(format!("{name}.status.json"), shown(batch, &kept));
    for file in status["files"].as_array().expect("a list of files") {
        let file = file.as_str().expect("a path");
        let path = folder.path(&format!("whatsapp/{file}"));
        let content = fs::read_to_string(path).expect("a text");
        let (_, base) = file.split_once('/').expect("a folder and a name");
        let base = base.strip_prefix(batch).expect("named for its batch");
        let end = base[1..].strip_prefix(name).expect("named for its file");
        match end {
            "" => assert_eq!(content, original, "{file} is the file itself"),
            ".status.json" => assert_eq!(content, kept, "{file} is the last state"),
            ".retry.json" | ".retry.jsonl" => {
                reports.insert(format!("{name}{end}"), content);
            }
            ".results.jsonl" => {
                assert_true(status, &folder.results(status));
                reports.insert(format!("{name}{end}"), shown(batch, &content));
            }
            _ => {
                assert_schema(&folder, status, end);
                reports.insert(format!("{name}{end}"), shown(batch, &content));
            }
        }
    }
}

/// Panics when a file differs from its schema.
fn assert_schema(folder: &TenantFolder, status: &Value, end: &str) {
    match end {
        ".errors.json" => drop(folder.faults(status)),
        ".dry-run.jsonl" => drop(folder.dry_run(status)),
        other => panic!("nobody expects a `{other}` here"),
    }
}

/// What is shown in other words is true in its own: moments follow each other, and each message has
/// an id of its own.
fn assert_true(status: &Value, lines: &[Value]) {
    let mut ids = BTreeSet::new();
    for line in lines.iter().filter(|line| line["status"] == "accepted") {
        let moments: Vec<&str> = MOMENTS
            .iter()
            .map(|(key, _)| line.get(key).unwrap_or(&status[key]))
            .map(|moment| moment.as_str().expect("a moment"))
            .collect();
        assert!(moments.is_sorted(), "{moments:?}");
        assert!(ids.insert(line["messageId"].to_string()), "{line}");
    }
    assert_eq!(status["counts"]["accepted"], ids.len());
}

/// A JSON text or lines of it, without what differs from run to run.
fn shown(batch: &str, text: &str) -> String {
    let value = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    if let Ok(whole) = serde_json::from_str::<Value>(text)
        && text.contains("\n ")
    {
        return pretty(&settled(batch, whole));
    }
    let line = |line: &str| settled(batch, value(line)).to_string() + "\n";
    text.lines().map(line).collect()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON") + "\n"
}

fn settled(batch: &str, mut value: Value) -> Value {
    settle(batch, &mut value);
    value
}

fn settle(batch: &str, value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace(batch, BATCH),
        Value::Array(values) => values.iter_mut().for_each(|value| settle(batch, value)),
        Value::Object(object) => {
            let index = object.get("index").cloned();
            for (key, value) in object.iter_mut() {
                if let Some((_, moment)) = MOMENTS.iter().find(|(name, _)| name == key) {
                    *value = Value::from(*moment);
                } else if let ("messageId", Some(index)) = (key.as_str(), &index) {
                    *value = Value::from(format!("wamid.{index}"));
                } else if key == "attempts" && *value != 0 {
                    *value = Value::from(1);
                } else {
                    settle(batch, value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Holds what came back against what is shown, or shows it.
fn hold(reports: &Reports) {
    let folder = root("examples/reports");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::remove_dir_all(&folder).expect("the folder is ours");
        fs::create_dir(&folder).expect("the folder is made");
        for (name, report) in reports {
            fs::write(folder.join(name), report).expect("the report is written");
        }
    }
    let found: Vec<&String> = reports.keys().collect();
    let names = names("examples/reports");
    assert_eq!(found, names.iter().collect::<Vec<_>>(), "{AGAIN}");
    for (name, report) in reports {
        let told = text(&format!("examples/reports/{name}"));
        let lines = report.lines().zip(told.lines());
        for (at, (came, shown)) in lines.enumerate() {
            assert_eq!(came, shown, "{name}, line {}: {AGAIN}", at + 1);
        }
        assert_eq!(report.len(), told.len(), "{name}: {AGAIN}");
    }
}

const AGAIN: &str = "if that is meant, run this test with UPDATE_EXPECT=1";

/// An operator starts with these two files: a setting in them that does not exist, or a comment
/// that is none, is the first thing they meet.
#[test]
fn the_settings_are_good_and_shown_without_secrets() {
    let path = root("examples/dropcast.toml");
    let run = |words: &[&str]| {
        let ran = dropcast().args(words).arg(&path).output().expect("run");
        let (out, err) = (String::from_utf8(ran.stdout), String::from_utf8(ran.stderr));
        let (out, err) = (out.expect("text"), err.expect("text"));
        assert!(ran.status.success() && err.is_empty(), "{words:?}: {err}");
        out
    };
    let checked = run(&["config", "check"]);
    assert!(checked.contains("1 tenant, 1 login, 1 sender"), "{checked}");
    let toml = run(&["config", "show"]);
    let json = run(&["config", "show", "--json"]);
    serde_json::from_str::<Value>(&json).expect("JSON");
    let tenant = text("examples/tenants.d/acme.toml");
    let hash = tenant
        .lines()
        .find_map(|line| line.strip_prefix("password_hash = \"")?.strip_suffix('"'))
        .expect("the example has a hash");
    for shown in [toml, json] {
        assert!(shown.contains("127.0.0.1:9022"), "{shown}");
        let parts = hash.split('$').filter(|part| part.len() > 20);
        for part in parts {
            assert!(!shown.contains(part), "a secret is shown: {shown}");
        }
    }
}
