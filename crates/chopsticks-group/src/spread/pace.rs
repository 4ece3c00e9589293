//! How fast a slot is, and how many items it is sent ahead for that.

use std::time::Duration;

/// The pace of a slot, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// How long an item takes there, on average.
    item: f64,
    /// How long it takes to get there and back, on average.
    trip: Option<f64>,
    /// Whether an item has come back: the first one takes longer, for what it brings along.
    is_warm: bool,
}

impl Pace {
    /// Takes what an item took there, and what it took altogether if the slot had nothing else.
    pub(crate) fn learn(&mut self, took: Duration, alone: Option<Duration>) {
        let took = took.as_secs_f64();
        if !self.is_warm {
            self.is_warm = true;
            self.item = took;
            return;
        }
        self.item += (took - self.item) * GAIN;
        if let Some(alone) = alone {
            let trip = (alone.as_secs_f64() - took).max(0.0);
            self.trip = Some(self.trip.map_or(trip, |before| before + (trip - before) * GAIN));
        }
    }

    /// Returns how many items are to be sent ahead, `limit` at most: so many that the slot is never
    /// idle, and no more, since another might be free for them earlier.
    pub(crate) fn ahead(&self, limit: usize) -> usize {
        let Some(trip) = self.trip else { return 0 };
        let item = self.item.max(SHORTEST);
        if trip < item * NEGLIGIBLE {
            return 0;
        }
        let needed = ((trip + SLACK) / item).ceil();
        let allowed = (LONGEST / item).max(1.0);
        // Of floats, `as` takes the nearest number that there is.
        (needed.min(allowed) as usize).clamp(1, limit.max(1)).min(limit)
    }
}

/// The weight of a new measurement in an average.
const GAIN: f64 = 0.2;
/// As if no item took less: one microsecond.
const SHORTEST: f64 = 1e-6;
/// Waiting for so small a part of an item's time is better than an item that another could have
/// had.
const NEGLIGIBLE: f64 = 0.01;
/// What is sent for delays that are not measured: on a busy machine it may take this long until a
/// process runs. At the end of the input a slot may have this much more to do than another.
const SLACK: f64 = 0.010;
/// More than one item are sent ahead only if they take so long together.
const LONGEST: f64 = 0.5;
