//! Tokens made of the service secret: JSON Web Tokens, signed with HMAC and SHA-256.

use aws_lc_rs::hmac;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, PAD};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use base64::{alphabet, engine::DecodePaddingMode};
use serde_json::json;

use crate::batch::Moment;
use crate::provider::Secret;

/// The portal shows secrets with padding; those who copy them may lose it.
const LENIENT: GeneralPurposeConfig = PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Whether tokens can be signed with this text.
pub fn is_secret(text: &str) -> bool {
    bytes(text).is_some()
}

/// A token for the service, made at `at`: it is good for an hour, far longer than a request lasts.
pub(super) fn mint(service_id: &str, secret: &Secret, at: Moment) -> Option<Secret> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes(secret.reveal())?);
    let head = json!({ "alg": "HS256", "typ": "JWT" });
    let claims = json!({ "iss": service_id, "iat": at.as_millis().div_euclid(1_000) });
    let [head, claims] = [head, claims].map(|part| written(part.to_string().as_bytes()));
    let signed = format!("{head}.{claims}");
    let signature = hmac::sign(&key, signed.as_bytes());
    Some(Secret::new(format!(
        "{signed}.{}",
        written(signature.as_ref())
    )))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    bytes.ok().filter(|bytes| !bytes.is_empty())
}

fn written(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token that is signed otherwise is refused, and with it everything that the tenant sends.
    /// The signature was made by another program.
    #[test]
    fn a_token_is_signed_as_others_sign_it() {
        let at = Moment::parse("2026-11-21T09:15:03.999Z").expect("a moment");
        let secret = Secret::new("c2VjcmV0LW9mLXRoZS1zZXJ2aWNl");
        let token = mint("f00d-1", &secret, at).expect("a token");
        assert_eq!(
            token.reveal(),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
             eyJpc3MiOiJmMDBkLTEiLCJpYXQiOjE3OTUyNTI1MDN9.\
             _5BgwRQFD3SE3a27qqfG4kpb2lwEQU3XtCGTilmsgZo"
        );
    }

    /// A secret that cannot be signed with must be told at the start, not at the first message.
    #[test]
    fn a_secret_is_base64_in_either_alphabet() {
        for good in ["c2VjcmV0", "c2VjcmV0MQ==", "c2VjcmV0MQ", "-_-_", "+/+/"] {
            assert!(is_secret(good), "{good}");
        }
        for bad in ["", "c2Vj cmV0", "a", "not base64!"] {
            assert!(!is_secret(bad), "{bad}");
        }
    }
}
