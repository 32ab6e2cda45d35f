//! Finds the marks of placeholders in a text: `{{name}}` in approved templates, `[[name]]` in
//! session texts. What belongs in their place is for others to know.

/// The two ways of marking a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brackets {
    /// `{{name}}`.
    Curly,
    /// `[[name]]`.
    Square,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Words that stand as they are.
    Words(&'a str),
    /// The name inside a mark, without space around it.
    Mark(&'a str),
}

/// A longer text between two brackets is no name but the text of its author.
const NAME_BYTES_MAX: usize = 128;

impl Brackets {
    const fn pair(self) -> (&'static str, &'static str) {
        match self {
            Self::Curly => ("{{", "}}"),
            Self::Square => ("[[", "]]"),
        }
    }
}

/// Cuts `text` at its marks.
pub(super) fn pieces(text: &str, brackets: Brackets) -> Vec<Piece<'_>> {
    let (open, close) = brackets.pair();
    let mut pieces = Vec::new();
    let mut words_from = 0;
    let mut search_from = 0;
    while let Some(start) = text[search_from..].find(open).map(|at| at + search_from) {
        let inside = start + open.len();
        // Only as far as a name can reach: a text of opening brackets alone must not be slow.
        let reach = (inside + NAME_BYTES_MAX + close.len()).min(text.len());
        let end = text.as_bytes()[inside..reach]
            .windows(close.len())
            .position(|bytes| bytes == close.as_bytes())
            .map(|at| at + inside);
        let name = end.map(|end| text[inside..end].trim());
        let (Some(end), Some(name)) = (end, name.filter(|name| is_name(name))) else {
            search_from = start + 1;
            continue;
        };
        if words_from < start {
            pieces.push(Piece::Words(&text[words_from..start]));
        }
        pieces.push(Piece::Mark(name));
        words_from = end + close.len();
        search_from = words_from;
    }
    if words_from < text.len() {
        pieces.push(Piece::Words(&text[words_from..]));
    }
    pieces
}

/// Whether `text` has a mark of either kind.
pub(super) fn has_mark(text: &str, brackets: Brackets) -> bool {
    text.contains(brackets.pair().0)
        && pieces(text, brackets)
            .iter()
            .any(|piece| matches!(piece, Piece::Mark(_)))
}

/// Whether `text` has such brackets with something in them on one line, be it a name or not: what
/// the schemas of templates refuse in values.
pub(super) fn is_bracketed(text: &str, brackets: Brackets) -> bool {
    let (open, close) = brackets.pair();
    text.char_indices().any(|(at, _)| {
        text[at..].strip_prefix(open).is_some_and(|inside| {
            let end = inside.find(['{', '}', '[', ']', '\n', '\r']);
            end.is_some_and(|end| end > 0 && inside[end..].starts_with(close))
        })
    })
}

/// The name inside, if `text` is nothing but one mark of either kind.
pub(super) fn bare_name(text: &str) -> Option<&str> {
    [Brackets::Curly, Brackets::Square]
        .into_iter()
        .find_map(|brackets| match pieces(text.trim(), brackets)[..] {
            [Piece::Mark(name)] => Some(name),
            _ => None,
        })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['{', '}', '[', ']', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mark that is overlooked is delivered as it stands; words taken for a mark are lost.
    #[test]
    fn marks_are_told_from_words() {
        use Piece::{Mark, Words};
        for (text, expected) in [
            ("", vec![]),
            ("plain [x] {{y}}", vec![Words("plain [x] {{y}}")]),
            ("a [[b]] c", vec![Words("a "), Mark("b"), Words(" c")]),
            ("[[a]][[ b ]]", vec![Mark("a"), Mark("b")]),
            ("[[[a]]]", vec![Words("["), Mark("a"), Words("]")]),
            ("[[a", vec![Words("[[a")]),
            ("[[]] [[é]]", vec![Words("[[]] "), Mark("é")]),
            ("[[a\nb]] [[c]]", vec![Words("[[a\nb]] "), Mark("c")]),
        ] {
            assert_eq!(pieces(text, Brackets::Square), expected, "{text}");
        }
        assert_eq!(bare_name(" {{first}} "), Some("first"));
        assert_eq!(bare_name("[[first]]"), Some("first"));
        assert_eq!(bare_name("first"), None);
        assert!(has_mark("Hello {{x}}", Brackets::Curly));
        assert!(!has_mark("Hello {{x}", Brackets::Curly));
    }
}
