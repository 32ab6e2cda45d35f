//! What each peer does, case by case, under the names of the manual.

/// What every request carries, and by what its end is known.
pub(super) const BODY: &str = r#"{"the":"message"}"#;

/// Whom the client meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Peer {
    /// HTTP in clear.
    Plain,
    /// HTTP/1.1 in TLS.
    Tls,
    /// HTTP/2 in TLS.
    Http2,
    /// A peer that is asked for TLS and speaks none.
    NoTls,
    /// TLS by an issuer that is not trusted.
    Unknown,
    /// TLS for another name.
    Misnamed,
    /// TLS whose time is over.
    Expired,
    /// A proxy that answers so, and then is the provider in TLS.
    Proxy(&'static str),
    /// Nobody: the address is this one.
    Elsewhere(&'static str),
}

/// What a peer does on a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Hears a whole request.
    Hear,
    /// Hears a part of one.
    Peek,
    /// Says this.
    Say(Vec<u8>),
    /// Says this for as long as it is heard.
    SayOn(Vec<u8>),
    /// Lets the client have its answer first, and keep the connection.
    Later,
    /// Says that no more will come.
    End,
    /// Tells that its part is done, while the connection stays.
    Tell,
    /// Waits until the client hangs up.
    Wait,
    /// Hangs up without manners at the end.
    Reset,
}

use Step::{End, Hear, Later, Peek, Reset, SayOn, Tell, Wait};

/// One case of the manual.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) peer: Peer,
    /// What is done on each connection.
    pub(super) connections: Vec<Vec<Step>>,
    /// How many requests are sent; all but the last are accepted.
    pub(super) requests: usize,
    /// The token, if it is another than usual.
    pub(super) token: Option<&'static str>,
    /// Whether the client waits briefly only.
    pub(super) hasty: bool,
    /// Whether the peer is gone at the last request.
    pub(super) gone: bool,
}

fn case(name: &'static str, peer: Peer, steps: Vec<Step>) -> Case {
    Case {
        name,
        peer,
        connections: vec![steps],
        requests: 1,
        token: None,
        hasty: false,
        gone: false,
    }
}

impl Case {
    /// A further connection, for a further request.
    fn then(mut self, steps: Vec<Step>) -> Self {
        self.connections.push(steps);
        self.requests += 1;
        self
    }

    fn hasty(self) -> Self {
        Self {
            hasty: true,
            ..self
        }
    }

    fn gone(self) -> Self {
        Self { gone: true, ..self }
    }
}

fn say(text: &str) -> Step {
    Step::Say(text.into())
}

/// Hears a request and says this.
fn says(text: &str) -> Vec<Step> {
    vec![Hear, say(text)]
}

/// An answer in HTTP/1.1.
fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// An error in the provider's own words.
fn error(status: u16, members: &str) -> Vec<Step> {
    let body = format!(r#"{{"error":{{"message":"in its own words","code":{members}}}}}"#);
    says(&answer(&format!("{status} Status"), &body))
}

const TAKEN: &str = r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.1"}]}"#;
const PAGE: &str = "<html><body><h1>Sorry</h1></body></html>";

fn taken() -> String {
    answer("200 OK", TAKEN)
}

/// A page that says nothing but a status.
fn page(status: &str) -> Vec<Step> {
    says(&answer(status, PAGE))
}

/// Every case of the manual.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = before_it_left();
    cases.extend(taken_by_the_provider());
    cases.extend(taken_over_another());
    cases.extend(in_its_own_words());
    cases.extend(without_its_words());
    cases.extend(cut_off());
    cases.extend(http_2());
    cases
}

fn before_it_left() -> Vec<Case> {
    const WAY: &str = "HTTP/1.1 200 OK\r\n\r\n";
    const LABEL: &str =
        "https://a-name-of-more-than-sixty-three-characters-which-no-zone-can-hold-at-all.example";
    let broken = Case {
        token: Some("to\nken"),
        ..case("the access token has a line break", Peer::Plain, vec![])
    };
    vec![
        case("the name is not found", Peer::Elsewhere(LABEL), vec![]),
        case(
            "the connection is refused",
            Peer::Elsewhere("http://127.0.0.1:1"),
            vec![],
        ),
        case(
            "the address is not https",
            Peer::Elsewhere("http://provider.example"),
            vec![],
        ),
        broken,
        case("the connection is closed before TLS", Peer::NoTls, vec![]),
        case(
            "what answers speaks no TLS",
            Peer::NoTls,
            vec![say(&taken()), Wait],
        ),
        case("TLS is not agreed on in time", Peer::NoTls, vec![Wait]).hasty(),
        case(
            "the certificate is by an unknown issuer",
            Peer::Unknown,
            says(&taken()),
        ),
        case(
            "the certificate is for another name",
            Peer::Misnamed,
            says(&taken()),
        ),
        case("the certificate has expired", Peer::Expired, says(&taken())),
        case("the proxy refuses the connection", Peer::Proxy(""), vec![]).gone(),
        case(
            "the proxy refuses the way",
            Peer::Proxy("HTTP/1.1 403 No\r\n\r\n"),
            vec![],
        ),
        case(
            "the proxy asks for a password",
            Peer::Proxy("HTTP/1.1 407 Who\r\n\r\n"),
            vec![],
        ),
        case("the proxy hangs up", Peer::Proxy(""), vec![]),
        case("the proxy stays silent", Peer::Proxy(""), vec![Wait]).hasty(),
        case(
            "a message id through a proxy",
            Peer::Proxy(WAY),
            says(&taken()),
        ),
    ]
}

fn taken_by_the_provider() -> Vec<Case> {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let length = TAKEN.len();
    let chunked = format!("{chunked}{length:x}\r\n{TAKEN}\r\n0\r\n\r\n");
    let interim = format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", taken());
    let held = r#"{"messages":[{"id":"wamid.1","message_status":"held_for_quality_assessment"}]}"#;
    let held = answer("200 OK", held);
    vec![
        case("a message id over HTTP/1.1", Peer::Plain, says(&taken())),
        case("a message id in chunks", Peer::Plain, says(&chunked)),
        case(
            "a message id after an interim answer",
            Peer::Plain,
            says(&interim),
        ),
        case("a message id over TLS", Peer::Tls, says(&taken())),
        case(
            "held for a check of the template's quality",
            Peer::Plain,
            says(&held),
        ),
    ]
}

/// The connection of the first request is not good for the second.
fn taken_over_another() -> Vec<Case> {
    let ended = || vec![Hear, say(&taken()), Later, End];
    let reset = vec![Hear, say(&taken()), Later, Reset];
    let timeout = answer("408 Request Timeout", "");
    let unasked = vec![Hear, say(&taken()), Later, say(&timeout), Tell, Wait];
    let close = taken().replace("content-length", "connection: close\r\ncontent-length");
    let close = vec![Hear, say(&close), Tell, Wait];
    let name = "the idle connection is gone and there is no other";
    let mut gone = case(name, Peer::Plain, ended()).gone();
    gone.requests = 2;
    let closed = "the idle connection was closed, another takes it";
    let closed_in_tls = "the idle connection was closed in TLS, another takes it";
    let was_reset = "the idle connection was reset, another takes it";
    let spoke = "the idle connection said something unasked, another takes it";
    let asked = "the provider asked to close, another takes it";
    vec![
        gone,
        case(closed, Peer::Plain, ended()).then(says(&taken())),
        case(closed_in_tls, Peer::Tls, ended()).then(says(&taken())),
        case(was_reset, Peer::Plain, reset).then(says(&taken())),
        case(spoke, Peer::Plain, unasked).then(says(&taken())),
        case(asked, Peer::Plain, close).then(says(&taken())),
    ]
}

fn in_its_own_words() -> Vec<Case> {
    let cases = [
        ("130429 with 429", 429, "130429"),
        ("130429 with 400", 400, "130429"),
        ("131056 with 400", 400, "131056"),
        ("4 with 400", 400, "4"),
        ("80007 with 400", 400, "80007"),
        ("an unknown code with 429", 429, "990001"),
        ("131000 with 500", 500, "131000"),
        ("131016 with 503", 503, "131016"),
        ("2 with 503", 503, "2"),
        (
            "an unknown code that says it is transient",
            400,
            "990001,\"is_transient\":true",
        ),
        ("100 with 400", 400, "100"),
        ("131026 with 400", 400, "131026"),
        ("131047 with 400", 400, "131047"),
        ("132000 with 400", 400, "132000"),
        ("132001 with 404", 404, "132001"),
        ("an unknown code with 400", 400, "990001"),
        ("190 with 401", 401, "190"),
        ("10 with 403", 403, "10"),
        ("131042 with 400", 400, "131042"),
        (
            "100 and sub-code 33 with 400",
            400,
            "100,\"error_subcode\":33",
        ),
        ("131048 with 400", 400, "131048"),
        ("131057 with 500", 500, "131057"),
        ("133010 with 400", 400, "133010"),
        ("132015 with 400", 400, "132015"),
        ("an unknown code with 401", 401, "990001"),
        ("an unknown code with 500", 500, "990001"),
        ("506 with 400", 400, "506"),
    ];
    let case = |(name, status, members)| case(name, Peer::Plain, error(status, members));
    cases.into_iter().map(case).collect()
}

fn without_its_words() -> Vec<Case> {
    let later = "HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let away = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let json = |status, body| says(&answer(status, body));
    let cases = [
        ("429 and Retry-After", says(later)),
        ("401 and a page", page("401 Who")),
        ("403 and a page", page("403 No")),
        ("407 and a page", page("407 Who")),
        ("302 to elsewhere", says(away)),
        ("404 and a page", page("404 Where")),
        ("400 and a page", page("400 What")),
        ("500 and a page", page("500 Oh")),
        ("502 and a page", page("502 Bad Gateway")),
        ("503 and nothing", json("503 Later", "")),
        (
            "504 and other JSON",
            json("504 Late", r#"{"message":"endpoint timed out"}"#),
        ),
        ("200 and nothing", json("200 OK", "")),
        ("200 and a page", page("200 OK")),
        (
            "200 and no message id",
            json("200 OK", r#"{"messages":[{"id":""}]}"#),
        ),
        ("200 and half of the JSON", json("200 OK", &TAKEN[..40])),
        ("204", says("HTTP/1.1 204 No Content\r\n\r\n")),
    ];
    let case = |(name, steps)| case(name, Peer::Plain, steps);
    cases.into_iter().map(case).collect()
}

fn cut_off() -> Vec<Case> {
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n99\r\n{\"messages\"";
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"messages\"";
    let plain = |name, steps| case(name, Peer::Plain, steps);
    let head = || say("HTTP/1.1 200 OK\r\n\r\n");
    let on = |text: &str| SayOn(text.repeat(100).into());
    let start = || say("HTTP/1.1 200 OK\r\n");
    let silent = vec![Hear, say(half), Wait];
    vec![
        plain("closed after the request", vec![Hear]),
        plain("closed in the middle of the request", vec![Peek]),
        plain("reset after the request", vec![Hear, Reset]),
        plain("closed within the status line", says("HTTP/1.1 20")),
        plain(
            "closed within the headers",
            says("HTTP/1.1 200 OK\r\ncontent-le"),
        ),
        plain("closed within the body", says(half)),
        plain("closed within a chunk", says(chunk)),
        case("closed within the body, in TLS", Peer::Tls, says(half)),
        plain("no answer in time", vec![Hear, Wait]).hasty(),
        plain("half an answer, then silence", silent).hasty(),
        plain(
            "an answer that is too long",
            vec![Hear, head(), on("spaces and more of them ")],
        ),
        plain(
            "headers without end",
            vec![Hear, start(), on("a-header: and more\r\n")],
        ),
        plain(
            "what answers speaks no HTTP",
            says("\u{1}\u{2} this is not HTTP\r\n\r\n"),
        ),
    ]
}

fn http_2() -> Vec<Case> {
    let raw = |name, frames: Vec<Vec<u8>>| {
        let mut bytes = vec![frame(SETTINGS, 0, 0, b"")];
        bytes.extend(frames);
        let after = bytes.split_off(1);
        let steps = vec![Step::Say(bytes.concat()), Hear, Step::Say(after.concat())];
        case(name, Peer::Http2, steps)
    };
    let taken = || {
        let head = frame(HEADERS, END_HEADERS, 1, b"\x88");
        vec![head, frame(DATA, END_STREAM, 1, TAKEN.as_bytes())]
    };
    let reset = |reason: u8| vec![frame(RST_STREAM, 0, 1, &[0, 0, 0, reason])];
    let goodbye = |last: u8, reason: u8| frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, reason]);
    let half = vec![
        frame(HEADERS, END_HEADERS, 1, b"\x88"),
        frame(DATA, 0, 1, b"{\"messages\""),
        frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]),
    ];
    let mut silent = raw("no answer over HTTP/2 in time", vec![]).hasty();
    silent.connections[0].push(Wait);
    let name = "HTTP/2 said goodbye while idle, another takes it";
    let mut polite = raw(name, taken());
    polite.connections[0].extend([Later, Step::Say(goodbye(1, 0))]);
    let again = raw("a message id over HTTP/2", taken())
        .connections
        .remove(0);
    vec![
        raw("a message id over HTTP/2", taken()),
        raw("HTTP/2 refuses the stream", reset(7)),
        raw(
            "HTTP/2 says goodbye before the request",
            vec![goodbye(0, 0)],
        ),
        polite.then(again),
        raw("HTTP/2 cancels the stream", reset(8)),
        raw("HTTP/2 ends the stream with an error", reset(2)),
        raw("HTTP/2 ends the stream within the body", half),
        raw("HTTP/2 says goodbye after the request", vec![goodbye(1, 0)]),
        raw("HTTP/2 says goodbye in error", vec![goodbye(0, 2)]),
        raw("HTTP/2 is closed after the request", vec![]),
        raw(
            "HTTP/2 speaks nonsense",
            vec![frame(DATA, 0, 0, b"nonsense")],
        ),
        silent,
    ]
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}
