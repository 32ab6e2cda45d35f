//! A text of a template, cut at its placeholders.

use serde_json::Value as Json;

use crate::batch::marks::{Brackets, Piece, pieces};

/// A text with places for values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::batch) struct Text {
    /// Whether its placeholders have names; otherwise they are numbered.
    pub(super) named: bool,
    /// Words and placeholders, in their order.
    pub(super) segments: Vec<Segment>,
    /// The names or numbers of the placeholders, in the order of the template.
    pub(super) names: Vec<String>,
    /// An example for each of them; empty where the definition has none.
    pub(super) examples: Vec<String>,
    /// How often each of them stands in the text.
    uses: Vec<usize>,
    /// Characters that are not placeholders.
    fixed_chars: usize,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Words that stand as they are.
    Words(String),
    /// The placeholder at this place in the order.
    Mark(usize),
}

impl Text {
    /// Cuts a text. `by_name` says whether placeholders have names, where the definition tells.
    pub(super) fn cut(text: &str, by_name: Option<bool>) -> Result<Self, String> {
        let pieces = pieces(text, Brackets::Curly);
        let marks = distinct(&pieces);
        let numbered = marks.iter().all(|name| name.parse::<u32>().is_ok());
        let by_name = by_name.unwrap_or(!numbered);
        let names = if by_name { marks } else { in_order(marks)? };
        let segments: Vec<Segment> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Words(words) => Segment::Words(words.into()),
                Piece::Mark(mark) => {
                    let at = names.iter().position(|name| name == mark);
                    at.map_or_else(|| Segment::Words(mark.into()), Segment::Mark)
                }
            })
            .collect();
        let uses = (0..names.len())
            .map(|at| {
                segments
                    .iter()
                    .filter(|&it| *it == Segment::Mark(at))
                    .count()
            })
            .collect();
        let fixed_chars = segments
            .iter()
            .map(|segment| match segment {
                Segment::Words(words) => words.chars().count(),
                Segment::Mark(_) => 0,
            })
            .sum();
        Ok(Self {
            named: by_name,
            examples: vec![String::new(); names.len()],
            segments,
            names,
            uses,
            fixed_chars,
        })
    }

    /// The same text with the examples of its definition: `example` as the Cloud API writes it,
    /// under `key`.
    pub(super) fn with_examples(mut self, example: &Json, key: &str) -> Self {
        let listed: Vec<&str> = match &example[key] {
            Json::Array(list) => match list.first() {
                Some(Json::Array(first)) => first.iter().filter_map(Json::as_str).collect(),
                _ => list.iter().filter_map(Json::as_str).collect(),
            },
            Json::String(one) => vec![one.as_str()],
            _ => Vec::new(),
        };
        let by_name = example[format!("{key}_named_params")].as_array();
        for (at, (name, own)) in self.names.iter().zip(&mut self.examples).enumerate() {
            let found = by_name
                .into_iter()
                .flatten()
                .find(|given| given["param_name"] == name.as_str())
                .and_then(|given| given["example"].as_str())
                .or(listed.get(at).copied());
            found.unwrap_or_default().clone_into(own);
        }
        self
    }

    /// Which placeholder has this name or number.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// How many characters it has with values of these lengths in place.
    pub(super) fn chars(&self, value_chars: impl IntoIterator<Item = usize>) -> usize {
        let values: usize = self
            .uses
            .iter()
            .zip(value_chars)
            .map(|(uses, chars)| uses * chars)
            .sum();
        self.fixed_chars + values
    }

    /// The text with values in place.
    pub(super) fn filled<'v>(&self, value: impl Fn(usize) -> Option<&'v str>) -> String {
        let mut filled = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Words(words) => filled.push_str(words),
                Segment::Mark(at) => filled.push_str(value(*at).unwrap_or_default()),
            }
        }
        filled
    }

    /// Whether `message` is this text, whatever brackets it marks placeholders with. `declared`
    /// are the file's own names for them, in order.
    pub(super) fn is_said_by(&self, message: &str, declared: &[String]) -> bool {
        [Brackets::Curly, Brackets::Square]
            .into_iter()
            .any(|brackets| self.cut_alike(message, brackets, declared) == self.segments)
    }

    fn cut_alike(&self, text: &str, brackets: Brackets, declared: &[String]) -> Vec<Segment> {
        pieces(text, brackets)
            .into_iter()
            .map(|piece| match piece {
                Piece::Words(words) => Segment::Words(words.into()),
                Piece::Mark(name) => {
                    let declared = declared.iter().position(|known| known == name);
                    match self.position(name).or(declared) {
                        Some(at) => Segment::Mark(at),
                        None => Segment::Words(String::new()),
                    }
                }
            })
            .collect()
    }
}

/// The distinct names of placeholders, in the order of the text.
fn distinct(pieces: &[Piece<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in pieces {
        if let Piece::Mark(name) = piece
            && !names.iter().any(|known| known == name)
        {
            names.push((*name).into());
        }
    }
    names
}

/// Numbered placeholders run from 1 without gaps, wherever they stand in the text.
fn in_order(names: Vec<String>) -> Result<Vec<String>, String> {
    let expected: Vec<String> = (1..=names.len()).map(|number| number.to_string()).collect();
    let mut sorted = names;
    sorted.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    if sorted == expected {
        Ok(expected)
    } else {
        Err("its placeholders are not numbered from 1 without gaps".into())
    }
}
