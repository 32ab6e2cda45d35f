//! Files that tenants upload and name in their batches: what a name means, what a file is, and
//! what of it WhatsApp takes. Where files lie, and how they are kept, is for others to know.

use std::fmt;

use super::address::Place;
use super::content::{MediaFile, MediaKind};
use super::fault::{Code, Trouble};
use super::name::NAME_BYTES_MAX;

/// The folder for such files beneath the tenant's root.
pub const FOLDER: &str = "whatsapp/media";

/// How many bytes of a file tell what it is.
pub const HEAD_BYTES: usize = 4096;

/// The largest file of any kind, in bytes.
pub const BYTES_MAX: u64 = 100 * MB;

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;

/// The files of one tenant, as they lie there while a batch is checked.
pub trait Files: fmt::Debug + Sync {
    /// What lies under this name. Asked again, it gives the same answer, or a batch would be sent
    /// with two files that its sender takes for one.
    fn look(&self, name: &str) -> Look;
}

/// What lies under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// A file.
    File {
        /// SHA-256 of its content, in hexadecimal; empty where nobody will send it.
        sha256: String,
        /// Its size.
        size_bytes: u64,
        /// What it is; `None` for nothing that WhatsApp takes.
        is: Option<FileType>,
    },
    /// A file that somebody is writing to.
    Changing,
    /// Something else than a plain file.
    Other,
    /// Nothing.
    Nothing,
}

/// No files at all.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Files for NoFiles {
    fn look(&self, _name: &str) -> Look {
        Look::Nothing
    }
}

/// What a file is, as its own bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A JPEG picture.
    Jpeg,
    /// A PNG picture.
    Png,
    /// A WebP picture that stands still.
    Webp,
    /// A WebP picture that moves.
    MovingWebp,
    /// MP4.
    Mp4,
    /// 3GPP.
    ThreeGp,
    /// AAC.
    Aac,
    /// AMR.
    Amr,
    /// MP3.
    Mp3,
    /// MP4 with sound alone.
    M4a,
    /// Ogg.
    Ogg,
    /// PDF.
    Pdf,
    /// Plain text.
    Text,
    /// An office file.
    Office(Office),
}

/// The kinds of office files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Office {
    /// Word until 2003.
    Doc,
    /// Excel until 2003.
    Xls,
    /// PowerPoint until 2003.
    Ppt,
    /// Word.
    Docx,
    /// Excel.
    Xlsx,
    /// PowerPoint.
    Pptx,
}

impl FileType {
    /// What a file is that begins with `head`. The name tells office files from each other, whose
    /// bytes begin alike, and nothing else.
    pub fn of(head: &[u8], name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let ending = ending.to_ascii_lowercase();
        let at = |offset: usize, bytes: &[u8]| {
            let rest = head.get(offset..);
            rest.is_some_and(|rest| rest.starts_with(bytes))
        };
        match head {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', ..] if at(8, b"WEBP") => {
                // The bit of the extended form that says that there are frames.
                let moves = at(12, b"VP8X") && head.get(20).is_some_and(|flags| flags & 2 != 0);
                Some(if moves { Self::MovingWebp } else { Self::Webp })
            }
            _ if at(4, b"ftyp") => Self::boxed(head.get(8..12)?),
            _ if at(0, b"#!AMR") => Some(Self::Amr),
            _ if at(0, b"OggS") => Some(Self::Ogg),
            _ if at(0, b"%PDF-") => Some(Self::Pdf),
            [0xff, second, ..] if second & 0xf6 == 0xf0 => Some(Self::Aac),
            [0xff, second, ..] if second & 0xe6 == 0xe2 => Some(Self::Mp3),
            _ if at(0, b"ID3") => Some(Self::Mp3),
            [b'P', b'K', 3, 4, ..] => Some(Self::Office(match ending.as_str() {
                "docx" => Office::Docx,
                "xlsx" => Office::Xlsx,
                "pptx" => Office::Pptx,
                _ => return None,
            })),
            [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => {
                Some(Self::Office(match ending.as_str() {
                    "doc" => Office::Doc,
                    "xls" => Office::Xls,
                    "ppt" => Office::Ppt,
                    _ => return None,
                }))
            }
            _ => is_text(head).then_some(Self::Text),
        }
    }

    /// What a file of boxes is, by its brand.
    fn boxed(brand: &[u8]) -> Option<Self> {
        match brand {
            [b'3', b'g', ..] => Some(Self::ThreeGp),
            b"M4A " | b"M4B " => Some(Self::M4a),
            // QuickTime, and pictures of several makers.
            b"qt  " | b"heic" | b"heix" | b"mif1" | b"avif" => None,
            _ => Some(Self::Mp4),
        }
    }

    /// What providers call it where a file of this kind stands; `None` if it cannot stand there.
    fn mime_type(self, kind: MediaKind) -> Option<&'static str> {
        Some(match (kind, self) {
            (MediaKind::Image, Self::Jpeg) => "image/jpeg",
            (MediaKind::Image, Self::Png) => "image/png",
            (MediaKind::Video | MediaKind::Gif, Self::Mp4) => "video/mp4",
            (MediaKind::Video, Self::ThreeGp) => "video/3gpp",
            (MediaKind::Audio, Self::Aac) => "audio/aac",
            (MediaKind::Audio, Self::Amr) => "audio/amr",
            (MediaKind::Audio, Self::Mp3) => "audio/mpeg",
            // Many writers give sound alone the brand of a video.
            (MediaKind::Audio, Self::M4a | Self::Mp4) => "audio/mp4",
            (MediaKind::Audio, Self::Ogg) => "audio/ogg",
            (MediaKind::Sticker, Self::Webp | Self::MovingWebp) => "image/webp",
            (MediaKind::Document, Self::Pdf) => "application/pdf",
            (MediaKind::Document, Self::Text) => "text/plain",
            (MediaKind::Document, Self::Office(office)) => office.mime_type(),
            _ => return None,
        })
    }

    /// The most bytes that a file of this kind may have.
    const fn bytes_max(self, kind: MediaKind) -> u64 {
        match kind {
            MediaKind::Image => 5 * MB,
            MediaKind::Video | MediaKind::Audio | MediaKind::Gif => 16 * MB,
            MediaKind::Document => BYTES_MAX,
            MediaKind::Sticker => match self {
                Self::MovingWebp => 500 * KB,
                _ => 100 * KB,
            },
        }
    }
}

impl Office {
    const fn mime_type(self) -> &'static str {
        match self {
            Self::Doc => "application/msword",
            Self::Xls => "application/vnd.ms-excel",
            Self::Ppt => "application/vnd.ms-powerpoint",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Pptx => {
                "application/vnd.openxmlformats-officedocument.presentationml.presentation"
            }
        }
    }
}

/// Whether these bytes could begin a text, in whatever encoding.
fn is_text(head: &[u8]) -> bool {
    let is_of_text = |byte: &u8| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    !head.is_empty() && head.iter().all(is_of_text)
}

/// The name in the folder that a text means: `x`, `media/x` or `/whatsapp/media/x`.
pub(super) fn named(text: &str) -> Result<&str, Trouble> {
    let whole = text.strip_prefix('/').unwrap_or(text);
    let prefixes = ["whatsapp/media/", "media/"];
    let name = prefixes.iter().find_map(|it| whole.strip_prefix(it));
    let name = name.unwrap_or(text);
    let found = if name.is_empty() {
        "no name"
    } else if name.len() > NAME_BYTES_MAX {
        "a name of more than 200 bytes"
    } else if name.chars().any(char::is_control) {
        "a name with a control character"
    } else if name.contains('/') {
        "a path to another place"
    } else if name.starts_with('.') {
        "a name that begins with a dot"
    } else {
        return Ok(name);
    };
    let expected = "the name of a file in /whatsapp/media/, such as `media/shoe.jpg`";
    Err(Trouble::new(Code::MediaPath, expected, found)
        .hint("upload the file to /whatsapp/media/, which has no folders in it"))
}

/// Looks at the file of this name, which is to stand where a file of this kind does.
pub(super) fn look(
    name: &str,
    kind: MediaKind,
    place: Place,
    files: &dyn Files,
) -> Result<MediaFile, Trouble> {
    let missing = |found| {
        Trouble::new(Code::MediaMissing, "a file in /whatsapp/media/", found)
            .hint("upload it there first, under just this name, then drop the batch again")
    };
    let (sha256, size_bytes, is) = match files.look(name) {
        Look::Nothing => return Err(missing("none of this name")),
        Look::Changing => return Err(missing("one that is still being written")),
        Look::Other => return Err(missing("something that is no plain file")),
        Look::File { size_bytes: 0, .. } => return Err(missing("an empty file")),
        Look::File {
            sha256,
            size_bytes,
            is,
        } => (sha256, size_bytes, is),
    };
    let is_taken = |is: &FileType| match (kind, place) {
        (MediaKind::Document, Place::Template) => *is == FileType::Pdf,
        _ => true,
    };
    let is = is.filter(is_taken);
    let Some((is, mime_type)) = is.and_then(|is| Some((is, is.mime_type(kind)?))) else {
        let expected = taken(kind, place);
        let trouble = Trouble::new(Code::MediaKind, expected, "a file of another type");
        return Err(trouble.hint("what the file is, its content says, not its name"));
    };
    let most = is.bytes_max(kind);
    if size_bytes > most {
        let expected = format!("at most {}", bytes(most));
        let trouble = Trouble::new(Code::MediaTooLarge, expected, bytes(size_bytes));
        return Err(trouble.hint("WhatsApp takes no larger ones: make it smaller"));
    }
    Ok(MediaFile {
        name: name.to_owned(),
        sha256,
        mime_type: mime_type.to_owned(),
        size_bytes,
    })
}

/// What can stand where a file of this kind does.
const fn taken(kind: MediaKind, place: Place) -> &'static str {
    match (kind, place) {
        (MediaKind::Image, _) => "a JPEG or PNG picture",
        (MediaKind::Video, _) => "an MP4 or 3GPP video",
        (MediaKind::Gif, _) => "an MP4 video",
        (MediaKind::Audio, _) => "a sound in AAC, AMR, MP3, MP4 or Ogg",
        (MediaKind::Sticker, _) => "a WebP picture",
        (MediaKind::Document, Place::Template) => "a PDF",
        (MediaKind::Document, Place::Message) => {
            "a PDF, a text, or an office file with its own ending"
        }
    }
}

fn bytes(count: u64) -> String {
    match count {
        MB.. if count.is_multiple_of(MB) => format!("{} MiB", count / MB),
        KB.. if count.is_multiple_of(KB) && count < MB => format!("{} KiB", count / KB),
        _ => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch must not reach a file that its tenant did not upload for messages.
    #[test]
    fn a_name_means_a_file_of_the_folder_or_nothing() {
        for (text, name) in [
            ("shoe.jpg", "shoe.jpg"),
            ("media/shoe.jpg", "shoe.jpg"),
            ("/whatsapp/media/shoe 1.jpg", "shoe 1.jpg"),
            ("whatsapp/media/é", "é"),
        ] {
            assert_eq!(named(text).ok(), Some(name), "{text}");
        }
        let longest = "n".repeat(NAME_BYTES_MAX + 1);
        for text in [
            "",
            "media/",
            "..",
            "media/..",
            "../orders.json",
            "media/../orders.json",
            "/etc/passwd",
            "/whatsapp/orders.json",
            "media/a/b",
            "/shoe.jpg",
            ".dropcast-up.a",
            "a\nb",
            "a\0",
            &longest,
        ] {
            let trouble = named(text).expect_err(text);
            assert_eq!(trouble.code, Code::MediaPath, "{text}");
        }
    }

    /// WhatsApp looks at the content; a name that lies would be found out only after the sending.
    #[test]
    fn a_file_is_what_its_bytes_say() {
        let mut moving = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0".to_vec();
        moving.push(2);
        for (head, name, is) in [
            (
                &b"\xff\xd8\xff\xe0\0\x10JFIF"[..],
                "a.png",
                Some(FileType::Jpeg),
            ),
            (b"\x89PNG\r\n\x1a\n", "a", Some(FileType::Png)),
            (b"RIFF\0\0\0\0WEBPVP8 ", "a.webp", Some(FileType::Webp)),
            (&moving, "a.webp", Some(FileType::MovingWebp)),
            (b"RIFF\0\0\0\0WAVEfmt ", "a.wav", None),
            (b"\0\0\0\x18ftypmp42\0\0", "a.mp4", Some(FileType::Mp4)),
            (b"\0\0\0\x18ftyp3gp5\0\0", "a", Some(FileType::ThreeGp)),
            (b"\0\0\0\x18ftypM4A \0\0", "a", Some(FileType::M4a)),
            (b"\0\0\0\x18ftypqt  \0\0", "a.mov", None),
            (b"\0\0\0\x18ftyp", "a", None),
            (b"\xff\xf1\x50\x80", "a.aac", Some(FileType::Aac)),
            (b"\xff\xfb\x90\0", "a.mp3", Some(FileType::Mp3)),
            (b"ID3\x04\0", "a.mp3", Some(FileType::Mp3)),
            (b"#!AMR\n", "a", Some(FileType::Amr)),
            (b"OggS\0\x02", "a", Some(FileType::Ogg)),
            (b"%PDF-1.7", "a", Some(FileType::Pdf)),
            (
                b"PK\x03\x04\x14\0",
                "a.DOCX",
                Some(FileType::Office(Office::Docx)),
            ),
            (b"PK\x03\x04\x14\0", "a.zip", None),
            (
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
                "a.xls",
                Some(FileType::Office(Office::Xls)),
            ),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.msg", None),
            (b"a,b\r\n1,2\r\n", "a.csv", Some(FileType::Text)),
            (b"\x7fELF\x02\x01\0", "a.txt", None),
            (b"", "a.txt", None),
        ] {
            assert_eq!(FileType::of(head, name), is, "{name} {head:?}");
        }
    }

    /// Files that WhatsApp refuses must be found before anything is sent, those it takes must go.
    #[test]
    fn each_kind_has_its_types_and_its_limit() {
        use MediaKind::{Audio, Document, Gif, Image, Sticker, Video};

        #[derive(Debug)]
        struct One(Look);
        impl Files for One {
            fn look(&self, _name: &str) -> Look {
                self.0.clone()
            }
        }
        let file = |is, size_bytes| {
            let sha256 = String::new();
            One(Look::File {
                sha256,
                size_bytes,
                is: Some(is),
            })
        };
        for (kind, is, most) in [
            (Image, FileType::Png, 5 * MB),
            (Video, FileType::ThreeGp, 16 * MB),
            (Gif, FileType::Mp4, 16 * MB),
            (Audio, FileType::Mp4, 16 * MB),
            (Document, FileType::Text, 100 * MB),
            (Sticker, FileType::Webp, 100 * KB),
            (Sticker, FileType::MovingWebp, 500 * KB),
        ] {
            let found = look("x", kind, Place::Message, &file(is, most)).expect("taken");
            assert_eq!(found.size_bytes, most);
            let trouble =
                look("x", kind, Place::Message, &file(is, most + 1)).expect_err("too large");
            assert_eq!(trouble.code, Code::MediaTooLarge, "{kind:?}");
        }
        for (kind, is, place) in [
            (Image, FileType::Webp, Place::Message),
            (Gif, FileType::ThreeGp, Place::Template),
            (Video, FileType::Mp3, Place::Message),
            (Document, FileType::Jpeg, Place::Message),
            (Document, FileType::Text, Place::Template),
        ] {
            let trouble = look("x", kind, place, &file(is, 1)).expect_err("refused");
            assert_eq!(trouble.code, Code::MediaKind, "{kind:?}");
        }
        for nothing in [Look::Nothing, Look::Other] {
            let trouble = look("x", Image, Place::Message, &One(nothing)).expect_err("refused");
            assert_eq!(trouble.code, Code::MediaMissing);
        }
        let trouble =
            look("x", Image, Place::Message, &file(FileType::Png, 0)).expect_err("refused");
        assert_eq!(trouble.code, Code::MediaMissing);
    }
}
