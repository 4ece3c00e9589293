//! The operation codes of `docs/wire.md` §4.

use std::fmt;

/// The operation of a frame: what it requests or carries.
///
/// Codes below [`Operation::FIRST_APPLICATION`] belong to the transport. The other codes belong to
/// the layer above, which names them.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Operation(u8);

// The one place in Rust that assigns the codes; `cargo xtask tidy` compares it with docs/wire.md.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl Operation {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// Every named operation with its name, in the order of the codes.
            pub const TABLE: &[(Self, &str)] = &[$((Self($code), stringify!($name)),)*];
        }
    };
}

operations! {
    /// The controller's first frame.
    START = 0x01;
    /// The agent's first frame.
    HELLO = 0x02;
    /// The result of a request.
    REPLY = 0x03;
    /// The failure of a request.
    FAIL = 0x04;
    /// The sender cancels its request.
    CANCEL = 0x05;
    /// Asks for a [`Operation::PONG`].
    PING = 0x06;
    /// Answers a [`Operation::PING`] with the same bytes.
    PONG = 0x07;
    /// Bytes of a stream.
    DATA = 0x08;
    /// The last frame of a stream.
    END = 0x09;
    /// Allows the other side to send more bytes of a stream.
    CREDIT = 0x0a;
    /// The receiver of the stream in the other direction asks its sender to stop.
    RESET = 0x0b;
}

impl Operation {
    /// The lowest code that belongs to the layer above the transport.
    pub const FIRST_APPLICATION: u8 = 0x20;

    /// Returns the operation with this code, or `None` if the transport reserves it.
    pub fn new(code: u8) -> Option<Self> {
        let known = code >= Self::FIRST_APPLICATION || (Self::START.0..=Self::RESET.0).contains(&code);
        known.then_some(Self(code))
    }

    /// Returns an operation of the layer above the transport.
    ///
    /// # Panics
    ///
    /// If the transport reserves the code. For a constant, this is found at compile time.
    pub const fn application(code: u8) -> Self {
        assert!(code >= Self::FIRST_APPLICATION, "the transport reserves this code");
        Self(code)
    }

    /// Returns the code of the operation in a frame.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Returns the name in `docs/wire.md`, if it has one.
    pub fn name(self) -> Option<&'static str> {
        Self::TABLE.iter().find(|(operation, _)| *operation == self).map(|(_, name)| *name)
    }

    /// Returns whether the operation belongs to the layer above the transport.
    pub fn is_application(self) -> bool {
        self.0 >= Self::FIRST_APPLICATION
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Operation({self})")
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "{:#04x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Operation;

    #[test]
    fn table_is_ordered_and_readable_back() {
        assert!(Operation::TABLE.is_sorted_by(|left, right| left.0 < right.0));
        for (operation, name) in Operation::TABLE {
            assert_eq!(Operation::new(operation.code()), Some(*operation));
            assert_eq!(operation.to_string(), *name);
        }
    }

    #[test]
    fn reserved_codes_are_refused_and_application_codes_are_not() {
        for code in [0x00, 0x0c, 0x1f] {
            assert_eq!(Operation::new(code), None);
        }
        assert_eq!(Operation::new(0x7f).map(|operation| operation.to_string()), Some("0x7f".to_owned()));
    }
}
