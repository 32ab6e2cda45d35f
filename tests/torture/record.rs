//! What came back into the folders, read for the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::history::{Batch, Told};
use crate::world::World;
use crate::world::folder::TenantFolder;

/// Length of a batch id; a dot and the name of the file follow it.
const ID_BYTES: usize = "20261121T091502Z-7kq2xm".len();

/// Whether nothing is left to be done for any tenant: no file waits under a visible name or in the
/// spool, and every status is the last one.
pub(crate) fn is_at_rest(world: &World, tenants: &[&str]) -> bool {
    tenants.iter().all(|tenant| {
        let spool = ["new", "held"].map(|part| format!("spool/{part}/{tenant}"));
        let spooled = spool
            .iter()
            .map(|part| fs::read_dir(world.data_dir().join(part)))
            .flat_map(|entries| entries.into_iter().flatten())
            .count();
        let folder = world.folder(tenant);
        let waits = |drop: &str| {
            let names = folder.names(drop);
            names
                .iter()
                .any(|name| folder.path(drop).join(name).is_file())
        };
        spooled == 0
            && !["whatsapp", "whatsapp/dry-run"]
                .iter()
                .any(|drop| waits(drop))
            && folder.names("whatsapp/results").iter().all(|name| {
                let is_newest = name.ends_with(".status.json") && id_of(name).is_none();
                !is_newest || status(&folder, name).is_some_and(|it| it["final"] == true)
            })
    })
}

/// Every batch of which there is any trace.
pub(crate) fn batches(world: &World, tenants: &[&'static str]) -> Vec<Batch> {
    let of = |tenant: &&'static str| {
        let folder = world.folder(tenant);
        let trays = ["results", "errors", "processed"];
        let names: Vec<String> = trays
            .iter()
            .flat_map(|tray| folder.names(&format!("whatsapp/{tray}")))
            .collect();
        let ids: BTreeSet<&str> = names.iter().filter_map(|name| id_of(name)).collect();
        ids.into_iter()
            .map(|id| batch(tenant, &folder, id))
            .collect::<Vec<_>>()
    };
    tenants.iter().flat_map(of).collect()
}

/// The id of the batch that a report or a kept file is of.
fn id_of(name: &str) -> Option<&str> {
    let (id, rest) = name.split_at_checked(ID_BYTES)?;
    (rest.starts_with('.') && id.contains("Z-")).then_some(id)
}

fn batch(tenant: &'static str, folder: &TenantFolder, id: &str) -> Batch {
    let of_batch = |tray: &str| -> Vec<String> {
        let names = folder.names(&format!("whatsapp/{tray}"));
        names
            .into_iter()
            .filter(|name| id_of(name) == Some(id))
            .collect()
    };
    let last = of_batch("results")
        .into_iter()
        .find(|name| name.ends_with(".status.json"));
    let last = last
        .and_then(|name| status(folder, &name))
        .unwrap_or_default();
    let kept = ["errors", "processed"].into_iter().flat_map(|tray| {
        let files = of_batch(tray)
            .into_iter()
            .filter(|name| !name.ends_with(".errors.json"));
        files.map(move |name| (tray, name)).collect::<Vec<_>>()
    });
    let kept: Vec<(&str, String)> = kept.collect();
    let name = match (last["file"].as_str(), kept.first()) {
        (Some(name), _) => name.to_owned(),
        (None, Some((_, kept))) => kept[ID_BYTES + 1..].to_owned(),
        (None, None) => String::new(),
    };
    let read = |(tray, name): (&'static str, String)| {
        let path = folder.path(&format!("whatsapp/{tray}/{name}"));
        (tray, fs::read(path).expect("a kept file"))
    };
    let counts = last["counts"].as_object().into_iter().flatten();
    Batch {
        tenant,
        id: id.to_owned(),
        state: last["state"].as_str().unwrap_or_default().to_owned(),
        reason: last["reason"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        counts: counts
            .filter_map(|(word, count)| Some((word.clone(), count.as_u64()?)))
            .collect::<BTreeMap<_, _>>(),
        kept: kept.into_iter().map(read).collect(),
        lines: lines(folder, id, &name),
        name,
    }
}

fn status(folder: &TenantFolder, name: &str) -> Option<Value> {
    let path = folder.path(&format!("whatsapp/results/{name}"));
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn lines(folder: &TenantFolder, id: &str, name: &str) -> Option<Vec<Told>> {
    let path = folder.path(&format!("whatsapp/results/{id}.{name}.results.jsonl"));
    let text = fs::read_to_string(path).ok()?;
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a results line is JSON");
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        Told {
            index: line["index"].as_u64().expect("an index"),
            line: line["line"].as_u64().expect("a line"),
            to: text("to"),
            reference: text("reference"),
            status: text("status"),
            message_id: text("messageId"),
            attempts: line["attempts"].as_u64().expect("attempts") as u32,
            possible_duplicate: line["possibleDuplicate"] == true,
        }
    };
    Some(text.lines().map(line).collect())
}
