//! The walls: which room may use which room, which crate is named where, and what a source of ours
//! looks like. The tables say what is allowed and why; the tests read the sources against them, and
//! hold the reader itself against small made-up sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use self::source::{Named, modules, named, tokens};

mod source;

/// A room, the rooms that it may use, and why no others.
const ROOMS: [(&str, &[&str], &str); 17] = [
    ("batch", &[], "the words of a file stand on nothing of ours"),
    (
        "delivery",
        &["batch"],
        "what happens next is decided from plain values",
    ),
    (
        "report",
        &["batch", "delivery"],
        "a report is a function of what is committed",
    ),
    ("sftp", EDGE, EDGE_WHY),
    ("inbox", EDGE, EDGE_WHY),
    ("store", EDGE, EDGE_WHY),
    ("provider", EDGE, EDGE_WHY),
    ("receipts", EDGE, EDGE_WHY),
    ("admin", EDGE, EDGE_WHY),
    (
        "config",
        &[
            "batch", "delivery", "inbox", "report", "sftp", "provider", "admin",
        ],
        "settings are made for rooms; nothing of what rooms do belongs to them",
    ),
    ("daemon", EVERY, "only the daemon knows two edges at once"),
    (
        "cli",
        &[
            "config", "daemon", "store", "batch", "provider", "sftp", "clock", "crash",
        ],
        "a command asks the daemon; it does not reach around it",
    ),
    ("main", &["cli"], "arguments in, exit code out"),
    (
        "disk",
        &["crash"],
        "files and their durability know no room",
    ),
    (
        "listener",
        &["clock"],
        "letting in connections knows nothing of what is said over them",
    ),
    ("clock", &["batch"], "the clock gives moments, nothing else"),
    (
        "crash",
        &[],
        "a point to die at knows nothing of what is going on",
    ),
];

const EDGE: &[&str] = &[
    "batch", "delivery", "report", "disk", "listener", "clock", "crash",
];
const EDGE_WHY: &str = "edges never import each other; the daemon carries data between them";
const EVERY: &[&str] = &[
    "batch", "delivery", "report", "sftp", "inbox", "store", "provider", "receipts", "admin",
    "config", "disk", "clock", "crash",
];

/// Rooms that may name only a part of other rooms, the parts, and why no more.
const PARTS: [(&str, &[&str], &str); 2] = [
    (
        "config",
        &[
            "batch::TenantName",
            "batch::Phone",
            "batch::phone",
            "batch::read",
            "batch::window",
            "batch::Moment",
            "delivery::Sender",
            "delivery::Policy",
            "delivery::UnknownPolicy",
            "delivery::retention",
            "delivery::window",
            "inbox::Settings",
            "inbox::Trigger",
            "report::Settings",
            "sftp::Login",
            "sftp::Quota",
            "sftp::Settings",
            "sftp::AuthorizedKey",
            "sftp::Gate",
            "sftp::Require",
            "sftp::CONNECTIONS_MAX",
            "sftp::TENANT_SESSIONS_MAX",
            "provider::Settings",
            "provider::Account",
            "provider::CallbackSecrets",
            "provider::Kind",
            "provider::meta_cloud",
            "provider::infobip",
            "provider::bird",
            "provider::webex_connect",
            "provider::botsquad",
            "provider::sandbox_bulk",
            "batch::terms",
            "provider::NoProxy",
            "provider::Proxy",
            "provider::Secret",
            "admin::Settings",
        ],
        "it may name what settings are made of, and how they are checked",
    ),
    (
        "cli",
        &[
            "config",
            "daemon",
            "store",
            "batch",
            "provider::sandbox",
            "provider::Kind",
            "sftp::host_keys",
            "clock",
            "crash",
        ],
        "of a provider it may name the stand-in that it serves, of the door its keys",
    ),
];

type Crate = (&'static str, &'static [&'static str], &'static str);

/// A crate or a part of one, where it may be named (a room, or a file beneath `src`), and why not
/// elsewhere.
const CRATES: &[Crate] = &[
    (
        "axum",
        &["receipts", "admin", "provider/sandbox", "listener"],
        SERVES,
    ),
    (
        "argon2",
        &["sftp", "config", "cli"],
        "passwords are checked at the door",
    ),
    (
        "aws_lc_rs",
        &[
            "sftp", "inbox", "provider", "receipts", "daemon", "cli", "disk",
        ],
        "core rooms hash nothing and draw nothing",
    ),
    (
        "base64",
        &["provider", "receipts"],
        "only providers write so what travels",
    ),
    ("bytes", EDGES_AND_LOOPS, "buffers belong to those who talk"),
    ("cap_fs_ext", &["disk"], "folders are opened in one place"),
    ("cap_std", &["disk"], "folders are opened in one place"),
    ("clap", &["cli"], "only the command line knows of arguments"),
    ("console", &["cli"], "only a command has a person watching"),
    (
        "csv",
        &["report", "daemon"],
        "the spreadsheet form is a report",
    ),
    ("fail", &["crash"], "points to die at are made in one place"),
    (
        "fastrand",
        EDGES_AND_LOOPS,
        "core rooms are told their random share",
    ),
    (
        "flate2",
        &["inbox", "report", "daemon", "cli"],
        "compression is for files that come or go",
    ),
    ("h2", HTTP, OPENS),
    (
        "http_body_util",
        &["provider/http", "provider/sandbox", "cli/asking.rs"],
        "bodies of what is asked, and answers of a stand-in that break off",
    ),
    ("hyper", ASKS, OPENS),
    (
        "hyper::Uri",
        &["provider/http.rs", "provider/http", "provider/proxy.rs"],
        "an address is taken apart once, and then used",
    ),
    ("hyper_util", ASKS, OPENS),
    (
        "indicatif",
        &["cli"],
        "only a command has a person watching",
    ),
    (
        "ipnet",
        &["sftp", "config"],
        "networks are a matter of the door",
    ),
    (
        "jiff",
        &[
            "batch",
            "delivery",
            "report",
            "config",
            "provider/http/answer.rs",
            "clock",
        ],
        "moments are the core's word",
    ),
    (
        "jsonschema",
        &["batch", "config"],
        "only what is read is held against a schema",
    ),
    (
        "md5",
        &["inbox"],
        "checksums of uploads are taken where they come in",
    ),
    ("memchr", EVERYWHERE, ""),
    ("ppp", &["sftp"], "proxies stand before the door"),
    (
        "prometheus_client",
        &["admin"],
        "figures are shown by the admin room",
    ),
    (
        "regex",
        &["batch", "provider/botsquad"],
        "what a text holds matters only where it is read",
    ),
    (
        "rlibphonenumber",
        &["batch"],
        "numbers are parsed once, then trusted",
    ),
    ("rpassword", &["cli"], "only a command has a person typing"),
    ("rusqlite", &["store"], "only the store speaks SQL"),
    (
        "russh",
        &["sftp", "cli"],
        "SSH is spoken at the door, and by the client of the demo",
    ),
    (
        "russh_sftp",
        &["cli"],
        "the client of the demo is the only one here",
    ),
    (
        "rustix",
        &["disk", "sftp", "inbox", "daemon", "clock"],
        "system calls stay with files, the lock and the clock",
    ),
    (
        "rustix::net",
        &["provider/http/wire.rs"],
        "whether a connection still stands is asked where its bytes go",
    ),
    ("serde", EVERYWHERE, ""),
    ("serde_json", EVERYWHERE, ""),
    (
        "simdutf8",
        &["batch"],
        "texts of files are looked at where they are read",
    ),
    (
        "strsim",
        &["batch", "config"],
        "a slip of a key is found where keys are read",
    ),
    (
        "tempfile",
        &["cli"],
        "only the demo runs in a temporary folder",
    ),
    ("thiserror", EVERYWHERE, ""),
    (
        "tokio",
        EDGES_AND_LOOPS,
        "the runtime belongs to edges and loops",
    ),
    ("tokio_rustls", HTTP, OPENS),
    (
        "tokio_rustls::rustls",
        &["provider/http", "provider/mod.rs"],
        "what can go wrong is told by the room of providers",
    ),
    (
        "tokio_util",
        EDGES_AND_LOOPS,
        "the runtime belongs to edges and loops",
    ),
    ("toml", &["config", "cli"], "settings are read in one place"),
    ("tower_service", HTTP, OPENS),
    ("tracing", EDGES_AND_LOOPS, "core rooms write no log line"),
    (
        "tracing_subscriber",
        &["cli", "daemon", "main"],
        "the log is set up once, at the top",
    ),
    (
        "url",
        &["batch", "config", "provider"],
        "addresses are checked once, where they are read, and then used",
    ),
    (
        "webpki_root_certs",
        &["provider"],
        "trust is decided where connections are opened",
    ),
    (
        "xxhash_rust",
        &["batch", "daemon"],
        "sums of what was read are held against each other where it is read",
    ),
    ("zip", &["inbox"], "files are unpacked as they come in"),
    (
        "zstd",
        &["inbox", "store"],
        "files are unpacked in the inbox, chunks in the store",
    ),
];

const HTTP: &[&str] = &["provider/http.rs", "provider/http"];
/// The same, and the file that asks the daemon over its socket.
const ASKS: &[&str] = &["provider/http.rs", "provider/http", "cli/asking.rs"];
const OPENS: &str = "one room opens connections to providers";
const SERVES: &str = "HTTP is served by receipts, admin and the sandbox alone, over one listener";
const EDGES_AND_LOOPS: &[&str] = &[
    "sftp", "inbox", "store", "provider", "receipts", "admin", "listener", "daemon", "cli", "main",
];
const EVERYWHERE: &[&str] = &[""];

/// Rooms and files of plain functions over plain values.
const PURE: &[&str] = &[
    "batch",
    "delivery",
    "report",
    "inbox/settle.rs",
    "sftp/packet",
    "sftp/packet.rs",
    "sftp/jail.rs",
    "sftp/authorized.rs",
    "sftp/certificates.rs",
    "sftp/crowd.rs",
    "sftp/penalties.rs",
    "provider/meta_cloud.rs",
    "provider/meta_cloud/receipts.rs",
    "provider/receiving.rs",
];

/// What a pure source may not name: a path or a word.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "a pure room opens no file"),
    ("std::net", "a pure room opens no socket"),
    ("std::process", "a pure room starts nothing"),
    ("std::env", "a pure room is told what it must know"),
    ("tokio", "a pure room waits for nothing"),
    ("tracing", "a pure room writes no log line"),
    ("fastrand", "a pure room is told its random share"),
    ("async", "a pure room waits for nothing"),
    ("await", "a pure room waits for nothing"),
];

/// Ways to ask what time it is.
const CLOCKS: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

/// File names that say nothing of what the file knows.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "types", "model", "models", "manager",
    "service",
];

/// Marks of unfinished work, put together here so that this file does not hold them.
const LEFTOVERS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// The longest line, in columns.
const COLUMNS_MAX: usize = 100;

/// Where a source stands: `provider/http.rs` is of the room `provider`.
struct Place<'a> {
    path: &'a str,
    module: Vec<&'a str>,
}

impl<'a> Place<'a> {
    /// `path` is relative to `src`.
    fn of(path: &'a str) -> Self {
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        let mut module: Vec<&str> = stem.split('/').collect();
        if module.last() == Some(&"mod") {
            module.pop();
        }
        Self { path, module }
    }

    fn room(&self) -> &'a str {
        self.module[0]
    }

    /// Whether the table's entry means this source: its room, its folder, or itself.
    fn is_in(&self, entry: &str) -> bool {
        entry.is_empty()
            || self.path == entry
            || self.room() == entry
            || self.path.starts_with(&format!("{entry}/"))
    }

    /// Where the source of a module of this name lies that this source declares.
    fn declares(&self, name: &str) -> [String; 2] {
        let folder = match self.path {
            "lib.rs" | "main.rs" => String::new(),
            _ => format!("{}/", self.module.join("/")),
        };
        [
            format!("{folder}{name}.rs"),
            format!("{folder}{name}/mod.rs"),
        ]
    }
}

/// Whether a source is part of the program, or tests a part of it.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Program,
    Tests,
}

/// Everything that the walls have against one source of ours.
fn walls(path: &str, text: &str, its_use: Use) -> Vec<String> {
    let place = Place::of(path);
    let tokens = tokens(text);
    // The crate's root names every room by its office.
    let module: &[&str] = if path == "lib.rs" { &[] } else { &place.module };
    let names = named(&tokens, module);
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: String, why: &str| {
        complaints.push(format!("src/{path}:{line}: {what}: {why}"));
    };
    if path != "lib.rs" {
        for one in &names {
            room_complaint(&place, one, &mut complain);
        }
    }
    if its_use == Use::Tests {
        return complaints;
    }
    for one in &names {
        crate_complaint(&place, one, &mut complain);
    }
    if path != "clock.rs" {
        for one in &names {
            let joined = one.path.join("::");
            if CLOCKS.iter().any(|clock| joined.ends_with(clock)) {
                let what = format!("`{joined}` asks the time");
                complain(one.line, what, "only `clock.rs` does");
            }
        }
    }
    if PURE.iter().any(|entry| place.is_in(entry)) {
        for (impure, why) in IMPURE {
            let begins = format!("{impure}::");
            let hit = |one: &&Named| format!("{}::", one.path.join("::")).starts_with(&begins);
            for one in names.iter().filter(hit) {
                complain(one.line, format!("names `{impure}`"), why);
            }
            let word = |token: &&source::Token| {
                matches!(*impure, "async" | "await") && token.text == *impure
            };
            for token in tokens.iter().filter(word) {
                complain(token.line, format!("says `{impure}`"), why);
            }
        }
    }
    complaints
}

fn room_complaint(place: &Place<'_>, one: &Named, complain: &mut impl FnMut(usize, String, &str)) {
    let ours = one.path[0] == "crate" || (place.room() == "main" && one.path[0] == "dropcast");
    let Some(room) = one.path.get(1).filter(|_| ours) else {
        return;
    };
    if room == place.room() {
        return;
    }
    let Some((_, may_use, why)) = ROOMS.iter().find(|(name, ..)| *name == place.room()) else {
        complain(
            one.line,
            format!("`{}` is no room", place.room()),
            "the table lists the rooms",
        );
        return;
    };
    if !may_use.contains(&room.as_str()) {
        complain(one.line, format!("`{}` uses `{room}`", place.room()), why);
        return;
    }
    let parts = PARTS.iter().find(|(name, ..)| *name == place.room());
    if let Some((name, parts, why)) = parts.filter(|_| one.path.len() > 2) {
        let whole = format!("{}::", one.path[1..].join("::"));
        let listed = |part: &&str| whole.starts_with(&format!("{part}::"));
        if !parts.iter().any(listed) {
            let what = format!("`{name}` names `{}`", whole.trim_end_matches("::"));
            complain(one.line, what, why);
        }
    }
}

fn crate_complaint(place: &Place<'_>, one: &Named, complain: &mut impl FnMut(usize, String, &str)) {
    let whole = format!("{}::", one.path.join("::"));
    let means = |entry: &&Crate| whole.starts_with(&format!("{}::", entry.0));
    // An entry for a part of a crate goes before the one for all of it.
    let entry = CRATES
        .iter()
        .filter(means)
        .max_by_key(|entry| entry.0.len());
    let Some((name, rooms, why)) = entry else {
        return;
    };
    if !rooms.iter().any(|entry| place.is_in(entry)) {
        complain(one.line, format!("names the crate `{name}`"), why);
    }
}

/// What is to be said against how a source looks, whatever room it is in.
fn looks(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: &str, why: &str| {
        complaints.push(format!("{path}:{line}: {what}: {why}"));
    };
    if !text.starts_with("//!") {
        complain(
            1,
            "does not begin with `//!`",
            "a file says first what it is for",
        );
    }
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    if stem.is_some_and(|stem| EMPTY_NAMES.contains(&stem)) {
        complain(1, "has an empty name", "a file is named for what it knows");
    }
    for (row, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        // A text is not broken by the formatter, nor need it be by its writer.
        if columns > COLUMNS_MAX && !line.contains('"') {
            complain(
                row + 1,
                &format!("is {columns} columns wide"),
                "100 fit side by side",
            );
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let leftover = line
            .split(|c| !is_word(c))
            .find(|word| LEFTOVERS.contains(word));
        if let Some(word) = leftover {
            complain(
                row + 1,
                &format!("says {word}"),
                "work is finished or not begun",
            );
        }
    }
    complaints
}

/// The sources that no `mod` line leads to, from `lib.rs` and `main.rs` on.
fn unreached(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut reached = BTreeSet::from(["lib.rs".to_owned(), "main.rs".to_owned()]);
    let mut open: Vec<String> = reached.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let Some(text) = sources.get(&path) else {
            continue;
        };
        let (names, _) = modules(text);
        for candidate in names
            .iter()
            .flat_map(|name| Place::of(&path).declares(name))
        {
            if sources.contains_key(&candidate) && reached.insert(candidate.clone()) {
                open.push(candidate);
            }
        }
    }
    let lost = |path: &&String| !reached.contains(*path);
    let sentence =
        |path: &String| format!("src/{path}:1: no `mod` line leads here: dead files mislead");
    sources.keys().filter(lost).map(sentence).collect()
}

/// The sources that a `mod` line under `#[cfg(test)]` leads to.
fn tests_among(sources: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in sources {
        let (_, tests) = modules(text);
        found.extend(tests.iter().flat_map(|name| Place::of(path).declares(name)));
    }
    found
}

/// The sources beneath a folder of the project, by their path beneath it.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("the folder is listed") {
            let path = entry.expect("the entry is read").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root).expect("beneath the root");
                let text = std::fs::read_to_string(&path).expect("the source is text");
                found.insert(name.display().to_string(), text);
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    assert!(!found.is_empty(), "no sources in {}", root.display());
    found
}

fn assert_none(complaints: &[String]) {
    let mut text = String::new();
    for complaint in complaints {
        writeln!(text, "  {complaint}").expect("a text takes text");
    }
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{text}",
        complaints.len()
    );
}

/// A wall with a hole lets the next change mix what must stay apart.
#[test]
fn every_room_keeps_to_its_walls() {
    let sources = sources("src");
    let tests = tests_among(&sources);
    let its_use = |path: &String| {
        if tests.contains(path) {
            Use::Tests
        } else {
            Use::Program
        }
    };
    let complaints: Vec<String> = sources
        .iter()
        .flat_map(|(path, text)| walls(path, text, its_use(path)))
        .collect();
    assert_none(&complaints);
}

/// A file that does not say what it is for costs each reader an hour.
#[test]
fn every_source_is_tidy() {
    let mut complaints = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (path, text) in sources(folder) {
            complaints.extend(looks(&format!("{folder}/{path}"), &text));
        }
    }
    assert_none(&complaints);
}

/// A file that is not compiled is not tested, and looks as if it were.
#[test]
fn every_source_is_reached() {
    assert_none(&unreached(&sources("src")));
}

/// Tests that are compiled with a feature only are run by nobody when the tests are built without.
#[test]
fn the_tests_are_built_with_every_feature_they_need() {
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile");
    let text = std::fs::read_to_string(makefile).expect("the Makefile is read");
    let built = text.lines().find(|line| line.starts_with("TESTED"));
    let built = built.expect("the Makefile says how the tests are built");
    assert!(built.contains("--features fail-points"), "{built}");
    for run in ["clippy --all-targets", "nextest run", "cargo test"] {
        let with = format!("{run} $(TESTED)");
        assert!(text.contains(&with), "`{with}` is not in the Makefile");
    }
}

/// A crate without a line in the table could be named anywhere.
#[test]
fn every_dependency_has_its_place() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = std::fs::read_to_string(manifest).expect("the manifest is read");
    let dependencies: BTreeSet<String> = text
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect();
    let placed: BTreeSet<String> = CRATES.iter().map(|entry| entry.0.to_owned()).collect();
    assert!(!dependencies.is_empty());
    let lost: Vec<&String> = dependencies.difference(&placed).collect();
    assert!(lost.is_empty(), "no line in the table of crates: {lost:?}");
}

/// Walls that no source can break would pass every review and hold nothing.
#[test]
fn the_walls_notice_what_breaks_them() {
    let bad = [
        (
            "batch/read.rs",
            "use crate::store::Store;",
            "`batch` uses `store`",
        ),
        (
            "sftp/files.rs",
            "use crate::{batch::Phone, inbox};",
            "`sftp` uses `inbox`",
        ),
        (
            "sftp/mod.rs",
            "fn f() { super::store::open(); }",
            "`sftp` uses `store`",
        ),
        (
            "batch/dialect/native.rs",
            "use super::super::super::disk;",
            "`batch` uses `disk`",
        ),
        (
            "main.rs",
            "fn main() { dropcast::daemon::run() }",
            "`main` uses `daemon`",
        ),
        (
            "kitchen/mod.rs",
            "use crate::batch;",
            "`kitchen` is no room",
        ),
        (
            "config/check.rs",
            "use crate::provider::http;",
            "names `provider::http`",
        ),
        (
            "config/mod.rs",
            "use crate::{delivery};\nfn f(_: delivery::State) {}",
            "`delivery::State`",
        ),
        (
            "config/mod.rs",
            "use crate::sftp as door;\nfn f() { door::serve() }",
            "`sftp::serve`",
        ),
        ("inbox/mod.rs", "use hyper;", "the crate `hyper`"),
        (
            "provider/mod.rs",
            "fn f() -> hyper::Request<()> {}",
            "the crate `hyper`",
        ),
        ("provider/http.rs", "use axum::Router;", "the crate `axum`"),
        (
            "daemon/mod.rs",
            "use {rusqlite::Connection};",
            "the crate `rusqlite`",
        ),
        (
            "report/mod.rs",
            "use ::tracing::info;",
            "the crate `tracing`",
        ),
        (
            "store/mod.rs",
            "fn f() { std::time::Instant::now(); }",
            "asks the time",
        ),
        ("delivery/mod.rs", "async fn f() {}", "says `async`"),
        (
            "report/mod.rs",
            "use std::{fmt, fs::File};",
            "names `std::fs`",
        ),
        ("sftp/jail.rs", "use std::fs;", "names `std::fs`"),
        (
            "batch/mod.rs",
            "fn f() -> u32 { fastrand::u32(..) }",
            "names `fastrand`",
        ),
    ];
    for (path, text, complaint) in bad {
        let found = walls(path, text, Use::Program);
        let hit = found
            .iter()
            .any(|line| line.contains(complaint) && line.starts_with("src/"));
        assert!(hit, "{path}: {text}: {found:?}");
    }
}

/// A wall that complains about words in comments and tests would be switched off within a week.
#[test]
fn the_walls_let_pass_what_is_allowed() {
    let good = [
        (
            "batch/mod.rs",
            "// crate::store\n/* use tokio; /* async */ */ fn f() {}",
        ),
        (
            "batch/mod.rs",
            "const S: &str = \"tokio::spawn \\\" async\"; const C: char = '\"';",
        ),
        (
            "batch/mod.rs",
            "const S: &str = r#\"crate::store \" async\"#; fn f<'a>(_: &'a u8) {}",
        ),
        (
            "batch/mod.rs",
            "#[cfg(test)]\nmod tests { use tempfile::tempdir; use std::fs; }",
        ),
        (
            "batch/mod.rs",
            "use self::read::Rules; use super::batch::Phone; pub use fault::Code;",
        ),
        (
            "batch/dialect/native.rs",
            "use super::super::Phone; use crate::batch::read;",
        ),
        (
            "store/messages.rs",
            "use crate::delivery::State; use tokio::sync::mpsc;",
        ),
        (
            "config/mod.rs",
            "use crate::{delivery, sftp};\nfn f(_: delivery::Sender, _: sftp::Login) {}",
        ),
        ("config/mod.rs", "use crate::batch::read::{Rules, Limits};"),
        ("provider/sandbox/mod.rs", "use axum::Router;"),
        ("clock.rs", "fn now() { SystemTime::now(); }"),
        ("main.rs", "fn main() { dropcast::cli::run() }"),
        ("lib.rs", "pub mod store; pub mod sftp;"),
    ];
    for (path, text) in good {
        assert_none(&walls(path, text, Use::Program));
    }
    let text = "use russh_sftp::client; use tempfile::tempdir; async fn f() {}";
    assert_none(&walls("sftp/jail/tests.rs", text, Use::Tests));
    assert!(!walls("sftp/jail/tests.rs", "use crate::inbox;", Use::Tests).is_empty());
    let tree = [(
        "sftp/mod.rs",
        "mod jail;\n#[cfg(test)]\nmod tests;\n// mod lost;",
    )];
    let tree = tree.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let expected = ["sftp/tests.rs", "sftp/tests/mod.rs"].map(str::to_owned);
    assert_eq!(
        tests_among(&tree.into_iter().collect()),
        BTreeSet::from(expected)
    );
}

/// The looks are promised to readers; each rule must be able to fail.
#[test]
fn the_looks_notice_what_is_untidy() {
    let leftover = format!("//! a\n// {}: b", LEFTOVERS[0]);
    let wide = format!("//! {}", "a".repeat(COLUMNS_MAX));
    let bad = [
        ("src/a.rs", "fn f() {}", "src/a.rs:1: does not begin"),
        ("src/batch/utils.rs", "//! a", "empty name"),
        ("src/a.rs", leftover.as_str(), "src/a.rs:2: says"),
        ("src/a.rs", wide.as_str(), "columns wide"),
    ];
    for (path, text, complaint) in bad {
        let found = looks(path, text);
        assert!(
            found.len() == 1 && found[0].contains(complaint),
            "{path}: {found:?}"
        );
    }
    assert_none(&looks("src/a.rs", "//! a\n"));
    let tree = [
        ("lib.rs", "pub mod a;"),
        ("a/mod.rs", "mod b;"),
        ("a/b.rs", ""),
        ("a/c.rs", ""),
    ];
    let tree = tree.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let lost = unreached(&tree.into_iter().collect());
    assert!(
        lost.len() == 1 && lost[0].contains("src/a/c.rs"),
        "{lost:?}"
    );
}
