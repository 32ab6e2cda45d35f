//! Why batches stand still, in sentences for their owners.

use std::collections::HashMap;

use super::lines::{Batch, LaneLine};
use super::{Gate, Now, Sending};
use crate::batch::{BatchId, TenantName};

/// Sentences told of one batch at most.
const SENTENCES_MAX: usize = 5;

impl Sending {
    /// The batches of which a part stands still, each with why and until when.
    pub fn held(&self, now: Now) -> HashMap<BatchId, String> {
        let held = self.batches.values().filter_map(|batch| {
            let mut sentences: Vec<String> = Vec::new();
            for line in &batch.lanes {
                if let Some(sentence) = self.sentence(batch, line, now)
                    && !sentences.contains(&sentence)
                {
                    sentences.push(sentence);
                }
                if sentences.len() == SENTENCES_MAX {
                    break;
                }
            }
            (!sentences.is_empty()).then(|| (batch.id.clone(), sentences.join("; ")))
        });
        held.collect()
    }

    fn sentence(&self, batch: &Batch, line: &LaneLine, now: Now) -> Option<String> {
        if line.is_idle() {
            return None;
        }
        let number = &line.lane.from;
        let Some(sender) = line.sender else {
            let words = "is not among the senders any more; add it to the settings and restart";
            return Some(format!("{number} {words}"));
        };
        if let Some(pause) = self.pause(batch, &line.lane, now.wall) {
            return Some(pause.sentence());
        }
        if let (Some(opens_at), _) = self.hours(batch, &line.lane, now.wall) {
            return Some(format!(
                "its hours are over; they begin again at {opens_at}"
            ));
        }
        if line.file_until.is_some_and(|until| until > now.wall) {
            return Some("its files are being uploaded to the provider".into());
        }
        let open = line
            .gates
            .iter()
            .find_map(|gate| Some((gate, self.breakers.shown(gate, now.wall)?)));
        if let Some((gate, open)) = open {
            let reason = &open.reason;
            let whose = self.whose(&batch.tenant, gate);
            let (title, code, until) = (&reason.title, &reason.code, open.until);
            return Some(format!("{whose}{title} ({code}); next try at {until}"));
        }
        let rest = self
            .rests
            .get(&sender)
            .filter(|(until, _)| *until > now.wall)?;
        let (until, reason) = rest;
        let whose = self.whose(
            &batch.tenant,
            &Gate::Sender(batch.tenant.clone(), number.clone()),
        );
        let (title, code) = (&reason.title, &reason.code);
        Some(format!("{whose}{title} ({code}); next try at {until}"))
    }

    /// Which number it is about, where the tenant has several.
    fn whose(&self, tenant: &TenantName, gate: &Gate) -> String {
        let several = self
            .tenants
            .get(tenant)
            .is_some_and(|tenant| tenant.senders.len() > 1);
        match gate {
            Gate::Sender(_, number) if several => format!("{number}: "),
            _ => String::new(),
        }
    }
}
