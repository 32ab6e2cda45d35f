//! The stand-in that is built in, and why it has no use for what providers need.

use super::{PROVIDERS, base_url, meta_cloud};
use crate::config::file::Section;
use crate::config::receiving;
use crate::provider::{Account, Secret, Settings, sandbox_bulk};

const IDLE: &str = "the sandbox is built in";

/// What is for trying out never reaches a provider, whatever was left in the settings.
pub(super) fn settings(section: &Section<'_>) -> Settings {
    let given = base_url(section, meta_cloud::PROVIDER.example);
    let given = given.filter(|url| url.starts_with("http://"));
    if given.is_none() {
        section.note_idle("base_url", IDLE);
    }
    for key in ["access_token_file", "ca_file", "proxy"] {
        section.text(key);
        section.note_idle(key, IDLE);
    }
    for key in PROVIDERS.iter().flat_map(|known| known.keys) {
        if *key == "business_account_id" {
            section.note_idle(key, IDLE);
        }
    }
    let most = section.count("bulk_max", 1..=sandbox_bulk::BULK_MAX as u64);
    let most = most.and_then(|most| usize::try_from(most).ok());
    Settings {
        base_url: given.unwrap_or_default(),
        access_token: Secret::default(),
        access_token_file: None,
        ca_file: None,
        proxy: None,
        callbacks: receiving::callbacks(section),
        account: account(most.unwrap_or(1)),
    }
}

pub(super) fn account(bulk_max: usize) -> Account {
    Account::Sandbox(sandbox_bulk::Settings { bulk_max })
}
