//! The payload formats of `docs/wire.md` §3.

/// The format of a message's payload.
///
/// The transport passes it on and does not interpret it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// The operation defines the payload, or it is empty.
    None,
    /// One value in pencode.
    Pencode,
    /// One value in Python's `marshal` format.
    Marshal,
    /// The content of one bytes value.
    Bytes,
}

impl Format {
    /// Returns the number of the format in a frame.
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Pencode => 1,
            Self::Marshal => 2,
            Self::Bytes => 3,
        }
    }

    /// Returns the format with this number, if there is one.
    pub fn new(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Pencode),
            2 => Some(Self::Marshal),
            3 => Some(Self::Bytes),
            _ => None,
        }
    }
}
