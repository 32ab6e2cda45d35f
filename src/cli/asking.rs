//! Asks the running daemon through its socket.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::{EXIT_CONFIG, EXIT_NO, EXIT_UNREACHABLE, complain};
use crate::config;
use crate::daemon::chain;
use crate::daemon::desk::{Answer, Asked, COMMANDS_PATH, ShortPath};

/// How long an answer may take.
const ANSWER_TAKES: Duration = Duration::from_mins(1);

/// The way to the daemon.
#[derive(Debug)]
pub(super) struct Line {
    data_dir: std::path::PathBuf,
    runtime: Runtime,
}

/// The daemon cannot be reached; why, in a sentence.
#[derive(Debug)]
pub(super) struct Unreachable(pub(super) String);

impl Line {
    /// The way to the daemon with the settings at `path`. When there is none, the reason has been
    /// written out, and this is the exit code.
    pub(super) fn to(path: &Path) -> Result<Self, u8> {
        let data_dir = config::data_dir_at(path).map_err(|error| {
            error.lines().iter().for_each(|line| complain(line));
            complain(&error);
            EXIT_CONFIG
        })?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            complain(&format_args!("failed to start the runtime: {error}"));
            EXIT_NO
        })?;
        Ok(Self { data_dir, runtime })
    }

    /// Asks. When the answer is no, or there is none, it has been written out, and this is the exit
    /// code.
    pub(super) fn ask(&self, asked: &Asked) -> Result<Answer, u8> {
        match self.try_ask(asked) {
            Ok(Answer::No(sentence)) => {
                complain(&sentence);
                Err(EXIT_NO)
            }
            Ok(answer) => Ok(answer),
            Err(Unreachable(sentence)) => {
                complain(&sentence);
                Err(EXIT_UNREACHABLE)
            }
        }
    }

    /// Asks, and leaves it to the caller what to do without an answer.
    pub(super) fn try_ask(&self, asked: &Asked) -> Result<Answer, Unreachable> {
        let asking = async {
            match tokio::time::timeout(ANSWER_TAKES, self.exchange(asked)).await {
                Ok(answer) => answer,
                Err(_) => Err("it did not answer".into()),
            }
        };
        let answer = self.runtime.block_on(asking);
        answer.map_err(|why| {
            let dir = self.data_dir.display();
            Unreachable(format!(
                "the daemon that works on `{dir}` cannot be reached: {why}; is it running, and may \
                 this user open `{dir}/admin.sock`?"
            ))
        })
    }

    async fn exchange(&self, asked: &Asked) -> Result<Answer, String> {
        let told = |error: &dyn std::error::Error| chain(error);
        let short = ShortPath::of(&self.data_dir).map_err(|error| told(&error))?;
        let stream = UnixStream::connect(&short.path);
        let stream = stream.await.map_err(|error| told(&error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
        let carrying = tokio::spawn(connection);
        let body = serde_json::to_vec(asked).expect("our own types serialise");
        let request = Request::post(COMMANDS_PATH)
            .header("host", "dropcast")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("a request of ours is well-formed");
        let answer = sender.send_request(request);
        let answer = answer.await.map_err(|error| told(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect();
        let body = body.await.map_err(|error| told(&error))?.to_bytes();
        drop(sender);
        carrying.abort();
        if !status.is_success() {
            return Err(format!("it answered with status {status}"));
        }
        serde_json::from_slice(&body).map_err(|error| {
            format!("its answer is not understood ({error}); is it as new as I am")
        })
    }
}
