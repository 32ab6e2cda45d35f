//! Messages without a template against golden cases in `tests/golden/session`: lines of rows, the
//! first with what the head says, beside what comes of each. `UPDATE_EXPECT=1` rewrites that.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::batch::fault::{Code, Trouble};
use crate::batch::golden::root;
use crate::batch::tree::Value;

/// What the keys of an object say, and the object itself where it has other keys.
fn said<'a>(node: &'a Node<'a>) -> Said<'a> {
    let Value::Object(entries) = &node.value else {
        panic!("an object");
    };
    let mut said = Said::default();
    for entry in entries {
        let member = Member::of(&entry.key).expect("a key of a message without a template");
        said.add(member, entry.key_at, &entry.node);
    }
    said
}

/// The content of one message that is given whole, or the codes of its faults.
pub(crate) fn whole(object: &Json) -> Result<Content, Vec<Code>> {
    let text = object.to_string();
    let node = Node::parse(text.as_bytes()).expect("JSON");
    let filled = Session::default().fill(&said(&node));
    filled.map_err(|misfits| misfits.into_iter().map(|it| it.trouble.code).collect())
}

/// The pointer to what begins at a place.
fn pointer(node: &Node<'_>, at: usize) -> Option<String> {
    if node.at == at {
        return Some(String::new());
    }
    match &node.value {
        Value::List(nodes) => nodes
            .iter()
            .enumerate()
            .find_map(|(place, node)| pointer(node, at).map(|rest| format!("/{place}{rest}"))),
        Value::Object(entries) => entries.iter().find_map(|entry| {
            let key = &entry.key;
            if entry.key_at == at {
                return Some(format!("/{key} (the key)"));
            }
            pointer(&entry.node, at).map(|rest| format!("/{key}{rest}"))
        }),
        _ => None,
    }
}

fn told(misfit: &Misfit, place: &str) -> Json {
    let Trouble {
        code,
        expected,
        found,
        hint,
    } = &misfit.trouble;
    json!({"code": code, "at": place, "expected": expected, "found": found, "hint": hint})
}

fn told_row(session: &Session, row: &str) -> Json {
    let node = Node::parse(row.as_bytes()).expect("JSON");
    match session.fill(&said(&node)) {
        Ok(content) => json!(content),
        Err(misfits) => {
            let place = |at| match at {
                NOWHERE => "the row".into(),
                at => pointer(&node, at).expect("a fault stands somewhere"),
            };
            misfits.iter().map(|it| told(it, &place(it.at))).collect()
        }
    }
}

fn told_file(text: &str) -> Json {
    let mut lines = text.lines();
    let head = Node::parse(lines.next().unwrap_or("{}").as_bytes()).expect("JSON");
    let (session, misfits) = Session::prepare(&said(&head));
    let place = |at| pointer(&head, at).unwrap_or_else(|| "the head".into());
    let head: Vec<Json> = misfits.iter().map(|it| told(it, &place(it.at))).collect();
    let rows: Vec<Json> = lines.map(|row| told_row(&session, row)).collect();
    json!({"head": head, "rows": rows})
}

/// What is said about a message, and what a recipient gets, may not change unseen.
#[test]
fn each_case_is_told_as_it_was() {
    let folder = root().join("tests/golden/session");
    let mut codes = BTreeSet::new();
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("read");
        let told = told_file(&text);
        let written = serde_json::to_string_pretty(&told).expect("JSON") + "\n";
        for code in Code::ALL {
            if written.contains(&format!("\"code\": \"{code}\"")) {
                codes.insert(*code);
            }
        }
        expect_test::expect_file![path.with_extension("expected.json")].assert_eq(&written);
        cases += 1;
    }
    assert!(cases >= 8, "{cases} cases");
    for code in Code::ALL {
        let room = code.as_str().split('.').next().unwrap_or_default();
        // The name of a document is told by the schema in a session, by its own code in a header;
        // uploaded files are looked at once the row is good in all else.
        let is_told_elsewhere = matches!(
            code,
            Code::MediaFilename | Code::MediaTooLarge | Code::MediaNoUpload
        );
        if matches!(room, "session" | "media") && !is_told_elsewhere {
            assert!(codes.contains(code), "no case has {code}");
        }
    }
}

/// A row that says nothing must be told so, and not sent as an empty message.
#[test]
fn something_is_said_by_what_can_be_sent() {
    for (object, says) in [
        (r#"{"message": "Hello"}"#, true),
        (r#"{"type": "image"}"#, true),
        (r#"{"reaction": {}}"#, true),
        (r#"{"latitude": 1}"#, true),
        (
            r#"{"caption": "x", "name": "y", "previewUrl": true, "message": null}"#,
            false,
        ),
    ] {
        let node = Node::parse(object.as_bytes()).expect("JSON");
        assert_eq!(said(&node).says_something(), says, "{object}");
        let (session, _) = Session::prepare(&said(&node));
        assert_eq!(session.says_something(), says, "{object}");
    }
}

/// A new emoji is as good as an old one, and two of them are no reaction.
#[test]
fn one_emoji_is_told_from_other_texts() {
    let fits = |emoji| whole(&json!({"reaction": {"message_id": "m", "emoji": emoji}})).is_ok();
    for good in [
        "👍",
        "👍🏽",
        "❤️",
        "❤",
        "🇳🇱",
        "1️⃣",
        "👩‍👧‍👦",
        "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
        "🅰️",
        "ℹ️",
        "\u{1FAF9}",
        "",
    ] {
        assert!(fits(good), "{good}");
    }
    for bad in ["👍👍", "a", "1", "ok", "é", " ", "👍 ", "🇳", "👍a"] {
        assert!(!fits(bad), "{bad}");
    }
}

/// One row or one head must not fill the memory of every tenant.
#[test]
fn what_is_filled_has_a_bound() {
    let value = "x".repeat(60_000);
    let cards: Vec<Json> = (0..5)
        .map(|_| json!({"name": {"formatted_name": "[[a]]".repeat(100), "first_name": "b"}}))
        .collect();
    let object = json!({"contacts": cards, "placeholders": {"a": value}});
    let text = object.to_string();
    let node = Node::parse(text.as_bytes()).expect("JSON");
    let misfits = Session::default().fill(&said(&node)).expect_err("a fault");
    assert!(
        misfits
            .iter()
            .all(|it| it.trouble.code == Code::SessionLength)
    );
    let many: Vec<String> = (0..300).map(|at| format!("[[{at}]]")).collect();
    assert_eq!(
        whole(&json!({"text": {"body": many.concat()}})),
        Err(vec![Code::ParameterCount])
    );
    let long = json!({"interactive": {"type": "flow", "body": {"text": "a"}, "action": {
        "name": "flow", "parameters": {"flow_message_version": "3", "flow_cta": "a",
            "flow_id": "1", "flow_action_payload": {"data": {"x": "y".repeat(70_000)}}}}}});
    let long = long.to_string();
    let node = Node::parse(long.as_bytes()).expect("JSON");
    let (_, misfits) = Session::prepare(&said(&node));
    assert_eq!(misfits[0].trouble.code, Code::SessionLength);
}

/// No value of a customer's may stand in a report.
#[test]
fn no_fault_repeats_a_value() {
    let secret = "Zx9Qv";
    for object in [
        json!({"type": secret}),
        json!({"image": {secret: secret, "link": secret, "caption": [secret]}}),
        json!({"interactive": {"type": secret, "body": secret}}),
        json!({"contacts": [{"name": {"formatted_name": 5}, "birthday": secret,
            "emails": [{"email": secret, "type": secret}], "phones": [{"phone": secret}]}]}),
        json!({"location": {"latitude": secret, "longitude": {secret: 1}}}),
        json!({"reaction": {"message_id": "m", "emoji": secret}}),
        json!({"message": "[[a]]", "placeholders": {secret: secret}}),
    ] {
        let text = object.to_string();
        let node = Node::parse(text.as_bytes()).expect("JSON");
        let misfits = Session::default().fill(&said(&node)).expect_err("a fault");
        assert!(!format!("{misfits:?}").contains(secret), "{misfits:?}");
    }
}

/// Customers hold their exports against the schema that rows are held against.
#[test]
fn the_schema_is_one_and_every_property_is_described() {
    let path = root().join("schemas/session.v1.json");
    let schema: Json = serde_json::from_slice(&std::fs::read(path).expect("read")).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    assert!(validator.is_valid(&json!({"text": {"body": "Hello"}})));
    assert!(!validator.is_valid(&json!({"text": {"body": "Hello"}, "image": {"id": "1"}})));
    assert!(!validator.is_valid(&json!({"image": {"id": "1", "link": "https://a.example/"}})));
    let mut properties = Vec::new();
    described(&schema, &mut properties);
    assert!(properties.len() > 80, "{}", properties.len());
    for (name, property) in properties {
        let words = property["description"].as_str().unwrap_or_default();
        assert!(words.ends_with('.'), "{name}");
    }
}

fn described<'a>(schema: &'a Json, found: &mut Vec<(String, &'a Json)>) {
    match schema {
        Json::Object(map) => {
            for (key, value) in map {
                if let ("properties", Some(properties)) = (key.as_str(), value.as_object()) {
                    found.extend(properties.iter().map(|(name, it)| (name.clone(), it)));
                }
                described(value, found);
            }
        }
        Json::Array(list) => list.iter().for_each(|value| described(value, found)),
        _ => {}
    }
}

fn words(most: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-zé😀][a-z .é]{{0,{}}}", most - 1)).expect("good")
}

fn link(ending: &'static str) -> impl Strategy<Value = Json> {
    "[a-z]{1,9}".prop_map(move |name| json!({"link": format!("https://{name}.example/f.{ending}")}))
}

fn buttons() -> impl Strategy<Value = Json> {
    (
        prop::collection::btree_set("[a-z]{1,20}", 1..=3),
        words(1024),
        words(60),
    )
        .prop_map(|(titles, body, footer)| {
            let buttons: Vec<Json> = titles
                .iter()
                .map(
                    |it| json!({"type": "reply", "reply": {"id": format!("id {it}"), "title": it}}),
                )
                .collect();
            json!({"interactive": {"type": "button", "body": {"text": body},
                "footer": {"text": footer}, "action": {"buttons": buttons}}})
        })
}

fn list() -> impl Strategy<Value = Json> {
    let rows = || prop::collection::vec((words(24), words(72)), 1..=5);
    (rows(), rows(), words(24)).prop_map(|(one, other, title)| {
        let rows = |rows: &[(String, String)], place: usize| -> Vec<Json> {
            rows.iter()
                .enumerate()
                .map(|(at, (title, description))| {
                    json!({"id": format!("{place}-{at}"), "title": title,
                        "description": description})
                })
                .collect()
        };
        json!({"interactive": {"type": "list", "header": {"type": "text", "text": "Times"},
            "body": {"text": "Choose one."}, "action": {"button": "Show", "sections": [
                {"title": title, "rows": rows(&one, 0)}, {"title": "b", "rows": rows(&other, 1)}]}}})
    })
}

/// Contents that the Cloud API takes, each in an object under its own name.
pub(crate) fn contents() -> impl Strategy<Value = Json> {
    let text = (words(4096), any::<bool>())
        .prop_map(|(body, shown)| json!({"text": {"body": body, "preview_url": shown}}));
    let image = (link("png"), words(1024)).prop_map(|(mut file, caption)| {
        file["caption"] = json!(caption);
        json!({ "image": file })
    });
    let document = (link("pdf"), words(240)).prop_map(|(mut file, name)| {
        file["filename"] = json!(name);
        json!({ "document": file })
    });
    let place = (-90.0..90.0_f64, -180.0..180.0_f64, words(30)).prop_map(|(north, east, name)| {
        json!({"location": {"latitude": north, "longitude": east, "name": name}})
    });
    let card = (words(30), "[a-z]{1,9}", "[0-9]{3,12}").prop_map(|(name, mail, phone)| {
        json!({"contacts": [{"name": {"formatted_name": name, "first_name": name},
            "phones": [{"phone": phone, "type": "WORK", "wa_id": phone}],
            "emails": [{"email": format!("{mail}@a.example"), "type": "HOME"}],
            "urls": [{"url": format!("https://{mail}.example"), "type": "WORK"}],
            "org": {"company": name}, "birthday": "1984-05-17"}]})
    });
    let tapped = (words(20), "[a-z]{1,9}").prop_map(|(label, host)| {
        json!({"interactive": {"type": "cta_url", "body": {"text": "See"}, "action": {
            "name": "cta_url", "parameters": {"display_text": label,
                "url": format!("https://{host}.example/a?b=c")}}}})
    });
    let flow =
        ("[0-9]{5,9}", any::<i32>(), any::<Option<bool>>()).prop_map(|(id, number, other)| {
            json!({"interactive": {"type": "flow", "header": {"type": "image", "image": {"id": id}},
            "body": {"text": "Book"}, "action": {"name": "flow", "parameters": {
                "flow_message_version": "3", "flow_id": id, "flow_cta": "Book",
                "flow_action_payload": {"screen": "A", "data": {"n": number, "o": other}}}}}})
        });
    let emoji = prop::sample::select(vec!["👍", "❤️", "👩‍👧‍👦", "🇳🇱", "1️⃣", "👍🏽", ""])
        .prop_map(|emoji| json!({"reaction": {"message_id": "wamid.HBgM=", "emoji": emoji}}));
    prop_oneof![
        text,
        image,
        document,
        link("mp4").prop_map(|file| json!({ "video": file })),
        link("opus").prop_map(|file| json!({ "audio": file })),
        "[0-9]{6,20}".prop_map(|id| json!({"sticker": {"id": id}})),
        place,
        card,
        buttons(),
        list(),
        tapped,
        flow,
        emoji,
    ]
}

/// Where something can be changed in an object.
fn places(value: &Json, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Json::Object(map) => map
            .iter()
            .for_each(|(key, value)| places(value, &format!("{at}/{key}"), found)),
        Json::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(place, value)| places(value, &format!("{at}/{place}"), found)),
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(5)),
        Just(json!(-1.5e300)),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!("{{a}}")),
        Just(json!("[[a]]")),
        Just(json!([{"type": "text"}])),
        any::<bool>().prop_map(|it| json!(it)),
        ".{0,40}".prop_map(|it| json!(it)),
        Just(json!("long ".repeat(900))),
    ]
}

proptest! {
    /// What is sound is sent, and one wrong member is told or harmless; it never stops the daemon.
    #[test]
    fn a_changed_member_is_told_or_taken(
        object in contents(),
        other in anything(),
        place: prop::sample::Index,
        key in "[a-z_]{1,12}",
    ) {
        prop_assert!(whole(&object).is_ok(), "{:?} {object}", whole(&object));
        let mut found = Vec::new();
        places(&object, "", &mut found);
        let place = &found[1 + place.index(found.len() - 1)];
        let mut changed = object.clone();
        *changed.pointer_mut(place).expect("a place") = other;
        if let Err(codes) = whole(&changed) {
            prop_assert!(!codes.is_empty());
        }
        let mut widened = object;
        if let Some(map) = widened.pointer_mut(place).and_then(Json::as_object_mut)
            && !map.contains_key(&key)
        {
            map.insert(key, json!(1));
            let is_flow_data = place.ends_with("/data");
            prop_assert_eq!(whole(&widened).is_ok(), is_flow_data);
        }
    }
}
