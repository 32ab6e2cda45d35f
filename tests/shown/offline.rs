//! What is shown of files and templates without a service is what a service shows.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use super::{as_shown, names, root, text};
use crate::world::daemon::dropcast;

/// What the binary writes for these arguments, and its exit code.
fn written(arguments: &[&str], files: &[PathBuf]) -> (Option<i32>, String) {
    let mut command = dropcast();
    command.args(arguments).args(files).stderr(Stdio::inherit());
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), text)
}

fn templates() -> String {
    root("examples/templates").display().to_string()
}

/// A developer tries the examples on the first day: what is said of them must be what the reports
/// beside them say.
#[test]
fn the_examples_are_told_offline_as_their_reports_tell_them() {
    let names = names("examples/batches");
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| root("examples/batches").join(name))
        .collect();
    let (code, lines) = written(&["validate", "--json", "--templates", &templates()], &files);
    assert_eq!(code, Some(1));
    let mut wrong = 0;
    for (name, line) in names.iter().zip(lines.lines()) {
        let answer: Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(answer["file"], name.as_str());
        let status = text(&format!("examples/reports/{name}.status.json"));
        let status: Value = serde_json::from_str(&status).expect("JSON");
        if answer["sha256"].is_string() {
            assert_eq!(answer["sha256"], status["sha256"], "{name}");
            assert_eq!(answer["rows"], status["counts"]["total"], "{name}");
            assert_eq!(answer["invalid"], status["counts"]["invalid"], "{name}");
        }
        let report = root(&format!("examples/reports/{name}.errors.json"));
        if !report.exists() {
            assert_eq!(answer["verdict"], "good", "{name}");
            continue;
        }
        let report: Value =
            serde_json::from_str(&text(&format!("examples/reports/{name}.errors.json")))
                .expect("JSON");
        for key in ["verdict", "count", "faults"] {
            assert_eq!(answer[key].to_string(), report[key].to_string(), "{name}");
        }
        wrong += 1;
    }
    assert_eq!((lines.lines().count(), wrong), (names.len(), 3));
}

/// Whoever writes an export begins with the example and checks it with the schema: both must be
/// those that lie in the tenant's folder, and the example must be accepted.
#[test]
fn templates_are_shown_offline_as_the_folder_shows_them() {
    let mut world = as_shown();
    world.run();
    let folder = world.folder("acme").path("whatsapp/templates");
    let (code, list) = written(
        &["template", "list", "--json", "--templates", &templates()],
        &[],
    );
    assert_eq!(code, Some(0));
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let list = list.as_array().expect("a list");
    assert!(list.len() >= 4, "{list:?}");
    let config = world.path("dropcast.toml").display().to_string();
    for template in list {
        let [name, language] = ["name", "language"].map(|key| template[key].as_str());
        let (name, language) = (name.expect("a name"), language.expect("a language"));
        assert_eq!(template["usable"], true, "{template}");
        let lies_in = |what: &str| {
            let path = folder.join(format!("{name}.{language}.{what}.json"));
            world_file(&path)
        };
        for what in ["schema", "example"] {
            let asked = ["template", what, name, "--language", language];
            let whose = ["--config", &config, "--tenant", "acme"];
            let (code, shown) = written(&[&asked[..], &whose[..]].concat(), &[]);
            assert_eq!(code, Some(0), "{name}");
            assert_eq!(shown, lies_in(what), "{name}.{language}.{what}");
        }
        let example = world.local(&format!("{name}.{language}.json"), lies_in("example"));
        let whose = ["validate", "--config", &config, "--tenant", "acme"];
        assert_eq!(written(&whose, &[example]).0, Some(0), "{name}");
    }
    let several = [
        "template",
        "example",
        "appointment_reminder",
        "--templates",
        &templates(),
    ];
    assert_eq!(written(&several, &[]).0, Some(1), "two languages");
    assert_eq!(written(&["template", "list"], &[]).0, Some(2), "no folder");
}

/// A file that the daemon writes shortly after its start.
fn world_file(path: &std::path::Path) -> String {
    crate::world::wait_for("file of a template", crate::world::SOON, || {
        std::fs::read_to_string(path).ok()
    })
}

/// A job trusts the exit code: what could not be said is no answer, and what nobody read is one.
#[test]
fn the_exit_code_says_whether_the_answer_was_given() {
    let good = root("examples/batches/session_text.json");
    let bad = root("examples/batches/trailing_comma.json");
    let code = |file: &PathBuf, stdout: Stdio| {
        let mut command = dropcast();
        command
            .args(["validate", "--templates", &templates()])
            .arg(file);
        let status = command.stdout(stdout).stderr(Stdio::null()).status();
        status.expect("it runs").code()
    };
    let full = || {
        let full = std::fs::File::options().write(true).open("/dev/full");
        Stdio::from(full.expect("a full disk"))
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    assert_eq!(code(&good, Stdio::null()), Some(0));
    assert_eq!(code(&good, full()), Some(2));
    assert_eq!(code(&good, closed()), Some(0));
    assert_eq!(code(&bad, closed()), Some(1));
}
