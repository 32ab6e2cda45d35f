//! Who may enter: a password or a key, and where they come from. A stranger learns nothing from the
//! answers, nor from how long they take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PublicKey};
use tokio::sync::{Semaphore, watch};

use super::Login;
use crate::batch::TenantName;
use crate::clock;

/// How long a wrong password takes, at least; some random time comes on top.
const REFUSAL_MS: u64 = 1_500;
const REFUSAL_JITTER_MS: u64 = 500;
/// Each password costs tens of megabytes and of milliseconds; more at a time would starve uploads.
const HASHES_AT_ONCE_MAX: usize = 2;
/// A longer password is wrong without being looked at.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Shorter RSA keys can be broken.
const RSA_BITS_MIN: u32 = 2048;

/// Verified in place of the hash that an unknown user has not; no password is known for it.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZHJvcGNhc3Qtbm9ib2R5$\
                            jvZ0CVcnNZjqNlGQ0lIgkxXyZcYmXNDo4HLYBRUzsQo";

/// The logins in force, and what checking them takes.
#[derive(Debug)]
pub(super) struct Logins {
    current: watch::Receiver<Arc<Vec<Login>>>,
    hashing: Arc<Semaphore>,
}

impl Logins {
    pub(super) fn new(current: watch::Receiver<Arc<Vec<Login>>>) -> Self {
        Self {
            current,
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE_MAX)),
        }
    }

    /// Whose folder this password opens; `None`, after a while, when it opens none.
    pub(super) async fn by_password(
        &self,
        user: &str,
        password: &str,
        peer: IpAddr,
    ) -> Option<TenantName> {
        let began = clock::steady();
        let tenant = self.check_password(user, password, peer).await;
        if tenant.is_none() {
            let took = Duration::from_millis(REFUSAL_MS + fastrand::u64(..REFUSAL_JITTER_MS));
            let rest = took.saturating_sub(clock::steady().duration_since(began));
            tokio::time::sleep(rest).await;
        }
        tenant
    }

    /// Whose folder this key opens; `None` when it opens none.
    pub(super) fn by_key(
        &self,
        user: &str,
        key: &PublicKey,
        algorithm: &Algorithm,
        peer: IpAddr,
    ) -> Option<TenantName> {
        if !is_sound(key, algorithm) {
            return None;
        }
        let logins = Arc::clone(&self.current.borrow());
        let found = logins.iter().find(|login| {
            login.user == user
                && comes_from_allowed(login, peer)
                && login.authorized_keys.iter().any(|line| {
                    PublicKey::from_openssh(line)
                        .is_ok_and(|allowed| allowed.key_data() == key.key_data())
                })
        });
        found.map(|login| login.tenant.clone())
    }

    async fn check_password(&self, user: &str, password: &str, peer: IpAddr) -> Option<TenantName> {
        if password.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        let logins = Arc::clone(&self.current.borrow());
        let login = logins.iter().find(|login| login.user == user);
        let own = login.filter(|login| !login.password_hash.is_empty());
        // Somebody else's hash costs what this user's would; only the answer is thrown away.
        let stand_in = || logins.iter().find(|login| !login.password_hash.is_empty());
        let hash = own
            .or_else(stand_in)
            .map_or(NOBODYS_HASH, |login| &login.password_hash)
            .to_owned();
        let permit = Arc::clone(&self.hashing).acquire_owned().await.ok()?;
        let password = password.to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        })
        .await
        .unwrap_or(false);
        let opens = own.filter(|login| verified && comes_from_allowed(login, peer));
        opens.map(|login| login.tenant.clone())
    }
}

fn comes_from_allowed(login: &Login, peer: IpAddr) -> bool {
    // An IPv4 peer of a socket that takes both kinds has an IPv6 form.
    let peer = peer.to_canonical();
    login.allow_from.is_empty() || login.allow_from.iter().any(|net| net.contains(&peer))
}

/// Whether signatures of this kind can be relied upon.
fn is_sound(key: &PublicKey, algorithm: &Algorithm) -> bool {
    match key.key_data() {
        KeyData::Rsa(rsa) => {
            // Without a hash it means SHA-1.
            rsa.key_size() >= RSA_BITS_MIN && *algorithm != Algorithm::Rsa { hash: None }
        }
        KeyData::Dsa(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
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
