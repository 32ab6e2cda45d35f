//! A template and its values, as the Channels API wants them: the template by its project, each
//! value by the name that the template's author gave its place. The definition says both; what it
//! does not say is an objection that tells how to write it there.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use super::{Settings, TemplateValues, is_uuid, session};
use crate::batch::Filling;
use crate::batch::content::{Button, ButtonValue, Handle, Header};
use crate::batch::fault::Code;
use crate::batch::terms::{Objection, Part};

/// The `template` member for a filling.
pub(super) fn template(filling: &Filling, settings: &Settings) -> Result<Json, Vec<Objection>> {
    let unknown = Handle::default();
    let handle = filling.handle.as_deref().unwrap_or(&unknown);
    let mut values = Values::default();
    values.project(&handle.id);
    values.body(filling, handle);
    if let Some(header) = &filling.header {
        values.header(header, handle);
    }
    for button in &filling.buttons {
        values.button(button, handle);
    }
    values.unsayable(filling);
    if !values.objections.is_empty() {
        return Err(values.objections);
    }
    let mut template = json!({
        "projectId": handle.id,
        "version": settings.template_version,
        // The approved code is Meta's, as `en_US`; Bird writes the same tag as everybody else.
        "locale": filling.language.replace('_', "-"),
    });
    if !values.given.is_empty() {
        let form = settings.template_values;
        template[form.as_str()] = written(form, values.given);
    }
    Ok(template)
}

fn written(form: TemplateValues, given: Vec<(String, String)>) -> Json {
    match form {
        TemplateValues::Parameters => given
            .into_iter()
            .map(|(key, value)| json!({ "type": "string", "key": key, "value": value }))
            .collect(),
        TemplateValues::Variables => {
            let members = given.into_iter().map(|(key, value)| (key, json!(value)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// The values of one message, by their names and in their order.
#[derive(Default)]
struct Values {
    given: Vec<(String, String)>,
    places: HashMap<String, usize>,
    objections: Vec<Objection>,
}

impl Values {
    fn object(&mut self, part: Part, expected: &str, found: &str, hint: &str) {
        let fault = Objection::fault(part, Code::TemplateUnsupported, expected, found);
        self.objections.push(fault.hint(hint));
    }

    /// A place without a name: `written` is how its definition says one.
    fn unnamed(&mut self, part: Part, written: &str) {
        let hint = format!(
            "write Bird's name of it into the template's definition: `\"variables\": \
             {{\"name_at_bird\": \"{written}\"}}`"
        );
        let expected = "a place that has a name at Bird";
        self.object(part, expected, "one without a name", &hint);
    }

    fn project(&mut self, id: &str) {
        if !is_uuid(id) {
            let found = match id {
                "" => "a definition without an `id`",
                _ => "an `id` of another form",
            };
            let expected = "a template whose definition has the id of its project at Bird";
            let hint = "write `\"id\": \"…\"` with the project's id into the template's definition";
            self.object(Part::Template, expected, found, hint);
        }
    }

    /// One name is one value, wherever it stands.
    fn give(&mut self, part: Part, name: &str, value: &str) {
        match self.places.get(name) {
            None => {
                self.places.insert(name.to_owned(), self.given.len());
                self.given.push((name.to_owned(), value.to_owned()));
            }
            Some(&at) if self.given[at].1 == value => {}
            Some(_) => {
                let hint = "give both places the same value, or give each a name of its own in the \
                            definition's `variables`";
                let expected = "one value for places that have one name at Bird";
                self.object(part, expected, "two", hint);
            }
        }
    }

    fn body(&mut self, filling: &Filling, handle: &Handle) {
        for (at, parameter) in filling.body.iter().enumerate() {
            let own = handle.body.get(at).map(String::as_str);
            let number = (at + 1).to_string();
            // Authors name places. A number stands here where the definition names none.
            let own = own.filter(|own| parameter.name.is_some() || *own != number);
            match own.or(parameter.name.as_deref()) {
                Some(name) => self.give(Part::Placeholders, name, &parameter.text),
                None => self.unnamed(Part::Placeholders, &format!("body:{number}")),
            }
        }
    }

    fn header(&mut self, header: &Header, handle: &Handle) {
        let own = handle.header.as_deref();
        let (value, own) = match header {
            Header::Text(parameter) => {
                let is_name = |own: &&str| parameter.name.is_some() || own.parse::<u32>().is_err();
                (parameter.text.as_str(), own.filter(is_name))
            }
            Header::Media(_, media) => match media.source.link() {
                Some(link) => (link, own),
                None => return self.objections.push(session::by_id(Part::Header)),
            },
            Header::Location(_) => return self.no_value(Part::Header, "a place"),
            Header::Product { .. } => return self.no_value(Part::Header, "a product"),
        };
        match own {
            Some(name) => self.give(Part::Header, name, value),
            None => self.unnamed(Part::Header, "header"),
        }
    }

    /// A place that takes more than a text.
    fn no_value(&mut self, part: Part, found: &str) {
        let expected = "a template whose values are texts and addresses of files";
        let hint = "Bird documents no value of this kind: use a template without it";
        self.object(part, expected, found, hint);
    }

    fn button(&mut self, button: &Button, handle: &Handle) {
        let value = match &button.value {
            ButtonValue::QuickReply(text) | ButtonValue::CopyCode(text) => text,
            ButtonValue::Url(parameter) => &parameter.text,
            // These open without a word where nothing is said to them.
            ButtonValue::Catalog { thumbnail: None }
            | ButtonValue::VoiceCall {
                minutes: None,
                payload: None,
            }
            | ButtonValue::Flow {
                token: None,
                data: None,
            } => return,
            _ => return self.no_value(Part::Buttons, "another value of a button"),
        };
        let named = handle
            .buttons
            .iter()
            .find(|(index, _)| *index == button.index);
        match named {
            Some((_, name)) => self.give(Part::Buttons, name, value),
            None => self.unnamed(Part::Buttons, &format!("button:{}", button.index)),
        }
    }

    /// Cards and offers have no names that a definition could tell.
    fn unsayable(&mut self, filling: &Filling) {
        let varies = filling
            .cards
            .iter()
            .any(|card| card.header.is_some() || !card.body.is_empty() || !card.buttons.is_empty());
        if varies {
            self.no_value(Part::Cards, "cards that vary");
        }
        if filling.offer_expires_at.is_some() {
            self.no_value(Part::Offer, "an offer that ends");
        }
    }
}
