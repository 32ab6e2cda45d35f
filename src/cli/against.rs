//! By whose rules and templates a command works: those of a tenant, or those of a developer who has
//! no settings at hand.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{CONFIG_PATH, CONFIG_VARIABLE, EXIT_CONFIG, EXIT_USAGE, complain};
use crate::batch::Phone;
use crate::batch::read::{PhoneCheck, Rules};
use crate::batch::template::{TemplateProblem, Templates};
use crate::config;
use crate::daemon::offline::Desk;
use crate::daemon::{pulled_dir, templates};
use crate::provider::Kind;

/// The sender of files that name none, where no tenant is known.
const SENDER: &str = "+15550001111";

/// Where templates are found.
#[derive(Clone, Debug, Args)]
pub(super) struct Against {
    /// The folder with the template definitions, one or several in each `*.json`.
    #[arg(long, value_name = "DIR", conflicts_with = "tenant")]
    templates: Option<PathBuf>,
    /// The settings file in which the tenant is found [default: $DROPCAST_CONFIG, or
    /// /etc/dropcast/dropcast.toml].
    #[arg(long, value_name = "PATH", requires = "tenant")]
    config: Option<PathBuf>,
    /// The tenant whose senders, rules and templates hold.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

/// Rules for whoever has no settings.
#[derive(Clone, Debug, Args)]
pub(super) struct OwnRules {
    /// A number that files may be sent from; can be given several times [default: any].
    #[arg(long, value_name = "NUMBER", value_parser = number, conflicts_with = "tenant")]
    sender: Vec<Phone>,
    /// Takes unknown keys as faults.
    #[arg(long, conflicts_with = "tenant")]
    strict: bool,
    /// How closely recipients are looked at.
    #[arg(long, value_name = "HOW", conflicts_with = "tenant")]
    phone_check: Option<HowClosely>,
    /// Takes spaces, dots, dashes, brackets and a leading 00 in numbers.
    #[arg(long, conflicts_with = "tenant")]
    phone_lenient: bool,
    /// The provider that messages are for: what it does not take is told [default: meta-cloud].
    #[arg(long, value_name = "KIND", value_parser = provider, conflicts_with = "tenant")]
    provider: Option<Kind>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HowClosely {
    /// Plus sign, digits, length.
    Format,
    /// Also a known country code and a possible length for it (the default).
    Possible,
    /// Also a number range that is in use.
    Valid,
}

fn number(text: &str) -> Result<Phone, &'static str> {
    Phone::from_e164(text).ok_or("write it with plus sign and country code, as +15550001111")
}

fn provider(text: &str) -> Result<Kind, String> {
    let all = Kind::ALL.map(Kind::as_str).join(", ");
    Kind::parse(text).ok_or_else(|| format!("it is one of {all}"))
}

impl OwnRules {
    fn rules(&self) -> Rules {
        let mut rules = Rules {
            senders: self.sender.clone(),
            any_sender: self.sender.is_empty(),
            phone_check: match self.phone_check {
                Some(HowClosely::Format) => PhoneCheck::Format,
                Some(HowClosely::Valid) => PhoneCheck::Valid,
                Some(HowClosely::Possible) | None => PhoneCheck::Possible,
            },
            phone_lenient: self.phone_lenient,
            strict: self.strict,
            terms: self.provider.unwrap_or(Kind::MetaCloud).terms(),
            ..Rules::default()
        };
        if rules.any_sender {
            rules.senders.extend(Phone::from_e164(SENDER));
        }
        rules
    }
}

impl Against {
    /// The rules and templates that hold; `own` are those for no tenant. An `Err` is an exit code,
    /// and why has been written out.
    pub(super) fn desk(&self, own: &OwnRules) -> Result<Desk, u8> {
        let Some(name) = &self.tenant else {
            let folder = self.templates.as_deref();
            let templates = folder.map(read).transpose()?.unwrap_or_default();
            let rules = own.rules();
            return Ok(Desk { rules, templates });
        };
        let path = self.config.clone().unwrap_or_else(|| {
            let path = std::env::var_os(CONFIG_VARIABLE);
            path.map_or_else(|| CONFIG_PATH.into(), PathBuf::from)
        });
        let config = config::load(&path).map_err(|error| {
            error.lines().iter().for_each(|line| complain(line));
            EXIT_CONFIG
        })?;
        let tenants = config.tenants.into_iter();
        let Some(tenant) = tenants.into_iter().find(|one| one.name.as_str() == name) else {
            let path = path.display();
            complain(&format_args!("{path} has no tenant `{name}`"));
            return Err(EXIT_USAGE);
        };
        let own = tenant.templates_dir.as_deref();
        let pulled = pulled_dir(&config.data_dir).join(name);
        let templates = told(
            own.unwrap_or(&pulled),
            templates::read_folders(own, &pulled),
        )?;
        Ok(Desk {
            templates,
            rules: tenant.rules,
        })
    }

    /// The templates that hold, and a number that may send them.
    pub(super) fn templates(&self) -> Result<(Templates, Phone), u8> {
        if self.tenant.is_none() && self.templates.is_none() {
            complain(&"say where the templates are: --templates DIR, or --tenant NAME");
            return Err(EXIT_USAGE);
        }
        let own = OwnRules {
            sender: Vec::new(),
            strict: false,
            phone_check: None,
            phone_lenient: false,
            provider: None,
        };
        let desk = self.desk(&own)?;
        let first = desk.rules.senders.into_iter().next();
        let from = first.or_else(|| Phone::from_e164(SENDER));
        Ok((desk.templates, from.expect("a number in its form")))
    }
}

fn read(folder: &Path) -> Result<Templates, u8> {
    told(folder, templates::read_folder(folder))
}

/// The templates that were read; what cannot be used of them is told.
fn told(
    folder: &Path,
    read: io::Result<(Templates, Vec<TemplateProblem>)>,
) -> Result<Templates, u8> {
    match read {
        Ok((templates, problems)) => {
            for problem in problems {
                let file = folder.join(problem.file);
                complain(&format_args!("{}: {}", file.display(), problem.text));
            }
            Ok(templates)
        }
        Err(error) => {
            let folder = folder.display();
            complain(&format_args!(
                "failed to read the templates in `{folder}`: {error}"
            ));
            Err(EXIT_USAGE)
        }
    }
}
