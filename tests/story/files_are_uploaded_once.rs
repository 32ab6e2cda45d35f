//! A file that a tenant uploads for its messages reaches the provider once, before them, and is
//! what it was when its batch was checked.
//!
//! Promises 1, 2 and 3 of the README.

use std::fs;

use serde_json::{Value, json};

use crate::world::batches::recipient;
use crate::world::provider::{Answer, Gate, Provider, Script};
use crate::world::{SENDER, SOON, World, wait_for};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF a picture";
const PDF: &[u8] = b"%PDF-1.7 a bill";

/// A batch of session messages with these contents.
fn file_of(contents: &[Value]) -> String {
    let rows: Vec<Value> = (0..)
        .zip(contents)
        .map(|(index, content)| {
            let mut row = content.clone();
            row["to"] = recipient(index).into();
            row
        })
        .collect();
    json!({ "from": SENDER, "data": rows }).to_string()
}

fn picture(name: &str) -> Value {
    json!({ "image": { "file": name, "caption": "Your shoe" } })
}

fn upload(world: &World, name: &str, content: &[u8]) {
    let local = world.local(name, content);
    let remote = format!("whatsapp/media/{name}");
    world.client("acme").put(&local, &remote).expect_ok();
}

/// The ids under which the provider was told of files.
fn ids(provider: &Provider) -> Vec<String> {
    let seen = provider.seen();
    let id = |body: &Value| body["image"]["id"].as_str().unwrap_or("none").to_owned();
    seen.iter().map(|seen| id(&seen.body)).collect()
}

/// A campaign names one picture a thousand times: a thousand uploads would be refused, and so would
/// a tenant that cleans up behind itself if its file were needed later.
#[test]
fn one_file_of_many_messages_is_uploaded_once() {
    const ROWS: usize = 1_000;
    let gate = Gate::default();
    let script = Script::accepting().uploads(&[Answer::AcceptBehind(gate.clone())]);
    let (mut world, provider) = World::start(script);
    upload(&world, "shoe.jpg", JPEG);
    world.drop_file(
        "shoes.json",
        file_of(&vec![picture("media/shoe.jpg"); ROWS]),
    );
    wait_for("upload", SOON, || {
        (!provider.uploads().is_empty()).then_some(())
    });
    let remove = ["rm whatsapp/media/shoe.jpg".to_owned()];
    world.client("acme").run(&remove).expect_ok();
    upload(&world, "shoe.jpg", b"\xff\xd8\xff another picture");
    // What needs no file goes meanwhile.
    world.drop_file("text.json", file_of(&[json!({ "message": "Hello" })]));
    world.ended("text.json");
    assert_eq!(provider.seen_count(), 1, "no message before its file");
    gate.open();
    let status = world.ended("shoes.json");
    assert_eq!(status["counts"]["accepted"], ROWS, "{status:#}");
    let uploads = provider.uploads();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].content, JPEG);
    let form = &uploads[0].form;
    for part in [
        "whatsapp",
        "Content-Type: image/jpeg",
        "filename=\"shoe.jpg\"",
    ] {
        assert!(form.contains(part), "{form}");
    }
    let mut sent = ids(&provider);
    sent.sort();
    sent.dedup();
    assert_eq!(sent, [uploads[0].id.clone(), "none".into()]);
    // Another batch with the same content, also after a restart and under another name.
    world.stop();
    world.run();
    upload(&world, "again.jpg", JPEG);
    world.drop_file("again.json", file_of(&[picture("again.jpg")]));
    assert_eq!(world.ended("again.json")["counts"]["accepted"], 1);
    assert_eq!(provider.uploads().len(), 1);
    provider.assert_understood();
}

/// Whoever names a file that cannot be sent must hear of it before anything is, row by row, and the
/// others must go.
#[test]
fn what_cannot_be_sent_is_told_beforehand() {
    let (mut world, provider) = World::start(Script::accepting());
    upload(&world, "shoe.jpg", JPEG);
    upload(&world, "bill.pdf", PDF);
    let mut huge = JPEG.to_vec();
    huge.resize((5 << 20) + 1, 0);
    upload(&world, "huge.jpg", &huge);
    upload(
        &world,
        "rows.json",
        file_of(&[json!({ "message": "Hello" })]).as_bytes(),
    );
    let document = json!({ "document": { "file": "/whatsapp/media/bill.pdf" } });
    let rows = [
        picture("shoe.jpg"),
        picture("bill.pdf"),
        picture("huge.jpg"),
        picture("none.jpg"),
        picture("media/../../README.txt"),
        document,
    ];
    world.drop_file("mixed.json", file_of(&rows));
    let status = world.ended("mixed.json");
    let folder = world.folder("acme");
    let faults = folder.faults(&status);
    let told: Vec<(&str, &str)> = faults["faults"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| {
            let text = |key: &str| fault[key].as_str().expect("a text");
            (text("pointer"), text("code"))
        })
        .collect();
    let expected = [
        ("/data/1/image/file", "media.kind"),
        ("/data/2/image/file", "media.too_large"),
        ("/data/3/image/file", "media.missing"),
        ("/data/4/image/file", "media.path"),
    ];
    assert_eq!(told, expected);
    assert_eq!(status["counts"]["accepted"], 2, "{status:#}");
    assert_eq!(provider.uploads().len(), 2);
    let seen = provider.seen();
    let bill = seen.iter().find(|seen| seen.body["type"] == "document");
    assert_eq!(
        bill.expect("the bill").body["document"]["filename"],
        "bill.pdf"
    );
    // Nothing in the folder is a batch, whatever it is called, until it is moved out of it.
    assert!(folder.path("whatsapp/media/rows.json").is_file());
    assert!(folder.status("rows.json").is_none());
    let client = world.client("acme");
    let names = client.list("whatsapp/media");
    assert_eq!(names.len(), 4, "{names:?}");
    let moved = client.rename("whatsapp/media/rows.json", "whatsapp/rows.json");
    moved.expect_ok();
    assert_eq!(world.ended("rows.json")["counts"]["accepted"], 1);
}

/// A file that is refused fails its own messages, and one whose id the provider has lost is
/// uploaded anew, once.
#[test]
fn an_upload_that_fails_is_told_and_a_lost_id_is_renewed() {
    let lost = Answer::error(400, 131_053, "Media upload error");
    let script = Script::accepting()
        .uploads(&[
            Answer::error(500, 131_000, "Something went wrong"),
            Answer::Accept,
            Answer::Accept,
            Answer::error(400, 100, "Param file must be another file"),
        ])
        .to(&recipient(0), &[lost.clone(), Answer::Accept])
        .to(&recipient(1), &[lost]);
    let (mut world, provider) = World::start(script);
    upload(&world, "shoe.jpg", JPEG);
    upload(&world, "other.jpg", b"\xff\xd8\xff other");
    world.drop_file("lost.json", file_of(&[picture("shoe.jpg")]));
    let status = world.ended("lost.json");
    assert_eq!(status["counts"]["accepted"], 1, "{status:#}");
    let given: Vec<String> = provider.uploads().iter().map(|it| it.id.clone()).collect();
    assert_eq!(given.len(), 3, "{given:?}");
    assert_eq!(ids(&provider), given[1..], "each id was used once");
    // A file that is lost again at once is at fault itself.
    let rows = [json!({ "message": "Hello" }), picture("shoe.jpg")];
    world.drop_file("again.json", file_of(&rows));
    let status = world.ended("again.json");
    let results = world.folder("acme").results(&status);
    assert_eq!(
        results[1]["error"]["code"], "provider.media",
        "{results:#?}"
    );
    assert_eq!(provider.uploads().len(), 3);
    world.drop_file("refused.json", file_of(&[picture("other.jpg")]));
    let status = world.ended("refused.json");
    let results = world.folder("acme").results(&status);
    assert_eq!(results[0]["status"], "failed", "{results:#?}");
    assert_eq!(results[0]["error"]["providerCode"], "100");
    assert_eq!(provider.uploads().len(), 4);
}

/// A power cut between an upload and its messages must cost neither these nor a second delivery.
#[cfg(feature = "fail-points")]
#[test]
fn a_death_between_upload_and_sending_loses_nothing() {
    for (point, uploads) in [("media-uploaded", 2), ("media-kept", 1)] {
        let (mut world, provider) = World::start(Script::accepting());
        upload(&world, "shoe.jpg", JPEG);
        world.kill();
        world.run_with(&format!("{point}=return"));
        world.drop_file("shoes.json", file_of(&vec![picture("shoe.jpg"); 20]));
        world.died();
        assert_eq!(provider.seen_count(), 0, "{point}");
        let uploaded = world.folder("acme").path("whatsapp/media/shoe.jpg");
        fs::remove_file(uploaded).expect("removed");
        world.run();
        let status = world.ended("shoes.json");
        assert_eq!(status["counts"]["accepted"], 20, "{point}: {status:#}");
        assert_eq!(provider.seen_count(), 20, "{point}");
        assert_eq!(provider.uploads().len(), uploads, "{point}");
    }
}

/// Copies that stay for ever would fill the disk of the operator.
#[test]
fn a_copy_goes_with_the_content_of_its_batch() {
    use crate::world::TenantPlan;

    let plan = TenantPlan {
        more: "[retention]\ncontent = \"0s\"",
        ..TenantPlan::new("acme")
    };
    let (mut world, _provider) = World::start_with(&[plan], Script::accepting());
    upload(&world, "shoe.jpg", JPEG);
    world.drop_file("shoes.json", file_of(&[picture("shoe.jpg")]));
    world.ended("shoes.json");
    let kept = world.path("data/media/acme");
    let copies = || fs::read_dir(&kept).map_or(0, Iterator::count);
    world.wait_for("removal of the copy", SOON, || {
        (copies() == 0).then_some(())
    });
    assert!(
        world
            .folder("acme")
            .path("whatsapp/media/shoe.jpg")
            .is_file()
    );
    world.drop_file(
        "again.json",
        file_of(&[picture("shoe.jpg"), picture("shoe.jpg")]),
    );
    assert_eq!(world.ended("again.json")["counts"]["accepted"], 2);
}
