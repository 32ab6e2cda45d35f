//! The templates of an account at its provider: the words in which adapters read and change them, a
//! request at a time. What a definition means is for `batch` to know.

use std::fmt;

use serde_json::Value as Json;

use super::{Reply, Request};
use crate::delivery::Reason;

/// The most requests that one reading takes.
pub const REQUESTS_MAX: usize = 20_000;

/// A reading of all templates of an account.
pub trait Reading: fmt::Debug + Send {
    /// What comes next, after this reply to the request before; at first there is none.
    fn next(&mut self, reply: Option<&Reply>) -> Step<Vec<Json>>;
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<T> {
    /// This request.
    Ask(Request),
    /// Nothing: this came of it.
    Done(T),
    /// Nothing: it failed for this reason.
    Failed(Reason),
}

/// A change of an account's templates.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A template is handed in.
    Create {
        /// Its definition, as the provider has them.
        definition: Json,
    },
    /// A template is changed, and looked at anew by the provider.
    Edit {
        /// Its name.
        name: String,
        /// Its language; `None` where it has only one.
        language: Option<String>,
        /// What changes, as the provider has it.
        definition: Json,
    },
    /// A template is removed.
    Delete {
        /// Its name.
        name: String,
        /// In this language alone; `None` for all.
        language: Option<String>,
    },
}
