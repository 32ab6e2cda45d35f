//! How SSH is spoken: which algorithms, how much at once, how long without a word.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac, server};

const WINDOW_BYTES: u32 = 2 << 20;
const SSH_PACKET_BYTES: u32 = 32 << 10;
const AUTH_ATTEMPTS_MAX: usize = 6;
const IDLE_MAX: Duration = Duration::from_mins(10);
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVES_UNANSWERED_MAX: usize = 3;
const REKEY_BYTES: usize = 1 << 30;
const REKEY_AFTER: Duration = Duration::from_hours(1);

/// How the SSH transport is set up.
pub(super) fn ssh_config(keys: Vec<PrivateKey>) -> server::Config {
    server::Config {
        // Says what it is and not which version: a list of weak versions is no use here.
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-dropcast")),
        methods: methods(),
        // A wrong key or the first probe costs nothing; wrong passwords are slowed in `logins`.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        limits: russh::Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_AFTER),
        window_size: WINDOW_BYTES,
        maximum_packet_size: SSH_PACKET_BYTES,
        preferred: preferred(),
        max_auth_attempts: AUTH_ATTEMPTS_MAX,
        inactivity_timeout: Some(IDLE_MAX),
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_UNANSWERED_MAX,
        ..server::Config::default()
    }
}

/// The ways to log in that everybody is told of, known or not.
pub(super) fn methods() -> MethodSet {
    MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..])
}

/// The algorithms offered, best first.
fn preferred() -> Preferred {
    const KEX: &[kex::Name] = &[
        kex::MLKEM768X25519_SHA256,
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::DH_G16_SHA512,
        kex::DH_G18_SHA512,
        // JSch, which many Java programs still carry, knows none of the above.
        kex::ECDH_SHA2_NISTP256,
        kex::EXTENSION_SUPPORT_AS_SERVER,
        // Left out of this list, protection against cut-out packets would silently be off.
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ];
    const CIPHERS: &[cipher::Name] = &[
        cipher::AES_256_GCM,
        cipher::AES_128_GCM,
        cipher::CHACHA20_POLY1305,
        // Clients on older libssh2 (curl, PHP) know neither of the above.
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    const MACS: &[mac::Name] = &[
        mac::HMAC_SHA512_ETM,
        mac::HMAC_SHA256_ETM,
        mac::HMAC_SHA512,
        mac::HMAC_SHA256,
    ];
    const COMPRESSION: &[compression::Name] = &[compression::NONE];
    const KEYS: &[Algorithm] = &[
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
        // The oldest kind comes last, and never with SHA-1.
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha512),
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha256),
        },
    ];
    Preferred {
        kex: Cow::Borrowed(KEX),
        key: Cow::Borrowed(KEYS),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(COMPRESSION),
        ..Preferred::default()
    }
}
