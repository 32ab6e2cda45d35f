//! Every setting by name, and which of them change nothing in this version. What their values must
//! look like is for the files that read them to know.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::File;
use super::problem::either;

/// How alike two names must be for "did you mean", from 0 to 1.
const LIKENESS_MIN: f64 = 0.85;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its section and name, as in `sftp.listen`.
    pub(super) name: &'static str,
    /// Why it changes nothing in this version; empty when it is in effect.
    pub(super) idle: &'static str,
}

/// The settings of one kind of file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// All of them.
    pub(super) all: &'static [Key],
    /// The sections that may stand there several times, as `[[logins]]`.
    lists: &'static [&'static str],
    /// The settings of the other kind of file, and what to say when one of them stands here.
    others: &'static [Key],
    others_belong: &'static str,
}

const fn key(name: &'static str) -> Key {
    Key { name, idle: "" }
}

const fn idle(name: &'static str, idle: &'static str) -> Key {
    Key { name, idle }
}

const NO_QUOTA: &str = "this is not limited";

const MAIN_KEYS: &[Key] = &[
    key("data_dir"),
    key("tenants_dir"),
    key("sftp.listen"),
    key("sftp.connections_per_address_max"),
    key("sftp.shared_addresses"),
    key("sftp.proxy_from"),
    key("admin.listen"),
    idle("admin.api_token_file", "only health and metrics are served"),
    key("receipts.listen"),
    key("retention.processed"),
    key("retention.results"),
    key("retention.content"),
    key("retention.history"),
];

const TENANT_KEYS: &[Key] = &[
    key("logins.user"),
    key("logins.password_hash"),
    key("logins.authorized_keys"),
    key("logins.allow_from"),
    key("logins.require"),
    key("provider.kind"),
    key("provider.base_url"),
    key("provider.access_token_file"),
    key("provider.business_account_id"),
    key("provider.marketing_messages"),
    key("provider.app_secret_file"),
    key("provider.verify_token_file"),
    key("provider.receipts_secret_file"),
    key("provider.ca_file"),
    key("provider.proxy"),
    key("provider.bulk_max"),
    key("provider.auth"),
    key("provider.client_id"),
    key("provider.settle_by"),
    key("provider.notify_url_file"),
    key("provider.workspace_id"),
    key("provider.template_version"),
    key("provider.template_values"),
    key("provider.idempotency_header"),
    key("provider.callback_url"),
    key("provider.callback_age_max"),
    key("provider.service_id"),
    key("provider.number_format"),
    key("provider.bot_id"),
    key("provider.allow_braces"),
    key("provider.optout_pattern"),
    key("provider.poll_max"),
    key("provider.profile.create_path"),
    key("provider.profile.status_path"),
    key("provider.profile.template_name_key"),
    key("provider.profile.template_language_key"),
    key("provider.profile.language_shape"),
    key("provider.profile.user_address_key"),
    key("provider.profile.user_address_format"),
    key("provider.profile.user_params_key"),
    key("provider.profile.id_pointers"),
    key("provider.profile.statuses_pointers"),
    key("provider.profile.failures_pointers"),
    key("provider.profile.statistics_pointers"),
    key("provider.profile.item_address_keys"),
    key("provider.profile.item_reason_keys"),
    key("provider.profile.item_details_keys"),
    key("provider.profile.status_map.pending"),
    key("provider.profile.status_map.sent"),
    key("provider.profile.status_map.delivered"),
    key("provider.profile.status_map.read"),
    key("provider.profile.status_map.failed"),
    key("provider.profile.status_map.cancelled"),
    key("senders.number"),
    key("senders.phone_number_id"),
    key("senders.channel_id"),
    key("senders.app_id"),
    key("senders.messages_per_second"),
    key("templates.dir"),
    key("templates.sync"),
    key("templates.sync_every"),
    key("policy.phone_check"),
    key("policy.phone_lenient"),
    key("policy.strict"),
    key("policy.invalid_max"),
    key("policy.unknown"),
    key("policy.unknown_hold"),
    key("policy.duplicate_window"),
    key("policy.default_validity"),
    key("policy.default_validity_authentication"),
    idle(
        "policy.session_window",
        "the provider alone decides whether a session is open",
    ),
    idle("policy.delivery_window", "no delivery file is written"),
    key("policy.time_zone"),
    // What stands in it is for `hours` to look through: it is one or several.
    key("policy.quiet_hours"),
    key("policy.trigger"),
    key("policy.settle_ms"),
    key("limits.bytes_max"),
    key("limits.expanded_bytes_max"),
    key("limits.rows_max"),
    key("limits.row_bytes_max"),
    key("limits.depth_max"),
    key("limits.faults_max"),
    key("limits.files_max"),
    key("limits.folder_bytes_max"),
    key("limits.sessions_max"),
    idle("limits.open_batches_max", NO_QUOTA),
    idle("limits.rows_per_day_max", NO_QUOTA),
    key("results.formats"),
    key("results.gzip"),
    key("retention.processed"),
    key("retention.results"),
    key("retention.content"),
    key("retention.history"),
];

/// The settings of `dropcast.toml`.
pub(super) const MAIN: Keys = Keys {
    all: MAIN_KEYS,
    lists: &[],
    others: TENANT_KEYS,
    others_belong: "a tenant's own file in `tenants_dir`",
};

/// The settings of a tenant's file.
pub(super) const TENANT: Keys = Keys {
    all: TENANT_KEYS,
    lists: &["logins", "senders"],
    others: MAIN_KEYS,
    others_belong: "`dropcast.toml`",
};

impl Keys {
    /// Finds what nobody knows, what has the wrong shape, and what changes nothing.
    pub(super) fn look_through(&self, file: &File<'_>, table: &DeTable<'_>, section: &str) {
        for (name, value) in table {
            let full = join(section, name.get_ref());
            if let Some(key) = self.all.iter().find(|key| key.name == full) {
                if !key.idle.is_empty() {
                    file.note_idle(name.span().start, key.name, key.idle);
                }
            } else if self.all.iter().any(|key| within(key.name, &full).is_some()) {
                self.look_through_section(file, value, &full);
            } else {
                let text = self.unknown(section, name.get_ref());
                file.problem(name.span().start, text);
            }
        }
    }

    fn look_through_section(&self, file: &File<'_>, value: &Spanned<DeValue<'_>>, section: &str) {
        let header = self.header(section);
        let is_list = self.lists.contains(&section);
        let tables: Option<Vec<&DeTable<'_>>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_table()).collect(),
            _ => None,
        };
        let text = match (value.get_ref(), tables) {
            (DeValue::Table(table), _) if !is_list => {
                return self.look_through(file, table, section);
            }
            (_, Some(tables)) if is_list => {
                for table in tables {
                    self.look_through(file, table, section);
                }
                return;
            }
            (DeValue::Table(_), _) => format!(
                "`{section}` may stand several times: write `{header}`, in double brackets, above \
                 each"
            ),
            (_, Some(_)) => {
                format!("`{section}` stands only once: write `{header}`, in single brackets")
            }
            _ => format!(
                "`{section}` is a section: write `{header}` on a line of its own, and its settings \
                 below it"
            ),
        };
        file.problem(value.span().start, text);
    }

    /// What to say about `section.name`, which is no setting.
    fn unknown(&self, section: &str, name: &str) -> String {
        let full = join(section, name);
        let homes: Vec<String> = self
            .all
            .iter()
            .filter(|key| last(key.name) == name)
            .map(|key| self.home(key.name))
            .collect();
        if !homes.is_empty() {
            let homes = either(&homes);
            return format!("`{name}` does not belong here; it belongs {homes}");
        }
        let here = self.names_in(section);
        if let Some(known) = alike(name, here.iter().copied(), |known| known) {
            return format!("`{full}` is not a setting; did you mean `{known}`?");
        }
        let foreign = |key: &&Key| key.name == full || within(key.name, &full).is_some();
        if self.others.iter().any(|key| foreign(&key)) {
            let belong = self.others_belong;
            return format!("`{full}` is not a setting of this file; it belongs in {belong}");
        }
        let anywhere = self.all.iter().map(|key| key.name);
        if let Some(known) = alike(name, anywhere, last) {
            let (known, home) = (last(known), self.home(known));
            return format!("`{full}` is not a setting; did you mean `{known}` {home}?");
        }
        let here: Vec<String> = here.iter().map(|known| format!("`{known}`")).collect();
        let here = here.join(", ");
        format!("`{full}` is not a setting; the settings here are {here}")
    }

    /// The names that may stand in `section`, each once, in the order of the table.
    fn names_in(&self, section: &str) -> Vec<&'static str> {
        let mut names = Vec::new();
        for key in self.all {
            let rest = if section.is_empty() {
                Some(key.name)
            } else {
                within(key.name, section)
            };
            let name = rest.and_then(|rest| rest.split('.').next());
            names.extend(name.filter(|name| !names.contains(name)));
        }
        names
    }

    /// Where the setting `full` belongs, to stand after "belongs".
    fn home(&self, full: &str) -> String {
        match full.rsplit_once('.') {
            Some((section, _)) => format!("under `{}`", self.header(section)),
            None => "at the top of the file, above the first `[section]`".into(),
        }
    }

    fn header(&self, section: &str) -> String {
        if self.lists.contains(&section) {
            format!("[[{section}]]")
        } else {
            format!("[{section}]")
        }
    }
}

/// The one among `names` that is most like `name`, if any is like it at all; `part` gives what is
/// compared.
pub(super) fn alike(
    name: &str,
    names: impl Iterator<Item = &'static str>,
    part: impl Fn(&'static str) -> &'static str,
) -> Option<&'static str> {
    names
        .map(|known| (strsim::jaro_winkler(part(known), name), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// What follows `section.` in `name`; `None` when it is not in that section.
fn within<'a>(name: &'a str, section: &str) -> Option<&'a str> {
    name.strip_prefix(section)?.strip_prefix('.')
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
