//! The operator's door for commands: a socket in the data folder, which speaks HTTP/1.1. What is
//! asked and answered is for the one who carries it out to know; this file carries the bytes.
//!
//! Whoever may open the socket may steer: its mode, 0660 in a folder that is closed to others, is
//! the only lock.

use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::listener::SocketListener;

/// The name of the socket in the data folder.
pub const SOCKET_NAME: &str = "admin.sock";

/// Where commands are asked.
pub const COMMANDS_PATH: &str = "/v1/commands";

/// Commands that are carried out at one time.
const CONNECTIONS_MAX: usize = 16;

/// The longest command.
const COMMAND_BYTES_MAX: usize = 64 << 10;

/// The longest path of a socket that the system takes, in bytes.
const PATH_BYTES_MAX: usize = 107;

/// Carries a command out: JSON in, JSON out.
pub type CarryOut =
    Arc<dyn Fn(Bytes) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>> + Send + Sync>;

/// The socket, listening. Its name is removed when it is let go.
#[derive(Debug)]
pub struct Socket {
    listener: SocketListener,
    name: Name,
}

#[derive(Debug)]
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        // One that stays is removed by the next start.
        let _ = fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Listens in `data_dir`, whose lock is held: a socket that lies there is a left-over.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(SOCKET_NAME);
        let failed = |source| Error::Socket {
            path: path.clone(),
            source,
        };
        if fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(&path).map_err(failed)?;
        }
        let short = ShortPath::of(data_dir).map_err(failed)?;
        let listener = SocketListener::open(&short.path, CONNECTIONS_MAX).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o660)).map_err(failed)?;
        Ok(Self {
            listener,
            name: Name(path),
        })
    }

    /// Has commands carried out until `stop`.
    pub async fn serve(self, carry_out: CarryOut, stop: CancellationToken) {
        let router = Router::new()
            .route(COMMANDS_PATH, post(command))
            .layer(DefaultBodyLimit::max(COMMAND_BYTES_MAX))
            .with_state(carry_out);
        let Self { listener, name } = self;
        // Accepting never ends with an error: the door keeps its own failures to itself.
        let _ = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        drop(name);
    }
}

async fn command(State(carry_out): State<CarryOut>, asked: Bytes) -> Response {
    let answer = carry_out(asked).await;
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

/// The path of the socket, however deep the data folder lies: where its own path is longer than
/// the system takes, by way of the folder held open.
#[derive(Debug)]
pub struct ShortPath {
    /// A path that the system takes.
    pub path: PathBuf,
    /// Keeps the folder open for as long as the path is used.
    _folder: Option<File>,
}

impl ShortPath {
    /// The socket in `data_dir`.
    pub fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_NAME);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let folder = File::open(data_dir)?;
        let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", folder.as_raw_fd());
        Ok(Self {
            path: path.into(),
            _folder: Some(folder),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    async fn ask(data_dir: &Path, asked: &str) -> String {
        let short = ShortPath::of(data_dir).expect("a path");
        let mut stream = UnixStream::connect(&short.path).await.expect("connected");
        let length = asked.len();
        let request = format!(
            "POST {COMMANDS_PATH} HTTP/1.1\r\nhost: dropcast\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{asked}"
        );
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        answer
    }

    /// Commands must reach a daemon wherever its data lies and after any crash, and nobody beside
    /// its group may steer.
    #[tokio::test]
    async fn a_socket_opens_at_any_depth_and_over_a_left_over() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for data_dir in [
            folder.path().to_owned(),
            folder.path().join("d".repeat(200)),
        ] {
            fs::create_dir_all(&data_dir).expect("made");
            // What a killed daemon leaves.
            std::mem::forget(Socket::open(&data_dir).expect("opened"));
            let socket = Socket::open(&data_dir).expect("opened over a left-over");
            let path = data_dir.join(SOCKET_NAME);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o660);
            let echo: CarryOut = Arc::new(|asked| Box::pin(async move { asked.to_vec() }));
            let stop = CancellationToken::new();
            let served = tokio::spawn(socket.serve(echo, stop.clone()));
            let answer = ask(&data_dir, "{\"command\":1}").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.ends_with("{\"command\":1}"), "{answer}");
            let long = "x".repeat(COMMAND_BYTES_MAX + 1);
            let answer = ask(&data_dir, &long).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            stop.cancel();
            served.await.expect("served");
            assert!(!path.exists(), "a clean stop leaves no socket");
        }
    }

    /// A file of somebody's must not be deleted for having the socket's name.
    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(SOCKET_NAME);
        fs::write(&path, "mine").expect("written");
        let error = Socket::open(folder.path()).expect_err("the name is taken");
        assert!(error.to_string().contains("admin.sock"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("read"), "mine");
    }
}
