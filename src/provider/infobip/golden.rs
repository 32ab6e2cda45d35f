//! The adapter against its golden cases, and against the schemas that Infobip has published.

use super::*;
use crate::provider::golden::{self, Golden};

const GOLDEN: Golden = Golden {
    folder: "infobip",
    adapter: |settings| {
        let auth = match settings["auth"].as_str() {
            Some("basic") => Auth::Basic,
            _ => Auth::ApiKey,
        };
        let notify_url = settings["notifyUrl"].as_str().unwrap_or_default();
        let settings = Settings {
            auth,
            notify_url: Secret::new(notify_url),
            ..Settings::default()
        };
        let url = "https://abc123.api.infobip.com".into();
        Box::new(Infobip::new(url, golden::token(), settings))
    },
    schema: schema_of,
    exceptions: &[],
};

/// The published description of each call.
const SCHEMAS: [(&str, &str); 16] = [
    ("template", "infobip/message-template.request"),
    ("text", "infobip/message-text.request"),
    ("image", "infobip/message-image.request"),
    ("video", "infobip/message-video.request"),
    ("document", "infobip/message-document.request"),
    ("audio", "infobip/message-audio.request"),
    ("sticker", "infobip/message-sticker.request"),
    ("location", "infobip/message-location.request"),
    ("contact", "infobip/message-contact.request"),
    (
        "interactive/buttons",
        "infobip/message-interactive-buttons.request",
    ),
    (
        "interactive/list",
        "infobip/message-interactive-list.request",
    ),
    (
        "interactive/url-button",
        "infobip/message-interactive-url-button.request",
    ),
    (
        "interactive/flow",
        "infobip/message-interactive-flow.request",
    ),
    (
        "interactive/product",
        "infobip/message-interactive-product.request",
    ),
    (
        "interactive/multi-product",
        "infobip/message-interactive-multi-product.request",
    ),
    (
        "interactive/location-request",
        "infobip/message-interactive-location-request.request",
    ),
];

/// The published description of a request.
pub(super) fn schema_of(request: &Request) -> Option<&'static str> {
    let (_, call) = request.url.split_once("/whatsapp/1/message/")?;
    let known = SCHEMAS.iter().find(|(known, _)| *known == call)?;
    Some(known.1)
}

/// A change of what is sent or of what an answer means must be seen by whoever reviews it.
#[test]
fn requests_and_outcomes_are_as_agreed() {
    GOLDEN.hold();
}

/// A request that the provider's own description refuses would fail for every tenant.
#[test]
fn requests_keep_to_the_published_schemas() {
    let judged = GOLDEN.judge_requests();
    assert!(judged >= 65, "{judged}");
}
