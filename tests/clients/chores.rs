//! What a client does on an ordinary day, as far as it can: upload, upload again, resume, rename,
//! list, fetch, clear away; and what it must be told when it is refused.

use std::collections::BTreeSet;
use std::fs;

use super::access::Deed;
use super::door::{Door, PASSWORD};
use super::{CHORE, Client, curl};
use crate::world::World;
use crate::world::batches::{good_file_from, recipient};
use crate::world::provider::{Answer, Gate, Script};
use crate::world::sftp::run_within;

/// So many files in one folder need several replies to be listed.
const LISTED: usize = 5_000;

/// Words of which one at least must be in what a client says when it may not write.
const REFUSED: [&str; 3] = ["permission denied", "read-only", "access denied"];

/// Goes through everything that this client can do.
pub(super) fn done_by(client: &Client) {
    let gate = Gate::default();
    let late = [Answer::AcceptBehind(gate.clone())];
    let script = Script::accepting().to(&recipient(0), &late);
    let mut door = Door::open(World::empty(), script);
    uploads_twice(client, &mut door, &gate);
    resumes_and_renames(client, &mut door);
    lists(client, &door);
    fetches_and_clears(client, &mut door);
    is_refused(client, &door);
    minds_the_keys_of_the_door(client, &door);
    door.provider.assert_understood();
}

/// The second upload finds the first one's name still there, since its batch is running.
fn uploads_twice(client: &Client, door: &mut Door, gate: &Gate) {
    let texts = [good_file_from(0, 3), good_file_from(10, 2)];
    let put = |door: &Door, text: &String| {
        let local = door.world.local("orders.json", text);
        door.does(client, Deed::Put(&local, "/whatsapp/orders.json"));
    };
    put(door, &texts[0]);
    let first = door.batch_of("orders.json", None);
    put(door, &texts[1]);
    let second = door.batch_of("orders.json", Some(&first));
    gate.open();
    for (batch, text) in [(&first, &texts[0]), (&second, &texts[1])] {
        let status = door.kept("orders.json", batch, text);
        assert_eq!(
            status["counts"]["accepted"], status["counts"]["total"],
            "{status:#}"
        );
    }
    assert_eq!(door.provider.seen_count(), 5);
}

/// Half of a file under a working name, then the rest, then the name that counts.
fn resumes_and_renames(client: &Client, door: &mut Door) {
    if !client.knows("rename") {
        return;
    }
    let text = good_file_from(100, 200);
    let whole = door.world.local("late.json", &text);
    let remote = "/whatsapp/late.json.part";
    if client.knows("append") {
        let half = door.world.local("half", &text[..text.len() / 2]);
        door.does(client, Deed::Put(&half, remote));
        door.does(client, Deed::Append(&whole, remote));
    } else {
        door.does(client, Deed::Put(&whole, remote));
    }
    door.does(client, Deed::Rename(remote, "/whatsapp/late.json"));
    let batch = door.batch_of("late.json", None);
    let status = door.kept("late.json", &batch, &text);
    assert_eq!(status["counts"]["accepted"], 200, "{status:#}");
    assert_eq!(door.provider.seen_of(&batch).len(), 200);
}

fn lists(client: &Client, door: &Door) {
    if !client.knows("ls") {
        return;
    }
    let names = (0..LISTED).map(|number| format!("listed-{number:04}.txt"));
    let names: BTreeSet<String> = names.collect();
    let folder = door.folder().path("whatsapp/processed");
    // One file under many names: to make so many files takes seconds.
    let file = door.world.path("listed");
    fs::write(&file, "listed").expect("written");
    for name in &names {
        fs::hard_link(&file, folder.join(name)).expect("linked");
    }
    let said = door.does(client, Deed::List("/whatsapp/processed"));
    // The name stands last in its line; some clients put its path before it.
    let seen = said
        .lines()
        .filter_map(|line| line.trim().rsplit([' ', '/']).next())
        .filter(|name| name.starts_with("listed-"));
    let seen: Vec<&str> = seen.collect();
    let distinct: BTreeSet<&str> = seen.iter().copied().collect();
    assert!(distinct.iter().copied().eq(&names), "{} names", seen.len());
    assert_eq!(seen.len(), LISTED, "a name was shown twice");
}

fn fetches_and_clears(client: &Client, door: &mut Door) {
    let text = good_file_from(400, 4);
    let local = door.world.local("asked.json", &text);
    door.does(client, Deed::Put(&local, "/whatsapp/asked.json"));
    let batch = door.batch_of("asked.json", None);
    let status = door.kept("asked.json", &batch, &text);
    let results = door.folder().of_batch("results", &status, "results.jsonl");
    let remote = format!("/whatsapp/results/{batch}.asked.json.results.jsonl");
    let got = door.world.path("got");
    door.does(client, Deed::Get(&remote, &got));
    let (got, results_text) = (fs::read(got), fs::read(&results));
    assert_eq!(got.expect("got"), results_text.expect("the results"));
    if client.knows("rm") {
        door.does(client, Deed::Remove(&remote));
        assert!(!results.exists(), "what was deleted is still there");
    }
}

fn is_refused(client: &Client, door: &Door) {
    let local = door.world.local("refused.json", good_file_from(500, 1));
    let deed = Deed::Put(&local, "/whatsapp/results/refused.json");
    let ran = client.run(&door.access, deed, CHORE);
    let said = ran.out + &ran.err;
    assert!(!ran.ok, "the client was let write into results/:\n{said}");
    let lower = said.to_lowercase();
    assert!(REFUSED.iter().any(|word| lower.contains(word)), "{said}");
    let there = door.folder().path("whatsapp/results/refused.json");
    assert!(!there.exists());
}

/// Otherwise everything above would prove nothing of how the door is recognised.
fn minds_the_keys_of_the_door(client: &Client, door: &Door) {
    let local = door.world.local("astray.json", good_file_from(600, 1));
    let deed = Deed::Put(&local, "/whatsapp/astray.json");
    let ran = client.run(&door.access_of_a_stranger(), deed, CHORE);
    assert!(!ran.ok, "it takes any door:\n{}\n{}", ran.out, ran.err);
    assert!(!door.folder().path("whatsapp/astray.json").exists());
}

/// Back offices without keys log in with a password.
#[test]
fn a_password_opens_the_door() {
    let mut door = Door::open(World::empty(), Script::accepting());
    let text = good_file_from(0, 2);
    let local = door.world.local("orders.json", &text);
    let deed = Deed::Put(&local, "/whatsapp/orders.json");
    let put = |password: &str| {
        let command = curl::by_password(&door.access, &deed, password);
        run_within(command, CHORE)
    };
    put("Open-sesame-43").expect_refused();
    put(PASSWORD).expect_ok();
    let batch = door.batch_of("orders.json", None);
    let status = door.kept("orders.json", &batch, &text);
    assert_eq!(status["counts"]["accepted"], 2);
}
