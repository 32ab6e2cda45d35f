//! An answer is read: bounded, whole or not at all.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::response::Parts;

use super::super::Reply;
use super::failure::Failure;
use super::{ANSWER_BYTES_MAX, IDLE_MAX};
use crate::batch::Moment;
use crate::clock;

/// How long before the provider closes an idle connection we leave it alone.
const KEEP_MARGIN: Duration = Duration::from_secs(1);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// An answer, as far as it has come.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn of(head: &Parts) -> Self {
        let retry_after = text(&head.headers, &RETRY_AFTER);
        Self {
            status: head.status.as_u16(),
            retry_after: retry_after.and_then(|value| wait_of(value, clock::now())),
            body: Vec::new(),
        }
    }

    /// Adds what came next.
    pub(super) fn take(&mut self, frame: hyper::Result<Frame<Bytes>>) -> Result<(), Failure> {
        let frame = frame.map_err(|_| Failure::Unclear("the answer was cut off"))?;
        // Trailers say nothing that we ask for.
        if let Ok(data) = frame.into_data() {
            if self.body.len() + data.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Unclear("the answer is too long"));
            }
            self.body.extend_from_slice(&data);
        }
        Ok(())
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Answer {
            status: answer.status,
            retry_after: answer.retry_after,
            body: answer.body,
        }
    }
}

/// The next part of a body.
pub(super) async fn frame(body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// How long the connection may be kept for another request; `None` when not at all.
pub(super) fn keep(headers: &HeaderMap) -> Option<Duration> {
    let Some(said) = text(headers, &KEEP_ALIVE) else {
        return Some(IDLE_MAX);
    };
    let timeout = said.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().parse().ok()?;
        let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
        is_timeout.then_some(Duration::from_secs(value))
    });
    let Some(timeout) = timeout else {
        return Some(IDLE_MAX);
    };
    let keep = timeout.saturating_sub(KEEP_MARGIN).min(IDLE_MAX);
    (!keep.is_zero()).then_some(keep)
}

fn text<'a>(headers: &'a HeaderMap<HeaderValue>, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Both forms of the header ask for the same wait.
    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        let now = Moment::parse("1994-11-06T08:49:30Z").expect("a moment");
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(wait_of("120", now), seconds(120));
        assert_eq!(wait_of("Sun, 06 Nov 1994 08:49:37 GMT", now), seconds(7));
        assert_eq!(wait_of("Sun, 06 Nov 1994 08:00:00 GMT", now), seconds(0));
        for bad in ["", "-1", "soon", "1.5", "1994-11-06"] {
            assert_eq!(wait_of(bad, now), None, "{bad}");
        }
    }

    /// A connection that is used just as the provider closes it makes a message unclear.
    #[test]
    fn a_connection_is_left_alone_before_the_provider_closes_it() {
        let kept = |value: &'static str| {
            keep(&HeaderMap::from_iter([(
                KEEP_ALIVE,
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(keep(&HeaderMap::new()), Some(IDLE_MAX));
        assert_eq!(kept("timeout=5, max=100"), Some(Duration::from_secs(4)));
        assert_eq!(kept("max=100, Timeout = 3"), Some(Duration::from_secs(2)));
        assert_eq!(kept("timeout=3600"), Some(IDLE_MAX));
        assert_eq!(kept("max=100"), Some(IDLE_MAX));
        assert_eq!(kept("timeout=1"), None);
        assert_eq!(kept("timeout=0"), None);
    }
}
