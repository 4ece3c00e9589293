//! The items of a buffer for readers that make objects of their own.

use super::{
    cursor::{Cursor, Item},
    error::{DecodeError, DecodeErrorKind},
};

/// Reads a buffer item by item.
///
/// This is for readers that produce neither a type nor a [`Graph`](crate::Graph) from a value. They
/// see each scalar and each head of a container as it is in the buffer, and keep track of the
/// containers themselves. Only each item is checked here: text is UTF-8, a length is within the
/// buffer, and a count does not exceed the number of bytes that are left. The reader has to check
/// how deep containers are nested, that a dict ends in the place of a key, that a reference refers
/// to an object, and that keys can be compared in reasonable time.
///
/// ```
/// use chopsticks_pencode::marshal::{Token, Tokens};
///
/// let mut tokens = Tokens::new(b")\x02i\x07\0\0\0N");
/// assert!(matches!(tokens.read()?.token, Token::Tuple(2)));
/// assert!(matches!(tokens.read()?.token, Token::Int(7)));
/// assert!(matches!(tokens.read()?.token, Token::None));
/// tokens.end()?;
/// # Ok::<(), chopsticks_pencode::marshal::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'de> {
    cursor: Cursor<'de>,
}

impl<'de> Tokens<'de> {
    /// Creates a reader at the beginning of `data`.
    #[must_use]
    pub fn new(data: &'de [u8]) -> Self {
        Self { cursor: Cursor::new(data) }
    }

    /// Reads the next item.
    ///
    /// # Errors
    ///
    /// If the buffer has none, or one that is not plain data or not well formed.
    #[inline]
    pub fn read(&mut self) -> Result<Item<'de>, DecodeError> {
        self.cursor.item()
    }

    /// Returns the offset of the next item.
    #[must_use]
    pub fn position(&self) -> usize {
        self.cursor.position
    }

    /// Returns how many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.cursor.data.len() - self.cursor.position
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::TrailingBytes`].
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            rest => Err(DecodeError::new(self.cursor.position, DecodeErrorKind::TrailingBytes(rest))),
        }
    }
}
