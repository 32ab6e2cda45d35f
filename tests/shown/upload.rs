//! The upload script ends as its head says, with the files that it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{as_shown, root, text};
use crate::world::World;
use crate::world::folder::largest_file;

/// How long the script waits for an answer, in seconds.
const PATIENCE: &str = "60";

/// A daemon, and the file by which a client knows it.
struct Door {
    world: World,
    port: u16,
}

impl Door {
    fn open() -> Self {
        let mut world = as_shown();
        world.run();
        let port = world.port();
        let key = world.data_dir().join("host-keys/ssh_host_ed25519_key");
        let public = Command::new("ssh-keygen")
            .args(["-y", "-f"])
            .arg(key)
            .stdin(Stdio::null())
            .output()
            .expect("the `ssh-keygen` command is installed (package openssh-client)");
        assert!(public.status.success(), "{public:?}");
        let public = String::from_utf8(public.stdout).expect("text");
        world.write("known hosts", format!("[127.0.0.1]:{port} {public}"));
        Self { world, port }
    }

    /// Calls the script for a file; what it fetched lies in the folder.
    fn upload(&self, port: u16, patience: &str, file: &Path) -> (Output, PathBuf) {
        let folder = self.world.path("came back");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir(&folder).expect("a folder");
        let ran = Command::new("sh")
            .arg(root("examples/upload/upload.sh"))
            .args(["-p", &port.to_string(), "-t", patience, "-i"])
            .arg(self.world.path("acme.key"))
            .arg("-k")
            .arg(self.world.path("known hosts"))
            .arg("-d")
            .arg(&folder)
            .arg("acme@127.0.0.1")
            .arg(file)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        (ran, folder)
    }

    /// Uploads an example; gives the exit code, what was said, and the ends of the names of what
    /// came back.
    fn example(&self, name: &str) -> (Option<i32>, String, Vec<String>) {
        let local = text(&format!("examples/batches/{name}"));
        let local = self.world.local(name, local);
        let (ran, folder) = self.upload(self.port, PATIENCE, &local);
        assert!(ran.stdout.is_empty(), "{ran:?}");
        let said = String::from_utf8(ran.stderr).expect("text");
        let end = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.expect("an entry").file_name();
            let entry = entry.into_string().expect("UTF-8");
            let (_, end) = entry.split_once(&format!(".{name}.")).expect("a report");
            end.to_owned()
        };
        let mut ends: Vec<String> = fs::read_dir(folder).expect("listed").map(end).collect();
        ends.sort();
        (ran.status.code(), said, ends)
    }
}

/// A cron job acts on the exit code alone: one that is wrong hides failures or wakes people.
#[test]
fn the_script_ends_as_its_head_says() {
    let door = Door::open();
    let good = door.example("positional.json");
    assert_eq!(good.0, Some(0), "{good:?}");
    assert!(good.1.contains("3 of 3 messages accepted"), "{good:?}");
    assert_eq!(good.2, ["results.jsonl", "status.json"]);

    let again = door.example("positional.json");
    assert_eq!(again.0, Some(3), "the same content: {again:?}");
    assert_eq!(again.2, ["errors.json", "status.json"]);

    let partly = door.example("order_update.json");
    assert_eq!(partly.0, Some(1), "{partly:?}");
    assert!(
        partly.1.contains("988 of 1000 messages accepted"),
        "{partly:?}"
    );
    let all = ["errors.json", "results.jsonl", "retry.json", "status.json"];
    assert_eq!(partly.2, all);

    let refused = door.example("trailing_comma.json");
    assert_eq!(refused.0, Some(3), "{refused:?}");
    assert_eq!(refused.2, ["errors.json", "status.json"]);
}

/// A file that did not arrive must not look like one that did, nor a slip in a crontab like either.
#[test]
fn the_script_tells_what_did_not_arrive() {
    let door = Door::open();
    let local = door
        .world
        .local("lines.jsonl", text("examples/batches/lines.jsonl"));
    // Nobody listens on the discard port of a machine that runs tests.
    let (lost, _) = door.upload(9, PATIENCE, &local);
    assert_eq!(lost.status.code(), Some(4), "{lost:?}");
    let (missing, _) = door.upload(door.port, PATIENCE, &door.world.path("missing.json"));
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    let odd = door.world.local("lines.txt", "{}");
    let (odd, _) = door.upload(door.port, PATIENCE, &odd);
    assert_eq!(odd.status.code(), Some(2), "{odd:?}");

    // Nothing of these came to the folder; what comes last is the witness.
    let (came, folder) = door.upload(door.port, PATIENCE, &local);
    assert_eq!(came.status.code(), Some(0), "{came:?}");
    let folder_of = door.world.folder("acme");
    let status: Value = folder_of.status("lines.jsonl").expect("a status");
    assert!(
        folder
            .join(format!(
                "{}.lines.jsonl.status.json",
                status["batch"].as_str().expect("an id")
            ))
            .is_file()
    );
    assert_eq!(folder_of.names("whatsapp/processed").len(), 1);
}

/// A job that hangs with its answer keeps the next from starting; one that gives up must not claim
/// that nothing was sent.
#[test]
fn the_script_gives_up_waiting_when_it_is_told_to() {
    const ROWS: usize = 20_000;
    let door = Door::open();
    // At the sender's rate this takes far longer than the script needs to look once.
    let example = text("examples/batches/lines.jsonl");
    let row = example.lines().nth(1).expect("a row");
    let head = example.lines().next().expect("a head");
    let long = format!("{head}\n{}", format!("{row}\n").repeat(ROWS));
    let long = door.world.local("long.jsonl", long);
    let (ran, folder) = door.upload(door.port, "0", &long);
    assert_eq!(ran.status.code(), Some(5), "{ran:?}");
    assert_eq!(fs::read_dir(folder).expect("listed").count(), 0);
    let spooled = largest_file(&door.world.data_dir().join("spool"));
    let size = fs::metadata(&long).expect("ours").len();
    assert_eq!(spooled, size, "the file is safe");
}
