//! Messages with values that stay encoded.
//!
//! The values are in the form that the controller writes: `marshal` without references and short
//! forms.

use bytes::Bytes;
use chopsticks_pencode::marshal::DecodeError;
use serde::de::Error as _;

/// Decodes the outermost form of a message, whose values stay encoded.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    whole: &'a Bytes,
    at: usize,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(whole: &'a Bytes) -> Self {
        Self { whole, at: 0 }
    }

    /// Skips the beginning of a tuple, and returns the number of members.
    pub(crate) fn tuple(&mut self) -> Result<usize, DecodeError> {
        match self.byte()? {
            TUPLE => self.count(),
            tag => Err(unexpected(tag, "a tuple")),
        }
    }

    /// Skips the end of a dict, and returns whether there was one.
    pub(crate) fn is_at_end_of_dict(&mut self) -> bool {
        let is_end = self.peek() == Some(END_OF_DICT);
        self.at += usize::from(is_end);
        is_end
    }

    /// Skips the beginning of a dict.
    pub(crate) fn dict(&mut self) -> Result<(), DecodeError> {
        match self.byte()? {
            DICT => Ok(()),
            tag => Err(unexpected(tag, "a dict")),
        }
    }

    /// Returns the tag of the next value.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.whole.get(self.at).copied()
    }

    /// Returns the next value.
    pub(crate) fn value(&mut self) -> Result<Bytes, DecodeError> {
        self.values(1)
    }

    /// Returns the next `count` values, one after the other.
    pub(crate) fn values(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        let begin = self.at;
        for _ in 0..count {
            self.skip()?;
        }
        Ok(self.whole.slice(begin..self.at))
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.at == self.whole.len() { Ok(()) } else { Err(invalid("bytes follow the message")) }
    }

    /// Skips one value of any depth. It counts the remaining members of each container, and these
    /// are never more than the remaining bytes.
    fn skip(&mut self) -> Result<(), DecodeError> {
        // `None` for a dict, which ends with a mark.
        let mut open: Vec<Option<usize>> = vec![Some(1)];
        loop {
            while open.last() == Some(&Some(0)) {
                open.pop();
            }
            match open.last_mut() {
                None => return Ok(()),
                Some(Some(left)) => *left -= 1,
                Some(None) if self.is_at_end_of_dict() => {
                    open.pop();
                    continue;
                }
                Some(None) => {}
            }
            match self.byte()? {
                b'N' | b'T' | b'F' | b'.' => {}
                b'i' => self.pass(4)?,
                b'g' => self.pass(8)?,
                b'y' => self.pass(16)?,
                b'l' => {
                    let digits = self.count_signed()?;
                    self.pass(digits.saturating_mul(2))?;
                }
                b's' | b't' | b'u' => {
                    let len = self.count()?;
                    self.pass(len)?;
                }
                TUPLE | b'[' | b'<' | b'>' => {
                    let count = self.count()?;
                    if count > self.whole.len() - self.at {
                        return Err(invalid("a container is longer than the message"));
                    }
                    open.push(Some(count));
                }
                DICT => open.push(None),
                tag => return Err(unexpected(tag, "a value")),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = self.peek().ok_or_else(|| invalid("the message ends too soon"))?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, len: usize) -> Result<(), DecodeError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.whole.len());
        self.at = end.ok_or_else(|| invalid("the message ends too soon"))?;
        Ok(())
    }

    fn four(&mut self) -> Result<[u8; 4], DecodeError> {
        let begin = self.at;
        self.pass(4)?;
        let mut four = [0; 4];
        four.copy_from_slice(&self.whole[begin..self.at]);
        Ok(four)
    }

    fn count(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(i32::from_le_bytes(self.four()?)).map_err(|_| invalid("a size below 0"))
    }

    fn count_signed(&mut self) -> Result<usize, DecodeError> {
        let count = i32::from_le_bytes(self.four()?).unsigned_abs();
        usize::try_from(count).map_err(|_| invalid("too many digits"))
    }
}

pub(crate) fn invalid(problem: &str) -> DecodeError {
    DecodeError::custom(problem)
}

fn unexpected(tag: u8, wanted: &str) -> DecodeError {
    DecodeError::custom(format!("tag {tag:#04x} where {wanted} is expected"))
}

pub(crate) const TUPLE: u8 = b'(';
const DICT: u8 = b'{';
const END_OF_DICT: u8 = b'0';
