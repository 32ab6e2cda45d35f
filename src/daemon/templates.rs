//! Definitions on disk → the templates that rows are checked against, and what the tenant is shown
//! of them: a JSON Schema and an example file for each that can be used.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::journal;
use crate::batch::template::{Template, TemplateProblem, Templates};
use crate::batch::{Phone, TenantName};
use crate::disk;

/// No folder of definitions holds more files, and no definition is larger.
const FILES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 16 << 20;

/// What was read from a provider, in the folder for that.
pub const PULLED: &str = "pulled.json";

/// How long a copy may take to write a file whole.
const WRITING_TAKES: Duration = Duration::from_secs(2);

/// The longest template name that is shown as a file.
const SHOWN_NAME_MAX: usize = 200;

/// A tenant's template definitions, read again when their files have changed.
#[derive(Debug)]
pub(super) struct Shelf {
    tenant: TenantName,
    /// The folder with the definitions; `None` when the tenant uses no templates.
    definitions: Option<PathBuf>,
    /// The folder with those that were read from the provider, if it is there.
    pulled: PathBuf,
    /// The folder in which the tenant sees them.
    shown_in: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    stamps: Vec<Stamp>,
    templates: Templates,
    shown: bool,
    /// Goes up with every change.
    edition: u64,
}

type Stamp = (PathBuf, u64, Option<SystemTime>);

impl Shelf {
    /// The definitions lie in these folders: the tenant's own, if it has some, and those that were
    /// read from its provider.
    pub(super) fn new(
        tenant: TenantName,
        (definitions, pulled): (Option<PathBuf>, PathBuf),
        shown_in: PathBuf,
    ) -> Self {
        Self {
            tenant,
            definitions,
            pulled,
            shown_in,
            last: Mutex::default(),
        }
    }

    /// The templates as their files say at this moment.
    pub(super) fn templates(&self) -> io::Result<Templates> {
        Ok(self.edition()?.0)
    }

    /// The same with a number that goes up when they change.
    pub(super) fn edition(&self) -> io::Result<(Templates, u64)> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut last)?;
        Ok((last.templates.clone(), last.edition))
    }

    /// Writes what the tenant is shown, if it has changed; examples are sent from `from`.
    pub(super) fn show(&self, from: Option<&Phone>) -> io::Result<()> {
        let (stamps, templates) = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            self.refresh(&mut last)?;
            if last.shown {
                return Ok(());
            }
            (last.stamps.clone(), last.templates.clone())
        };
        // Nobody who checks a file waits for these many synced writes.
        self.write_all(&templates, from)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.shown |= last.stamps == stamps;
        Ok(())
    }

    fn write_all(&self, templates: &Templates, from: Option<&Phone>) -> io::Result<()> {
        let mut wanted = BTreeSet::new();
        for template in templates.usable() {
            if !is_file_name(template) {
                continue;
            }
            let stem = format!("{}.{}", template.name(), template.language());
            wanted.insert(self.write(&stem, "schema", &template.schema())?);
            if let Some(from) = from {
                wanted.insert(self.write(&stem, "example", &template.example_batch(from))?);
            }
        }
        for entry in fs::read_dir(&self.shown_in)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && !wanted.contains(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn write(&self, stem: &str, what: &str, value: &serde_json::Value) -> io::Result<OsString> {
        let name = OsString::from(format!("{stem}.{what}.json"));
        let path = self.shown_in.join(&name);
        let text = format!("{value:#}\n");
        if fs::read(&path).unwrap_or_default() != text.as_bytes() {
            disk::write_whole(&path, text.as_bytes())?;
        }
        Ok(name)
    }

    fn refresh(&self, last: &mut Last) -> io::Result<()> {
        let own = self.definitions.as_deref().map_or(Ok(Vec::new()), stamps)?;
        let pulled = stamps_if_there(&self.pulled)?;
        let stamps = [own.as_slice(), &pulled].concat();
        if last.stamps == stamps {
            return Ok(());
        }
        let (templates, problems) = read_both(&own, &pulled);
        // Half a file would take templates away from those whose files are checked meanwhile.
        let half_written = |stamp: &&Stamp| is_young(stamp) && is_about(&problems, stamp);
        if !last.stamps.is_empty() && stamps.iter().any(|it| half_written(&it)) {
            return Ok(());
        }
        for problem in problems {
            journal::template_unusable(&self.tenant, &problem.file, &problem.text);
        }
        *last = Last {
            stamps,
            templates,
            shown: false,
            edition: last.edition + 1,
        };
        Ok(())
    }
}

/// Whether a file was changed so lately that its writer may not be done.
fn is_young((_, _, modified): &Stamp) -> bool {
    modified
        .and_then(|modified| modified.elapsed().ok())
        .is_some_and(|age| age < WRITING_TAKES)
}

fn is_about(problems: &[TemplateProblem], (path, ..): &Stamp) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    problems.iter().any(|problem| problem.file == name)
}

/// The templates that the files of a folder define, and what could not be read of them.
pub fn read_folder(folder: &Path) -> io::Result<(Templates, Vec<TemplateProblem>)> {
    Ok(read_files(&stamps(folder)?))
}

/// The templates of a tenant's own folder and of what was read from its provider.
pub fn read_folders(
    own: Option<&Path>,
    pulled: &Path,
) -> io::Result<(Templates, Vec<TemplateProblem>)> {
    let own = own.map_or(Ok(Vec::new()), stamps)?;
    Ok(read_both(&own, &stamps_if_there(pulled)?))
}

fn read_both(own: &[Stamp], pulled: &[Stamp]) -> (Templates, Vec<TemplateProblem>) {
    let (templates, mut problems) = read_files(own);
    if pulled.is_empty() {
        return (templates, problems);
    }
    let (pulled, more) = read_files(pulled);
    problems.extend(more);
    (templates.beside(&pulled), problems)
}

fn stamps_if_there(folder: &Path) -> io::Result<Vec<Stamp>> {
    match stamps(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        stamps => stamps,
    }
}

fn read_files(stamps: &[Stamp]) -> (Templates, Vec<TemplateProblem>) {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    for (path, length, _) in stamps {
        let file = path.file_name().unwrap_or_default();
        let file = file.to_string_lossy().into_owned();
        let mut problem = |file, text: String| unread.push(TemplateProblem { file, text });
        if *length > BYTES_MAX {
            problem(file, "it is larger than 16 MiB".into());
            continue;
        }
        match fs::read(path) {
            Ok(bytes) => files.push((file, bytes)),
            Err(error) => problem(file, error.to_string()),
        }
    }
    let (templates, problems) = Templates::parse(&files);
    unread.extend(problems);
    (templates, unread)
}

/// Whether a template can be shown as a file of its name.
fn is_file_name(template: &Template) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let (name, language) = (template.name(), template.language());
    name.len() + language.len() <= SHOWN_NAME_MAX
        && name.chars().all(plain)
        && language.chars().all(plain)
}

fn stamps(folder: &Path) -> io::Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for entry in fs::read_dir(folder)?.take(FILES_MAX) {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        // What an editor or a copy puts there for a moment may be gone again.
        if let Ok(about) = fs::metadata(&path)
            && about.is_file()
        {
            stamps.push((path, about.len(), about.modified().ok()));
        }
    }
    stamps.sort();
    Ok(stamps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r#"{"name":"parcel","language":"en","status":"STATUS",
        "category":"UTILITY","components":[{"type":"BODY","text":"Hello {{1}}, it left."}]}"#;

    /// Whoever writes an export learns from these files what can be sent, and what no longer can.
    #[test]
    fn a_tenant_sees_the_templates_that_can_be_used() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [definitions, shown] = ["definitions", "shown"].map(|name| folder.path().join(name));
        for path in [&definitions, &shown] {
            fs::create_dir(path).expect("made");
        }
        let tenant = TenantName::parse("acme").expect("a name");
        let pulled = folder.path().join("pulled");
        let folders = (Some(definitions.clone()), pulled);
        let shelf = Shelf::new(tenant, folders, shown.clone());
        let from = Phone::from_e164("+15550001111");
        let list = || {
            shelf.show(from.as_ref()).expect("shown");
            let entries = fs::read_dir(&shown).expect("listed");
            let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        assert!(list().is_empty());
        let path = definitions.join("parcel.json");
        fs::write(&path, TEMPLATE.replace("STATUS", "APPROVED")).expect("written");
        assert_eq!(list(), ["parcel.en.example.json", "parcel.en.schema.json"]);
        let paused = TEMPLATE.replace("STATUS", "PAUSED");
        // A copy is seen half way, and then whole.
        fs::write(&path, &paused[..90]).expect("written");
        assert_eq!(list(), ["parcel.en.example.json", "parcel.en.schema.json"]);
        assert!(
            shelf
                .templates()
                .expect("read")
                .get("parcel", "en")
                .is_some()
        );
        fs::write(&path, &paused).expect("written");
        assert!(list().is_empty());
        // What stays half is told to be so.
        fs::write(&path, &paused[..90]).expect("written");
        let earlier = SystemTime::now() - WRITING_TAKES;
        let file = fs::File::options().write(true).open(&path).expect("opened");
        file.set_modified(earlier).expect("set");
        assert!(shelf.templates().expect("read").usable().is_empty());
    }
}
