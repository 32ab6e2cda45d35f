//! A message as the Channels API's send call wants it. Members stand in a fixed order, so that the
//! same message always gives the same bytes. What Bird has no words for is an objection, and the
//! same one whether a file is checked or a message is sent.

use serde_json::{Map, Value as Json, json};

use super::{Settings, filling, session};
use crate::batch::terms::Objection;
use crate::batch::{Content, Message, Moment, Options};
use crate::provider::Load;

/// The body of the request that sends the one message of a load.
pub(super) fn envelope(load: &Load<'_>, settings: &Settings) -> Result<Vec<u8>, Vec<Objection>> {
    let (id, message) = (&load.ids[0], load.messages[0]);
    let (key, said) = said(&message.content, settings)?;
    let contact = json!({
        "identifierKey": "phonenumber",
        "identifierValue": message.to.as_str(),
    });
    let mut envelope = Map::new();
    envelope.insert("receiver".into(), json!({ "contacts": [contact] }));
    envelope.insert("reference".into(), json!(id.to_string()));
    envelope.insert(key.into(), said);
    asked(&message.options, &mut envelope);
    if message.ignore_quiet_hours {
        envelope.insert("ignoreQuietHours".into(), json!(true));
    }
    envelope.insert("validity".into(), json!(seconds_left(message, load.at)));
    Ok(Json::Object(envelope).to_string().into_bytes())
}

/// The member that says what the recipient will get.
pub(super) fn said(
    content: &Content,
    settings: &Settings,
) -> Result<(&'static str, Json), Vec<Objection>> {
    match content {
        Content::Template(filling) => {
            filling::template(filling, settings).map(|said| ("template", said))
        }
        other => session::body(other).map(|said| ("body", said)),
    }
}

/// What is asked for besides. Keys that are not honoured never come as far as this.
fn asked(options: &Options, envelope: &mut Map<String, Json>) {
    if let Some(id) = &options.reply_to {
        envelope.insert("replyTo".into(), json!({ "id": id, "type": "message" }));
    }
    if let Some(use_case) = &options.use_case {
        let own = json!({ "extraInformation": { "useCase": use_case } });
        envelope.insert("meta".into(), own);
    }
    if options.frequency_cap {
        envelope.insert("capFrequency".into(), json!(true));
    }
    let tracked = options.url_options.as_ref().and_then(|it| it.track_clicks);
    if let Some(tracked) = tracked {
        envelope.insert("enableLinkTracking".into(), json!(tracked));
    }
    if !options.tags.is_empty() {
        // Bird makes them lower-case itself; so they are found again as they were sent.
        let tags: Vec<String> = options.tags.iter().map(|tag| tag.to_lowercase()).collect();
        envelope.insert("tags".into(), json!(tags));
    }
}

/// For how long the message may be sent, so that it does not leave Bird's queue after its expiry.
/// Never zero, which may well mean "without an end".
fn seconds_left(message: &Message, at: Moment) -> i64 {
    let ms = message.expires_at.as_millis() - at.as_millis();
    (ms / 1000).max(1)
}
