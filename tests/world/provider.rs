//! The scripted provider: a Cloud API on loopback that writes down every request before it answers,
//! and answers as its script says, also with silence, half an answer or none. It is the witness of
//! what really was sent; it shares no code with what it is a witness of.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Connections that may wait to be taken; a burst beyond it would wait a second for its next try.
const BACKLOG: u32 = 4_096;

/// Stack of the thread that serves one connection.
const STACK_BYTES: usize = 512 << 10;

/// How long a gate may keep an answer back; no story is that slow.
const GATE: Duration = Duration::from_mins(5);

/// The largest request body taken.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the provider does about one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Takes the message.
    Accept,
    /// Takes the message and answers after this long.
    AcceptAfter(Duration),
    /// Takes the message and answers once the gate is open.
    AcceptBehind(Gate),
    /// Does not take it, and answers with this status, these headers and this body.
    Refuse(u16, Vec<(&'static str, String)>, String),
    /// Takes the message and never answers; the connection stays open.
    Silence,
    /// Takes the message and closes the connection without a byte.
    HangUp,
    /// Takes the message, promises more bytes than it sends, and closes.
    CutShort,
    /// Takes the message, and a proxy in between answers 200 with a page for people.
    Page,
}

/// What keeps answers back until a story opens it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets every answer go, also those to come.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let shut = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.0.1.wait_timeout_while(shut, GATE, |open| !*open);
        drop(open);
    }
}

impl Answer {
    /// A refusal with a Cloud API error body.
    pub(crate) fn error(status: u16, code: u32, message: &str) -> Self {
        let body = json!({"error": {
            "message": message, "type": "OAuthException", "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": message},
            "fbtrace_id": "AbCdEf123"}});
        Self::Refuse(status, vec![], body.to_string())
    }

    /// Throttling, with the seconds to wait.
    pub(crate) fn throttled(seconds: u32) -> Self {
        match Self::error(429, 130_429, "(#130429) Rate limit hit") {
            Self::Refuse(status, _, body) => {
                Self::Refuse(status, vec![("Retry-After", seconds.to_string())], body)
            }
            other => other,
        }
    }

    /// Whether the message counts as taken by the provider.
    fn takes(&self) -> bool {
        !matches!(self, Self::Refuse(..))
    }

    /// Whether whoever gets this answer whole knows what became of the message.
    fn is_clear(&self) -> bool {
        match self {
            Self::Accept | Self::AcceptAfter(_) | Self::AcceptBehind(_) => true,
            Self::Refuse(status, _, body) => *status < 500 || body.contains("\"error\""),
            Self::Silence | Self::HangUp | Self::CutShort | Self::Page => false,
        }
    }
}

/// What the provider does about whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    answers: HashMap<String, Vec<Answer>>,
    token: Option<&'static str>,
    uploads: Vec<Answer>,
    latency_ms: Option<(u64, u64)>,
}

impl Script {
    /// Takes everything at once.
    pub(crate) fn accepting() -> Self {
        Self::default()
    }

    /// Answers the requests for one recipient in this order; the last one for all that follow.
    pub(crate) fn to(mut self, recipient: &str, answers: &[Answer]) -> Self {
        assert!(!answers.is_empty(), "a script says something");
        self.answers.insert(digits(recipient), answers.to_vec());
        self
    }

    /// Answers uploads of files in this order; the last one for all that follow.
    pub(crate) fn uploads(mut self, answers: &[Answer]) -> Self {
        self.uploads = answers.to_vec();
        self
    }

    /// Lets in only those who show this token.
    pub(crate) fn for_token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }

    /// Waits between these bounds, evenly drawn, before an answer that takes the message.
    pub(crate) fn latency_ms(mut self, least: u64, most: u64) -> Self {
        self.latency_ms = Some((least, most));
        self
    }
}

/// One request for a message, as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The batch it says it is of.
    pub(crate) batch: String,
    /// The index of its message.
    pub(crate) index: u64,
    /// Which try it says it is, from 1.
    pub(crate) attempt: u32,
    /// The recipient's digits.
    pub(crate) to: String,
    /// When it was whole.
    pub(crate) at: Instant,
    /// Whether the provider took the message.
    pub(crate) taken: bool,
    /// The id that it gave the message; empty if it did not take it.
    pub(crate) wamid: String,
    /// Whether the whole answer was handed to the connection.
    pub(crate) answered: bool,
    /// Whether that answer says what became of the message.
    pub(crate) clear: bool,
    /// The body of the request.
    pub(crate) body: Value,
}

/// One upload of a file, as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Uploaded {
    /// The id that it was given; empty if it was not taken.
    pub(crate) id: String,
    /// What the form says that the file is.
    pub(crate) form: String,
    /// The content.
    pub(crate) content: Vec<u8>,
}

/// A scripted provider that runs until it is let go.
#[derive(Debug)]
pub(crate) struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    script: Script,
    book: Mutex<Book>,
    grown: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug)]
struct Book {
    seen: Vec<Seen>,
    uploads: Vec<Uploaded>,
    tries: HashMap<String, usize>,
    odd: Vec<String>,
    file: File,
}

/// An address where nobody listens yet, held so that nobody else takes it.
#[derive(Debug)]
pub(crate) struct Reserved {
    socket: tokio::net::TcpSocket,
    address: SocketAddr,
}

impl Reserved {
    /// Takes a free port. Connections to it are refused.
    pub(crate) fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(any).expect("a free port");
        let address = socket.local_addr().expect("bound");
        Self { socket, address }
    }

    /// Where it will listen.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens the provider there. Requests are also written down in `log`.
    pub(crate) fn open(self, script: Script, log: &Path) -> Provider {
        let address = self.address;
        let listener = self.listen();
        let shared = Arc::new(Shared {
            script,
            book: Mutex::new(Book {
                seen: Vec::new(),
                uploads: Vec::new(),
                tries: HashMap::new(),
                odd: Vec::new(),
                file: File::create(log).expect("the provider's log is made"),
            }),
            grown: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || take_connections(&listener, &serving));
        Provider { address, shared }
    }

    /// Begins to listen there.
    pub(crate) fn listen(self) -> TcpListener {
        // Listening registers with a runtime; the listener leaves it again at once.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        let _inside = runtime.enter();
        let listener = self.socket.listen(BACKLOG).expect("listening");
        let listener = listener.into_std().expect("a plain listener");
        listener.set_nonblocking(false).expect("made blocking");
        listener
    }
}

impl Provider {
    /// Every request so far, in the order in which they were whole.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.book().seen.clone()
    }

    /// Every upload so far.
    pub(crate) fn uploads(&self) -> Vec<Uploaded> {
        self.shared.book().uploads.clone()
    }

    /// How many requests there were so far.
    pub(crate) fn seen_count(&self) -> usize {
        self.shared.book().seen.len()
    }

    /// Every request of one batch, by the index of its message.
    pub(crate) fn seen_of(&self, batch: &str) -> BTreeMap<u64, Vec<Seen>> {
        let mut by_index: BTreeMap<u64, Vec<Seen>> = BTreeMap::new();
        for seen in self.seen().into_iter().filter(|seen| seen.batch == batch) {
            by_index.entry(seen.index).or_default().push(seen);
        }
        by_index
    }

    /// Requests for messages that it took, to these digits or number.
    pub(crate) fn taken_for(&self, recipient: &str) -> usize {
        let to = digits(recipient);
        let book = self.shared.book();
        book.seen
            .iter()
            .filter(|seen| seen.taken && seen.to == to)
            .count()
    }

    /// Waits until there were at least `count` requests. Panics after `limit`.
    pub(crate) fn wait_for_requests(&self, count: usize, limit: Duration) {
        let book = self.shared.book();
        let (book, late) = self
            .shared
            .grown
            .wait_timeout_while(book, limit, |book| book.seen.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        let seen = book.seen.len();
        assert!(!late.timed_out(), "{seen} of {count} requests in {limit:?}");
    }

    /// Panics if it met a request that no Cloud API would understand.
    pub(crate) fn assert_understood(&self) {
        let odd = &self.shared.book().odd;
        assert!(odd.is_empty(), "the provider did not understand: {odd:?}");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // One more connection wakes the thread that takes them.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a request down and decides about it, in one step: what is taken is on record before
    /// a byte of the answer leaves.
    fn decide(&self, body: &[u8]) -> Result<(usize, Answer, String), String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        if text("/messaging_product") != Some("whatsapp") {
            return Err("no `messaging_product`".into());
        }
        let to = digits(text("/to").ok_or("no `to`")?);
        let id = text("/biz_opaque_callback_data").ok_or("no `biz_opaque_callback_data`")?;
        let (batch, index, attempt) = attempt_id(id).ok_or(format!("odd attempt `{id}`"))?;
        let mut book = self.book();
        let tried = book.tries.entry(to.clone()).or_default();
        let answer = self.answer(&to, *tried);
        *tried += 1;
        let number = book.seen.len();
        let wamid = if answer.takes() {
            format!("wamid.{number:08}")
        } else {
            String::new()
        };
        let line = format!("{id} {to} {answer:?}\n");
        book.file
            .write_all(line.as_bytes())
            .expect("the provider's log is written");
        book.seen.push(Seen {
            batch,
            index,
            attempt,
            to,
            at: Instant::now(),
            taken: answer.takes(),
            wamid: wamid.clone(),
            answered: false,
            clear: answer.is_clear(),
            body,
        });
        self.grown.notify_all();
        Ok((number, answer, wamid))
    }

    /// Writes an upload down and decides about it.
    fn take_file(&self, body: &[u8]) -> Result<(Answer, String), String> {
        let (form, content) = form_of(body).ok_or("an odd form")?;
        let mut book = self.book();
        let tried = book.uploads.len();
        let last = self.script.uploads.len().saturating_sub(1);
        let answer = self.script.uploads.get(tried.min(last));
        let answer = answer.cloned().unwrap_or(Answer::Accept);
        let id = if answer.takes() {
            format!("7000{tried:04}")
        } else {
            String::new()
        };
        book.uploads.push(Uploaded {
            id: id.clone(),
            form,
            content,
        });
        self.grown.notify_all();
        Ok((answer, id))
    }

    fn answer(&self, to: &str, tried: usize) -> Answer {
        let scripted = self.script.answers.get(to);
        if let Some(answers) = scripted {
            return answers[tried.min(answers.len() - 1)].clone();
        }
        match self.script.latency_ms {
            Some((least, most)) => {
                Answer::AcceptAfter(Duration::from_millis(fastrand::u64(least..=most)))
            }
            None => Answer::Accept,
        }
    }

    fn odd(&self, what: String) {
        self.book().odd.push(what);
    }
}

/// The digits of a number.
fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// Reads `<batch>-<index>-<attempt>`; the batch has a dash of its own.
fn attempt_id(text: &str) -> Option<(String, u64, u32)> {
    let mut parts = text.rsplitn(3, '-');
    let attempt = parts.next()?.parse().ok()?;
    let index = parts.next()?.parse().ok()?;
    Some((parts.next()?.to_owned(), index, attempt))
}

fn take_connections(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else {
            continue;
        };
        let shared = Arc::clone(shared);
        thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || serve(&connection, &shared))
            .expect("a thread for the connection");
    }
}

/// Whether the connection may carry another request.
#[derive(PartialEq)]
enum After {
    Another,
    Closed,
}

fn serve(connection: &TcpStream, shared: &Shared) {
    // Small answers must not wait for more to send.
    connection.set_nodelay(true).expect("no delay");
    let mut reader = BufReader::new(connection);
    // An error is the client gone, which ends the connection like its closing.
    while let Ok(Some(request)) = read_request(&mut reader) {
        match reply(connection, &request, shared) {
            Ok(After::Another) => {}
            Ok(After::Closed) | Err(_) => break,
        }
    }
    // The client may be gone already; then there is nothing to close.
    connection.shutdown(Shutdown::Both).ok();
}

struct HttpRequest {
    method: String,
    path: String,
    /// The token that it shows; empty for none.
    token: String,
    body: Vec<u8>,
}

/// The next request; `None` when the client closed in between.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<HttpRequest>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0_usize;
    let mut token = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(usize::MAX);
        } else if name.eq_ignore_ascii_case("authorization") {
            token = value.trim().replace("Bearer ", "");
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(std::io::Error::other("a body too large"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next(), words.next());
    Ok(Some(HttpRequest {
        method: method.unwrap_or_default(),
        path: path.unwrap_or_default(),
        token,
        body,
    }))
}

fn reply(
    mut connection: &TcpStream,
    request: &HttpRequest,
    shared: &Shared,
) -> std::io::Result<After> {
    if request.method != "POST" {
        connection.write_all(&response(200, &[], r#"{"data":[]}"#, JSON))?;
        return Ok(After::Another);
    }
    if shared
        .script
        .token
        .is_some_and(|token| token != request.token)
    {
        let refusal = Answer::error(401, 190, "Error validating access token");
        let Answer::Refuse(status, headers, body) = refusal else {
            unreachable!("it is a refusal");
        };
        connection.write_all(&response(status, &headers, &body, JSON))?;
        return Ok(After::Another);
    }
    let is_upload = request.path.ends_with("/media");
    let decided = if is_upload {
        let taken = shared.take_file(&request.body);
        taken.map(|(answer, id)| (None, answer, id))
    } else {
        let decided = shared.decide(&request.body);
        decided.map(|(number, answer, wamid)| (Some(number), answer, wamid))
    };
    let (number, answer, id) = match decided {
        Ok(decided) => decided,
        Err(what) => {
            shared.odd(what);
            connection.write_all(&response(400, &[], "{}", JSON))?;
            return Ok(After::Another);
        }
    };
    let accepted = || {
        let body = if is_upload {
            json!({ "id": id })
        } else {
            json!({"messaging_product": "whatsapp",
                "messages": [{"id": id, "message_status": "accepted"}]})
        };
        response(200, &[], &body.to_string(), JSON)
    };
    let whole = match answer {
        Answer::Accept => accepted(),
        Answer::AcceptAfter(latency) => {
            thread::sleep(latency);
            accepted()
        }
        Answer::AcceptBehind(gate) => {
            gate.wait();
            accepted()
        }
        Answer::Refuse(status, headers, body) => response(status, &headers, &body, JSON),
        Answer::Page => response(200, &[], "<html><body>Welcome</body></html>", "text/html"),
        Answer::Silence => {
            // Reading ends when the client closes; whatever it says before is dropped.
            std::io::copy(&mut connection, &mut std::io::sink())?;
            return Ok(After::Closed);
        }
        Answer::HangUp => return Ok(After::Closed),
        Answer::CutShort => {
            let whole = accepted();
            connection.write_all(&whole[..whole.len() - 20])?;
            return Ok(After::Closed);
        }
    };
    connection.write_all(&whole)?;
    if let Some(number) = number {
        shared.book().seen[number].answered = true;
    }
    Ok(After::Another)
}

/// The text around the file of a form, and the file.
fn form_of(body: &[u8]) -> Option<(String, Vec<u8>)> {
    let find = |what: &[u8], from: usize| {
        let rest = body.get(from..)?;
        let found = rest.windows(what.len()).position(|window| window == what);
        Some(from + found?)
    };
    let first = find(b"\r\n", 0)?;
    let boundary = [b"\r\n", &body[..first]].concat();
    let file = find(b"name=\"file\"", 0)?;
    let begin = find(b"\r\n\r\n", file)? + 4;
    let end = find(&boundary, begin)?;
    let head = String::from_utf8(body[..begin].to_vec()).ok()?;
    Some((head, body[begin..end].to_vec()))
}

const JSON: &str = "application/json; charset=UTF-8";

fn response(status: u16, headers: &[(&str, String)], body: &str, kind: &str) -> Vec<u8> {
    let length = body.len();
    let mut text = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
    );
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a text takes text");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// A witness that is not true to its script would clear the guilty and blame the innocent.
#[test]
fn the_provider_keeps_to_its_script_and_its_record() {
    use std::io::Read as _;

    fn request(address: SocketAddr, to: &str, attempt: u32) -> String {
        let mut connection = TcpStream::connect(address).expect("connected");
        let body = json!({"messaging_product": "whatsapp", "to": to,
            "biz_opaque_callback_data": format!("20261121T091502Z-7kq2xm-4-{attempt}")});
        let body = body.to_string();
        let length = body.len();
        let head = format!("POST /v25.0/1/messages HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        connection
            .write_all((head + &body).as_bytes())
            .expect("written");
        connection.shutdown(Shutdown::Write).expect("nothing more");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("answered");
        answer
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let reserved = Reserved::new();
    let address = reserved.address();
    let refused = TcpStream::connect(address).expect_err("nobody listens yet");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let script = Script::accepting()
        .to("+1", &[Answer::throttled(1), Answer::Accept])
        .to("+2", &[Answer::HangUp])
        .to("+3", &[Answer::CutShort])
        .to("+4", &[Answer::Silence]);
    let log = folder.path().join("provider.log");
    let provider = reserved.open(script, &log);
    let throttled = request(address, "+1", 1);
    assert!(throttled.starts_with("HTTP/1.1 429 "), "{throttled}");
    assert!(throttled.contains("Retry-After: 1\r\n"), "{throttled}");
    assert!(throttled.contains("130429"), "{throttled}");
    assert!(request(address, "+1", 2).contains("wamid."));
    assert_eq!(request(address, "2", 1), "");
    let cut_short = request(address, "3", 1);
    let whole = request(address, "9", 1);
    assert_eq!(cut_short.len() + 20, whole.len(), "{cut_short}");
    assert_eq!(request(address, "4", 1), "");
    provider.wait_for_requests(6, Duration::from_secs(1));
    let record: Vec<(String, u32, bool)> = provider
        .seen()
        .into_iter()
        .map(|seen| (seen.to, seen.attempt, seen.taken))
        .collect();
    let expected = [
        ("1", 1, false),
        ("1", 2, true),
        ("2", 1, true),
        ("3", 1, true),
        ("9", 1, true),
        ("4", 1, true),
    ];
    assert_eq!(
        record,
        expected.map(|(to, n, taken)| (to.to_owned(), n, taken))
    );
    assert_eq!(provider.taken_for("+1"), 1);
    let by_index = provider.seen_of("20261121T091502Z-7kq2xm");
    assert_eq!(by_index[&4].len(), 6);
    provider.assert_understood();
    let written = std::fs::read_to_string(log).expect("the log is text");
    assert_eq!(written.lines().count(), 6);
}
