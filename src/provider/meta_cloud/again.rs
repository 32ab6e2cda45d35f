//! What the adapter writes is a message of the Cloud API, which is one of the forms of a batch:
//! read again, it must be the same message.

use std::path::Path;

use serde_json::{Value, json};

use super::wire::envelope;
use crate::batch::media::NoFiles;
use crate::batch::read::{Checker, Form, Row, Rules, outline, rows};
use crate::batch::template::Templates;
use crate::batch::{BatchId, Message, Moment, Phone};
use crate::delivery::AttemptId;

fn text(path: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(root.join("tests/golden/dialect").join(path)).expect("read")
}

/// The messages of an array of the Cloud API's.
fn messages(bytes: &[u8]) -> Vec<Message> {
    let definitions = ("templates.json".into(), text("templates.json"));
    let (templates, problems) = Templates::parse(&[definitions]);
    assert_eq!(problems, []);
    let rules = Rules {
        senders: vec![Phone::from_e164("+15550001111").expect("a number")],
        ..Rules::default()
    };
    let checker = Checker {
        rules: &rules,
        templates: &templates,
        files: &NoFiles,
        received_at: Moment::parse("2026-11-21T09:15:02.114Z").expect("a moment"),
    };
    let found = outline(bytes, Form::Json, checker).expect("memory does not fail");
    assert_eq!(found.faults, []);
    let mut messages = Vec::new();
    rows(bytes, &found, checker, &mut |row, _| {
        match row {
            Row::Good(message) => messages.push(message),
            Row::Bad(bad) => panic!("{:?}", bad.faults),
        }
        Ok(())
    })
    .expect("memory does not fail");
    messages
}

/// The request that sends a message.
fn request(message: &Message) -> Value {
    let batch = BatchId::parse("20261121T091502Z-7kq2xm").expect("an id");
    let id = AttemptId {
        batch,
        index: message.index,
        attempt: 1,
    };
    serde_json::from_slice(&envelope(&id, message, None)).expect("JSON")
}

/// Whoever moves from the API to files would find that one of them says something else.
#[test]
fn what_is_sent_reads_as_what_was_to_be_sent() {
    let call = |action: Value| {
        let body = json!({ "type": "text", "text": "Mira" });
        let button = json!({
            "type": "button", "sub_type": "voice_call", "index": 0, "parameters": action,
        });
        json!({
            "messaging_product": "whatsapp", "to": "+31612345001", "type": "template",
            "template": {
                "name": "with_call", "language": { "code": "en" },
                "components": [{ "type": "body", "parameters": [body] }, button],
            },
        })
    };
    let voice = |voice: bool| {
        json!({
            "messaging_product": "whatsapp", "to": "+31612345001", "type": "audio",
            "audio": { "id": "88", "voice": voice },
        })
    };
    let action = json!({ "ttl_minutes": 30, "payload": "spring" });
    let minutes = json!({ "type": "ttl_minutes", "ttl_minutes": "30" });
    let payload = json!({ "type": "payload", "payload": "spring" });
    let own = json!([
        call(json!([{ "type": "action", "action": action }])),
        call(json!([minutes, payload])),
        voice(true),
        voice(false),
    ]);
    let own = messages(own.to_string().as_bytes());
    assert_eq!(own[0].content, own[1].content);
    let kinds = ["cloud-api/templates.json", "cloud-api/sessions.json"];
    let golden = kinds.iter().flat_map(|path| messages(&text(path)));
    for message in own.into_iter().chain(golden) {
        let sent = request(&message);
        let again = messages(json!([sent]).to_string().as_bytes());
        assert_eq!(again[0].content, message.content, "{sent:#}");
        assert_eq!(again[0].to, message.to);
    }
}
