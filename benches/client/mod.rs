//! An SFTP client that stays connected, so that what is timed is the file and not the login.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh_sftp::client::SftpSession;
use russh_sftp::protocol::OpenFlags;
use tokio::io::AsyncWriteExt;

use crate::service::Outcome;

/// A client that is logged in.
pub(crate) struct Client {
    _connection: Handle<Trust>,
    session: SftpSession,
}

/// The door is this program's own.
struct Trust;

impl client::Handler for Trust {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

impl Client {
    /// Logs in.
    pub(crate) async fn connect(user: &str, port: u16, key: &Path) -> Outcome<Self> {
        let settings = Arc::new(client::Config {
            nodelay: true,
            ..client::Config::default()
        });
        let mut connection = client::connect(settings, ("127.0.0.1", port), Trust).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(key, None)?), None);
        if !connection
            .authenticate_publickey(user, key)
            .await?
            .success()
        {
            return Err("the door refused the key".into());
        }
        let channel = connection.channel_open_session().await?;
        channel.request_subsystem(true, "sftp").await?;
        let session = SftpSession::new(channel.into_stream()).await?;
        Ok(Self {
            _connection: connection,
            session,
        })
    }

    /// Uploads a file; gives the moment at which its close was answered.
    pub(crate) async fn put(&self, name: &str, content: &[u8]) -> Outcome<Instant> {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let path = format!("whatsapp/{name}");
        let mut file = self.session.open_with_flags(path, flags).await?;
        file.write_all(content).await?;
        file.shutdown().await?;
        Ok(Instant::now())
    }
}
