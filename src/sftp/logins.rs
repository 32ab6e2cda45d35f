//! Who may enter: a password, a key, a certificate or a key and a password, and where they come
//! from. A stranger learns nothing from the answers, nor from how long they take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, PublicKey};
use tokio::sync::watch;

use super::authorized::{is_strong, is_within};
use super::certificates::{self, Bearer};
use super::crowd::Source;
use super::passwords::Passwords;
use super::{Login, Require};
use crate::batch::TenantName;
use crate::clock;

/// How long a wrong password takes, at least; some random time comes on top.
const REFUSAL_MS: u64 = 1_500;
const REFUSAL_JITTER_MS: u64 = 500;
/// A longer password is wrong without being looked at.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Verified in place of the hash that an unknown user has not; no password is known for it.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZHJvcGNhc3Qtbm9ib2R5$\
                            jvZ0CVcnNZjqNlGQ0lIgkxXyZcYmXNDo4HLYBRUzsQo";

/// Who asks to be let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor<'a> {
    pub(super) user: &'a str,
    pub(super) peer: IpAddr,
    /// What its passwords wait for; `None` where many clients share an address.
    pub(super) source: Option<Source>,
}

/// What a key or a certificate opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// This tenant's folder.
    Folder(TenantName),
    /// Nothing yet: the password has to come too.
    HalfWay,
    /// Nothing.
    Nothing,
}

/// Whether a key that opens half the way was shown before a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyBefore {
    Shown,
    NotShown,
}

/// The logins in force, and what checking them takes.
#[derive(Debug)]
pub(super) struct Logins {
    current: watch::Receiver<Arc<Vec<Login>>>,
    passwords: Passwords,
}

impl Logins {
    pub(super) fn new(current: watch::Receiver<Arc<Vec<Login>>>) -> Self {
        Self {
            current,
            passwords: Passwords::new(),
        }
    }

    /// Whose folder this password opens; `None`, after a while, when it opens none.
    pub(super) async fn by_password(
        &self,
        visitor: Visitor<'_>,
        password: &str,
        key: KeyBefore,
    ) -> Option<TenantName> {
        let began = clock::steady();
        let tenant = self.check_password(visitor, password, key).await;
        if tenant.is_none() {
            let took = Duration::from_millis(REFUSAL_MS + fastrand::u64(..REFUSAL_JITTER_MS));
            let rest = took.saturating_sub(clock::steady().duration_since(began));
            tokio::time::sleep(rest).await;
        }
        tenant
    }

    /// Whether it is worth the client's while to prove that this key is its own.
    ///
    /// Whether it is shown in a certificate is not told at this point. So where certificates are
    /// in use at all, everybody may go on, known or not: anything else would tell a stranger which
    /// users have certificates.
    pub(super) fn may_go_on(
        &self,
        visitor: Visitor<'_>,
        key: &PublicKey,
        algorithm: &Algorithm,
    ) -> bool {
        if !is_sound(key, algorithm) {
            return false;
        }
        let logins = Arc::clone(&self.current.borrow());
        let signs = |login: &Login| {
            let mut keys = login.authorized_keys.iter();
            keys.any(|key| key.authority().is_some())
        };
        find_key(&logins, visitor, key).is_some() || logins.iter().any(signs)
    }

    /// What this key opens, which the client has proven to be its own.
    pub(super) fn by_key(
        &self,
        visitor: Visitor<'_>,
        key: &PublicKey,
        algorithm: &Algorithm,
    ) -> Opening {
        if !is_sound(key, algorithm) {
            return Opening::Nothing;
        }
        let logins = Arc::clone(&self.current.borrow());
        opened_by_key(find_key(&logins, visitor, key))
    }

    /// What this certificate opens, whose key the client has proven to be its own.
    pub(super) fn by_certificate(
        &self,
        visitor: Visitor<'_>,
        certificate: &Certificate,
    ) -> Opening {
        let logins = Arc::clone(&self.current.borrow());
        let bearer = Bearer {
            user: visitor.user,
            peer: visitor.peer,
            now: clock::now(),
        };
        let found = find(&logins, visitor).filter(|login| {
            login.authorized_keys.iter().any(|authority| {
                let outcome = certificates::check(certificate, authority, bearer);
                if let Err(why) = outcome {
                    tracing::debug!(peer = %visitor.peer, %why, "a certificate opens nothing");
                }
                outcome.is_ok()
            })
        });
        opened_by_key(found)
    }

    async fn check_password(
        &self,
        visitor: Visitor<'_>,
        password: &str,
        key: KeyBefore,
    ) -> Option<TenantName> {
        if password.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        let logins = Arc::clone(&self.current.borrow());
        let login = logins.iter().find(|login| login.user == visitor.user);
        let own = login.filter(|login| !login.password_hash.is_empty());
        // Somebody else's hash costs what this user's would; only the answer is thrown away.
        let stand_in = || logins.iter().find(|login| !login.password_hash.is_empty());
        let hash = own
            .or_else(stand_in)
            .map_or(NOBODYS_HASH, |login| &login.password_hash);
        let verify = self.passwords.verify(password, hash, visitor.source);
        let verified = verify.await;
        let opens = own.filter(|login| {
            let is_enough = match login.require {
                Require::Any => true,
                Require::KeyAndPassword => key == KeyBefore::Shown,
            };
            verified && is_enough && is_within(&login.allow_from, visitor.peer)
        });
        opens.map(|login| login.tenant.clone())
    }
}

/// The login of this user, if it may come from there.
fn find<'a>(logins: &'a [Login], visitor: Visitor<'_>) -> Option<&'a Login> {
    let found = logins.iter().find(|login| login.user == visitor.user);
    found.filter(|login| is_within(&login.allow_from, visitor.peer))
}

fn find_key<'a>(logins: &'a [Login], visitor: Visitor<'_>, key: &PublicKey) -> Option<&'a Login> {
    let now = clock::now();
    find(logins, visitor).filter(|login| {
        login.authorized_keys.iter().any(|allowed| {
            allowed.authority().is_none()
                && allowed.key_data() == key.key_data()
                && allowed.holds(visitor.peer, now)
        })
    })
}

fn opened_by_key(login: Option<&Login>) -> Opening {
    match login {
        None => Opening::Nothing,
        Some(login) => match login.require {
            Require::Any => Opening::Folder(login.tenant.clone()),
            Require::KeyAndPassword => Opening::HalfWay,
        },
    }
}

/// Whether signatures of this kind by this key can be relied upon.
fn is_sound(key: &PublicKey, algorithm: &Algorithm) -> bool {
    // RSA without a hash means SHA-1.
    let is_sha1 =
        matches!(key.key_data(), KeyData::Rsa(_)) && *algorithm == Algorithm::Rsa { hash: None };
    is_strong(key.key_data()) && !is_sha1
}

#[cfg(test)]
mod tests {
    use argon2::Argon2;
    use argon2::password_hash::PasswordVerifier;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    /// Where no login has a password, a wrong one must take as long as it does elsewhere.
    #[test]
    fn nobodys_hash_is_one_and_no_common_password_opens_it() {
        let hash = PasswordHash::new(NOBODYS_HASH).expect("a hash");
        assert_eq!(hash.to_string(), NOBODYS_HASH);
        assert!(hash.hash.is_some(), "or nothing would be computed");
        assert!(Argon2::default().verify_password(b"", &hash).is_err());
    }
}
