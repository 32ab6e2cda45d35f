//! An approved template becomes the JSON Schema that its messages must satisfy.
//!
//! Definitions are read as the Cloud API's list of templates gives them. Where they come from is
//! for others to know.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::{Value as Json, json};

use super::fault::{Code, Trouble};
use super::marks::{Brackets, Piece, pieces};
use super::values::Filled;
use super::{Content, Parameter, Phone};

mod definition;
mod schema;

pub use definition::TemplateProblem;
pub(super) use schema::HINTS_MAX;

/// The longest body after substitution, in characters.
pub const BODY_CHARS_MAX: usize = 1024;

/// The templates of one tenant, whether they can be sent or not. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    by_name: Arc<HashMap<String, BTreeMap<String, Arc<Template>>>>,
}

/// One template in one language.
pub struct Template {
    name: String,
    language: String,
    status: String,
    authentication: bool,
    /// Whether its placeholders have names; otherwise they are numbered.
    named: bool,
    body: Vec<Segment>,
    /// The names or numbers of the placeholders, in the order of the template.
    names: Vec<String>,
    /// An example value for each of them.
    examples: Vec<String>,
    /// How often each of them stands in the body.
    uses: Vec<usize>,
    /// Characters of the body that are not placeholders.
    fixed_chars: usize,
    /// The component that this version cannot fill; empty if there is none.
    unsupported: String,
    schema: Json,
    validator: Validator<Filled>,
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Words that stand as they are.
    Words(String),
    /// The placeholder at this place in the order.
    Mark(usize),
}

/// Why a name and language find no template that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LookupTrouble {
    /// The name is wrong, or the template cannot be used at all.
    Name(Trouble),
    /// The language is wrong.
    Language(Trouble),
}

impl Templates {
    /// Reads definitions: each file is one template, an array of them, or a whole `{"data": […]}`
    /// answer. What cannot be read is told and left out.
    pub fn parse(files: &[(String, Vec<u8>)]) -> (Self, Vec<TemplateProblem>) {
        let mut by_name: HashMap<String, BTreeMap<String, Arc<Template>>> = HashMap::new();
        let mut problems = Vec::new();
        for (file, bytes) in files {
            let mut problem = |text: String| {
                problems.push(TemplateProblem {
                    file: file.clone(),
                    text,
                });
            };
            for read in definition::read(bytes) {
                match read {
                    Err(text) => problem(text),
                    Ok(template) => {
                        let languages = by_name.entry(template.name.clone()).or_default();
                        if languages.contains_key(&template.language) {
                            problem(format!(
                                "`{}` in `{}` is defined twice; the first definition stays",
                                template.name, template.language
                            ));
                        } else {
                            languages.insert(template.language.clone(), Arc::new(template));
                        }
                    }
                }
            }
        }
        let by_name = Arc::new(by_name);
        (Self { by_name }, problems)
    }

    /// The template with this name and language, whether it can be sent or not.
    pub fn get(&self, name: &str, language: &str) -> Option<&Arc<Template>> {
        self.by_name.get(name)?.get(language)
    }

    /// The templates that can be sent, by name and language.
    pub fn usable(&self) -> Vec<&Arc<Template>> {
        let mut usable: Vec<_> = self
            .by_name
            .values()
            .flat_map(BTreeMap::values)
            .filter(|template| template.is_usable())
            .collect();
        usable.sort_by_key(|template| (&template.name, &template.language));
        usable
    }

    /// How many templates there are, whether they can be sent or not.
    pub fn len(&self) -> usize {
        self.by_name.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The JSON Schema for the values of the placeholders of one row.
    pub fn schema(&self, name: &str, language: &str) -> Option<Json> {
        self.get(name, language).map(|template| template.schema())
    }

    /// A batch file with one row that uses this template.
    pub fn example_batch(&self, name: &str, language: &str, from: &Phone) -> Option<Json> {
        self.get(name, language)
            .map(|template| template.example_batch(from))
    }

    /// What the recipient will read, as plain text; `None` when the template is not known.
    pub fn text(&self, content: &Content) -> Option<String> {
        match content {
            Content::Text { body, .. } => Some(body.clone()),
            Content::Template(filling) => {
                let template = self.get(&filling.name, &filling.language)?;
                Some(template.text(&filling.body))
            }
            _ => None,
        }
    }

    /// The template to send, or why there is none.
    pub(super) fn find(&self, name: &str, language: &str) -> Result<&Arc<Template>, LookupTrouble> {
        let Some(languages) = self.by_name.get(name) else {
            return Err(LookupTrouble::Name(
                Trouble::new(
                    Code::TemplateUnknown,
                    "the name of one of your templates",
                    "a name that none of them has",
                )
                .hint("the folder `templates` lists those that can be used"),
            ));
        };
        let Some(template) = languages.get(language) else {
            let known = quoted_list(languages.keys());
            let near = languages
                .keys()
                .find(|known| same_language(known, language));
            return Err(LookupTrouble::Language(Trouble {
                code: Code::TemplateLanguage,
                expected: format!("a language of this template: {known}"),
                found: "another language".into(),
                hint: match near {
                    Some(near) => format!("write `{near}`, exactly so"),
                    None => String::new(),
                },
            }));
        };
        if template.status != definition::APPROVED {
            return Err(LookupTrouble::Name(Trouble {
                code: Code::TemplateNotApproved,
                expected: "a template whose status is APPROVED".into(),
                found: format!("a template whose status is {}", template.status),
                hint: "wait for the approval, or use another template".into(),
            }));
        }
        if !template.unsupported.is_empty() {
            return Err(LookupTrouble::Name(Trouble {
                code: Code::TemplateUnsupported,
                expected: "a template that needs values in its body only".into(),
                found: format!("a template with {}", template.unsupported),
                hint: "use a template without it: this version fills the body only".into(),
            }));
        }
        Ok(template)
    }

    /// The languages of a template, for whoever forgot to name one.
    pub(super) fn languages(&self, name: &str) -> Option<String> {
        self.by_name
            .get(name)
            .map(|languages| quoted_list(languages.keys()))
    }

    /// The name that an unknown one resembles. Comparing is slow: it is for the head of a file, not
    /// for its rows.
    pub(super) fn resembled(&self, name: &str) -> Option<&str> {
        // Names as near as this are slips of the hand.
        const NEAR: f64 = 0.8;
        // No name of a template is longer.
        const NAME_BYTES_MAX: usize = 512;
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        self.by_name
            .keys()
            .map(|known| (strsim::normalized_damerau_levenshtein(known, name), known))
            .filter(|(likeness, _)| *likeness >= NEAR)
            .max_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(one.1)))
            .map(|(_, near)| near.as_str())
    }
}

impl Template {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its language code, as approved.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Whether messages can be sent with it.
    pub fn is_usable(&self) -> bool {
        self.status == definition::APPROVED && self.unsupported.is_empty()
    }

    /// The JSON Schema (draft 2020-12) for the values of the placeholders of one row.
    pub fn schema(&self) -> Json {
        self.schema.clone()
    }

    /// A batch file with one row that uses this template.
    pub fn example_batch(&self, from: &Phone) -> Json {
        let mut batch = json!({
            "campaignName": format!("Example of {}", self.name),
            "from": from.as_str(),
            "templateName": self.name,
            "templateLanguage": self.language,
            "data": [{ "to": "+31612345678", "reference": "example-1" }],
        });
        if !self.names.is_empty() {
            let values: serde_json::Map<String, Json> = self
                .names
                .iter()
                .zip(&self.examples)
                .map(|(name, example)| (name.clone(), json!(example)))
                .collect();
            batch["data"][0]["placeholders"] = Json::Object(values);
        }
        batch
    }

    /// The body with its values in place.
    pub fn text(&self, body: &[Parameter]) -> String {
        self.body
            .iter()
            .map(|segment| match segment {
                Segment::Words(words) => words.as_str(),
                Segment::Mark(at) => body.get(*at).map_or("", |value| value.text.as_str()),
            })
            .collect()
    }

    pub(super) fn is_authentication(&self) -> bool {
        self.authentication
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// Which placeholder has this name or number.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Whether `message` is the approved text, whatever brackets it marks placeholders with.
    /// `declared` are the file's own names for them, in order.
    pub(super) fn says(&self, message: &str, declared: &[String]) -> bool {
        [Brackets::Curly, Brackets::Square]
            .into_iter()
            .any(|brackets| self.segments(message, brackets, declared) == self.body)
    }

    fn segments(&self, text: &str, brackets: Brackets, declared: &[String]) -> Vec<Segment> {
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

/// A hint for a name that the template does not have.
pub(super) fn unknown_hint(name: &str, known: &[String]) -> String {
    // One or two letters apart, or another case: a slip of the hand.
    const NEAR: f64 = 0.6;
    // Comparing longer ones would be slow, and no hand makes them.
    const KEY_BYTES_MAX: usize = 64;
    if super::marks::bare_name(name).is_some() {
        return "write the name without brackets".into();
    }
    if name.len() > KEY_BYTES_MAX {
        return String::new();
    }
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|known| {
            let likeness = strsim::normalized_damerau_levenshtein(&known.to_lowercase(), &lower);
            (likeness, known)
        })
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, near)| format!("did you mean `{near}`?"))
        .unwrap_or_default()
}

/// `` `a`, `b` and `c` ``.
pub(super) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    // A longer list is no help.
    const NAMES_MAX: usize = 20;
    let mut names: Vec<String> = names
        .into_iter()
        .take(NAMES_MAX + 1)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > NAMES_MAX {
        names.truncate(NAMES_MAX);
        return format!("{} and others", names.join(", "));
    }
    match names.split_last() {
        None => "none".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

fn same_language(one: &str, other: &str) -> bool {
    let plain = |code: &str| code.replace('-', "_").to_lowercase();
    let (one, other) = (plain(one), plain(other));
    one == other || one.split('_').next() == other.split('_').next()
}

/// The validator says nothing to a reader.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("name", &self.name)
            .field("language", &self.language)
            .field("status", &self.status)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Filling;
    use super::*;

    fn parse(text: &str) -> (Templates, Vec<String>) {
        let (templates, problems) = Templates::parse(&[("t.json".into(), text.into())]);
        (templates, problems.into_iter().map(|it| it.text).collect())
    }

    const GREETING: &str = r#"{"name": "greeting", "language": "en", "status": "approved",
        "components": [{"type": "body", "text": "Hello {{2}}, {{1}} and {{2}}!"}]}"#;

    /// One definition that cannot be read must not take the others with it.
    #[test]
    fn a_definition_comes_alone_in_an_array_or_in_an_answer() {
        for text in [
            GREETING.to_owned(),
            format!("[{GREETING}]"),
            format!("\u{feff}{{\"data\": [{GREETING}], \"paging\": {{}}}}"),
        ] {
            let (templates, problems) = parse(&text);
            assert_eq!((templates.len(), problems), (1, vec![]), "{text}");
            assert_eq!(templates.usable()[0].names(), ["1", "2"]);
        }
        let (templates, problems) = parse(&format!(
            r#"[{GREETING}, {GREETING}, {{"name": "x", "components": []}}, 5,
                {{"name": "gap", "language": "en", "status": "APPROVED",
                  "components": [{{"type": "BODY", "text": "{{{{2}}}}"}}]}}]"#
        ));
        assert_eq!(templates.len(), 1);
        assert_eq!(
            problems,
            [
                "`greeting` in `en` is defined twice; the first definition stays",
                "`x`: it has no `language`",
                "template 4 of the file: it has no `name`",
                "`gap`: its placeholders are not numbered from 1 without gaps",
            ]
        );
        for (text, problem) in [
            ("{", "it is not JSON from line 1, column 1 on"),
            ("{}", "it holds no template: there is no `components`"),
            ("5", "it holds no template: it is not an object or an array"),
        ] {
            assert_eq!(parse(text).1, [problem], "{text}");
        }
    }

    /// The dry run shows what will be read.
    #[test]
    fn a_text_has_its_values_in_place() {
        let (templates, _) = parse(GREETING);
        let content = Content::Template(Filling {
            name: "greeting".into(),
            language: "en".into(),
            body: vec![Parameter::text("Ana"), Parameter::text("Ben")],
            ..Filling::default()
        });
        assert_eq!(
            templates.text(&content).as_deref(),
            Some("Hello Ben, Ana and Ben!")
        );
        assert_eq!(Templates::default().text(&content), None);
    }

    /// Customers validate their values with the very schema that rows are held against.
    #[test]
    fn the_schema_takes_what_is_sent_and_nothing_else() {
        let (templates, _) = parse(GREETING);
        let schema = templates.schema("greeting", "en").expect("a template");
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        for (values, good) in [
            (json!({"1": "Ana", "2": "Ben [x] {y}    z"}), true),
            (json!({"1": "Ana"}), false),
            (json!({"1": "Ana", "2": "Ben", "3": "x"}), false),
            (json!({"1": "Ana", "2": ""}), false),
            (json!({"1": "Ana", "2": 5}), false),
            (json!({"1": "Ana", "2": "a\nb"}), false),
            (json!({"1": "Ana", "2": "a     b"}), false),
            (json!({"1": "Ana", "2": "[[x]]"}), false),
        ] {
            assert_eq!(validator.is_valid(&values), good, "{values}");
        }
    }
}
