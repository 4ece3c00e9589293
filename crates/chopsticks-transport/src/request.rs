//! The two sides of a connection and the numbers of their requests.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU32;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Role {
    /// The side that was started. The end of its input is the order to exit.
    Agent,
    /// The side that starts the other.
    Controller,
}

impl Role {
    /// Returns the other side.
    pub fn peer(self) -> Self {
        match self {
            Self::Agent => Self::Controller,
            Self::Controller => Self::Agent,
        }
    }

    fn first_number(self) -> u32 {
        match self {
            Self::Agent => 1,
            Self::Controller => 2,
        }
    }
}

/// The number of a request, unique on its connection while the request lives.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(NonZeroU32);

impl RequestId {
    /// Returns the request with this number, or `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Returns the number of the request in frames.
    pub fn number(self) -> u32 {
        self.0.get()
    }

    /// Returns the side that made the request.
    pub fn side(self) -> Role {
        if self.number().is_multiple_of(2) { Role::Controller } else { Role::Agent }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RequestId({})", self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Generates the request numbers of one side. They grow, and start again after the largest.
#[derive(Debug)]
pub(crate) struct Numbers {
    side: Role,
    next: u32,
    wrapped: bool,
}

impl Numbers {
    pub(crate) fn new(side: Role) -> Self {
        Self { side, next: side.first_number(), wrapped: false }
    }

    #[cfg(test)]
    pub(crate) fn starting_at(side: Role, next: u32) -> Self {
        Self { side, next, wrapped: false }
    }

    /// Returns the next number that is not in use, or `None` if all are.
    pub(crate) fn take(&mut self, in_use: usize, is_used: impl Fn(RequestId) -> bool) -> Option<RequestId> {
        for _ in 0..=in_use {
            let id = RequestId::new(self.next)?;
            match self.next.checked_add(2) {
                Some(next) => self.next = next,
                None => {
                    self.next = self.side.first_number();
                    self.wrapped = true;
                }
            }
            if !is_used(id) {
                return Some(id);
            }
        }
        None
    }

    /// Returns whether the number has been used at any time.
    pub(crate) fn was_taken(&self, id: RequestId) -> bool {
        self.wrapped || id.number() < self.next
    }
}

/// A map by request. The keys are small integers that mostly this side chooses, so a multiplication
/// is a sufficient hash. Numbers that a peer chooses are limited in count before they are inserted.
pub(crate) type RequestMap<V> = HashMap<RequestId, V, BuildHasherDefault<NumberHasher>>;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // 2^64 divided by the golden ratio spreads consecutive numbers over high and low bits.
        self.0 = (self.0.rotate_left(5) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Numbers, RequestId, Role};

    #[test]
    fn numbers_have_the_parity_of_their_side() {
        let mut controller = Numbers::new(Role::Controller);
        let mut agent = Numbers::new(Role::Agent);
        let taken = |numbers: &mut Numbers| numbers.take(0, |_| false).unwrap();
        assert_eq!([taken(&mut controller), taken(&mut controller)].map(RequestId::number), [2, 4]);
        assert_eq!([taken(&mut agent), taken(&mut agent)].map(RequestId::number), [1, 3]);
        assert_eq!(taken(&mut controller).side(), Role::Controller);
        assert_eq!(taken(&mut agent).side(), Role::Agent);
    }

    #[test]
    fn numbers_start_again_and_pass_over_those_in_use() {
        for (side, start, expected) in [
            (Role::Controller, u32::MAX - 3, [u32::MAX - 3, u32::MAX - 1, 4, 8]),
            (Role::Agent, u32::MAX - 2, [u32::MAX - 2, u32::MAX, 5, 7]),
        ] {
            let used = HashSet::from([1, 2, 3, 6]);
            let mut numbers = Numbers::starting_at(side, start);
            let taken = [(); 4].map(|()| numbers.take(used.len(), |id| used.contains(&id.number())).unwrap());
            assert_eq!(taken.map(RequestId::number), expected);
            assert!(numbers.was_taken(RequestId::new(1000).unwrap()));
        }
    }
}
