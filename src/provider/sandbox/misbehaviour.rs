//! What goes wrong at any provider, by chance: slow answers, refusals, connections that are cut,
//! half an answer. It stands before every stand-in alike; how one words a refusal is its own.
//!
//! The n-th request meets the n-th fate of its seed, so that what was seen once can be seen again.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::channel::Channel;

use super::Desk;

/// The largest answer that can be cut in half, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long the first half of an answer has to leave before the connection is cut: without it the
/// cut would overtake the half.
const HALF_LEAVES: Duration = Duration::from_millis(20);

/// What goes wrong, and how often. By default nothing does.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Misbehaviour {
    /// Up to how much longer than the others an answer takes.
    pub spread: Duration,
    /// Which requests are refused, not taken.
    pub errors: Errors,
    /// Of how many requests the connection is cut: of one half before they are taken, of the other
    /// after.
    pub cut: Share,
    /// Of how many requests, all of them taken, only half an answer comes.
    pub halved: Share,
    /// What chance begins with.
    pub seed: u64,
}

impl Misbehaviour {
    /// Whether no more requests are to go wrong than there are.
    pub fn is_possible(&self) -> bool {
        let errors: f64 = self.errors.0.iter().map(|(_, share)| share.0).sum();
        errors + self.cut.0 + self.halved.0 <= 1.0
    }

    fn fate(&self, chance: &mut fastrand::Rng) -> Fate {
        let late = self.spread.mul_f64(chance.f64());
        let cut = [Turn::CutBefore, Turn::CutAfter][usize::from(chance.bool())];
        let mut left = chance.f64();
        let mut falls_on = |share: Share| {
            left -= share.0;
            left < 0.0
        };
        for (status, share) in &self.errors.0 {
            if falls_on(*share) {
                return Fate::late(late, Turn::Refused(*status));
            }
        }
        let turn = if falls_on(self.cut) {
            cut
        } else if falls_on(self.halved) {
            Turn::Halved
        } else {
            Turn::Served
        };
        Fate::late(late, turn)
    }
}

/// A share of all requests, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Share(f64);

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err("write a share from 0 to 1, such as `0.01`"),
        }
    }
}

/// Shares of refused requests by their HTTP status, written `429=0.05,500=0.01`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Errors(Vec<(StatusCode, Share)>);

impl FromStr for Errors {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = |entry: &str| {
            let (status, share) = entry.split_once('=')?;
            let status = StatusCode::from_bytes(status.trim().as_bytes()).ok()?;
            let is_error = status.is_client_error() || status.is_server_error();
            let share = share.trim().parse().ok()?;
            is_error.then_some((status, share))
        };
        let read: Option<Vec<_>> = text.split(',').map(one).collect();
        let read = read.map(Self);
        read.ok_or("write HTTP statuses from 400 on with their shares, such as `429=0.05,500=0.01`")
    }
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fate {
    late: Duration,
    turn: Turn,
}

impl Fate {
    fn late(late: Duration, turn: Turn) -> Self {
        Self { late, turn }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Turn {
    Served,
    Refused(StatusCode),
    CutBefore,
    CutAfter,
    Halved,
}

/// How a stand-in words a refusal with this HTTP status.
pub(super) type Refusal = fn(StatusCode) -> Response;

/// Lets a request meet its fate.
pub(super) async fn meet(
    State((desk, refusal)): State<(Arc<Desk>, Refusal)>,
    request: Request,
    next: Next,
) -> Response {
    let fate = desk.behaviour.misbehaviour.fate(&mut desk.chance());
    let is_sending = request.method() == Method::POST;
    let not_taken = || {
        if is_sending {
            desk.ledger.heard();
            desk.ledger.refused();
        }
    };
    let answer = match fate.turn {
        Turn::Served => next.run(request).await,
        Turn::Refused(status) => {
            not_taken();
            desk.take_time().await;
            refusal(status)
        }
        Turn::CutBefore => {
            not_taken();
            desk.take_time().await;
            cut()
        }
        Turn::CutAfter => {
            next.run(request).await;
            cut()
        }
        Turn::Halved => halved(next.run(request).await).await,
    };
    if !fate.late.is_zero() {
        desk.pause(fate.late).await;
    }
    desk.ledger.answered(match fate.turn {
        Turn::Served | Turn::Refused(_) => Ending::Whole(answer.status()),
        Turn::CutBefore => Ending::CutBefore,
        Turn::CutAfter => Ending::CutAfter,
        Turn::Halved => Ending::Halved,
    });
    answer
}

/// How the answer to a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It was told whole, with this status.
    Whole(StatusCode),
    /// Half of it was told.
    Halved,
    /// The connection was cut, and the request was not looked at.
    CutBefore,
    /// The connection was cut after what was asked had been done.
    CutAfter,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(status) => write!(f, "answered with {}", status.as_u16()),
            Self::Halved => f.write_str("answered by half"),
            Self::CutBefore => f.write_str("cut before they were taken"),
            Self::CutAfter => f.write_str("cut after they were taken"),
        }
    }
}

/// An answer of which not a byte leaves: its body fails before its head is written out.
fn cut() -> Response {
    let (sender, body) = Channel::<Bytes, io::Error>::new(1);
    sender.abort(broken());
    Response::new(Body::new(body))
}

/// The same answer, of which only the first half leaves.
async fn halved(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    // Our own answers are small and in memory: reading them does not fail.
    let whole = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await;
    let whole = whole.unwrap_or_default();
    head.headers.insert(CONTENT_LENGTH, whole.len().into());
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        // It fails where the one who asked has left, and then nobody misses it.
        let _ = sender.send_data(whole.slice(..whole.len() / 2)).await;
        tokio::time::sleep(HALF_LEAVES).await;
        sender.abort(broken());
    });
    Response::from_parts(head, Body::new(body))
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Misbehaviour {
        Misbehaviour {
            spread: Duration::from_millis(50),
            errors: "429=0.1, 500=0.05".parse().expect("shares"),
            cut: Share(0.04),
            halved: Share(0.02),
            seed: 7,
        }
    }

    fn fates(seed: u64) -> Vec<Fate> {
        let mut chance = fastrand::Rng::with_seed(seed);
        let fate = |_| mixed().fate(&mut chance);
        (0..20_000).map(fate).collect()
    }

    /// Whoever saw a fault with a seed must see it again with that seed, to mend it.
    #[test]
    fn a_seed_gives_the_same_fates() {
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    /// A developer who asks for one error in ten must not get one in five.
    #[test]
    fn each_fate_has_its_share() {
        let found = fates(7);
        let of = |turn: Turn| found.iter().filter(|fate| fate.turn == turn).count();
        for (turn, wanted) in [
            (Turn::Refused(StatusCode::TOO_MANY_REQUESTS), 2_000),
            (Turn::Refused(StatusCode::INTERNAL_SERVER_ERROR), 1_000),
            (Turn::CutBefore, 400),
            (Turn::CutAfter, 400),
            (Turn::Halved, 400),
            (Turn::Served, 15_800),
        ] {
            let found = of(turn);
            assert!(found.abs_diff(wanted) < wanted / 5, "{turn:?}: {found}");
        }
        assert!(found.iter().all(|fate| fate.late <= mixed().spread));
    }

    /// A slip in a share would give another test than the one that was meant.
    #[test]
    fn what_is_no_share_is_refused() {
        for text in [
            "429",
            "429=2",
            "200=0.1",
            "4290=0.1",
            "429=-0.1",
            "429=0.1,,",
        ] {
            assert!(text.parse::<Errors>().is_err(), "{text}");
        }
        assert!("1.5".parse::<Share>().is_err() && "NaN".parse::<Share>().is_err());
        let too_many = Misbehaviour {
            cut: Share(0.9),
            ..mixed()
        };
        assert!(mixed().is_possible() && !too_many.is_possible());
    }
}
