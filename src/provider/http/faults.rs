//! Every way in which a provider fails us or not, played by a peer that speaks bytes, against the
//! table in `docs/sending.md`: page and program say the same, case by case.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::super::meta_cloud::MetaCloud;
use super::super::{Credential, Proxy, Reply, Request, Scheme, Secret};
use super::Client;
use crate::delivery::{Outcome, Scope};
use script::{BODY, Case, Peer, Step};

mod certificates;
mod script;

/// How long a request may take where the peer stays silent, and where it does not.
const HASTY: Duration = Duration::from_millis(300);
const PATIENT: Duration = Duration::from_secs(20);

const TOKEN: &str = "a-secret-token";

/// A page or program that drifts leaves operators with a wrong belief about their messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_of_the_class_that_the_manual_says() {
    let manual = manual();
    let world = Arc::new(World::new());
    let mut found = BTreeMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    for case in script::cases() {
        let world = Arc::clone(&world);
        let name = case.name;
        assert!(manual.contains_key(name), "not in the manual: {name}");
        tasks.spawn(async move { (name, world.outcome(case).await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (name, outcome) = done.expect("the peer did its part");
        let (class, waits) = class(&outcome);
        found.insert(name.to_owned(), [class.to_owned(), waits.to_owned()]);
    }
    assert!(found.len() >= 40);
    let differs = |(name, told): (&String, &[String; 2])| {
        let found = found.get(name);
        (found != Some(told)).then(|| format!("{name}: {told:?}, but {found:?}"))
    };
    let differences: Vec<String> = manual.iter().filter_map(differs).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// A burst must neither open a connection for each message nor wait for one at a time; and what
/// the peer takes at once is kept to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_shares_connections_of_http_2() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let tls = world.servers.of(Peer::Http2).expect("TLS");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accepted");
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(accept_all(stream, Arc::clone(&tls)));
        }
    });
    let root = world.folder.path().join("root.pem");
    let client = Client::new(Some(&root)).expect("a client");
    let mut burst = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let client = client.clone();
        let request = request(&format!("https://{address}"), TOKEN);
        burst.spawn(async move { client.send(&request).await });
    }
    while let Some(reply) = burst.join_next().await {
        let reply = reply.expect("sent");
        assert!(
            matches!(reply, Reply::Answer { status: 200, .. }),
            "{reply:?}"
        );
    }
    let connections = connections.load(Ordering::Relaxed);
    assert!((1..=60).contains(&connections), "{connections}");
}

fn request(site: &str, token: &str) -> Request {
    let credential = Credential::new(Scheme::Bearer, Secret::new(token));
    let url = format!("{site}/v25.0/1/messages");
    Request {
        timeout: PATIENT,
        ..Request::post(url, BODY, &credential)
    }
}

/// A provider that speaks HTTP/2 and takes everything, twenty at once.
async fn accept_all(stream: TcpStream, tls: Arc<ServerConfig>) {
    let stream = TlsAcceptor::from(tls).accept(stream).await.expect("TLS");
    let server = h2::server::Builder::new()
        .max_concurrent_streams(20)
        .handshake::<_, bytes::Bytes>(stream);
    let mut server = server.await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = server.accept().await {
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(part) = body.data().await {
                let part = part.expect("read");
                let _ = body.flow_control().release_capacity(part.len());
            }
            let head = hyper::Response::new(());
            let mut answer = respond.send_response(head, false).expect("answered");
            answer.send_data("{}".into(), true).expect("answered");
        });
    }
}

/// The rows of the tables of cases: name, class, what waits.
fn manual() -> BTreeMap<String, [String; 2]> {
    let page = include_str!("../../../docs/sending.md");
    let mut rows = BTreeMap::new();
    let mut in_table = false;
    for line in page.lines() {
        let Some(cells) = line.strip_prefix('|') else {
            in_table = false;
            continue;
        };
        let cells: Vec<&str> = cells
            .trim_end_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        match cells.as_slice() {
            ["case", "class", "what waits"] => in_table = true,
            [rule, ..] if rule.starts_with("---") => {}
            [name, class, waits] if in_table => {
                let told = [(*class).to_owned(), (*waits).to_owned()];
                let twice = rows.insert((*name).to_owned(), told);
                assert!(twice.is_none(), "twice in the manual: {name}");
            }
            _ => {}
        }
    }
    rows
}

/// The class of an outcome, and what waits with it.
fn class(outcome: &Outcome) -> (&'static str, &'static str) {
    let (reason, scope) = match outcome {
        Outcome::Accepted { .. } => return ("accepted", ""),
        Outcome::Refused { .. } => return ("refused for good", ""),
        Outcome::Unclear { .. } => return ("unclear", ""),
        Outcome::Deferred { reason, scope, .. } => (reason, *scope),
    };
    let waits = match scope {
        Scope::Message => "message",
        Scope::Recipient => "recipient",
        Scope::Rate | Scope::Sender => "sender",
        Scope::Template => "template",
        Scope::Credential => "credentials",
        Scope::Endpoint => "address",
    };
    let class = match reason.code.as_str() {
        "provider.unreachable" => "surely unsent",
        "provider.throttled" | "provider.pair_rate" => "throttled",
        _ if matches!(scope, Scope::Message | Scope::Recipient) => "refused for now",
        _ => "stop the lane",
    };
    (class, waits)
}

/// What all cases need: certificates, and clients that trust their issuer.
struct World {
    folder: tempfile::TempDir,
    servers: certificates::Servers,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (servers, root) = certificates::made();
        std::fs::write(folder.path().join("root.pem"), root).expect("written");
        Self { folder, servers }
    }

    /// What becomes of the last request of a case.
    async fn outcome(&self, case: Case) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let site = match case.peer {
            Peer::Plain => format!("http://{address}"),
            Peer::Elsewhere(site) => site.to_owned(),
            Peer::Proxy(_) => "https://provider.example".to_owned(),
            _ => format!("https://{address}"),
        };
        let proxy = matches!(case.peer, Peer::Proxy(_)).then(|| {
            let proxy = Proxy::parse(&format!("http://{address}"));
            proxy.expect("an address of a proxy")
        });
        let root = self.folder.path().join("root.pem");
        let client = Client::through(Some(&root), proxy.as_ref()).expect("a client");
        let (ended, mut endings) = mpsc::channel(8);
        let answered = Arc::new(Notify::new());
        let signs = Signs {
            answered: Arc::clone(&answered),
            ended,
        };
        let tls = self.servers.of(case.peer);
        let connections = case.connections;
        let peer = tokio::spawn(play(listener, case.peer, tls, connections, signs));
        let adapter = MetaCloud::new(site.clone(), Secret::new(TOKEN));
        let request = Request {
            timeout: if case.hasty { HASTY } else { PATIENT },
            ..request(&site, case.token.unwrap_or(TOKEN))
        };
        for _ in 1..case.requests {
            let outcome = adapter.outcome(&client.send(&request).await);
            assert!(
                matches!(outcome, Outcome::Accepted { .. }),
                "{}: {outcome:?}",
                case.name
            );
            answered.notify_one();
            // What the peer does to the idle connection has then been done.
            endings.recv().await.expect("the connection's part ends");
        }
        if case.gone {
            peer.abort();
            let _ = peer.await;
        }
        let reply = client.send(&request).await;
        let words = format!("{reply:?}");
        assert!(
            !words.contains(TOKEN) && !words.contains("127.0.0.1"),
            "{words}"
        );
        adapter.outcome(&reply)
    }
}

/// What client and peer tell each other beside the connection.
struct Signs {
    /// The client has its answer.
    answered: Arc<Notify>,
    /// The peer's part on a connection is done.
    ended: mpsc::Sender<()>,
}

/// Plays its part on one connection after another, and tells when each part has ended.
async fn play(
    listener: TcpListener,
    peer: Peer,
    tls: Option<Arc<ServerConfig>>,
    connections: Vec<Vec<Step>>,
    signs: Signs,
) {
    for steps in connections {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        if steps.contains(&Step::Reset) {
            set_socket_linger(&stream, Some(Duration::ZERO)).expect("set");
        }
        if let Peer::Proxy(answer) = peer {
            hear(&mut stream, b"\r\n\r\n").await;
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
        match &tls {
            None => take(steps, stream, &signs).await,
            Some(config) => {
                let acceptor = TlsAcceptor::from(Arc::clone(config));
                // A client that does not trust us hangs up.
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                take(steps, stream, &signs).await;
            }
        }
    }
    // Further connections wait in vain rather than being refused.
    let _kept = listener;
    std::future::pending::<()>().await;
}

async fn take<S>(steps: Vec<Step>, mut stream: S, signs: &Signs)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    for step in steps {
        match step {
            Step::Hear => hear(&mut stream, BODY.as_bytes()).await,
            // A client that has heard enough hangs up.
            Step::Say(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
            }
            Step::SayOn(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Step::Peek => {
                let _ = stream.read(&mut [0; 8]).await;
            }
            Step::End => {
                let _ = stream.shutdown().await;
            }
            Step::Later => signs.answered.notified().await,
            Step::Tell => signs.ended.send(()).await.expect("awaited"),
            Step::Wait => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            Step::Reset => {}
        }
    }
    drop(stream);
    // Nobody listens when nobody waits for the next request.
    let _ = signs.ended.send(()).await;
}

/// Reads until `ending` has come.
async fn hear<S: AsyncRead + Unpin>(stream: &mut S, ending: &[u8]) {
    let mut heard = Vec::new();
    while !heard.windows(ending.len()).any(|part| part == ending) {
        let read = stream.read_buf(&mut heard).await.expect("read");
        assert_ne!(read, 0, "the client hung up");
    }
}
