//! A file that is wrong is answered with every fault, its place and its cure; what is right in it
//! goes, unless the whole file cannot be trusted.
//!
//! Promise 5 of the README.

use serde_json::{Value, json};

use crate::world::World;
use crate::world::batches::{file_of, good_file, line_of, recipient, row};
use crate::world::provider::Script;

/// One slip in an export must neither hold up the good rows nor go unexplained, and the answer must
/// be enough to mend it.
#[test]
fn bad_rows_are_told_and_can_be_mended_while_the_good_ones_go() {
    let (mut world, provider) = World::start(Script::accepting());
    let mut rows: Vec<Value> = (0..10).map(row).collect();
    rows[3]["to"] = json!("12");
    rows[7]["placeholders"] = json!({"first": "Ana 7"});
    let file = file_of(&rows);
    world.drop_file("orders.json", &file);
    let status = world.ended("orders.json");
    assert_eq!(status["state"], "finished");
    assert_eq!(status["counts"]["invalid"], 2);
    assert_eq!(status["counts"]["accepted"], 8);

    let folder = world.folder("acme");
    let report = folder.faults(&status);
    assert_eq!(report["verdict"], "partial");
    let faults = report["faults"].as_array().expect("faults");
    assert_eq!(report["count"], faults.len());
    let short = &faults[0];
    let row_text = file.lines().nth(line_of(3) as usize - 1).expect("the row");
    let column = row_text.find("\"12\"").expect("the number") + 1;
    assert_eq!(short["code"], "phone.too_short");
    assert_eq!(short["pointer"], "/data/3/to");
    assert_eq!(short["index"], 3);
    assert_eq!(
        (&short["line"], &short["column"]),
        (&json!(line_of(3)), &json!(column))
    );
    let missing = faults.last().expect("a fault");
    assert_eq!(missing["code"], "parameter.missing");
    assert_eq!(missing["index"], 7);
    assert_eq!(missing["line"], line_of(7));
    assert!(
        !report.to_string().contains("Ana"),
        "a value of the customer's is shown"
    );

    let lines = folder.results(&status);
    let words: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["status"].as_str())
        .collect();
    let mut expected = ["accepted"; 10];
    expected[3] = "invalid";
    expected[7] = "invalid";
    assert_eq!(words, expected);
    assert_eq!(lines[3]["faults"][0], *short);
    assert_eq!(lines[7]["reference"], "order-7");
    folder.assert_files_are_there(&status);

    // The retry file is a batch file as it stands: mend its rows, and drop it.
    let retry = folder.retry(&status, "retry.json");
    let mut retry: Value = serde_json::from_slice(&retry).expect("the retry file is JSON");
    let bad: Vec<Value> = vec![rows[3].clone(), rows[7].clone()];
    assert_eq!(retry["data"], Value::from(bad));
    assert_eq!(retry["templateName"], "order_update");
    retry["data"][0]["to"] = json!(recipient(3));
    retry["data"][1]["placeholders"]["ref"] = json!("A-7");
    world.drop_file("mended.json", retry.to_string());
    let mended = world.ended("mended.json");
    assert_eq!(mended["counts"]["accepted"], 2, "{mended:#}");
    for index in 0..10 {
        assert_eq!(provider.taken_for(&recipient(index)), 1, "message {index}");
    }
    provider.assert_understood();
}

/// Half of a file that does not parse may be anything; a guess about it would reach real people.
#[test]
fn a_file_that_is_not_json_sends_nothing_and_says_where() {
    let (mut world, provider) = World::start(Script::accepting());
    // A comma too many at the end of row 4.
    let file = good_file(6).replacen("\"callbackData\":\"data-4\"", "\"callbackData\":,", 1);
    world.drop_file("broken.json", &file);
    let status = world.ended("broken.json");
    assert_eq!(status["state"], "rejected");
    let folder = world.folder("acme");
    let report = folder.faults(&status);
    assert_eq!(report["verdict"], "refused");
    let fault = &report["faults"][0];
    assert_eq!(fault["code"], "json.syntax");
    assert_eq!(fault["line"], line_of(4));
    let line = file.lines().nth(line_of(4) as usize - 1).expect("the row");
    let column = line.find(":,").expect("the slip") + 2;
    assert_eq!(fault["column"], column);
    assert_eq!(status["reason"]["code"], "json.syntax");
    let kept = std::fs::read_to_string(folder.of_batch("errors", &status, ""));
    assert_eq!(kept.expect("the file is kept"), file);
    assert!(
        !folder.path("whatsapp/broken.json").exists(),
        "the visible name is gone"
    );
    assert!(folder.names("whatsapp/processed").is_empty());
    // A mended file goes, so nothing of the broken one was on its way meanwhile.
    world.drop_file("broken.json", good_file(1));
    let mended = world.wait_for("the mended file's status", crate::world::SOON, || {
        folder
            .status("broken.json")
            .filter(|now| now["final"] == true && now["batch"] != status["batch"])
    });
    assert_eq!(mended["counts"]["accepted"], 1);
    assert_eq!(provider.seen_count(), 1);
}

/// A template that nobody approved would burn a refusal for each of a million rows.
#[test]
fn a_template_that_does_not_exist_refuses_the_file() {
    let (mut world, provider) = World::start(Script::accepting());
    world.drop_file(
        "typo.json",
        good_file(3).replace("order_update", "order_updaet"),
    );
    let status = world.ended("typo.json");
    assert_eq!(status["state"], "rejected", "{status:#}");
    let report = world.folder("acme").faults(&status);
    assert_eq!(report["verdict"], "refused");
    let codes: Vec<&Value> = report["faults"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| &fault["code"])
        .collect();
    assert!(codes.contains(&&json!("template.unknown")), "{codes:?}");
    assert_eq!(provider.seen_count(), 0);
}

/// An export that failed leaves an empty file; its sender must hear of it.
#[test]
fn a_file_of_wrong_rows_only_is_refused_whole() {
    let (mut world, provider) = World::start(Script::accepting());
    let mut rows: Vec<Value> = (0..3).map(row).collect();
    for row in &mut rows {
        row["to"] = json!("12");
    }
    world.drop_file("wrong.json", file_of(&rows));
    let status = world.ended("wrong.json");
    assert_eq!(status["state"], "rejected", "{status:#}");
    assert_eq!(status["reason"]["code"], "batch.too_many_invalid");
    let report = world.folder("acme").faults(&status);
    assert_eq!(report["verdict"], "refused");
    assert_eq!(provider.seen_count(), 0);
}
