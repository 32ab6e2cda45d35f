//! Callbacks as Meta writes them. They share no code with what reads them.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::provider::Seen;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One status of a message that was seen.
pub(crate) fn status(of: &Seen, word: &str) -> Value {
    let mut status = json!({"id": of.wamid, "status": word, "timestamp": "1750030073",
        "recipient_id": of.to, "biz_opaque_callback_data":
            format!("{}-{}-{}", of.batch, of.index, of.attempt)});
    if word == "failed" {
        status["errors"] = json!([{"code": 131_026, "title": "Message undeliverable",
            "message": "Message undeliverable",
            "error_data": {"details": "Message Undeliverable."}}]);
    }
    status
}

/// A callback with these statuses.
pub(crate) fn body(statuses: &[Value]) -> String {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398",
        "changes": [{"field": "messages", "value": {"messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550001111",
                "phone_number_id": "106540352242922"},
            "statuses": statuses}}]}]})
    .to_string()
}

/// The signature of a body.
pub(crate) fn signature(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let mut text = "sha256=".to_owned();
    for byte in tag.as_ref() {
        write!(text, "{byte:02x}").expect("a text takes text");
    }
    text
}

/// Posts a body; gives the status of the answer. An empty signature is left out.
pub(crate) fn post((address, path): (&str, &str), body: &str, signature: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("callbacks are taken");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !signature.is_empty() {
        write!(head, "X-Hub-Signature-256: {signature}\r\n").expect("a text takes text");
    }
    let whole = format!("{head}\r\n{body}");
    stream.write_all(whole.as_bytes()).expect("posted");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    status.expect("a status")
}
