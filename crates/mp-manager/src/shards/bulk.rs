//! Many entries at once: transactions over several shards, as told in `shards.rs`.

use mp_session::primitive::Ordering::*;
use mp_wire::Result;

use super::{Shards, Sought};
use crate::packed::Packed;
use crate::shard;
use crate::shelf::Held;

impl Shards {
    /// Puts all entries in, or none.
    pub(crate) fn put_all(&self, entries: &[(Sought, Packed)]) -> Result<()> {
        if let [(sought, value)] = entries {
            return self.put(sought, value, false).map(|_| ());
        }
        let mut by_shard: Vec<Vec<shard::Entering<'_>>> = vec![Vec::new(); self.shards.len()];
        for (order, (sought, value)) in entries.iter().enumerate() {
            by_shard[sought.shard].push(shard::Entering { key: sought.key(), value, order: order as u64 });
        }
        for (index, _) in by_shard.iter().enumerate().filter(|(_, entries)| !entries.is_empty()) {
            self.shard_to_write(index)?;
        }
        let _whole = self.whole()?;
        let mut taking_part = Vec::new();
        for (index, entries) in by_shard.iter().enumerate().filter(|(_, entries)| !entries.is_empty()) {
            taking_part.extend(self.locked(index)?.map(|held| (held, entries)));
        }
        // Under the locks, so that the stamps in each shard go on rising.
        let stamp = self.tick(entries.len() as u64);
        let mut prepared = Vec::new();
        for (mut held, entries) in taking_part {
            match shard::prepare(&mut held, entries, stamp) {
                Ok(state) => prepared.push((held, state)),
                Err(error) => {
                    for (mut held, _) in prepared {
                        shard::repair(&mut held)?;
                    }
                    return Err(error);
                }
            }
        }
        self.decide(prepared)
    }

    /// Takes all entries out.
    pub(crate) fn clear(&self) -> Result<()> {
        let _whole = self.whole()?;
        let mut prepared = Vec::new();
        for index in 0..self.shards.len() {
            let Some(held) = self.locked(index)? else { continue };
            if let Some(state) = shard::prepare_to_clear(&held) {
                prepared.push((held, state));
            }
        }
        self.decide(prepared)
    }

    /// Lets prepared states count, all at one instant.
    fn decide(&self, mut prepared: Vec<(Held<'_>, u64)>) -> Result<()> {
        let transaction = self.decided().load(Acquire) + 1;
        for (held, state) in &mut prepared {
            held.prepare(transaction, *state);
        }
        self.decided().store(transaction, Release);
        let mut before = Vec::with_capacity(prepared.len());
        for (held, state) in &mut prepared {
            before.push(held.get(crate::shelf::STATE));
            held.conclude(Some(*state));
        }
        prepared.iter_mut().zip(before).try_for_each(|((held, _), before)| shard::settle(held, before))
    }
}
