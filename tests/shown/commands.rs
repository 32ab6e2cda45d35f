//! The commands on the pages exist and do what is said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{as_shown, blocks, root, text};
use crate::world::daemon::{dropcast, ended, serve};
use crate::world::{SOON, wait_for};

/// Where commands are shown.
const PAGES: [&str; 8] = [
    "README.md",
    "docs/formats.md",
    "docs/faults.md",
    "docs/logins.md",
    "docs/operating.md",
    "docs/providers/sandbox.md",
    "examples/dropcast.toml",
    "examples/tenants.d/acme.toml",
];

/// The targets of the Makefile, each with its recipe.
fn targets(makefile: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut target = "";
    for line in makefile.lines() {
        if let Some(step) = line.strip_prefix('\t') {
            found.get_mut(target).expect("a target above").push(step);
        } else if let Some((name, _)) = line.split_once(':')
            && name.bytes().all(|byte| byte.is_ascii_lowercase())
        {
            target = name;
            found.insert(name, Vec::new());
        }
    }
    found
}

/// The commands of a page: the lines of its `sh` blocks, and what stands in the text as code.
fn commands(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for block in blocks(page, "sh") {
        found.extend(block.lines().map(str::to_owned));
    }
    let prose: String = page.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2);
    let is_command = |span: &&str| {
        let mut words = span.split_whitespace();
        let program = words.next().unwrap_or_default();
        ["make", "cargo", "dropcast"].contains(&program) && words.next().is_some()
    };
    found.extend(
        spans
            .filter(is_command)
            .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")),
    );
    found
}

/// What `cargo run … -- <words>` or `dropcast <words>` hands to the binary; nothing for others.
fn handed_over(command: &str) -> Option<Vec<&str>> {
    let words = match command.strip_prefix("cargo run ") {
        Some(rest) => rest.split_once("-- ")?.1,
        None => command.strip_prefix("dropcast ")?,
    };
    Some(words.split(' ').collect())
}

/// Panics unless the binary knows the command and each of its flags.
fn assert_known(words: &[&str]) {
    let names = words
        .iter()
        .take_while(|word| !word.starts_with('-') && !word.contains('/'));
    let help = dropcast().args(names).arg("--help").output().expect("run");
    assert!(help.status.success(), "{words:?}: {help:?}");
    let help = String::from_utf8(help.stdout).expect("text");
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        let known = help.split_whitespace().any(|word| word == *flag);
        assert!(known, "{words:?}: no {flag} in {help}");
    }
}

/// A command that does not exist is the end of a first run.
#[test]
fn each_command_on_the_pages_exists() {
    let makefile = text("Makefile");
    let targets = targets(&makefile);
    let commands: Vec<String> = PAGES
        .iter()
        .flat_map(|page| commands(&text(page)))
        .collect();
    let mut known = BTreeSet::new();
    for command in &commands {
        if let Some(target) = command.strip_prefix("make ") {
            let recipe = targets.get(target);
            let recipe = recipe.unwrap_or_else(|| panic!("no target `{target}`"));
            assert!(!recipe.is_empty(), "`{command}` does nothing");
            recipe
                .iter()
                .filter_map(|step| handed_over(step))
                .for_each(|words| assert_known(&words));
            known.insert("make");
        } else {
            let words = handed_over(command);
            let words = words.unwrap_or_else(|| panic!("what is `{command}`?"));
            assert_known(&words);
            known.insert("dropcast");
        }
    }
    assert_eq!(known.len(), 2, "{commands:?}");
    for setup in [".ci/setup", ".ci/run"] {
        let meta = fs::metadata(root(setup)).expect("it is there");
        assert_eq!(meta.permissions().mode() & 0o111, 0o111, "{setup}");
    }
}

/// The commands of the first start, run as they are written, in a folder of their own.
#[test]
fn the_commands_of_the_first_start_do_what_they_say() {
    const SHOWN: &str = "/etc/dropcast/dropcast.toml";
    let world = as_shown();
    let config = world.path("dropcast.toml");
    let readme = text("README.md");
    let operating: Vec<Vec<&str>> = blocks(&readme, "sh")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(handed_over)
        .collect();
    let [check, start] = operating.as_slice() else {
        panic!("a check and a start: {operating:?}");
    };
    assert_eq!(check[..], ["config", "check", SHOWN]);
    let checked = dropcast().args(&check[..2]).arg(&config).output();
    let checked = checked.expect("run");
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(start[..], ["serve", "--config", SHOWN]);

    // As the README says: the journal as JSON on standard error, health on the port in `[admin]`.
    let log = world.path("journal");
    let mut child = serve(&config)
        .env("DROPCAST_LOG", "debug")
        .env("DROPCAST_LOG_FORMAT", "json")
        .stdout(Stdio::null())
        .stderr(File::create(&log).expect("a journal"))
        .spawn()
        .expect("the binary starts");
    let admin = wait_for("address of the health end", SOON, || {
        if let Some(status) = child.try_wait().expect("the process is known") {
            panic!("the daemon ended with {status}");
        }
        let journal = fs::read_to_string(&log).expect("text");
        let whole = &journal[..=journal.rfind('\n')?];
        whole.lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            Some(line["fields"]["admin"].as_str()?.to_owned())
        })
    });
    for path in ["/livez", "/readyz", "/metrics"] {
        assert!(readme.contains(&format!("`{path}`")), "{path}");
        wait_for(&format!("good answer from {path}"), SOON, || {
            let answer = asked(&admin, path);
            answer.starts_with("HTTP/1.1 200 ").then_some(())
        });
    }
    for name in ["tenants/", "spool/", "dropcast.db", "host-keys/"] {
        assert!(readme.contains(&format!("(`{name}`)")), "{name}");
        let path = world.data_dir().join(name);
        assert!(path.exists(), "{} is not there", path.display());
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("the daemon is asked");
    let status = ended(&mut child, SOON).expect("the process is known");
    assert!(status.success(), "{status}");
}

/// What an HTTP server answers to a GET.
fn asked(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a bound");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
