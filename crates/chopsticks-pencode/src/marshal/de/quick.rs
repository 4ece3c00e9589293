//! Short ways for the forms that are frequent.
//!
//! They are for speed alone, and take what nothing is special about: not numbered, and not within
//! the expansion of a reference. Whatever they leave, [`Deserializer::item`] reads or finds fault
//! with.

use super::super::tag;
use super::{Deserializer, FREE_LEN};

impl<'de> Deserializer<'de> {
    /// Reads text that is next, or that the reference which is next names.
    #[inline(always)]
    pub(super) fn quick_text(&mut self) -> Option<&'de str> {
        if self.expanding.is_some() {
            return None;
        }
        let rest = self.cursor.data.get(self.cursor.position..)?;
        if let [tag::REFERENCE, a, b, c, d, ..] = *rest {
            let object = *self.objects.get(u32::from_le_bytes([a, b, c, d]) as usize)?;
            let (text, _) = plain_text(self.data.get(object as usize..)?)?;
            if text.len() > FREE_LEN {
                return None;
            }
            self.cursor.position += 5;
            return Some(text);
        }
        let (text, size) = plain_text(rest)?;
        if rest[0] & tag::FLAG != 0 {
            return None;
        }
        self.cursor.position += size;
        Some(text)
    }

    /// Reads an integer that is next.
    #[inline(always)]
    pub(super) fn quick_int(&mut self) -> Option<i32> {
        match *self.cursor.data.get(self.cursor.position..)? {
            [tag::INT, a, b, c, d, ..] if self.expanding.is_none() => {
                self.cursor.position += 5;
                Some(i32::from_le_bytes([a, b, c, d]))
            }
            _ => None,
        }
    }

    /// Reads a float that is next.
    #[inline(always)]
    pub(super) fn quick_float(&mut self) -> Option<f64> {
        match *self.cursor.data.get(self.cursor.position..)? {
            [tag::FLOAT, a, b, c, d, e, f, g, h, ..] if self.expanding.is_none() => {
                self.cursor.position += 9;
                Some(f64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => None,
        }
    }

    /// Reads the head of a tuple; returns its count and where it begins.
    #[inline(always)]
    pub(super) fn quick_tuple(&mut self) -> Option<(u32, usize)> {
        let start = self.cursor.position;
        let (count, size): (u32, _) = match *self.cursor.data.get(start..)? {
            [tag::SMALL_TUPLE, count, ..] => (count.into(), 2),
            [tag::TUPLE, a, b, c, d, ..] => (i32::from_le_bytes([a, b, c, d]).try_into().ok()?, 5),
            _ => return None,
        };
        if self.expanding.is_some() || count as usize > self.data.len() - start - size {
            return None;
        }
        self.cursor.position += size;
        Some((count, start))
    }
}

/// Returns the text that `bytes` begin with and the bytes that it takes, if it is in one of the
/// forms that are frequent.
#[inline(always)]
fn plain_text(bytes: &[u8]) -> Option<(&str, usize)> {
    match *bytes {
        [code, size, ref rest @ ..]
            if matches!(code & !tag::FLAG, tag::SHORT_ASCII | tag::SHORT_ASCII_INTERNED) =>
        {
            let text = std::str::from_utf8(rest.get(..size.into())?).ok()?;
            text.is_ascii().then_some((text, 2 + text.len()))
        }
        [code, a, b, c, d, ref rest @ ..] if matches!(code & !tag::FLAG, tag::TEXT | tag::INTERNED) => {
            let size = usize::try_from(i32::from_le_bytes([a, b, c, d])).ok()?;
            let text = std::str::from_utf8(rest.get(..size)?).ok()?;
            Some((text, 5 + text.len()))
        }
        _ => None,
    }
}
