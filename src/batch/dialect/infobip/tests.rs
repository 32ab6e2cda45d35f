//! Any content that Infobip's request can hold is the same message as in the native form.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::batch::dialect::saying::{
    Button, Content, Filled, Header, Saying, Value, bare_object, fillings, hold_neighbours_apart,
    messages, said_natively, sayings, slips,
};
use crate::batch::read::Form;

fn row(saying: &Saying) -> Json {
    let mut row = json!({
        "from": "15550001111",
        "to": saying.to.trim_start_matches('+'),
        "messageId": saying.reference,
        "callbackData": saying.callback_data,
    });
    if let Content::Template(filled) = &saying.content {
        let mut data = face(filled);
        if !filled.cards.is_empty() {
            let cards: Vec<Json> = filled.cards.iter().map(face).collect();
            data["carousel"] = json!({ "cards": cards });
        }
        if let Some(ends) = filled.offer_ends_at {
            let ends = crate::batch::Moment::from_millis(ends).to_string();
            // Infobip writes the offset without its colon.
            let ends = ends.replace('Z', "+0000");
            data["limitedTimeOffer"] = json!({ "expirationTime": ends });
        }
        row["content"] = json!({
            "templateName": filled.name, "language": filled.language, "templateData": data,
        });
    }
    row
}

fn face(filled: &Filled) -> Json {
    let values = filled.values.iter();
    let values: Vec<&str> = values
        .map(|(_, value)| match value {
            Value::Text(text) | Value::Currency(.., text) | Value::Date(text) => text.as_str(),
        })
        .collect();
    let mut face = json!({ "body": { "placeholders": values } });
    if let Some(header) = &filled.header {
        face["header"] = self::header(header);
    }
    if !filled.buttons.is_empty() {
        face["buttons"] = filled.buttons.iter().map(|(_, it)| button(it)).collect();
    }
    face
}

fn header(header: &Header) -> Json {
    match header {
        Header::Text(text) => json!({ "type": "TEXT", "placeholder": text }),
        Header::Link(kind, link) => json!({ "type": kind.to_uppercase(), "mediaUrl": link }),
        Header::Document(link, name) => {
            json!({ "type": "DOCUMENT", "mediaUrl": link, "filename": name })
        }
        Header::Place(latitude, longitude, _) => {
            json!({ "type": "LOCATION", "latitude": latitude, "longitude": longitude })
        }
        Header::Id(..) | Header::Product(..) => Json::Null,
    }
}

fn button(button: &Button) -> Json {
    match button {
        Button::Reply(payload) => json!({ "type": "QUICK_REPLY", "parameter": payload }),
        Button::Url(end) => json!({ "type": "URL", "parameter": end }),
        Button::Code(code) => json!({ "type": "COPY_CODE", "parameter": code }),
        Button::Flow(token, data) => {
            bare_object(json!({ "type": "FLOW", "flowToken": token, "data": data }))
        }
        Button::Catalog(thumbnail) => {
            json!({ "type": "CATALOG", "thumbnailProductRetailerId": thumbnail })
        }
        Button::Products(thumbnail, sections) => {
            let sections: Vec<Json> = sections
                .iter()
                .map(|(title, ids)| json!({ "title": title, "productRetailerIds": ids }))
                .collect();
            json!({
                "type": "MULTI_PRODUCT", "thumbnailProductRetailerId": thumbnail,
                "sections": sections,
            })
        }
        Button::Order(order) => json!({ "type": "ORDER_DETAILS", "action": order }),
        Button::Call(minutes, payload) => json!({
            "type": "VOICE_CALL", "callValidityPeriod": minutes, "callContextPayload": payload,
        }),
    }
}

/// What this request can say: texts by their order, files by their address.
fn contents() -> BoxedStrategy<Content> {
    let plain = |filled: &Filled| {
        let named = filled.values.iter().any(|(name, _)| name.is_some());
        let typed = |value: &Value| !matches!(value, Value::Text(_));
        let typed = filled.values.iter().any(|(_, value)| typed(value));
        let header = matches!(
            filled.header,
            Some(
                Header::Id(..)
                    | Header::Product(..)
                    | Header::Link("document", _)
                    | Header::Place(.., Some(_))
            )
        );
        !named && !typed && !header
    };
    let fits = move |filled: &Filled| plain(filled) && filled.cards.iter().all(plain);
    let fillings = fillings().prop_filter("Infobip can say it", fits);
    fillings.prop_map(Content::Template).boxed()
}

proptest! {
    /// What an API's own client wrote must reach its recipient as it would have through that API.
    #[test]
    fn a_message_of_infobip_is_that_of_the_native_form(sayings in sayings(contents())) {
        let rows: Vec<Json> = sayings.iter().map(row).collect();
        let file = json!({ "bulkId": "run-7", "messages": rows }).to_string();
        prop_assert_eq!(messages(&file, Form::Json), said_natively(&sayings));
    }

    /// One bad message costs itself, not those beside it.
    #[test]
    fn a_bad_message_leaves_its_neighbours_alone(
        sayings in sayings(contents()),
        bad in 0_usize..4,
        slip in slips(),
    ) {
        let rows: Vec<String> = sayings.iter().map(|saying| row(saying).to_string()).collect();
        hold_neighbours_apart(&rows, (bad, slip), Form::Json, |rows| {
            format!("{{\"messages\": [{}], \"bulkId\": \"run-7\"}}", rows.join(",\n"))
        });
    }
}
