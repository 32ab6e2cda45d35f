//! What lets requests in. It can be replaced while requests go on, as when its file changes or a
//! token is renewed; a request shows the one that holds when it is made.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::Secret;

/// A secret shorter than this is not looked for in texts: it would match by chance.
const LOOKED_FOR_BYTES_MIN: usize = 8;

/// How a secret is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: App …`, as Infobip has it.
    App,
    /// `Authorization: Basic …`; the secret is `user:password`.
    Basic,
    /// `Authorization: AccessKey …`, as Bird has it.
    AccessKey,
    /// A header `key` that holds the secret alone, as Webex Connect has it.
    Key,
}

/// What a provider gives for a while in exchange for a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What is shown in requests.
    pub secret: Secret,
    /// How long from the answer on.
    pub lives: Duration,
}

/// What lets requests in. A clone shares it.
#[derive(Clone, Debug)]
pub struct Credential {
    scheme: Scheme,
    secret: Arc<RwLock<Secret>>,
}

impl Credential {
    /// Shows `secret` in this way.
    pub fn new(scheme: Scheme, secret: Secret) -> Self {
        let secret = Arc::new(RwLock::new(secret));
        Self { scheme, secret }
    }

    /// The secret that holds.
    pub fn secret(&self) -> Secret {
        let secret = self.secret.read().unwrap_or_else(PoisonError::into_inner);
        secret.clone()
    }

    /// Has another secret hold from here on.
    pub fn replace(&self, secret: Secret) {
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    /// The header that shows it.
    pub fn header(&self) -> (&'static str, Secret) {
        let secret = self.secret();
        let shown = secret.reveal();
        let (name, value) = match self.scheme {
            Scheme::Bearer => ("authorization", format!("Bearer {shown}")),
            Scheme::App => ("authorization", format!("App {shown}")),
            Scheme::AccessKey => ("authorization", format!("AccessKey {shown}")),
            Scheme::Basic => (
                "authorization",
                format!("Basic {}", BASE64_STANDARD.encode(shown)),
            ),
            Scheme::Key => ("key", shown.to_owned()),
        };
        (name, Secret::new(value))
    }

    /// `text` without the secret: some APIs quote what they were shown, and their words go to the
    /// tenant.
    pub fn removed_from(&self, text: &str) -> String {
        let secret = self.secret();
        let shown = secret.reveal();
        if shown.len() < LOOKED_FOR_BYTES_MIN {
            return text.to_owned();
        }
        text.replace(shown, "(secret)")
    }
}
