//! What is wrong with a file is told in the same words whether it is uploaded, tried in the dry-run
//! folder or checked on a developer's own machine.
//!
//! Promise 5 of the README.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::world::batches::{file_of, good_file, row};
use crate::world::daemon::dropcast;
use crate::world::provider::Script;
use crate::world::{SENDER, TenantPlan, World, schema};

/// Rules that are none of those for whoever has no settings.
const RULES: &str = "[policy]\nstrict = true\nphone_lenient = true\ninvalid_max = 0.5\n\n\
                     [limits]\nfaults_max = 6\nrow_bytes_max = \"2 KiB\"\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).expect("compressed");
    writer.finish().expect("compressed")
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(*name, options).expect("begun");
        writer.write_all(bytes).expect("written");
    }
    writer.finish().expect("finished").into_inner()
}

/// A batch with `count` rows, of which these are wrong.
fn with_bad(count: u64, bad: &[usize]) -> Vec<Value> {
    let mut rows: Vec<Value> = (0..count).map(row).collect();
    for (turn, at) in bad.iter().enumerate() {
        let (key, value) = match turn % 4 {
            0 => ("to", json!("12")),
            1 => ("placeholders", json!({"first": "Ana"})),
            2 => ("colour", json!("red")),
            _ => ("callbackData", json!({"a": "x".repeat(3_000)})),
        };
        rows[*at][key] = value;
    }
    rows
}

fn lines_of(rows: &[Value]) -> String {
    let defaults =
        json!({"from": SENDER, "templateName": "order_update", "templateLanguage": "en"});
    let head = json!({"defaults": defaults});
    let lines: Vec<String> = std::iter::once(&head)
        .chain(rows)
        .map(ToString::to_string)
        .collect();
    lines.join("\n") + "\n"
}

/// Files that are wrong in every way in which a file can be, each under its name.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let good = good_file(20);
    let partial = file_of(&with_bad(20, &[3, 4, 9, 11]));
    let lines = lines_of(&with_bad(21, &[3, 4, 9, 11]));
    let mut broken = lines_of(&with_bad(22, &[7])).replacen("\"to\"", "'to'", 3);
    broken.push_str("{\"to\": ");
    let gz = gzip(file_of(&with_bad(23, &[0, 22])).as_bytes());
    let mut mangled = gz.clone();
    let at = mangled.len() - 6;
    mangled[at] ^= 0xff;
    vec![
        ("more.json.gz", [&gz[..], b"\n"].concat()),
        ("mangled.json.gz", mangled),
        ("space.json.gz", gzip(&vec![b' '; 80 << 20])),
        ("plain.json.gz", good.clone().into_bytes()),
        ("path.zip", zip(&[("a/a.json", b"{}")])),
        ("sheet.json", zip(&[("[Content_Types].xml", b"<x/>")])),
        ("squeezed.json", b"\xfd7zXZ\0\0\x04".to_vec()),
        ("secret.json", b"-----BEGIN PGP MESSAGE-----\n".to_vec()),
        ("rows.json", partial.into_bytes()),
        ("rows.jsonl", lines.into_bytes()),
        (
            "most.json",
            file_of(&with_bad(8, &[0, 1, 2, 3, 4, 5])).into_bytes(),
        ),
        (
            "many.json",
            file_of(&with_bad(40, &[0, 2, 5, 8, 11, 14, 17, 20, 23])).into_bytes(),
        ),
        (
            "comma.json",
            good.replacen("],\n\"data\"", ",],\n\"data\"", 1)
                .into_bytes(),
        ),
        ("cut.json", good.as_bytes()[..good.len() - 9].to_vec()),
        ("cut.jsonl", broken.into_bytes()),
        (
            "latin.json",
            [&good.as_bytes()[..20], b"\xe9", &good.as_bytes()[20..]].concat(),
        ),
        (
            "head.json",
            good.replacen("order_update", "order_updates", 1)
                .into_bytes(),
        ),
        ("page.json", b"<html>not found</html>".to_vec()),
        ("table.jsonl", b"to;first\n+31612345001;Ana\n".to_vec()),
        ("rows.json.gz", gz.clone()),
        ("cut.json.gz", gz[..gz.len() - 20].to_vec()),
        ("twice.json.gz", gzip(&gz)),
        ("named.json", gz),
        (
            "rows.zip",
            zip(&[("a.jsonl", lines_of(&with_bad(24, &[5])).as_bytes())]),
        ),
        ("two.zip", zip(&[("a.json", b"{}"), ("b.json", b"{}")])),
    ]
}

fn validate(config: &Path, files: &[std::path::PathBuf]) -> Output {
    let mut command: Command = dropcast();
    command.args(["validate", "--json", "--tenant", "acme", "--config"]);
    command.arg(config).args(files);
    command.stderr(Stdio::piped()).output().expect("it runs")
}

/// What is compared, as it is written.
fn told(report: &Value) -> String {
    let keys = ["file", "verdict", "count", "more", "faults"];
    let told: Vec<String> = keys.iter().map(|key| report[key].to_string()).collect();
    told.join("\n")
}

/// A developer who mends an export by what is said offline must not meet another fault in
/// production, and a program that reads the one must be able to read the other.
#[test]
fn the_same_faults_whichever_way_a_file_comes() {
    let plan = TenantPlan {
        more: RULES,
        ..TenantPlan::new("acme")
    };
    let (mut world, _provider) = World::start_with(&[plan], Script::accepting());
    let files = files();
    let paths: Vec<_> = files
        .iter()
        .map(|(name, text)| world.local(name, text))
        .collect();
    let output = validate(&world.path("dropcast.toml"), &paths);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let answers = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .inspect(|answer| schema::validation().assert_takes(answer, Path::new("validate --json")))
        .collect();
    assert_eq!(answers.len(), files.len());

    let client = world.client("acme");
    for (path, (name, _)) in paths.iter().zip(&files) {
        client
            .put(path, &format!("whatsapp/dry-run/{name}"))
            .expect_ok();
    }
    let folder = world.folder("acme");
    let mut tried = Vec::new();
    for ((name, _), answer) in files.iter().zip(&answers) {
        let status = world.ended(name);
        assert_eq!(told(&folder.faults(&status)), told(answer), "{name}, tried");
        tried.push(status);
    }
    for (path, (name, _)) in paths.iter().zip(&files) {
        client.put(path, &format!("whatsapp/{name}")).expect_ok();
    }
    for (((name, _), answer), before) in files.iter().zip(&answers).zip(&tried) {
        let status = world.ended_after(name, before);
        assert_eq!(
            told(&folder.faults(&status)),
            told(answer),
            "{name}, uploaded"
        );
        assert_eq!(status["reason"], answer["reason"], "{name}");
        let (warnings, said) = (&status["warnings"], &answer["warnings"]);
        assert_eq!(
            warnings.as_array().map_or(0, Vec::len),
            said.as_array().map_or(0, Vec::len)
        );
    }
    let codes: std::collections::BTreeSet<&str> = answers
        .iter()
        .filter_map(|answer| answer["faults"][0]["code"].as_str())
        .collect();
    assert!(codes.len() >= 12, "{codes:?}");
    assert!(
        answers
            .iter()
            .any(|answer| answer["more"].as_u64() > Some(0))
    );
}

/// Whoever has no settings yet must still be able to check a file, and a build must fail by the
/// exit code alone.
#[test]
fn the_exit_code_says_what_became_of_the_worst_file() {
    let world = World::empty();
    let good = world.local(
        "good.json",
        "{\"message\": \"x\", \"data\": [{\"to\": \"+31612345001\"}]}",
    );
    let from =
        "{\"from\": \"+15550002222\", \"message\": \"x\", \"data\": [{\"to\": \"+31612345001\"}]}";
    let from = world.local("from.json", from);
    let bad = world.local(
        "bad.json",
        "{\"message\": \"x\", \"data\": [{\"to\": \"12\"}]}",
    );
    let missing = world.path("missing.json");
    let run = |arguments: &[&str], files: &[&Path]| {
        let output = dropcast()
            .arg("validate")
            .args(arguments)
            .args(files)
            .output();
        let output = output.expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    assert_eq!(run(&[], &[&good, &from]).0, Some(0));
    let (code, text) = run(&["--sender", "+15550001111"], &[&good, &from]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("from.json:1:10: batch.unknown_sender /from: expected"),
        "{text}"
    );
    let (code, text) = run(&[], &[&bad, &missing, &good]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("good.json: good: 1 row, 1 good, 0 bad"),
        "{text}"
    );
    assert!(
        text.contains("bad.json:1:34: phone.too_short /data/0/to: expected"),
        "{text}"
    );
    assert!(text.contains("missing.json`: "), "{text}");
    assert_eq!(
        run(&["--tenant", "x", "--config", "/nowhere.toml"], &[&good]).0,
        Some(78)
    );
    assert_eq!(run(&["--config", "/nowhere.toml"], &[&good]).0, Some(2));
    assert_eq!(run(&["--sender", "12"], &[&good]).0, Some(2));
    assert_eq!(run(&[], &[Path::new("-")]).0, Some(2));
    assert_eq!(
        run(&["--as", "a.json"], &[Path::new("-")]).0,
        Some(1),
        "an empty input"
    );
}
