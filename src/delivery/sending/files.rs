//! Requests that must wait for a file: their permits are free meanwhile, and the lane stands still
//! until the file has come.

use super::{Going, Item, Message, Now, Sending};
use crate::batch::{Moment, TenantName};

impl Sending {
    /// The messages that are next in the lane of a request, at most so many.
    pub fn behind_going(&self, going: &Going, most: usize) -> impl Iterator<Item = &Message> {
        let batch = self.batches.get(&going.lane.0);
        let line = batch.and_then(|batch| batch.lanes.get(going.lane.1 as usize));
        let ready = line.into_iter().flat_map(|line| &line.ready);
        ready.map(|item| &item.message).take(most)
    }

    /// A request cannot leave before a file has come, and nothing of it has begun: its messages
    /// are the first of their lane again, which stands still until then.
    pub fn put_back(&mut self, going: Going, until: Moment, now: Now) {
        self.turns
            .ended(going.sender, going.items.len(), now.steady);
        for gate in &going.probes {
            self.breakers.probe_ended(gate, going.probe);
        }
        if !going.probes.is_empty() {
            self.look_at_all();
        }
        let (age, no) = going.lane;
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        batch.in_flight = batch.in_flight.saturating_sub(going.items.len());
        for Item { message, .. } in &going.items {
            batch.begun.remove(&message.index);
        }
        if batch.is_cancelled() {
            return self.finish_if_idle(age);
        }
        let line = &mut batch.lanes[no as usize];
        for item in going.items.into_iter().rev() {
            line.bytes += item.bytes;
            line.ready.push_front(item);
        }
        line.file_until = Some(until);
        self.dirty.insert((age, no));
    }

    /// Files have come, or will not: lanes of this tenant that wait for any go on.
    pub fn files_came(&mut self, tenant: &TenantName) {
        let batches = self.batches.iter_mut();
        for (age, batch) in batches.filter(|(_, batch)| batch.tenant == *tenant) {
            for (line, no) in batch.lanes.iter_mut().zip(0..) {
                if line.file_until.take().is_some() {
                    self.dirty.insert((*age, no));
                }
            }
        }
    }
}
