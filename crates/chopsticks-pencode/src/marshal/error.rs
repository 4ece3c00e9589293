//! Why a value could not be read from, or written as, marshal.

use std::fmt;

use chopsticks_text::harmless;
use thiserror::Error;

/// A value in marshal could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecodeError {
    // One pointer wide, because every step of the reader returns it.
    inner: Box<DecodeErrorInner>,
}

/// Why a value in marshal could not be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A container promises more members than there are bytes left.
    #[error("count of {count} with {left} bytes left")]
    CountBeyondEnd {
        /// How many members are promised.
        count: u32,
        /// How many bytes are left.
        left: usize,
    },
    /// An object contains itself, so that no tree can be made of it.
    #[error("the object contains itself")]
    Cycle,
    /// References multiply the values beyond the budget.
    #[error("references expand to more than {budget} bytes")]
    ExpansionBudget {
        /// The limit, [`DecodeConfig::expansion_budget`](crate::DecodeConfig::expansion_budget).
        budget: usize,
    },
    /// The text of a float is not one that Python writes.
    #[error("invalid float")]
    InvalidFloat,
    /// A digit of a large integer is out of range, or its highest digit is zero.
    #[error("invalid large integer")]
    InvalidInteger,
    /// Text is not UTF-8.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// An integer has more decimal digits than the limit.
    #[error("integer of more than {max_digits} digits")]
    LargeInteger {
        /// The limit, [`MAX_INTEGER_DIGITS`](super::MAX_INTEGER_DIGITS).
        max_digits: usize,
    },
    /// Text contains half of a surrogate pair, which UTF-8 cannot carry.
    #[error("text contains a lone surrogate")]
    LoneSurrogate,
    /// The value is well formed, but the type requires another one.
    #[error("{0}")]
    Message(String),
    /// A length, a count or the number of an object is negative.
    #[error("negative number {0}")]
    Negative(i32),
    /// There is not enough memory for the value, or an index of it would need more than 32 bits.
    #[error("there is not enough memory for the value")]
    NoMemory,
    /// Text that is marked as ASCII is not.
    #[error("text marked as ASCII is not ASCII")]
    NotAscii,
    /// A reference names a frozenset that has not ended, which Python refuses as well.
    #[error("reference to object {0}, a frozenset that contains it")]
    OpenFrozenSet(u32),
    /// Containers are nested too deeply.
    #[error("nested more than {max_depth} levels deep")]
    TooDeep {
        /// The limit, [`DecodeConfig::max_depth`](crate::DecodeConfig::max_depth) or
        /// [`DecodeConfig::max_graph_depth`](crate::DecodeConfig::max_graph_depth).
        max_depth: usize,
    },
    /// The buffer is too long.
    #[error("{len} bytes where at most {max_len} are allowed")]
    TooLong {
        /// The length of the buffer.
        len: usize,
        /// The limit, [`DecodeConfig::max_len`](crate::DecodeConfig::max_len).
        max_len: usize,
    },
    /// There are bytes after the value.
    #[error("{0} bytes after the value")]
    TrailingBytes(usize),
    /// The end of a dict in place of a value.
    #[error("end of a dict in place of a value")]
    UnexpectedDictEnd,
    /// The buffer ends in the middle of a value.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// A reference names an object that has not begun before it.
    #[error("reference to object {index} of {known}")]
    UnknownReference {
        /// The number of the object.
        index: u32,
        /// How many objects there are before the reference.
        known: usize,
    },
    /// A type code that no Python writes.
    #[error("unknown type code {0:#04x}")]
    UnknownType(u8),
    /// A value that marshal can contain and that is not plain data.
    #[error("{0} is not plain data")]
    Unsupported(&'static str),
}

/// A value could not be written as marshal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncodeError {
    inner: Box<EncodeErrorInner>,
}

/// Why a value could not be written as marshal.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// A value that was composed has other members than its containers announced.
    #[error("{0}")]
    Incomplete(&'static str),
    /// An integer has more decimal digits than the limit.
    #[error("integer of more than {max_digits} digits")]
    LargeInteger {
        /// The limit, [`MAX_INTEGER_DIGITS`](super::MAX_INTEGER_DIGITS).
        max_digits: usize,
    },
    /// `Some` contains a value that is written as `None` is, and would be read as `None`.
    #[error("`Some` of `None` or of `()` would arrive as `None`")]
    LostSome,
    /// The value reports that it cannot be written.
    #[error("{0}")]
    Message(String),
    /// Containers are nested deeper than every Python reads.
    #[error("nested more than {max_depth} levels deep")]
    TooDeep {
        /// The limit, [`MAX_WRITE_DEPTH`](super::MAX_WRITE_DEPTH).
        max_depth: usize,
    },
    /// Text, bytes or a container are longer than marshal can say.
    #[error("{len} bytes or members where marshal has at most {max_len}")]
    TooLong {
        /// The length.
        len: usize,
        /// The limit, `i32::MAX`.
        max_len: usize,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct DecodeErrorInner {
    offset: Option<usize>,
    path: String,
    kind: DecodeErrorKind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct EncodeErrorInner {
    path: String,
    kind: EncodeErrorKind,
}

impl DecodeError {
    #[cold]
    pub(super) fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self { inner: Box::new(DecodeErrorInner { offset: Some(offset), path: String::new(), kind }) }
    }

    /// Returns the offset of the byte at which the fault was found.
    pub fn offset(&self) -> usize {
        self.inner.offset.unwrap_or(0)
    }

    /// Returns where in the value the fault is, as Python would index it: `['when'][3]`, empty
    /// for the value itself.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.inner.kind
    }

    /// Sets the offset unless a value further in has done so.
    #[cold]
    pub(super) fn locate(&mut self, offset: usize) {
        self.inner.offset.get_or_insert(offset);
    }

    /// Sets the offset unless a value further in has done so.
    #[cold]
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.locate(offset);
        self
    }

    pub(super) fn with_path(mut self, path: String) -> Self {
        self.inner.path = path;
        self
    }
}

impl EncodeError {
    #[cold]
    pub(super) fn new(kind: EncodeErrorKind) -> Self {
        Self { inner: Box::new(EncodeErrorInner { path: String::new(), kind }) }
    }

    /// Returns where in the value the fault is, as Python would index it: `['when'][3]`, empty
    /// for the value itself.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> &EncodeErrorKind {
        &self.inner.kind
    }

    pub(super) fn with_path(mut self, path: String) -> Self {
        self.inner.path = path;
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid marshal value at byte {}", self.offset())?;
        if !self.path().is_empty() {
            write!(f, ", {}", self.path())?;
        }
        write!(f, ": {}", self.kind())
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.inner.kind)
    }
}

impl serde::de::Error for DecodeError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        // The text can quote the value.
        let kind = DecodeErrorKind::Message(harmless(&message.to_string()).into_owned());
        Self { inner: Box::new(DecodeErrorInner { offset: None, path: String::new(), kind }) }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("value cannot be written as marshal")?;
        if !self.path().is_empty() {
            write!(f, ", at {}", self.path())?;
        }
        write!(f, ": {}", self.kind())
    }
}

impl std::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.inner.kind)
    }
}

impl serde::ser::Error for EncodeError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(EncodeErrorKind::Message(message.to_string()))
    }
}
