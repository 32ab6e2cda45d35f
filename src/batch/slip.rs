//! What is said about a text that is not JSON: a code, and a hint for the common slips.

use super::fault::{Code, Trouble};
use super::syntax::Slip;

/// The words for a slip.
pub(super) fn trouble(slip: Slip) -> Trouble {
    let code = match slip {
        Slip::Truncated => Code::JsonTruncated,
        Slip::Encoding | Slip::WideEncoding | Slip::ZeroByte => Code::FileEncoding,
        _ => Code::JsonSyntax,
    };
    let (expected, found, hint) = words(slip);
    Trouble::new(code, expected, found).hint(hint)
}

/// The words for a slip in a line of JSON Lines that others follow.
pub(super) fn line_trouble(slip: Slip) -> Trouble {
    let mut trouble = trouble(slip);
    match slip {
        Slip::Truncated => {
            // The file goes on after this line: nothing was cut off by the upload.
            trouble.code = Code::JsonSyntax;
            trouble.hint = "each row is written on one line; a closing bracket is missing".into();
        }
        Slip::SecondText => {
            trouble.expected = "the end of the line".into();
            trouble.hint = "each row is written on a line of its own".into();
        }
        _ => {}
    }
    trouble
}

/// The words for a slip in the last line of JSON Lines, which refuses the file.
pub(super) fn last_line_trouble(slip: Slip) -> Trouble {
    match slip {
        Slip::Truncated => Trouble::new(
            Code::JsonTruncated,
            "a last line that is whole",
            "a last line that is not JSON",
        )
        .hint("the upload was cut off, most likely; export and upload it again"),
        // No cut makes such a line: whoever reads this is to mend it, not to upload it again.
        _ => line_trouble(slip),
    }
}

type Words = (&'static str, &'static str, &'static str);

#[allow(
    clippy::too_many_lines,
    reason = "it is a table: one entry for each slip"
)]
fn words(slip: Slip) -> Words {
    match slip {
        // Slips that say that the file is cut, glued together, or no JSON at all.
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
        Slip::WideEncoding => (
            "UTF-8 text",
            "UTF-16 or UTF-32 text, or binary data",
            "save the file as UTF-8, not as Unicode or UTF-16",
        ),
        Slip::ZeroByte => (
            "UTF-8 text",
            "a zero byte",
            "the file was damaged on its way, or room was reserved and not filled; export it again",
        ),
        Slip::Markup => (
            "JSON",
            "`<`, as HTML and XML have it",
            "look at the file: the export may have written an error page or a warning into it",
        ),
        Slip::NotJson => (
            "`{`",
            "something that JSON never begins with",
            "it looks like a table (CSV) or plain text; export it as JSON",
        ),
        Slip::ByteOrderMark => (
            "JSON",
            "a byte-order mark or a full-width character",
            "remove it: files that are glued together have such a mark in the middle",
        ),
        Slip::SecondText => (
            "the end of the file",
            "a second JSON text",
            "a file with one JSON text a line is named .jsonl",
        ),
        Slip::CommaAfterEnd => (
            "the end",
            "a comma",
            "remove it: lines of .jsonl have no comma between them, rows of .json stand in `data`",
        ),
        Slip::AfterEnd => (
            "the end of the file",
            "more after the last bracket",
            "remove what follows the last bracket",
        ),
        // Slips of brackets, commas and colons.
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
        Slip::Semicolon => ("a comma", "a semicolon", "write a comma in its place"),
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
        Slip::UnclosedArray => (
            "a comma or `]`",
            "`}`",
            "an array before this place is not closed: a `]` is missing",
        ),
        Slip::MissingColon => (
            "a colon after the key",
            "something else",
            "write `\"key\": value`",
        ),
        Slip::Equals => ("a colon after the key", "`=`", "write `\"key\": value`"),
        Slip::StrayColon => (
            "a comma or a closing bracket",
            "a colon",
            "a key has one value; a comma or a quotation mark may be missing before this place",
        ),
        Slip::KeyInArray => (
            "a comma or `]`",
            "a colon",
            "an array has no keys: write { … } in place of [ … ]",
        ),
        Slip::MissingValue => (
            "a value after the colon",
            "none",
            "write a value, or remove the key",
        ),
        // Things outside of quotation marks that are no JSON value.
        Slip::NoBreakSpace => (
            "JSON",
            "a no-break space or another character that has its place inside of quotation marks",
            "write an ordinary space; copies from web pages and word processors hold such spaces",
        ),
        Slip::Typographic => (
            "JSON",
            "a character that has a place only inside of quotation marks",
            "a word processor may have put curly quotation marks in place of \"",
        ),
        Slip::Comment => ("JSON", "a comment", "JSON knows no comments: remove it"),
        Slip::NotANumber => (
            "a JSON value",
            "NaN, Infinity, None or NULL",
            "write a number or null, or leave the key out",
        ),
        Slip::Undefined => (
            "a JSON value",
            "a word such as undefined",
            "write null, or leave the key out",
        ),
        Slip::Capital => (
            "a JSON value",
            "a word in capital letters without quotation marks",
            "true, false and null are written in lower case, texts in quotation marks",
        ),
        Slip::PlusSign => (
            "a JSON value",
            "a plus sign",
            "put phone numbers in quotation marks; a number has no plus sign",
        ),
        Slip::LeadingPoint => (
            "a JSON number",
            "a point without a digit before it",
            "write 0.5 for .5",
        ),
        Slip::LeadingZero => (
            "a JSON number",
            "a number with a zero in front",
            "put phone numbers and codes in quotation marks, or they lose their zeros",
        ),
        Slip::BadNumber => (
            "a JSON number",
            "a number that lacks digits",
            "write 1.0 for 1., and 1e5 for 1e; put codes in quotation marks",
        ),
        Slip::Hexadecimal => (
            "a JSON number",
            "a hexadecimal number",
            "write it with decimal digits, or in quotation marks",
        ),
        Slip::NumberAndMore => (
            "the end of a number",
            "letters or marks after its digits",
            "put dates, phone numbers and codes in quotation marks",
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
        // Slips of quotation marks, and inside of texts.
        Slip::SingleQuote => (
            "double quotation marks",
            "a single quotation mark",
            "JSON takes \" only; use a JSON library for the export",
        ),
        Slip::InnerQuote => (
            "a comma or a closing bracket",
            "words after a closing quotation mark",
            "write \\\" for a quotation mark inside of a text, or look for a missing comma",
        ),
        Slip::LineBreak => (
            "the closing quotation mark",
            "a line break inside of a text",
            "write \\n for a line break, or look for a missing quotation mark",
        ),
        Slip::Tab => (
            "text",
            "a tab inside of a text",
            "write \\t for a tab; use a JSON library for the export",
        ),
        Slip::Control => (
            "JSON",
            "a control character",
            "remove it; inside of a text it is written as \\u and four digits",
        ),
        Slip::BadEscape => (
            "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u",
            "another character after a backslash",
            "write a backslash twice: \\\\",
        ),
        Slip::EscapedApostrophe => (
            "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u",
            "an apostrophe after a backslash",
            "an apostrophe stands without a backslash in JSON",
        ),
        Slip::BadHexadecimal => (
            "four hexadecimal digits after \\u",
            "fewer",
            "write \\u00e9 or the character itself; write a backslash twice: \\\\",
        ),
        Slip::HalfPair => (
            "both halves of a surrogate pair",
            "one half",
            "an emoji was cut in two; write it as it is, in UTF-8",
        ),
    }
}
