//! Where a provider takes many messages in one request, each is still a message of its own: one
//! that is refused takes no other with it, none goes out twice, and each is told as it is.
//!
//! Promises 2 and 3 of the README.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::world::batches::{file_of, row};
use crate::world::daemon::dropcast;
use crate::world::provider::Reserved;
use crate::world::{TenantPlan, World};

/// The recipient of this row is answered later than anybody waits.
const LATE: u64 = 408;

/// The stand-in as a program of its own.
struct Sandbox {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
}

impl Sandbox {
    fn start() -> Self {
        let mut child = dropcast()
            .args(["sandbox", "--listen", "127.0.0.1:0"])
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

    /// Ends it; gives its own account of what it saw.
    fn end(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        let mut account = String::new();
        self.out.read_to_string(&mut account).expect("read");
        self.child.wait().expect("ended");
        account
    }
}

/// A bulk call that answers for all of its messages at once would fail ninety-nine people for one,
/// or hand them the same message again.
#[test]
fn a_refused_message_takes_no_other_with_it() {
    let sandbox = Sandbox::start();
    let mut world = World::prepare(&[TenantPlan::new("acme").rate(100_000.0)], &Reserved::new());
    let path = world.path("tenants.d/acme.toml");
    let settings = std::fs::read_to_string(&path).expect("settings");
    let (before, rest) = settings.split_once("[provider]").expect("a provider");
    let (_, after) = rest.split_once("[[senders]]").expect("senders");
    let provider = format!(
        "kind = \"sandbox\"\nbase_url = \"{}\"\nbulk_max = 100",
        sandbox.url
    );
    let settings = format!("{before}[provider]\n{provider}\n\n[[senders]]{after}");
    world.write("tenants.d/acme.toml", settings);
    world.run();

    // The last four digits of a recipient say what becomes of the message.
    let rows: Vec<Value> = (0..1_000).filter(|index| *index != LATE).map(row).collect();
    world.drop_file("many.json", file_of(&rows));
    let status = world.ended("many.json");
    let results = world.folder("acme").results(&status);
    let mut words: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index, "every row, in order");
        let state = result["status"].as_str().expect("a status");
        words.entry(state).or_default().push(result);
    }
    let counts: Vec<_> = words.iter().map(|(word, all)| (*word, all.len())).collect();
    assert_eq!(counts, [("accepted", 996), ("failed", 2), ("unknown", 1)]);
    let refused: Vec<_> = words["failed"]
        .iter()
        .map(|result| {
            (
                result["to"].as_str(),
                result["error"]["providerCode"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        refused,
        [
            (Some("+31610000404"), Some("131026")),
            (Some("+31610000410"), Some("131050"))
        ]
    );
    assert_eq!(words["unknown"][0]["to"], "+31610000502");
    let ids = words["accepted"].iter().map(|result| &result["messageId"]);
    let mut ids: Vec<_> = ids.map(|id| id.as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 996, "each has the id of its own answer");

    world.stop();
    let account = sandbox.end();
    assert!(
        account.contains(": 996 accepted (996 different attempts, 0 messages repeated)"),
        "{account}"
    );
    let requests = account.split(' ').next().and_then(|it| it.parse().ok());
    let requests: u64 = requests.expect("a number of requests");
    assert!(requests < 500, "{account}: that is not in bulk");
}
