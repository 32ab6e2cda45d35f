//! What Infobip wants to know.

use url::Url;

use super::Provider;
use crate::config::file::Section;
use crate::config::secret;
use crate::provider::infobip::{Auth, BULK, BULK_MAX, Settings, SettleBy};
use crate::provider::{Account, Kind, Secret};

pub(super) const PROVIDER: Provider = Provider {
    kind: Kind::Infobip,
    url: "",
    example: "https://abc123.api.infobip.com",
    token: "the API key, the password or the client's secret",
    keys: &[
        "bulk_max",
        "auth",
        "client_id",
        "settle_by",
        "notify_url_file",
    ],
    account,
};

/// The longest address that reports go to, in characters.
const NOTIFY_URL_MAX: usize = 2048;

/// What the secret can be.
#[derive(Clone, Copy, PartialEq)]
enum Kinds {
    ApiKey,
    Basic,
    OAuth2,
}

fn account(section: &Section<'_>) -> Account {
    let most = section.count("bulk_max", 1..=BULK_MAX as u64);
    let most = most.and_then(|most| usize::try_from(most).ok());
    Account::Infobip(Settings {
        bulk_max: most.unwrap_or(BULK),
        auth: auth(section),
        settle_by: settle_by(section),
        notify_url: notify_url(section),
    })
}

fn settle_by(section: &Section<'_>) -> SettleBy {
    let ways = [SettleBy::Nothing, SettleBy::Logs, SettleBy::Reports];
    let way = section.word("settle_by", &ways.map(|way| (way.as_str(), way)));
    way.unwrap_or_default()
}

/// Where reports go: an address with a part that only Infobip knows.
fn notify_url(section: &Section<'_>) -> Secret {
    const KEY: &str = "notify_url_file";
    let Some(url) = secret::secret(section, KEY) else {
        return Secret::default();
    };
    let good = |it: &Url| matches!(it.scheme(), "https" | "http") && it.host().is_some();
    if url.reveal().len() > NOTIFY_URL_MAX || !Url::parse(url.reveal()).is_ok_and(|it| good(&it)) {
        // Said without the value, which is as good as a password.
        let text = format!(
            "`{}` holds no web address; it takes one of at most {NOTIFY_URL_MAX} characters, such \
             as `https://dropcast.example/receipts/acme/` with the secret of `receipts_secret_file`",
            section.full(KEY)
        );
        section.problem(KEY, text);
    }
    url
}

fn auth(section: &Section<'_>) -> Auth {
    let kinds = [
        ("api-key", Kinds::ApiKey),
        ("basic", Kinds::Basic),
        ("oauth2", Kinds::OAuth2),
    ];
    let kind = section.word("auth", &kinds).unwrap_or(Kinds::ApiKey);
    if kind == Kinds::OAuth2 {
        section.require("client_id", "write the id of the client whose secret it is");
    } else {
        section.note_idle("client_id", "only `auth = \"oauth2\"` has a client");
    }
    let client_id = section.text("client_id").unwrap_or_default().to_owned();
    match kind {
        Kinds::ApiKey => Auth::ApiKey,
        Kinds::Basic => Auth::Basic,
        Kinds::OAuth2 => Auth::OAuth2 { client_id },
    }
}
