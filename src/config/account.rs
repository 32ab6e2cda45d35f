//! How a tenant's messages leave: which provider, where it is, what lets requests in. What each
//! provider wants to know besides stands in a file of its own.

use url::{Host, Url};

use super::file::{Section, shown_text};
use super::{receiving, secret};
use crate::provider::{self, Account, Kind, NoProxy, Proxy};

mod bird;
mod botsquad;
mod infobip;
mod meta_cloud;
mod sandbox;
mod webex_connect;

/// What is known of a provider before its section is read.
#[derive(Clone, Copy)]
struct Provider {
    kind: Kind,
    /// Where its API begins if nothing else is set; empty where every account has its own address.
    url: &'static str,
    /// An address as they look.
    example: &'static str,
    /// What it calls the secret that lets requests in.
    token: &'static str,
    /// The keys that only some providers have, and this one does.
    keys: &'static [&'static str],
    /// Reads what it wants to know besides.
    account: fn(&Section<'_>) -> Account,
}

/// In the order in which people are told of them.
const PROVIDERS: [Provider; 5] = [
    meta_cloud::PROVIDER,
    infobip::PROVIDER,
    bird::PROVIDER,
    webex_connect::PROVIDER,
    botsquad::PROVIDER,
];

/// The provider. What its kind needs must be there.
pub(super) fn provider(section: &Section<'_>) -> provider::Settings {
    let cure = "write `kind = \"meta-cloud\"`, or `kind = \"sandbox\"` to try things out";
    section.require("kind", cure);
    let kind = section.word("kind", &Kind::ALL.map(|kind| (kind.as_str(), kind)));
    let known = PROVIDERS.iter().find(|known| Some(known.kind) == kind);
    match (kind, known) {
        (Some(Kind::Sandbox), _) => sandbox::settings(section),
        (_, Some(known)) => {
            require(section, known);
            settings(section, known)
        }
        // What is given is looked at all the same, so that one mending is enough.
        _ => {
            let read = settings(section, &meta_cloud::PROVIDER);
            provider::Settings {
                account: sandbox::account(1),
                ..read
            }
        }
    }
}

/// What must be there, and what has no meaning here.
fn require(section: &Section<'_>, known: &Provider) {
    let cure = format!("write the name of a file that holds {}", known.token);
    section.require("access_token_file", &cure);
    if known.url.is_empty() {
        let cure = format!("write your account's own, such as `{}`", known.example);
        section.require("base_url", &cure);
    }
    note_foreign(section, known.kind, known.keys);
}

fn settings(section: &Section<'_>, known: &Provider) -> provider::Settings {
    let base_url = base_url(section, known.example);
    let access_token = secret::secret(section, "access_token_file");
    let read = access_token.is_some();
    let account = (known.account)(section);
    webex_connect::check(section, &account, access_token.as_ref());
    provider::Settings {
        base_url: base_url.unwrap_or_else(|| known.url.into()),
        access_token: access_token.unwrap_or_default(),
        access_token_file: read.then(|| section.path("access_token_file")).flatten(),
        ca_file: secret::certificates(section, "ca_file"),
        proxy: proxy(section),
        callbacks: receiving::callbacks(section),
        account,
    }
}

/// Tells which settings are those of other providers.
fn note_foreign(section: &Section<'_>, kind: Kind, own: &[&str]) {
    for other in &PROVIDERS {
        for key in other.keys.iter().filter(|key| !own.contains(key)) {
            let why = format!("{} has no use for it", kind.as_str());
            section.note_idle(key, &why);
        }
    }
}

/// The HTTP proxy that the provider is reached through.
fn proxy(section: &Section<'_>) -> Option<Proxy> {
    const KEY: &str = "proxy";
    let parsed = Proxy::parse(section.text(KEY)?);
    let full = section.full(KEY);
    // Said without the value, which may hold a password.
    let text = match parsed {
        Ok(proxy) => return Some(proxy),
        Err(NoProxy::User) => format!(
            "`{full}` has a user name or password, which are not supported; let the proxy know \
             this machine by its address"
        ),
        Err(NoProxy::Scheme | NoProxy::Form) => format!(
            "`{full}` is no address of an HTTP proxy; it takes one such as \
             `http://proxy.example:3128`"
        ),
    };
    section.problem(KEY, text);
    None
}

/// Where the provider's API begins. Tokens go there, so it is encrypted unless it is this machine.
fn base_url(section: &Section<'_>, example: &str) -> Option<String> {
    const KEY: &str = "base_url";
    let text = section.text(KEY)?;
    let full = section.full(KEY);
    // Said without the value, which may hold a password.
    let Ok(url) = Url::parse(text) else {
        let text = format!("`{full}` is no web address; it takes one such as `{example}`");
        section.problem(KEY, text);
        return None;
    };
    let is_bare = url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        let text = format!(
            "`{full}` has a user name, a `?` or a `#`; it takes a plain web address such as \
             `{example}`"
        );
        section.problem(KEY, text);
        return None;
    }
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        let text = format!(
            "`{full}` is {}, which would send the access token unprotected; begin it with `https://`",
            shown_text(text)
        );
        section.problem(KEY, text);
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}
