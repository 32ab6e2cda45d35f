//! One TCP connection: its limits, its algorithms, and its end.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac, server};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::House;
use super::session::Session;
use crate::batch::TenantName;

/// How many sessions one tenant may have, so that it leaves room for the others.
const TENANT_SESSIONS_MAX: usize = 64;
/// How long a connection may take to log in.
const LOGIN_GRACE: Duration = Duration::from_secs(30);
/// SSH packets are read in two steps each, so a buffer saves a system call for most of them.
const SOCKET_BUFFER_BYTES: usize = 32 << 10;
const WINDOW_BYTES: u32 = 2 << 20;
const SSH_PACKET_BYTES: u32 = 32 << 10;
const AUTH_ATTEMPTS_MAX: usize = 6;
const IDLE_MAX: Duration = Duration::from_mins(10);
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVES_UNANSWERED_MAX: usize = 3;
const REKEY_BYTES: usize = 1 << 30;
const REKEY_AFTER: Duration = Duration::from_hours(1);

/// A session's place among those of its tenant, given back when it ends.
pub(super) struct Seats {
    tenants: Arc<Mutex<HashMap<TenantName, usize>>>,
    taken: Option<TenantName>,
}

impl Seats {
    /// Takes a place; says whether there was one.
    pub(super) fn take(&mut self, tenant: &TenantName) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tenants.entry(tenant.clone()).or_default();
        if self.taken.is_some() || *count >= TENANT_SESSIONS_MAX {
            return false;
        }
        *count += 1;
        self.taken = Some(tenant.clone());
        true
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = &self.taken
            && let Some(count) = tenants.get_mut(tenant)
        {
            *count -= 1;
            if *count == 0 {
                tenants.remove(tenant);
            }
        }
    }
}

/// A connection, from its acceptance to its end.
pub(super) struct Connection {
    pub(super) config: Arc<server::Config>,
    pub(super) house: Arc<House>,
    pub(super) peer: SocketAddr,
    /// Asks the session to end.
    pub(super) stop: CancellationToken,
    /// Ends it.
    pub(super) cut: CancellationToken,
}

impl Connection {
    /// Serves the connection; `stranger` is its place until it has logged in.
    pub(super) async fn run(self, socket: TcpStream, stranger: OwnedSemaphorePermit) {
        // Every request waits for a reply, so small packets must not wait to be joined.
        if socket.set_nodelay(true).is_err() {
            return;
        }
        // When this task ends for whatever reason, so does the session, which is a task of its own.
        let _cut = self.cut.clone().drop_guard();
        let stream = Cuttable {
            stream: BufReader::with_capacity(SOCKET_BUFFER_BYTES, socket),
            cut: Box::pin(self.cut.clone().cancelled_owned()),
        };
        let entered = CancellationToken::new();
        let seats = Seats {
            tenants: Arc::clone(&self.house.tenants),
            taken: None,
        };
        let session = Session::new(self.house, self.peer.ip(), entered.clone(), seats);
        let grace = tokio::time::sleep(LOGIN_GRACE);
        tokio::pin!(grace);
        let started = tokio::select! {
            started = server::run_stream(self.config, stream, session) => started,
            () = &mut grace => return,
            () = self.stop.cancelled() => return,
        };
        let mut running = match started {
            Ok(running) => running,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "a connection did not begin");
                return;
            }
        };
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = &mut grace => return,
            () = self.stop.cancelled() => return,
            () = entered.cancelled() => {
                drop(stranger);
                let handle = running.handle();
                tokio::select! {
                    outcome = &mut running => outcome,
                    () = self.stop.cancelled() => {
                        let reason = russh::Disconnect::ByApplication;
                        let words = "the server is going down".to_owned();
                        let _ = handle.disconnect(reason, words, "en".to_owned()).await;
                        running.await
                    }
                }
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(peer = %self.peer, %error, "a connection ended");
        }
    }
}

/// A stream that fails once it is cut. A session ends when its stream does, and cannot be ended
/// from outside in any other way.
struct Cuttable {
    stream: BufReader<TcpStream>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cuttable {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How the SSH transport is set up.
pub(super) fn ssh_config(keys: Vec<PrivateKey>) -> server::Config {
    let mut methods = MethodSet::empty();
    methods.push(MethodKind::PublicKey);
    methods.push(MethodKind::Password);
    server::Config {
        // Says what it is and not which version: a list of weak versions is no use here.
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-dropcast")),
        methods,
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
        // Not for host keys, of which none is RSA, but for the keys of users.
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
