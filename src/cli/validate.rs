//! `dropcast validate`: what an upload of files would be told, without a service.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use super::against::{Against, OwnRules};
use super::{EXIT_DONE, EXIT_NO, EXIT_USAGE, complain, say};
use crate::batch::name::{Container, NameKind};
use crate::batch::{Code, Fault};
use crate::daemon::offline::{self, Answer, Desk, Verdict, Watcher};

/// What stands for standard input.
const INPUT: &str = "-";

/// A file is read twice: for its head and its form, then for its rows.
const READINGS: u64 = 2;

/// What to check, by which rules, and how to say it.
#[derive(Clone, Debug, Args)]
pub(super) struct Validate {
    /// The files; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    own: OwnRules,
    /// The folder with the files that rows name [default: `media` beside the file].
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// The name that standard input is checked under.
    #[arg(long = "as", value_name = "NAME")]
    input_name: Option<String>,
    /// Writes a line of JSON for each file.
    #[arg(long)]
    json: bool,
}

/// Checks each file; the exit code says what became of the worst, and whether that could be said.
pub(super) fn run(asked: &Validate) -> io::Result<u8> {
    let desk = match asked.against.desk(&asked.own) {
        Ok(desk) => desk,
        Err(code) => return Ok(code),
    };
    let mut worst = EXIT_DONE;
    let mut lacks_templates = false;
    for path in &asked.files {
        let code = match check(asked, &desk, path) {
            Ok(answer) => {
                let written = if asked.json {
                    say(&serde_json::to_string(&answer)?)
                } else {
                    write(path, &answer)
                };
                match written {
                    // Whoever has seen enough is told by the exit code all the same.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                    Err(error) => {
                        complain(&format!("failed to write the answer: {error}"));
                        worst = EXIT_USAGE;
                    }
                    Ok(()) => {}
                }
                let is_lack = |fault: &Fault| fault.code == Code::TemplateUnknown;
                lacks_templates |= answer.faults.iter().any(is_lack);
                match answer.verdict {
                    Verdict::Good => EXIT_DONE,
                    Verdict::Partial | Verdict::Refused => EXIT_NO,
                }
            }
            Err(sentence) => {
                complain(&sentence);
                EXIT_USAGE
            }
        };
        worst = worst.max(code);
    }
    if lacks_templates && desk.templates.is_empty() {
        complain(&"no templates were given: name their folder with --templates");
    }
    Ok(worst)
}

/// What is said of one file, or in a sentence why it cannot be read.
fn check(asked: &Validate, desk: &Desk, path: &Path) -> Result<Answer, String> {
    let beside = || path.parent().unwrap_or(Path::new("")).join("media");
    let media = asked.media.clone().unwrap_or_else(beside);
    if path.as_os_str() == INPUT {
        let name = asked.input_name.as_deref();
        let name = name.ok_or("standard input needs a name: --as orders.json")?;
        let spooled = spool(desk.rules.limits.bytes_max)
            .map_err(|error| format!("failed to read standard input: {error}"))?;
        return watched(desk, (spooled.path(), name), &media)
            .map_err(|error| format!("failed to read standard input: {error}"));
    }
    let shown = path.display();
    let about = fs::metadata(path).map_err(|error| format!("failed to open `{shown}`: {error}"))?;
    if !about.is_file() {
        return Err(format!("failed to open `{shown}`: it is not a plain file"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    watched(desk, (path, &name), &media)
        .map_err(|error| format!("failed to read `{shown}`: {error}"))
}

/// Standard input as a file: it is read twice. Of what is too long, enough to say so is kept.
fn spool(bytes_max: u64) -> io::Result<NamedTempFile> {
    let mut spooled = NamedTempFile::new()?;
    let mut input = io::stdin().lock().take(bytes_max.saturating_add(1));
    io::copy(&mut input, &mut spooled)?;
    spooled.flush()?;
    Ok(spooled)
}

/// Checks a file and shows on a terminal how far it has got.
fn watched(desk: &Desk, (path, name): (&Path, &str), media: &Path) -> io::Result<Answer> {
    let bar = if io::stderr().is_terminal() {
        bar(name, fs::metadata(path)?.len())
    } else {
        ProgressBar::hidden()
    };
    let told = bar.clone();
    let watcher: Watcher = Arc::new(move |bytes| told.inc(bytes));
    let answer = offline::check(desk, (path, name), media, &watcher);
    bar.finish_and_clear();
    answer
}

fn bar(name: &str, size_bytes: u64) -> ProgressBar {
    const PLAIN: &str = "{msg} {wide_bar} {bytes_per_sec} {eta}";
    // Nobody knows what a compressed file will expand to.
    const PACKED: &str = "{msg} {spinner} {bytes} {bytes_per_sec}";
    let packed = !matches!(
        NameKind::of(name),
        NameKind::Batch {
            container: Container::Plain,
            ..
        }
    );
    let (bar, template) = if packed {
        (ProgressBar::no_length(), PACKED)
    } else {
        (ProgressBar::new(size_bytes.saturating_mul(READINGS)), PLAIN)
    };
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    bar.with_style(style).with_message(name.to_owned())
}

/// Writes what is said of a file for people.
fn write(path: &Path, answer: &Answer) -> io::Result<()> {
    let path = if path.as_os_str() == INPUT {
        answer.file.clone()
    } else {
        path.display().to_string()
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for fault in &answer.faults {
        writeln!(out, "{}", line(&path, "", fault))?;
    }
    if answer.more > 0 {
        writeln!(out, "{path}: {} more faults", answer.more)?;
    }
    for warning in &answer.warnings {
        writeln!(out, "{}", line(&path, "warning: ", warning))?;
    }
    writeln!(out, "{}", summary(&path, answer))?;
    out.flush()
}

/// `FILE:LINE:COLUMN: code pointer: expected …, found … (hint)`, as editors and CI take it.
fn line(path: &str, kind: &str, fault: &Fault) -> String {
    let place = match fault.line {
        0 => String::new(),
        line => format!(":{line}:{}", fault.column),
    };
    let pointer = match fault.pointer.as_str() {
        "" => String::new(),
        pointer => format!(" {}", pointer.escape_debug()),
    };
    let hint = match fault.hint.as_str() {
        "" => String::new(),
        hint => format!(" ({hint})"),
    };
    let Fault {
        code,
        expected,
        found,
        ..
    } = fault;
    format!("{path}{place}: {kind}{code}{pointer}: expected {expected}, found {found}{hint}")
}

fn summary(path: &str, answer: &Answer) -> String {
    let (rows, bad) = (answer.rows, answer.invalid);
    let verdict = match (answer.verdict, &answer.reason) {
        (Verdict::Good, _) => "good".to_owned(),
        (Verdict::Partial, _) => "partial".to_owned(),
        (Verdict::Refused, Some(reason)) => format!("refused ({})", reason.code),
        (Verdict::Refused, None) => "refused".to_owned(),
    };
    let counted = if rows == 1 { "row" } else { "rows" };
    let dialect = answer
        .dialect
        .map_or_else(String::new, |name| format!(", {name}"));
    format!(
        "{path}: {verdict}: {rows} {counted}, {} good, {bad} bad{dialect}",
        rows - bad
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Editors jump to the place, and people read the rest: the form of a line is a promise.
    #[test]
    fn a_line_says_place_code_and_cure() {
        let fault = Fault {
            pointer: "/data/0/to".into(),
            line: 4,
            column: 12,
            ..Fault::whole(Code::PhoneTooShort, "7 digits", "2 digits").hint("write them all")
        };
        assert_eq!(
            line("a.json", "", &fault),
            "a.json:4:12: phone.too_short /data/0/to: expected 7 digits, found 2 digits (write \
             them all)"
        );
        let whole = Fault::whole(Code::FileEmpty, "a batch", "nothing");
        assert_eq!(
            line("a.json", "warning: ", &whole),
            "a.json: warning: file.empty: expected a batch, found nothing"
        );
    }
}
