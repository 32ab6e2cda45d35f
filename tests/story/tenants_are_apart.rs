//! One tenant can neither see nor touch another.
//!
//! Promise 4 of the README.

use crate::world::batches::{good_file, good_file_from, recipient};
use crate::world::provider::Script;
use crate::world::{SOON, TenantPlan, World};

/// Two companies share the daemon: a path, a key or a name that leads from one to the other is the
/// end of their trust.
#[test]
fn two_tenants_cannot_see_each_other() {
    let plans = [TenantPlan::new("acme"), TenantPlan::new("bolt")];
    let (mut world, provider) = World::start_with(&plans, Script::accepting());
    let acme = world.client("acme");
    let bolt = world.client("bolt");
    // The same name, so that only the folder tells them apart.
    let own = world.local("acme.json", good_file(3));
    acme.put(&own, "whatsapp/orders.json").expect_ok();
    let other = world.local("bolt.json", good_file_from(100, 4));
    bolt.put(&other, "whatsapp/orders.json").expect_ok();
    let acme_status = world.ended_of("acme", "orders.json", SOON);
    let bolt_status = world.ended_of("bolt", "orders.json", SOON);
    assert_eq!(acme_status["counts"]["accepted"], 3);
    assert_eq!(bolt_status["counts"]["accepted"], 4);
    for (status, first, count) in [(&acme_status, 0, 3), (&bolt_status, 100, 4)] {
        let batch = status["batch"].as_str().expect("a batch id");
        for (index, tries) in provider.seen_of(batch) {
            assert_eq!(format!("+{}", tries[0].to), recipient(first + index));
        }
        assert_eq!(provider.seen_of(batch).len(), count);
    }

    // Whatever path is tried, a client stays in its own root.
    let root = acme.list("/");
    assert!(root.contains(&"whatsapp".to_owned()), "{root:?}");
    for above in ["..", "/..", "whatsapp/../..", "/../../.."] {
        assert_eq!(acme.list(above), root, "{above}");
    }
    let foreign = bolt_status["batch"].as_str().expect("a batch id");
    for folder in ["whatsapp/results", "whatsapp/processed", "whatsapp/errors"] {
        let names = acme.list(folder);
        assert!(
            names.iter().all(|name| !name.contains(foreign)),
            "{names:?}"
        );
    }
    let result = format!("whatsapp/results/{foreign}.orders.json.results.jsonl");
    for path in [
        format!("/{result}"),
        format!("../bolt/{result}"),
        format!("{}/{result}", world.folder("bolt").path("").display()),
    ] {
        let target = world.path("stolen");
        let command = format!("get \"{path}\" \"{}\"", target.display());
        acme.run(&[command]).expect_refused();
        assert!(!target.exists(), "{path}");
    }
    for path in [
        "../bolt/whatsapp/evil.json",
        "/bolt/whatsapp/evil.json",
        "/evil.json",
    ] {
        acme.put(&own, path).expect_refused();
    }
    let link = "symlink /etc/passwd whatsapp/link".to_owned();
    acme.run(&[link, "get whatsapp/link /dev/null".to_owned()])
        .expect_refused();
}

/// A key opens one folder; a name without its key opens none.
#[test]
fn a_key_opens_no_other_tenants_folder() {
    let plans = [TenantPlan::new("acme"), TenantPlan::new("bolt")];
    let (world, _provider) = World::start_with(&plans, Script::accepting());
    for (user, key_of) in [
        ("bolt", "acme"),
        ("acme", "bolt"),
        ("nobody", "acme"),
        ("root", "acme"),
    ] {
        let words = world
            .client_with_key_of(user, key_of)
            .run(&["ls".to_owned()])
            .expect_refused();
        assert!(
            words.contains("Permission denied"),
            "{user} with {key_of}: {words}"
        );
    }
    world.client("acme").run(&["ls".to_owned()]).expect_ok();
    world.client("bolt").run(&["ls".to_owned()]).expect_ok();
}
