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
use super::connection::Warden;
use super::passwords::Passwords;
use super::penalties::Misdeed;
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
    /// Notes the wrong passwords from its address.
    pub(super) warden: &'a Warden,
}

/// What became of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It opens this tenant's folder.
    Right(TenantName),
    /// It opens nothing.
    Wrong,
    /// Nobody looked at it: its address is refused by now.
    Not,
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

    /// Whose folder this password opens; when it opens none, that is said after a while.
    pub(super) async fn by_password(
        &self,
        visitor: Visitor<'_>,
        password: &str,
        key: KeyBefore,
    ) -> Heard {
        let began = clock::steady();
        let heard = self.check_password(visitor, password, key).await;
        if heard == Heard::Wrong {
            let took = Duration::from_millis(REFUSAL_MS + fastrand::u64(..REFUSAL_JITTER_MS));
            let rest = took.saturating_sub(clock::steady().duration_since(began));
            tokio::time::sleep(rest).await;
        }
        heard
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
        let proven = certificates::prove(certificate, bearer.now);
        let opens = |login: &Login| {
            login.authorized_keys.iter().any(|authority| {
                let checked = certificates::check(certificate, authority, bearer);
                let outcome = proven.and(checked);
                if let Err(why) = outcome {
                    tracing::debug!(peer = %visitor.peer, %why, "a certificate opens nothing");
                }
                outcome.is_ok()
            })
        };
        let Some(own) = find(&logins, visitor) else {
            // It is held against somebody else's login, and only the answer is thrown away.
            let _ = logins.iter().find(|login| signs(login)).is_some_and(opens);
            return Opening::Nothing;
        };
        opened_by_key(opens(own).then_some(own))
    }

    /// Why a key does not open the login, for the operator.
    pub(super) fn why_not(&self, visitor: Visitor<'_>, key: &PublicKey) -> &'static str {
        let logins = Arc::clone(&self.current.borrow());
        let login = logins.iter().find(|login| login.user == visitor.user);
        let mut keys = login.map_or(&[][..], |login| &login.authorized_keys).iter();
        match keys.find(|allowed| allowed.key_data() == key.key_data()) {
            None => "the key is not among its `authorized_keys`",
            Some(allowed) if allowed.authority().is_some() => "the key only signs certificates",
            Some(allowed) if !allowed.holds(visitor.peer, clock::now()) => {
                "the key has expired, or may not come from there (`from=`)"
            }
            Some(_) => "the key is weak, or its signature rests on SHA-1",
        }
    }

    /// Tells the operator who looks closely of a try that was refused. The name of a user who does
    /// not exist is not told: people type their passwords there.
    pub(super) fn tell_refused(&self, visitor: Visitor<'_>, why: &'static str) {
        let logins = Arc::clone(&self.current.borrow());
        let peer = visitor.peer;
        match logins.iter().find(|login| login.user == visitor.user) {
            None => tracing::debug!(%peer, "a login is refused: there is no such user"),
            Some(login) if !is_within(&login.allow_from, peer) => {
                let user = visitor.user;
                tracing::debug!(%peer, user, "a login is refused: `allow_from` does not hold it");
            }
            Some(_) => tracing::debug!(%peer, user = visitor.user, "a login is refused: {why}"),
        }
    }

    async fn check_password(&self, visitor: Visitor<'_>, password: &str, key: KeyBefore) -> Heard {
        let warden = visitor.warden;
        let wrong = || {
            warden.penalise(Misdeed::WrongCredentials(1));
            Heard::Wrong
        };
        if password.len() > PASSWORD_BYTES_MAX {
            return wrong();
        }
        // Those from one address come one after the other, each after the last one was noted. So
        // nothing is learned from those that were waiting when the address was refused.
        let mut turn = self.passwords.turn(warden.source()).await;
        if warden.refuses() {
            return Heard::Not;
        }
        let logins = Arc::clone(&self.current.borrow());
        let login = logins.iter().find(|login| login.user == visitor.user);
        let own = login.filter(|login| !login.password_hash.is_empty());
        // Somebody else's hash costs what this user's would; only the answer is thrown away.
        let stand_in = || logins.iter().find(|login| !login.password_hash.is_empty());
        let hash = own
            .or_else(stand_in)
            .map_or(NOBODYS_HASH, |login| &login.password_hash);
        let verified = turn.verify(password, hash).await;
        let opens = own.filter(|login| {
            let is_enough = match login.require {
                Require::Any => true,
                Require::KeyAndPassword => key == KeyBefore::Shown,
            };
            verified && is_enough && is_within(&login.allow_from, visitor.peer)
        });
        opens.map_or_else(wrong, |login| Heard::Right(login.tenant.clone()))
    }
}

/// The login of this user, if it may come from there.
fn find<'a>(logins: &'a [Login], visitor: Visitor<'_>) -> Option<&'a Login> {
    let found = logins.iter().find(|login| login.user == visitor.user);
    found.filter(|login| is_within(&login.allow_from, visitor.peer))
}

/// Whether certificates can open this login.
fn signs(login: &Login) -> bool {
    let mut keys = login.authorized_keys.iter();
    keys.any(|key| key.authority().is_some())
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
