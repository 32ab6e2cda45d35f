//! How a tenant's messages leave: its provider and its numbers.

use std::collections::BTreeMap;

use url::{Host, Url};

use super::file::{Section, shown_text};
use super::problem::Place;
use super::secret;
use crate::batch::Phone;
use crate::delivery::Sender;
use crate::provider::{self, Kind, NoProxy, Proxy, Secret};

const META_CLOUD_URL: &str = "https://graph.facebook.com/v25.0";
const META_CLOUD_RATE: f64 = 80.0;
const RATE_MAX: f64 = 100_000.0;

/// Why the sandbox has no use for what a provider needs.
const IDLE: &str = "the sandbox is built in";

/// Providers that a tenant may come to use, and that this version does not send through.
const KINDS_TO_COME: [&str; 4] = ["infobip", "bird", "webex-connect", "botsquad"];

/// The provider. What its kind needs must be there.
pub(super) fn provider(section: &Section<'_>) -> provider::Settings {
    let cure = "write `kind = \"meta-cloud\"`, or `kind = \"sandbox\"` to try things out";
    section.require("kind", cure);
    let to_come = section
        .peek("kind")
        .filter(|kind| KINDS_TO_COME.contains(kind));
    let kind = if let Some(kind) = to_come {
        let text = format!(
            "`{}` is `{kind}`, but this version sends through `meta-cloud` and `sandbox` only",
            section.full("kind")
        );
        section.problem("kind", text);
        None
    } else {
        section.word(
            "kind",
            &[("meta-cloud", Kind::MetaCloud), ("sandbox", Kind::Sandbox)],
        )
    };
    section.path("app_secret_file");
    let business_account_id = section.text("business_account_id").unwrap_or_default();
    let mut settings = provider::Settings {
        kind: kind.unwrap_or(Kind::Sandbox),
        base_url: String::new(),
        access_token: Secret::default(),
        business_account_id: business_account_id.to_owned(),
        ca_file: None,
        proxy: None,
        bulk_max: 1,
    };
    match kind {
        Some(Kind::MetaCloud) => {
            let cure = "write the name of a file that holds the access token";
            section.require("access_token_file", cure);
            settings.base_url = base_url(section).unwrap_or_else(|| META_CLOUD_URL.into());
            settings.access_token =
                secret::secret(section, "access_token_file").unwrap_or_default();
            settings.ca_file = secret::certificates(section, "ca_file");
            settings.proxy = proxy(section);
            bulk_max(section);
            section.note_idle("bulk_max", "this provider takes one message in a request");
        }
        Some(Kind::Sandbox) => {
            // What is for trying out never reaches a provider, whatever was left in the settings.
            match base_url(section).filter(|url| url.starts_with("http://")) {
                Some(url) => settings.base_url = url,
                None => section.note_idle("base_url", IDLE),
            }
            for key in ["access_token_file", "ca_file", "proxy"] {
                section.text(key);
                section.note_idle(key, IDLE);
            }
            settings.bulk_max = bulk_max(section).unwrap_or(1);
        }
        // What is given is looked at all the same, so that one mending is enough.
        None => {
            base_url(section);
            secret::secret(section, "access_token_file");
            secret::certificates(section, "ca_file");
            proxy(section);
            bulk_max(section);
        }
    }
    settings
}

/// How many messages the sandbox is handed in one request.
fn bulk_max(section: &Section<'_>) -> Option<usize> {
    let most = section.count("bulk_max", 1..=provider::Settings::BULK_MAX as u64)?;
    usize::try_from(most).ok()
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
fn base_url(section: &Section<'_>) -> Option<String> {
    const KEY: &str = "base_url";
    let text = section.text(KEY)?;
    let full = section.full(KEY);
    // Said without the value, which may hold a password.
    let Ok(url) = Url::parse(text) else {
        let text = format!("`{full}` is no web address; it takes one such as `{META_CLOUD_URL}`");
        section.problem(KEY, text);
        return None;
    };
    let is_bare = url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        let text = format!(
            "`{full}` has a user name, a `?` or a `#`; it takes a plain web address such as \
             `{META_CLOUD_URL}`"
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

/// The numbers that messages leave from.
pub(super) fn senders(top: &Section<'_>, kind: Kind) -> Vec<Sender> {
    let sections = top.sections("senders");
    if sections.is_empty() && !top.has("senders") {
        match kind {
            Kind::MetaCloud => top.problem(
                "senders",
                "there is no `[[senders]]`, so nothing can be sent; add one with `number` and \
                 `phone_number_id`",
            ),
            Kind::Sandbox => top.file().note_whole(format!(
                "there is no `[[senders]]` in {}, so none of its messages can be sent",
                top.file().path().display()
            )),
        }
    }
    let mut seen = BTreeMap::new();
    let mut senders = Vec::new();
    for section in &sections {
        refuse_second(section, "number", &mut seen);
        refuse_second(section, "phone_number_id", &mut seen);
        senders.extend(sender(section, kind));
    }
    senders
}

fn sender(section: &Section<'_>, kind: Kind) -> Option<Sender> {
    section.require(
        "number",
        "write it with its country code, such as `\"+15550001111\"`",
    );
    let takes = "`+` and 7 to 15 digits, such as `\"+15550001111\"`";
    let number = section.read("number", takes, |value| Phone::from_e164(value.as_str()?));
    let takes = "the id that the provider gives the number, digits in quotes";
    let provider_id = section.read("phone_number_id", takes, |value| {
        let good = |id: &&str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        value.as_str().filter(good)
    });
    if kind == Kind::MetaCloud {
        let cure = "it stands beside the number in the provider's console";
        section.require("phone_number_id", cure);
    }
    let takes = format!("a number above 0 and up to {RATE_MAX}");
    let rate = section.number("messages_per_second", &takes, |rate| {
        rate > 0.0 && rate <= RATE_MAX
    });
    let number = number?;
    // The sandbox takes any id, and the digits of the number are one that people recognise.
    let digits = number.as_str().trim_start_matches('+');
    Some(Sender {
        provider_id: provider_id.unwrap_or(digits).to_owned(),
        messages_per_second: rate.unwrap_or(META_CLOUD_RATE),
        number,
    })
}

/// Two senders with one number, or one id, are a slip of the hand: messages would leave from
/// another number than the file says.
fn refuse_second<'a>(
    section: &Section<'a>,
    key: &'static str,
    seen: &mut BTreeMap<(&'static str, &'a str), Place>,
) {
    let Some(value) = section.peek(key) else {
        return;
    };
    let place = section.place(key);
    if let Some(first) = seen.get(&(key, value)) {
        let (full, value, line) = (section.full(key), shown_text(value), first.line);
        let text =
            format!("`{full}` is {value}, as in line {line} already; each sender has its own");
        section.problem(key, text);
    } else {
        seen.insert((key, value), place);
    }
}
