//! The client against peers that speak bytes: which failure leaves a message unclear, and which
//! surely does not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::super::{Credential, Scheme, Secret};
use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const BODY: &str = r#"{"the":"message"}"#;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    (listener, format!("http://{address}/v25.0/1/messages"))
}

fn request(url: &str) -> Request {
    let credential = Credential::new(Scheme::Bearer, Secret::new("a-secret-token"));
    Request {
        timeout: Duration::from_secs(20),
        ..Request::post(url.into(), BODY, &credential)
    }
}

fn never_left(why: &str) -> Reply {
    Reply::NeverLeft { why: why.into() }
}

fn no_answer(why: &str) -> Reply {
    Reply::NoAnswer { why: why.into() }
}

fn client() -> Client {
    Client::new(None).expect("the roots are good")
}

/// Reads up to the end of one request, which ends in [`BODY`].
async fn hear(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(BODY.as_bytes()) {
        let read = stream.read_buf(&mut heard).await.expect("read");
        assert_ne!(read, 0, "the client hung up");
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// A peer that takes one connection, hears one request, says `answer` and hangs up.
async fn peer(answer: &'static [u8]) -> (String, JoinHandle<String>) {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let heard = hear(&mut stream).await;
        stream.write_all(answer).await.expect("written");
        heard
    });
    (url, task)
}

async fn said(answer: &'static [u8]) -> Reply {
    let (url, task) = peer(answer).await;
    let reply = client().send(&request(&url)).await;
    task.await.expect("the peer did its part");
    reply
}

/// A provider that is down must cost a retry, not a message of unknown fate.
#[tokio::test]
async fn a_refused_connection_never_left() {
    let (listener, url) = listener().await;
    drop(listener);
    let reply = client().send(&request(&url)).await;
    assert_eq!(reply, never_left("the connection was refused"));
}

/// A failed TLS handshake sends nothing of the message.
#[tokio::test]
async fn a_failed_handshake_never_left() {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        stream
            .write_all(b"this is no TLS\r\n")
            .await
            .expect("written");
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        heard
    });
    let url = url.replace("http:", "https:");
    let reply = client().send(&request(&url)).await;
    let why = "the TLS handshake failed or the certificate is not trusted";
    assert_eq!(reply, never_left(why));
    let heard = task.await.expect("the peer did its part");
    assert!(!String::from_utf8_lossy(&heard).contains("secret"));
}

/// A token must not travel in clear because of a slip in the settings.
#[tokio::test]
async fn plain_http_leaves_only_for_loopback() {
    for url in [
        "http://graph.example/v25.0/1/messages",
        "http://192.0.2.1/v25.0/1/messages",
        "http://127.0.0.1.example/",
        "http://localhost.example/",
        "http://[2001:db8::1]/",
        "ftp://127.0.0.1/",
        "127.0.0.1",
        "",
    ] {
        let reply = client().send(&request(url)).await;
        assert!(matches!(reply, Reply::NeverLeft { .. }), "{url}: {reply:?}");
    }
    for url in [
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://localhost:1/",
    ] {
        assert!(parse(url).is_ok(), "{url}");
    }
}

/// A stray line break in a token file must be told apart from a dead provider.
#[tokio::test]
async fn a_token_that_no_header_carries_never_left() {
    let mut bad = request("http://127.0.0.1:1/");
    bad.headers[0].1 = Secret::new("to\nken");
    let Reply::NeverLeft { why } = client().send(&bad).await else {
        panic!("nothing can have been sent");
    };
    assert_eq!(
        why,
        "the access token has characters that no header can carry"
    );
}

/// Whatever ends after the request was heard leaves the message unclear: the peer may have sent it.
#[tokio::test]
async fn a_heard_request_without_a_whole_answer_has_no_answer() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"messages\"",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"\x00\x01\x02 this is not HTTP\r\n\r\n",
    ] {
        let reply = said(answer).await;
        assert!(
            matches!(reply, Reply::NoAnswer { .. }),
            "{answer:?}: {reply:?}"
        );
    }
}

/// A connection that was accepted and dropped may have been heard.
#[tokio::test]
async fn a_connection_that_is_dropped_has_no_answer() {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepted");
        stream.readable().await.expect("the request is under way");
        drop(stream);
    });
    let reply = client().send(&request(&url)).await;
    task.await.expect("the peer did its part");
    assert!(matches!(reply, Reply::NoAnswer { .. }), "{reply:?}");
}

/// A peer that hears and stays silent must not hold a sender's place for ever.
#[tokio::test]
async fn a_silent_peer_has_no_answer() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
        let (listener, url) = listener().await;
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            hear(&mut stream).await;
            stream.write_all(answer).await.expect("written");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let mut hasty = request(&url);
        hasty.timeout = Duration::from_millis(200);
        let reply = client().send(&hasty).await;
        assert_eq!(reply, no_answer("no whole answer came in time"));
        task.await.expect("the client hung up");
    }
}

/// An answer without end must not fill the memory.
#[tokio::test]
async fn an_endless_answer_has_no_answer() {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        hear(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\n\r\n";
        stream.write_all(head).await.expect("written");
        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
    });
    let reply = client().send(&request(&url)).await;
    assert_eq!(reply, no_answer("the answer is too long"));
    task.await.expect("the client hung up");
}

/// The plain case: what was asked to be sent is sent, and what was answered comes back.
#[tokio::test]
async fn an_answer_comes_back_whole() {
    let (url, task) =
        peer(b"HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\n\x00\xff{}!")
            .await;
    let reply = client().send(&request(&url)).await;
    let expected = Reply::Answer {
        status: 429,
        retry_after: Some(Duration::from_secs(7)),
        body: b"\x00\xff{}!".to_vec(),
    };
    assert_eq!(reply, expected);
    let heard = task.await.expect("the peer did its part").to_lowercase();
    assert!(
        heard.starts_with("post /v25.0/1/messages http/1.1\r\n"),
        "{heard}"
    );
    assert!(heard.contains("\r\nauthorization: bearer a-secret-token\r\n"));
    assert!(heard.contains("\r\ncontent-type: application/json\r\n"));
}

/// A redirect must not carry message and token elsewhere.
#[tokio::test]
async fn a_redirect_is_an_answer() {
    let reply =
        said(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    assert!(
        matches!(reply, Reply::Answer { status: 302, .. }),
        "{reply:?}"
    );
}

/// A new connection for each message is slow, and a TLS handshake each time even more so.
#[tokio::test]
async fn a_connection_is_used_again() {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        for _ in 0..5 {
            hear(&mut stream).await;
            stream.write_all(ANSWER).await.expect("written");
        }
    });
    let client = client();
    for _ in 0..5 {
        let reply = client.send(&request(&url)).await;
        assert!(
            matches!(reply, Reply::Answer { status: 200, .. }),
            "{reply:?}"
        );
    }
    task.await.expect("the peer did its part");
}

/// Providers close idle connections at any moment: a message that finds its connection closed goes
/// over another one instead of becoming unclear.
#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let (listener, url) = listener().await;
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.expect("accepted");
        hear(&mut first).await;
        first.write_all(ANSWER).await.expect("written");
        first.shutdown().await.expect("closed");
        // The client hangs up once it has seen our end, and then the connection is gone for both.
        assert_eq!(first.read(&mut [0; 16]).await.expect("read"), 0);
        closed.send(()).expect("awaited");
        let (mut second, _) = listener.accept().await.expect("accepted");
        hear(&mut second).await;
        second.write_all(ANSWER).await.expect("written");
    });
    let client = client();
    let reply = client.send(&request(&url)).await;
    assert!(
        matches!(reply, Reply::Answer { status: 200, .. }),
        "{reply:?}"
    );
    is_closed.await.expect("closed");
    let reply = client.send(&request(&url)).await;
    assert!(
        matches!(reply, Reply::Answer { status: 200, .. }),
        "{reply:?}"
    );
    task.await.expect("the peer did its part");
}

/// The operator reads which file is wrong and how.
#[test]
fn a_bad_file_of_certificates_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("roots.pem");
    let failure = |content: &str| {
        std::fs::write(&path, content).expect("written");
        Client::new(Some(&path)).expect_err("it is no such file")
    };
    assert!(matches!(failure("no certificate"), Error::CaEmpty { .. }));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(failure(broken), Error::CaContent { .. }));
    let endless = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(matches!(failure(endless), Error::CaForm { .. }));
    let missing = Client::new(Some(&folder.path().join("none.pem")));
    assert!(matches!(missing, Err(Error::CaFile { .. })));
}
