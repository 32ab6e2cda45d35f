//! What is wrong with the settings, where, and in which words. What counts as wrong is for the
//! other files of this room to know.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// How many problems are written out; the rest is counted.
const LINES_MAX: usize = 200;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("found {} in the settings", counted(problems.len(), "problem"))]
pub struct Error {
    /// Every problem, sorted by place.
    pub problems: Vec<Problem>,
}

impl Error {
    /// The problems for a terminal, one line each: `path:line:column: sentence`.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .problems
            .iter()
            .take(LINES_MAX)
            .map(ToString::to_string)
            .collect();
        if self.problems.len() > LINES_MAX {
            let more = counted(self.problems.len() - LINES_MAX, "more problem");
            lines.push(format!("and {more}"));
        }
        lines
    }
}

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A place in a settings file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 when the file as a whole is meant.
    pub column: usize,
}

impl Place {
    /// The file as a whole.
    pub(super) fn whole(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
        }
    }

    /// The file and the line, for a sentence.
    pub(super) fn file_and_line(&self) -> String {
        match self.line {
            0 => self.file.display().to_string(),
            line => format!("{}:{line}", self.file.display()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// Everything found so far while all files are read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    // In cells, because the sections of one file are alive side by side and each adds to this.
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<Problem>>,
}

impl Findings {
    /// Adds something wrong.
    pub(super) fn problem(&self, place: Place, text: impl Into<String>) {
        // A name in quotes can hold anything; a problem stays on its line.
        let text = text.into().replace(char::is_control, " ");
        self.problems.borrow_mut().push(Problem { place, text });
    }

    /// Adds something that the operator should know.
    pub(super) fn note(&self, place: Place, text: impl Into<String>) {
        let text = text.into();
        self.notes.borrow_mut().push(Problem { place, text });
    }

    /// Every problem, sorted by place.
    pub(super) fn into_error(self) -> Error {
        let mut problems = self.problems.into_inner();
        problems.sort();
        Error { problems }
    }

    /// The notes as sentences sorted by place, or every problem.
    pub(super) fn conclude(self) -> Result<Vec<String>, Error> {
        if !self.problems.borrow().is_empty() {
            return Err(self.into_error());
        }
        let mut notes = self.notes.into_inner();
        notes.sort();
        Ok(notes.into_iter().map(|note| note.text).collect())
    }
}

/// `1 problem`, `2 problems`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{end}")
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn either(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// What keeps a file from being read, to stand after "which" or "the file".
pub(super) fn why_unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".into(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".into(),
        io::ErrorKind::IsADirectory => "is a folder".into(),
        io::ErrorKind::InvalidData => "is not UTF-8 text".into(),
        io::ErrorKind::Unsupported => "is not a regular file".into(),
        kind => format!("cannot be read ({kind})"),
    }
}
