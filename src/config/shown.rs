//! The settings as they are shown: names as in the files, defaults included, secrets left out.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Config, Tenant, bytes_text, duration_text};
use crate::batch::read::PhoneCheck;
use crate::delivery::UnknownPolicy;
use crate::delivery::retention::Retention;
use crate::delivery::window::QuietHours;
use crate::inbox::Trigger;
use crate::provider::{Kind, Proxy};
use crate::sftp::{self, Require};

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

impl Config {
    /// The settings that hold, to be written out.
    pub fn shown(&self) -> impl Serialize + '_ {
        Shown::of(self)
    }
}

/// The settings as they are shown: names as in the files, secrets left out.
#[derive(Serialize)]
struct Shown<'a> {
    data_dir: &'a Path,
    sftp: ShownSftp,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<Listen>,
    tenants: Vec<ShownTenant<'a>>,
}

#[derive(Serialize)]
struct ShownSftp {
    listen: String,
    connections_per_address_max: usize,
    shared_addresses: Vec<String>,
    proxy_from: Vec<String>,
}

#[derive(Serialize)]
struct Listen {
    listen: String,
}

#[derive(Serialize)]
struct ShownTenant<'a> {
    name: &'a str,
    logins: Vec<ShownLogin<'a>>,
    provider: ShownProvider<'a>,
    senders: Vec<ShownSender<'a>>,
    templates: ShownTemplates<'a>,
    policy: ShownPolicy,
    limits: ShownLimits,
    results: ShownResults,
    retention: ShownRetention,
}

#[derive(Serialize)]
struct ShownLogin<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<&'static str>,
    authorized_keys: Vec<String>,
    allow_from: Vec<String>,
    require: &'static str,
}

#[derive(Serialize)]
struct ShownProvider<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    base_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    business_account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'a PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk_max: Option<usize>,
}

#[derive(Serialize)]
struct ShownSender<'a> {
    number: &'a str,
    phone_number_id: &'a str,
    messages_per_second: f64,
}

#[derive(Serialize)]
struct ShownTemplates<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<&'a PathBuf>,
}

#[derive(Serialize)]
struct ShownPolicy {
    phone_check: &'static str,
    phone_lenient: bool,
    strict: bool,
    invalid_max: f64,
    unknown: UnknownPolicy,
    duplicate_window: String,
    default_validity: String,
    default_validity_authentication: String,
    trigger: &'static str,
    settle_ms: u64,
    time_zone: String,
    quiet_hours: Vec<ShownHours>,
}

#[derive(Serialize)]
struct ShownHours {
    from: String,
    to: String,
    time_zone: String,
    days: Vec<&'static str>,
}

#[derive(Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the settings"
)]
struct ShownLimits {
    bytes_max: String,
    expanded_bytes_max: String,
    rows_max: u64,
    row_bytes_max: String,
    depth_max: usize,
    faults_max: usize,
    files_max: u64,
    folder_bytes_max: String,
    sessions_max: usize,
}

#[derive(Serialize)]
struct ShownResults {
    formats: &'static [&'static str],
    gzip: bool,
}

#[derive(Serialize)]
struct ShownRetention {
    processed: String,
    results: String,
    content: String,
    history: String,
}

impl<'a> Shown<'a> {
    fn of(config: &'a Config) -> Self {
        let listen = |address: std::net::SocketAddr| Listen {
            listen: address.to_string(),
        };
        Self {
            data_dir: &config.data_dir,
            sftp: ShownSftp {
                listen: config.sftp_listen.to_string(),
                connections_per_address_max: config.gate.connections_per_address_max,
                shared_addresses: texts(&config.gate.shared_addresses),
                proxy_from: texts(&config.gate.proxy_from),
            },
            admin: config.admin_listen.map(listen),
            tenants: config.tenants.iter().map(ShownTenant::of).collect(),
        }
    }
}

impl<'a> ShownTenant<'a> {
    fn of(tenant: &'a Tenant) -> Self {
        let provider = &tenant.provider;
        let token = provider.access_token.reveal();
        Self {
            name: tenant.name.as_str(),
            logins: tenant.logins.iter().map(ShownLogin::of).collect(),
            provider: ShownProvider {
                kind: match provider.kind {
                    Kind::MetaCloud => "meta-cloud",
                    Kind::Sandbox => "sandbox",
                },
                base_url: &provider.base_url,
                access_token: (!token.is_empty()).then_some(HIDDEN),
                business_account_id: &provider.business_account_id,
                ca_file: provider.ca_file.as_ref(),
                proxy: provider.proxy.as_ref().map(Proxy::shown),
                bulk_max: (provider.kind == Kind::Sandbox).then_some(provider.bulk_max),
            },
            senders: tenant
                .senders
                .iter()
                .map(|sender| ShownSender {
                    number: sender.number.as_str(),
                    phone_number_id: &sender.provider_id,
                    messages_per_second: sender.messages_per_second,
                })
                .collect(),
            templates: ShownTemplates {
                dir: tenant.templates_dir.as_ref(),
            },
            policy: ShownPolicy::of(tenant),
            limits: ShownLimits::of(tenant),
            results: ShownResults {
                formats: if tenant.results.csv {
                    &["jsonl", "csv"]
                } else {
                    &["jsonl"]
                },
                gzip: tenant.results.gzip,
            },
            retention: ShownRetention::of(tenant.retention),
        }
    }
}

impl<'a> ShownLogin<'a> {
    fn of(login: &'a sftp::Login) -> Self {
        Self {
            user: &login.user,
            password_hash: (!login.password_hash.is_empty()).then_some(HIDDEN),
            authorized_keys: login
                .authorized_keys
                .iter()
                .map(|key| key.shown(HIDDEN))
                .collect(),
            allow_from: texts(&login.allow_from),
            require: match login.require {
                Require::Any => "any",
                Require::KeyAndPassword => "key-and-password",
            },
        }
    }
}

impl ShownPolicy {
    fn of(tenant: &Tenant) -> Self {
        let rules = &tenant.rules;
        Self {
            phone_check: match rules.phone_check {
                PhoneCheck::Format => "format",
                PhoneCheck::Possible => "possible",
                PhoneCheck::Valid => "valid",
            },
            phone_lenient: rules.phone_lenient,
            strict: rules.strict,
            invalid_max: rules.invalid_max,
            unknown: tenant.policy.unknown,
            duplicate_window: duration_text(tenant.duplicate_window),
            default_validity: duration_text(rules.default_validity),
            default_validity_authentication: duration_text(rules.default_validity_authentication),
            trigger: match tenant.inbox.trigger {
                Trigger::Close => "close",
                Trigger::DoneFile => "done-file",
            },
            settle_ms: tenant.inbox.settle.as_millis() as u64,
            time_zone: rules.time_zone.to_string(),
            quiet_hours: tenant.quiet_hours.iter().map(ShownHours::of).collect(),
        }
    }
}

impl ShownHours {
    fn of(QuietHours(hours): &QuietHours) -> Self {
        Self {
            from: hours.from().to_string(),
            to: hours.to().to_string(),
            time_zone: hours.time_zone().to_string(),
            days: hours.days().names().collect(),
        }
    }
}

impl ShownLimits {
    fn of(tenant: &Tenant) -> Self {
        let limits = tenant.rules.limits;
        Self {
            bytes_max: bytes_text(limits.bytes_max),
            expanded_bytes_max: bytes_text(limits.expanded_bytes_max),
            rows_max: limits.rows_max,
            row_bytes_max: bytes_text(limits.row_bytes_max as u64),
            depth_max: limits.depth_max,
            faults_max: limits.faults_max,
            files_max: tenant.quota.files_max,
            folder_bytes_max: bytes_text(tenant.quota.folder_bytes_max),
            sessions_max: tenant.sessions_max,
        }
    }
}

impl ShownRetention {
    fn of(retention: Retention) -> Self {
        Self {
            processed: duration_text(retention.processed),
            results: duration_text(retention.results),
            content: duration_text(retention.content),
            history: duration_text(retention.history),
        }
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Config {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dropcast.toml");
        super::super::load(&path).expect("the example is good")
    }

    /// What is shown is pasted into tickets: it must hold no secret, and both forms the same.
    #[test]
    fn secrets_are_hidden_in_both_forms() {
        let mut config = example();
        config.tenants[0].provider.access_token = crate::provider::Secret::new("EAAGhunter2");
        let shown = Shown::of(&config);
        let as_toml = toml::to_string(&shown).expect("TOML");
        let as_json = serde_json::to_value(&shown).expect("JSON");
        for text in [&as_toml, &as_json.to_string()] {
            assert!(!text.contains("$argon2id"), "{text}");
            assert!(!text.contains("AAAA"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.contains("ssh-ed25519 (hidden) cron@erp"), "{text}");
        }
        let read_back: serde_json::Value = toml::from_str(&as_toml).expect("TOML");
        assert_eq!(read_back, as_json);
        assert_eq!(as_json["tenants"][0]["provider"]["access_token"], HIDDEN);
        assert_eq!(as_json["tenants"][0]["policy"]["duplicate_window"], "48h");
    }

    /// What is shown of quiet hours, copied into a file, must mean the same again.
    #[test]
    fn quiet_hours_are_shown_as_they_are_written() {
        let written = "[[policy.quiet_hours]]\nfrom = \"22:00\"\nto = \"07:00\"\n\
                       time_zone = \"Europe/Amsterdam\"\ndays = [\"fri\", \"sat\"]\n";
        let folder = tempfile::tempdir().expect("a temporary folder");
        let main = folder.path().join("dropcast.toml");
        std::fs::create_dir(folder.path().join("tenants.d")).expect("made");
        std::fs::write(&main, "data_dir = \"data\"\n").expect("written");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let good = root.join("tests/golden/config/good/tenants.d/tiny.toml");
        let good = std::fs::read_to_string(good).expect("the good file");
        let (head, rest) = good.split_once("[policy]").expect("the section");
        let rest = rest.split_once("[provider]").expect("the section").1;
        let text = format!("{head}{written}[provider]{rest}");
        std::fs::write(folder.path().join("tenants.d/tiny.toml"), text).expect("written");
        let config = super::super::load(&main).expect("no problem");
        let shown = toml::to_string(&config.shown()).expect("TOML");
        let written = written.replace("[[policy", "[[tenants.policy");
        let shown_hours = shown.find("[[tenants.policy.quiet_hours]]");
        assert!(
            shown[shown_hours.expect("quiet hours")..].starts_with(&written),
            "{shown}"
        );
    }
}
