//! What can be tapped: an object of the Cloud API's becomes the call and the content that Infobip
//! has for it.

use serde_json::{Value as Json, json};

use super::said::Remarks;
use crate::batch::fault::Code;
use crate::batch::terms::Part;

/// The longest text above what can be tapped, in characters.
const BODY_CHARS_MAX: usize = 1024;
/// The longest label of the button that opens a flow, in characters.
const FLOW_LABEL_CHARS_MAX: usize = 20;
/// What tells a run of a flow where nobody cares: the word that WhatsApp itself has for it.
const NO_TOKEN: &str = "unused";

/// The call and its `content`.
pub(super) fn content(message: &Json, remarks: &mut Remarks) -> (&'static str, Json) {
    let action = &message["action"];
    let (call, action) = match message["type"].as_str().unwrap_or_default() {
        "button" => ("interactive/buttons", buttons(action)),
        "list" => ("interactive/list", list(action)),
        "cta_url" => ("interactive/url-button", link(&action["parameters"])),
        "flow" => ("interactive/flow", flow(&action["parameters"], remarks)),
        "product" => ("interactive/product", product(action)),
        "product_list" => ("interactive/multi-product", products(action)),
        "location_request_message" => ("interactive/location-request", Json::Null),
        _ => {
            let expected = "buttons, a list, a link, a flow, products or a request for a place";
            let code = Code::SessionType;
            remarks.fault(Part::Content, code, expected, "another type");
            return ("interactive/buttons", Json::Null);
        }
    };
    let mut content = json!({});
    if let Some(text) = message["body"]["text"].as_str() {
        remarks.length(Part::Content, Some(text), BODY_CHARS_MAX);
        content["body"] = json!({ "text": text });
    }
    if !action.is_null() {
        content["action"] = action;
    }
    if message["header"].is_object() {
        content["header"] = header(call, &message["header"], remarks);
    }
    if let Some(text) = message["footer"]["text"].as_str() {
        content["footer"] = json!({ "text": text });
    }
    (call, content)
}

fn header(call: &str, header: &Json, remarks: &mut Remarks) -> Json {
    let kind = header["type"].as_str().unwrap_or_default();
    if kind == "text" {
        return json!({ "type": "TEXT", "text": header["text"] });
    }
    if !matches!(call, "interactive/buttons" | "interactive/url-button") {
        let expected = "a header that is a text";
        remarks.fault(Part::Content, Code::SessionType, expected, "a file");
    }
    let file = &header[kind];
    let mut written = json!({ "type": kind.to_ascii_uppercase(), "mediaUrl": file["link"] });
    if !file["link"].is_string() {
        let said = [
            "the address of the file (`link`)",
            "an id",
            "Infobip fetches each file from an address and knows no ids of files",
        ];
        remarks.fault_with((Part::Content, Code::MediaSource), said);
    }
    if kind == "document" && file["filename"].is_string() {
        written["filename"] = file["filename"].clone();
    }
    written
}

fn buttons(action: &Json) -> Json {
    let button = |it: &Json| {
        let reply = &it["reply"];
        json!({ "type": "REPLY", "id": reply["id"], "title": reply["title"] })
    };
    json!({ "buttons": each(&action["buttons"], button) })
}

fn list(action: &Json) -> Json {
    // Rows are called alike on both sides.
    let section = |it: &Json| titled(it, "rows", it["rows"].clone());
    json!({ "title": action["button"], "sections": each(&action["sections"], section) })
}

fn link(parameters: &Json) -> Json {
    json!({ "displayText": parameters["display_text"], "url": parameters["url"] })
}

fn product(action: &Json) -> Json {
    json!({
        "catalogId": action["catalog_id"],
        "productRetailerId": action["product_retailer_id"],
    })
}

fn products(action: &Json) -> Json {
    let section = |it: &Json| {
        let ids = each(&it["product_items"], |item| {
            item["product_retailer_id"].clone()
        });
        titled(it, "productRetailerIds", ids)
    };
    json!({
        "catalogId": action["catalog_id"],
        "sections": each(&action["sections"], section),
    })
}

fn flow(parameters: &Json, remarks: &mut Remarks) -> Json {
    if !parameters["flow_id"].is_string() {
        let expected = "`flow_id`: Infobip does not call flows by their names";
        let found = "`flow_name`";
        remarks.fault(Part::Content, Code::BatchUnsupportedKey, expected, found);
    }
    let label = parameters["flow_cta"].as_str();
    remarks.length(Part::Content, label, FLOW_LABEL_CHARS_MAX);
    let token = parameters["flow_token"].as_str().unwrap_or(NO_TOKEN);
    let mut flow = json!({
        "flowId": parameters["flow_id"],
        "flowToken": token,
        "callToActionButton": label,
    });
    let version = parameters["flow_message_version"].as_str();
    if let Some(version) = version.and_then(|it| it.parse::<i32>().ok()) {
        flow["flowMessageVersion"] = json!(version);
    }
    for (key, ours) in [("mode", "mode"), ("flow_action", "flowAction")] {
        if let Some(word) = parameters[key].as_str() {
            flow[ours] = json!(word.to_ascii_uppercase());
        }
    }
    let payload = &parameters["flow_action_payload"];
    if payload.is_object() {
        if !payload["screen"].is_string() {
            let expected = "`screen` in `flow_action_payload`";
            remarks.fault(Part::Content, Code::BatchMissingKey, expected, "none");
        }
        flow["flowActionPayload"] = payload.clone();
    }
    flow
}

/// A section of a list under its heading, if it has one.
fn titled(section: &Json, key: &str, entries: Json) -> Json {
    let mut written = json!({});
    if let Some(title) = section["title"].as_str() {
        written["title"] = json!(title);
    }
    written[key] = entries;
    written
}

fn each(list: &Json, turned: impl FnMut(&Json) -> Json) -> Json {
    list.as_array().into_iter().flatten().map(turned).collect()
}
