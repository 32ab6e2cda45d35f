//! A tenant's folder as it lies on disk: what came back for a file, held against the schemas.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::schema;

/// The folder of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct TenantFolder {
    root: PathBuf,
}

impl TenantFolder {
    /// The folder at `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// A path beneath it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The names in one of its folders, sorted, without hidden ones; empty when it is not there.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("the entry is read").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// The status file of the newest batch under `name`.
    pub(crate) fn status(&self, name: &str) -> Option<Value> {
        let path = self.path(&format!("whatsapp/results/{name}.status.json"));
        let text = fs::read_to_string(&path).ok()?;
        let status: Value = serde_json::from_str(&text).expect("a status file is JSON");
        schema::status().assert_takes(&status, &path);
        Some(status)
    }

    /// The results of the batch that this status is about, one line per message.
    pub(crate) fn results(&self, status: &Value) -> Vec<Value> {
        self.lines("results", status, "results.jsonl")
    }

    /// What a dry run reported, one line per message.
    pub(crate) fn dry_run(&self, status: &Value) -> Vec<Value> {
        self.lines("results", status, "dry-run.jsonl")
    }

    fn lines(&self, folder: &str, status: &Value, end: &str) -> Vec<Value> {
        let path = self.of_batch(folder, status, end);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        text.lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).expect("a results line is JSON");
                schema::results().assert_takes(&line, &path);
                line
            })
            .collect()
    }

    /// The faults of the batch that this status is about.
    pub(crate) fn faults(&self, status: &Value) -> Value {
        let path = self.of_batch("errors", status, "errors.json");
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let faults: Value = serde_json::from_str(&text).expect("a faults file is JSON");
        schema::faults().assert_takes(&faults, &path);
        assert_eq!(faults["batch"], status["batch"]);
        assert_eq!(faults["file"], status["file"]);
        faults
    }

    /// The file with the rows that can be mended.
    pub(crate) fn retry(&self, status: &Value, end: &str) -> Vec<u8> {
        let path = self.of_batch("results", status, end);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The path `whatsapp/<folder>/<batch>.<name>.<end>`; without the end when that is empty.
    pub(crate) fn of_batch(&self, folder: &str, status: &Value, end: &str) -> PathBuf {
        let batch = status["batch"].as_str().expect("a batch id");
        let name = status["file"].as_str().expect("a file name");
        let dot = if end.is_empty() { "" } else { "." };
        self.path(&format!("whatsapp/{folder}/{batch}.{name}{dot}{end}"))
    }

    /// Panics unless every file that the status names is there.
    pub(crate) fn assert_files_are_there(&self, status: &Value) {
        let files = status["files"].as_array().expect("a list of files");
        for file in files {
            let file = file.as_str().expect("a path");
            let path = self.path("whatsapp").join(file);
            assert!(path.is_file(), "{} is not there", path.display());
        }
    }
}

/// The largest file beneath a folder, in bytes: an upload is seen growing by it.
pub(crate) fn largest_file(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => largest_file(&entry.path()),
            // A file may be gone again between listing and looking.
            _ => entry.metadata().map_or(0, |meta| meta.len()),
        })
        .max()
        .unwrap_or(0)
}
