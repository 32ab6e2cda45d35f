//! What is sent without a template, as a body of the Channels API. Interactive contents come in the
//! Cloud API's form, whose limits were checked already; what Bird has no body for is an objection.

use serde_json::{Map, Value as Json, json};

use crate::batch::Content;
use crate::batch::content::{Location, Media, MediaKind};
use crate::batch::fault::Code;
use crate::batch::terms::{Objection, Part};

type Said = Result<Json, Vec<Objection>>;

/// What is sent without a template. A template is none of it.
pub(super) fn body(content: &Content) -> Said {
    match content {
        Content::Text { body, preview_url } => {
            let metadata = json!({ "whatsapp": { "previewUrl": preview_url } });
            Ok(of_kind(
                "text",
                json!({ "text": body, "metadata": metadata }),
            ))
        }
        Content::Media {
            kind,
            media,
            caption,
            ..
        } => {
            let file = File::of(media)?;
            Ok(with_file(*kind, &file, caption.as_deref(), None))
        }
        Content::Location(place) => Ok(of_kind("location", location(place))),
        Content::Interactive(object) => interactive(object),
        Content::Contacts(_) => Err(unsayable("contact cards")),
        Content::Reaction { .. } => Err(unsayable("a reaction")),
        Content::Template(_) => Err(unsayable("a template")),
    }
}

fn of_kind(kind: &str, said: Json) -> Json {
    let mut body = Map::new();
    body.insert("type".into(), json!(kind));
    body.insert(kind.into(), said);
    Json::Object(body)
}

fn unsayable(found: &str) -> Vec<Objection> {
    let expected = "a text, a file, a place, or an interactive message with answers, a list, one \
                    link or the request for a place";
    vec![
        Objection::fault(Part::Content, Code::BatchUnsupportedKey, expected, found)
            .hint("Bird has no such message; a template may do"),
    ]
}

fn unshown(what: &str, hint: &str) -> Objection {
    let expected = format!("no {what}");
    let found = format!("a {what}");
    Objection::fault(Part::Content, Code::BatchUnsupportedKey, expected, found).hint(hint)
}

/// A file that can be fetched.
struct File<'a> {
    link: &'a str,
    filename: Option<&'a str>,
}

impl<'a> File<'a> {
    fn of(media: &'a Media) -> Result<Self, Vec<Objection>> {
        Ok(Self {
            link: media
                .source
                .link()
                .ok_or_else(|| vec![by_id(Part::Content)])?,
            filename: media.filename.as_deref(),
        })
    }

    fn of_cloud(object: &'a Json) -> Result<Self, Vec<Objection>> {
        Ok(Self {
            link: object["link"]
                .as_str()
                .ok_or_else(|| vec![by_id(Part::Content)])?,
            filename: object["filename"].as_str(),
        })
    }

    /// The ending of its name, or of the last part of its address.
    fn ending(&self) -> String {
        let path = self.link.split(['?', '#']).next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let of = |name: &str| Some(name.rsplit_once('.')?.1.to_ascii_lowercase());
        let named = self.filename.and_then(of);
        named.or_else(|| of(last)).unwrap_or_default()
    }
}

/// A file that only its provider knows.
pub(super) fn by_id(part: Part) -> Objection {
    let (expected, found) = ("the address of the file", "an id");
    Objection::fault(part, Code::MediaSource, expected, found)
        .hint("Bird fetches each file itself: write its address")
}

/// The type of a file, from its ending, or else what WhatsApp takes most of among its kind.
pub(super) fn content_type(kind: MediaKind, ending: &str) -> &'static str {
    match (kind, ending) {
        (MediaKind::Video | MediaKind::Gif, "3gp" | "3gpp") => "video/3gpp",
        (MediaKind::Video | MediaKind::Gif, _) => "video/mp4",
        (MediaKind::Audio, "aac") => "audio/aac",
        (MediaKind::Audio, "amr") => "audio/amr",
        (MediaKind::Audio, "m4a" | "mp4") => "audio/mp4",
        (MediaKind::Audio, "ogg" | "opus") => "audio/ogg",
        (MediaKind::Audio, _) => "audio/mpeg",
        (MediaKind::Sticker, _) => "image/webp",
        (MediaKind::Image, "png") => "image/png",
        (MediaKind::Image, _) => "image/jpeg",
        (MediaKind::Document, "pdf") => "application/pdf",
        (MediaKind::Document, "txt") => "text/plain",
        (MediaKind::Document, "csv") => "text/csv",
        (MediaKind::Document, "zip") => "application/zip",
        (MediaKind::Document, "doc") => "application/msword",
        (MediaKind::Document, "xls") => "application/vnd.ms-excel",
        (MediaKind::Document, "ppt") => "application/vnd.ms-powerpoint",
        (MediaKind::Document, "docx") => {
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        }
        (MediaKind::Document, "xlsx") => {
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        }
        (MediaKind::Document, "pptx") => {
            "application/vnd.openxmlformats-officedocument.presentationml.presentation"
        }
        (MediaKind::Document, _) => "application/octet-stream",
    }
}

/// A file with the text and the actions beneath it.
fn with_file(kind: MediaKind, file: &File<'_>, text: Option<&str>, actions: Option<Json>) -> Json {
    let mut said = Map::new();
    // A sticker is an image to Bird, by the table of its manual.
    let (word, list) = match kind {
        MediaKind::Image | MediaKind::Sticker => ("image", "images"),
        _ => ("file", "files"),
    };
    let mut own = json!({ "mediaUrl": file.link });
    if word == "file" {
        own["contentType"] = json!(content_type(kind, &file.ending()));
        if let Some(name) = file.filename {
            own["filename"] = json!(name);
        }
    }
    said.insert(list.into(), json!([own]));
    if let Some(text) = text {
        said.insert("text".into(), json!(text));
    }
    if let Some(actions) = actions {
        said.insert("actions".into(), actions);
    }
    of_kind(word, Json::Object(said))
}

fn location(place: &Location) -> Json {
    let coordinates = json!({ "latitude": place.latitude, "longitude": place.longitude });
    let mut said = json!({ "coordinates": coordinates });
    for (key, text) in [("label", &place.name), ("address", &place.address)] {
        if let Some(text) = text {
            said["location"][key] = json!(text);
        }
    }
    said
}

fn interactive(object: &Json) -> Said {
    let action = &object["action"];
    match object["type"].as_str().unwrap_or_default() {
        "button" => {
            let buttons = each(&action["buttons"]).map(|button| postback(&button["reply"]));
            tappable(object, buttons.collect())
        }
        "cta_url" => {
            let own = &action["parameters"];
            let link = json!({ "text": own["display_text"], "url": own["url"] });
            tappable(object, json!([{ "type": "link", "link": link }]))
        }
        "location_request_message" => tappable(object, json!([{ "type": "locationRequest" }])),
        "list" => list(object),
        "flow" => Err(unsayable("a flow")),
        "product" | "product_list" | "catalog_message" => Err(unsayable("products")),
        _ => Err(unsayable("another interactive message")),
    }
}

/// A text, perhaps beneath a file, with something to tap.
fn tappable(object: &Json, actions: Json) -> Said {
    let text = object["body"]["text"].as_str().unwrap_or_default();
    let mut objections = footer(object);
    let header = &object["header"];
    let said = match header["type"].as_str() {
        None => Ok(of_kind("text", json!({ "text": text, "actions": actions }))),
        Some("text") => Err(vec![unshown(
            "header of text",
            "Bird shows a file or nothing above buttons: write the header into the body",
        )]),
        Some(name) => match file_kind(name) {
            Some(kind) => File::of_cloud(&header[name])
                .map(|file| with_file(kind, &file, Some(text), Some(actions))),
            None => Err(unsayable("another header")),
        },
    };
    match said {
        Ok(said) if objections.is_empty() => Ok(said),
        said => {
            objections.extend(said.err().unwrap_or_default());
            Err(objections)
        }
    }
}

fn footer(object: &Json) -> Vec<Objection> {
    let there = object.get("footer").is_some_and(|footer| !footer.is_null());
    let hint = "Bird has no place for it: write it into the body, or leave it out";
    there.then(|| unshown("footer", hint)).into_iter().collect()
}

fn file_kind(name: &str) -> Option<MediaKind> {
    match name {
        "image" => Some(MediaKind::Image),
        "video" => Some(MediaKind::Video),
        "document" => Some(MediaKind::Document),
        _ => None,
    }
}

fn list(object: &Json) -> Said {
    let objections = footer(object);
    if !objections.is_empty() {
        return Err(objections);
    }
    let mut said = Map::new();
    let title = &object["header"]["text"];
    if !title.is_null() {
        said.insert("title".into(), title.clone());
    }
    said.insert("text".into(), object["body"]["text"].clone());
    let sections: Vec<Json> = each(&object["action"]["sections"]).map(section).collect();
    said.insert("items".into(), Json::Array(sections));
    let label = json!({ "button": { "label": object["action"]["button"] } });
    said.insert("metadata".into(), label);
    Ok(of_kind("list", Json::Object(said)))
}

fn section(section: &Json) -> Json {
    let mut said = Map::new();
    if let Some(title) = section["title"].as_str().filter(|title| !title.is_empty()) {
        said.insert("title".into(), json!(title));
    }
    let rows: Vec<Json> = each(&section["rows"]).map(postback).collect();
    said.insert("actions".into(), Json::Array(rows));
    Json::Object(said)
}

/// What is tapped, and what comes back for it.
fn postback(own: &Json) -> Json {
    let mut said = json!({ "text": own["title"], "payload": own["id"] });
    if let Some(description) = own["description"].as_str().filter(|it| !it.is_empty()) {
        said["metadata"] = json!({ "description": { "label": description } });
    }
    json!({ "type": "postback", "postback": said })
}

fn each(list: &Json) -> impl Iterator<Item = &Json> {
    list.as_array().into_iter().flatten()
}
