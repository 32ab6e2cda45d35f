//! What Webex Connect wants to know.

use super::Provider;
use crate::config::file::Section;
use crate::provider::webex_connect::{Auth, NumberFormat, Settings, is_secret};
use crate::provider::{Account, Kind, Secret};

pub(super) const PROVIDER: Provider = Provider {
    kind: Kind::WebexConnect,
    url: "https://api.us.webexconnect.io",
    example: "https://api.us.webexconnect.io",
    token: "the service key",
    keys: &["auth", "service_id", "number_format"],
    account,
};

/// The ways to be let in, by their names.
#[derive(Clone, Copy)]
enum Way {
    ServiceKey,
    Jwt,
}

fn account(section: &Section<'_>) -> Account {
    let formats = [
        ("digits", NumberFormat::Digits),
        ("plus", NumberFormat::Plus),
    ];
    let number_format = section.word("number_format", &formats);
    let ways = [("service-key", Way::ServiceKey), ("jwt", Way::Jwt)];
    let service_id = section.text("service_id").unwrap_or_default();
    let auth = match section.word("auth", &ways) {
        Some(Way::Jwt) => {
            let cure = "write the service's id, beside which its secret stands in the portal";
            section.require("service_id", cure);
            Auth::Jwt {
                service_id: service_id.to_owned(),
            }
        }
        Some(Way::ServiceKey) | None => {
            section.note_idle("service_id", "it is for `auth = \"jwt\"`");
            Auth::ServiceKey
        }
    };
    Account::WebexConnect(Settings {
        number_format: number_format.unwrap_or_default(),
        auth,
    })
}

/// Tells that tokens cannot be made of the secret, while somebody is looking.
pub(super) fn check(section: &Section<'_>, account: &Account, secret: Option<&Secret>) {
    let Account::WebexConnect(Settings {
        auth: Auth::Jwt { .. },
        ..
    }) = account
    else {
        return;
    };
    if secret.is_some_and(|secret| !is_secret(secret.reveal())) {
        let key = "access_token_file";
        let text = format!(
            "`{}` names a file whose text is not base64; with `auth = \"jwt\"` it takes the service \
             secret as the portal shows it",
            section.full(key)
        );
        section.problem(key, text);
    }
}
