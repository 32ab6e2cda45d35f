//! What `ssh-audit` has to say of the door: a change of algorithms, by us or by a crate, is seen
//! and judged.

use std::fmt::Write as _;
use std::process::Command;

use expect_test::expect_file;
use serde_json::Value;

use super::door::Door;
use super::{CHORE, installed};
use crate::world::World;
use crate::world::provider::Script;
use crate::world::sftp::run_within;

/// What it holds against the curves of NIST, of which it has an opinion. Clients on old libraries
/// know nothing better.
const OPINION: &str = "using elliptic curves that are suspected as being backdoored";

/// An algorithm that is known to be weak must not be offered, nor a good one be lost.
#[test]
fn the_audit_finds_what_it_found() {
    let door = Door::open(World::empty(), Script::accepting());
    let mut audit = Command::new(installed("python/bin/ssh-audit"));
    // Its test of rates is an attack on the machine that runs the tests.
    audit.args(["--json", "--skip-rate-test", "--port"]);
    audit.arg(door.access.port.to_string()).arg("127.0.0.1");
    let ran = run_within(audit, CHORE);
    let said: Value = serde_json::from_str(&ran.out)
        .unwrap_or_else(|error| panic!("{error}:\n{}\n{}", ran.out, ran.err));
    let shown = reduced(&said);
    for line in shown.lines().filter(|line| line.contains("fail:")) {
        assert!(line.contains(OPINION), "{line}");
    }
    expect_file!["../golden/ssh-audit.txt"].assert_eq(&shown);
}

/// One line for each algorithm, with what there is against it.
fn reduced(said: &Value) -> String {
    let mut shown = format!("banner {}\n", text(&said["banner"]["raw"]));
    for kind in ["kex", "key", "enc", "mac"] {
        for one in said[kind].as_array().expect("a list") {
            write!(shown, "{kind} {}", text(&one["algorithm"])).expect("a text takes text");
            if let Some(bits) = one["keysize"].as_u64() {
                write!(shown, " {bits} bits").expect("a text takes text");
            }
            shown.push('\n');
            for grade in ["fail", "warn"] {
                for note in one["notes"][grade].as_array().into_iter().flatten() {
                    writeln!(shown, "    {grade}: {}", text(note)).expect("a text takes text");
                }
            }
        }
    }
    for one in said["compression"].as_array().expect("a list") {
        writeln!(shown, "compression {}", text(one)).expect("a text takes text");
    }
    for cve in said["cves"].as_array().expect("a list") {
        writeln!(shown, "cve {cve}").expect("a text takes text");
    }
    shown
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
