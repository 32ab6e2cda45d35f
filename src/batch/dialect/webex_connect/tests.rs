//! Any content that Webex Connect's requests can hold is the same message as in the native form.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::batch::dialect::saying::{
    Button, Content, Filled, Header, Saying, Value, bare_object, fillings, messages, said_natively,
    sayings, sessions, templates,
};
use crate::batch::read::Form;

fn request(saying: &Saying) -> Json {
    let mut request = bare_object(json!({
        "deliverychannel": "whatsapp",
        "appid": "a_1630",
        "callbackData": saying.callback_data,
    }));
    if let Content::Template(filled) = &saying.content {
        let templates = templates();
        let id = templates
            .get(filled.name, filled.language)
            .map_or("", |it| it.id());
        request["message"] = json!({ "template": id, "parameters": parameters(filled) });
    }
    if let Content::Session(kind, object) = &saying.content {
        request["channels"] = json!(whatsapp(kind, object));
    }
    request
}

fn destination(saying: &Saying) -> Json {
    bare_object(json!({
        "waid": [saying.to.trim_start_matches('+')],
        "correlationid": saying.reference,
    }))
}

fn parameters(filled: &Filled) -> Json {
    let mut parameters = json!({});
    for (at, (name, value)) in filled.values.iter().enumerate() {
        let name = name.map_or_else(|| (at + 1).to_string(), str::to_owned);
        parameters[name] = self::value(value);
    }
    if filled.name == "login_code" {
        let code = parameters["1"].clone();
        return json!({ "otp": { "type": "otp", "value": code } });
    }
    match &filled.header {
        Some(Header::Text(text)) => parameters["headline"] = json!(text),
        Some(Header::Link(kind, link)) => parameters[*kind] = json!({ "link": link }),
        Some(Header::Document(link, name)) => {
            parameters["document"] = json!({ "link": link, "filename": name });
        }
        _ => {}
    }
    for (_, button) in &filled.buttons {
        match button {
            Button::Reply(payload) => {
                parameters["quickReply"] = json!([{ "button_text": "Stop", "payload": payload }]);
            }
            // The one link that varies needs no name of its own.
            Button::Url(end) => parameters["tail"] = json!({ "type": "url", "payload": end }),
            _ => {}
        }
    }
    parameters
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Currency(code, amount, text) => json!({
            "type": "currency", "currency_code": code, "amount_1000": amount.to_string(),
            "fallback_value": text,
        }),
        Value::Date(text) => json!({ "type": "date_time", "fallback_value": text }),
    }
}

/// A text, a file, a place or cards in this request's own words; `None` for what it cannot say.
fn whatsapp(kind: &str, object: &Json) -> Option<Json> {
    let mut own = object.clone();
    let mut whatsapp = json!({ "type": kind });
    match kind {
        "text" => {
            whatsapp["preview_url"] = object["preview_url"].clone();
            own = json!({ "body": object["body"] });
        }
        "image" => {
            own["url"] = object["link"].clone();
            own["mimeType"] = json!("image/png");
            own.as_object_mut()?.remove("link");
        }
        "location" | "contacts" => {}
        _ => return None,
    }
    whatsapp[kind] = own;
    Some(json!({ "OTT-Messaging": { "wa": whatsapp } }))
}

/// What this request can say: files by their address, links and quick replies; and some of what
/// needs no template.
fn contents() -> BoxedStrategy<Content> {
    let fits = |filled: &Filled| {
        let header = matches!(
            filled.header,
            None | Some(Header::Text(_) | Header::Link(..) | Header::Document(..))
        );
        let mut buttons = filled.buttons.iter();
        let buttons = buttons.all(|(_, it)| matches!(it, Button::Url(_) | Button::Reply(_)));
        header && buttons && filled.cards.is_empty() && filled.offer_ends_at.is_none()
    };
    let fillings = fillings().prop_filter("Webex Connect can say it", fits);
    let fits = |content: &Content| match content {
        Content::Session(kind, object) => whatsapp(kind, object).is_some(),
        Content::Template(_) => true,
    };
    prop_oneof![
        3 => fillings.prop_map(Content::Template),
        1 => sessions().prop_filter("Webex Connect can say it", fits),
    ]
    .boxed()
}

proptest! {
    /// A text with signs that are marks elsewhere must not be refused or changed in one layout and
    /// sent in another.
    #[test]
    fn a_text_is_the_same_in_every_layout(body in r"[a-z\[\]{} ]{0,12}[a-z]") {
        let mut request = bare_object(json!({
            "deliverychannel": "whatsapp",
            "appid": "a_1630",
            "destination": [{ "waid": ["31612345001"] }],
        }));
        request["channels"] = json!(whatsapp("text", &json!({ "body": body })));
        let object = messages(&request.to_string(), Form::Json);
        prop_assert_eq!(&object[0]["content"]["text"]["body"], &json!(body));
        prop_assert_eq!(&messages(&json!([request]).to_string(), Form::Json), &object);
        prop_assert_eq!(&messages(&request.to_string(), Form::Lines), &object);
    }

    /// What an API's own client wrote must reach its recipient as it would have through that API.
    #[test]
    fn a_request_of_webex_connect_is_that_of_the_native_form(
        mut sayings in sayings(contents()),
        layout in 0..3,
    ) {
        let whole = |saying: &Saying| {
            let mut whole = request(saying);
            whole["destination"] = json!([destination(saying)]);
            whole.to_string()
        };
        let (file, form) = match layout {
            0 => {
                // One request says the same to all of its destinations.
                let first = sayings[0].clone();
                for saying in &mut sayings {
                    saying.content = first.content.clone();
                    saying.callback_data.clone_from(&first.callback_data);
                }
                let mut request = request(&first);
                request["destination"] = sayings.iter().map(destination).collect();
                (request.to_string(), Form::Json)
            }
            1 => {
                let rows: Vec<String> = sayings.iter().map(whole).collect();
                (format!("[{}]", rows.join(",")), Form::Json)
            }
            _ => {
                let rows: Vec<String> = sayings.iter().map(whole).collect();
                (rows.join("\n"), Form::Lines)
            }
        };
        prop_assert_eq!(messages(&file, form), said_natively(&sayings));
    }
}
