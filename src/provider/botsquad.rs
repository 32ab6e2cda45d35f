//! Botsquad, which is DialoX: broadcasts of one template to many users, and then questions what
//! became of them. `exchange` leads from one to the next, `wire` writes broadcasts, `reading` reads
//! answers and `terms` says what it takes; names and places that nobody has documented are data, in
//! `profile`. Opening connections and waiting are left to others.

use std::time::Duration;

use super::{Adapter, Credential, Load, Next, Reply, Scheme, Secret};
use exchange::Exchange;

mod exchange;
#[cfg(test)]
mod golden;
mod profile;
mod reading;
mod terms;
mod wire;

pub use profile::{AddressFormat, LanguageShape, Pattern, Profile, StatusMap};
pub use terms::Takes;

/// The most users of a broadcast that may be set: their states must all be asked for in one
/// exchange, even where each has a broadcast of its own.
pub const BULK_MAX: usize = 200;

/// The longest that states may be asked for while messages are handed over.
pub const POLL_MAX: Duration = Duration::from_mins(10);

/// What the adapter wants to know besides the address and the token.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The bot's id.
    pub bot_id: String,
    /// How many users a broadcast has at most.
    pub bulk_max: usize,
    /// Whether values may hold `{{`.
    pub allow_braces: bool,
    /// Which reasons say that a recipient does not want messages.
    pub optout_pattern: Pattern,
    /// For how long states are asked for while messages are handed over; zero for not at all.
    pub poll_max: Duration,
    /// What is where in requests and answers.
    pub profile: Profile,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bot_id: String::new(),
            bulk_max: 100,
            allow_braces: false,
            optout_pattern: Pattern::default(),
            poll_max: Duration::from_mins(1),
            profile: Profile::default(),
        }
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Botsquad {
    base_url: String,
    credential: Credential,
    settings: Settings,
}

impl Adapter for Botsquad {
    fn endpoint(&self) -> &str {
        &self.base_url
    }

    fn bulk_max(&self) -> usize {
        self.settings.bulk_max
    }

    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn next(&self, load: &Load<'_>, replies: &[Reply]) -> Next {
        Exchange::new(self, load).next(replies)
    }
}

impl Botsquad {
    /// An adapter for the API at `base_url`.
    pub fn new(base_url: String, access_token: Secret, settings: Settings) -> Self {
        Self {
            base_url,
            credential: Credential::new(Scheme::Bearer, access_token),
            settings,
        }
    }
}
