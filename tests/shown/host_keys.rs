//! Host keys are shown and replaced as the manual says, by a real client that checks them.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::as_shown;
use crate::world::World;
use crate::world::daemon::dropcast;

fn host_key(world: &World, words: &[&str]) -> Output {
    let run = dropcast()
        .arg("host-key")
        .args(words)
        .arg("--config")
        .arg(world.path("dropcast.toml"))
        .output();
    run.expect("run")
}

/// The lines for `known_hosts` of the keys in this state.
fn lines(world: &World, state: &str) -> Vec<String> {
    let shown = host_key(world, &["show", "--json"]);
    assert!(shown.status.success(), "{shown:?}");
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let keys = shown.as_array().expect("a list");
    let line = |key: &Value| key["known_hosts"].as_str().expect("a line").to_owned();
    keys.iter()
        .filter(|key| key["state"] == state)
        .map(line)
        .collect()
}

/// Whether a client that knows only these keys gets in. The settings name port 0, which stands for
/// the one that the daemon got.
fn is_known(world: &World, lines: &[String]) -> bool {
    let port = world.port();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace("]:0 ", &format!("]:{port} ")))
        .collect();
    let known = world.write("known", lines.join("\n") + "\n");
    let ran = Command::new("sftp")
        .args(["-F/dev/null", "-oBatchMode=yes", "-oIdentitiesOnly=yes"])
        .arg("-oStrictHostKeyChecking=yes")
        .arg(format!("-oUserKnownHostsFile={}", known.display()))
        .arg(format!(
            "-oIdentityFile={}",
            world.path("acme.key").display()
        ))
        .arg(format!("-P{port}"))
        .args(["-b/dev/null", "acme@127.0.0.1"])
        .stdin(Stdio::null())
        .output();
    ran.expect("the `sftp` command is installed")
        .status
        .success()
}

/// A replacement that goes wrong locks every customer out at once.
#[test]
fn host_keys_are_replaced_while_clients_come_along() {
    let mut world = as_shown();
    for words in [&["show"][..], &["rotate"], &["rotate", "--finish"]] {
        let refused = host_key(&world, words);
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {refused:?}");
    }
    world.run();
    let first = lines(&world, "present");
    assert_eq!(first.len(), 3);
    assert!(is_known(&world, &first));
    let refused = host_key(&world, &["rotate", "--finish"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");

    assert!(host_key(&world, &["rotate"]).status.success());
    let again = host_key(&world, &["rotate"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let next = lines(&world, "next");
    assert_eq!(lines(&world, "present"), first);
    assert!(is_known(&world, &first) && !is_known(&world, &next));
    let shown = host_key(&world, &["show", "--host", "files.example.com"]);
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(
        shown.contains("[files.example.com]:0 ssh-ed25519 AAAA"),
        "{shown}"
    );
    assert!(
        shown.contains("next") && shown.contains("SHA256:"),
        "{shown}"
    );
    assert!(!shown.contains("PRIVATE"), "{shown}");

    let finished = host_key(&world, &["rotate", "--finish"]);
    assert!(finished.status.success(), "{finished:?}");
    assert!(is_known(&world, &first), "a running daemon keeps its keys");
    world.stop();
    world.run();
    assert_eq!(lines(&world, "present"), next);
    assert!(is_known(&world, &next) && !is_known(&world, &first));
    let old = world.data_dir().join("host-keys/ssh_host_ed25519_key.old");
    assert!(old.exists());
}

/// A machine that fails in the midst of it must come up with keys that clients know, and the
/// command must end what it began.
#[cfg(feature = "fail-points")]
#[test]
fn a_replacement_that_was_cut_is_ended_by_another_try() {
    let dies = |world: &World, words: &[&str], point: &str| {
        let run = dropcast()
            .env("FAILPOINTS", point)
            .arg("host-key")
            .args(words)
            .arg("--config")
            .arg(world.path("dropcast.toml"))
            .output();
        let run = run.expect("run");
        assert_eq!(run.status.code(), None, "{point}: {run:?}");
    };
    let mut world = as_shown();
    world.run();
    dies(&world, &["rotate"], "host-key-made=return");
    assert_eq!(lines(&world, "next").len(), 0);
    dies(&world, &["rotate"], "host-keys-next=return");
    let (first, next) = (lines(&world, "present"), lines(&world, "next"));
    assert_eq!(next.len(), 3);
    dies(&world, &["rotate", "--finish"], "host-key-aside=return");
    assert_eq!(lines(&world, "present"), first);
    dies(
        &world,
        &["rotate", "--finish"],
        "host-key-moved=1*off->return",
    );
    let both = [first, next.clone()].concat();
    world.stop();
    world.run();
    assert!(is_known(&world, &both));
    let finished = host_key(&world, &["rotate", "--finish"]);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(lines(&world, "present"), next);
    let folder = world.data_dir().join("host-keys");
    assert!(!folder.join("next").exists());
}
