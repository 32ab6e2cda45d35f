//! What a failure says about a request: whether any of it can have left, and what happened, in
//! words that hold neither address nor token.

use std::error::Error;
use std::io;

use super::super::Reply;
use super::opening::TunnelError;

/// How deep into a chain of causes is looked.
const CAUSES_MAX: usize = 16;

/// A request that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No byte of it left, because its connection was gone: another may do.
    Stale(&'static str),
    /// Nobody can have acted on it.
    Unsent(&'static str),
    /// It may have been acted on.
    Unclear(&'static str),
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stale(why) | Failure::Unsent(why) => Self::NeverLeft { why: why.into() },
            Failure::Unclear(why) => Self::NoAnswer { why: why.into() },
        }
    }
}

impl Failure {
    /// What `error` means for a request that was handed to a connection, as far as HTTP knows: the
    /// connection's account may know better.
    pub(super) fn of(error: &hyper::Error) -> Self {
        let Some(error_2) = cause::<h2::Error>(error) else {
            return Self::Unclear(why(error));
        };
        // A refused stream was not looked at, nor one above the last of a clean goodbye; a goodbye
        // with an error promises nothing.
        let refused = error_2.is_reset() && error_2.reason() == Some(h2::Reason::REFUSED_STREAM);
        let goodbye = error_2.is_go_away() && error_2.reason() == Some(h2::Reason::NO_ERROR);
        if error_2.is_remote() && refused {
            Self::Unsent("the provider took no further request on this connection")
        } else if error_2.is_remote() && goodbye {
            Self::Stale("the provider ended the connection before the request")
        } else {
            Self::Unclear("the HTTP/2 stream was ended")
        }
    }
}

/// Whether the connection itself broke.
pub(super) fn is_broken(error: &hyper::Error) -> bool {
    cause::<io::Error>(error).is_some()
}

/// The name of the provider, or of the proxy before it, was not found.
#[derive(Debug, thiserror::Error)]
#[error("failed to look up a name")]
pub(super) struct NotFound(#[source] pub(super) io::Error);

/// Why no connection came about.
pub(super) fn why_not_opened(error: &(dyn Error + 'static)) -> &'static str {
    use TunnelError as Tunnel;
    match cause::<TunnelError>(error) {
        Some(Tunnel::ConnectFailed(_)) => match why(error) {
            "the connection was refused" => "the proxy refused the connection",
            "the name was not found" => "the name of the proxy was not found",
            _ => "no connection to the proxy came about",
        },
        Some(Tunnel::ProxyAuthRequired) => "the proxy asks for a password",
        Some(Tunnel::TunnelUnsuccessful) => "the proxy opened no way to the provider",
        Some(_) => "the proxy ended the connection",
        None => match why(error) {
            ENDED => "no connection came about",
            why => why,
        },
    }
}

const ENDED: &str = "the connection ended before an answer";

fn why(error: &(dyn Error + 'static)) -> &'static str {
    use io::ErrorKind as Kind;
    if cause::<NotFound>(error).is_some() {
        return "the name was not found";
    }
    match cause::<io::Error>(error).map(kind) {
        Some(Kind::ConnectionRefused) => "the connection was refused",
        Some(Kind::ConnectionReset | Kind::BrokenPipe) => "the connection was reset",
        Some(Kind::HostUnreachable | Kind::NetworkUnreachable) => "no way leads there",
        // TLS reports its own failures as this kind.
        Some(Kind::InvalidData) => "the TLS handshake failed or the certificate is not trusted",
        Some(Kind::NotConnected | Kind::UnexpectedEof) => "the connection was closed",
        Some(Kind::TimedOut) => "no connection came about in time",
        _ => ENDED,
    }
}

/// The first error of this type in the chain that begins with `error`.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| error.source())
        .take(CAUSES_MAX)
        .find_map(|error| error.downcast_ref())
}

/// The kind of an I/O error that may stand inside another, as TLS wraps its own.
fn kind(error: &io::Error) -> io::ErrorKind {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or_else(|| error.kind(), io::Error::kind)
}
