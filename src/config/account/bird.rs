//! What Bird wants to know.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::Provider;
use crate::config::file::Section;
use crate::provider::bird::{self, IDEMPOTENCY_HEADERS, LATEST, TemplateValues};
use crate::provider::{Account, Kind};

pub(super) const PROVIDER: Provider = Provider {
    kind: Kind::Bird,
    url: "https://api.bird.com",
    example: "https://api.bird.com",
    token: "the access key",
    keys: &[
        "workspace_id",
        "template_version",
        "template_values",
        "idempotency_header",
        "callback_url",
        "callback_age_max",
    ],
    account,
};

/// How old a signature may be.
const AGE: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);

fn account(section: &Section<'_>) -> Account {
    let defaults = bird::Settings::default();
    section.require(
        "workspace_id",
        "write the id of your workspace at Bird, 36 letters, digits and dashes",
    );
    let takes = "the id of a workspace, 36 letters, digits and dashes; a handle that begins with \
                 `ws_` is none";
    let workspace_id = section.read("workspace_id", takes, uuid);
    let takes = "`latest`, or the id of one version, 36 letters, digits and dashes";
    let template_version = section.read("template_version", takes, |value| {
        let latest = value.as_str().filter(|text| *text == LATEST);
        latest.or_else(|| uuid(value))
    });
    let callback_url = section.text("callback_url").unwrap_or_default();
    if section.has("app_secret_file") {
        section.require(
            "callback_url",
            "write the address that Bird was told to call back: it is a part of what Bird signs",
        );
    }
    let callback_age_max = section.duration("callback_age_max", AGE);
    let template_values = section.word("template_values", &TemplateValues::ALL);
    Account::Bird(bird::Settings {
        workspace_id: workspace_id.unwrap_or_default().to_owned(),
        template_version: template_version.map_or(defaults.template_version, str::to_owned),
        template_values: template_values.unwrap_or(defaults.template_values),
        idempotency_header: section
            .word("idempotency_header", &IDEMPOTENCY_HEADERS)
            .flatten(),
        callback_url: callback_url.to_owned(),
        callback_age_max: callback_age_max.unwrap_or(defaults.callback_age_max),
    })
}

fn uuid<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    value.as_str().filter(|text| bird::is_uuid(text))
}
