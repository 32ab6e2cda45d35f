//! `dropcast template pull`, `create`, `edit` and `delete`: asked of a tenant's provider directly,
//! with the tenant's settings. No service is needed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value as Json;

use crate::batch::TenantName;
use crate::cli::steering::tenant;
use crate::cli::{ConfigOption, EXIT_CONFIG, EXIT_DONE, EXIT_NO, EXIT_USAGE, complain, say};
use crate::config::{self, Config, Tenant};
use crate::daemon::pulled_dir;
use crate::daemon::pulling::{self, Change};

/// The largest definition that is read, in bytes.
const DEFINITION_BYTES_MAX: u64 = 1 << 20;

/// Whose templates.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Account {
    /// The tenant; needed where there are several.
    #[arg(long, value_name = "NAME", value_parser = tenant)]
    tenant: Option<TenantName>,
    #[command(flatten)]
    config: ConfigOption,
}

/// A template to hand in.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Create {
    /// The file with its definition, as the provider has them.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    account: Account,
}

/// A template to change.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Edit {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// The file with what changes, as the provider has it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its language; needed where it has several.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    #[command(flatten)]
    account: Account,
}

/// A template to remove.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Delete {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// In this language only; without it in all.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    #[command(flatten)]
    account: Account,
}

/// Reads the templates of each tenant that is meant.
pub(super) fn pull(account: &Account) -> io::Result<u8> {
    let (config, tenant) = match whose(account) {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    let folder = pulled_dir(&config.data_dir).join(tenant.name.as_str());
    match run(pulling::pull_of(&tenant))? {
        Ok(definitions) => {
            let (count, _) = pulling::keep(&folder, &definitions)?;
            let noun = if count == 1 { "template" } else { "templates" };
            say(&format_args!("{count} {noun} in {}", folder.display()))?;
            Ok(EXIT_DONE)
        }
        Err(why) => {
            complain(&why);
            Ok(EXIT_NO)
        }
    }
}

/// Hands a template in.
pub(super) fn create(asked: &Create) -> io::Result<u8> {
    let Some(definition) = definition(&asked.file) else {
        return Ok(EXIT_USAGE);
    };
    change(&asked.account, &Change::Create { definition })
}

/// Changes a template.
pub(super) fn edit(asked: Edit) -> io::Result<u8> {
    let Some(definition) = definition(&asked.file) else {
        return Ok(EXIT_USAGE);
    };
    let (name, language) = (asked.name, asked.language);
    let edit = Change::Edit {
        name,
        language,
        definition,
    };
    change(&asked.account, &edit)
}

/// Removes a template.
pub(super) fn delete(asked: Delete) -> io::Result<u8> {
    let (name, language) = (asked.name, asked.language);
    change(&asked.account, &Change::Delete { name, language })
}

fn change(account: &Account, change: &Change) -> io::Result<u8> {
    let tenant = match whose(account) {
        Ok((_, tenant)) => tenant,
        Err(code) => return Ok(code),
    };
    match run(pulling::change_of(&tenant, change))? {
        Ok(verdict) => {
            tell(&verdict)?;
            Ok(EXIT_DONE)
        }
        Err(why) => {
            complain(&why);
            Ok(EXIT_NO)
        }
    }
}

/// The settings, and the tenant in them that is meant.
fn whose(account: &Account) -> Result<(Config, Tenant), u8> {
    let path = &account.config.path;
    let config = config::load(path).map_err(|error| {
        error.lines().iter().for_each(|line| complain(line));
        EXIT_CONFIG
    })?;
    let is_meant = |one: &&Tenant| account.tenant.as_ref().is_none_or(|name| one.name == *name);
    let mut meant = config.tenants.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(one), None) => {
            let one = one.clone();
            Ok((config, one))
        }
        (None, _) => {
            complain(&format_args!("{} has no such tenant", path.display()));
            Err(EXIT_USAGE)
        }
        _ => {
            complain(&"say which tenant: --tenant NAME");
            Err(EXIT_USAGE)
        }
    }
}

fn run<T>(asked: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(asked))
}

/// The JSON object in a file; `None` when there is none, which was told.
fn definition(path: &Path) -> Option<Json> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| {
        let mut file = file.take(DEFINITION_BYTES_MAX);
        file.read_to_string(&mut text)
    });
    let told = match read {
        Err(error) => error.to_string(),
        Ok(_) => match serde_json::from_str(&text) {
            Ok(Json::Object(definition)) => return Some(Json::Object(definition)),
            Ok(_) => "it holds no object".into(),
            Err(error) => error.to_string(),
        },
    };
    complain(&format_args!("{}: {told}", path.display()));
    None
}

/// What the provider says, a line for each member.
fn tell(verdict: &Json) -> io::Result<()> {
    let Some(members) = verdict.as_object().filter(|members| !members.is_empty()) else {
        return say(&"done");
    };
    for (key, value) in members {
        match value {
            Json::String(text) => say(&format_args!("{key}: {text}"))?,
            other => say(&format_args!("{key}: {other}"))?,
        }
    }
    Ok(())
}
