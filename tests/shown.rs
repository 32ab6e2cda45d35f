//! What is shown is run or read, not trusted: examples, README, manual, demo, upload script, unit
//! file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::{World, sftp};

mod commands;
mod demo;
mod examples;
mod host_keys;
mod manual;
mod offline;
mod readme;
mod unit;
mod upload;

/// A path of the project.
fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A text of the project.
fn text(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in a folder of the project, sorted.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("the entry is read").file_name())
        .map(|name| name.into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names
}

/// The blocks of a page between this fence and the next.
fn blocks<'a>(page: &'a str, fence: &str) -> Vec<&'a str> {
    let fence = format!("```{fence}\n");
    let rest = page.split(fence.as_str()).skip(1);
    rest.map(|block| block.split("```").next().unwrap_or_default())
        .collect()
}

/// A world with the settings, the tenant and the templates of `examples/`; only the folder, the
/// ports, the key and the rate are those of a test. No daemon runs yet.
fn as_shown() -> World {
    let world = World::empty();
    let key = sftp::make_key(&world.path("acme.key"));
    let daemon = [
        ("data_dir = \"/var/lib/dropcast\"", "data_dir = \"data\""),
        ("#listen = \"0.0.0.0:2022\"", "listen = \"127.0.0.1:0\""),
        ("listen = \"127.0.0.1:9022\"", "listen = \"127.0.0.1:0\""),
    ];
    let settings = changed(&text("examples/dropcast.toml"), &daemon);
    world.write("dropcast.toml", settings);
    let tenant = text("examples/tenants.d/acme.toml");
    let keys = tenant
        .lines()
        .find(|line| line.starts_with("authorized_keys = "))
        .expect("the example has a key");
    let ours = format!("authorized_keys = [\"{key}\"]");
    let rate = ("#messages_per_second = 80", "messages_per_second = 500");
    let tenant = changed(&tenant, &[(keys, &ours), rate]);
    world.write("tenants.d/acme.toml", tenant);
    for name in names("examples/templates") {
        let template = text(&format!("examples/templates/{name}"));
        world.write(&format!("templates/{name}"), template);
    }
    world
}

/// The text with these lines replaced; each stands in it once.
fn changed(text: &str, lines: &[(&str, &str)]) -> String {
    for (old, _) in lines {
        let found = text.lines().filter(|line| line == old).count();
        assert_eq!(found, 1, "the example has `{old}` {found} times");
    }
    let line = |line: &str| {
        let change = lines.iter().find(|(old, _)| *old == line);
        change.map_or(line, |(_, new)| *new).to_owned() + "\n"
    };
    text.lines().map(line).collect()
}
