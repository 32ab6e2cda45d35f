//! Raw settings become a `Config`, or every fault in them at once.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{File, Section};
use super::login::{self, Users};
use super::problem::{Error, Findings, Place, why_unreadable};
use super::tenant;
use super::{Config, Tenant, keys};
use crate::batch::TenantName;
use crate::delivery::retention::Retention;
use crate::sftp::{CONNECTIONS_MAX, Gate};

const SFTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 2022);
const TENANTS_DIR: &str = "tenants.d";
/// The most tenants of one daemon.
const TENANTS_MAX: usize = 10_000;
/// How many names in the tenants' folder are looked at.
const ENTRIES_MAX: usize = 10 * TENANTS_MAX;
const NAME_TEXT: &str = "the file's name is the tenant's name, which has 1 to 63 of `a-z`, `0-9`, \
                         `-` and `_`, a letter or digit first; rename the file";

const RETENTION: Retention = Retention {
    processed: Duration::from_hours(30 * 24),
    results: Duration::from_hours(90 * 24),
    content: Duration::from_hours(7 * 24),
    history: Duration::from_hours(400 * 24),
};

/// Reads `dropcast.toml` at `path` and the tenants' files. Everything is looked at before anything
/// is said, so that one round of mending is enough.
pub fn load(path: &Path) -> Result<Config, Error> {
    let findings = Findings::default();
    let main = read_main(path, &findings);
    let Some(Main {
        mut config,
        tenants_dir,
        retention,
    }) = main
    else {
        return Err(findings.into_error());
    };
    let mut users = Users::new();
    for (path, name) in tenants_dir.files(&findings) {
        let tenant = tenant::read(&path, name, retention, &mut users, &findings);
        config.tenants.extend(tenant);
        config.sources.push(path);
    }
    if config.tenants.is_empty() {
        let text = format!("there are no tenants in {}", tenants_dir.path.display());
        findings.note(Place::whole(path), format!("{text}, so nobody can log in"));
    }
    note_callbacks(&config, path, &findings);
    config.notes = findings.conclude()?;
    Ok(config)
}

/// Where everything durable lies, whatever else is wrong with the settings at `path`: who has a
/// daemon to reach must not have to mend them first.
pub fn data_dir_at(path: &Path) -> Result<PathBuf, Error> {
    let findings = Findings::default();
    let data_dir = read_main(path, &findings).map(|main| main.config.data_dir);
    match data_dir.filter(|dir| dir.is_absolute()) {
        Some(dir) => Ok(dir),
        None => Err(findings.into_error()),
    }
}

/// What `dropcast.toml` says.
struct Main {
    config: Config,
    tenants_dir: TenantsDir,
    /// What a tenant's own section can overrule.
    retention: Retention,
}

fn read_main(path: &Path, findings: &Findings) -> Option<Main> {
    let file = File::open(path, &keys::MAIN, findings)?;
    let (document, is_whole) = file.parse();
    let top = Section::top(&file, &document);
    let named = top.path("tenants_dir");
    let tenants_dir = TenantsDir {
        is_named: named.is_some(),
        path: named.unwrap_or_else(|| path.with_file_name(TENANTS_DIR)),
        place: top.place("tenants_dir"),
    };
    let mut config = Config {
        data_dir: PathBuf::new(),
        sftp_listen: SFTP_LISTEN,
        gate: Gate::default(),
        admin_listen: None,
        receipts_listen: None,
        tenants: Vec::new(),
        notes: Vec::new(),
        sources: vec![path.into()],
    };
    let mut retention = RETENTION;
    // Of a file that is not TOML the tenants are looked at all the same; to judge the rest of it by
    // what could be read would be guessing.
    if is_whole {
        config.data_dir = data_dir(&top);
        let sftp = top.section("sftp");
        config.sftp_listen = sftp.address("listen").unwrap_or(SFTP_LISTEN);
        config.gate = gate(&sftp);
        let mut taken = vec![("sftp", config.sftp_listen)];
        config.admin_listen = listen(&top.section("admin"), &taken);
        top.section("admin").path("api_token_file");
        taken.extend(config.admin_listen.map(|address| ("admin", address)));
        config.receipts_listen = listen(&top.section("receipts"), &taken);
        retention = tenant::retention(&top.section("retention"), RETENTION);
    }
    Some(Main {
        config,
        tenants_dir,
        retention,
    })
}

fn gate(sftp: &Section<'_>) -> Gate {
    let most = sftp.count("connections_per_address_max", 1..=CONNECTIONS_MAX as u64);
    let most = most.and_then(|most| usize::try_from(most).ok());
    Gate {
        proxy_from: login::networks(sftp, "proxy_from"),
        shared_addresses: login::networks(sftp, "shared_addresses"),
        connections_per_address_max: most
            .unwrap_or_else(|| Gate::default().connections_per_address_max),
    }
}

fn data_dir(top: &Section<'_>) -> PathBuf {
    const KEY: &str = "data_dir";
    top.require(
        KEY,
        "write `data_dir = \"/var/lib/dropcast\"` at the top of the file",
    );
    let dir = top.path(KEY).unwrap_or_default();
    if dir.exists() && !dir.is_dir() {
        let shown = dir.display();
        let text = format!("`{KEY}` names `{shown}`, which is not a folder; name one that is");
        top.problem(KEY, text);
    }
    std::path::absolute(&dir).unwrap_or(dir)
}

/// The address that a section listens on, which none of those that are taken may be.
fn listen(section: &Section<'_>, taken: &[(&str, SocketAddr)]) -> Option<SocketAddr> {
    const KEY: &str = "listen";
    let listen = section.address(KEY)?;
    let port = listen.port();
    let is_taken = |(_, other): &&(&str, SocketAddr)| {
        let is_anywhere = listen.ip().is_unspecified() || other.ip().is_unspecified();
        port != 0 && port == other.port() && (is_anywhere || listen.ip() == other.ip())
    };
    if let Some((by, _)) = taken.iter().find(is_taken) {
        let full = section.full(KEY);
        let text = format!("`{full}` takes port {port}, as `{by}.listen` does; choose another");
        section.problem(KEY, text);
    }
    Some(listen)
}

/// What of the settings for callbacks waits for others that are missing.
fn note_callbacks(config: &Config, path: &Path, findings: &Findings) {
    let can_prove = |tenant: &&Tenant| tenant.provider.callbacks.can_prove();
    let first = config.tenants.iter().find(can_prove);
    let text = match (config.receipts_listen, first) {
        (None, Some(tenant)) => format!(
            "tenant `{}` has a secret for callbacks of its provider, but `receipts.listen` is not \
             set, so none is received",
            tenant.name
        ),
        (Some(_), None) if !config.tenants.is_empty() => {
            "`receipts.listen` is set, but no tenant has `app_secret_file` or \
             `receipts_secret_file` under `[provider]`, so no callback is taken"
                .into()
        }
        _ => return,
    };
    findings.note(Place::whole(path), text);
}

/// The folder with the tenants' files.
struct TenantsDir {
    path: PathBuf,
    /// Whether the settings name it; if they do, it must be there.
    is_named: bool,
    place: Place,
}

impl TenantsDir {
    /// The tenants' files and names, sorted by name. Hidden files and other endings are not ours.
    fn files(&self, findings: &Findings) -> Vec<(PathBuf, TenantName)> {
        let shown = self.path.display();
        let listed = match std::fs::read_dir(&self.path) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_named => {
                return Vec::new();
            }
            Err(error) => {
                let why = why_unreadable(&error);
                let text = format!("`tenants_dir` names `{shown}`, which {why}; make that folder");
                findings.problem(self.place.clone(), text);
                return Vec::new();
            }
        };
        let mut files = Vec::new();
        for entry in listed.take(ENTRIES_MAX) {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    let why = why_unreadable(&error);
                    findings.problem(Place::whole(&self.path), format!("this folder {why}"));
                    break;
                }
            };
            let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let is_toml = path.extension() == Some(OsStr::new("toml"));
            if !is_toml || stem.starts_with('.') {
                continue;
            }
            match TenantName::parse(stem) {
                Some(name) => files.push((path, name)),
                None => findings.problem(Place::whole(&path), NAME_TEXT),
            }
        }
        files.sort();
        if files.len() > TENANTS_MAX {
            let text = format!("`{shown}` holds more than {TENANTS_MAX} tenants; use more daemons");
            findings.problem(self.place.clone(), text);
            files.truncate(TENANTS_MAX);
        }
        files
    }
}
