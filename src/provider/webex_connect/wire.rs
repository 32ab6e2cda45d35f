//! A message as Webex Connect wants it: one envelope with one recipient, its members in a fixed
//! order. What cannot be written so was objected to before.

use serde_json::{Map, Value as Json, json};

use super::NumberFormat;
use super::parameters::{media_name, parameters};
use crate::batch::content::{Location, Media, MediaKind};
use crate::batch::{Content, Filling, Message, UrlOptions};
use crate::delivery::{AttemptId, Sender};

/// The body of the request that sends `message` as the attempt `id`.
pub(super) fn envelope(
    sender: &Sender,
    id: &AttemptId,
    message: &Message,
    format: NumberFormat,
) -> Vec<u8> {
    let number = message.to.as_str();
    let number = match format {
        NumberFormat::Digits => number.trim_start_matches('+'),
        NumberFormat::Plus => number,
    };
    let mut envelope = json!({
        "deliverychannel": "whatsapp",
        "appid": sender.provider_id,
        "destination": [{ "waid": [number] }],
    });
    let mut wa = Map::new();
    match &message.content {
        Content::Template(filling) => envelope["message"] = template(filling),
        other => wa = content(other),
    }
    if let Some(hash) = &message.options.identity_hash {
        wa.insert("identity_key_hash".into(), json!(hash));
    }
    if !wa.is_empty() {
        envelope["channels"] = json!({ "OTT-Messaging": { "wa": wa } });
    }
    let links = message.options.url_options.as_deref();
    if let Some(options) = links.and_then(options) {
        envelope["options"] = options;
    }
    envelope["correlationid"] = json!(id.to_string());
    envelope["expiry"] = json!(message.expires_at.to_string());
    envelope.to_string().into_bytes()
}

fn template(filling: &Filling) -> Json {
    let id = filling.handle.as_ref().map_or("", |handle| &handle.id);
    json!({ "template": id, "parameters": parameters(filling) })
}

/// Whether anything is to be done with the links of a message.
pub(super) fn wants_links(links: &UrlOptions) -> bool {
    links.shorten_url == Some(true) || links.track_clicks == Some(true)
}

/// What is done with links; flags are written as texts.
fn options(links: &UrlOptions) -> Option<Json> {
    let flag = |flag: Option<bool>| flag.unwrap_or_default().to_string();
    wants_links(links).then(|| {
        json!({
            "trackClicks": flag(links.track_clicks),
            "shortenLinks": flag(links.shorten_url),
            "domain": links.custom_domain,
        })
    })
}

/// What is sent without a template: its type, and a member of that name.
fn content(content: &Content) -> Map<String, Json> {
    let (kind, value) = match content {
        Content::Text { body, .. } => ("text", json!({ "body": body })),
        Content::Media {
            kind,
            media,
            caption,
            ..
        } => (media_name(*kind), file(*kind, media, caption.as_deref())),
        Content::Location(place) => ("location", location(place)),
        Content::Contacts(contacts) => ("contacts", contacts.clone()),
        Content::Interactive(interactive) => tapped(interactive),
        Content::Template(_) | Content::Reaction { .. } => return Map::new(),
    };
    let mut wa = Map::new();
    wa.insert("type".into(), json!(kind));
    wa.insert(kind.into(), value);
    if let Content::Text { preview_url, .. } = content {
        wa.insert("preview_url".into(), json!(preview_url.to_string()));
    }
    wa
}

fn file(kind: MediaKind, media: &Media, caption: Option<&str>) -> Json {
    let link = media.source.link().unwrap_or_default();
    let mut file = json!({ "url": link, "mimeType": mime_type(kind, link) });
    if let Some(filename) = &media.filename {
        file["filename"] = json!(filename);
    }
    if let Some(caption) = caption {
        file["caption"] = json!(caption);
    }
    file
}

/// The endings that files of a kind have, with the type that each says.
pub(super) const fn endings(kind: MediaKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        MediaKind::Image => &[
            ("jpg", "image/jpeg"),
            ("jpeg", "image/jpeg"),
            ("png", "image/png"),
        ],
        MediaKind::Video | MediaKind::Gif => &[
            ("mp4", "video/mp4"),
            ("3gp", "video/3gpp"),
            ("3gpp", "video/3gpp"),
        ],
        MediaKind::Audio => &[
            ("aac", "audio/aac"),
            ("m4a", "audio/mp4"),
            ("mp4", "audio/mp4"),
            ("mp3", "audio/mpeg"),
            ("mpeg", "audio/mpeg"),
            ("amr", "audio/amr"),
            ("ogg", "audio/ogg"),
        ],
        MediaKind::Document => &[
            ("pdf", "application/pdf"),
            ("txt", "text/plain"),
            ("doc", "application/msword"),
            (
                "docx",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            ("ppt", "application/vnd.ms-powerpoint"),
            (
                "pptx",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            ),
            ("xls", "application/vnd.ms-excel"),
            (
                "xlsx",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ),
        ],
        MediaKind::Sticker => &[("webp", "image/webp")],
    }
}

/// The type of a file, by the ending of its address; `None` if that says none of its kind.
pub(super) fn mime_type(kind: MediaKind, link: &str) -> Option<&'static str> {
    let url = url::Url::parse(link).ok()?;
    let (_, ending) = url.path().rsplit('/').next()?.rsplit_once('.')?;
    let of_kind = endings(kind).iter();
    let mut own = of_kind.filter(|(known, _)| known.eq_ignore_ascii_case(ending));
    own.next().map(|(_, mime)| *mime)
}

/// Coordinates are texts here.
fn location(place: &Location) -> Json {
    let mut location = json!({
        "longitude": place.longitude.to_string(),
        "latitude": place.latitude.to_string(),
    });
    if let Some(name) = &place.name {
        location["name"] = json!(name);
    }
    if let Some(address) = &place.address {
        location["address"] = json!(address);
    }
    location
}

/// Buttons and lists: as in the Cloud API, but for their names and how a header says its file.
fn tapped(interactive: &Json) -> (&'static str, Json) {
    let kind = match interactive["type"].as_str() {
        Some("list") => "list",
        _ => "reply",
    };
    let mut written = Map::new();
    for key in ["header", "body", "footer", "action"] {
        match interactive.get(key) {
            Some(header) if key == "header" => written.insert(key.into(), heading(header)),
            Some(value) => written.insert(key.into(), value.clone()),
            None => None,
        };
    }
    (kind, written.into())
}

fn heading(header: &Json) -> Json {
    let kind = header["type"].as_str().unwrap_or_default();
    if kind == "text" {
        return header.clone();
    }
    let mut file = json!({ "url": header[kind]["link"] });
    if let Some(filename) = header[kind].get("filename") {
        file["filename"] = filename.clone();
    }
    json!({ "type": kind, kind: file })
}
