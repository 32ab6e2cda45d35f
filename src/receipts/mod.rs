//! Delivery receipts come back in: an HTTP server for providers that call back.
//!
//! In: requests to `/receipts/<provider>` and `/receipts/<tenant>/<secret>`. Out: a [`Callback`] to
//! whoever knows whose it is and what follows, and its answer. What was answered with 200 is on
//! disk; anything else is said again by the provider, so a crash here loses nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio_util::sync::CancellationToken;

use crate::delivery::receipt::Callback;
use crate::listener::HttpListener;

/// Connections served at one time.
pub const CONNECTIONS_MAX: usize = 256;

/// The largest callback that is taken, in bytes. Meta's have up to 3 MB.
pub const CALLBACK_BYTES_MAX: usize = 4 << 20;

/// How long a callback may take to come in and to be committed; then the provider is to say it
/// again.
pub const CALLBACK_TIME_MAX: Duration = Duration::from_secs(20);

/// What this room needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("failed to listen on `{address}`; set `receipts.listen` to a free address")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// What a provider wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// To tell what became of messages.
    Told,
    /// To know whether somebody listens.
    Challenged,
}

/// The answer to a callback that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What it says is on disk.
    Taken,
    /// The text that shows that somebody listens.
    Challenge(String),
}

/// Why a callback is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody is called back there, or not in this way.
    NoSuch,
    /// It does not show that it is the provider's.
    Unproven,
    /// It is too large, or was cut off.
    TooLarge,
    /// It took too long.
    TooSlow,
    /// It cannot be kept now.
    Unavailable,
}

impl Refused {
    /// The word for it in figures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuch => "path",
            Self::Unproven => "signature",
            Self::TooLarge => "size",
            Self::TooSlow => "time",
            Self::Unavailable => "store",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::NoSuch => StatusCode::NOT_FOUND,
            Self::Unproven => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What comes of a callback.
type Heard = Pin<Box<dyn Future<Output = Result<Answer, Refused>> + Send>>;

/// Who hears callbacks.
#[derive(Clone)]
pub struct Ear {
    /// Takes a callback.
    pub hear: Arc<dyn Fn(Wants, Callback) -> Heard + Send + Sync>,
    /// Is told of each that is not taken.
    pub refused: Arc<dyn Fn(Refused) + Send + Sync>,
}

/// The door for callbacks, listening.
#[derive(Debug)]
pub struct Door {
    listener: HttpListener,
}

impl Door {
    /// Listens.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let address = settings.listen;
        let listener = HttpListener::open(address, CONNECTIONS_MAX).await;
        let listener = listener.map_err(|source| Error::Listen { address, source })?;
        Ok(Self { listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Answers until `stop`, and what had come in by then.
    pub async fn serve(self, ear: Ear, stop: CancellationToken) {
        let router = Router::new()
            .route("/receipts/{provider}", any(called_back))
            .route("/receipts/{tenant}/{secret}", any(called_back))
            .fallback(elsewhere)
            .with_state(ear);
        // Accepting never ends with an error: the door keeps its own failures to itself.
        let _ = axum::serve(self.listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
    }
}

async fn elsewhere(State(ear): State<Ear>) -> Response {
    answered(&ear, Err(Refused::NoSuch))
}

async fn called_back(State(ear): State<Ear>, request: Request) -> Response {
    // Webex Connect looks in this way whether somebody listens; it is told no more than that.
    if request.method() == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    let taken = async {
        let (wants, callback) = read(request).await?;
        (ear.hear)(wants, callback).await
    };
    let taken = tokio::time::timeout(CALLBACK_TIME_MAX, taken).await;
    answered(&ear, taken.unwrap_or(Err(Refused::TooSlow)))
}

async fn read(request: Request<Body>) -> Result<(Wants, Callback), Refused> {
    let (head, body) = request.into_parts();
    let wants = match head.method {
        Method::POST => Wants::Told,
        Method::GET => Wants::Challenged,
        _ => return Err(Refused::NoSuch),
    };
    let body = to_bytes(body, CALLBACK_BYTES_MAX).await;
    let headers = head.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let callback = Callback {
        target: head
            .uri
            .path_and_query()
            .map_or("", |it| it.as_str())
            .into(),
        headers: headers.collect(),
        body: body.map_err(|_| Refused::TooLarge)?.into(),
    };
    Ok((wants, callback))
}

fn answered(ear: &Ear, taken: Result<Answer, Refused>) -> Response {
    // A challenge is another's text: it is not to be taken for a page.
    let plain = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    match taken {
        Ok(Answer::Taken) => StatusCode::OK.into_response(),
        Ok(Answer::Challenge(text)) => (plain, text).into_response(),
        Err(refused) => {
            (ear.refused)(refused);
            refused.status().into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn say(address: SocketAddr, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let head = format!(
            "{head} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("said");
        // A body that is not wanted is not read to its end.
        let _ = stream.write_all(body).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    /// A provider goes by the status: 200 for what was not kept would lose receipts, and anything
    /// else for what was would have it said again for a week.
    #[tokio::test]
    async fn each_callback_has_the_status_that_it_earns() {
        let refused = Arc::<Mutex<Vec<Refused>>>::default();
        let told = Arc::clone(&refused);
        let ear = Ear {
            hear: Arc::new(|wants, callback| {
                Box::pin(async move {
                    match (wants, callback.target.as_str(), callback.body.as_slice()) {
                        (Wants::Told, "/receipts/known", b"good") => Ok(Answer::Taken),
                        (Wants::Told, "/receipts/known", b"later") => Err(Refused::Unavailable),
                        (Wants::Told, "/receipts/acme/word", _) => Err(Refused::NoSuch),
                        (Wants::Challenged, "/receipts/known?a=b", b"") => {
                            Ok(Answer::Challenge("1158".into()))
                        }
                        _ => Err(Refused::Unproven),
                    }
                })
            }),
            refused: Arc::new(move |why| told.lock().expect("sound").push(why)),
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let door = Door::open(&Settings { listen }).await.expect("opened");
        let (address, stop) = (door.address(), CancellationToken::new());
        let served = tokio::spawn(door.serve(ear, stop.clone()));
        let large = vec![b' '; CALLBACK_BYTES_MAX + 1];
        for (head, body, status) in [
            ("POST /receipts/known", &b"good"[..], 200),
            ("POST /receipts/known", b"later", 503),
            ("POST /receipts/known", b"odd", 401),
            ("POST /receipts/known", &large, 413),
            ("GET /receipts/known?a=b", b"", 200),
            ("PUT /receipts/known", b"good", 404),
            ("POST /receipts/acme/word", b"good", 404),
            ("POST /receipts", b"good", 404),
            ("POST /", b"good", 404),
        ] {
            let answer = say(address, head, body).await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&expected), "{head}: {answer}");
            if head.starts_with("GET") {
                assert!(answer.ends_with("\r\n\r\n1158"), "{answer}");
                assert!(answer.contains("content-type: text/plain"), "{answer}");
            }
        }
        stop.cancel();
        served.await.expect("served");
        let words: Vec<&str> = refused
            .lock()
            .expect("sound")
            .iter()
            .map(|why| why.as_str())
            .collect();
        let expected = ["store", "signature", "size", "path", "path", "path", "path"];
        assert_eq!(words, expected);
    }
}
