//! Signatures of callbacks: HMAC with SHA-256, over the body as it was sent and in hexadecimal, or
//! bare. Which header holds one is for the provider's adapter to know.

use aws_lc_rs::hmac::{self, Algorithm, HMAC_SHA256, Key};

use super::Secret;
use crate::disk;

/// What stands before the digits.
const SCHEME: &str = "sha256=";

fn key(algorithm: Algorithm, secret: &Secret) -> Key {
    Key::new(algorithm, secret.reveal().as_bytes())
}

/// The signature of `body`.
pub(super) fn sign(secret: &Secret, body: &[u8]) -> String {
    let tag = hmac::sign(&key(HMAC_SHA256, secret), body);
    format!("{SCHEME}{}", disk::hexadecimal(tag.as_ref()))
}

/// The bare signature of `bytes`.
pub(super) fn tag(secret: &Secret, bytes: &[u8]) -> Vec<u8> {
    hmac::sign(&key(HMAC_SHA256, secret), bytes)
        .as_ref()
        .to_vec()
}

/// Whether `tag` is the bare signature of `bytes`. How long this takes says nothing of the right
/// one.
pub(super) fn is_tag(secret: &Secret, bytes: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&key(HMAC_SHA256, secret), bytes, tag).is_ok()
}

/// Whether `signature` is that of `body`. How long this takes says nothing of the right one.
pub(super) fn is_signed(secret: &Secret, body: &[u8], signature: &str) -> bool {
    let digits = signature.strip_prefix(SCHEME);
    digits.is_some_and(|digits| has_tag(HMAC_SHA256, secret, body, digits))
}

/// The same for the hexadecimal digits alone, by this algorithm.
pub(super) fn has_tag(algorithm: Algorithm, secret: &Secret, body: &[u8], digits: &str) -> bool {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let tag: Option<Vec<u8>> = pairs.iter().copied().map(byte).collect();
    let tag = tag.filter(|_| rest.is_empty());
    tag.is_some_and(|tag| hmac::verify(&key(algorithm, secret), body, &tag).is_ok())
}

fn byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Meta signs like this (the second test case of RFC 4231): a signature read wrongly would turn
    /// every receipt away, and one read loosely would let strangers settle messages.
    #[test]
    fn only_the_signature_of_the_body_is_taken() {
        let (secret, body) = (Secret::new("Jefe"), b"what do ya want for nothing?");
        let right = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign(&secret, body), right);
        assert!(is_signed(&secret, body, right));
        assert!(is_signed(
            &secret,
            body,
            &right.replace('a', "A").replace("shA", "sha")
        ));
        for wrong in [
            "",
            "sha256=",
            &right[7..],
            &right[..70],
            &right.replacen('5', "6", 1),
            &format!("{right}00"),
            &right.replacen('c', "g", 1),
        ] {
            assert!(!is_signed(&secret, body, wrong), "{wrong}");
        }
        assert!(!is_signed(&secret, b"what do ya want for nothing!", right));
        assert!(!is_signed(&Secret::new("jefe"), body, right));
    }
}
