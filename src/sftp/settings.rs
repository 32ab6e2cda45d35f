//! What the door is told: where things lie, who may enter, and the limits that an operator sets.
//! How these are read from a file is for `config` to know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::authorized::parse_network;
use super::{AuthorizedKey, CONNECTIONS_MAX};
use crate::batch::TenantName;

/// What the door needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder with the host keys, made on first start.
    pub host_keys_dir: PathBuf,
    /// The folder that holds one folder for each tenant.
    pub tenants_dir: PathBuf,
    /// The folder that takes finished uploads: `<spool_new_dir>/<tenant>/<entry>`.
    pub spool_new_dir: PathBuf,
    /// What each tenant may put into its folder.
    pub quotas: BTreeMap<TenantName, Quota>,
    /// How many sessions each tenant may have at a time.
    pub sessions_max: BTreeMap<TenantName, usize>,
    /// What holds for addresses.
    pub gate: Gate,
}

/// What a tenant may put into its drop folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The largest file that it may upload, in bytes.
    pub upload_bytes_max: u64,
    /// The bytes of all files there, unfinished ones too.
    pub folder_bytes_max: u64,
    /// The number of files there, unfinished ones too.
    pub files_max: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            upload_bytes_max: 2 << 30,
            folder_bytes_max: 100 << 30,
            files_max: 100_000,
        }
    }
}

/// How addresses are treated before anybody has logged in.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The proxies that say with a PROXY header for whom they connect; they must.
    pub proxy_from: Vec<ipnet::IpNet>,
    /// Addresses that many clients share: no penalties, and no bounds but those for all.
    pub shared_addresses: Vec<ipnet::IpNet>,
    /// How many connections one address may have at a time.
    pub connections_per_address_max: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            proxy_from: Vec::new(),
            shared_addresses: Vec::new(),
            connections_per_address_max: CONNECTIONS_MAX / 2,
        }
    }
}

impl Gate {
    /// Reads a network or an address in the form that the door compares; `None` if it is neither.
    pub fn network(text: &str) -> Option<ipnet::IpNet> {
        parse_network(text)
    }
}

/// Somebody who may enter.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// Whose folder it opens.
    pub tenant: TenantName,
    /// The password's argon2id hash as a PHC string; empty when no password opens.
    pub password_hash: String,
    /// The keys that open it, and those that sign certificates which do.
    pub authorized_keys: Vec<AuthorizedKey>,
    /// Where it may come from; empty means anywhere.
    pub allow_from: Vec<ipnet::IpNet>,
    /// What it takes to enter.
    pub require: Require,
}

/// What it takes to enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// A key, a certificate or the password.
    #[default]
    Any,
    /// A key or a certificate, and then the password.
    KeyAndPassword,
}
