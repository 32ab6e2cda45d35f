//! What is said of texts that are JSON and of those that are not, slip by slip: each group of cases
//! has a page in `tests/golden/json`. `UPDATE_EXPECT=1` rewrites the pages.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read};

use super::golden::{received_at, root, rules, templates};
use super::media::NoFiles;
use super::read::{Checker, Form, Row, outline, rows};
use super::{Code, Fault};

/// The longest text that is shown whole.
const SHOWN_BYTES_MAX: usize = 140;

/// A small batch that is sound; one row to a line.
const JSON: &str = "{\"message\": \"Zoë\", \"data\": [\n{\"to\": \"+31612345001\"},\n\
                    {\"to\": \"+31612345002\", \"reference\": \"\\u00e9\"}\n]}\n";
const LINES: &str = "{\"defaults\": {\"message\": \"Zoë\"}}\n{\"to\": \"+31612345001\"}\n\
                     {\"to\": \"+31612345002\", \"reference\": \"\\u00e9\"}\n";

/// What is said of a text.
struct Said {
    good: u64,
    faults: Vec<Fault>,
}

impl Said {
    fn of(source: impl Fn() -> Box<dyn BufRead>, form: Form) -> Self {
        let (rules, templates) = (rules(), templates());
        let checker = Checker {
            rules: &rules,
            templates: &templates,
            files: &NoFiles,
            received_at: received_at(),
        };
        let outline = outline(source(), form, checker).expect("memory does not fail");
        let (mut good, mut faults) = (0, outline.faults.clone());
        if faults.is_empty() {
            rows(source(), &outline, checker, &mut |row, _| {
                match row {
                    Row::Good(_) => good += 1,
                    Row::Bad(row) => faults.extend(row.faults),
                }
                Ok(())
            })
            .expect("memory does not fail");
        }
        Self { good, faults }
    }

    fn of_bytes(bytes: &[u8], form: Form) -> Self {
        let bytes = bytes.to_vec();
        Self::of(|| Box::new(io::Cursor::new(bytes.clone())), form)
    }

    fn write(&self, page: &mut String, form: Form) {
        let name = match form {
            Form::Json => ".json ",
            Form::Lines => ".jsonl",
        };
        if self.faults.is_empty() {
            let good = self.good;
            writeln!(page, "  {name} accepted, {good} good").expect("a text takes text");
        }
        for fault in &self.faults {
            let Fault {
                code,
                pointer,
                line,
                column,
                expected,
                found,
                hint,
                ..
            } = fault;
            writeln!(
                page,
                "  {name} {line}:{column} {code} {pointer}\n    expected {expected}\n    found \
                 {found}\n    hint {hint}"
            )
            .expect("a text takes text");
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\u{feff}') => text.escape_debug().to_string(),
        _ => bytes.escape_ascii().to_string(),
    };
    if bytes.len() <= SHOWN_BYTES_MAX {
        return text(bytes);
    }
    let (head, tail) = (&bytes[..60], &bytes[bytes.len() - 40..]);
    let between = bytes.len() - head.len() - tail.len();
    format!("{} … {between} bytes … {}", text(head), text(tail))
}

/// One group of cases and its page.
struct Page {
    name: &'static str,
    text: String,
}

impl Page {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            text: String::new(),
        }
    }

    /// A whole file, in both forms.
    fn file(&mut self, bytes: &[u8]) {
        writeln!(self.text, "{}", shown(bytes)).expect("a text takes text");
        for form in [Form::Json, Form::Lines] {
            Said::of_bytes(bytes, form).write(&mut self.text, form);
        }
        self.text.push('\n');
    }

    /// A value of an unknown key of the first row of two.
    fn value(&mut self, value: &[u8]) -> [Said; 2] {
        const OTHER: &[u8] = b"{\"to\": \"+31612345002\", \"message\": \"x\"}";
        let row = [
            &b"{\"to\": \"+31612345001\", \"message\": \"x\", \"v\": "[..],
            value,
            b"}",
        ]
        .concat();
        let json = [b"{\"data\": [\n", &row[..], b",\n", OTHER, b"\n]}\n"].concat();
        let lines = [&row[..], b"\n", OTHER, b"\n"].concat();
        writeln!(self.text, "{}", shown(value)).expect("a text takes text");
        let said = [(json, Form::Json), (lines, Form::Lines)].map(|(bytes, form)| {
            let said = Said::of_bytes(&bytes, form);
            said.write(&mut self.text, form);
            said
        });
        self.text.push('\n');
        said
    }

    /// Values that RFC 8259 takes: each must be accepted.
    fn sound(&mut self, value: &[u8]) {
        for said in self.value(value) {
            assert_eq!((said.good, said.faults.len()), (2, 0), "{}", shown(value));
        }
    }

    /// Values that it does not: each must be told in both forms, at one place.
    fn unsound(&mut self, value: &[u8]) {
        for said in self.value(value) {
            assert!(!said.faults.is_empty(), "{}", shown(value));
        }
    }

    fn check(self) {
        let path = root().join(format!("tests/golden/json/{}.txt", self.name));
        expect_test::expect_file![path].assert_eq(&self.text);
    }
}

/// What JSON takes must be taken, or an export that is right is refused.
#[test]
fn what_is_json_is_accepted() {
    let mut page = Page::new("sound");
    for value in [
        "0",
        "-0",
        "0.0",
        "-0.0e-0",
        "1E+2",
        "1e2",
        "123456789012345678901234567890",
        "1e400",
        "-1e-400",
        "1.0000000000000000000000001",
        "\"\"",
        "\" \"",
        "\"/\"",
        "\"\\/\"",
        "\"\\u0000\"",
        "\"\\u00E9\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\uDBFF\\uDFFF\"",
        "\"\\uFFFF\\ufeff\"",
        "\"é😀\u{7f}\u{80}\u{2028}\u{2029}\u{ffff}\u{10ffff}\"",
        "\"\u{feff}\"",
        "\"'//#<!--{{[[\"",
        "\"\\\"\\\\\\b\\f\\n\\r\\t\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[[],{}]",
        "[\t\r1 , 2\t]",
        "true",
        "false",
        "null",
        "{\"\": 0}",
        "{\"\\u0061\": 0, \"b\": 0}",
        "[null, 1, \"1\", {}]",
    ] {
        page.sound(value.as_bytes());
    }
    page.check();
}

/// Who made a slip of the pen learns which one, and where.
#[test]
fn slips_of_punctuation_are_told() {
    let mut page = Page::new("punctuation");
    for value in [
        "[1,]",
        "{\"a\": 1,}",
        "[,1]",
        "[1,,2]",
        "{,}",
        "{\"a\": 1,, \"b\": 2}",
        "[1 2]",
        "[1\n2]",
        "{\"a\": 1 \"b\": 2}",
        "[1; 2]",
        "{\"a\" 1}",
        "{\"a\" = 1}",
        "{\"a\" => 1}",
        "{\"a\": }",
        "{\"a\":: 1}",
        "{\"a\": 1: 2}",
        "[\"a\": 1]",
        "{\"a\"}",
        "{1: 2}",
        "{null: 2}",
        "[1}",
        "{\"a\": 1]",
        "[1]]",
        "{}}",
        "",
        "[\"a\", ]",
        "{[1]}",
        "(1, 2)",
        "*",
        "&a",
        "$1",
        "@1",
        "1 // one",
        "/* one */ 1",
        "# one",
        "[1] -- one",
    ] {
        page.unsound(value.as_bytes());
    }
    page.check();
}

/// Exports that write their own JSON get quotation marks and words wrong before all else.
#[test]
fn slips_of_quotation_marks_are_told() {
    let mut page = Page::new("quotation-marks");
    for value in [
        "'a'",
        "{'a': 1}",
        "`a`",
        "“a”",
        "{“a”: 1}",
        "«a»",
        "\u{ff02}a\u{ff02}",
        "a",
        "{a: 1}",
        "{\"a: 1}",
        "\"a",
        "\"say \"hi\" to\"",
        "\"a\" + \"b\"",
        "u'a'",
        "\"a\"\"b\"",
        "\u{a0}1",
        "[1,\u{a0}2]",
        "\u{feff}1",
        "[1]\u{feff}",
        "\u{200b}1",
        "\u{2028}1",
        "\u{c}1",
        "\u{b}1",
    ] {
        page.unsound(value.as_bytes());
    }
    page.check();
}

/// Words of other languages are no JSON, and neither are numbers as people write them.
#[test]
fn slips_of_words_and_numbers_are_told() {
    let mut page = Page::new("words-and-numbers");
    for value in [
        "NaN",
        "-NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "+Infinity",
        "undefined",
        "None",
        "NULL",
        "nil",
        "nul",
        "nulll",
        "True",
        "TRUE",
        "tru",
        "truefalse",
        "False",
        "FALSE",
        "yes",
        "N/A",
        "01",
        "-01",
        "00",
        "0031612345001",
        "+1",
        "+31612345001",
        "- 1",
        "-",
        "--1",
        ".5",
        "-.5",
        "1.",
        "1.e2",
        "1e",
        "1e+",
        "1.5.2",
        "1,5 €",
        "0x1F",
        "0b1",
        "1_000",
        "1 000",
        "1'000",
        "12abc",
        "1n",
        "2026-11-21",
        "21/11/2026",
        "21.11.2026",
        "09:15",
        "12%",
        "€5",
        "new Date(1)",
        "ObjectId(\"1\")",
        "<null>",
    ] {
        page.unsound(value.as_bytes());
    }
    page.check();
}

/// A text with a wrong escape or a raw control character is what home-made exports get wrong.
#[test]
fn slips_inside_of_texts_are_told() {
    let mut page = Page::new("texts");
    for value in [
        "\"a\nb\"",
        "\"a\r\nb\"",
        "\"a\tb\"",
        "\"a\u{0}b\"",
        "\"a\u{1}b\"",
        "\"a\u{1b}[0m\"",
        "\"a\u{1f}b\"",
        "\"\\x41\"",
        "\"\\a\"",
        "\"\\0\"",
        "\"it\\'s\"",
        "\"C:\\temp\\Users\"",
        "\"C:\\data\"",
        "\"\\",
        "\"\\u\"",
        "\"\\u1\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\U00e9\"",
        "\"\\ud83d\"",
        "\"\\ud83d \"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\n\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ud83d\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ude00\\ud83d\"",
        "\"\\ud83d\\ude0\"",
    ] {
        page.unsound(value.as_bytes());
    }
    page.check();
}

/// Bytes that are not UTF-8 would reach people as garbage.
#[test]
fn other_encodings_are_told() {
    let mut page = Page::new("encodings");
    for value in [
        &b"\"caf\xe9\""[..],
        b"\"caf\xe9 au lait\"",
        b"\"\x93x\x94\"",
        b"\"\x80 5\"",
        b"\"\xc3\"",
        b"\"\xc3\x28\"",
        b"\"\xc0\xaf\"",
        b"\"\xe0\x80\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf0\x9f\x98\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xf8\x88\x80\x80\x80\"",
        b"\"\xfe\"",
        b"\"\xff\"",
        b"\xff",
        b"\x80",
        b"\"\xef\xbb\xbf",
        b"\xef\xbb",
    ] {
        page.unsound(value);
    }
    let wide = |unit: fn(u16) -> [u8; 2]| JSON.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let wider = |unit: fn(u32) -> [u8; 4]| {
        let chars = JSON.chars().flat_map(|char| unit(u32::from(char)));
        chars.collect::<Vec<u8>>()
    };
    for (mark, text) in [
        (&b"\xff\xfe"[..], wide(u16::to_le_bytes)),
        (b"\xfe\xff", wide(u16::to_be_bytes)),
        (b"\xff\xfe\0\0", wider(u32::to_le_bytes)),
        (b"\0\0\xfe\xff", wider(u32::to_be_bytes)),
    ] {
        page.file(&text);
        page.file(&[mark, &text].concat());
    }
    for (before, after) in [
        (&b"\xef\xbb\xbf"[..], &b""[..]),
        (b"\xef\xbb\xbf\xef\xbb\xbf", b""),
        (b"", b"\xef\xbb\xbf"),
        (b"\xef\xbb", b""),
        (b"", b"\0"),
        (b"", b"\0\0\0\0"),
        (b"\0\0\0\0", b""),
        (b"", b"\x1a"),
    ] {
        for text in [JSON, LINES] {
            page.file(&[before, text.as_bytes(), after].concat());
        }
    }
    page.check();
}

/// What is not a batch at all is seen at once, and said by its name.
#[test]
fn files_of_another_kind_are_told() {
    let mut page = Page::new("other-files");
    for text in [
        "",
        " \r\n\t\n",
        "\u{feff}",
        "null",
        "5",
        "\"text\"",
        "[]",
        "[{\"to\": \"+31612345001\"}]",
        "to;text\n+31612345001;hello\n",
        "to,text\n+31612345001,hello\n",
        "name,to\nAna,+31612345001\n",
        "+31612345001;hello\n",
        "31612345001;hello\n",
        "\"to\",\"text\"\n\"+31612345001\",\"hello\"\n",
        "# to, text\n",
        "<!DOCTYPE html>\n<html></html>\n",
        "<?xml version=\"1.0\"?>\n<batch/>\n",
        "<br />\n<b>Warning</b>: x\n{\"data\": []}\n",
        "Warning: x\n{\"data\": []}\n",
        "--- \ndata:\n- to: x\n",
        "data = [{\"to\": \"+31612345001\"}];\n",
        "callback({\"data\": []});\n",
        ")]}',\n{\"data\": []}\n",
        "%PDF-1.7\n",
        "PK\u{3}\u{4}\n",
        "{\\rtf1 x}\n",
        "INSERT INTO t VALUES (1);\n",
    ] {
        page.file(text.as_bytes());
    }
    for text in [
        format!("{JSON}{JSON}"),
        format!("{LINES}{LINES}"),
        format!("{},\n{JSON}", JSON.trim_end()),
        format!("{} {JSON}", JSON.trim_end()),
        format!("{JSON};"),
        format!("{JSON}x"),
        format!("{JSON}]"),
        format!("{JSON}}}"),
        format!("[{JSON}]"),
        LINES.replace('\n', ",\n"),
        LINES.replace('\n', " "),
        LINES.replace('\n', "\r"),
        LINES.replace('\n', "\r\n"),
        LINES.replace('\n', "\n\n"),
        LINES.replace('\n', "\u{1e}"),
    ] {
        page.file(text.as_bytes());
    }
    page.check();
}

/// Nesting and length are bounded, and the bounds are where they are said to be.
#[test]
fn what_is_too_deep_or_too_long_is_told() {
    let mut page = Page::new("bounds");
    let deep = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels)].concat();
    // Two levels of the batch stand above the row in `.json`, none in lines; the row is one.
    for levels in [28, 29, 30, 31, 32, 100, 10_000] {
        page.value(&deep(levels));
    }
    page.value(&b"[".repeat(29));
    page.value(&b"[".repeat(10_000));
    page.value(&b"{\"a\":".repeat(10_000));
    page.value(&[deep(40), b"]".to_vec()].concat());
    for length in [60_000, 65_000, 65_600, 2_000_000] {
        page.value(&[b"\"", &b"x".repeat(length)[..], b"\""].concat());
        page.value(&b"9".repeat(length));
        page.value(&[b"\"", &b"x".repeat(length)[..], b"\n\""].concat());
        page.value(&[&b" ".repeat(length)[..], b"1"].concat());
    }
    page.value(&[b"{\"", &b"k".repeat(65_600)[..], b"\": 1}"].concat());
    page.check();
}

/// A cut upload sends nothing, wherever it was cut.
#[test]
fn a_batch_that_was_cut_at_any_byte_is_told() {
    let mut page = String::new();
    for (text, form) in [(JSON, Form::Json), (LINES, Form::Lines)] {
        for cut in 0..text.len() {
            let said = Said::of_bytes(&text.as_bytes()[..cut], form);
            let Some(fault) = said.faults.first() else {
                // Only space, or whole lines, may be missing: nobody can see that those are.
                let rest = &text[cut..];
                let whole_lines = text[..cut].ends_with("}\n") || rest.starts_with('\n');
                let unseen = rest.trim().is_empty() || (form == Form::Lines && whole_lines);
                assert!(unseen, "{rest}");
                writeln!(page, "{cut:3} accepted, {} good", said.good).expect("a text takes text");
                continue;
            };
            assert_eq!(said.faults.len(), 1, "{cut}");
            let whole = form == Form::Lines && matches!(fault.code, Code::BatchNoRows);
            let is_told = matches!(fault.code, Code::JsonTruncated | Code::FileEmpty);
            assert!(whole || is_told, "{cut}: {fault:?}");
            let Fault {
                code, line, column, ..
            } = fault;
            writeln!(page, "{cut:3} {line}:{column} {code}").expect("a text takes text");
        }
        page.push('\n');
    }
    expect_test::expect_file![root().join("tests/golden/json/cut.txt")].assert_eq(&page);
}

/// A text that is made while it is read.
struct Endless {
    block: Vec<u8>,
    at: usize,
    left: u64,
    tail: &'static [u8],
}

impl Endless {
    fn begin(head: &[u8], row: &[u8], bytes: u64, tail: &'static [u8]) -> impl BufRead {
        let block = row.repeat((1 << 17) / row.len());
        let left = bytes / block.len() as u64;
        let endless = Self {
            block,
            at: 0,
            left,
            tail,
        };
        io::Cursor::new(head.to_vec()).chain(endless)
    }
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Endless {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(if self.left > 0 {
            &self.block[self.at..]
        } else {
            self.tail
        })
    }

    fn consume(&mut self, amount: usize) {
        if self.left == 0 {
            self.tail = &self.tail[amount..];
            return;
        }
        self.at += amount;
        if self.at == self.block.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
    }
}

/// The most memory that this process has held so far.
fn most_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .expect("a figure");
    kilobytes.trim().parse::<u64>().expect("a number") << 10
}

/// A file of any size is read to its last byte, where the slip is, and is never held in memory.
#[test]
fn a_slip_at_the_end_of_a_huge_file_is_found() {
    const BYTES: u64 = 200 << 20;
    // The program itself comes into memory, too, as it is used.
    const MEMORY_BYTES_MAX: u64 = 48 << 20;
    // A long row is read quickly also by a program that is not optimised.
    let row = format!(
        "{{\"to\": \"+31612345001\", \"message\": \"{}\"}}",
        "x".repeat(60_000)
    );
    let json = format!("{row},\n");
    let lines = format!("{row}\n");
    for (head, row, tail, form) in [
        (
            &b"{\"data\": [\n"[..],
            &json,
            &b"{\"to\": 5,}]}"[..],
            Form::Json,
        ),
        (b"", &lines, b"{\"to\": 5,}", Form::Lines),
    ] {
        let before = most_memory_bytes();
        let (rules, templates) = (rules(), templates());
        let checker = Checker {
            rules: &rules,
            templates: &templates,
            files: &NoFiles,
            received_at: received_at(),
        };
        let source = Endless::begin(head, row.as_bytes(), BYTES, tail);
        let outline = outline(source, form, checker).expect("it does not fail");
        let grown = most_memory_bytes() - before;
        assert!(grown < MEMORY_BYTES_MAX, "{grown} bytes");
        let [fault] = &outline.faults[..] else {
            panic!("{:?}", outline.faults);
        };
        let per_block = (1 << 17) / row.len() as u64;
        let rows = BYTES / (per_block * row.len() as u64) * per_block;
        assert_eq!(fault.code, Code::JsonSyntax);
        let first = u64::from(form == Form::Json) + 1;
        assert_eq!((fault.line, fault.column), (rows + first, 10), "{form:?}");
    }
}
