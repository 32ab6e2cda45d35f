//! The figures of what providers say later: receipts, callbacks that were not taken, messages that
//! were settled.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::ReasonLabels;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceiptLabels {
    says: &'static str,
    effect: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SettledLabels {
    by: &'static str,
    state: &'static str,
}

/// These figures.
#[derive(Debug, Default)]
pub struct Receiving {
    receipts: Family<ReceiptLabels, Counter>,
    refused: Family<ReasonLabels, Counter>,
    settled: Family<SettledLabels, Counter>,
}

impl Receiving {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "receipts",
            "Receipts by what they say, and by what they changed",
            self.receipts.clone(),
        );
        registry.register(
            "callbacks_refused",
            "Callbacks that were not taken, by why",
            self.refused.clone(),
        );
        registry.register(
            "settled",
            "Messages that were settled before an answer or without one, by what settled them",
            self.settled.clone(),
        );
    }

    /// Counts a receipt.
    pub fn receipt(&self, says: &'static str, effect: &'static str) {
        let labels = ReceiptLabels { says, effect };
        self.receipts.get_or_create(&labels).inc();
    }

    /// Counts a callback that was not taken.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts messages that came into this state.
    pub fn settled(&self, by: &'static str, state: &'static str, count: u64) {
        let labels = SettledLabels { by, state };
        self.settled.get_or_create(&labels).inc_by(count);
    }
}
