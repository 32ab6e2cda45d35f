//! What Botsquad wants to know, and where its undocumented names and places are, for whoever sees
//! real ones.

use std::time::Duration;

use toml::de::DeValue;

use super::Provider;
use crate::config::file::Section;
use crate::provider::botsquad::{
    AddressFormat, BULK_MAX, LanguageShape, POLL_MAX, Pattern, Profile, Settings,
};
use crate::provider::{Account, Kind};

pub(super) const PROVIDER: Provider = Provider {
    kind: Kind::Botsquad,
    url: "https://bsqd.me/api",
    example: "https://bsqd.me/api",
    token: "the token",
    keys: &[
        "bulk_max",
        "bot_id",
        "allow_braces",
        "optout_pattern",
        "poll_max",
        "profile",
    ],
    account,
};

fn account(section: &Section<'_>) -> Account {
    let defaults = Settings::default();
    let cure = "write the bot's id, which stands in the address of its page";
    section.require("bot_id", cure);
    let takes = "the bot's id, letters, digits and dashes";
    let bot_id = section.read("bot_id", takes, |value| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let id = value.as_str()?;
        (!id.is_empty() && id.bytes().all(good)).then_some(id)
    });
    let most = section.count("bulk_max", 1..=BULK_MAX as u64);
    let most = most.and_then(|most| usize::try_from(most).ok());
    let takes = "a regular expression, such as `(?i)opt.?out`";
    let pattern = section.read("optout_pattern", takes, |value| {
        Pattern::parse(value.as_str()?)
    });
    let poll_max = section.duration("poll_max", Duration::ZERO..=POLL_MAX);
    Account::Botsquad(Box::new(Settings {
        bot_id: bot_id.unwrap_or_default().to_owned(),
        bulk_max: most.unwrap_or(defaults.bulk_max),
        allow_braces: section.flag("allow_braces").unwrap_or_default(),
        optout_pattern: pattern.unwrap_or(defaults.optout_pattern),
        poll_max: poll_max.unwrap_or(defaults.poll_max),
        profile: profile(section),
    }))
}

/// The table of names and places; what it leaves out stays as it is proposed.
fn profile(section: &Section<'_>) -> Profile {
    let mut profile = Profile::default();
    let tables = section.tables("profile", "provider.profile");
    let Some([table]) = tables.as_deref() else {
        return profile;
    };
    for (key, path) in [
        ("create_path", &mut profile.create_path),
        ("status_path", &mut profile.status_path),
    ] {
        let takes = "a path that begins with `/`, or with `{create_path}`";
        let is_path = |text: &&str| text.starts_with(['/', '{']) && is_plain(text);
        let read = table.read(key, takes, |value| value.as_str().filter(is_path));
        replace(path, read.map(str::to_owned));
    }
    for (key, name) in [
        ("template_name_key", &mut profile.template_name_key),
        ("template_language_key", &mut profile.template_language_key),
        ("user_address_key", &mut profile.user_address_key),
        ("user_params_key", &mut profile.user_params_key),
    ] {
        let read = table.read(key, "the name of a member", |value| {
            value.as_str().filter(|text| is_plain(text))
        });
        replace(name, read.map(str::to_owned));
    }
    let shapes = [
        ("plain", LanguageShape::Plain),
        ("code", LanguageShape::Code),
    ];
    let shape = table.word("language_shape", &shapes);
    replace(&mut profile.language_shape, shape);
    let formats = [
        ("plus", AddressFormat::Plus),
        ("digits", AddressFormat::Digits),
    ];
    let format = table.word("user_address_format", &formats);
    replace(&mut profile.user_address_format, format);
    lists(table, &mut profile);
    profile
}

fn lists(table: &Section<'_>, profile: &mut Profile) {
    for (key, pointers) in [
        ("id_pointers", &mut profile.id_pointers),
        ("statuses_pointers", &mut profile.statuses_pointers),
        ("failures_pointers", &mut profile.failures_pointers),
        ("statistics_pointers", &mut profile.statistics_pointers),
    ] {
        let takes = "a list of JSON Pointers, such as `[\"/data/id\"]`";
        let read = table.read(key, takes, |value| {
            texts(value).filter(|texts| texts.iter().all(|text| text.starts_with('/')))
        });
        replace(pointers, read);
    }
    for (key, names) in [
        ("item_address_keys", &mut profile.item_address_keys),
        ("item_reason_keys", &mut profile.item_reason_keys),
        ("item_details_keys", &mut profile.item_details_keys),
    ] {
        replace(names, words(table, key));
    }
    let tables = table.tables("status_map", "provider.profile.status_map");
    let Some([map]) = tables.as_deref() else {
        return;
    };
    let own = &mut profile.status_map;
    for (key, known) in [
        ("pending", &mut own.pending),
        ("sent", &mut own.sent),
        ("delivered", &mut own.delivered),
        ("read", &mut own.read),
        ("failed", &mut own.failed),
        ("cancelled", &mut own.cancelled),
    ] {
        replace(known, words(map, key));
    }
}

fn words(table: &Section<'_>, key: &str) -> Option<Vec<String>> {
    table.read(key, "a list of words, such as `[\"phone\"]`", texts)
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    items.map(|item| text(item.get_ref().as_str()?)).collect()
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn replace<T>(old: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *old = new;
    }
}
