//! The stand-in of a provider as a program of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::daemon::dropcast;

/// `dropcast sandbox`, running; it is killed when let go.
#[derive(Debug)]
pub(crate) struct Sandbox {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Where its API begins.
    pub(crate) url: String,
}

impl Sandbox {
    /// Starts it on a free port, with further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = dropcast()
            .args(["sandbox", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("read");
        let url = line.trim().strip_prefix("listening on ");
        let url = url.expect("where it listens").to_owned();
        Self { child, out, url }
    }

    /// As the provider `kind`, with the templates of a folder, writing down what it is asked.
    pub(crate) fn of(kind: &str, templates: &Path, record: &Path) -> Self {
        let (templates, record) = (templates.to_str(), record.to_str());
        let (templates, record) = (templates.expect("a path"), record.expect("a path"));
        let arguments = ["--provider", kind, "--templates", templates];
        Self::start(&[&arguments[..], &["--record", record]].concat())
    }

    /// Posts a body as whoever shows `header`; gives the status and the answer.
    pub(crate) fn post(&self, path: &str, header: &str, body: &Value) -> (u16, Value) {
        let address = self.url.strip_prefix("http://");
        let address = address.and_then(|url| url.split('/').next());
        let mut stream = TcpStream::connect(address.expect("an address")).expect("it listens");
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\n{header}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (status.expect("a status"), body)
    }

    /// Ends it; gives its own account of what it saw.
    pub(crate) fn end(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("signalled");
        let mut account = String::new();
        self.out.read_to_string(&mut account).expect("read");
        self.child.wait().expect("ended");
        account
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended already, which is no harm here.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
