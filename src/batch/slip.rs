//! What is said about a text that is not JSON: a code, and a hint for the common slips.

use super::fault::{Code, Trouble};
use super::syntax::Slip;

/// The words for a slip.
pub(super) fn trouble(slip: Slip) -> Trouble {
    let code = match slip {
        Slip::Truncated => Code::JsonTruncated,
        Slip::Encoding | Slip::ZeroByte => Code::FileEncoding,
        _ => Code::JsonSyntax,
    };
    let (expected, found, hint) = words(slip);
    Trouble::new(code, expected, found).hint(hint)
}

#[allow(
    clippy::too_many_lines,
    reason = "it is a table: one entry for each slip"
)]
fn words(slip: Slip) -> (&'static str, &'static str, &'static str) {
    match slip {
        Slip::Truncated => (
            "the rest of the JSON",
            "the end",
            "the upload was cut off, or a closing bracket is missing; export and upload it again",
        ),
        Slip::Encoding => (
            "UTF-8 text",
            "a byte that is not UTF-8",
            "save the file as UTF-8; it looks like Latin-1 or Windows-1252",
        ),
        Slip::ZeroByte => (
            "UTF-8 text",
            "UTF-16 text or binary data",
            "save the file as UTF-8, not as Unicode or UTF-16",
        ),
        Slip::TrailingComma => (
            "another value after the comma",
            "a closing bracket",
            "remove the comma before this bracket",
        ),
        Slip::MissingComma => (
            "a comma or a closing bracket",
            "another value",
            "a comma is missing before this place",
        ),
        Slip::ExtraComma => (
            "a value",
            "a comma",
            "there is one comma too many, or a value is missing before it",
        ),
        Slip::StrayBrace => (
            "a comma, `]` or the end",
            "`}`",
            "one `}` too many: remove it",
        ),
        Slip::StrayBracket => (
            "a comma, `}` or the end",
            "`]`",
            "one `]` too many: remove it",
        ),
        Slip::UnclosedObject => (
            "`}`",
            "`]`",
            "an object before this place is not closed: a `}` is missing",
        ),
        Slip::MissingColon => (
            "a colon after the key",
            "something else",
            "write `\"key\": value`",
        ),
        Slip::MissingValue => (
            "a value after the colon",
            "none",
            "write a value, or remove the key",
        ),
        Slip::SingleQuote => (
            "double quotation marks",
            "a single quotation mark",
            "JSON takes \" only; use a JSON library for the export",
        ),
        Slip::Typographic => (
            "JSON",
            "a character that has a place only inside of quotation marks",
            "a word processor may have put curly quotation marks in place of \"",
        ),
        Slip::Comment => ("JSON", "a comment", "JSON knows no comments: remove it"),
        Slip::NotANumber => (
            "a JSON value",
            "NaN, Infinity or a number with a sign or point in front",
            "JSON knows no NaN and no Infinity; write a number, or leave the key out",
        ),
        Slip::BadNumber => (
            "a JSON number",
            "a number with a leading 0 or without digits after its point",
            "put phone numbers and codes in quotation marks",
        ),
        Slip::BareWord => (
            "a JSON value",
            "a word without quotation marks",
            "put texts in quotation marks; true, false and null are written in lower case",
        ),
        Slip::BareKey => (
            "a key in quotation marks",
            "something without them",
            "write `\"key\": value`",
        ),
        Slip::LineBreak => (
            "the closing quotation mark",
            "a line break inside of a text",
            "write \\n for a line break, or look for a missing quotation mark",
        ),
        Slip::Control => (
            "text",
            "a tab or another control character inside of a text",
            "write \\t for a tab; use a JSON library for the export",
        ),
        Slip::BadEscape => (
            "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u",
            "another character after a backslash",
            "write a backslash twice: \\\\",
        ),
        Slip::HalfPair => (
            "both halves of a surrogate pair",
            "one half",
            "an emoji was cut in two; write it as it is, in UTF-8",
        ),
        Slip::SecondText => (
            "the end of the file",
            "a second JSON text",
            "a file with one JSON text a line is named .jsonl",
        ),
        Slip::AfterEnd => (
            "the end of the file",
            "more after the last bracket",
            "remove what follows the last bracket",
        ),
    }
}
