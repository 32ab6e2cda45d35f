//! The settings as they are shown: names as in the files, defaults included, secrets left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Config, Tenant, bytes_text, duration_text};
use crate::batch::read::PhoneCheck;
use crate::delivery::UnknownPolicy;
use crate::delivery::retention::Retention;
use crate::delivery::window::QuietHours;
use crate::inbox::Trigger;
use crate::provider::botsquad::{AddressFormat, LanguageShape, Profile};
use crate::provider::webex_connect::{Auth, NumberFormat};
use crate::provider::{Account, Proxy, Secret};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<Listen>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'a PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    #[serde(flatten)]
    account: ShownAccount<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_secret: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_token: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts_secret: Option<&'static str>,
}

/// What one provider wants to know besides.
#[derive(Serialize)]
#[serde(untagged)]
enum ShownAccount<'a> {
    MetaCloud {
        #[serde(skip_serializing_if = "str::is_empty")]
        business_account_id: &'a str,
        marketing_messages: &'static str,
    },
    Infobip {
        bulk_max: usize,
        auth: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        client_id: &'a str,
        settle_by: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        notify_url: Option<&'static str>,
    },
    Bird {
        workspace_id: &'a str,
        template_version: &'a str,
        template_values: &'static str,
        idempotency_header: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        callback_url: &'a str,
        callback_age_max: String,
    },
    WebexConnect {
        number_format: &'static str,
        auth: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        service_id: &'a str,
    },
    Botsquad {
        bot_id: &'a str,
        bulk_max: usize,
        allow_braces: bool,
        optout_pattern: &'a str,
        poll_max: String,
        profile: Box<ShownProfile<'a>>,
    },
    Sandbox {
        bulk_max: usize,
    },
}

impl<'a> ShownAccount<'a> {
    fn of(account: &'a Account) -> Self {
        match account {
            Account::MetaCloud(own) => Self::MetaCloud {
                business_account_id: &own.business_account_id,
                marketing_messages: own.marketing.as_str(),
            },
            Account::Infobip(own) => Self::Infobip {
                bulk_max: own.bulk_max,
                auth: own.auth.as_str(),
                client_id: own.auth.client_id(),
                settle_by: own.settle_by.as_str(),
                notify_url: (!own.notify_url.reveal().is_empty()).then_some(HIDDEN),
            },
            Account::Bird(own) => Self::Bird {
                workspace_id: &own.workspace_id,
                template_version: &own.template_version,
                template_values: own.template_values.as_str(),
                idempotency_header: own.idempotency_header_name(),
                callback_url: &own.callback_url,
                callback_age_max: duration_text(own.callback_age_max),
            },
            Account::WebexConnect(own) => {
                let (auth, service_id) = match &own.auth {
                    Auth::ServiceKey => ("service-key", ""),
                    Auth::Jwt { service_id } => ("jwt", service_id.as_str()),
                };
                Self::WebexConnect {
                    number_format: match own.number_format {
                        NumberFormat::Digits => "digits",
                        NumberFormat::Plus => "plus",
                    },
                    auth,
                    service_id,
                }
            }
            Account::Botsquad(own) => Self::Botsquad {
                bot_id: &own.bot_id,
                bulk_max: own.bulk_max,
                allow_braces: own.allow_braces,
                optout_pattern: own.optout_pattern.as_str(),
                poll_max: duration_text(own.poll_max),
                profile: Box::new(ShownProfile::of(&own.profile)),
            },
            Account::Sandbox(own) => Self::Sandbox {
                bulk_max: own.bulk_max,
            },
        }
    }
}

/// Where Botsquad's names and places are.
#[derive(Serialize)]
struct ShownProfile<'a> {
    create_path: &'a str,
    status_path: &'a str,
    template_name_key: &'a str,
    template_language_key: &'a str,
    language_shape: &'static str,
    user_address_key: &'a str,
    user_address_format: &'static str,
    user_params_key: &'a str,
    id_pointers: &'a [String],
    statuses_pointers: &'a [String],
    failures_pointers: &'a [String],
    statistics_pointers: &'a [String],
    item_address_keys: &'a [String],
    item_reason_keys: &'a [String],
    item_details_keys: &'a [String],
    status_map: BTreeMap<&'static str, &'a [String]>,
}

impl<'a> ShownProfile<'a> {
    fn of(profile: &'a Profile) -> Self {
        let map = &profile.status_map;
        Self {
            create_path: &profile.create_path,
            status_path: &profile.status_path,
            template_name_key: &profile.template_name_key,
            template_language_key: &profile.template_language_key,
            language_shape: match profile.language_shape {
                LanguageShape::Plain => "plain",
                LanguageShape::Code => "code",
            },
            user_address_key: &profile.user_address_key,
            user_address_format: match profile.user_address_format {
                AddressFormat::Plus => "plus",
                AddressFormat::Digits => "digits",
            },
            user_params_key: &profile.user_params_key,
            id_pointers: &profile.id_pointers,
            statuses_pointers: &profile.statuses_pointers,
            failures_pointers: &profile.failures_pointers,
            statistics_pointers: &profile.statistics_pointers,
            item_address_keys: &profile.item_address_keys,
            item_reason_keys: &profile.item_reason_keys,
            item_details_keys: &profile.item_details_keys,
            status_map: BTreeMap::from([
                ("pending", map.pending.as_slice()),
                ("sent", &map.sent),
                ("delivered", &map.delivered),
                ("read", &map.read),
                ("failed", &map.failed),
                ("cancelled", &map.cancelled),
            ]),
        }
    }
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
    sync: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_every: Option<String>,
}

#[derive(Serialize)]
struct ShownPolicy {
    phone_check: &'static str,
    phone_lenient: bool,
    strict: bool,
    invalid_max: f64,
    unknown: UnknownPolicy,
    unknown_hold: String,
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
            receipts: config.receipts_listen.map(listen),
            tenants: config.tenants.iter().map(ShownTenant::of).collect(),
        }
    }
}

impl<'a> ShownTenant<'a> {
    fn of(tenant: &'a Tenant) -> Self {
        let provider = &tenant.provider;
        let hidden = |secret: &Secret| (!secret.reveal().is_empty()).then_some(HIDDEN);
        Self {
            name: tenant.name.as_str(),
            logins: tenant.logins.iter().map(ShownLogin::of).collect(),
            provider: ShownProvider {
                kind: provider.kind().as_str(),
                base_url: &provider.base_url,
                access_token: hidden(&provider.access_token),
                ca_file: provider.ca_file.as_ref(),
                proxy: provider.proxy.as_ref().map(Proxy::shown),
                account: ShownAccount::of(&provider.account),
                app_secret: hidden(&provider.callbacks.app_secret),
                verify_token: hidden(&provider.callbacks.verify_token),
                receipts_secret: hidden(&provider.callbacks.path),
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
                sync: tenant.sync_every.is_some(),
                sync_every: tenant.sync_every.map(duration_text),
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
            unknown_hold: duration_text(tenant.unknown_hold),
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
        config.tenants[0].provider.access_token = Secret::new("EAAGhunter2");
        config.tenants[0].provider.callbacks.app_secret = Secret::new("hunter2");
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
