//! The marker between noise and frames.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The bytes that separate the output of an agent's host from the output of the agent:
/// `docs/wire.md` §1.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Nonce([u8; Self::LEN]);

impl Nonce {
    /// The number of bytes.
    pub const LEN: usize = 16;

    /// Creates a nonce from these bytes, which must not have been used before.
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Creates a nonce that cannot be predicted.
    ///
    /// The standard library's hash keys come from the operating system, and the hash under such a
    /// key is a pseudo-random function. This property protects hash maps from attacks, and makes a
    /// further dependency unnecessary here.
    pub fn random() -> Self {
        // No two nonces of a process are made from one number.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut bytes = [0; Self::LEN];
        for half in bytes.chunks_exact_mut(8) {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
            hasher.write_u32(std::process::id());
            if let Ok(age) = SystemTime::UNIX_EPOCH.elapsed() {
                hasher.write_u128(age.as_nanos());
            }
            half.copy_from_slice(&hasher.finish().to_be_bytes());
        }
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Nonce(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Nonce;

    #[test]
    fn random_nonces_differ() {
        assert_ne!(Nonce::random(), Nonce::random());
        let nonce = Nonce::random();
        let (left, right) = nonce.as_bytes().split_at(8);
        assert_ne!(left, right);
    }
}
