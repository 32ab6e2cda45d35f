//! The words in which this stand-in refuses. Bird publishes their form and not its codes, so that
//! the codes are made up.

use std::collections::BTreeMap;

use serde_json::json;

/// A refusal in Bird's form.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// `Retry-After` in seconds.
    pub(super) retry_after_secs: Option<u64>,
    code: &'static str,
    message: String,
    details: BTreeMap<String, Vec<String>>,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            retry_after_secs: None,
            code,
            message: message.into(),
            details: BTreeMap::new(),
        }
    }

    /// The body could not be read at all.
    pub(super) fn unreadable(message: &'static str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// There is no key, or one of another scheme.
    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "no access key")
    }

    /// There is no such thing.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(404, "NotFound", message)
    }

    /// Some fields are not taken.
    pub(super) fn invalid<R: Into<String>>(fields: impl IntoIterator<Item = (String, R)>) -> Self {
        let mut refusal = Self::new(422, "InvalidPayload", "the request is not valid");
        for (field, reason) in fields {
            let reasons = refusal.details.entry(field).or_default();
            reasons.push(reason.into());
        }
        refusal
    }

    /// More requests a second than allowed.
    pub(super) fn throttled() -> Self {
        Self {
            retry_after_secs: Some(1),
            ..Self::new(429, "TooManyRequests", "the rate limit was exceeded")
        }
    }

    /// The service failed and says so itself.
    pub(super) fn failed() -> Self {
        Self::new(500, "InternalError", "something went wrong")
    }

    /// One with this HTTP status, where Bird has words for it.
    pub(super) fn of(status: u16) -> Option<Self> {
        Some(match status {
            400 => Self::unreadable("the request cannot be read"),
            401 => Self::unauthorized(),
            402 => Self::new(402, "PaymentRequired", "the wallet is empty"),
            403 => Self::new(403, "Forbidden", "the key has no role for this"),
            404 => Self::missing("not found"),
            409 => Self::new(409, "Conflict", "conflicting conditions"),
            422 => Self::invalid([("body".to_owned(), "not taken")]),
            429 => Self::throttled(),
            500 => Self::failed(),
            503 => Self::new(503, "Unavailable", "the service is not available"),
            _ => return None,
        })
    }

    /// The JSON body.
    pub(super) fn body(&self) -> String {
        let mut body = json!({ "code": self.code, "message": self.message });
        if !self.details.is_empty() {
            body["details"] = json!(self.details);
        }
        body.to_string()
    }
}
