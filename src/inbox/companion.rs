//! Companions of uploads: `<name>.sha256`, `<name>.md5` and `<name>.done`, which lie beside the
//! file that they are about. Whether a companion and a file belong together is for `daemon` to
//! decide.

use std::fs::File;
use std::io::{self, Read};

use aws_lc_rs::digest;
use md5::{Digest, Md5};
use rustix::fs::fstat;

use super::drops::{Drops, look, open_file};
use super::{Error, fault};
use crate::batch::Arrival;
use crate::batch::name::{Companion, DropFolder};
use crate::batch::origin::Identity;
use crate::disk;

/// A companion that is longer holds no checksum.
const COMPANION_BYTES_MAX: u64 = 64 << 10;

const BUFFER_BYTES: usize = 128 << 10;

/// Of a companion's words so many bytes are looked at, and so many characters are told.
const WORDS_BYTES_MAX: u64 = 4 << 10;
const WORDS_MAX: usize = 200;

/// A checksum that was found beside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// What it is.
    pub kind: Companion,
    /// The name of the companion.
    pub name: String,
    /// By what the companion is told from others of its name.
    pub identity: Identity,
    /// When anything about the companion was last changed, in nanoseconds since 1970.
    pub changed_ns: i64,
    /// The checksum in lower-case hexadecimal; `None` if none can be read out of it.
    pub sum: Option<String>,
}

/// The checksums that lie beside the file of an arrival.
pub fn checksums_of(drops: &Drops, arrival: &Arrival) -> Result<Vec<Checksum>, Error> {
    let mut found = Vec::new();
    for kind in [Companion::Sha256, Companion::Md5] {
        for ending in [kind.as_str().to_owned(), kind.as_str().to_uppercase()] {
            let name = format!("{}.{ending}", arrival.name);
            found.extend(read(drops, (arrival.folder, &name), kind)?);
        }
    }
    Ok(found)
}

/// Reads a companion; `None` when it is not there, or is no file that can be read.
pub fn read(
    drops: &Drops,
    (folder, name): (DropFolder, &str),
    kind: Companion,
) -> Result<Option<Checksum>, Error> {
    let Ok(file) = open_file(drops.folder(folder)?, name) else {
        return Ok(None);
    };
    let path = drops.path(folder).join(name);
    let failed = |source| fault("read", &path, source);
    let look = look(&fstat(&file).map_err(|error| failed(error.into()))?);
    let mut text = Vec::new();
    let read = file.take(COMPANION_BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(failed)?;
    let about = Companion::of(name).map_or(name, |(_, file)| file);
    let is_short = text.len() as u64 <= COMPANION_BYTES_MAX;
    Ok(Some(Checksum {
        kind,
        name: name.into(),
        identity: look.identity,
        changed_ns: look.changed_ns,
        sum: is_short.then(|| sum_in(&text, kind, about)).flatten(),
    }))
}

/// What a companion says in words: its first line that holds any, as far as it can be told in a
/// sentence; empty when there is none. `None` when it is not what was seen any more.
pub fn words(
    drops: &Drops,
    (folder, name): (DropFolder, &str),
    identity: Identity,
) -> Result<Option<String>, Error> {
    let Ok(file) = open_file(drops.folder(folder)?, name) else {
        // What may not be read says what it does by its name.
        return Ok((drops.identity(folder, name)? == Some(identity)).then(String::new));
    };
    let path = drops.path(folder).join(name);
    let failed = |source| fault("read", &path, source);
    let seen = look(&fstat(&file).map_err(|error| failed(error.into()))?);
    let mut text = Vec::new();
    let read = file.take(WORDS_BYTES_MAX).read_to_end(&mut text);
    read.map_err(failed)?;
    Ok((seen.identity == identity).then(|| line_in(&text)))
}

fn line_in(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines = text.trim_start_matches('\u{feff}').lines();
    let tellable = |line: &str| {
        let plain = line.chars().filter(|letter| is_tellable(*letter));
        plain.collect::<String>().trim().to_owned()
    };
    let line = lines.map(tellable).find(|line| !line.is_empty());
    line.unwrap_or_default().chars().take(WORDS_MAX).collect()
}

/// Whether a letter can stand in a sentence that others read: none that steers a terminal, hides
/// itself or turns the text around.
fn is_tellable(letter: char) -> bool {
    let turns = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}');
    !letter.is_control() && !turns
}

/// The checksum of a file as it was uploaded, in lower-case hexadecimal.
pub fn sum_of(mut file: File, kind: Companion) -> io::Result<String> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let mut md5 = Md5::new();
    loop {
        let length = file.read(&mut buffer)?;
        match (length, kind) {
            (0, Companion::Md5) => return Ok(disk::hexadecimal(&md5.finalize())),
            (0, _) => return Ok(disk::hexadecimal(sha256.finish().as_ref())),
            (_, Companion::Md5) => md5.update(&buffer[..length]),
            _ => sha256.update(&buffer[..length]),
        }
    }
}

/// The checksum that a companion's text gives for the file `name`: alone, before a name as
/// `sha256sum` writes it, or behind one as BSD's tools do. Of several lines the one that names the
/// file counts.
fn sum_in(text: &[u8], kind: Companion, name: &str) -> Option<String> {
    let digits = match kind {
        Companion::Sha256 => 64,
        Companion::Md5 => 32,
        Companion::Done | Companion::Steers(_) => return None,
    };
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<(&str, &str)> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(parts)
        .collect();
    let named = |(_, file): &&(&str, &str)| {
        let last = file.rsplit(['/', '\\']).next().unwrap_or(file);
        last == name
    };
    let (sum, _) = match lines.as_slice() {
        [only] => only,
        several => several.iter().find(named)?,
    };
    let is_sum = sum.len() == digits && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sum.then(|| sum.to_ascii_lowercase())
}

/// The checksum of a line, and the name that it gives the file.
fn parts(line: &str) -> (&str, &str) {
    if let Some((before, sum)) = line.rsplit_once('=') {
        let file = before
            .split_once('(')
            .and_then(|(_, file)| file.rsplit_once(')'));
        return (sum.trim(), file.map_or("", |(file, _)| file));
    }
    match line.split_once(char::is_whitespace) {
        // A star says that the file was read as bytes.
        Some((sum, file)) => (sum, file.trim_start().trim_start_matches('*')),
        None => (line, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    /// Every tool writes its sums a little differently; one misread would refuse a good file.
    #[test]
    fn a_sum_is_found_however_it_is_written() {
        let upper = MD5.to_uppercase();
        for good in [
            MD5.to_owned(),
            format!("{upper}\r\n"),
            format!("\u{feff}{MD5}\n"),
            format!("{MD5}  orders.json\n"),
            format!("{MD5} *out/orders.json"),
            format!("{MD5}\tsome other name"),
            format!("MD5 (orders.json) = {MD5}\n"),
            format!("MD5(orders.json)= {MD5}"),
            format!("{}  a.json\n{MD5}  orders.json\n", "0".repeat(32)),
            format!(
                "MD5 (a.json) = {}\nMD5 (C:\\out\\orders.json) = {MD5}",
                "0".repeat(32)
            ),
        ] {
            let sum = sum_in(good.as_bytes(), Companion::Md5, "orders.json");
            assert_eq!(sum.as_deref(), Some(MD5), "{good}");
        }
        let sha256 = "ab".repeat(32);
        for bad in [
            String::new(),
            MD5[1..].to_owned(),
            sha256.clone(),
            format!("{MD5}  a.json\n{MD5}  b.json"),
            format!("g{}", &MD5[1..]),
        ] {
            assert_eq!(
                sum_in(bad.as_bytes(), Companion::Md5, "orders.json"),
                None,
                "{bad}"
            );
        }
        assert_eq!(sum_in(b"\xff\xfe", Companion::Md5, "a"), None);
        let found = sum_in(sha256.as_bytes(), Companion::Sha256, "a");
        assert_eq!(found, Some(sha256));
    }

    /// A reason is read by people in a status and on a terminal.
    #[test]
    fn words_are_one_line_that_can_be_told() {
        for (text, words) in [
            ("", ""),
            ("\r\n \n", ""),
            ("\u{feff}  a typing error \r\nmore", "a typing error"),
            ("\x1b[31mred\u{202e}\0", "[31mred"),
            ("{\"reason\": 1}", "{\"reason\": 1}"),
        ] {
            assert_eq!(line_in(text.as_bytes()), words);
        }
        assert_eq!(line_in(b"\xff\xfe"), "");
        assert_eq!(
            line_in("é".repeat(1_000).as_bytes()).chars().count(),
            WORDS_MAX
        );
    }

    /// Sums must be those that every other tool comes to.
    #[test]
    fn a_file_has_the_sum_that_the_tools_give_it() {
        let sum = |kind| {
            let mut file = tempfile::tempfile().expect("a temporary file");
            file.write_all(b"abc").expect("written");
            io::Seek::rewind(&mut file).expect("rewound");
            sum_of(file, kind).expect("read")
        };
        assert_eq!(sum(Companion::Md5), MD5);
        assert!(sum(Companion::Sha256).starts_with("ba7816bf8f01cfea"));
    }
}
