//! A Rust source as the walls see it: its tokens without comments, texts and test code, and the
//! paths that it names. What may be named where is for the rules to say.

use std::collections::BTreeMap;

/// One word or sign of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// An identifier, `::`, or a single character.
    pub(super) text: String,
    /// The line it stands on, from 1.
    pub(super) line: usize,
}

/// A path that a source names, from the crate's own root or from another crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// `["crate", "batch", "Phone"]`, or `["tokio", "spawn"]`.
    pub(super) path: Vec<String>,
    /// The line it stands on, from 1.
    pub(super) line: usize,
}

/// The tokens of `source` without comments, texts, and items under `#[cfg(test)]`.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    without_test_code(&split(&blank_out(source)))
}

/// The modules of a source that lie in files of their own: all of them, and those for tests only.
pub(super) fn modules(source: &str) -> (Vec<String>, Vec<String>) {
    let declared = |tokens: &[Token]| -> Vec<String> {
        tokens
            .windows(3)
            .filter(|three| three[0].text == "mod" && three[2].text == ";")
            .map(|three| three[1].text.clone())
            .collect()
    };
    let all = split(&blank_out(source));
    let program = declared(&without_test_code(&all));
    let all = declared(&all);
    let tests = all.iter().filter(|name| !program.contains(name));
    let tests = tests.cloned().collect();
    (all, tests)
}

/// Replaces comments, texts and character literals by spaces, keeping every line break.
fn blank_out(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => text_end(&chars, at),
            'r' if !in_word(&chars, at) || follows_byte_mark(&chars, at) => {
                raw_text_end(&chars, at).unwrap_or(at)
            }
            '\'' => character_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
            out.extend(chars[at..end].iter().map(blank));
            at = end;
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn in_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_word(chars[at - 1])
}

fn follows_byte_mark(chars: &[char], at: usize) -> bool {
    at > 0 && matches!(chars[at - 1], 'b' | 'c') && !in_word(chars, at - 1)
}

fn line_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut here = at;
    while here < chars.len() {
        match (chars[here], chars.get(here + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                here += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                here += 2;
                if depth == 0 {
                    return here;
                }
            }
            _ => here += 1,
        }
    }
    chars.len()
}

fn text_end(chars: &[char], at: usize) -> usize {
    let mut here = at + 1;
    while here < chars.len() {
        match chars[here] {
            '\\' => here += 2,
            '"' => return here + 1,
            _ => here += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"` or `r#"…"#` that begins at `at`; `None` when it is none (`r#type`).
fn raw_text_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |here: usize| {
        chars[here] == '"' && chars[here + 1..].iter().take(hashes).all(|c| *c == '#')
    };
    let close = (open + 1..chars.len()).find(|here| closes(*here))?;
    Some((close + 1 + hashes).min(chars.len()))
}

/// The end of the character literal that begins at `at`; `None` for a lifetime.
fn character_end(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        let close = chars[at + 3..].iter().position(|c| *c == '\'')?;
        return Some(at + 3 + close + 1);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

fn split(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (row, text) in source.lines().enumerate() {
        let line = row + 1;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                let text = rest[..length].to_owned();
                found.push(Token { text, line });
            }
            rest = &rest[length..];
        }
    }
    found
}

/// Leaves out every item that stands under `#[cfg(test)]`: tests may name what they like.
fn without_test_code(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let marked = tokens.len() - at >= MARK.len()
            && MARK
                .iter()
                .zip(&tokens[at..])
                .all(|(mark, token)| token.text == *mark);
        if marked {
            at = item_end(tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Every path that the tokens name. `module` is where the source stands, as in
/// `["batch", "dialect"]`, so that `super` can be followed; a room that was brought in by a `use`
/// is followed to the crate's root.
pub(super) fn named(tokens: &[Token], module: &[&str]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut rooms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut at = 0;
    while at < tokens.len() {
        let word = tokens[at].text.as_str();
        if word == "use" {
            at = used(tokens, at + 1, &[], module, &mut found, &mut rooms);
        } else if starts_path(tokens, at) {
            let (path, next) = path_at(tokens, at);
            let line = tokens[at].line;
            let path = from_root(path, module);
            found.push(Named { path, line });
            at = next;
        } else {
            at += 1;
        }
    }
    for one in &mut found {
        if let Some(room) = rooms.get(&one.path[0]) {
            let tail = one.path.split_off(1);
            one.path = room.iter().cloned().chain(tail).collect();
        }
    }
    found
}

fn starts_path(tokens: &[Token], at: usize) -> bool {
    let word = tokens[at].text.starts_with(is_word);
    let followed = tokens.get(at + 1).is_some_and(|next| next.text == "::");
    let continued = at > 0 && tokens[at - 1].text == "::";
    word && followed && !continued
}

/// The words joined by `::` from `at` on, and where they end.
fn path_at(tokens: &[Token], at: usize) -> (Vec<String>, usize) {
    let mut path = vec![tokens[at].text.clone()];
    let mut here = at + 1;
    while tokens.get(here).is_some_and(|token| token.text == "::")
        && let Some(next) = tokens.get(here + 1)
        && next.text.starts_with(is_word)
    {
        path.push(next.text.clone());
        here += 2;
    }
    (path, here)
}

/// Reads one tree of a `use`, from `at` on, whose words so far are `before`; returns its end.
fn used(
    tokens: &[Token],
    at: usize,
    before: &[String],
    module: &[&str],
    found: &mut Vec<Named>,
    rooms: &mut BTreeMap<String, Vec<String>>,
) -> usize {
    let mut here = at;
    // A leading `::` says "another crate", which the first word says as well.
    if tokens.get(here).is_some_and(|token| token.text == "::") {
        here += 1;
    }
    let Some(first) = tokens.get(here) else {
        return here;
    };
    let line = first.line;
    let mut path = before.to_vec();
    if first.text.starts_with(is_word) {
        let (words, next) = path_at(tokens, here);
        path.extend(words);
        here = next;
        if tokens.get(here).is_some_and(|token| token.text == "::") {
            here += 1;
        }
    }
    match tokens.get(here).map(|token| token.text.as_str()) {
        Some("{") => {
            here += 1;
            while let Some(token) = tokens.get(here)
                && token.text != "}"
            {
                here = if token.text == "," {
                    here + 1
                } else {
                    used(tokens, here, &path, module, found, rooms)
                };
            }
            return here + 1;
        }
        Some("*") => {
            path.push("*".into());
            here += 1;
        }
        _ => {}
    }
    if path.last().is_some_and(|word| word == "self") && path.len() > 1 {
        path.pop();
    }
    if path.is_empty() {
        return here + 1;
    }
    let path = from_root(path, module);
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens.get(here).is_some_and(|token| token.text == "as") {
        name = tokens
            .get(here + 1)
            .map(|token| token.text.clone())
            .unwrap_or_default();
        here += 2;
    }
    if path.len() == 2 && path[0] == "crate" {
        rooms.insert(name, path.clone());
    }
    found.push(Named { path, line });
    here
}

/// Follows `crate`, `self` and `super` to a path from the crate's root.
fn from_root(path: Vec<String>, module: &[&str]) -> Vec<String> {
    let supers = path.iter().take_while(|word| *word == "super").count();
    let skipped = match path.first().map(String::as_str) {
        Some("self") => 1,
        Some("super") => supers,
        _ => return path,
    };
    let depth = module.len().saturating_sub(supers);
    let mut root = vec!["crate".to_owned()];
    root.extend(module[..depth].iter().map(|word| (*word).to_owned()));
    root.extend(path.into_iter().skip(skipped));
    root
}
