//! A start that cannot succeed ends at once, says everything that is wrong and where, and tells the
//! service manager by its exit code whether another try makes sense.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use expect_test::{ExpectFile, expect_file};

use crate::world::daemon::{dropcast, ended, serve};
use crate::world::provider::{Provider, Reserved, Script};
use crate::world::{TenantPlan, World};

/// A start that fails does so within this time.
const FAILS_WITHIN: Duration = Duration::from_secs(20);

/// The settings cannot be used; another try cannot help.
const BAD_CONFIG: i32 = 78;

/// A folder with good settings and no daemon.
fn prepared() -> World {
    World::prepare(&[TenantPlan::new("acme")], &Reserved::new())
}

/// Runs a command that must fail; gives its exit code and what it says.
fn failing(mut command: Command) -> (i32, String) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // What it says fits into the pipe: it is read after the end.
    let status = ended(&mut child, FAILS_WITHIN).expect("the process is known");
    let output = child.wait_with_output().expect("its words");
    let words = String::from_utf8(output.stderr).expect("its words are text");
    (status.code().expect("it ended by itself"), words)
}

/// Holds a failing start against its golden words, free of paths, ports and times.
fn expect_start(world: &World, hidden: &[(&str, &str)], golden: &ExpectFile) -> (i32, String) {
    let (code, words) = failing(serve(&world.path("dropcast.toml")));
    let mut plain = words.replace(&world.path("").display().to_string(), "<folder>/");
    for (text, name) in hidden {
        plain = plain.replace(text, name);
    }
    let plain: Vec<String> = plain.lines().map(without_time).collect();
    golden.assert_eq(&format!("exit code {code}\n{}\n", plain.join("\n")));
    (code, words)
}

fn without_time(line: &str) -> String {
    let word = |word: &str| match word.parse::<jiff::Timestamp>() {
        Ok(_) => "<time>".to_owned(),
        Err(_) => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Settings with many slips, mended one restart at a time, make a long night.
#[test]
fn every_fault_of_the_settings_is_told_at_once() {
    let world = prepared();
    world.write(
        "dropcast.toml",
        "data_dir = \"data\"\ntenants_dir = \"tenants.d\"\n\
         [sftp]\nlisten = \"somewhere\"\nlisen = \"127.0.0.1:0\"\n",
    );
    let good = std::fs::read_to_string(world.path("tenants.d/acme.toml")).expect("the tenant");
    let bad = good
        .replace("meta-cloud", "meta-clod")
        .replace(
            "messages_per_second = 500.0",
            "messages_per_second = \"fast\"",
        )
        .replace("+15550001111", "15")
        .replace("ssh-ed25519 ", "ssh-ed25519 !");
    world.write("tenants.d/acme.toml", &bad);
    std::fs::remove_file(world.path("tenants.d/acme.token")).expect("removed");
    let golden = expect_file!["../golden/start/bad_settings.txt"];
    let key = public_key(&good);
    let (code, words) = expect_start(&world, &[(&key, "<key>")], &golden);
    assert_eq!(code, BAD_CONFIG);
    for slip in [
        "lisen",
        "somewhere",
        "meta-clod",
        "messages_per_second",
        "acme.token",
    ] {
        assert!(words.contains(slip), "{slip}: {words}");
    }
    for place in ["dropcast.toml:4", "dropcast.toml:5", "acme.toml:"] {
        assert!(words.contains(place), "{place}: {words}");
    }
    assert!(
        !world.data_dir().exists(),
        "a start that was refused left something behind"
    );
    assert_check_agrees(&world, BAD_CONFIG);
}

/// The body of the key in the tenant's file: every world has another.
fn public_key(tenant: &str) -> String {
    let (_, rest) = tenant.split_once("ssh-ed25519 ").expect("a key");
    rest.split(' ').next().expect("its body").to_owned()
}

/// A check that says yes to what a start refuses is worse than none.
fn assert_check_agrees(world: &World, code: i32) {
    let mut check = dropcast();
    check
        .args(["config", "check"])
        .arg(world.path("dropcast.toml"));
    assert_eq!(failing(check).0, code);
}

/// A check of good settings must not cry wolf.
#[test]
fn good_settings_pass_the_check() {
    let world = prepared();
    assert_check_agrees(&world, 0);
}

/// Without its token a tenant's every message would be refused by the provider.
#[test]
fn a_missing_token_file_is_named() {
    let world = prepared();
    std::fs::remove_file(world.path("tenants.d/acme.token")).expect("removed");
    let golden = expect_file!["../golden/start/no_token.txt"];
    let (code, words) = expect_start(&world, &[], &golden);
    assert_eq!(code, BAD_CONFIG);
    assert!(words.contains("acme.token"), "{words}");
    assert_check_agrees(&world, BAD_CONFIG);
}

/// The settings file that the service manager names is not there.
#[test]
fn a_missing_settings_file_is_named() {
    let world = prepared();
    std::fs::remove_file(world.path("dropcast.toml")).expect("removed");
    let golden = expect_file!["../golden/start/no_settings.txt"];
    let (code, words) = expect_start(&world, &[], &golden);
    assert_eq!(code, BAD_CONFIG);
    assert!(words.contains("dropcast.toml"), "{words}");
}

/// Another process may let the port go: the next try makes sense, and the exit code must say so.
#[test]
fn a_port_that_is_taken_is_named() {
    let world = prepared();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound").to_string();
    let settings = std::fs::read_to_string(world.path("dropcast.toml")).expect("the settings");
    world.write(
        "dropcast.toml",
        settings.replacen("127.0.0.1:0", &address, 1),
    );
    let golden = expect_file!["../golden/start/port_taken.txt"];
    let (code, words) = expect_start(&world, &[(&address, "<address>")], &golden);
    assert_try_again(code, &words);
    assert!(words.contains(&address), "{words}");
}

/// A data folder that cannot be made is told with its path, before anything listens.
#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let world = prepared();
    // Beneath a plain file not even root can make a folder.
    world.write("plain", "");
    let settings = std::fs::read_to_string(world.path("dropcast.toml")).expect("the settings");
    world.write(
        "dropcast.toml",
        settings.replace("data_dir = \"data\"", "data_dir = \"plain/data\""),
    );
    let golden = expect_file!["../golden/start/data_not_writable.txt"];
    let (code, words) = expect_start(&world, &[], &golden);
    assert_ne!(code, 0);
    let path = Path::new("plain/data").display().to_string();
    assert!(words.contains(&path), "{words}");
}

/// Two daemons on one folder would send everything twice.
#[test]
fn a_data_folder_that_is_held_by_another_is_named() {
    let reserved = Reserved::new();
    let mut world = World::prepare(&[TenantPlan::new("acme")], &reserved);
    let _provider: Provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    world.run();
    let golden = expect_file!["../golden/start/data_held.txt"];
    let (code, words) = expect_start(&world, &[], &golden);
    assert_try_again(code, &words);
    // The first one is not disturbed.
    world.client("acme").run(&["ls".to_owned()]).expect_ok();
    let (code, _) = world.stop();
    assert_eq!(code, Some(0));
}

fn assert_try_again(code: i32, words: &str) {
    assert!(code != 0 && code != BAD_CONFIG, "exit code {code}: {words}");
}
