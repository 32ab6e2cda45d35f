//! The adapter against its golden cases, and against the schema that its vendor has published.

use super::*;
use crate::provider::golden::{self, Golden};

/// The workspace of every golden case.
const WORKSPACE: &str = "7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9d10";

const GOLDEN: Golden = Golden {
    folder: "bird",
    adapter: |settings| {
        let text = |key: &str| settings[key].as_str();
        let values = TemplateValues::ALL.iter();
        let mut values = values.filter(|(name, _)| text("template_values") == Some(name));
        let defaults = Settings::default();
        let own = Settings {
            workspace_id: WORKSPACE.into(),
            template_version: text("template_version")
                .map_or(defaults.template_version, Into::into),
            template_values: values.next().map_or(defaults.template_values, |it| it.1),
            callback_url: String::new(),
            callback_age_max: defaults.callback_age_max,
            idempotency_header: text("idempotency_header").and_then(|name| {
                let mut known = IDEMPOTENCY_HEADERS.iter().filter(|it| it.0 == name);
                known.next()?.1
            }),
        };
        let url = "https://api.bird.com".into();
        Box::new(Bird::new(url, golden::token(), own))
    },
    schema: |_| Some("bird/create-message.request"),
    exceptions: &[],
};

/// A change of what is sent or of what an answer means must be seen by whoever reviews it.
#[test]
fn requests_and_outcomes_are_as_agreed() {
    GOLDEN.hold();
}

/// A request that the provider's own description refuses would fail for every tenant.
#[test]
fn requests_keep_to_the_published_schema() {
    let judged = GOLDEN.judge_requests();
    assert!(judged >= 25, "{judged}");
}
