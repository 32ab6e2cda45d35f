//! Files on disk become settings that can only be right.
//!
//! In: `dropcast.toml` and the tenants' files beside it. Out: a [`Config`], or every fault in them
//! at once, each with file, line and column. What is not in effect in this version is named in
//! [`Config::notes`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::TenantName;
use crate::batch::read::Rules;
use crate::delivery::retention::Retention;
use crate::delivery::window::QuietHours;
use crate::{delivery, inbox, provider, report, sftp};

mod account;
mod check;
mod file;
mod hours;
mod keys;
mod login;
mod measure;
mod problem;
mod receiving;
mod secret;
mod senders;
mod shown;
mod syntax;
mod tenant;
#[cfg(test)]
mod tests;

pub use check::{data_dir_at, load};
pub use measure::{bytes_text, duration, duration_text};
pub use problem::{Error, Place, Problem};
pub use secret::read_secret;

/// Everything the daemon needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything durable lies.
    pub data_dir: PathBuf,
    /// Where the SFTP door listens.
    pub sftp_listen: SocketAddr,
    /// How the door treats addresses.
    pub gate: sftp::Gate,
    /// Where metrics and health are served; `None` when not wanted.
    pub admin_listen: Option<SocketAddr>,
    /// Where providers call back; `None` when not wanted.
    pub receipts_listen: Option<SocketAddr>,
    /// The tenants, by name.
    pub tenants: Vec<Tenant>,
    /// What the operator should know, as sentences: above all each setting that was given and has
    /// no effect in this version.
    pub notes: Vec<String>,
    /// The files that the settings were read from, `dropcast.toml` first.
    pub sources: Vec<PathBuf>,
}

/// One tenant's settings.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The name: the stem of its file.
    pub name: TenantName,
    /// Who may log in to its folder.
    pub logins: Vec<sftp::Login>,
    /// How many sessions it may have at a time.
    pub sessions_max: usize,
    /// How its messages leave.
    pub provider: provider::Settings,
    /// Its numbers.
    pub senders: Vec<delivery::Sender>,
    /// The folder with its template definitions; `None` when it uses none.
    pub templates_dir: Option<PathBuf>,
    /// How often its templates are read from its provider; `None` when they are not.
    pub sync_every: Option<Duration>,
    /// How its files are checked.
    pub rules: Rules,
    /// What it may put into its folder.
    pub quota: sftp::Quota,
    /// How long the same content is refused after it was last seen.
    pub duplicate_window: Duration,
    /// What is done where the right answer depends on its trade.
    pub policy: delivery::Policy,
    /// How long a message that may have gone out is held, where something can settle it.
    pub unknown_hold: Duration,
    /// The hours in which nothing of it is sent, but for messages that ignore them.
    pub quiet_hours: Arc<[QuietHours]>,
    /// How its files are taken.
    pub inbox: inbox::Settings,
    /// The forms in which it wants results.
    pub results: report::Settings,
    /// How long things are kept.
    pub retention: Retention,
}
