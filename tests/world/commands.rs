//! What an operator types, against the daemon of a world.

use std::process::Output;

use serde_json::Value;

use super::World;
use super::daemon::dropcast;

/// Types these words.
pub(crate) fn typed(world: &World, words: &[&str]) -> Output {
    let config = world.path("dropcast.toml");
    let mut command = dropcast();
    command.args(words).arg("--config").arg(config);
    command.output().expect("run")
}

/// The same, when the answer is yes; gives what was written.
pub(crate) fn done(world: &World, words: &[&str]) -> String {
    let output = typed(world, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The same, for programs.
pub(crate) fn told(world: &World, words: &[&str]) -> Value {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&done(world, &words)).expect("JSON")
}
