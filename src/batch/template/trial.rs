//! Templates of every kind: what is made of their definitions, and what their schemas take.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::parts::Parts;
use super::{Template, Templates};
use crate::batch::fault::Misfit;
use crate::batch::terms::Needs;
use crate::batch::tree::Node;
use crate::batch::values::ROW_KEYS;
use crate::batch::{Content, Filling};

fn fill(template: &Template, row: &Json) -> Result<Filling, Vec<Misfit>> {
    let text = row.to_string();
    let node = Node::parse(text.as_bytes()).expect("a row");
    let parts = Parts::new(ROW_KEYS.map(|key| node.get(key)));
    template.fill(&parts, Needs::default())
}

fn read(definitions: &Json) -> (Templates, Vec<String>) {
    let (templates, problems) =
        Templates::parse(&[("t.json".into(), definitions.to_string().into())]);
    (templates, problems.into_iter().map(|it| it.text).collect())
}

fn one(definition: &Json) -> Templates {
    let (templates, problems) = read(definition);
    assert_eq!((templates.usable().len(), problems), (1, vec![]));
    templates
}

/// Customers build their exports on what lies in `templates/`: it may not change unseen.
#[test]
fn each_definition_becomes_what_it_was() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/templates");
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if name.ends_with(".expected.json") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("read");
        let (templates, problems) = Templates::parse(&[("t.json".into(), bytes)]);
        let mut said = json!({});
        for template in templates.by_name.values().flat_map(|it| it.values()) {
            let parts = template.example_parts();
            let mut told = json!({ "schema": template.schema(), "example": parts });
            if template.is_usable() {
                let filling = fill(template, &Json::Object(parts)).expect("a good example");
                told["filling"] = json!(filling);
                told["text"] = json!(templates.text(&Content::Template(filling)));
            } else {
                told = json!({ "status": template.status, "unsupported": template.unsupported });
            }
            if !template.variables.is_empty() {
                told["variables"] = json!(format!("{:?}", template.variables));
            }
            said[template.name()] = told;
        }
        said.sort_all_objects_but_schemas();
        if !problems.is_empty() {
            let problems: Vec<String> = problems.into_iter().map(|it| it.text).collect();
            said["problems"] = json!(problems);
        }
        let text = serde_json::to_string_pretty(&said).expect("JSON") + "\n";
        let stem = name.trim_end_matches(".json");
        expect_test::expect_file![folder.join(format!("{stem}.expected.json"))].assert_eq(&text);
        cases += 1;
    }
    assert!(cases >= 10, "{cases} cases");
}

/// The templates of a case stand in the order of their names, whatever order a map has.
trait Sorted {
    fn sort_all_objects_but_schemas(&mut self);
}

impl Sorted for Json {
    fn sort_all_objects_but_schemas(&mut self) {
        if let Json::Object(map) = self {
            map.sort_keys();
        }
    }
}

/// Providers that name templates by id would send another one.
#[test]
fn templates_are_found_by_their_id() {
    let definition = |language: &str, id: Json| {
        json!({"name": "a", "language": language, "status": "APPROVED", "id": id,
            "components": [{"type": "BODY", "text": "Hello."}]})
    };
    let (templates, _) = read(&json!([
        definition("en", json!("7")),
        definition("de", json!(7)),
        definition("nl", json!("8")),
    ]));
    let languages = |id: &str| -> Vec<String> {
        let found = templates.by_id(id).iter();
        found
            .map(|template| template.language().to_owned())
            .collect()
    };
    assert_eq!(languages("7"), ["en", "de"]);
    assert_eq!(languages("8"), ["nl"]);
    assert_eq!(languages("9"), [""; 0]);
}

fn body() -> impl Strategy<Value = String> {
    (0..4usize, any::<bool>()).prop_map(|(count, named)| {
        let marks = (1..=count).map(|at| {
            let name = if named { "name_" } else { "" };
            format!("and {{{{{name}{at}}}}} ")
        });
        format!("Hello {}.", marks.collect::<String>())
    })
}

fn header() -> impl Strategy<Value = Option<Json>> {
    let format = prop::sample::select(vec![
        "IMAGE", "VIDEO", "DOCUMENT", "GIF", "LOCATION", "PRODUCT",
    ]);
    prop_oneof![
        Just(None),
        Just(Some(
            json!({"type": "HEADER", "format": "TEXT", "text": "News"})
        )),
        any::<bool>().prop_map(|named| {
            let mark = if named { "{{reader}}" } else { "{{1}}" };
            Some(json!({"type": "HEADER", "format": "TEXT", "text": format!("For {mark}")}))
        }),
        format.prop_map(|format| Some(json!({"type": "HEADER", "format": format}))),
    ]
}

fn buttons() -> impl Strategy<Value = Vec<Json>> {
    let kind = prop::sample::select(vec![
        "QUICK_REPLY",
        "URL",
        "COPY_CODE",
        "FLOW",
        "CATALOG",
        "MPM",
        "ORDER_DETAILS",
        "VOICE_CALL",
        "PHONE_NUMBER",
        "SPM",
        "REQUEST_CONTACT_INFO",
    ]);
    let button = (kind, any::<bool>()).prop_map(|(kind, varies)| {
        let end = if varies { "{{1}}" } else { "" };
        json!({"type": kind, "text": "Go", "url": format!("https://example.org/{end}")})
    });
    prop::collection::vec(button, 0..4)
}

fn face() -> impl Strategy<Value = Vec<Json>> {
    (header(), body(), buttons()).prop_map(|(header, body, buttons)| {
        let mut components: Vec<Json> = header.into_iter().collect();
        components.push(json!({"type": "BODY", "text": body}));
        if !buttons.is_empty() {
            components.push(json!({"type": "BUTTONS", "buttons": buttons}));
        }
        components
    })
}

prop_compose! {
    /// A definition of any kind that can be used.
    fn definition()(
        mut components in face(),
        cards in prop::collection::vec(face(), 0..3),
        offer in any::<Option<bool>>(),
    ) -> Json {
        if !cards.is_empty() {
            let cards: Vec<Json> = cards
                .into_iter()
                .map(|components| json!({ "components": components }))
                .collect();
            components.push(json!({"type": "CAROUSEL", "cards": cards}));
        }
        if let Some(ends) = offer {
            let offer = json!({"text": "Sale", "has_expiration": ends});
            components.push(json!({"type": "LIMITED_TIME_OFFER", "limited_time_offer": offer}));
        }
        json!({"name": "a", "language": "en", "status": "APPROVED", "components": components})
    }
}

/// Every place of a value, as JSON Pointers.
fn places(value: &Json, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Json)> = match value {
        Json::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Json::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, it)| (at.to_string(), it))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let at = format!("{at}/{key}");
        found.push(at.clone());
        places(value, &at, found);
    }
}

/// What may be left out without harm, by its last key.
const OPTIONAL: [&str; 12] = [
    "type",
    "filename",
    "name",
    "address",
    "token",
    "thumbnail",
    "minutes",
    "catalogId",
    "reference_id",
    "parameters",
    "products",
    "sections",
];

/// Removes what a pointer leads to; `None` in an array, where the rest would move up.
fn without(row: &Json, place: &str) -> Option<Json> {
    let (parent, key) = place.rsplit_once('/')?;
    let mut row = row.clone();
    row.pointer_mut(parent)?
        .as_object_mut()?
        .shift_remove(key)?;
    Some(row)
}

proptest! {
    /// An example that is refused teaches its reader a fault.
    #[test]
    fn each_example_is_good(definition in definition()) {
        let templates = one(&definition);
        let template = templates.usable()[0];
        let row = Json::Object(template.example_parts());
        let filled = fill(template, &row);
        prop_assert!(filled.is_ok(), "{row:#} {filled:#?}");
        let validator = jsonschema::draft202012::new(&template.schema()).expect("a schema");
        let error = validator.iter_errors(&row).next().map(|error| error.to_string());
        prop_assert_eq!(error, None);
    }

    /// A row that says too much, too little or something else would be refused by WhatsApp after
    /// all its checks have passed.
    #[test]
    fn each_change_of_an_example_is_noticed(definition in definition()) {
        let templates = one(&definition);
        let template = templates.usable()[0];
        let validator = jsonschema::draft202012::new(&template.schema()).expect("a schema");
        let row = Json::Object(template.example_parts());
        let mut found = Vec::new();
        places(&row, "", &mut found);
        for place in found {
            // What a provider's own objects hold is for the provider to judge.
            let foreign = place.contains("/action/") || place.contains("/data/");
            let mut other = row.clone();
            *other.pointer_mut(&place).expect("a place") = json!(true);
            prop_assert_eq!(validator.is_valid(&other), foreign, "{}", &place);
            prop_assert_eq!(fill(template, &other).is_ok(), foreign, "{}", &place);
            if let Some(more) = other.pointer_mut(&place) {
                *more = row.pointer(&place).expect("a place").clone();
                if let Some(map) = more.as_object_mut() {
                    let free = place.ends_with("/action") || foreign;
                    map.insert("strange".into(), json!("x"));
                    prop_assert_eq!(validator.is_valid(&other), free, "{}", &place);
                    prop_assert_eq!(fill(template, &other).is_ok(), free, "{}", &place);
                }
            }
            if let Some(less) = without(&row, &place) {
                let good = fill(template, &less).is_ok();
                prop_assert_eq!(validator.is_valid(&less), good, "{}", &place);
                let key = place.rsplit('/').next().unwrap_or_default();
                let button = key.parse::<u8>().is_ok() || key.to_lowercase().ends_with("buttons");
                prop_assert!(!good || foreign || button || OPTIONAL.contains(&key), "{}", &place);
            }
        }
    }

    /// A row that is refused without a word cannot be mended, and a fault that repeats what the
    /// row says gives away what its recipient should read alone.
    #[test]
    fn a_refusal_says_why_and_repeats_nothing(
        definition in definition(),
        parts in prop::collection::vec(prop::option::of(any_part()), ROW_KEYS.len()),
    ) {
        let templates = one(&definition);
        let template = templates.usable()[0];
        let row: Json = ROW_KEYS
            .iter()
            .zip(parts)
            .filter_map(|(key, part)| Some(((*key).to_owned(), part?)))
            .collect();
        if let Err(misfits) = fill(template, &row) {
            prop_assert!(!misfits.is_empty(), "{row}");
            let text = format!("{misfits:?}");
            prop_assert!(!text.contains("secret"), "{text}");
        }
    }

    /// One odd definition may not take the daemon down.
    #[test]
    fn no_definition_causes_a_panic(definition in any_definition()) {
        let (templates, _) = read(&definition);
        for template in templates.by_name.values().flat_map(|it| it.values()) {
            let row = Json::Object(template.example_parts());
            if let Ok(filling) = fill(template, &row) {
                let _ = template.text(&filling);
            }
        }
    }
}

fn any_part() -> impl Strategy<Value = Json> {
    let key = prop::sample::select(vec![
        "type",
        "value",
        "values",
        "index",
        "url",
        "id",
        "filename",
        "placeholders",
        "header",
        "buttons",
        "0",
        "1",
        "2",
        "name_1",
        "secret",
        "fallback",
        "currency",
        "amount1000",
        "dateTime",
        "latitude",
        "longitude",
        "expiresAt",
        "sections",
        "products",
        "title",
        "text",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|it| json!(it)),
        (-3..9i64).prop_map(|it| json!(it)),
        prop::sample::select(vec![
            "",
            "secret",
            "secret\n",
            "[[secret]]",
            "image",
            "url",
            "quick-reply",
            "0",
            "EUR",
            "https://secret/a.jpg",
            "https://user:secret@host/",
            "2026-11-21T09:15:00Z",
            "%secret",
        ])
        .prop_map(|it| json!(it)),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|it| json!(it)),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|it| it
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

fn any_definition() -> impl Strategy<Value = Json> {
    let key = prop::sample::select(vec![
        "components",
        "structure",
        "type",
        "text",
        "format",
        "buttons",
        "cards",
        "carousel",
        "url",
        "example",
        "body",
        "header",
        "footer",
        "limited_time_offer",
        "has_expiration",
        "variables",
        "category",
        "parameter_format",
        "id",
        "data",
        "examples",
        "body_text",
    ]);
    let word = prop::sample::select(vec![
        "BODY",
        "HEADER",
        "TEXT",
        "IMAGE",
        "BUTTONS",
        "URL",
        "OTP",
        "CAROUSEL",
        "MPM",
        "NAMED",
        "AUTHENTICATION",
        "a {{1}}",
        "{{x}}{{1}}",
        "https://a/{{1}}",
        "{{",
        "é",
        "",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|it| json!(it)),
        any::<i64>().prop_map(|it| json!(it)),
        word.prop_map(|it| json!(it)),
    ];
    let json = leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|it| json!(it)),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|it| it
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    });
    (json.clone(), json, any::<bool>()).prop_map(|(mut definition, inner, cloud)| {
        if let Some(map) = definition.as_object_mut() {
            for key in ["name", "language"] {
                map.insert(key.into(), json!("a"));
            }
            map.insert("status".into(), json!("APPROVED"));
            map.insert(if cloud { "components" } else { "structure" }.into(), inner);
        }
        definition
    })
}
