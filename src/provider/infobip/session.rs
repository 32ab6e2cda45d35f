//! Messages without a template, each kind by a call of its own. What stands in a batch is as the
//! Cloud API has it; here it becomes what Infobip has.

use serde_json::{Map, Value as Json, json};

use super::interactive;
use super::said::Remarks;
use crate::batch::content::{Location, Media, MediaKind};
use crate::batch::fault::Code;
use crate::batch::terms::Part;
use crate::batch::{Content, Options};

/// The longest name and address of a place, in characters.
const PLACE_CHARS_MAX: usize = 1000;
/// The longest name of a document, in characters.
const FILENAME_CHARS_MAX: usize = 240;

/// The call for a content that is no template, and its `content`.
pub(super) fn content(
    content: &Content,
    options: &Options,
    remarks: &mut Remarks,
) -> (&'static str, Json) {
    match content {
        Content::Text { body, preview_url } => ("text", text(body, *preview_url, options, remarks)),
        Content::Media {
            kind,
            media,
            caption,
            voice,
        } => {
            let (call, mut file) = file((*kind, media), caption.as_deref(), remarks);
            if let Some(voice) = voice {
                file["voice"] = json!(voice);
            }
            (call, file)
        }
        Content::Location(place) => ("location", location(place, remarks)),
        Content::Contacts(cards) => ("contact", json!({ "contacts": contacts(cards, remarks) })),
        Content::Interactive(message) => interactive::content(message, remarks),
        Content::Template(_) | Content::Reaction { .. } => {
            let expected = "a message of a kind that Infobip sends";
            let code = Code::SessionType;
            remarks.fault(Part::Content, code, expected, "a reaction");
            ("text", Json::Null)
        }
    }
}

fn text(body: &str, preview: bool, options: &Options, remarks: &mut Remarks) -> Json {
    let mut text = json!({ "text": body });
    let bare = |it: &crate::batch::UrlOptions| it.remove_protocol == Some(true);
    let is_bare = options.url_options.as_deref().is_some_and(bare);
    if preview && is_bare {
        let expected = "`removeProtocol` or `previewUrl`, not both";
        let found = "both; no preview is shown";
        remarks.warn(Part::Content, Code::BatchBadValue, expected, found);
    }
    // Asking for a preview where there is nothing to show is refused.
    let has_link = body.contains("http://") || body.contains("https://");
    if preview && has_link && !is_bare {
        text["previewUrl"] = json!(true);
    }
    text
}

fn file(
    (kind, media): (MediaKind, &Media),
    caption: Option<&str>,
    remarks: &mut Remarks,
) -> (&'static str, Json) {
    let mut file = json!({ "mediaUrl": remarks.link(Part::Content, media) });
    let call = match kind {
        MediaKind::Image => "image",
        MediaKind::Video | MediaKind::Gif => "video",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Sticker => "sticker",
    };
    if let Some(caption) = caption {
        file["caption"] = json!(caption);
    }
    if kind == MediaKind::Document
        && let Some(name) = &media.filename
    {
        remarks.length(Part::Content, Some(name), FILENAME_CHARS_MAX);
        file["filename"] = json!(name);
    }
    (call, file)
}

fn location(place: &Location, remarks: &mut Remarks) -> Json {
    let mut location = json!({ "latitude": place.latitude, "longitude": place.longitude });
    for (key, text) in [("name", &place.name), ("address", &place.address)] {
        remarks.length(Part::Content, text.as_deref(), PLACE_CHARS_MAX);
        if let Some(text) = text {
            location[key] = json!(text);
        }
    }
    location
}

/// Contact cards: the same members under names with a hump instead of an underscore.
fn contacts(cards: &Json, remarks: &mut Remarks) -> Json {
    let cards = cards.as_array().map_or(&[][..], Vec::as_slice);
    for card in cards {
        if !card["name"]["first_name"].is_string() {
            let expected = "`first_name` in the name of each contact";
            remarks.fault(Part::Content, Code::BatchMissingKey, expected, "none");
        }
    }
    Json::Array(cards.iter().map(humped).collect())
}

fn humped(value: &Json) -> Json {
    /// What is called otherwise, beyond the humps.
    const NAMES: [(&str, &str); 2] = [("prefix", "namePrefix"), ("suffix", "nameSuffix")];
    match value {
        Json::Object(members) => {
            let member = |(key, value): (&String, &Json)| {
                let other = NAMES.iter().find(|(theirs, _)| theirs == key);
                let key = other.map_or_else(|| hump(key), |(_, ours)| (*ours).to_owned());
                (key, humped(value))
            };
            Json::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        Json::Array(items) => items.iter().map(humped).collect(),
        other => other.clone(),
    }
}

fn hump(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut is_first = false;
    for c in key.chars() {
        match c {
            '_' => is_first = true,
            c if is_first => {
                name.push(c.to_ascii_uppercase());
                is_first = false;
            }
            c => name.push(c),
        }
    }
    name
}
