//! The type codes of the marshal format.

pub(super) const NULL: u8 = b'0';
pub(super) const NONE: u8 = b'N';
pub(super) const FALSE: u8 = b'F';
pub(super) const TRUE: u8 = b'T';
/// An integer of 32 bits.
pub(super) const INT: u8 = b'i';
/// An integer of any size, as 15-bit digits.
pub(super) const LONG: u8 = b'l';
/// A float as text; versions 0 and 1 only.
pub(super) const TEXT_FLOAT: u8 = b'f';
pub(super) const FLOAT: u8 = b'g';
pub(super) const BYTES: u8 = b's';
pub(super) const TEXT: u8 = b'u';
pub(super) const INTERNED: u8 = b't';
pub(super) const ASCII: u8 = b'a';
pub(super) const ASCII_INTERNED: u8 = b'A';
pub(super) const SHORT_ASCII: u8 = b'z';
pub(super) const SHORT_ASCII_INTERNED: u8 = b'Z';
pub(super) const TUPLE: u8 = b'(';
pub(super) const SMALL_TUPLE: u8 = b')';
pub(super) const LIST: u8 = b'[';
pub(super) const DICT: u8 = b'{';
pub(super) const SET: u8 = b'<';
pub(super) const FROZEN_SET: u8 = b'>';
pub(super) const REFERENCE: u8 = b'r';

/// The bit of a type code that gives the object a number, for references to it.
pub(super) const FLAG: u8 = 0x80;

/// What a type code stands for that Python has and this reader refuses.
pub(super) fn unsupported(code: u8) -> Option<&'static str> {
    Some(match code {
        b'c' => "a code object",
        b'x' | b'y' => "a complex number",
        b'.' => "Ellipsis",
        b'S' => "StopIteration",
        b':' => "a slice",
        b'R' => "a reference to interned text as Python 2 writes it",
        b'I' => "a 64-bit integer as Python 2 writes it",
        _ => return None,
    })
}
