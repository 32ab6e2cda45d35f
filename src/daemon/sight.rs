//! How the sending stands, as its loop last said: a picture that it replaces and that others look
//! at. Nothing is decided by it.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::delivery::view::Views;

/// The latest picture.
#[derive(Debug, Default)]
pub(super) struct Sight(Mutex<Arc<Views>>);

impl Sight {
    /// Puts a new picture in the place of the last.
    pub(super) fn show(&self, views: Views) {
        *lock(&self.0) = Arc::new(views);
    }

    /// The latest picture.
    pub(super) fn views(&self) -> Arc<Views> {
        Arc::clone(&lock(&self.0))
    }
}
