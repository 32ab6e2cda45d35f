//! The unit file and the files beside it, read as the service manager reads them.

use std::collections::BTreeMap;

use crate::world::daemon::dropcast;

const UNIT: &str = include_str!("../../deploy/dropcast.service");
const SYSUSERS: &str = include_str!("../../deploy/sysusers.conf");
const TMPFILES: &str = include_str!("../../deploy/tmpfiles.conf");

/// Settings of a unit that take something away from the service.
const SANDBOX: [&str; 33] = [
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "DevicePolicy",
    "KeyringMode",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateMounts",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "RemoveIPC",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SecureBits",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
    "UMask",
    "User",
];

/// So many of them a unit of ours has at least.
const SANDBOX_LINES_MIN: usize = 25;

/// The settings of a unit: section and key, with every value given.
fn settings(unit: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in unit.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').expect("a setting is `key=value`");
        assert!(!section.is_empty(), "`{line}` stands in no section");
        let values = found.entry((section.clone(), key.into())).or_default();
        values.push(value.into());
    }
    found
}

/// The one value of a setting of the service.
fn service(key: &str) -> String {
    let all = settings(UNIT);
    let values = all.get(&("Service".into(), key.into()));
    let values = values.unwrap_or_else(|| panic!("no `{key}`"));
    assert_eq!(values.len(), 1, "`{key}` is given {} times", values.len());
    values[0].clone()
}

/// The lines of a file that say something.
fn entries(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// A unit with less would let a hole in the daemon become one in the machine.
#[test]
fn the_unit_takes_away_what_the_daemon_does_not_need() {
    let settings = settings(UNIT);
    let sections: Vec<&str> = ["Install", "Service", "Unit"].to_vec();
    let mut found: Vec<&str> = settings
        .keys()
        .map(|(section, _)| section.as_str())
        .collect();
    found.dedup();
    assert_eq!(found, sections);
    let keys: Vec<&str> = settings
        .keys()
        .filter(|(section, key)| section == "Service" && SANDBOX.contains(&key.as_str()))
        .map(|(_, key)| key.as_str())
        .collect();
    assert!(
        keys.len() >= SANDBOX_LINES_MIN,
        "{} lines: {keys:?}",
        keys.len()
    );
    assert_eq!(service("CapabilityBoundingSet"), "");
    assert_eq!(service("NoNewPrivileges"), "yes");
    assert_eq!(service("ProtectSystem"), "strict");
    assert_eq!(
        service("RestrictAddressFamilies"),
        "AF_INET AF_INET6 AF_UNIX"
    );
}

/// A bad config that is tried again every two seconds fills the log and hides its own message; a
/// stop that is cut short leaves messages in doubt.
#[test]
fn the_unit_stops_and_restarts_as_the_daemon_means_it() {
    assert_eq!(service("RestartPreventExitStatus"), "78");
    assert_eq!(service("Restart"), "always");
    let stop_seconds: u32 = service("TimeoutStopSec").parse().expect("seconds");
    assert!(stop_seconds > 10, "a clean stop may take 10 s");
}

/// A unit that names a user or folder that nobody makes does not start.
#[test]
fn the_unit_and_the_files_beside_it_agree() {
    let user = service("User");
    let users = entries(SYSUSERS);
    assert!(
        users
            .iter()
            .any(|entry| entry[0] == "u" && entry[1] == user)
    );
    let folders = entries(TMPFILES);
    let folder = |path: &str| {
        let found = folders.iter().find(|entry| entry[1] == path);
        found.unwrap_or_else(|| panic!("nobody makes `{path}`"))
    };
    let state = format!("/var/lib/{}", service("StateDirectory"));
    assert_eq!(
        folder(&state)[2..5],
        [&service("StateDirectoryMode"), &user, &user]
    );
    let start = service("ExecStart");
    let config = start.rsplit(' ').next().expect("a settings file");
    let (parent, _) = config.rsplit_once('/').expect("a whole path");
    assert_eq!(folder(parent)[3..5], ["root", user.as_str()]);
    assert_eq!(
        folder(&format!("{parent}/tenants.d"))[3..5],
        ["root", user.as_str()]
    );
    assert_eq!(service("ReadOnlyPaths"), parent);
}

/// A unit that starts with a flag that does not exist fails on the operator's machine, not here.
#[test]
fn the_unit_starts_with_a_command_and_flags_that_exist() {
    let start = service("ExecStart");
    let words: Vec<&str> = start.split(' ').collect();
    assert_eq!(words[0], "/usr/bin/dropcast");
    let help = dropcast().args([words[1], "--help"]).output().expect("run");
    assert!(help.status.success(), "{help:?}");
    let help = String::from_utf8(help.stdout).expect("text");
    let flags: Vec<&&str> = words.iter().filter(|word| word.starts_with("--")).collect();
    assert_eq!(flags, [&"--config"]);
    for flag in flags {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}
