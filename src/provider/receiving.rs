//! What a provider says later, in callbacks or when it is asked: what shows that a callback is its
//! own. Pure: nothing here waits, stores or decides what follows.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::Secret;

/// How callbacks of a tenant's provider show that they are its own. What is empty is not used.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CallbackSecrets {
    /// What callbacks are signed with.
    pub app_secret: Secret,
    /// What the provider shows when it asks whether somebody listens here.
    pub verify_token: Secret,
    /// The part of the path that only the provider knows, where it signs nothing.
    pub path: Secret,
}

impl CallbackSecrets {
    /// Whether callbacks are signed, or somebody is asked whether they are wanted.
    pub fn signs(&self) -> bool {
        [&self.app_secret, &self.verify_token]
            .iter()
            .any(|secret| !secret.reveal().is_empty())
    }

    /// Whether any callback can show that it is the provider's.
    pub fn can_prove(&self) -> bool {
        [&self.app_secret, &self.path]
            .iter()
            .any(|secret| !secret.reveal().is_empty())
    }
}

impl Secret {
    /// Whether `text` is the secret. An empty secret is nobody's; how long this takes says nothing
    /// but the length of the right one.
    pub fn is(&self, text: &str) -> bool {
        let secret = self.reveal().as_bytes();
        !secret.is_empty() && verify_slices_are_equal(secret, text.as_bytes()).is_ok()
    }
}

/// What a callback shows of where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is signed by the provider.
    Signed,
    /// It is not, although it should be.
    Wrong,
    /// Nothing is signed here: the path alone can show it.
    Unsigned,
}

/// Attempts that one question is about, at most.
pub const ASKED_MAX: usize = 50;
