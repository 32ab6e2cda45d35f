//! Broken settings and what is said about them, and the examples that ship.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::keys::{self, Keys};
use super::*;
use crate::sftp::Require;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a folder, so that its files can be given the rights that a checkout does not keep: what
/// ends in `.open-token` can be read by everybody, nothing else can.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
            let is_open = to.extension().is_some_and(|end| end == "open-token");
            let mode = if is_open { 0o644 } else { 0o600 };
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).expect("set");
        }
    }
}

/// What is said about the settings in `folder`, with paths relative to it.
fn said(folder: &Path) -> String {
    let lines = match load(&folder.join("dropcast.toml")) {
        Err(error) => error.lines(),
        Ok(config) => config.notes,
    };
    let prefix = format!("{}/", folder.display());
    let mut text = lines.join("\n").replace(&prefix, "");
    text.push('\n');
    text
}

/// An operator at three in the morning has only these sentences: each broken folder must be told
/// exactly what is wrong, where, and what to do, and none may fail for another reason by chance.
#[test]
fn every_broken_file_gets_its_sentences() {
    let golden = repository().join("tests/golden/config");
    let mut cases: Vec<PathBuf> = fs::read_dir(&golden)
        .expect("the golden cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 14, "{} cases", cases.len());
    for case in cases {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy(&case, folder.path());
        expect_test::expect_file![case.join("expected.txt")].assert_eq(&said(folder.path()));
    }
}

/// A secret that was put in the wrong place must not reach a terminal, a log or a ticket.
#[test]
fn no_sentence_shows_a_secret() {
    let golden = repository().join("tests/golden/config");
    for case in fs::read_dir(golden).expect("the golden cases") {
        let case = case.expect("an entry").path();
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy(&case, folder.path());
        let text = said(folder.path()).replace("`ssh-ed25519 AAAA… cron@erp`", "");
        for secret in ["hunter2", "AAAA", "EAAG", "$argon2i"] {
            assert!(!text.contains(secret), "{} shows {secret}", case.display());
        }
    }
}

proptest! {
    /// Settings are read again while the daemon runs: no text, however mangled, may take it down.
    #[test]
    fn no_text_brings_the_reader_down(
        before in 0_usize..400,
        after in 0_usize..400,
        middle in r#"[\[\]{}"'=,.\\#\n a-z0-9ü-]{0,20}"#,
    ) {
        let golden = repository().join("tests/golden/config/good/tenants.d/acme.toml");
        let good = fs::read_to_string(golden).expect("the good file");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let main = folder.path().join("dropcast.toml");
        let start = good.get(..before).unwrap_or(&good);
        let end = good.get(before + after..).unwrap_or_default();
        fs::write(&main, format!("{start}{middle}{end}")).expect("written");
        let error = load(&main).expect_err("a tenant's file is no main file");
        prop_assert!(!error.lines().is_empty());
    }
}

/// The first thing anyone tries is the shipped example.
#[test]
fn the_examples_load_without_a_problem() {
    let config = load(&repository().join("examples/dropcast.toml"));
    let config = config.map_err(|error| error.lines()).expect("no problem");
    let names: Vec<&str> = config.tenants.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["acme"]);
    assert_eq!(config.notes, [""; 0]);
}

/// Takes the `#` from each commented setting; commented prose begins with `# `.
fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with([' ', '#']) => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The names of all settings in a file, as in `sftp.listen`.
fn settings_in(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned() + ".";
        } else if let Some((name, _)) = line.split_once('=')
            && !line.starts_with('#')
        {
            names.insert(format!("{section}{}", name.trim()));
        }
    }
    names
}

/// An operator reads the examples to learn what can be set and what holds when nothing is: a
/// setting left out, or a commented default that is not the default, would mislead.
#[test]
fn the_examples_show_every_setting_with_its_default() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(&repository().join("examples"), folder.path());
    let main = folder.path().join("dropcast.toml");
    let shipped = load(&main).expect("no problem");
    for (path, keys) in [
        (main.clone(), &keys::MAIN as &Keys),
        (folder.path().join("tenants.d/acme.toml"), &keys::TENANT),
    ] {
        let text = uncommented(&fs::read_to_string(&path).expect("read"));
        let known: BTreeSet<String> = keys.all.iter().map(|key| key.name.into()).collect();
        assert_eq!(settings_in(&text), known, "{}", path.display());
        fs::write(&path, text).expect("written");
    }
    for name in ["app-secret", "verify-token", "receipts-secret"] {
        let path = folder.path().join(format!("tenants.d/acme.{name}"));
        fs::write(path, "b8f0e2d7c1a94e5f8a3b6c7d").expect("written");
    }
    let full = load(&main);
    let full = full.map_err(|error| error.lines()).expect("no problem");
    // What has no default is written out in both; so nothing may differ but the notes, and
    // callbacks, which are not taken by default.
    let [shipped, full] = [shipped, full].map(|mut config| {
        config.notes.clear();
        config.receipts_listen = None;
        config.tenants[0].provider.callbacks = provider::CallbackSecrets::default();
        format!("{config:#?}")
    });
    assert_eq!(shipped, full);
}

/// A setting that changes nothing must say so where it is set, and only there.
#[test]
fn what_has_no_effect_is_noted_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = folder.path().join("dropcast.toml");
    let text = "data_dir = \"data\"\n[admin]\napi_token_file = \"a.token\"\n";
    fs::write(&main, text).expect("written");
    let config = load(&main).expect("no problem");
    let path = main.display();
    assert_eq!(
        config.notes,
        [
            format!(
                "there are no tenants in {}, so nobody can log in",
                folder.path().join("tenants.d").display()
            ),
            format!(
                "`admin.api_token_file` in {path}:3 has no effect in this version: only health \
                 and metrics are served"
            ),
        ]
    );
}

/// A tenant's settings must arrive as written: a wrong sender or limit would be found out late.
#[test]
fn good_settings_arrive_as_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(
        &repository().join("tests/golden/config/good"),
        folder.path(),
    );
    let config = load(&folder.path().join("dropcast.toml")).expect("no problem");
    assert_eq!(config.data_dir, folder.path().join("data"));
    assert_eq!(config.admin_listen.map(|listen| listen.port()), Some(9022));
    assert_eq!(config.sources.len(), 3);
    assert_eq!(config.gate.connections_per_address_max, 9);
    assert_eq!(config.gate.shared_addresses.len(), 1);
    assert_eq!(config.gate.proxy_from.len(), 2);
    let [acme, tiny] = config.tenants.as_slice() else {
        panic!("two tenants");
    };
    assert_eq!(acme.provider.access_token.reveal(), "EAAGtoken");
    assert_eq!(
        config.receipts_listen.map(|listen| listen.port()),
        Some(9080)
    );
    let callbacks = &acme.provider.callbacks;
    assert_eq!(callbacks.app_secret.reveal(), "hunter2");
    assert_eq!(callbacks.verify_token.reveal(), "hunter2-token");
    assert_eq!(callbacks.path.reveal(), "b8f0e2d7c1a94e5f8a3b6c7d");
    assert_eq!(acme.unknown_hold, Duration::from_mins(2));
    assert_eq!(tiny.unknown_hold, Duration::from_mins(15));
    assert_eq!(acme.provider.base_url, "http://127.0.0.1:8080/v25.0");
    assert_eq!(acme.senders[0].provider_id, "106540352242922");
    assert!((acme.senders[0].messages_per_second - 0.5).abs() < f64::EPSILON);
    assert_eq!(acme.logins[0].allow_from.len(), 2);
    assert_eq!(acme.logins[0].authorized_keys.len(), 1);
    assert_eq!(acme.logins[0].require, Require::KeyAndPassword);
    assert_eq!((acme.sessions_max, tiny.sessions_max), (3, 512));
    assert_eq!(acme.rules.limits.bytes_max, 64 << 10);
    assert_eq!(acme.rules.senders, [acme.senders[0].number.clone()]);
    assert_eq!(acme.duplicate_window, Duration::from_hours(3 * 24));
    assert_eq!(acme.rules.time_zone.to_string(), "Europe/Amsterdam");
    assert_eq!(tiny.rules.time_zone.to_string(), "UTC");
    let quiet = |tenant: &Tenant| {
        let hours = tenant.quiet_hours.iter();
        let hours: Vec<Json> = hours.map(|QuietHours(hours)| json!(hours)).collect();
        json!(hours)
    };
    let weekdays = ["mon", "tue", "wed", "thu", "fri"];
    for (tenant, expected) in [
        (
            acme,
            json!([
                {"from": "22:00", "to": "07:00", "timeZone": "Europe/Amsterdam"},
                {"from": "00:00", "to": "24:00", "timeZone": "+01:00", "days": ["sun"]},
            ]),
        ),
        (
            tiny,
            json!([{"from": "20:00", "to": "08:00", "timeZone": "UTC", "days": weekdays}]),
        ),
    ] {
        assert_eq!(quiet(tenant), expected);
    }
    assert!(acme.results.csv && acme.results.gzip);
    assert_eq!(acme.retention.results, Duration::from_hours(7 * 24));
    assert_eq!(acme.retention.processed, Duration::from_hours(1));
    assert_eq!(tiny.provider.kind(), crate::provider::Kind::Sandbox);
    assert_eq!(tiny.senders[0].provider_id, "15550002222");
    assert_eq!(tiny.retention.results, Duration::from_hours(90 * 24));
}

/// A token that leaves without encryption is read by whoever stands between.
#[test]
fn tokens_leave_encrypted_or_not_at_all() {
    use crate::provider::Kind;
    for kind in Kind::ALL {
        for (url, is_told) in [
            ("http://api.example", true),
            ("http://10.0.0.7:8080", true),
            ("ftp://127.0.0.1", true),
            ("https://api.example", false),
            ("http://127.0.0.1:9090/v25.0", false),
            ("http://[::1]:9090", false),
            ("http://localhost:9090", false),
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let tenants = folder.path().join("tenants.d");
            fs::create_dir(&tenants).expect("made");
            let top = format!("data_dir = \"{}\"\n", folder.path().display());
            fs::write(folder.path().join("dropcast.toml"), top).expect("written");
            let kind = kind.as_str();
            let tenant = format!("[provider]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n");
            fs::write(tenants.join("acme.toml"), tenant).expect("written");
            let told = said(folder.path());
            let told = told.contains("would send the access token unprotected");
            assert_eq!(told, is_told, "{kind} {url}");
        }
    }
}
