//! Messages as broadcasts: one for each template, language and skeleton, in which every value that
//! may differ is a reference to the user's own, and no number stands twice.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use url::form_urlencoded::byte_serialize;

use super::{AddressFormat, LanguageShape, Settings};
use crate::batch::content::{ButtonValue, Header, MediaKind};
use crate::batch::{Content, Filling, Message, Parameter};

/// A broadcast.
#[derive(Debug, PartialEq)]
pub(super) struct Broadcast {
    /// What is the same for all users.
    template: Json,
    /// The users, in order.
    pub(super) users: Vec<User>,
    /// Their digits.
    known: BTreeSet<String>,
}

/// A user of a broadcast.
#[derive(Debug, PartialEq)]
pub(super) struct User {
    /// The message's place in its load.
    pub(super) place: usize,
    /// The digits of the number, by which answers tell users apart.
    pub(super) digits: String,
    params: Map<String, Json>,
}

/// Puts messages, each with its place, into as few broadcasts as they fit into.
pub(super) fn broadcasts<'m>(
    messages: impl Iterator<Item = (usize, &'m Message)>,
    settings: &Settings,
) -> Vec<Broadcast> {
    let mut broadcasts: Vec<Broadcast> = Vec::new();
    for (place, message) in messages {
        let Content::Template(filling) = &message.content else {
            continue;
        };
        let (template, params) = skeleton(filling, settings);
        let digits = digits(message.to.as_str());
        let fits = |it: &&mut Broadcast| it.template == template && !it.known.contains(&digits);
        let user = User {
            place,
            digits: digits.clone(),
            params,
        };
        if let Some(broadcast) = broadcasts.iter_mut().find(fits) {
            broadcast.known.insert(digits);
            broadcast.users.push(user);
        } else {
            broadcasts.push(Broadcast {
                template,
                users: vec![user],
                known: BTreeSet::from([digits]),
            });
        }
    }
    broadcasts
}

/// The digits of a number.
pub(super) fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

impl Broadcast {
    /// The body of the request that makes it.
    pub(super) fn body(&self, settings: &Settings) -> Vec<u8> {
        let profile = &settings.profile;
        let user = |user: &User| {
            let address = match profile.user_address_format {
                AddressFormat::Plus => format!("+{}", user.digits),
                AddressFormat::Digits => user.digits.clone(),
            };
            let mut written = Map::new();
            written.insert(profile.user_address_key.clone(), json!(address));
            if !user.params.is_empty() {
                written.insert(profile.user_params_key.clone(), json!(user.params));
            }
            Json::Object(written)
        };
        let users: Vec<Json> = self.users.iter().map(user).collect();
        let body = json!({ "template": self.template, "users": users });
        body.to_string().into_bytes()
    }
}

/// The path at which broadcasts are made.
pub(super) fn create_path(settings: &Settings) -> String {
    let path = &settings.profile.create_path;
    path.replace("{bot_id}", &settings.bot_id)
}

/// The path at which the state of one is asked for.
pub(super) fn status_path(settings: &Settings, id: &str) -> String {
    let id: String = byte_serialize(id.as_bytes()).collect();
    let path = &settings.profile.status_path;
    let path = path.replace("{create_path}", &create_path(settings));
    path.replace("{bot_id}", &settings.bot_id)
        .replace("{id}", &id)
}

/// The template as all users have it, and the values that are this user's own.
fn skeleton(filling: &Filling, settings: &Settings) -> (Json, Map<String, Json>) {
    let mut values = Values::default();
    let mut components = Vec::new();
    if let Some(header) = &filling.header {
        let parameter = values.header(header);
        components.push(json!({ "type": "header", "parameters": [parameter] }));
    }
    if !filling.body.is_empty() {
        let parameters: Vec<Json> = filling.body.iter().map(|it| values.reference(it)).collect();
        components.push(json!({ "type": "body", "parameters": parameters }));
    }
    for button in &filling.buttons {
        let (sub_type, parameter) = match &button.value {
            ButtonValue::Url(end) => ("url", values.reference(end)),
            ButtonValue::QuickReply(payload) => (
                "quick_reply",
                // References are documented for texts alone.
                json!({ "type": "payload", "payload": payload }),
            ),
            _ => continue,
        };
        components.push(json!({
            "type": "button",
            "sub_type": sub_type,
            "index": button.index,
            "parameters": [parameter],
        }));
    }
    let profile = &settings.profile;
    let language = match profile.language_shape {
        LanguageShape::Plain => json!(filling.language),
        LanguageShape::Code => json!({ "code": filling.language }),
    };
    let mut template = Map::new();
    template.insert(profile.template_name_key.clone(), json!(filling.name));
    template.insert(profile.template_language_key.clone(), language);
    template.insert("components".into(), components.into());
    (template.into(), values.params)
}

/// The values of one user, named as they come.
#[derive(Default)]
struct Values {
    params: Map<String, Json>,
}

impl Values {
    /// A parameter that refers to this value.
    fn reference(&mut self, value: &Parameter) -> Json {
        let name = format!("p{}", self.params.len() + 1);
        let mut parameter = json!({ "type": "text", "text": format!("{{{{ {name} }}}}") });
        if let Some(own) = value.name.as_deref().filter(|own| !own.is_empty()) {
            parameter["parameter_name"] = json!(own);
        }
        self.params.insert(name, json!(value.text));
        parameter
    }

    fn header(&mut self, header: &Header) -> Json {
        match header {
            Header::Text(text) => self.reference(text),
            Header::Media(kind, media) => {
                let name = media_name(*kind);
                let mut file = json!({ "link": media.source.link() });
                if let Some(filename) = &media.filename {
                    file["filename"] = json!(filename);
                }
                json!({ "type": name, name: file })
            }
            Header::Location(_) | Header::Product { .. } => Json::Null,
        }
    }
}

fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video | MediaKind::Gif => "video",
        MediaKind::Document => "document",
        MediaKind::Image | MediaKind::Audio | MediaKind::Sticker => "image",
    }
}
