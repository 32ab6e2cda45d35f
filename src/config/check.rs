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
use super::{Config, keys};
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
        config.admin_listen = admin_listen(&top.section("admin"), config.sftp_listen);
        top.section("receipts").address("listen");
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

fn admin_listen(admin: &Section<'_>, sftp_listen: SocketAddr) -> Option<SocketAddr> {
    const KEY: &str = "listen";
    admin.path("api_token_file");
    let listen = admin.address(KEY)?;
    let is_anywhere = listen.ip().is_unspecified() || sftp_listen.ip().is_unspecified();
    let is_same_ip = is_anywhere || listen.ip() == sftp_listen.ip();
    if listen.port() != 0 && listen.port() == sftp_listen.port() && is_same_ip {
        let port = listen.port();
        let text =
            format!("`admin.listen` takes port {port}, as `sftp.listen` does; choose another");
        admin.problem(KEY, text);
    }
    Some(listen)
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
