//! The demo does and prints what the README says of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::daemon::{dropcast, ended};
use crate::world::wait_for;

/// How long a demo may take on a machine that is busy with other tests.
const PLAY: Duration = Duration::from_mins(1);

/// The demo, whose folder is made in `folder`.
fn demo(folder: &Path) -> Command {
    let mut command = dropcast();
    command.arg("demo").env("TMPDIR", folder);
    command
}

/// The lines beneath a heading, up to the next empty line.
fn beneath<'a>(out: &'a str, heading: &str) -> Vec<&'a str> {
    let heading = format!("\n{heading}\n");
    let (_, rest) = out
        .split_once(&heading)
        .unwrap_or_else(|| panic!("no `{}` in:\n{out}", heading.trim()));
    rest.lines().take_while(|line| !line.is_empty()).collect()
}

/// The count of this name in what was printed.
fn count(counts: &[&str], name: &str) -> usize {
    let found = counts.iter().find_map(|line| {
        let (key, number) = line.trim().split_once(' ')?;
        (key == name).then(|| number.trim().parse().expect("a number"))
    });
    found.unwrap_or_else(|| panic!("no `{name}` in {counts:?}"))
}

/// The demo is the first that anyone sees: if it does not show what it promises, it is the last.
#[test]
fn the_demo_shows_what_the_readme_promises() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = demo(folder.path()).output().expect("run");
    let out = String::from_utf8(ran.stdout).expect("text");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{out}\n{err}");
    let files = beneath(&out, "Files (under /whatsapp):");
    for end in [
        ".results.jsonl",
        ".retry.json",
        ".errors.json",
        ".order_update.json",
    ] {
        assert!(files.iter().any(|file| file.ends_with(end)), "{end}: {out}");
    }
    let counts = beneath(&out, "Counts:");
    assert_eq!(count(&counts, "total"), 1_000);
    assert!(count(&counts, "invalid") > 0, "{out}");
    let told = count(&counts, "accepted") + count(&counts, "invalid");
    assert_eq!(told, 1_000, "{out}");
    let lines = beneath(&out, "Three lines of the results:");
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("a results line"))
        .collect();
    assert_eq!(lines.len(), 3);
    let faults = beneath(&out, "Two faults:");
    assert_eq!(faults.len(), 2);
    for fault in faults {
        assert!(
            fault.starts_with("  line ") && fault.contains("expected"),
            "{fault}"
        );
    }
    let left = fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(left, 0, "the demo left its folder");
}

/// Whoever plays on copies the line that was printed, and expects Ctrl-C to leave nothing.
#[test]
fn the_demo_that_is_kept_can_be_visited_and_interrupted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let out = File::create(log.path()).expect("a log");
    let mut child = demo(folder.path())
        .arg("--keep")
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let printed = wait_for("line to call sftp with", PLAY, || {
        if let Some(status) = child.try_wait().expect("the process is known") {
            panic!("the demo ended with {status}");
        }
        let text = fs::read_to_string(log.path()).expect("text");
        let (before, _) = text.split_once("Ctrl-C")?;
        let line = before.lines().rfind(|line| line.starts_with("  sftp "))?;
        Some(line.trim().to_owned())
    });

    // Only what keeps `sftp` from asking is added; whom it trusts is what the line says.
    let words: Vec<&str> = printed.split(' ').collect();
    let got = folder.path().join("got");
    let mut client = Command::new(words[0])
        .args(["-q", "-b", "-", "-F", "/dev/null", "-o", "BatchMode=yes"])
        .args(["-o", "ConnectTimeout=20"])
        .args(&words[1..])
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the `sftp` command is installed (package openssh-client)");
    let commands = format!(
        "ls -1 whatsapp/results\nget whatsapp/results/order_update.json.status.json {}\n",
        got.display()
    );
    let mut input = client.stdin.take().expect("piped");
    input.write_all(commands.as_bytes()).expect("told");
    drop(input);
    let visit = client.wait_with_output().expect("the client is known");
    assert!(visit.status.success(), "{printed}: {visit:?}");
    let listed = String::from_utf8(visit.stdout).expect("text");
    assert!(
        listed.contains(".order_update.json.results.jsonl"),
        "{listed}"
    );
    let status = fs::read(&got).expect("the client wrote the file");
    let status: Value = serde_json::from_slice(&status).expect("JSON");
    assert_eq!(status["final"], true);
    fs::remove_file(&got).expect("ours");

    kill_process(Pid::from_child(&child), Signal::INT).expect("the demo is asked");
    let status = ended(&mut child, PLAY).expect("the process is known");
    assert!(status.success(), "{status}");
    let left = fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(left, 0, "the demo left its folder");
}
