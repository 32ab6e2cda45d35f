//! Any template that a broadcast can send is the same message as in the native form, wherever its
//! values stand: in the template, with a user, or beside the users.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::batch::dialect::cloud_api::tests::components;
use crate::batch::dialect::saying::{
    Content, Saying, fillings, messages, said_natively, sayings, templates,
};
use crate::batch::golden::{root, rules, said};
use crate::batch::read::Form;

/// Keys whose texts are words of the format.
const WORDS: [&str; 6] = [
    "type",
    "sub_type",
    "index",
    "parameter_name",
    "code",
    "ttl_minutes",
];

/// Moves values out of the template, as far as `choices` say, and leaves references to them.
fn moved(node: &mut Json, choices: &mut impl Iterator<Item = u8>, params: &mut [Json; 2]) {
    match node {
        Json::String(text) => {
            let place = match choices.next() {
                Some(place @ (0 | 1)) => usize::from(place),
                _ => return,
            };
            let count = params
                .iter()
                .map(|it| it.as_object().map_or(0, serde_json::Map::len));
            let name = format!("v {}", count.sum::<usize>());
            // A part of a text may be a value as well as the whole.
            let (fixed, own) = match text.char_indices().nth(3) {
                // A brace beside a mark would make it one of another form.
                Some((at, _)) if place == 1 && !text[..at].ends_with('{') => text.split_at(at),
                _ => ("", text.as_str()),
            };
            params[place][&name] = json!(own);
            *text = format!("{fixed}{{{{ {name} }}}}");
        }
        Json::Array(list) => list.iter_mut().for_each(|it| moved(it, choices, params)),
        Json::Object(map) => {
            let values = map
                .iter_mut()
                .filter(|(key, _)| !WORDS.contains(&key.as_str()));
            values.for_each(|(_, value)| moved(value, choices, params));
        }
        _ => {}
    }
}

proptest! {
    /// What an API's own client wrote must reach its recipient as it would have through that API.
    #[test]
    fn a_broadcast_of_botsquad_is_that_of_the_native_form(
        mut sayings in sayings(fillings().prop_map(Content::Template).boxed()),
        choices in prop::collection::vec(0..3_u8, 40),
    ) {
        // All users get the same template.
        let content = sayings[0].content.clone();
        for saying in &mut sayings {
            *saying = Saying {
                to: saying.to.clone(),
                reference: None,
                callback_data: None,
                content: content.clone(),
            };
        }
        let Content::Template(filled) = &content else { return Ok(()) };
        let mut components = json!(components(filled));
        let mut params = [json!({}), json!({})];
        moved(&mut components, &mut choices.into_iter(), &mut params);
        let [own, shared] = params;
        let users: Vec<Json> = sayings
            .iter()
            .map(|saying| json!({ "phone": saying.to, "params": own }))
            .collect();
        let file = json!({
            "template": {
                "name": filled.name, "language": filled.language, "components": components,
            },
            "params": shared,
            "users": users,
        });
        prop_assert_eq!(messages(&file.to_string(), Form::Json), said_natively(&sayings));
    }
}

/// A value that is named often must not fill the memory, whoever gives it.
#[test]
fn what_is_put_in_place_has_a_bound() {
    let broadcast = |references: usize, length: usize| {
        let text = "{{ q }}".repeat(references);
        let values = [
            json!({ "type": "text", "text": text }),
            json!({ "type": "text", "text": "x" }),
        ];
        json!({
            "template": {
                "name": "parcel_left", "language": "en",
                "components": [{ "type": "body", "parameters": values }],
            },
            "params": { "q": "a".repeat(length) },
            "users": [{ "phone": "+31612345001" }],
        })
    };
    let faults = |mut file: Json, own: bool| {
        if own {
            file["users"][0]["params"] = file["params"].take();
            file["params"] = json!({});
        }
        let said = said(
            file.to_string().as_bytes(),
            Form::Json,
            &rules(),
            &templates(),
        );
        let faults = [&said["refused"], &said["bad"][0]["faults"]];
        let faults = faults.into_iter().filter_map(Json::as_array).flatten();
        faults
            .map(|fault| fault["expected"].to_string())
            .collect::<Vec<_>>()
    };
    let is_told = |faults: &[String], words: &str| faults.iter().any(|it| it.contains(words));
    for own in [false, true] {
        assert_eq!(faults(broadcast(2, 100), own), [""; 0]);
        assert!(is_told(
            &faults(broadcast(1, 5000), own),
            "at most 4096 characters"
        ));
        let told = faults(broadcast(20, 4000), own);
        assert!(is_told(&told, "65536 bytes wherever"), "{told:?}");
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

/// The components are the Cloud API's: a difference between the two schemas would be a slip.
#[test]
fn components_are_described_as_those_of_the_cloud_api() {
    let defs = |path: &str| -> Json {
        let bytes = std::fs::read(root().join(path)).expect("read");
        let schema: Json = serde_json::from_slice(&bytes).expect("JSON");
        schema["$defs"].clone()
    };
    let theirs = defs("schemas/cloud-api.row.v1.json");
    let ours = defs("schemas/botsquad.head.v1.json");
    let ours = ours.as_object().expect("definitions");
    assert!(ours.len() > 20);
    for (name, own) in ours {
        assert_eq!(own, &theirs[name], "{name}");
    }
}
