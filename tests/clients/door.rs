//! The door that clients come to: a daemon with one tenant, whose login takes the keys and the
//! password of the clients, and a provider that takes everything, some of it late.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::access::{Access, Deed, USER, make_keys};
use super::{CHORE, Client};
use crate::world::folder::TenantFolder;
use crate::world::provider::{Provider, Reserved, Script};
use crate::world::sftp::run_within;
use crate::world::{SOON, TenantPlan, World};

/// The password of the login, and its hash.
pub(super) const PASSWORD: &str = "Open-sesame-42";
const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$98Uz99WaTn8Ao5o4SEqc9g\
                             $t+LNzmuu7MyD0MEqb4J0jsGY2MLSmGsZx2FcJja71+I";

/// A daemon with what clients need to come in.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) world: World,
    pub(super) provider: Provider,
    pub(super) access: Access,
}

impl Door {
    /// Opens a door in this world.
    pub(super) fn open(world: World, script: Script) -> Self {
        let reserved = Reserved::new();
        let mut world = world.laid_out(&[TenantPlan::new(USER)], &reserved);
        let provider = reserved.open(script, &world.path("provider.log"));
        let keys = make_keys(&world.path("keys"));
        let settings = world.path(&format!("tenants.d/{USER}.toml"));
        let text = fs::read_to_string(settings).expect("the tenant's settings");
        let begin = "authorized_keys = [";
        let [modern, old] = &keys;
        let login =
            format!("password_hash = \"{PASSWORD_HASH}\"\n{begin}\"{modern}\", \"{old}\", ");
        world.write(
            &format!("tenants.d/{USER}.toml"),
            text.replacen(begin, &login, 1),
        );
        world.run();
        let access = access(&world, "client", &host_keys(&world));
        Self {
            world,
            provider,
            access,
        }
    }

    /// The way in for a client that remembers other keys of this door.
    pub(super) fn access_of_a_stranger(&self) -> Access {
        let others = make_keys(&self.world.path("others"));
        access(&self.world, "misled", &others)
    }

    /// The tenant's folder on disk.
    pub(super) fn folder(&self) -> TenantFolder {
        self.world.folder(USER)
    }

    /// Has a client do something that must succeed; gives what it said.
    pub(super) fn does(&self, client: &Client, deed: Deed) -> String {
        let ran = client.run(&self.access, deed, CHORE);
        assert!(ran.ok, "{deed:?} failed:\n{}\n{}", ran.out, ran.err);
        ran.out
    }

    /// The id of the newest batch under this name, other than `earlier`.
    pub(super) fn batch_of(&mut self, name: &str, earlier: Option<&str>) -> String {
        let folder = self.folder();
        let what = format!("status of `{name}`");
        self.world.wait_for(&what, SOON, || {
            let status = folder.status(name)?;
            let batch = status["batch"].as_str().filter(|id| Some(*id) != earlier)?;
            Some(batch.to_owned())
        })
    }

    /// Waits for the end of a batch and holds its file against what was uploaded.
    pub(super) fn kept(&mut self, name: &str, batch: &str, text: &str) -> Value {
        let folder = self.folder();
        let path = folder.path(&format!("whatsapp/results/{batch}.{name}.status.json"));
        let status = self.world.wait_for("last status", SOON, || {
            let text = fs::read_to_string(&path).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        });
        assert_eq!(status["final"], true, "{status:#}");
        let processed = fs::read(folder.of_batch("processed", &status, ""))
            .unwrap_or_else(|error| panic!("not processed: {error}: {status:#}"));
        assert_eq!(processed, text.as_bytes(), "the content has changed");
        status
    }
}

fn access(world: &World, name: &str, host_keys: &[String]) -> Access {
    let (folder, keys) = (world.path(name), world.path("keys"));
    Access::new(folder, &keys, world.port(), host_keys)
}

/// The public halves of the door's own keys, from its data folder.
fn host_keys(world: &World) -> Vec<String> {
    let folder = world.data_dir().join("host-keys");
    let entries = fs::read_dir(folder).expect("host keys");
    let keys = entries.map(|entry| entry.expect("an entry").path());
    let keys = keys.filter(|path| path.extension().is_none());
    keys.map(|path| {
        let mut public = Command::new("ssh-keygen");
        public.arg("-y").arg("-f").arg(path);
        run_within(public, CHORE).expect_ok().trim().to_owned()
    })
    .collect()
}
