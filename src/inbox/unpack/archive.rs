//! The one file in a zip. The names in it are compared and never used as paths.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use memchr::memmem;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::kind::{encrypted, nested};
use super::{BUFFER_BYTES, broken_off, damaged, failure, trailing};
use crate::batch::name::{Container, form_of};
use crate::batch::read::Form;
use crate::batch::{Code, Fault};

/// How much of a zip is read to learn what is in it: the list of a hundred thousand entries.
const LIST_BYTES_MAX: u64 = 4 << 20;

/// How a zip ends: this mark, the figures, a comment of at most 64 KiB.
const END_MARK: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: i64 = 0xffff;
/// Where the number of entries and the length of the comment stand behind the mark.
const ENTRIES_AT: usize = 10;
const COMMENT_AT: usize = 20;
/// This number of entries says that the true one stands elsewhere.
const ENTRIES_ELSEWHERE: u16 = 0xffff;

const WANTED: &str = "a zip with exactly one file, named .json, .jsonl or .ndjson";

type Archive = ZipArchive<Metered>;

/// The expanded bytes of the one file in the zip, and how it is written.
pub(super) fn open(mut file: File) -> io::Result<(impl Read, Form)> {
    let entries = read_end(&mut file)?;
    let left = Arc::new(AtomicU64::new(LIST_BYTES_MAX));
    let metered = Metered {
        file,
        left: Arc::clone(&left),
    };
    let mut archive = ZipArchive::new(metered).map_err(told)?;
    if archive.len() != 1 || entries.is_some_and(|entries| entries != 1) {
        return Err(failure(several(&archive, entries.unwrap_or_default())));
    }
    let form = look(&mut archive)?;
    left.store(u64::MAX, Ordering::Relaxed);
    Ok((Entry::start(archive), form))
}

/// Reads the end of a zip: how many entries it says there are, if it says so there.
fn read_end(file: &mut File) -> io::Result<Option<u16>> {
    let size = file.seek(SeekFrom::End(0))?;
    let most = COMMENT_BYTES_MAX as u64 + END_BYTES as u64;
    file.seek(SeekFrom::Start(size.saturating_sub(most)))?;
    let mut tail = Vec::new();
    Read::by_ref(file).take(most).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    let number = |end: &[u8], at| u16::from_le_bytes([end[at], end[at + 1]]);
    let at = memmem::rfind(&tail, END_MARK).filter(|at| at + END_BYTES <= tail.len());
    let Some(end) = at.map(|at| &tail[at..]) else {
        return Err(failure(broken_off()));
    };
    if end.len() > END_BYTES + usize::from(number(end, COMMENT_AT)) {
        return Err(failure(trailing()));
    }
    let entries = number(end, ENTRIES_AT);
    Ok((entries != ENTRIES_ELSEWHERE).then_some(entries))
}

/// What the zip crate's failure tells of.
fn told(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        _ => failure(damaged()),
    }
}

/// What is wrong with a zip that holds no entry or several.
fn several(archive: &Archive, entries: u16) -> Fault {
    let names: Vec<&[u8]> = archive.file_names_raw().collect();
    let count = names.len().max(entries.into());
    let folders = names.iter().filter(|name| name.ends_with(b"/")).count();
    let macs = names.iter().filter(|name| is_of_a_mac(name)).count();
    let (found, hint) = if count == 0 {
        ("no entry".to_owned(), "put the batch file into it")
    } else if macs > 0 {
        (
            format!("{count} entries, {macs} of them added by macOS"),
            "make the zip with `zip -X`, or compress the file with gzip",
        )
    } else if folders > 0 {
        (
            format!("{count} entries, {folders} of them folders"),
            "put the file itself into the zip, not its folder (`zip -j`)",
        )
    } else {
        (
            format!("{count} entries"),
            "drop each batch file by itself, or in a zip of its own",
        )
    };
    Fault::whole(Code::FileZipContent, WANTED, found).hint(hint)
}

fn is_of_a_mac(name: &[u8]) -> bool {
    name.starts_with(b"__MACOSX/") || name.ends_with(b".DS_Store")
}

/// Looks at the one entry; says how it is written.
fn look(archive: &mut Archive) -> io::Result<Form> {
    let entry = archive.by_index_raw(0).map_err(told)?;
    let name = String::from_utf8_lossy(entry.name_raw()).to_lowercase();
    let content = |found: &str, hint: &str| {
        let fault = Fault::whole(Code::FileZipContent, WANTED, found);
        Err(failure(fault.hint(hint)))
    };
    if !entry.is_file() || entry.is_symlink() {
        return content(
            "a folder or a link",
            "put the batch file itself into the zip",
        );
    }
    if name.contains(['/', '\\']) || name.contains("..") {
        return content(
            "a file whose name is a path",
            "put the file into the zip without its folders (`zip -j`)",
        );
    }
    if [".zip", ".gz", ".zst"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return Err(failure(nested(Container::Zip, "a compressed file")));
    }
    let Some(form) = form_of(&name) else {
        return content(
            "a file with another ending",
            "give the file in the zip its ending, and zip it again",
        );
    };
    if entry.encrypted() {
        return Err(failure(encrypted("a zip with a password")));
    }
    if !matches!(
        entry.compression(),
        CompressionMethod::Stored | CompressionMethod::Deflated
    ) {
        let expected = "a zip that is made with the method deflate";
        let fault = Fault::whole(Code::FileCompression, expected, "another method");
        return Err(failure(
            fault.hint("make it with deflate, the default of most tools"),
        ));
    }
    Ok(form)
}

/// A file of which so much may be read. The list in a zip may be as long as the file, and is held
/// in memory when it is read.
struct Metered {
    file: File,
    left: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            let fault = Fault::whole(Code::FileZipContent, WANTED, "a very long list of entries");
            return Err(failure(
                fault.hint("put the batch file into a zip of its own"),
            ));
        }
        let most = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let length = self.file.read(&mut into[..most])?;
        if left < u64::MAX {
            self.left.store(left - length as u64, Ordering::Relaxed);
        }
        Ok(length)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The one entry of an archive, read on from wherever the last read ended. The zip crate lends its
/// readers from the archive, so the entry is expanded by a thread that owns both.
struct Entry {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: io::Cursor<Vec<u8>>,
    /// Whether its last byte was read.
    ended: bool,
}

impl Entry {
    /// Blocks that wait to be read.
    const BLOCKS_AHEAD: usize = 2;

    fn start(mut archive: Archive) -> Self {
        let (sender, blocks) = sync_channel(Self::BLOCKS_AHEAD);
        std::thread::spawn(move || {
            let mut entry = match archive.by_index(0) {
                Ok(entry) => entry,
                Err(error) => return drop(sender.send(Err(told(error)))),
            };
            loop {
                let mut block = vec![0; BUFFER_BYTES];
                let read = entry.read(&mut block);
                let end = matches!(read, Ok(0) | Err(_));
                let sent = sender.send(read.map(|length| {
                    block.truncate(length);
                    block
                }));
                if end || sent.is_err() {
                    return;
                }
            }
        });
        Self {
            blocks,
            block: io::Cursor::default(),
            ended: false,
        }
    }
}

impl Read for Entry {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.block.position() == self.block.get_ref().len() as u64 && !self.ended {
            // A thread that died is no end: half a file would be taken for a whole one.
            let block = self.blocks.recv().map_err(io::Error::other)??;
            self.ended = block.is_empty();
            self.block = io::Cursor::new(block);
        }
        self.block.read(into)
    }
}
