//! Tokens that are asked for with a client's secret and hold for a while. Keeping them fresh is
//! left to others.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use url::form_urlencoded;

use super::answer::Refusal;
use super::{Auth, Infobip};
use crate::delivery::Reason;
use crate::provider::cause::Cause;
use crate::provider::{Reply, Request, Secret, TIMEOUT, Token, meaning};

impl Infobip {
    /// The request that asks for a token with the client's `secret`; `None` where none is needed.
    pub(super) fn question_for_token(&self, secret: &Secret) -> Option<Request> {
        let Auth::OAuth2 { client_id } = &self.settings.auth else {
            return None;
        };
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", client_id)
            .append_pair("client_secret", secret.reveal().trim())
            .append_pair("grant_type", "client_credentials")
            .finish();
        let url = format!("{}/auth/1/oauth2/token", self.base_url);
        Some(Request {
            headers: Vec::new(),
            content_type: Cow::Borrowed("application/x-www-form-urlencoded"),
            timeout: TIMEOUT,
            ..Request::post(url, body, &self.credential)
        })
    }

    /// The token in a reply, or why there is none.
    pub(super) fn given_token(reply: &Reply) -> Result<Token, Reason> {
        #[derive(Deserialize)]
        struct Given {
            access_token: String,
            expires_in: u32,
        }
        let answer = meaning::answer(reply).map_err(|outcome| meaning::reason(*outcome))?;
        let given = serde_json::from_slice::<Given>(answer.body).ok();
        match given.filter(|it| answer.is_success() && !it.access_token.trim().is_empty()) {
            Some(given) => Ok(Token {
                secret: Secret::new(given.access_token),
                lives: Duration::from_secs(given.expires_in.into()),
            }),
            None => Err(refused(answer.status, answer.body)),
        }
    }
}

/// Why a reply holds no token. Its words are not repeated: they may quote what they were shown.
fn refused(status: u16, body: &[u8]) -> Reason {
    let code = Refusal::read(body).map_or_else(String::new, |it| it.code);
    let cause = match status {
        400..=403 => Cause::Credentials,
        300..=399 | 404 | 405 | 410 => Cause::Address,
        429 => Cause::Throttled,
        500..=599 => Cause::Unavailable,
        _ => Cause::UnreadableAnswer,
    };
    cause.reason(&format!("HTTP {status}"), code)
}
