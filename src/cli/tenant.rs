//! `dropcast tenant pause`, `resume` and `retry`.

use std::io;

use clap::{Args, Subcommand};

use super::steering::{Deed, Manner, PauseOptions, steer, tenant};
use crate::batch::TenantName;
use crate::daemon::desk::Named;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Asked {
    /// Begins nothing more for a tenant, until it is resumed.
    Pause {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        how: PauseOptions,
    },
    /// Ends the pause of a tenant, and of nothing else; one that is held is tried again at once.
    Resume(One),
    /// Tries at once what waits for another try.
    Retry(One),
}

/// One tenant.
#[derive(Clone, Debug, Args)]
pub(super) struct One {
    /// The tenant: the stem of its settings file.
    #[arg(value_name = "NAME", value_parser = tenant)]
    name: TenantName,
    #[command(flatten)]
    manner: Manner,
}

/// Does what was asked.
pub(super) fn run(asked: Asked) -> io::Result<u8> {
    let (One { name, manner }, deed) = match asked {
        Asked::Pause { one, how } => (one, Deed::Pause(how)),
        Asked::Resume(one) => (one, Deed::Resume),
        Asked::Retry(one) => (one, Deed::Retry),
    };
    steer(&manner, Named::Tenant { tenant: name }, deed)
}
