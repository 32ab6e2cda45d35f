//! Who may log in to a tenant's folder: names, and password hashes and keys, which are checked
//! without ever being shown.

use std::collections::BTreeMap;

use argon2::PasswordHash;
use ipnet::IpNet;

use super::file::{Section, shown_text};
use super::problem::Place;
use crate::batch::TenantName;
use crate::sftp::{self, AuthorizedKey, Gate, Require};

/// The longest user name, in bytes.
const USER_BYTES_MAX: usize = 64;
/// The most memory that one try at a password may cost, in KiB: anyone can try.
const HASH_MEMORY_KIB_MAX: u32 = 256 << 10;

/// The user names seen so far, and where: one user opens one tenant.
pub(super) type Users = BTreeMap<String, Place>;

/// What a user name may be.
const USER_TAKES: &str = "1 to 64 letters, digits and `.` `_` `-` `+` `@`, in quotes";

/// The logins of one tenant; `users` gains their names.
pub(super) fn logins(
    top: &Section<'_>,
    tenant: &TenantName,
    users: &mut Users,
) -> Vec<sftp::Login> {
    let sections = top.sections("logins");
    if sections.is_empty() && !top.has("logins") {
        let text = "there is no `[[logins]]`, so nobody can log in; add one with `user` and with \
                    `password_hash` or `authorized_keys`";
        top.problem("logins", text);
    }
    sections
        .iter()
        .map(|section| login(section, tenant, users))
        .collect()
}

fn login(section: &Section<'_>, tenant: &TenantName, users: &mut Users) -> sftp::Login {
    section.require("user", "write `user = \"name\"`");
    let user = section.read("user", USER_TAKES, |value| {
        value.as_str().filter(|user| is_user(user))
    });
    if let Some(user) = user {
        let place = section.place("user");
        if let Some(first) = users.get(user) {
            let first = first.file_and_line();
            let text = format!(
                "the user `{user}` stands in {first} already; each login needs a name of its own"
            );
            section.problem("user", text);
        } else {
            users.insert(user.to_owned(), place);
        }
    }
    let password_hash = section.text("password_hash");
    if let Some(problem) = password_hash.and_then(|hash| check_password_hash(hash).err()) {
        let full = section.full("password_hash");
        section.problem("password_hash", format!("`{full}` {problem}"));
    }
    let (has_key, authorized_keys) = authorized_keys(section);
    let who = user.map_or("this login".into(), |user| format!("`{user}`"));
    if !section.has("password_hash") && !has_key {
        let text = format!("{who} has no way in; give it `password_hash` or `authorized_keys`");
        section.problem("user", text);
    }
    let require = section.word(
        "require",
        &[
            ("any", Require::Any),
            ("key-and-password", Require::KeyAndPassword),
        ],
    );
    if require == Some(Require::KeyAndPassword) && !(section.has("password_hash") && has_key) {
        let text = format!("{who} needs both `authorized_keys` and `password_hash` for that");
        section.problem("require", text);
    }
    sftp::Login {
        user: user.unwrap_or_default().to_owned(),
        tenant: tenant.clone(),
        password_hash: password_hash.unwrap_or_default().to_owned(),
        authorized_keys,
        allow_from: networks(section, "allow_from"),
        require: require.unwrap_or_default(),
    }
}

/// The keys of a login, and whether there is any, good or not.
fn authorized_keys(section: &Section<'_>) -> (bool, Vec<AuthorizedKey>) {
    let lines = section.texts("authorized_keys");
    let mut keys = Vec::new();
    for (at, line) in &lines {
        match AuthorizedKey::parse(line) {
            Ok(key) => keys.push(key),
            Err(problem) => {
                let full = section.full("authorized_keys");
                let text = format!("`{full}` holds {problem}");
                section.file().problem(*at, text);
            }
        }
    }
    (!lines.is_empty(), keys)
}

/// Networks and addresses.
pub(super) fn networks(section: &Section<'_>, key: &str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (at, text) in section.texts(key) {
        if let Some(network) = Gate::network(text) {
            networks.push(network);
        } else {
            let (full, text) = (section.full(key), shown_text(text));
            let text = format!(
                "`{full}` holds {text}; it takes networks such as `10.0.0.0/8` and addresses such \
                 as `192.0.2.7`"
            );
            section.file().problem(at, text);
        }
    }
    networks
}

/// Whether `text` can be a user name.
fn is_user(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-+@".contains(&b);
    (1..=USER_BYTES_MAX).contains(&text.len()) && text.bytes().all(good)
}

/// Looks at a password's hash. The error is to stand after its name.
fn check_password_hash(text: &str) -> Result<(), String> {
    const CURE: &str = "make one with `dropcast hash-password`";
    let Ok(hash) = PasswordHash::new(text) else {
        return Err(format!("is not a password hash; {CURE}"));
    };
    if hash.algorithm != argon2::ARGON2ID_IDENT {
        return Err(format!("is not an argon2id hash; {CURE}"));
    }
    let params = argon2::Params::try_from(&hash);
    match params {
        Ok(params) if hash.salt.is_some() && hash.hash.is_some() => {
            if params.m_cost() > HASH_MEMORY_KIB_MAX {
                let most = HASH_MEMORY_KIB_MAX >> 10;
                return Err(format!("takes more than {most} MiB for each login; {CURE}"));
            }
            Ok(())
        }
        _ => Err(format!("is only a part of a hash; {CURE}")),
    }
}
