//! A pull, page by page, and what the definitions of it are worth to rows.

use serde_json::{Value as Json, json};

use super::*;
use crate::batch::template::Templates;
use crate::provider::Secret;
use crate::provider::bird::Settings;

const WORKSPACE: &str = "7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9d10";
const ORDERS: &str = "0d4b1f3c-2d0e-4c6a-9a77-0f5a8f2b9e10";
const SALE: &str = "2f6c8a14-7b3d-4e5f-8a90-1c2d3e4f5a6b";

fn adapter() -> Bird {
    let settings = Settings {
        workspace_id: WORKSPACE.into(),
        ..Settings::default()
    };
    let key = Secret::new("key-of-the-operator");
    Bird::new("https://api.example".into(), key, settings)
}

fn answer(status: u16, body: &Json) -> Reply {
    Reply::Answer {
        status,
        retry_after: None,
        body: body.to_string().into(),
    }
}

/// The definitions of a workspace with these answers, and the paths that were asked for.
fn pulled(answers: &[Json]) -> (Vec<Json>, Vec<String>) {
    let mut pull = adapter().pulling();
    let Step::Ask(first) = pull.next(None) else {
        panic!("it begins with a request");
    };
    let mut paths = vec![first.url];
    for body in answers {
        match pull.pulled(&answer(200, body)) {
            Step::Ask(request) => paths.push(request.url),
            Step::Done(definitions) => {
                let stem = format!("https://api.example/workspaces/{WORKSPACE}/projects");
                let path = |url: String| url.strip_prefix(&stem).expect("the stem").to_owned();
                return (definitions, paths.into_iter().map(path).collect());
            }
            Step::Failed(reason) => panic!("{reason:?}"),
        }
    }
    panic!("there is no end of it");
}

fn project(id: &str, name: &str) -> Json {
    json!({ "id": id, "name": name, "type": "channelTemplate", "supportedPlatforms": ["whatsapp"] })
}

fn template(blocks: &Json) -> Json {
    let text = |text: &str| json!({ "exampleValueStrings": [text] });
    json!({
        "id": "v-1", "status": "active", "localeStatuses": { "en": "active", "es-ES": "pending" },
        "deployments": [
            { "key": "whatsappTemplateName", "value": "order_update", "platform": "whatsapp" },
            { "key": "whatsappCategory", "value": "UTILITY", "locale": null },
        ],
        "variables": [{ "key": "first_name", "examplesLocale": { "en": text("Aino") } }],
        "platformContent": [
            { "platform": "whatsapp", "locale": "en", "blocks": blocks },
            { "platform": "whatsapp", "locale": "es-ES", "blocks": blocks },
            { "platform": "sms-messagebird", "locale": "en", "blocks": [] },
        ],
    })
}

fn blocks() -> Json {
    json!([
        { "type": "image", "role": "header", "image": { "mediaUrl": "{{photo}}" } },
        { "type": "text", "role": "body", "text": { "text": "Hello {{first_name}}." } },
        { "type": "text", "role": "footer", "text": { "text": "Harbour Books" } },
        { "type": "link-action",
          "linkAction": { "text": "Follow", "url": "https://a.example/t/{{track}}" } },
        { "type": "reply-action", "replyAction": { "text": "Not mine" } },
    ])
}

fn parsed(definitions: &[Json]) -> Templates {
    let file = ("pulled.json".into(), json!(definitions).to_string().into());
    let (templates, problems) = Templates::parse(&[file]);
    assert_eq!(problems, []);
    templates
}

/// A template that is overlooked cannot be sent, and one on the second page is easily overlooked.
#[test]
fn every_page_of_every_project_is_asked_for() {
    let page = |results: Json, next: Json| json!({ "results": results, "nextPageToken": next });
    let website = json!({ "id": ORDERS, "name": "site", "type": "website" });
    let (definitions, paths) = pulled(&[
        page(json!([project(ORDERS, "orders"), website]), json!("a b&c")),
        page(json!([project(SALE, "sale")]), Json::Null),
        page(json!([template(&blocks())]), json!("2")),
        page(json!([]), json!("")),
        page(json!([]), Json::Null),
    ]);
    assert_eq!(
        paths,
        [
            "?limit=100".to_owned(),
            "?limit=100&pageToken=a+b%26c".into(),
            format!("/{ORDERS}/channel-templates?limit=100"),
            format!("/{ORDERS}/channel-templates?limit=100&pageToken=2"),
            format!("/{SALE}/channel-templates?limit=100"),
        ]
    );
    let named: Vec<_> = definitions
        .iter()
        .map(|it| {
            (
                it["name"].as_str(),
                it["language"].as_str(),
                it["status"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            (Some("order_update"), Some("en"), Some("APPROVED")),
            (Some("order_update"), Some("es_ES"), Some("PENDING")),
        ]
    );
}

/// Rows are held against what was pulled: a place that has another name there fails at Bird.
#[test]
fn a_pulled_definition_names_every_place_as_bird_does() {
    let definitions = definitions(&project(ORDERS, "x"), &[template(&blocks())], LATEST);
    let templates = parsed(&definitions);
    let template = templates.get("order_update", "en").expect("pulled");
    assert!(template.is_usable(), "{:?}", template.obstacle());
    let handle = template.handle();
    assert_eq!(handle.id, ORDERS);
    assert_eq!(handle.header.as_deref(), Some("photo"));
    assert_eq!(handle.body, ["first_name"]);
    assert_eq!(handle.buttons, [(0, "track".to_owned())]);
    let other = templates.get("order_update", "es_ES").expect("pulled");
    assert!(!other.is_usable(), "what is pending was not approved");
}

/// Without its text a template can still be filled by the names of its variables.
#[test]
fn variables_alone_are_enough_to_send() {
    let template = json!({
        "id": "v-1", "status": "active", "localeStatuses": { "pt-BR": "active" },
        "variables": [{ "key": "first_name" }, { "key": "2" }],
    });
    let templates = parsed(&definitions(
        &project(ORDERS, "orders"),
        &[template],
        LATEST,
    ));
    let template = templates.get("orders", "pt_BR").expect("pulled");
    assert!(template.is_usable(), "{:?}", template.obstacle());
    assert_eq!(template.handle().body, ["first_name", "2"]);
}

/// What cannot be said about a block must keep the template from being used, not be left out.
#[test]
fn what_no_row_can_fill_is_no_usable_template() {
    let body = json!({ "type": "text", "role": "body", "text": { "text": "Look." } });
    for odd in [
        json!({ "type": "carousel", "carousel": {} }),
        json!({ "type": "flow-action", "flowAction": {} }),
        json!({ "type": "image", "role": "header",
            "image": { "mediaUrl": "https://a.example/{{photo}}.jpg" } }),
    ] {
        let template = template(&json!([body, odd]));
        let templates = parsed(&definitions(&project(ORDERS, "x"), &[template], LATEST));
        let found = templates.get("order_update", "en").expect("pulled");
        assert!(!found.is_usable(), "{odd}");
    }
    // A picture that is always the same asks for nothing.
    let fixed = json!({ "type": "image", "role": "header",
        "image": { "mediaUrl": "https://a.example/a.jpg" } });
    let template = template(&json!([fixed, body]));
    let templates = parsed(&definitions(&project(ORDERS, "x"), &[template], LATEST));
    assert!(
        templates
            .get("order_update", "en")
            .expect("pulled")
            .is_usable()
    );
}

/// A message names the project: another version of it than the one that is sent is another text.
#[test]
fn only_the_version_that_is_sent_is_approved() {
    let named = |id: &str, name: &str| {
        let mut template = template(&blocks());
        template["id"] = json!(id);
        template["deployments"][0]["value"] = json!(name);
        template
    };
    let mut project = project(ORDERS, "x");
    project["activeResourceId"] = json!("v-2");
    let versions = [
        named("v-1", "old"),
        named("v-2", "fresh"),
        named("v-3", "old"),
    ];
    let status = |version: &str| {
        let found = definitions(&project, &versions, version);
        (found[0]["name"].clone(), found[0]["status"].clone())
    };
    assert_eq!(status(LATEST), (json!("fresh"), json!("APPROVED")));
    assert_eq!(status("v-1"), (json!("old"), json!("APPROVED")));
}

/// A list that cannot be had must not be taken for an empty one: every template would be gone.
#[test]
fn a_failure_is_no_empty_list() {
    let words = json!({ "code": "Forbidden", "message": "no role for key-of-the-operator" });
    for (reply, code) in [
        (answer(403, &words), "provider.permission"),
        (answer(401, &words), "provider.credentials"),
        (answer(404, &words), "provider.address"),
        (answer(429, &words), "provider.throttled"),
        (answer(500, &words), "provider.unavailable"),
        (answer(200, &json!({})), "provider.address"),
        (answer(200, &json!("x")), "provider.address"),
        (
            Reply::NeverLeft {
                why: "refused".into(),
            },
            "provider.unreachable",
        ),
        (
            Reply::NoAnswer { why: "cut".into() },
            "provider.unavailable",
        ),
    ] {
        let mut pull = adapter().pulling();
        let Step::Failed(reason) = pull.pulled(&reply) else {
            panic!("{reply:?}");
        };
        assert_eq!(reason.code, code, "{reply:?}");
        assert!(!reason.detail.contains("operator"), "{reason:?}");
    }
}
