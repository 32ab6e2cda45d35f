//! An approved template becomes the JSON Schema that its messages must satisfy.
//!
//! `definition` reads what providers list, `shape` says what varies, `parts` puts together what a
//! row and its head say, `check` holds that against the schema and `filling` makes of it what
//! providers are given. Where definitions come from is for others to know.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value as Json;

use super::content::Handle;
use super::fault::{Code, Trouble};
use super::values::Filled;
use super::{Content, Phone};

mod check;
mod definition;
mod example;
mod filling;
mod parts;
mod places;
mod plain;
mod reads;
mod schema;
mod shape;
mod text;
#[cfg(test)]
mod trial;
mod variable;
mod words;

pub use definition::TemplateProblem;
pub(super) use parts::{
    HeadParts, PLACEHOLDERS_MAX, Parts, keys_twice, resolve, second_value, too_many, wrong_count,
};
pub(super) use places::{HeaderNeed, Places};
use schema::PRODUCTS_MAX;
pub use variable::Variable;
pub(super) use words::{is_marked, unfinished};

/// How many unknown names of one row are compared with the known ones.
pub(super) const HINTS_MAX: usize = 5;

/// The templates of one tenant, whether they can be sent or not. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    by_name: Arc<HashMap<String, BTreeMap<String, Arc<Template>>>>,
    by_id: Arc<HashMap<String, Vec<Arc<Template>>>>,
}

/// One template in one language.
pub struct Template {
    /// The provider's own id; empty if the definition has none.
    id: String,
    name: String,
    language: String,
    status: String,
    /// Whether the provider sends templates in this state.
    sendable: bool,
    /// Whether the provider files it under marketing.
    marketing: bool,
    shape: shape::Shape,
    /// The component that cannot be filled; empty if there is none.
    unsupported: String,
    /// The provider's own names for what varies.
    variables: BTreeMap<String, Variable>,
    schema: Json,
    validator: Validator<Filled>,
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
    /// Reads definitions: each file is one template, an array of them, or a whole answer with
    /// them, as the Cloud API or Infobip gives it. What cannot be read is told and left out.
    pub fn parse(files: &[(String, Vec<u8>)]) -> (Self, Vec<TemplateProblem>) {
        let mut by_name: HashMap<String, BTreeMap<String, Arc<Template>>> = HashMap::new();
        let mut by_id: HashMap<String, Vec<Arc<Template>>> = HashMap::new();
        let mut problems = Vec::new();
        for (file, bytes) in files {
            let mut problem = |text: String| {
                problems.push(TemplateProblem {
                    file: file.clone(),
                    text,
                });
            };
            for read in definition::read(bytes) {
                let template = match read {
                    Ok(template) => Arc::new(template),
                    Err(text) => {
                        problem(text);
                        continue;
                    }
                };
                let languages = by_name.entry(template.name.clone()).or_default();
                if languages.contains_key(&template.language) {
                    problem(format!(
                        "`{}` in `{}` is defined twice; the first definition stays",
                        template.name, template.language
                    ));
                    continue;
                }
                if !template.id.is_empty() {
                    let sharing = by_id.entry(template.id.clone()).or_default();
                    sharing.push(template.clone());
                }
                languages.insert(template.language.clone(), template);
            }
        }
        let (by_name, by_id) = (Arc::new(by_name), Arc::new(by_id));
        (Self { by_name, by_id }, problems)
    }

    /// These beside those that a provider lists. What both have is filled as it stands here, and
    /// sent only if the provider would send it.
    #[must_use]
    pub fn beside(&self, listed: &Self) -> Self {
        let mut by_name = HashMap::clone(&listed.by_name);
        for template in self.all() {
            let languages = by_name.entry(template.name.clone()).or_default();
            let known = languages.entry(template.language.clone());
            let known = known.or_insert_with(|| Arc::clone(template));
            if known.sendable {
                *known = Arc::clone(template);
            }
        }
        let mut by_id: HashMap<String, Vec<Arc<Template>>> = HashMap::new();
        for template in by_name.values().flat_map(BTreeMap::values) {
            if !template.id.is_empty() {
                let sharing = by_id.entry(template.id.clone()).or_default();
                sharing.push(Arc::clone(template));
            }
        }
        let (by_name, by_id) = (Arc::new(by_name), Arc::new(by_id));
        Self { by_name, by_id }
    }

    /// The templates with this id of the provider's, in their several languages.
    pub fn by_id(&self, id: &str) -> &[Arc<Template>] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// The template with this name and language, whether it can be sent or not.
    pub fn get(&self, name: &str, language: &str) -> Option<&Arc<Template>> {
        self.by_name.get(name)?.get(language)
    }

    /// The templates that can be sent, by name and language.
    pub fn usable(&self) -> Vec<&Arc<Template>> {
        let mut usable = self.all();
        usable.retain(|template| template.is_usable());
        usable
    }

    /// All templates, whether they can be sent or not, by name and language.
    pub fn all(&self) -> Vec<&Arc<Template>> {
        let mut all: Vec<_> = self.by_name.values().flat_map(BTreeMap::values).collect();
        all.sort_by_key(|template| (&template.name, &template.language));
        all
    }

    /// How many templates there are, whether they can be sent or not.
    pub fn len(&self) -> usize {
        self.by_name.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The JSON Schema for what a row says to this template.
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
                Some(template.text(filling))
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
        if !template.sendable {
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
                expected: "a template whose components can all be filled".into(),
                found: format!("a template with {}", template.unsupported),
                hint: "use a template without it".into(),
            }));
        }
        Ok(template)
    }

    /// The template to send that has this id with its provider, or why there is none. Without a
    /// language the id must mean one template alone.
    pub(super) fn find_by_id(
        &self,
        id: &str,
        language: Option<&str>,
    ) -> Result<Arc<Template>, Trouble> {
        let all = self.by_id(id);
        let wanted = |template: &&Arc<Template>| {
            language.is_none_or(|language| template.language == language)
        };
        let found: Vec<&Arc<Template>> = all.iter().filter(wanted).collect();
        match found.as_slice() {
            [one] => match self.find(&one.name, &one.language) {
                Ok(template) => Ok(Arc::clone(template)),
                Err(LookupTrouble::Name(trouble) | LookupTrouble::Language(trouble)) => {
                    Err(trouble)
                }
            },
            [] if all.is_empty() => Err(Trouble::new(
                Code::TemplateUnknown,
                "the id of one of your templates",
                "an id that none of them has",
            )
            .hint("ask your operator for the ids in your template definitions")),
            _ => {
                let known = quoted_list(all.iter().map(|template| &template.language));
                let expected = format!("a language of this template: {known}");
                let found = match language {
                    Some(_) => "another language",
                    None => "none",
                };
                Err(Trouble::new(Code::TemplateLanguage, expected, found))
            }
        }
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

    /// The provider's own id; empty if the definition has none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its status, as the provider says it.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Why no message can be sent with it; `None` when messages can.
    pub fn obstacle(&self) -> Option<String> {
        if !self.sendable {
            Some("it is not approved".into())
        } else if self.unsupported.is_empty() {
            None
        } else {
            Some(format!("it has {}", self.unsupported))
        }
    }

    /// The place that a provider's own name for a variable means.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// How a provider knows it that does not call it by its name.
    pub fn handle(&self) -> Handle {
        let named = |wanted: &Variable| {
            let found = self.variables.iter().find(|(_, place)| *place == wanted);
            found.map(|(name, _)| name.clone())
        };
        let face = &self.shape.face;
        let varying = || {
            let buttons = (0_u8..).zip(&face.buttons);
            buttons.filter(|(_, button)| button.kind.varies())
        };
        let own = |name: &String| named(&Variable::Body(name.clone())).unwrap_or(name.clone());
        let body: Vec<String> = self.names().iter().map(own).collect();
        Handle {
            id: self.id.clone(),
            header: named(&Variable::Header).or_else(|| match &face.header {
                shape::HeaderKind::Text(text) => text.names.first().cloned(),
                _ => None,
            }),
            buttons: varying()
                .filter_map(|(index, button)| {
                    let own = match &button.kind {
                        shape::ButtonKind::Url(link) => link.name.clone(),
                        shape::ButtonKind::OneTimeCode => body.first().cloned(),
                        _ => None,
                    };
                    Some((index, named(&Variable::Button(index)).or(own)?))
                })
                .collect(),
            labels: varying()
                .filter(|(_, button)| !button.label.is_empty())
                .map(|(index, button)| (index, button.label.clone()))
                .collect(),
            body,
            one_time_code: face
                .buttons
                .iter()
                .any(|button| matches!(button.kind, shape::ButtonKind::OneTimeCode)),
        }
    }

    /// Whether messages can be sent with it.
    pub fn is_usable(&self) -> bool {
        self.sendable && self.unsupported.is_empty()
    }

    /// The JSON Schema (draft 2020-12) for what a row says to it.
    pub fn schema(&self) -> Json {
        self.schema.clone()
    }

    pub(super) fn is_authentication(&self) -> bool {
        self.shape.code
    }

    /// The names or numbers of the body's placeholders, in the order of the template.
    pub(super) fn names(&self) -> &[String] {
        &self.shape.face.body.names
    }

    /// Whether they have names; otherwise they are numbered.
    pub(super) fn is_named(&self) -> bool {
        self.shape.face.body.named
    }

    /// The buttons that a row has a say in, of the message itself or of the card in this place:
    /// each by its index, with the words for its kind.
    pub(super) fn varying_buttons(
        &self,
        card: Option<usize>,
    ) -> Vec<(usize, &'static [&'static str])> {
        let face = match card {
            None => Some(&self.shape.face),
            Some(place) => self.shape.cards.get(place),
        };
        let buttons = face.map_or(&[][..], |face| &face.buttons);
        let varying = buttons.iter().enumerate();
        let varying = varying.filter(|(_, button)| button.kind.varies());
        varying
            .map(|(index, button)| (index, button.kind.types()))
            .collect()
    }

    /// Which placeholder of the body has this name or number.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.shape.face.body.position(name)
    }

    /// Whether `message` is the approved text, whatever brackets it marks placeholders with.
    /// `declared` are the file's own names for them, in order.
    pub(super) fn says(&self, message: &str, declared: &[String]) -> bool {
        self.shape.face.body.is_said_by(message, declared)
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
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::terms::Needs;
    use super::super::tree::{Node, Value};
    use super::super::{Filling, Parameter};
    use super::*;

    fn parse(text: &str) -> (Templates, Vec<String>) {
        let (templates, problems) = Templates::parse(&[("t.json".into(), text.into())]);
        (templates, problems.into_iter().map(|it| it.text).collect())
    }

    const BUTTONS: &str = r#"{"name":"menu","language":"en","status":"APPROVED","category":"UTILITY",
        "components":[{"type":"BODY","text":"What now?"},{"type":"BUTTONS","buttons":[
        {"type":"QUICK_REPLY","text":"Yes"},{"type":"QUICK_REPLY","text":"No"},
        {"type":"URL","text":"See","url":"https://shop.example/{{1}}"}]}]}"#;
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
            let row = json!({ "to": "+31612345001", "placeholders": values });
            assert_eq!(validator.is_valid(&row), good, "{row}");
        }
    }

    /// The same for buttons, however a row lists them.
    #[test]
    fn the_schema_takes_buttons_that_are_sent_and_no_others() {
        let (templates, problems) = parse(BUTTONS);
        assert!(problems.is_empty(), "{problems:?}");
        let template = templates.get("menu", "en").expect("a template");
        let validator = jsonschema::draft202012::new(&template.schema()).expect("a schema");
        let button = |index: usize, value: &str| json!({ "index": index, "value": value });
        let kind = |kind: &str, values: Json| json!([{ "type": kind, "values": values }]);
        for (buttons, good) in [
            (json!([button(2, "x")]), true),
            (
                json!([{ "type": "url", "index": "2", "value": "x" }, button(0, "p")]),
                true,
            ),
            (kind("url", json!([button(2, "x")])), true),
            (json!([button(2, "a b")]), false),
            (json!([{ "index": 2, "value": "x", "note": 1 }]), false),
            (json!([{ "index": 2 }]), false),
            (json!([button(3, "x")]), false),
            (json!([{ "type": "flow", "index": 2, "value": "x" }]), false),
            (kind("url", json!([button(2, "a b")])), false),
            (kind("url", json!([{ "value": "x" }])), false),
            (kind("url", Json::Null), false),
        ] {
            let row = json!({ "templateButtons": buttons });
            assert_eq!(validator.is_valid(&row), good, "{row}");
            let text = row.to_string();
            let node = Node::parse(text.as_bytes()).expect("JSON");
            let Value::Object(entries) = &node.value else {
                panic!("an object");
            };
            let parts = Parts::new([None, None, Some(&entries[0].node), None, None]);
            let filled = template.fill(&parts, Needs::default());
            assert_eq!(filled.is_ok(), good, "{row}");
        }
    }
}
