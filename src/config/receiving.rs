//! How a tenant's provider calls back: what shows that a callback is its own.

use super::file::Section;
use super::secret;
use crate::provider::{CallbackSecrets, Secret};

/// The shortest part of a path that counts as one nobody guesses, in characters.
const PATH_CHARS_MIN: usize = 24;

/// The secrets of callbacks; what is not given is empty.
pub(super) fn callbacks(provider: &Section<'_>) -> CallbackSecrets {
    let given = |key| secret::secret(provider, key).unwrap_or_default();
    CallbackSecrets {
        app_secret: given("app_secret_file"),
        verify_token: given("verify_token_file"),
        path: path(provider),
    }
}

fn path(provider: &Section<'_>) -> Secret {
    const KEY: &str = "receipts_secret_file";
    let Some(secret) = secret::secret(provider, KEY) else {
        return Secret::default();
    };
    let text = secret.reveal();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.len() < PATH_CHARS_MIN || !text.chars().all(is_plain) {
        // Said without the value, which may be in use elsewhere.
        let text = format!(
            "`{}` holds what cannot be the secret part of a path; it takes at least \
             {PATH_CHARS_MIN} letters, digits, `-` and `_`, such as `openssl rand -hex 24` prints",
            provider.full(KEY)
        );
        provider.problem(KEY, text);
    }
    secret
}
