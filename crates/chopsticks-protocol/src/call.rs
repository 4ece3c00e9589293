//! Calls: `docs/wire.md`, section 6.

use std::borrow::Cow;

use bytes::Bytes;
use chopsticks_pencode::marshal::{self, DecodeError, EncodeError, Writer};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use crate::span::{Parts, TUPLE, invalid};

/// `CALL`: calls a function.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a tuple of three on the wire")]
pub struct Call<'a> {
    /// The function.
    pub callee: Callee<'a>,
    /// The positional arguments.
    pub arguments: Arguments,
    /// The keyword arguments.
    pub keywords: Keywords<'a>,
}

/// The function of a [`Call`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it is text or a tuple on the wire")]
pub enum Callee<'a> {
    /// `module:qualname` or `module.qualname`.
    Name(Cow<'a, str>),
    /// A function that a source text defines.
    Source(SourceText<'a>),
}

/// A source text that defines a function.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a tuple of five on the wire")]
pub struct SourceText<'a> {
    /// The text.
    pub source: Source<'a>,
    /// The function's name; empty if the last statement is an expression whose value is called.
    pub name: Cow<'a, str>,
    /// Global names with their values, encoded.
    pub globals: NamedValues<'a>,
    /// The file name that tracebacks show.
    pub file: Cow<'a, str>,
    /// The name of the module, if the text is a script.
    pub module: Option<Cow<'a, str>>,
}

/// The text of a [`SourceText`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "Python has text and bytes")]
pub enum Source<'a> {
    /// The content of a file, in the encoding that it declares.
    Bytes(Cow<'a, [u8]>),
    /// A text.
    Text(Cow<'a, str>),
}

/// The positional arguments of a [`Call`], encoded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it is a tuple or bytes on the wire")]
pub enum Arguments {
    /// A single value: bytes with the pencode of a tuple or a list.
    Graph(Bytes),
    /// Values, one after the other.
    Values {
        /// The number of values.
        count: u32,
        /// The bytes of all values.
        encoded: Bytes,
    },
}

/// The keyword arguments of a [`Call`], encoded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it is None, True or a dict on the wire")]
pub enum Keywords<'a> {
    /// The [`Arguments::Graph`] is a tuple of the positional arguments and the keyword arguments.
    InGraph,
    /// No keyword arguments.
    None,
    /// Names with their values.
    Values(NamedValues<'a>),
}

impl Call<'_> {
    /// Encodes the request in pieces. Large arguments are a separate piece, which is shared and not
    /// copied.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<Bytes>, EncodeError> {
        let mut head = vec![TUPLE];
        head.extend_from_slice(&PARTS.to_le_bytes());
        let mut callee = Writer::with_buffer(head);
        self.callee.write(&mut callee);
        let mut head = callee.finish()?;
        let mut keywords = Writer::new();
        match &self.keywords {
            Keywords::InGraph => {
                keywords.bool(true);
            }
            Keywords::None => {
                keywords.none();
            }
            Keywords::Values(values) => named(values, &mut keywords),
        }
        let keywords = keywords.finish()?;
        let arguments = match &self.arguments {
            Arguments::Graph(graph) => graph,
            Arguments::Values { count, encoded } => {
                head.push(TUPLE);
                head.extend_from_slice(&count.to_le_bytes());
                encoded
            }
        };
        if arguments.len() > SPLICED_LEN {
            return Ok(vec![Bytes::from(head), arguments.clone(), Bytes::from(keywords)]);
        }
        head.extend_from_slice(arguments);
        head.extend_from_slice(&keywords);
        Ok(vec![Bytes::from(head)])
    }

    /// Decodes the request. The arguments are a part of `payload`, and stay encoded.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a request.
    pub fn decode(payload: &Bytes) -> Result<Call<'static>, DecodeError> {
        let mut parts = Parts::new(payload);
        if parts.tuple()? != PARTS as usize {
            return Err(invalid("a call has three parts"));
        }
        let callee = Callee::read(&mut parts)?;
        let arguments = if parts.peek() == Some(TUPLE) {
            let count = parts.tuple()?;
            let encoded = parts.values(count)?;
            let count = u32::try_from(count).map_err(|_| invalid("too many arguments"))?;
            Arguments::Values { count, encoded }
        } else {
            Arguments::Graph(parts.value()?)
        };
        let keywords = match parts.peek() {
            Some(b'T') => {
                parts.value()?;
                Keywords::InGraph
            }
            Some(b'N') => {
                parts.value()?;
                Keywords::None
            }
            _ => Keywords::Values(read_named(&mut parts)?),
        };
        parts.finish()?;
        Ok(Call { callee, arguments, keywords })
    }
}

impl Callee<'_> {
    fn write(&self, writer: &mut Writer) {
        let SourceText { source, name, globals, file, module } = match self {
            Self::Name(name) => {
                writer.text(name);
                return;
            }
            Self::Source(source) => source,
        };
        writer.begin_tuple(5);
        match source {
            Source::Bytes(bytes) => writer.bytes(bytes),
            Source::Text(text) => writer.text(text),
        };
        writer.text(name);
        named(globals, writer);
        writer.text(file);
        match module {
            Some(module) => writer.text(module),
            None => writer.none(),
        };
    }

    fn read(parts: &mut Parts<'_>) -> Result<Callee<'static>, DecodeError> {
        if parts.peek() != Some(TUPLE) {
            return Ok(Callee::Name(Cow::Owned(read_one(parts)?)));
        }
        if parts.tuple()? != 5 {
            return Err(invalid("a source text has five parts"));
        }
        let source = match parts.peek() {
            Some(b's') => Source::Bytes(Cow::Owned(read_one::<ByteBuf>(parts)?.into_vec())),
            _ => Source::Text(Cow::Owned(read_one(parts)?)),
        };
        Ok(Callee::Source(SourceText {
            source,
            name: Cow::Owned(read_one(parts)?),
            globals: read_named(parts)?,
            file: Cow::Owned(read_one(parts)?),
            module: read_one::<Option<String>>(parts)?.map(Cow::Owned),
        }))
    }
}

/// Names, each with an encoded value.
pub type NamedValues<'a> = Vec<(Cow<'a, str>, Cow<'a, [u8]>)>;

/// Writes a dict of names and encoded values.
fn named(values: &NamedValues<'_>, writer: &mut Writer) {
    writer.begin_dict(values.len());
    for (name, value) in values {
        writer.name(name).splice(value);
    }
}

fn read_named(parts: &mut Parts<'_>) -> Result<NamedValues<'static>, DecodeError> {
    parts.dict()?;
    let mut values = Vec::new();
    while !parts.is_at_end_of_dict() {
        let name = read_one(parts)?;
        values.push((Cow::Owned(name), Cow::Owned(parts.value()?.to_vec())));
    }
    Ok(values)
}

fn read_one<T: serde::de::DeserializeOwned>(parts: &mut Parts<'_>) -> Result<T, DecodeError> {
    marshal::from_slice(&parts.value()?)
}

/// The `FAIL` of a call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a dict of four or five on the wire")]
pub struct CallFailure {
    /// The kind of failure: one of [`KINDS`](Self::KINDS), or a kind that later agents use.
    pub kind: String,
    /// The exception's qualified type name.
    pub r#type: String,
    /// Its text.
    pub message: String,
    /// The traceback as Python prints it; may be empty.
    pub traceback: String,
    /// The error itself, encoded in `marshal`. Only agents in Rust send it, for a function that
    /// returned an error of a type that can be encoded.
    #[serde(default, with = "serde_bytes")]
    pub value: Option<Vec<u8>>,
}

impl CallFailure {
    /// The kinds: the function raised an exception, the function does not exist, the arguments
    /// cannot be decoded, the result cannot be encoded, the result is over the limit, the call was
    /// cancelled, the function panicked.
    pub const KINDS: [&'static str; 7] =
        ["raised", "function", "argument", "result", "size", "cancelled", "panicked"];

    /// Encodes the failure.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        let count = 4 + usize::from(self.value.is_some());
        writer.begin_dict(count).name("kind").text(&self.kind).name("type").text(&self.r#type);
        writer.name("message").text(&self.message).name("traceback").text(&self.traceback);
        if let Some(value) = &self.value {
            writer.name("value").bytes(value);
        }
        writer.finish()
    }

    /// Decodes the failure.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a failure.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

/// Function, positional arguments, keyword arguments.
const PARTS: u32 = 3;
/// Arguments of up to this many bytes are copied after the function. This is cheaper than sending
/// another piece.
const SPLICED_LEN: usize = 4 << 10;
