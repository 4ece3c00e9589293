//! The names that are written by reference the second time.

/// A table from `&'static str` to object number.
///
/// The key is where the text lies rather than what it says: text that lives for ever neither moves
/// nor changes, and comparing two words is faster than hashing a name. Equal names in two places
/// are merely written twice.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Open addressing with linear probing; the number 0 marks a free slot.
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    address: usize,
    len: usize,
    number: u32,
}

impl Names {
    /// Returns the number of `name`, which is `new` if it is not in the table yet.
    #[inline]
    pub(super) fn number(&mut self, name: &'static str, new: u32) -> u32 {
        let wanted = Slot { address: name.as_ptr().addr(), len: name.len(), number: new };
        if let Some(index) = self.find(wanted)
            && self.slots[index].number != 0
        {
            return self.slots[index].number;
        }
        self.insert(wanted);
        new
    }

    /// Returns where `wanted` is or can be put.
    #[inline]
    fn find(&self, wanted: Slot) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut index = hash(wanted) & mask;
        // There is always a free slot, since the table grows when it is half full.
        loop {
            let slot = self.slots.get(index)?;
            if slot.number == 0 || slot.address == wanted.address && slot.len == wanted.len {
                return Some(index);
            }
            index = (index + 1) & mask;
        }
    }

    #[cold]
    fn insert(&mut self, wanted: Slot) {
        if self.used * 2 >= self.slots.len() {
            let len = (self.slots.len() * 2).max(32);
            let old = std::mem::replace(&mut self.slots, vec![Slot::default(); len]);
            for slot in old.into_iter().filter(|slot| slot.number != 0) {
                self.put(slot);
            }
        }
        self.put(wanted);
        self.used += 1;
    }

    fn put(&mut self, slot: Slot) {
        if let Some(index) = self.find(slot) {
            self.slots[index] = slot;
        }
    }
}

/// Multiplies with 2^64 divided by the golden ratio, and takes the upper bits.
#[inline]
fn hash(slot: Slot) -> usize {
    let mixed = (slot.address as u64 ^ slot.len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_keeps_its_number_while_the_table_grows() {
        let text: &'static str = Box::leak("x".repeat(2000).into_boxed_str());
        let mut names = Names::default();
        for round in 0..2 {
            for at in 0..1000 {
                let new = 3 + at as u32 + round * 5000;
                assert_eq!(names.number(&text[at..at + 1], new), 3 + at as u32);
            }
        }
        assert_eq!(names.number(&text[..2], 9999), 9999, "another length is another name");
    }
}
