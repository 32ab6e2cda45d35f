//! Archives of every kind, made here: those that are read, and what is said of the others.

use std::fmt::Write as _;
use std::io::Write as _;

use zip::write::SimpleFileOptions;

use super::*;

const TEXT: &str = "{\"message\": \"x\", \"data\": [{\"to\": \"+31612345001\"}]}\n";

fn stored(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("written");
    file
}

fn content(bytes: &[u8], name: &str) -> Result<Vec<u8>, Box<Fault>> {
    let (mut content, _) = open(stored(bytes), name).expect("the disk works")?;
    let mut all = Vec::new();
    match content.read_to_end(&mut all) {
        Ok(_) => Ok(all),
        Err(error) => Err(fault_of(&error).unwrap_or_else(|| panic!("{error}")).into()),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).expect("compressed");
    writer.finish().expect("compressed")
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    let mut writer = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
    writer.include_checksum(!bytes.is_empty()).expect("taken");
    writer.write_all(bytes).expect("compressed");
    writer.finish().expect("compressed")
}

fn zip_with(entries: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        if name.ends_with('/') {
            writer.add_directory(*name, options).expect("begun");
        } else {
            writer.start_file(*name, options).expect("begun");
            writer.write_all(bytes).expect("written");
        }
    }
    writer.finish().expect("finished").into_inner()
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(entries, SimpleFileOptions::default())
}

/// The zip of one text, with bytes of its local header and of its entry in the list changed.
fn patched(local_at: usize, listed_at: usize, change: fn(u8) -> u8) -> Vec<u8> {
    let mut zip = zip_of(&[("a.json", TEXT.as_bytes())]);
    let list = memchr::memmem::find(&zip, b"PK\x01\x02").expect("a list");
    for at in [local_at, list + listed_at] {
        zip[at] = change(zip[at]);
    }
    zip
}

fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0xff;
    bytes
}

fn with(bytes: &[u8], tail: &[u8]) -> Vec<u8> {
    [bytes, tail].concat()
}

/// Whoever compresses exports must not get another answer than whoever does not.
#[test]
fn a_compressed_file_reads_like_a_plain_one() {
    let text = TEXT.repeat(6_000).into_bytes();
    let (one, other) = text.split_at(100_001);
    let zip64 = SimpleFileOptions::default().large_file(true);
    let kept = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [
        ("a.json", text.clone()),
        ("A.JSON.GZ", gzip(&text)),
        ("a.jsonl.gz", with(&gzip(one), &gzip(other))),
        (
            "a.json.gz",
            with(&with(&gzip(b""), &gzip(&text)), &gzip(b"")),
        ),
        ("a.ndjson.zst", zstd_of(&text)),
        ("a.json.zst", with(&zstd_of(one), &zstd_of(other))),
        // A frame to be skipped stands before, between and after those of data.
        (
            "a.json.zst",
            [
                &b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..],
                &zstd_of(one),
                b"\x5f\x2a\x4d\x18\0\0\0\0",
                &zstd_of(other),
                b"\x53\x2a\x4d\x18\x01\0\0\0x",
            ]
            .concat(),
        ),
        ("a.zip", zip_of(&[("b.json", &text)])),
        ("a.zip", zip_with(&[("Ä.NDJSON", &text)], zip64)),
        ("a.zip", zip_with(&[("b.jsonl", &text)], kept)),
    ] {
        let read = content(&bytes, name).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert!(read == text, "{name}: {} bytes", read.len());
    }
}

type Case = (&'static str, &'static str, Vec<u8>);

/// Files whose name says something else than their bytes.
fn misnamed() -> Vec<Case> {
    let text = TEXT.as_bytes();
    let sheet = zip_of(&[("[Content_Types].xml", b"<x/>"), ("xl/a.xml", b"<x/>")]);
    let marked = with(b"\xef\xbb\xbf\n", text);
    vec![
        ("gzip named .json", "a.json", gzip(text)),
        ("zstd named .jsonl", "a.jsonl", zstd_of(text)),
        ("zip named .json", "a.json", zip_of(&[("a.json", text)])),
        ("zstd named .gz", "a.json.gz", zstd_of(text)),
        ("gzip named .zst", "a.json.zst", gzip(text)),
        ("gzip named .zip", "a.zip", gzip(text)),
        ("zip named .gz", "a.json.gz", zip_of(&[("a.json", text)])),
        ("plain JSON named .gz", "a.json.gz", text.to_vec()),
        ("plain JSON named .zst", "a.json.zst", marked),
        ("plain JSON named .zip", "a.zip", text.to_vec()),
        (
            "something else named .gz",
            "a.json.gz",
            b"to;text\n".to_vec(),
        ),
        ("a spreadsheet named .json", "a.json", sheet.clone()),
        ("a spreadsheet named .zip", "a.zip", sheet.clone()),
        ("a spreadsheet in gzip", "a.json.gz", gzip(&sheet)),
        (
            "an old spreadsheet",
            "a.json",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(),
        ),
        ("a PDF", "a.json", b"%PDF-1.7\n".to_vec()),
        ("a text with its form", "a.json", b"{\\rtf1 x}".to_vec()),
        ("bzip2", "a.json", b"BZh91AY&SY".to_vec()),
        ("xz named .gz", "a.json.gz", b"\xfd7zXZ\0".to_vec()),
        ("7-Zip named .zip", "a.zip", b"7z\xbc\xaf\x27\x1c".to_vec()),
        (
            "OpenPGP",
            "a.json",
            b"-----BEGIN PGP MESSAGE-----\n".to_vec(),
        ),
        ("nothing named .gz", "a.json.gz", Vec::new()),
    ]
}

/// Containers that are broken, or hold another one.
fn broken() -> Vec<Case> {
    let text = TEXT.as_bytes();
    let (gz, zst, zip) = (gzip(text), zstd_of(text), zip_of(&[("a.json", text)]));
    let long = [&b"\x28\xb5\x2f\xfd\x00\xa8"[..], &[0; 20]].concat();
    let end = |bytes: &[u8], back| changed(bytes, bytes.len() - back);
    vec![
        (
            "gzip that breaks off",
            "a.json.gz",
            gz[..gz.len() - 12].to_vec(),
        ),
        (
            "gzip without its checksum",
            "a.json.gz",
            gz[..gz.len() - 3].to_vec(),
        ),
        ("gzip with a wrong checksum", "a.json.gz", end(&gz, 6)),
        ("gzip with a wrong length", "a.json.gz", end(&gz, 2)),
        ("gzip whose data is changed", "a.json.gz", changed(&gz, 14)),
        ("gzip and more", "a.json.gz", with(&gz, b"\r\n")),
        ("gzip and zero bytes", "a.json.gz", with(&gz, &[0; 512])),
        ("gzip and half a member", "a.json.gz", with(&gz, &gz[..7])),
        (
            "zstd that breaks off",
            "a.json.zst",
            zst[..zst.len() - 9].to_vec(),
        ),
        ("zstd with a wrong checksum", "a.json.zst", end(&zst, 1)),
        ("zstd and more", "a.json.zst", with(&zst, b"\n")),
        ("zstd with a long window", "a.json.zst", long),
        (
            "zip that breaks off",
            "a.zip",
            zip[..zip.len() - 30].to_vec(),
        ),
        ("zip and more", "a.zip", with(&zip, b"\n")),
        (
            "zip with a wrong checksum",
            "a.zip",
            patched(14, 16, |byte| !byte),
        ),
        ("zip with a lost list", "a.zip", end(&zip, 5)),
        ("zip by another method", "a.zip", patched(8, 10, |_| 12)),
        (
            "zip with a password",
            "a.zip",
            patched(6, 8, |flags| flags | 1),
        ),
        ("gzip in gzip", "a.json.gz", gzip(&gz)),
        ("zstd in gzip", "a.json.gz", gzip(&zst)),
        ("gzip in zstd", "a.json.zst", zstd_of(&gz)),
        ("zip in zip", "a.zip", zip_of(&[("a.zip", &zip)])),
        ("gzip in zip", "a.zip", zip_of(&[("a.json.gz", &gz)])),
        (
            "gzip in zip by another name",
            "a.zip",
            zip_of(&[("a.json", &gz)]),
        ),
        ("xz in gzip", "a.json.gz", gzip(b"\xfd7zXZ\0")),
    ]
}

/// Zips that hold something else than one batch file.
fn overfull() -> Vec<Case> {
    let text = TEXT.as_bytes();
    let mut twice = zip_of(&[("a.json", text), ("b.json", text)]);
    while let Some(at) = memchr::memmem::find(&twice, b"b.json") {
        twice[at] = b'a';
    }
    let case = |what, names: &[&str]| {
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, text)).collect();
        (what, "a.zip", zip_of(&entries))
    };
    vec![
        case("zip with nothing in it", &[]),
        case("zip with two files", &["a.json", "b.json"]),
        ("zip with one name twice", "a.zip", twice),
        case("zip with a folder", &["a/"]),
        case("zip with a folder and a file in it", &["a/", "a/a.json"]),
        case("zip by the Finder", &["a.json", "__MACOSX/._a.json"]),
        case("zip with a path", &["a/a.json"]),
        case("zip with a path of Windows", &["C:\\a.json"]),
        case("zip with a path out of it", &["../a.json"]),
        case("zip with a path from the root", &["/etc/a.json"]),
        case("zip with another ending", &["a.txt"]),
    ]
}

/// A sender sees the archive and not the reader: each slip must be told by its own name. Cases as
/// they are told stand in `tests/golden/containers.txt`.
#[test]
fn each_container_that_cannot_be_read_is_told_by_its_name() {
    let mut page = String::new();
    for (what, name, bytes) in [misnamed(), broken(), overfull()].concat() {
        let Err(fault) = content(&bytes, name) else {
            panic!("{what} was read");
        };
        let Fault {
            code,
            expected,
            found,
            hint,
            ..
        } = *fault;
        writeln!(
            page,
            "{what} ({name})\n  {code}\n  expected {expected}\n  found {found}\n  hint {hint}\n"
        )
        .expect("a text takes text");
    }
    let path = format!("{}/tests/golden/containers.txt", env!("CARGO_MANIFEST_DIR"));
    expect_test::expect_file![path].assert_eq(&page);
}

/// A file of a few kilobytes must not keep the reader of all tenants busy for an hour.
#[test]
fn what_expands_without_end_is_given_up_early() {
    let space = vec![b' '; 100 << 20];
    let zip = zip_of(&[("a.json", &space)]);
    for (name, bytes) in [
        ("a.json.gz", gzip(&space)),
        ("a.json.zst", zstd_of(&space)),
        ("a.zip", zip),
    ] {
        assert!(bytes.len() < 1 << 20, "{name}: {} bytes", bytes.len());
        let (mut content, _) = open(stored(&bytes), name)
            .expect("the disk works")
            .expect("opened");
        let mut expanded = 0;
        let error = loop {
            match content.fill_buf() {
                Ok(block) => {
                    let length = block.len();
                    assert!(length > 0, "{name} was read to its end");
                    expanded += length as u64;
                    content.consume(length);
                }
                Err(error) => break error,
            }
        };
        let fault = fault_of(&error).expect("a fault");
        assert_eq!(fault.code, Code::FileExpansion, "{name}");
        let most = EXPANDED_BYTES_FREE.max(bytes.len() as u64 * EXPANDED_TIMES_MAX);
        assert!(expanded <= most, "{name}: {expanded}");
    }
}

/// A list of entries as long as the file must not be held in memory.
#[test]
fn a_zip_with_a_very_long_list_is_not_read() {
    let entry = [&b"PK\x01\x02"[..], &[0; 42]].concat();
    let entries: u32 = 200_000;
    let mut bytes = with(b"PK\x03\x04", &entry.repeat(entries as usize));
    let list_bytes = u32::try_from(bytes.len() - 4).expect("it fits");
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44_u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(u64::from(entries).to_le_bytes().repeat(2));
    bytes.extend(u64::from(list_bytes).to_le_bytes());
    bytes.extend(4_u64.to_le_bytes());
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(u64::from(list_bytes + 4).to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([0xff; 12]);
    bytes.extend([0, 0]);
    let fault = content(&bytes, "a.zip").expect_err("it is no zip of one file");
    assert_eq!(fault.code, Code::FileZipContent, "{fault:?}");
    assert_eq!(fault.found, "a very long list of entries");
}
