//! The words in which Infobip answers: statuses of messages, and refusals in both of its forms.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::json as answer;
use super::shape::Errors;

/// A status: the group and its name, the id and its name, and what it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Status(
    pub(super) i64,
    &'static str,
    pub(super) i64,
    &'static str,
    &'static str,
);

pub(super) const PENDING: Status = Status(
    1,
    "PENDING",
    7,
    "PENDING_ENROUTE",
    "Message sent to next instance",
);
pub(super) const DELIVERED: Status = Status(
    3,
    "DELIVERED",
    5,
    "DELIVERED_TO_HANDSET",
    "Message delivered to handset",
);
pub(super) const UNDELIVERABLE: Status = Status(
    2,
    "UNDELIVERABLE",
    4,
    "UNDELIVERABLE_REJECTED_OPERATOR",
    "Message rejected by operator",
);
pub(super) const EXPIRED: Status = Status(4, "EXPIRED", 15, "EXPIRED_EXPIRED", "Message expired");
pub(super) const BLOCKLISTED: Status = Status(
    5,
    "REJECTED",
    14,
    "REJECTED_DESTINATION_BLOCKLISTED",
    "By request, this destination is on the blocklist",
);
pub(super) const SYSTEM_ERROR: Status = Status(
    5,
    "REJECTED",
    21,
    "REJECTED_SYSTEM_ERROR",
    "A system error occurred",
);
pub(super) const DUPLICATE: Status = Status(
    5,
    "REJECTED",
    23,
    "REJECTED_DUPLICATE_MESSAGE_ID",
    "The message id was used before",
);
pub(super) const DESTINATION: Status = Status(
    5,
    "REJECTED",
    52,
    "REJECTED_DESTINATION",
    "The destination is invalid",
);

impl Status {
    /// As the API writes it.
    pub(super) fn written(self) -> Value {
        let Self(group, group_name, id, name, description) = self;
        json!({
            "groupId": group, "groupName": group_name, "id": id, "name": name,
            "description": description,
        })
    }
}

/// An error of a report: the group and its name, the id and its name, and whether it lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mishap(i64, &'static str, pub(super) i64, &'static str, bool);

pub(super) const NONE: Mishap = Mishap(0, "OK", 0, "NO_ERROR", false);
pub(super) const UNKNOWN_USER: Mishap = Mishap(1, "HANDSET_ERRORS", 7002, "EC_UNKNOWN_USER", true);
pub(super) const WRONG_VALUES: Mishap =
    Mishap(1, "HANDSET_ERRORS", 7008, "EC_INVALID_TEMPLATE_ARGS", true);
pub(super) const NO_TEMPLATE: Mishap =
    Mishap(1, "HANDSET_ERRORS", 7009, "EC_INVALID_TEMPLATE", true);
pub(super) const VALIDITY: Mishap = Mishap(3, "OPERATOR_ERRORS", 4101, "EC_VALIDITY_EXPIRED", true);

impl Mishap {
    /// As the API writes it.
    pub(super) fn written(self) -> Value {
        let Self(group, group_name, id, name, permanent) = self;
        json!({
            "groupId": group, "groupName": group_name, "id": id, "name": name,
            "description": name, "permanent": permanent,
        })
    }
}

/// The code and the text of both forms for a status of HTTP.
fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("BAD_REQUEST", "Bad request"),
        401 => ("UNAUTHORIZED", "Unauthorized"),
        403 => ("FORBIDDEN", "Forbidden"),
        404 => ("NOT_FOUND", "Not found"),
        429 => ("TOO_MANY_REQUESTS", "Too many requests"),
        _ if status.is_client_error() => ("BAD_REQUEST", "The request was not taken"),
        _ => (
            "GENERAL_ERROR",
            "Something went wrong. Please contact support.",
        ),
    }
}

/// A refusal in the form of the calls that send messages.
pub(super) fn exception(status: StatusCode, errors: &Errors) -> Response {
    let (code, text) = words(status);
    let mut exception = json!({ "messageId": code, "text": text });
    if !errors.is_empty() {
        exception["validationErrors"] = json!(errors);
    }
    let body = json!({ "requestError": { "serviceException": exception } });
    answer(status, body.to_string())
}

/// A refusal in the form of the newer calls.
pub(super) fn error(status: StatusCode, seconds: Option<u64>) -> Response {
    let (_, text) = words(status);
    let body = json!({
        "errorCode": format!("E{}", status.as_u16()),
        "description": text,
        "action": "Look at the documentation of this call.",
        "violations": [],
        "resources": [],
    });
    let mut response = answer(status, body.to_string());
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// What comes from a gateway, which does not know the API's words.
pub(super) fn gateway(status: StatusCode) -> Response {
    let page = format!("<html><body><h1>{status}</h1></body></html>");
    (status, [(CONTENT_TYPE, "text/html")], page).into_response()
}

/// A refusal with this status, in the form in which it is most likely to be met.
pub(in super::super) fn refusal(status: StatusCode) -> Response {
    match status.as_u16() {
        429 | 503 => error(status, Some(1)),
        502 | 504 => gateway(status),
        _ => exception(status, &Errors::new()),
    }
}
