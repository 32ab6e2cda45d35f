//! What is wrong with a text that is not TOML, in our words. Where it is wrong is for `file` to
//! say.

use toml::de::Error;

/// The sentences for what people get wrong, by the start of the parser's own words.
const SENTENCES: &[(&str, &str)] = &[
    (
        "string values must be quoted",
        "a text stands without quotes; write it as `\"text\"`",
    ),
    ("invalid basic string", CLOSE_QUOTE),
    (
        "invalid literal string",
        "a text is not closed; end it with `'` on the same line",
    ),
    (
        "invalid multi-line",
        "a text in three quotes is not closed; end it with three quotes",
    ),
    ("missing escaped value", ESCAPE),
    ("too few unicode value digits", ESCAPE),
    (
        "unclosed array table",
        "a section's name is not closed; write it as `[[name]]`",
    ),
    ("unclosed array", "a list is not closed; end it with `]`"),
    (
        "unclosed table",
        "a section's name is not closed; write it as `[name]`",
    ),
    (
        "unclosed inline table",
        "a `{` is not closed; end it with `}`",
    ),
    (
        "missing comma between array elements",
        "a comma is missing between two values of a list",
    ),
    (
        "missing comma between key-value pairs",
        "a comma is missing between two settings in `{ }`",
    ),
    ("extra comma", "there is a comma too many; take it out"),
    ("missing value", NO_VALUE),
    (
        "invalid value",
        "the setting has no value that can be read; a text stands in quotes",
    ),
    ("key with no value", NAME_VALUE),
    ("missing assignment", NAME_VALUE),
    ("invalid key-value pair", NAME_VALUE),
    (
        "extra `=`",
        "there is a `=` too many; a text that holds one stands in quotes",
    ),
    (
        "extra assignment",
        "there is a `=` too many; a text that holds one stands in quotes",
    ),
    (
        "invalid unquoted key",
        "this is not a setting; write `name = value`, the name with letters, digits, `_` and `-`",
    ),
    (
        "unquoted keys cannot be empty",
        "a setting's name is missing before the `=` or the dot",
    ),
    (
        "unexpected leading zero",
        "a number starts with a needless zero; take it out, or write a text in quotes",
    ),
    (
        "unexpected key or value",
        "there is something after the value; begin a line for each setting",
    ),
    (
        "unexpected content",
        "there is something after the value; begin a line for each setting",
    ),
    (
        "carriage return must be",
        "a carriage return stands alone; save the file with Unix line ends",
    ),
    (
        "invalid comment character",
        "the comment holds a control character; take it out",
    ),
    (
        "cannot recurse",
        "values are nested too deeply; no setting needs that",
    ),
    (
        "recursion limit",
        "values are nested too deeply; no setting needs that",
    ),
    (
        "cannot extend value",
        "this name is already a value; it cannot be a section as well",
    ),
];

const CLOSE_QUOTE: &str =
    "a text is not closed, or holds a control character; end it with `\"` on the same line";
const ESCAPE: &str =
    "a `\\` in a text is followed by nothing it knows; write `\\\\`, or use single quotes";
const NO_VALUE: &str = "the setting has no value; write one after the `=`, or take the line out";
const NAME_VALUE: &str = "this is not a setting; write `name = value`";

/// Brackets that can be left open: what the parser says of one at the end of the file, what it says
/// at the first line after it, and what we say there.
const BRACKETS: [(&str, &str, &str); 2] = [
    (
        "unclosed array, expected `]`",
        "missing comma between array elements",
        "the list above this line is not closed; end it with `]`",
    ),
    (
        "unclosed inline table, expected `}`",
        "missing comma between key-value pairs",
        "the `{` above this line is not closed; end it with `}`",
    ),
];

/// What is wrong, each with the byte where it is: at most one a line, because one slip makes the
/// parser stumble over the rest of its line as well.
pub(super) fn sentences(errors: &[Error], text: &str) -> Vec<(usize, String)> {
    let mut open = BRACKETS.to_vec();
    open.retain(|(at_end, ..)| errors.iter().any(|error| error.message() == *at_end));
    let mut errors: Vec<(usize, &Error)> = errors
        .iter()
        .map(|error| (error.span().map_or(text.len(), |span| span.start), error))
        .collect();
    errors.sort_by_key(|(at, _)| *at);
    let between = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    errors.dedup_by(|later, first| !between(first.0, later.0).contains('\n'));
    let mut sentences = Vec::new();
    for (at, error) in errors {
        let before = between(0, at).rsplit('\n').next();
        let begins_line = before.is_some_and(|before| before.trim().is_empty());
        let bracket = open
            .iter()
            .find(|(_, after, _)| begins_line && error.message().starts_with(after));
        if let Some((.., ours)) = bracket {
            // What follows is read as if it stood between the brackets, to the end of the file:
            // whatever is said of it comes from this one slip.
            sentences.push((at, (*ours).to_owned()));
            break;
        }
        sentences.push((at, sentence(error, text)));
    }
    sentences
}

/// The sentence for `error` in `text`.
fn sentence(error: &Error, text: &str) -> String {
    let message = error.message();
    if message.starts_with("duplicate key") {
        // The span is that of a name: values are never shown here, since one may be a secret.
        let name = error
            .span()
            .and_then(|span| text.get(span))
            .unwrap_or("this name");
        return format!("`{name}` stands here a second time; keep one of the two");
    }
    if message.starts_with("string values must") && error.span().is_none_or(|span| span.is_empty())
    {
        return NO_VALUE.into();
    }
    let known = SENTENCES
        .iter()
        .find(|(start, _)| message.starts_with(start));
    match known {
        Some((_, sentence)) => (*sentence).to_owned(),
        None => format!("this is not TOML ({message}); write `name = value`"),
    }
}
