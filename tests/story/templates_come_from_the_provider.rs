//! Templates are read from the provider: those that it approves can be used, and one that it
//! pauses, rejects or removes stops what is new and what is under way, until it is approved again.
//! A reading that fails changes nothing.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::world::batches::good_file;
use crate::world::daemon::dropcast;
use crate::world::provider::Reserved;
use crate::world::sandbox::Sandbox;
use crate::world::{SOON, TenantPlan, World, wait_for};

/// The id of the template that the files use.
const ID: &str = "1627019861106475";

/// What lets a request in.
const TOKEN: &str = "authorization: Bearer a";

/// More than a page of the list, so that the one that is used stands on the second.
const OTHERS: usize = 60;

fn definitions() -> Value {
    let other = |number: usize| {
        json!({"id": format!("{}", 1_000 + number), "name": format!("other_{number}"),
            "language": "en", "status": "APPROVED", "category": "UTILITY",
            "components": [{"type": "BODY", "text": "Nothing varies here."}]})
    };
    let mut all: Vec<Value> = (0..OTHERS).map(other).collect();
    all.push(json!({
        "id": ID, "name": "order_update", "language": "en", "status": "APPROVED",
        "category": "UTILITY", "parameter_format": "NAMED",
        "components": [{
            "type": "BODY", "text": "Hello {{first}}, order {{ref}} is on its way."}]}));
    json!({"data": all})
}

/// A tenant whose templates are read every second from the stand-in, and from nowhere else.
fn laid_out(rate: f64) -> (World, Sandbox) {
    let plan = TenantPlan::new("acme").rate(rate);
    let world = World::prepare(&[plan], &Reserved::new());
    world.write("at-provider/all.json", definitions().to_string());
    let templates = world.path("at-provider");
    let sandbox = Sandbox::start(&["--templates", templates.to_str().expect("a path")]);
    let path = world.path("tenants.d/acme.toml");
    let settings = std::fs::read_to_string(&path).expect("settings");
    let (before, rest) = settings.split_once("base_url = ").expect("an address");
    let (_, after) = rest.split_once('\n').expect("a line");
    let after = after.replace(
        "dir = \"acme-templates\"",
        "sync = true\nsync_every = \"1s\"",
    );
    let url = &sandbox.url;
    world.write(
        "tenants.d/acme.toml",
        format!("{before}base_url = \"{url}\"\n{after}"),
    );
    (world, sandbox)
}

fn wait_for_templates(world: &World) {
    let schema = "whatsapp/templates/order_update.en.schema.json";
    let shown = world.data_dir().join("tenants/acme").join(schema);
    wait_for("template that the tenant sees", SOON, || {
        shown.exists().then_some(())
    });
}

fn is_held(status: &Value) -> bool {
    let held = status["held"].as_str().unwrap_or_default();
    held.contains("the template is paused")
}

/// Whoever pauses a template at the provider means it to stop, also in the batch that is running:
/// a hundred thousand refused messages would be the answer otherwise.
#[test]
fn a_template_that_is_paused_stops_what_uses_it() {
    let (mut world, sandbox) = laid_out(20.0);
    world.run();
    wait_for_templates(&world);
    world.drop_file("orders.json", good_file(120));
    let folder = world.folder("acme");
    wait_for("batch that is sending", SOON, || {
        let status = folder.status("orders.json")?;
        (status["counts"]["accepted"].as_u64()? > 0).then_some(())
    });
    let path = format!("/v25.0/{ID}/status");
    assert_eq!(
        sandbox.post(&path, TOKEN, &json!({"status": "PAUSED"})).0,
        200
    );
    let status = wait_for("batch that is held", SOON, || {
        folder.status("orders.json").filter(is_held)
    });
    assert_eq!(status["final"], false);
    world.drop_file("more.json", good_file(3));
    let refused = world.ended("more.json");
    assert_eq!(refused["state"], "rejected");
    let faults = folder.faults(&refused);
    let fault = &faults["faults"][0];
    assert_eq!(fault["code"], "template.not_approved", "{faults}");
    assert_eq!(
        sandbox.post(&path, TOKEN, &json!({"status": "APPROVED"})).0,
        200
    );
    let status = world.ended_of("acme", "orders.json", SOON);
    assert_eq!(status["counts"]["accepted"], 120, "{status}");
    assert_eq!(status["counts"]["failed"], 0);
    // Nobody answers any more: what was known stays known.
    sandbox.end();
    world.local("later.json", good_file(1));
    let client = world.client("acme");
    client.put(
        &world.path("local/later.json"),
        "/whatsapp/dry-run/later.json",
    );
    let status = world.ended("later.json");
    assert_eq!(status["state"], "checked", "{status}");
}

fn template(world: &World, words: &[&str]) -> Output {
    let config = world.path("dropcast.toml");
    let mut command = dropcast();
    command
        .arg("template")
        .args(words)
        .arg("--config")
        .arg(config);
    command.output().expect("run")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A template is handed in where the files are prepared, and its verdict is read there.
#[test]
fn templates_are_managed_from_the_command_line() {
    let (world, sandbox) = laid_out(20.0);
    let pulled = template(&world, &["pull", "--tenant", "acme"]);
    assert_eq!(pulled.status.code(), Some(0), "{}", told(&pulled));
    assert!(
        told(&pulled).starts_with("61 templates in "),
        "{}",
        told(&pulled)
    );
    let listed = template(&world, &["list", "--tenant", "acme"]);
    assert!(told(&listed).contains("order_update"), "{}", told(&listed));

    let file = |name: &str, text: &str| {
        let definition = json!({"name": name, "language": "nl", "category": "UTILITY",
            "components": [{"type": "BODY", "text": text}]});
        world.write("sale.json", definition.to_string())
    };
    let path = |path: &Path| path.to_str().expect("a path").to_owned();
    let sale = path(&file("sale", "Everything must go."));
    let made = template(&world, &["create", &sale]);
    assert_eq!(made.status.code(), Some(0), "{}", told(&made));
    assert!(
        told(&made).contains("status: PENDING\ncategory: UTILITY\n"),
        "{}",
        told(&made)
    );
    let long = path(&file("sale_2", &"x".repeat(1_025)));
    let refused = template(&world, &["create", &long]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        told(&refused).contains("(100): the body is too long"),
        "{}",
        told(&refused)
    );
    let edited = path(&file("sale", "Everything must go today."));
    let edited = template(&world, &["edit", "sale", &edited, "--language", "nl"]);
    assert_eq!(edited.status.code(), Some(0), "{}", told(&edited));
    let gone = template(&world, &["delete", "sale", "--language", "nl"]);
    assert_eq!(gone.status.code(), Some(0), "{}", told(&gone));
    let again = template(&world, &["delete", "sale", "--language", "nl"]);
    assert_eq!(again.status.code(), Some(1));
    sandbox.end();
    let silent = template(&world, &["pull"]);
    assert_eq!(silent.status.code(), Some(1));
    let listed = template(&world, &["list", "--tenant", "acme"]);
    assert!(
        told(&listed).contains("order_update"),
        "what was known stays"
    );
}
