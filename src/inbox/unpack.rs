//! gzip, zstd and zip become bytes, bounded. What the bytes say is for `batch` to know.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use crate::batch::name::{Container, NameKind, form_of};
use crate::batch::read::Form;
use crate::batch::{Code, Fault};

const BUFFER_BYTES: usize = 128 << 10;

/// The longest window a zstd file may ask for, as a power of two: what its tool makes by default
/// and at its highest ordinary level.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The expanded bytes of a file, and how they are written.
pub type Content = (Box<dyn BufRead>, Form);

/// Opens the content of `file`, named `name`, and says how it is written. A container that cannot
/// hold a batch is a fault of the file; an `Err` is a failure of the disk.
pub fn open(mut file: File, name: &str) -> io::Result<Result<Content, Fault>> {
    file.seek(SeekFrom::Start(0))?;
    let NameKind::Batch { form, container } = NameKind::of(name) else {
        return Ok(Err(container_fault(
            "a name that ends in .json, .jsonl or .ndjson",
            "another",
        )));
    };
    let source = BufReader::with_capacity(BUFFER_BYTES, file);
    let bytes: Box<dyn BufRead> = match container {
        Container::Plain => Box::new(source),
        Container::Gzip => Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            flate2::bufread::MultiGzDecoder::new(source),
        )),
        Container::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        }
        Container::Zip => return open_zip(source.into_inner()),
    };
    Ok(Ok((bytes, form.expect("only a zip leaves its form open"))))
}

/// Whether a failure while reading comes from what the file says rather than from the disk.
pub fn is_damage(error: &io::Error) -> bool {
    // The decoders report damaged input with these kinds or without any; the system's own failures
    // carry its error number.
    error.raw_os_error().is_none()
}

/// The fault for a container whose content cannot be expanded.
pub fn damaged() -> Fault {
    container_fault(
        "a whole compressed file",
        "one that breaks off or is damaged",
    )
    .hint("compress and upload it again")
}

fn container_fault(expected: &str, found: &str) -> Fault {
    Fault::whole(Code::FileContainer, expected, found)
}

fn open_zip(file: File) -> io::Result<Result<Content, Fault>> {
    let mut archive = match zip::ZipArchive::new(file) {
        Ok(archive) => archive,
        Err(zip::result::ZipError::Io(error)) if !is_damage(&error) => return Err(error),
        Err(_) => return Ok(Err(damaged())),
    };
    let wanted = "a zip with exactly one file, named .json, .jsonl or .ndjson";
    if archive.len() != 1 {
        let found = format!("{} entries", archive.len());
        return Ok(Err(container_fault(wanted, &found)));
    }
    let Ok(entry) = archive.by_index(0) else {
        return Ok(Err(container_fault(
            wanted,
            "an entry that is encrypted or damaged",
        )));
    };
    let inner_name = entry
        .name()
        .map(|name| name.to_lowercase())
        .unwrap_or_default();
    let Some(form) = form_of(&inner_name) else {
        return Ok(Err(container_fault(wanted, "an entry with another ending")));
    };
    drop(entry);
    let entry = OwnedEntry::start(archive);
    Ok(Ok((
        Box::new(BufReader::with_capacity(BUFFER_BYTES, entry)),
        form,
    )))
}

/// The one entry of an archive, read on from wherever the last read ended. The zip crate lends its
/// readers from the archive, so the entry is expanded by a thread that owns both.
struct OwnedEntry {
    blocks: std::sync::mpsc::Receiver<io::Result<Vec<u8>>>,
    block: io::Cursor<Vec<u8>>,
}

impl OwnedEntry {
    /// Blocks that wait to be read.
    const BLOCKS_AHEAD: usize = 2;

    fn start(mut archive: zip::ZipArchive<File>) -> Self {
        let (sender, blocks) = std::sync::mpsc::sync_channel(Self::BLOCKS_AHEAD);
        std::thread::spawn(move || {
            let mut entry = match archive.by_index(0) {
                Ok(entry) => entry,
                Err(error) => return drop(sender.send(Err(io::Error::other(error.to_string())))),
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
        }
    }
}

impl Read for OwnedEntry {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.block.position() == self.block.get_ref().len() as u64 {
            match self.blocks.recv() {
                Ok(block) => self.block = io::Cursor::new(block?),
                Err(_) => return Ok(0),
            }
        }
        self.block.read(into)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn stored(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        file
    }

    fn content(file: File, name: &str) -> Result<Vec<u8>, Code> {
        let (mut bytes, _) = open(file, name)
            .expect("the disk works")
            .map_err(|fault| fault.code)?;
        let mut all = Vec::new();
        match bytes.read_to_end(&mut all) {
            Ok(_) => Ok(all),
            Err(error) if is_damage(&error) => Err(damaged().code),
            Err(error) => panic!("{error}"),
        }
    }

    fn zipped(names: &[&str]) -> File {
        let mut writer = zip::ZipWriter::new(stored(b""));
        for name in names {
            writer
                .start_file(*name, zip::write::SimpleFileOptions::default())
                .expect("begun");
            writer.write_all(&vec![b'x'; 300_000]).expect("written");
        }
        writer.finish().expect("finished")
    }

    /// Whoever compresses exports must not get another answer than whoever does not.
    #[test]
    fn a_compressed_file_reads_like_a_plain_one() {
        let text = vec![b'x'; 300_000];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).expect("compressed");
        let gzip = gzip.finish().expect("compressed");
        let zstd = zstd::encode_all(&text[..], 3).expect("compressed");
        assert_eq!(content(stored(&text), "a.json").as_ref(), Ok(&text));
        assert_eq!(content(stored(&gzip), "a.json.gz").as_ref(), Ok(&text));
        assert_eq!(content(stored(&zstd), "a.jsonl.zst").as_ref(), Ok(&text));
        assert_eq!(content(zipped(&["b.json"]), "a.zip").as_ref(), Ok(&text));
        assert_eq!(
            content(stored(&gzip[..200]), "a.json.gz"),
            Err(Code::FileContainer)
        );
        assert_eq!(
            content(stored(&zstd[..20]), "a.json.zst"),
            Err(Code::FileContainer)
        );
        assert_eq!(
            content(stored(b"no zip"), "a.zip"),
            Err(Code::FileContainer)
        );
        assert_eq!(
            content(zipped(&["b.json", "c.json"]), "a.zip"),
            Err(Code::FileContainer)
        );
        assert_eq!(
            content(zipped(&["b.txt"]), "a.zip"),
            Err(Code::FileContainer)
        );
    }
}
