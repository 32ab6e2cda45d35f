//! How the sending stands, as its loop last said: a picture that it replaces and that others look
//! at. Nothing is decided by it.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::batch::TenantName;
use crate::delivery::view::{Reach, Views};

/// The latest picture.
#[derive(Debug, Default)]
pub(super) struct Sight(Mutex<Arc<Views>>);

impl Sight {
    /// Puts a new picture in the place of the last.
    pub(super) fn show(&self, views: Views) {
        *lock(&self.0) = Arc::new(views);
    }

    /// Whether something that reaches so far stops a tenant's senders.
    pub(super) fn is_held(&self, tenant: &TenantName, reach: Reach) -> bool {
        let views = self.views();
        let mut own = views.senders.values().filter(|view| view.tenant == *tenant);
        own.any(|view| view.hold.as_ref().is_some_and(|hold| hold.reach == reach))
    }

    /// The latest picture.
    pub(super) fn views(&self) -> Arc<Views> {
        Arc::clone(&lock(&self.0))
    }
}
