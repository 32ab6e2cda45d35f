//! The one file that opens a connection to a provider: request in, [`Reply`] out. It tells whether
//! a request can have left at all; what an answer means is the adapters' to know.

use std::error::Error as _;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, ClientBuilder, Response, Url};

use super::{Error, Reply, Request};
use crate::batch::Moment;
use crate::clock;

/// The longest answer that is read; a longer one counts as cut off.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The largest file of root certificates that is read.
pub const CA_FILE_BYTES_MAX: u64 = 4 << 20;

/// How long looking up the name, connecting and the TLS handshake may take together. Shorter than
/// any request's own time, so that running out of it is known to have sent nothing.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections go before the provider's side closes them, for a request that meets the
/// closing half-way leaves its message unclear.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Idle connections kept for each provider.
const IDLE_CONNECTIONS_MAX: usize = 512;

/// How often a busy HTTP/2 connection is asked whether it still lives, and how long it may take to
/// say so.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests over pooled connections. A clone shares the pool.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
}

impl Client {
    /// A client that trusts the roots that come with the binary and those in `ca_file`.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, Error> {
        let mut roots = Vec::new();
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            roots.push(Certificate::from_der(root).map_err(|source| Error::Tls { source })?);
        }
        if let Some(path) = ca_file {
            roots.extend(certificates(path)?);
        }
        let built = settings().tls_certs_only(roots).build();
        // Only a foreign certificate can fail here: ours are fixed with the binary.
        let inner = built.map_err(|source| match ca_file {
            Some(path) => Error::CaContent {
                path: path.into(),
                source,
            },
            None => Error::Tls { source },
        })?;
        Ok(Self { inner })
    }

    /// Sends `request` once and says what came back.
    pub async fn send(&self, request: &Request) -> Reply {
        let (url, headers) = match prepare(request) {
            Ok(prepared) => prepared,
            Err(why) => return never_left(why),
        };
        let sending = self
            .inner
            .post(url)
            .headers(headers)
            .timeout(request.timeout)
            .body(request.body.clone())
            .send();
        match sending.await {
            Ok(response) => read(response).await,
            Err(error) if surely_unsent(&error) => never_left(why(&error)),
            Err(error) => no_answer(why(&error)),
        }
    }
}

fn settings() -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("dropcast/", env!("CARGO_PKG_VERSION")))
        // A redirect followed by itself would carry message and token to an address that nobody
        // chose.
        .redirect(reqwest::redirect::Policy::none())
        // The sender counts attempts; a second one behind its back could send twice. What remains
        // is the pool's own second try for a request of which no byte was written because its
        // connection had been closed in the meantime.
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .tcp_nodelay(true)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let unreadable = |source| Error::CaFile {
        path: path.into(),
        source,
    };
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bounded = file.take(CA_FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut pem).map_err(unreadable)?;
    if pem.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err(Error::CaEmpty { path: path.into() }),
        Ok(found) => Ok(found),
        Err(source) => Err(Error::CaContent {
            path: path.into(),
            source,
        }),
    }
}

/// Address and headers, or why they must not be used.
fn prepare(request: &Request) -> Result<(Url, HeaderMap), &'static str> {
    let url = Url::parse(&request.url).map_err(|_| "the address is not a URL")?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("the address is not https, and the token would travel in clear"),
        _ => return Err("the address is neither https nor http"),
    }
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let bearer = format!("Bearer {}", request.bearer.reveal());
    let mut bearer = HeaderValue::try_from(bearer)
        .map_err(|_| "the access token has characters that no header can carry")?;
    bearer.set_sensitive(true);
    headers.insert(AUTHORIZATION, bearer);
    Ok((url, headers))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn read(mut response: Response) -> Reply {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| wait_of(value, clock::now()));
    let announced = response.content_length().unwrap_or(0);
    let mut body = Vec::with_capacity(announced.min(16 << 10) as usize);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                return no_answer("the answer is too long");
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) if error.is_timeout() => return no_answer(why(&error)),
            Err(_) => return no_answer("the answer was cut off"),
        }
    }
    Reply::Answer {
        status,
        retry_after,
        body,
    }
}

/// A `Retry-After`: seconds, or the date of a moment to come.
fn wait_of(value: &str, now: Moment) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?;
    let millis = date.as_millisecond().saturating_sub(now.as_millis());
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// Whether no provider can have acted on the request: no connection came about, or HTTP/2 says
/// that the stream was not looked at (a refused stream, or one above the last of a clean goodbye;
/// a goodbye with an error promises nothing).
fn surely_unsent(error: &reqwest::Error) -> bool {
    let unread = |error: &h2::Error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let goodbye = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (refused || goodbye)
    };
    error.is_connect() || error.is_builder() || cause::<h2::Error>(error).is_some_and(unread)
}

/// What happened, in words that hold neither address nor token.
fn why(error: &reqwest::Error) -> &'static str {
    use io::ErrorKind as Kind;
    if error.is_timeout() && error.is_connect() {
        return "no connection came about in time";
    }
    if error.is_timeout() {
        return "no whole answer came in time";
    }
    if error.is_dns() {
        return "the name was not found";
    }
    match cause::<io::Error>(error).map(kind) {
        Some(Kind::ConnectionRefused) => "the connection was refused",
        Some(Kind::ConnectionReset | Kind::BrokenPipe) => "the connection was reset",
        Some(Kind::HostUnreachable | Kind::NetworkUnreachable) => "no way leads there",
        // TLS reports its own failures as this kind.
        Some(Kind::InvalidData) => "the TLS handshake failed or the certificate is not trusted",
        Some(Kind::UnexpectedEof) => "the connection was closed",
        _ if error.is_connect() => "no connection came about",
        _ if cause::<h2::Error>(error).is_some() => "the HTTP/2 stream was ended",
        _ => "the connection ended before an answer",
    }
}

/// The first error of this type beneath `error`.
fn cause<T: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    std::iter::successors(error.source(), |&error| error.source())
        .take(CAUSES_MAX)
        .find_map(|error| error.downcast_ref())
}

/// The kind of an I/O error that may stand inside another, as TLS wraps its own.
fn kind(error: &io::Error) -> io::ErrorKind {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or_else(|| error.kind(), io::Error::kind)
}

/// How deep into a chain of causes is looked.
const CAUSES_MAX: usize = 16;

fn never_left(why: &str) -> Reply {
    Reply::NeverLeft { why: why.into() }
}

fn no_answer(why: &str) -> Reply {
    Reply::NoAnswer { why: why.into() }
}

#[cfg(test)]
mod tests;
