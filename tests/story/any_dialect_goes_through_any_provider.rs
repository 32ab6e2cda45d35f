//! Whatever form a file has, it can be sent through whatever provider: each of the six dialects
//! with each of the five providers, a template with a header, four placeholders and two buttons,
//! and a session text, through the service to the stand-in and back into the results. Where a pair
//! cannot work, the tenant is told why before anything is sent.
//!
//! What becomes of each pair stands in `tests/golden/provider/cross-table.txt`; `UPDATE_EXPECT=1`
//! rewrites it. What reached the stand-ins is judged by the vendors' own descriptions.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::world::provider::Reserved;
use crate::world::sandbox::Sandbox;
use crate::world::{TenantPlan, World};

/// A provider, and what a tenant of it sets.
struct Through {
    kind: &'static str,
    /// In `[provider]`, besides kind, address and token.
    provider: &'static str,
    /// In `[[senders]]`, besides the number.
    sender: &'static str,
    /// What it calls the template by.
    template_id: &'static str,
    /// Which description of the vendor's judges a request: by the end of its path and its content.
    schema: fn(&str, &Value) -> Option<&'static str>,
}

const WORKSPACE: &str = "0d4b1f3c-2d0e-4c6a-9a77-0f5a8f2b9e10";

const PROVIDERS: [Through; 5] = [
    Through {
        kind: "meta-cloud",
        provider: "business_account_id = \"102290129340398\"",
        sender: "phone_number_id = \"106540352242922\"",
        template_id: "802400000000001",
        schema: |_, _| Some("meta-cloud/messages.request"),
    },
    Through {
        kind: "infobip",
        provider: "",
        sender: "",
        template_id: "802400000000001",
        schema: |path, _| match path.rsplit('/').next() {
            Some("template") => Some("infobip/message-template.request"),
            Some("text") => Some("infobip/message-text.request"),
            _ => None,
        },
    },
    Through {
        kind: "bird",
        provider: "workspace_id = \"0d4b1f3c-2d0e-4c6a-9a77-0f5a8f2b9e10\"",
        sender: "channel_id = \"5b1c0c1e-3c44-4f0a-8a55-1f2e3d4c5b6a\"",
        template_id: WORKSPACE,
        schema: |_, _| Some("bird/create-message.request"),
    },
    Through {
        kind: "webex-connect",
        provider: "",
        sender: "app_id = \"a_170000000000000001\"",
        template_id: "802400000000001",
        // The vendor describes no request for a text.
        schema: |_, body| {
            let is_template = body.get("message").is_some();
            is_template.then_some("webex-connect/message-template.request")
        },
    },
    Through {
        kind: "botsquad",
        provider: "bot_id = \"0d4b1f3c-2d0e-4c6a-9a77-0f5a8f2b9e10\"",
        sender: "",
        template_id: "802400000000001",
        // The vendor describes nothing for machines.
        schema: |_, _| None,
    },
];

const TABLE: &str = "tests/golden/provider/cross-table.txt";
const TO: &str = "+31612345001";
const PHOTO: &str = "https://files.example/photo.jpg";
const VALUES: [&str; 4] = ["Ana", "PX-9", "Lighthouse Books", "Friday"];
const WORDS: &str = "Your parcel lies at desk 4.";

/// The template, as the tenant's operator has its definition.
fn definition(id: &str) -> Value {
    json!({
        "id": id, "name": "parcel_ready", "language": "en", "status": "APPROVED",
        "category": "UTILITY", "parameter_format": "POSITIONAL",
        "variables": {
            "photo": "header", "name": "body:1", "parcel": "body:2", "shop": "body:3",
            "until": "body:4", "answer": "button:0", "track": "button:1",
        },
        "components": [
            { "type": "HEADER", "format": "IMAGE" },
            { "type": "BODY",
              "text": "Hello {{1}}, parcel {{2}} from {{3}} waits until {{4}} for you." },
            { "type": "BUTTONS", "buttons": [
                { "type": "QUICK_REPLY", "text": "Not mine" },
                { "type": "URL", "text": "Follow", "url": "https://ex.example/t/{{1}}" },
            ] },
        ],
    })
}

/// The file of a dialect that sends the template, and the one that sends the text; `id` is the
/// template's at the provider.
fn files(id: &str) -> [(&'static str, Value, Value); 6] {
    [
        (
            "native",
            native_template(),
            json!({ "data": [{ "to": TO, "message": WORDS }] }),
        ),
        ("cloud-api", cloud_template(), cloud_text()),
        ("infobip", infobip_template(), infobip_text()),
        ("bird", bird_template(id), bird_text()),
        ("webex-connect", webex_template(id), webex_text()),
        ("botsquad", botsquad_template(), botsquad_text()),
    ]
}

fn native_template() -> Value {
    json!({
        "templateName": "parcel_ready", "templateLanguage": "en",
        "data": [{
            "to": TO, "placeholders": VALUES,
            "templateHeader": { "type": "image", "url": PHOTO },
            "templateButtons": [
                { "type": "quick-reply", "index": 0, "value": "not-mine" },
                { "type": "url", "index": 1, "value": "PX-9" },
            ],
        }],
    })
}

fn components() -> Value {
    let values: Vec<Value> = VALUES
        .iter()
        .map(|text| json!({ "type": "text", "text": text }))
        .collect();
    json!([
        { "type": "header", "parameters": [{ "type": "image", "image": { "link": PHOTO } }] },
        { "type": "body", "parameters": values },
        { "type": "button", "sub_type": "quick_reply", "index": 0,
          "parameters": [{ "type": "payload", "payload": "not-mine" }] },
        { "type": "button", "sub_type": "url", "index": 1,
          "parameters": [{ "type": "text", "text": "PX-9" }] },
    ])
}

fn cloud_template() -> Value {
    json!([{
        "messaging_product": "whatsapp", "to": TO, "type": "template",
        "template": {
            "name": "parcel_ready", "language": { "code": "en" }, "components": components(),
        },
    }])
}

fn cloud_text() -> Value {
    json!([{ "messaging_product": "whatsapp", "to": TO, "type": "text", "text": { "body": WORDS } }])
}

fn infobip_template() -> Value {
    json!({ "messages": [{
        "from": "15550001111", "to": "31612345001",
        "content": {
            "templateName": "parcel_ready", "language": "en",
            "templateData": {
                "body": { "placeholders": VALUES },
                "header": { "type": "IMAGE", "mediaUrl": PHOTO },
                "buttons": [
                    { "type": "QUICK_REPLY", "parameter": "not-mine" },
                    { "type": "URL", "parameter": "PX-9" },
                ],
            },
        },
    }] })
}

fn infobip_text() -> Value {
    json!({ "messages": [{
        "from": "15550001111", "to": "31612345001", "content": { "text": WORDS },
    }] })
}

fn bird_contacts() -> Value {
    json!({ "contacts": [{ "identifierKey": "phonenumber", "identifierValue": TO }] })
}

fn bird_template(id: &str) -> Value {
    let keys = ["name", "parcel", "shop", "until"].into_iter().zip(VALUES);
    let more = [("photo", PHOTO), ("answer", "not-mine"), ("track", "PX-9")];
    let parameters: Vec<Value> = keys
        .chain(more)
        .map(|(key, value)| json!({ "type": "string", "key": key, "value": value }))
        .collect();
    json!([{
        "receiver": bird_contacts(),
        "template": {
            "projectId": id, "version": "latest", "locale": "en", "parameters": parameters,
        },
    }])
}

fn bird_text() -> Value {
    json!([{ "receiver": bird_contacts(), "body": { "type": "text", "text": { "text": WORDS } } }])
}

fn webex_template(id: &str) -> Value {
    json!({
        "deliverychannel": "whatsapp", "appid": "a_170000000000000001",
        "destination": [{ "waid": ["31612345001"] }],
        "message": { "template": id, "parameters": {
            "image": { "link": PHOTO },
            "name": VALUES[0], "parcel": VALUES[1], "shop": VALUES[2], "until": VALUES[3],
            "track": { "type": "url", "payload": "PX-9" },
            "quickReply": [{ "button_text": "Not mine", "payload": "not-mine" }],
        } },
    })
}

fn webex_text() -> Value {
    json!({
        "deliverychannel": "whatsapp", "appid": "a_170000000000000001",
        "destination": [{ "waid": ["31612345001"] }],
        "channels": { "OTT-Messaging": { "wa": { "type": "text", "text": { "body": WORDS } } } },
    })
}

fn botsquad_template() -> Value {
    json!({
        "template": { "name": "parcel_ready", "language": "en", "components": components() },
        "users": [{ "phone": TO, "params": {} }],
    })
}

fn botsquad_text() -> Value {
    json!({ "text": WORDS, "users": [{ "phone": TO }] })
}

/// What became of a file, in a few words: its one message's state, or the faults of it.
fn fate(world: &mut World, name: &str) -> String {
    let status = world.ended(name);
    let told = |faults: &Value| -> Vec<String> {
        let faults = faults.as_array().into_iter().flatten();
        let told = faults.map(|fault| {
            let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
            let pointer = fault["pointer"].as_str().unwrap_or_default().to_owned();
            format!(
                "{} at `{pointer}`: expected {}",
                text("code"),
                text("expected")
            )
        });
        told.collect()
    };
    let folder = world.folder("acme");
    if status["state"] == "rejected" {
        return told(&folder.faults(&status)["faults"]).join("; ");
    }
    let results = folder.results(&status);
    assert_eq!(results.len(), 1, "{status}");
    let state = results[0]["status"].as_str().expect("a state");
    match state {
        "accepted" => {
            assert!(results[0]["messageId"].is_string(), "{results:?}");
            let warned = told(&status["warnings"]);
            match warned.as_slice() {
                [] => "accepted".into(),
                warned => format!("accepted, with {}", warned.join("; ")),
            }
        }
        _ => format!("{state}: {}", results[0]["error"]),
    }
}

/// A tenant of the provider, and the stand-in, which knows the templates that the tenant knows.
fn laid_out(through: &Through, record: &Path) -> (World, Sandbox) {
    let world = World::prepare(&[TenantPlan::new("acme")], &Reserved::new());
    let definition = definition(through.template_id).to_string();
    world.write("tenants.d/acme-templates/parcel_ready.json", definition);
    let templates = world.path("tenants.d/acme-templates");
    let sandbox = Sandbox::of(through.kind, &templates, record);
    settle(&world, through, &sandbox);
    (world, sandbox)
}

/// Has the tenant's messages leave through the stand-in.
fn settle(world: &World, through: &Through, sandbox: &Sandbox) {
    let Through {
        kind,
        provider,
        sender,
        ..
    } = through;
    let provider = format!(
        "kind = \"{kind}\"\nbase_url = \"{}\"\n{provider}",
        sandbox.url
    );
    world.leave_by("acme", &provider, sender);
}

/// What was asked of a stand-in, held against what its vendor has published; gives how much.
fn judge(through: &Through, asked: &[Value]) -> usize {
    let mut judged = 0;
    for request in asked {
        let path = request["path"].as_str().expect("a path");
        let body = &request["body"];
        let Some(name) = (through.schema)(path, body).filter(|_| request["method"] == "POST")
        else {
            continue;
        };
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let file = root.join(format!("tests/golden/provider/specs/{name}.schema.json"));
        let schema = std::fs::read(file).expect("a schema");
        let schema = serde_json::from_slice(&schema).expect("JSON");
        let schema = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<String> = schema.iter_errors(body).map(|it| it.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}\n{body:#}", through.kind);
        judged += 1;
    }
    judged
}

/// A customer who changes the provider, or the program that writes the files, must not have to
/// change the other as well.
#[test]
fn each_pair_sends_or_says_why_not() {
    let mut table = String::new();
    for through in &PROVIDERS {
        let record = tempfile::NamedTempFile::new().expect("a file");
        let (mut world, sandbox) = laid_out(through, record.path());
        world.run();
        for (dialect, template, text) in files(through.template_id) {
            for (what, file) in [("template", template), ("text", text)] {
                let name = format!("{dialect}-{what}.json");
                world.drop_file(&name, file.to_string());
                let fate = fate(&mut world, &name);
                let _ = writeln!(table, "{dialect} | {} | {what} | {fate}", through.kind);
            }
        }
        world.stop();
        sandbox.end();
        let record = std::fs::read_to_string(record.path()).expect("a record");
        let asked: Vec<Value> = record
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let judged = judge(through, &asked);
        assert!(
            judged >= 5 || through.kind == "botsquad",
            "{judged} of {}",
            through.kind
        );
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &table).expect("written");
    }
    let agreed = std::fs::read_to_string(&path).expect("the table");
    for (came, wanted) in table.lines().zip(agreed.lines()) {
        assert_eq!(came, wanted, "{TABLE}: UPDATE_EXPECT=1 rewrites it");
    }
    assert_eq!(table.len(), agreed.len(), "{TABLE}");
}
