//! What a file is by its first bytes, and whether that is what its name says. Names lie more often
//! than bytes do.

use crate::batch::name::Container;
use crate::batch::{Code, Fault};

/// How many bytes are looked at.
pub(super) const HEAD_BYTES: u64 = 512;

/// What the first bytes of a file say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No byte at all.
    Empty,
    /// It begins as JSON does.
    Json,
    Gzip,
    Zstd,
    Zip,
    /// A form of compression that is not read, by its name.
    Foreign(&'static str),
    /// A document of a program, in words.
    Document(&'static str),
    /// Encrypted with OpenPGP.
    Encrypted,
    /// Anything else.
    Other,
}

/// How files begin that are told by their first bytes. A spreadsheet is a zip too, and comes first.
const MARKS: [(&[u8], Kind); 14] = [
    (b"\x1f\x8b", Kind::Gzip),
    (b"\x28\xb5\x2f\xfd", Kind::Zstd),
    (b"PK\x03\x04", Kind::Zip),
    (b"PK\x05\x06", Kind::Zip),
    (b"BZh", Kind::Foreign("bzip2")),
    (b"\xfd7zXZ\0", Kind::Foreign("xz")),
    (b"7z\xbc\xaf\x27\x1c", Kind::Foreign("7-Zip")),
    (b"Rar!\x1a\x07", Kind::Foreign("RAR")),
    (b"\x04\x22\x4d\x18", Kind::Foreign("LZ4")),
    (b"\x1f\x9d", Kind::Foreign("compress")),
    (b"%PDF-", Kind::Document("a PDF")),
    (
        b"{\\rtf",
        Kind::Document("a text of a word processor (RTF)"),
    ),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        Kind::Document("a file of an office program (XLS, DOC)"),
    ),
    (b"-----BEGIN PGP MESSAGE", Kind::Encrypted),
];

/// Names with which the zips of office programs begin.
const OFFICE: [&[u8]; 6] = [
    b"[Content_Types].xml",
    b"_rels/",
    b"docProps/",
    b"xl/",
    b"word/",
    b"mimetypeapplication/vnd.oasis",
];

/// Where the first name of a zip begins.
const ZIP_NAME_AT: usize = 30;

/// How skippable frames of zstd begin, behind a byte that is free in its lower half.
const ZSTD_SKIPPABLE: &[u8] = b"\x2a\x4d\x18";

impl Kind {
    /// What begins with `head`.
    pub(super) fn of(head: &[u8]) -> Self {
        let zip_name = head.get(ZIP_NAME_AT..).unwrap_or_default();
        if head.starts_with(b"PK") && OFFICE.iter().any(|name| zip_name.starts_with(name)) {
            return Self::Document("a file of an office program (XLSX, DOCX, ODS)");
        }
        if let Some((_, kind)) = MARKS.iter().find(|(mark, _)| head.starts_with(mark)) {
            return *kind;
        }
        let skippable = head.first().is_some_and(|byte| byte & 0xf0 == 0x50);
        if skippable && head[1..].starts_with(ZSTD_SKIPPABLE) {
            return Self::Zstd;
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        match text.trim_ascii_start().first() {
            _ if head.is_empty() => Self::Empty,
            Some(b'{' | b'[') => Self::Json,
            _ => Self::Other,
        }
    }

    /// What is wrong with a file of this kind whose name says `named`.
    pub(super) fn is_not(self, named: Container) -> Option<Fault> {
        let wanted = word(named);
        let (expected, found) = match (self, named) {
            (Self::Gzip, Container::Gzip)
            | (Self::Zstd, Container::Zstd)
            | (Self::Zip, Container::Zip)
            | (Self::Empty | Self::Json | Self::Other, Container::Plain) => return None,
            (Self::Foreign(_) | Self::Document(_) | Self::Encrypted, _) => return self.unusable(),
            (Self::Empty, _) => {
                let fault = Fault::whole(Code::FileEmpty, "a batch", "an empty file");
                return Some(fault.hint("the upload was cut off at once, most likely"));
            }
            (Self::Json, _) => (wanted, "JSON that is not compressed"),
            (Self::Other, _) => {
                let fault = Fault::whole(Code::FileContainer, wanted, "something else");
                return Some(fault.hint("upload it as binary, not as text, or compress it again"));
            }
            (Self::Gzip, _) => (wanted, "gzip"),
            (Self::Zstd, _) => (wanted, "zstd"),
            (Self::Zip, _) => (wanted, "a zip"),
        };
        let hint = match self {
            Self::Json => "take the ending of the compression off its name, or compress it",
            Self::Gzip => "let its name end in .json.gz or .jsonl.gz, or expand it first",
            Self::Zstd => "let its name end in .json.zst or .jsonl.zst, or expand it first",
            _ => "let its name end in .zip, or take the file out of it first",
        };
        Some(Fault::whole(Code::FileWrongEnding, expected, found).hint(hint))
    }

    /// What is wrong with a file of this kind inside of a container.
    pub(super) fn is_not_inside(self, named: Container) -> Option<Fault> {
        let inner = match self {
            Self::Empty | Self::Json | Self::Other => return None,
            Self::Foreign(word) => word,
            Self::Document(_) | Self::Encrypted => return self.unusable(),
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Zip => "a zip",
        };
        Some(nested(named, inner))
    }

    /// What is wrong with a file of this kind under any name.
    fn unusable(self) -> Option<Fault> {
        match self {
            Self::Foreign(word) => Some(
                Fault::whole(
                    Code::FileCompression,
                    "a plain file, or one in gzip, zstd or zip",
                    word,
                )
                .hint("compress it with gzip or zstd, or drop the plain file"),
            ),
            Self::Document(words) => Some(
                Fault::whole(Code::FileWrongEnding, "a batch in JSON", words)
                    .hint("export the batch as JSON; a document cannot be read"),
            ),
            Self::Encrypted => Some(encrypted("OpenPGP data")),
            _ => None,
        }
    }
}

/// One container in another.
pub(super) fn nested(outer: Container, inner: &str) -> Fault {
    let expected = match outer {
        Container::Zip => "one batch file in the zip",
        _ => "JSON in the compressed file",
    };
    Fault::whole(
        Code::FileNested,
        expected,
        format!("{inner} in {}", noun(outer)),
    )
    .hint("compress the batch once")
}

/// Something that only its sender can read.
pub(super) fn encrypted(found: &str) -> Fault {
    Fault::whole(Code::FileEncrypted, "a file that is not encrypted", found)
        .hint("drop the plain file: SFTP encrypts it on its way")
}

fn word(named: Container) -> &'static str {
    match named {
        Container::Plain => "JSON, as the name says",
        Container::Gzip => "gzip, as the name says",
        Container::Zstd => "zstd, as the name says",
        Container::Zip => "a zip, as the name says",
    }
}

fn noun(named: Container) -> &'static str {
    match named {
        Container::Plain => "a plain file",
        Container::Gzip => "gzip",
        Container::Zstd => "zstd",
        Container::Zip => "a zip",
    }
}
