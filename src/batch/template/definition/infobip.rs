//! Infobip's list of templates says the same as the Cloud API's in other words. Here they are put
//! into those of the Cloud API; what they mean is for `cloud` to know.

use serde_json::{Map, Value as Json, json};

/// The states in which a template can be sent. One that was paused and is back is `REINSTATED`.
pub(super) const SENDABLE: [&str; 2] = ["APPROVED", "REINSTATED"];

/// The same definition as the Cloud API would list it.
pub(super) fn in_cloud_words(definition: &Json) -> Result<Json, String> {
    let structure = &definition["structure"];
    if structure["type"].as_str() == Some("UNSUPPORTED") {
        return Err("its `structure` is one that Infobip does not show".into());
    }
    let mut components = components(structure);
    if let Some(cards) = structure["carousel"]["cards"].as_array() {
        let cards: Vec<Json> = cards
            .iter()
            .map(|card| json!({ "components": self::components(card) }))
            .collect();
        components.push(json!({ "type": "CAROUSEL", "cards": cards }));
    }
    let offer = &structure["limitedTimeOffer"];
    if offer.is_object() {
        components.push(json!({
            "type": "LIMITED_TIME_OFFER",
            "limited_time_offer": {
                "text": offer["text"],
                "has_expiration": offer["hasExpiration"],
            },
        }));
    }
    let mut cloud = json!({ "components": components });
    for key in ["name", "language", "status", "category", "id", "variables"] {
        if let Some(value) = definition.get(key) {
            cloud[key] = value.clone();
        }
    }
    if let Some(kind) = definition.get("subCategory") {
        cloud["sub_category"] = kind.clone();
    }
    Ok(cloud)
}

fn components(part: &Json) -> Vec<Json> {
    let mut components = Vec::new();
    let header = &part["header"];
    if header.is_object() {
        components.push(json!({
            "type": "HEADER",
            "format": header["format"],
            "text": header["text"],
            "example": { "header_text": [header["example"]] },
        }));
    }
    match &part["body"] {
        // The older interface writes the texts alone.
        Json::String(text) => components.push(json!({ "type": "BODY", "text": text })),
        body @ Json::Object(_) => components.push(json!({
            "type": "BODY",
            "text": body["text"],
            "example": { "body_text": [body["examples"]] },
        })),
        _ => {}
    }
    let footer = part["footer"].as_str().or(part["footer"]["text"].as_str());
    if let Some(text) = footer {
        components.push(json!({ "type": "FOOTER", "text": text }));
    }
    if let Some(buttons) = part["buttons"].as_array() {
        let buttons: Vec<Json> = buttons.iter().map(button).collect();
        components.push(json!({ "type": "BUTTONS", "buttons": buttons }));
    }
    components
}

fn button(button: &Json) -> Json {
    /// What is called otherwise.
    const NAMES: [(&str, &str); 2] = [("MULTI_PRODUCT", "MPM"), ("phoneNumber", "phone_number")];
    let renamed = |word: &str| {
        let name = NAMES.iter().find(|(theirs, _)| *theirs == word);
        name.map_or(word, |(_, cloud)| *cloud).to_owned()
    };
    let mut cloud = Map::new();
    for (key, value) in button.as_object().into_iter().flatten() {
        let value = match value.as_str() {
            Some(word) if key == "type" => json!(renamed(word)),
            _ => value.clone(),
        };
        cloud.insert(renamed(key), value);
    }
    // The form in which one-time codes are registered has this instead of a type.
    if cloud.contains_key("otpType") {
        cloud.insert("type".into(), json!("OTP"));
    }
    Json::Object(cloud)
}
