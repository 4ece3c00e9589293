//! The tag bytes of the format; `docs/pencode.md` says what follows each.

pub(crate) const NONE: u8 = b'n';
pub(crate) const TRUE: u8 = b'T';
pub(crate) const FALSE: u8 = b'F';
pub(crate) const INT: u8 = b'i';
pub(crate) const FLOAT: u8 = b'f';
pub(crate) const TEXT: u8 = b's';
pub(crate) const NATIVE_TEXT: u8 = b'S';
pub(crate) const BYTES: u8 = b'b';
pub(crate) const LIST: u8 = b'l';
pub(crate) const TUPLE: u8 = b't';
pub(crate) const SET: u8 = b'q';
pub(crate) const FROZEN_SET: u8 = b'Q';
pub(crate) const DICT: u8 = b'd';
pub(crate) const REFERENCE: u8 = b'R';

/// The number of the first numbered object; those below are `None`, `False` and `True`.
pub(crate) const FIRST_NUMBER: u32 = 3;
