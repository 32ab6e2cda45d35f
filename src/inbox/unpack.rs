//! gzip, zstd and zip become bytes, bounded. What the bytes say is for `batch` to know.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};

use crate::batch::name::{Container, NameKind};
use crate::batch::read::Form;
use crate::batch::{Code, Fault};

mod archive;
mod kind;
mod members;
#[cfg(test)]
mod tests;

use kind::Kind;
use members::Members;

const BUFFER_BYTES: usize = 128 << 10;

/// However small a file is, it may expand to this many bytes.
const EXPANDED_BYTES_FREE: u64 = 64 << 20;

/// Beyond that, it may expand to this many times its size. Batches shrink to a tenth, those whose
/// rows hardly differ to a fiftieth; what shrinks further was made to fill a memory or a disk.
const EXPANDED_TIMES_MAX: u64 = 250;

/// The expanded bytes of a file, and how they are written.
pub type Content = (Box<dyn BufRead + Send>, Form);

/// What cannot be expanded: the fault goes through readers as an error of theirs.
#[derive(Debug, thiserror::Error)]
#[error("failed to expand the file: {}", .0.found)]
struct Damage(Fault);

/// Opens the content of `file`, named `name`, and says how it is written. A container that cannot
/// hold a batch is a fault of the file; an `Err` is a failure of the disk.
pub fn open(mut file: File, name: &str) -> io::Result<Result<Content, Fault>> {
    let NameKind::Batch { form, container } = NameKind::of(name) else {
        let expected = "a name that ends in .json, .jsonl or .ndjson";
        return Ok(Err(Fault::whole(Code::FileContainer, expected, "another")));
    };
    let size_bytes = file.metadata()?.len();
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    Read::by_ref(&mut file)
        .take(kind::HEAD_BYTES)
        .read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    if let Some(fault) = Kind::of(&head).is_not(container) {
        return Ok(Err(fault));
    }
    let opened = match container {
        Container::Plain => {
            let source = BufReader::with_capacity(BUFFER_BYTES, file);
            return Ok(Ok((Box::new(source), told(form))));
        }
        Container::Gzip => {
            let bytes = Members::gzip(BufReader::with_capacity(BUFFER_BYTES, file));
            Ok((bounded(bytes, size_bytes), told(form)))
        }
        Container::Zstd => Members::zstd(BufReader::with_capacity(BUFFER_BYTES, file), &head)
            .map(|bytes| (bounded(bytes, size_bytes), told(form))),
        Container::Zip => {
            archive::open(file).map(|(bytes, form)| (bounded(bytes, size_bytes), form))
        }
    };
    let looked = opened.and_then(|(bytes, form)| Ok((look_inside(bytes, container)?, form)));
    match looked {
        Ok(content) => Ok(Ok(content)),
        Err(error) => fault_of(&error).map(Err).ok_or(error),
    }
}

/// The fault that a failure to read a compressed file tells of; `None` when the disk failed.
pub fn fault_of(error: &io::Error) -> Option<Fault> {
    let inner = error.get_ref();
    if let Some(Damage(fault)) = inner.and_then(|inner| inner.downcast_ref()) {
        return Some(fault.clone());
    }
    // The decoders report damaged input without a number of the system's; its own failures have
    // one.
    if error.raw_os_error().is_some() {
        return None;
    }
    Some(match error.kind() {
        io::ErrorKind::UnexpectedEof => broken_off(),
        _ => damaged(),
    })
}

fn told(form: Option<Form>) -> Form {
    form.expect("only a zip leaves its form open")
}

fn failure(fault: Fault) -> io::Error {
    io::Error::other(Damage(fault))
}

fn broken_off() -> Fault {
    Fault::whole(
        Code::FileContainer,
        "a whole compressed file",
        "one that breaks off",
    )
    .hint("the upload was cut off, most likely; upload the file again")
}

fn damaged() -> Fault {
    Fault::whole(
        Code::FileContainer,
        "a whole compressed file",
        "one that is damaged: its content is not what was compressed",
    )
    .hint("upload it as binary, not as text; compress it again if that does not help")
}

/// What is wrong with bytes after the end of what is compressed.
fn trailing() -> Fault {
    Fault::whole(
        Code::FileContainer,
        "the end of the file after the compressed data",
        "more bytes",
    )
    .hint("something was added to the file after it was compressed; compress it again")
}

/// Sees to it that there is text in the container, and no other one.
fn look_inside(
    mut bytes: impl BufRead + Send + 'static,
    named: Container,
) -> io::Result<Box<dyn BufRead + Send>> {
    let mut head = Vec::new();
    bytes
        .by_ref()
        .take(kind::HEAD_BYTES)
        .read_to_end(&mut head)?;
    match Kind::of(&head).is_not_inside(named) {
        Some(fault) => Err(failure(fault)),
        None => Ok(Box::new(Cursor::new(head).chain(bytes))),
    }
}

fn bounded<R: Read + Send + 'static>(
    inner: R,
    size_bytes: u64,
) -> BufReader<Bounded<Box<dyn Read + Send>>> {
    let most = size_bytes.saturating_mul(EXPANDED_TIMES_MAX);
    let inner: Box<dyn Read + Send> = Box::new(inner);
    let bounded = Bounded {
        inner,
        left: most.max(EXPANDED_BYTES_FREE),
    };
    BufReader::with_capacity(BUFFER_BYTES, bounded)
}

/// A reader of a container that gives up when more comes out than an honest one holds.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            let expected =
                format!("a file that expands to at most {EXPANDED_TIMES_MAX} times its size");
            let fault = Fault::whole(Code::FileExpansion, expected, "one that expands further");
            failure(fault.hint("upload it uncompressed, or look at what the export wrote"))
        })?;
        Ok(length)
    }
}
