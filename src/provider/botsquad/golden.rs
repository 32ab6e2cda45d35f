//! The adapter against its golden cases.

use serde_json::Value;

use super::*;
use crate::provider::golden::{self, Golden};

fn settings(of: &Value) -> Settings {
    let mut settings = Settings {
        bot_id: "0c7a41f8-5a1e-4d0e-9b1a-2f5f6c7d8e9f".into(),
        allow_braces: of["allowBraces"] == true,
        ..Settings::default()
    };
    if let Some(seconds) = of["pollSeconds"].as_u64() {
        settings.poll_max = Duration::from_secs(seconds);
    }
    let profile = &mut settings.profile;
    if of["profile"] == "other" {
        profile.create_path = "/bot/{bot_id}/broadcasts".into();
        profile.status_path = "/bot/{bot_id}/broadcast-status/{id}".into();
        profile.template_name_key = "template_id".into();
        profile.template_language_key = "language_code".into();
        profile.language_shape = LanguageShape::Code;
        profile.user_address_key = "addr".into();
        profile.user_address_format = AddressFormat::Digits;
        profile.user_params_key = "values".into();
        profile.id_pointers = vec!["/result/0/key".into()];
        profile.statuses_pointers = vec!["/result".into()];
        profile.item_address_keys = vec!["who".into()];
        profile.item_reason_keys = vec!["why".into()];
        profile.status_map.failed = vec!["kaput".into()];
    }
    settings
}

const GOLDEN: Golden = Golden {
    folder: "botsquad",
    adapter: |of| {
        let url = "https://bsqd.me/api".into();
        Box::new(Botsquad::new(url, golden::token(), settings(of)))
    },
    schema: |_| None,
    exceptions: &[],
};

/// A change of what is sent or of what an answer means must be seen by whoever reviews it.
#[test]
fn requests_and_outcomes_are_as_agreed() {
    GOLDEN.hold();
    assert!(GOLDEN.cases().len() >= 40);
}
