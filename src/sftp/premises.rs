//! What all sessions of one tenant share, beside the files themselves.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::finished::Finished;
use super::ghosts::Ghosts;
use super::jail::Inlet;
use super::shares::Shares;
use super::syncs::GroupSync;
use super::unshown::Unshown;
use super::usage::Usage;
use crate::batch::name::DropFolder;

/// How many of a tenant's closes are at work at a time, so that there are threads left for the
/// others.
const CLOSES_AT_ONCE_MAX: usize = 64;

/// One tenant's part of the door.
#[derive(Debug)]
pub(super) struct Premises {
    pub(super) usage: Arc<Usage>,
    pub(super) ghosts: Ghosts,
    pub(super) finished: Finished,
    pub(super) spool_syncs: GroupSync,
    inlet_syncs: [GroupSync; 3],
    pub(super) closes: Arc<Semaphore>,
    pub(super) shares: Shares,
    pub(super) unshown: Unshown,
}

impl Default for Premises {
    fn default() -> Self {
        Self {
            usage: Arc::default(),
            ghosts: Ghosts::default(),
            finished: Finished::default(),
            spool_syncs: GroupSync::default(),
            inlet_syncs: Default::default(),
            closes: Arc::new(Semaphore::new(CLOSES_AT_ONCE_MAX)),
            shares: Shares::default(),
            unshown: Unshown::default(),
        }
    }
}

impl Premises {
    /// The syncs of a folder that the tenant writes to.
    pub(super) fn inlet_syncs(&self, folder: Inlet) -> &GroupSync {
        match folder {
            Inlet::Drop(DropFolder::Whatsapp) => &self.inlet_syncs[0],
            Inlet::Drop(DropFolder::DryRun) => &self.inlet_syncs[1],
            Inlet::Media => &self.inlet_syncs[2],
        }
    }
}
