//! The items of a buffer for readers that make objects of their own.

use super::{
    cursor::{Cursor, Item},
    error::{DecodeError, DecodeErrorKind},
};

/// Reads a buffer item by item.
///
/// This is for readers that make neither a type nor a [`Graph`](crate::Graph) of a value. They see each scalar and each head of a container as it
/// stands there, and keep the order of the containers themselves. What is checked here is each item alone: text is UTF-8, a length is within the
/// buffer, a count is not above the number of bytes that are left. How deep containers are nested, that a dict ends where a key is due, that a
/// reference has something to refer to, and that keys can be told apart in reasonable time is the reader's affair.
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
