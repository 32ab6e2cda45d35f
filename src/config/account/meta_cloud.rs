//! What Meta's Cloud API wants to know.

use super::Provider;
use crate::config::file::Section;
use crate::provider::meta_cloud::Marketing;
use crate::provider::{Account, Kind, meta_cloud};

pub(super) const PROVIDER: Provider = Provider {
    kind: Kind::MetaCloud,
    url: "https://graph.facebook.com/v25.0",
    example: "https://graph.facebook.com/v25.0",
    token: "the access token",
    keys: &["business_account_id", "marketing_messages"],
    account,
};

fn account(section: &Section<'_>) -> Account {
    let ways = Marketing::ALL.map(|way| (way.as_str(), way));
    let business_account_id = section.text("business_account_id").unwrap_or_default();
    Account::MetaCloud(meta_cloud::Settings {
        business_account_id: business_account_id.to_owned(),
        marketing: section
            .word("marketing_messages", &ways)
            .unwrap_or_default(),
    })
}
