//! Addresses of files and pages: whether they can be fetched, and what their ending says.

use url::Url;

use crate::batch::content::MediaKind;
use crate::batch::fault::{Code, Trouble};

/// The longest address, in characters.
const ADDRESS_CHARS_MAX: usize = 2048;

/// What an address must be.
pub(super) const EXPECTED: &str = "an http or https address of at most 2048 characters";

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is a message by itself, or the header of one without a template.
    Message,
    /// In the header of a template.
    Template,
}

/// The endings of files that can be sent. An address without any known ending is taken: the server
/// that gives the file says what it is.
const fn endings(kind: MediaKind, place: Place) -> &'static [&'static str] {
    match (kind, place) {
        (MediaKind::Image, _) => &["jpg", "jpeg", "png"],
        (MediaKind::Video, _) => &["mp4", "3gp", "3gpp"],
        (MediaKind::Audio, _) => &["aac", "amr", "mp3", "m4a", "mp4", "ogg", "opus", "mpeg"],
        (MediaKind::Document, Place::Template) => &["pdf"],
        (MediaKind::Document, Place::Message) => {
            &["txt", "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx"]
        }
        (MediaKind::Sticker, _) => &["webp"],
        (MediaKind::Gif, _) => &["mp4"],
    }
}

/// Endings of other files that people try to send.
const OTHER_ENDINGS: &[&str] = &[
    "gif", "bmp", "tif", "tiff", "svg", "heic", "avi", "mov", "mkv", "webm", "csv", "zip", "wav",
    "html",
];

/// Checks the address of a file of this kind.
pub(super) fn file(text: &str, kind: MediaKind, place: Place) -> Result<(), Trouble> {
    let url = parse(text).map_err(|(found, hint)| ill(found).hint(hint))?;
    let own = endings(kind, place);
    let Some(ending) = known_ending(&url).filter(|ending| !own.contains(ending)) else {
        return Ok(());
    };
    // Anything may be sent as a document, whether WhatsApp can show it or not.
    if kind == MediaKind::Document && place == Place::Message && OTHER_ENDINGS.contains(&ending) {
        return Ok(());
    }
    let own: Vec<String> = own.iter().map(|it| format!("`.{it}`")).collect();
    let expected = match own.as_slice() {
        [only] => format!("an address that ends in {only}"),
        several => format!("an address that ends in one of {}", several.join(", ")),
    };
    Err(Trouble::new(
        Code::MediaKind,
        expected,
        format!("one that ends in `.{ending}`"),
    )
    .hint("write the type of the file, or the address of a file of this type"))
}

/// What is said of an address that is written otherwise than a schema asks.
pub(super) fn trouble(text: &str) -> Trouble {
    match parse(text) {
        Ok(_) => ill("an address of another form".into()),
        Err((found, hint)) => ill(found).hint(hint),
    }
}

fn ill(found: String) -> Trouble {
    Trouble::new(Code::MediaUrl, EXPECTED, found)
}

/// Checks the address of a page that people open.
pub(super) fn page(text: &str) -> Result<(), Trouble> {
    match parse(text) {
        Ok(_) => Ok(()),
        Err((found, hint)) => Err(Trouble::new(Code::BatchBadValue, EXPECTED, found).hint(hint)),
    }
}

/// The address, or what it is instead and how to mend it.
fn parse(text: &str) -> Result<Url, (String, &'static str)> {
    let chars = text.chars().count();
    if chars > ADDRESS_CHARS_MAX {
        return Err((format!("{chars} characters"), ""));
    }
    if text.is_empty() {
        return Err(("an empty text".into(), ""));
    }
    // The parser would drop some of these and encode others; the provider may not.
    if text.chars().any(|it| it.is_whitespace() || it.is_control()) {
        let hint = "write `%20` for a space";
        return Err(("an address with a space or a line break".into(), hint));
    }
    if text.chars().any(is_unseen) {
        let hint = "write the address anew: such characters come from copying";
        return Err(("an address with a character that nobody sees".into(), hint));
    }
    let web = "begin it with https://";
    let Ok(url) = Url::parse(text) else {
        return Err(match text.split_once("://") {
            Some(_) => (
                "an address of another form".into(),
                "look at its host and port",
            ),
            None => ("a text of another form".into(), web),
        });
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(("an address of another kind".into(), web));
    }
    // The parser takes `https:host` and `https:///host` for what was meant; others may not.
    let after = text.get(url.scheme().len()..).unwrap_or_default();
    let authority = after.strip_prefix("://").unwrap_or_default();
    if url.host_str().is_none_or(str::is_empty) || authority.starts_with(['/', '\\', '?', '#']) {
        return Err(("an address without a host".into(), web));
    }
    if authority.is_empty() {
        return Err(("a text of another form".into(), web));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "use an address that needs no password";
        return Err(("an address with a user name or a password".into(), hint));
    }
    Ok(url)
}

/// Whether a character takes no room, so that nobody sees it in an address.
fn is_unseen(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// The ending of the last part of the path, if it is one of those that are known.
fn known_ending(url: &Url) -> Option<&'static str> {
    const KINDS: [MediaKind; 5] = [
        MediaKind::Image,
        MediaKind::Video,
        MediaKind::Audio,
        MediaKind::Document,
        MediaKind::Sticker,
    ];
    let (_, ending) = url.path().rsplit('/').next()?.rsplit_once('.')?;
    KINDS
        .into_iter()
        .flat_map(|kind| endings(kind, Place::Message))
        .chain(OTHER_ENDINGS)
        .find(|known| known.eq_ignore_ascii_case(ending))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that cannot be fetched, or is of another kind, is a message that never arrives.
    #[test]
    fn addresses_are_told_from_other_texts() {
        for (text, kind, code) in [
            ("https://cdn.example.com/a.jpg", MediaKind::Image, None),
            (
                "HTTP://cdn.example.com/a.JPEG?v=2#x",
                MediaKind::Image,
                None,
            ),
            ("https://cdn.example.com/show?id=7", MediaKind::Image, None),
            ("https://cdn.example.com/a.aspx", MediaKind::Document, None),
            (
                "https://cdn.example.com/v1.2/bill",
                MediaKind::Document,
                None,
            ),
            ("https://cdn.example.com/été.pdf", MediaKind::Document, None),
            ("https://[2001:db8::1]:8443/a.mp4", MediaKind::Audio, None),
            (
                "https://c.example/a.pdf",
                MediaKind::Image,
                Some(Code::MediaKind),
            ),
            (
                "https://c.example/a.webp",
                MediaKind::Image,
                Some(Code::MediaKind),
            ),
            (
                "https://c.example/a.mp3",
                MediaKind::Video,
                Some(Code::MediaKind),
            ),
            (
                "ftp://c.example/a.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            ("c.example/a.jpg", MediaKind::Image, Some(Code::MediaUrl)),
            ("//c.example/a.jpg", MediaKind::Image, Some(Code::MediaUrl)),
            (
                "https:c.example/a.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            ("https:///a.jpg", MediaKind::Image, Some(Code::MediaUrl)),
            ("https://", MediaKind::Image, Some(Code::MediaUrl)),
            (
                "https://u@c.example/a.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            (
                "https://u:p@c.example/a",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            (
                "https://c.example/a b.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            (
                " https://c.example/a.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            ("", MediaKind::Image, Some(Code::MediaUrl)),
            (
                "https://c.example/a.mov",
                MediaKind::Video,
                Some(Code::MediaKind),
            ),
            ("https://c.example/a.csv", MediaKind::Document, None),
            (
                "https://c.example/a\u{200b}.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            (
                "https://c.example/a\u{1}.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
            (
                "https://999.999.999.999/a.jpg",
                MediaKind::Image,
                Some(Code::MediaUrl),
            ),
        ] {
            let found = file(text, kind, Place::Message).err();
            assert_eq!(found.map(|trouble| trouble.code), code, "{text}");
        }
        let doc = |text| file(text, MediaKind::Document, Place::Template);
        assert!(doc("https://c.example/a.doc").is_err());
        assert_eq!(doc("https://c.example/a.pdf"), Ok(()));
        let long = format!("https://c.example/{}", "a".repeat(ADDRESS_CHARS_MAX));
        assert!(page(&long).is_err());
        assert_eq!(page("https://c.example"), Ok(()));
    }
}
