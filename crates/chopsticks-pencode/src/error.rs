//! What can go wrong, and where.

#[cfg(feature = "serde")]
use chopsticks_text::harmless;
use thiserror::Error;

/// A buffer could not be read.
///
/// This is a fault of the writer of the buffer, except if the kind is
/// [`Message`](DecodeErrorKind::Message): then the value is well formed, but does not have the type
/// that the Rust type requires.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(transparent)]
pub struct DecodeError(Box<Located>);

impl DecodeError {
    /// Returns the offset of the byte at fault, if the error arose while a buffer was read.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        match *self.0 {
            Located::Byte { offset, .. } => Some(offset),
            Located::Object { .. } | Located::Unknown { .. } => None,
        }
    }

    /// Returns the number of the object at fault, if the error arose while a graph was turned
    /// into typed data.
    #[must_use]
    pub fn object(&self) -> Option<u32> {
        match *self.0 {
            Located::Object { object, .. } => Some(object),
            Located::Byte { .. } | Located::Unknown { .. } => None,
        }
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn kind(&self) -> &DecodeErrorKind {
        match &*self.0 {
            Located::Byte { kind, .. } | Located::Object { kind, .. } | Located::Unknown { kind } => kind,
        }
    }

    #[cold]
    pub(crate) fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self(Box::new(Located::Byte { offset, kind }))
    }

    #[cfg(feature = "serde")]
    #[cold]
    pub(crate) fn at_object(object: u32, kind: DecodeErrorKind) -> Self {
        Self(Box::new(Located::Object { object, kind }))
    }

    /// Makes an error whose place is filled in further out.
    #[cfg(feature = "serde")]
    #[cold]
    pub(crate) fn unplaced(kind: DecodeErrorKind) -> Self {
        Self(Box::new(Located::Unknown { kind }))
    }

    /// Fills in the offset if there is no place yet.
    #[cfg(feature = "serde")]
    #[cold]
    pub(crate) fn or_offset(mut self, offset: usize) -> Self {
        self.place(offset);
        self
    }

    /// Fills in the offset if there is no place yet.
    #[cfg(feature = "serde")]
    #[cold]
    pub(crate) fn place(&mut self, offset: usize) {
        if let Located::Unknown { kind } = &*self.0 {
            *self.0 = Located::Byte { offset, kind: kind.clone() };
        }
    }

    /// Fills in the object if there is no place yet.
    #[cfg(feature = "serde")]
    #[cold]
    pub(crate) fn or_object(self, object: u32) -> Self {
        match *self.0 {
            Located::Unknown { kind } => Self::at_object(object, kind),
            _ => self,
        }
    }
}

#[cfg(feature = "serde")]
impl serde::de::Error for DecodeError {
    #[cold]
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        // The text can quote the value.
        Self::unplaced(DecodeErrorKind::Message(harmless(&message.to_string()).into_owned()))
    }
}

/// A [`DecodeErrorKind`] and its place. Boxed, so that the `Result` of every value read is small.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[cfg_attr(
    not(feature = "serde"),
    expect(dead_code, reason = "only typed data has errors without an offset")
)]
enum Located {
    #[error("invalid value at byte {offset}: {kind}")]
    Byte {
        offset: usize,
        #[source]
        kind: DecodeErrorKind,
    },
    #[error("object {object} does not fit the type: {kind}")]
    Object {
        object: u32,
        #[source]
        kind: DecodeErrorKind,
    },
    #[error("invalid value: {kind}")]
    Unknown {
        #[source]
        kind: DecodeErrorKind,
    },
}

/// Why a buffer could not be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A container promises more values than there are bytes left.
    #[error("count of {count} with {left} bytes left")]
    CountBeyondEnd {
        /// How many values are promised, keys and values of a dict counted each.
        count: u64,
        /// How many bytes are left that are not already promised to others.
        left: usize,
    },
    /// An object contains itself, so that no tree can be made of it.
    #[error("object {number} contains itself")]
    Cycle {
        /// The number of the object.
        number: u32,
    },
    /// References multiply the values beyond the budget.
    #[error("references expand to more than {budget} bytes")]
    ExpansionBudget {
        /// The limit, [`DecodeConfig::expansion_budget`](crate::DecodeConfig::expansion_budget).
        budget: usize,
    },
    /// An integer is larger than serde's data model can say.
    #[error("integer of {digits} digits is out of range; use BigInt")]
    IntegerOutOfRange {
        /// How many digits it has.
        digits: usize,
    },
    /// The text of a float is not one that Python writes.
    #[error("invalid float {0:?}")]
    InvalidFloat(String),
    /// The text of an integer is not one that Python writes.
    #[error("invalid integer {0:?}")]
    InvalidInteger(String),
    /// Text is not UTF-8.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// A length is larger than what is left.
    #[error("length of {len} with {left} bytes left")]
    LengthBeyondEnd {
        /// The length.
        len: u32,
        /// How many bytes are left.
        left: usize,
    },
    /// The value is well formed, but the type requires another one.
    #[error("{0}")]
    Message(String),
    /// There is not enough memory for the value, or an index of it would need more than 32 bits.
    #[error("there is not enough memory for the value")]
    NoMemory,
    /// A Python 2 `str` is not ASCII.
    #[error("native string is not ASCII")]
    NotAscii,
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
    /// The buffer ends in the middle of a value.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// A reference names an object that has not begun before it.
    #[error("reference to object {0}, which does not exist")]
    UnknownReference(u32),
    /// A tag byte that the format does not have.
    #[error("unknown tag {0:#04x}")]
    UnknownTag(u8),
}

/// A value could not be written.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(transparent)]
pub struct EncodeError(Box<Pathed>);

impl EncodeError {
    /// Returns the way from the value to the part at fault, such as `[3]['when'].zone`; empty if
    /// it is the value itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn kind(&self) -> &EncodeErrorKind {
        &self.0.kind
    }

    #[cold]
    pub(crate) fn new(kind: EncodeErrorKind) -> Self {
        Self(Box::new(Pathed { path: String::new(), kind }))
    }

    /// Puts a step in front of the path.
    #[cfg(feature = "serde")]
    #[cold]
    pub(crate) fn inside(mut self, step: std::fmt::Arguments<'_>) -> Self {
        let rest = std::mem::take(&mut self.0.path);
        self.0.path = format!("{step}{rest}");
        self
    }
}

#[cfg(feature = "serde")]
impl serde::ser::Error for EncodeError {
    #[cold]
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(EncodeErrorKind::Message(message.to_string()))
    }
}

/// An [`EncodeErrorKind`] and its place.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("cannot write the value{}{path}: {kind}", if path.is_empty() { "" } else { " at " })]
struct Pathed {
    path: String,
    #[source]
    kind: EncodeErrorKind,
}

/// Why a value could not be written.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// The value reports that it cannot be written.
    #[error("{0}")]
    Message(String),
    /// There is not enough memory for the value, or an index of it would need more than 32 bits.
    #[error("there is not enough memory for the value")]
    NoMemory,
    /// A native string, the Python 2 `str`, must be ASCII.
    #[error("native string is not ASCII")]
    NotAscii,
    /// Containers are nested too deeply.
    #[error("nested more than {max_depth} levels deep")]
    TooDeep {
        /// The limit, [`EncodeConfig::max_depth`](crate::EncodeConfig::max_depth).
        max_depth: usize,
    },
    /// The result would be too long.
    #[error("more than {max_len} bytes")]
    TooLong {
        /// The limit, [`EncodeConfig::max_len`](crate::EncodeConfig::max_len).
        max_len: usize,
    },
}
