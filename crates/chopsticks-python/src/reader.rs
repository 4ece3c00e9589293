//! Results as objects, read without trust.
//!
//! A host chooses every byte of what it returns. What is made of these are objects of a fixed list of types, by code of this project alone: neither
//! `marshal` nor `pickle` of Python reads anything here. Beside memory, which stays within a small multiple of what has come, time counts, for other
//! threads of Python wait meanwhile: see [`Keys`].

use std::convert::Infallible;

use chopsticks::{
    OsName, Reply,
    pencode::{
        DecodeConfig, Graph,
        marshal::{self, Digits, Item, Token, Tokens},
    },
    transport::Format,
};
use pyo3::{
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple},
};

pub(crate) use self::keys::Keys;
use crate::errors::unfit;

mod graph;
mod keys;

/// Why there is no object.
pub(crate) enum Refusal {
    /// It is not a value that can be carried.
    Unfit(String),
    /// Python has raised.
    Raised(PyErr),
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<Infallible> for Refusal {
    fn from(error: Infallible) -> Self {
        match error {}
    }
}

impl From<marshal::DecodeError> for Refusal {
    fn from(error: marshal::DecodeError) -> Self {
        let (text, kind) = (error.to_string(), error.kind().to_string());
        Self::Unfit(if text.ends_with(&kind) { text } else { format!("{text}: {kind}") })
    }
}

/// Makes the object that a function has returned.
pub(crate) fn reply<'py>(py: Python<'py>, host: &str, reply: &Reply) -> PyResult<Bound<'py, PyAny>> {
    let (format, payload) = reply.encoded();
    let made = match format {
        Format::Marshal => read(py, payload, Names::Encoded),
        Format::Pencode => read_pencode(py, payload, Names::Encoded),
        Format::Bytes => Ok(PyBytes::new(py, payload).into_any()),
        _ => Err(Refusal::Unfit("its format is not known".to_owned())),
    };
    made.map_err(|refusal| match refusal {
        Refusal::Unfit(why) => unfit(py, host, why),
        // Such as a list as a key. Memory and interrupts are no fault of the host's.
        Refusal::Raised(error) if error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) => {
            unfit(py, host, error.value(py).to_string())
        }
        Refusal::Raised(error) => error,
    })
}

/// Reads pencode.
pub(crate) fn pdecode<'py>(py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyAny>, Refusal> {
    read_pencode(py, data, Names::Plain)
}

fn read_pencode<'py>(py: Python<'py>, data: &[u8], names: Names) -> Result<Bound<'py, PyAny>, Refusal> {
    let config = DecodeConfig::default().max_graph_depth(MAX_DEPTH);
    let graph = Graph::decode_with(data, &config);
    let graph = graph.map_err(|error| Refusal::Unfit(format!("{error}: {}", error.kind())))?;
    graph::object(py, &graph, Keys::new(data.len()), names)
}

/// Reads `marshal`.
pub(crate) fn loads<'py>(py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyAny>, Refusal> {
    read(py, data, Names::Plain)
}

fn read<'py>(py: Python<'py>, data: &[u8], names: Names) -> Result<Bound<'py, PyAny>, Refusal> {
    if let Some(value) = Reader::new(py, data, names).read()? {
        return Ok(value);
    }
    // Something is in a tuple that is in it.
    let config = DecodeConfig::default().max_graph_depth(MAX_DEPTH);
    graph::object(py, &marshal::decode_graph_with(data, &config)?, Keys::new(data.len()), names)
}

/// Makes objects as their items come.
struct Reader<'py, 'de> {
    py: Python<'py>,
    tokens: Tokens<'de>,
    /// The numbered objects. A tuple or frozenset is `None` until it ends.
    numbered: Vec<Option<(Bound<'py, PyAny>, u32)>>,
    open: Vec<Open<'py>>,
    /// What the open containers have so far, those of the innermost last.
    members: Vec<Bound<'py, PyAny>>,
    keys: Keys,
    names: Names,
}

/// Whether text has names that are not UTF-8, in the form of `OsName`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Names {
    Encoded,
    Plain,
}

impl Names {
    /// Makes a text. The bytes of names that are not UTF-8 become lone surrogates, as Python's file functions have them.
    #[inline]
    pub(crate) fn text<'py>(self, py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
        // All characters that mark such bytes begin with this one.
        if self == Self::Encoded && text.as_bytes().contains(&0xee) {
            let name = OsName::from_text(text);
            if name.as_bytes() != text.as_bytes() {
                let bytes = PyBytes::new(py, name.as_bytes());
                let how = (intern!(py, "utf-8"), intern!(py, "surrogateescape"));
                return bytes.call_method1(intern!(py, "decode"), how);
            }
        }
        Ok(PyString::new(py, text).into_any())
    }
}

/// A container whose members are being read.
struct Open<'py> {
    kind: Kind,
    /// How many members it has; `None` if that shows at its end.
    count: Option<usize>,
    /// Where its members begin.
    first: usize,
    /// Its number, if it has one.
    number: Option<usize>,
    /// The container, if it can be changed later, and is referred to.
    made: Option<Bound<'py, PyAny>>,
    /// How many containers are in each other in it.
    height: u32,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Dict,
    FrozenSet,
    List,
    Set,
    Tuple,
}

impl<'py, 'de> Reader<'py, 'de> {
    fn new(py: Python<'py>, data: &'de [u8], names: Names) -> Self {
        Self {
            py,
            tokens: Tokens::new(data),
            numbered: Vec::new(),
            open: Vec::new(),
            members: Vec::new(),
            keys: Keys::new(data.len()),
            names,
        }
    }

    /// Returns the object, or nothing if a reference leads to a tuple that has not ended.
    fn read(mut self) -> Result<Option<Bound<'py, PyAny>>, Refusal> {
        let none = self.py.None().into_bound(self.py);
        loop {
            let item = self.tokens.read()?;
            let (mut value, mut height) = match item.token {
                Token::Text(text) => (self.names.text(self.py, text)?, 0),
                Token::Int(value) => (value.into_pyobject(self.py)?.into_any(), 0),
                Token::Float(value) => (PyFloat::new(self.py, value).into_any(), 0),
                Token::None => (none.clone(), 0),
                Token::Bool(value) => (PyBool::new(self.py, value).to_owned().into_any(), 0),
                Token::Bytes(bytes) => (PyBytes::new(self.py, bytes).into_any(), 0),
                Token::Long(digits) => (integer(self.py, digits)?, 0),
                Token::Reference(index) => match self.numbered.get(index as usize) {
                    Some(Some((value, height))) => (value.clone(), *height),
                    Some(None) => return Ok(None),
                    None => return Err(refusal(item, "a reference to what is not there")),
                },
                Token::Null => match self.open.pop() {
                    Some(open)
                        if open.count.is_none() && (self.members.len() - open.first).is_multiple_of(2) =>
                    {
                        self.finish(open)?
                    }
                    _ => return Err(refusal(item, "the end of a dict where a value is due")),
                },
                Token::Tuple(count) => match self.begin(item, Kind::Tuple, Some(count as usize))? {
                    Some(made) => made,
                    None => continue,
                },
                Token::List(count) => match self.begin(item, Kind::List, Some(count as usize))? {
                    Some(made) => made,
                    None => continue,
                },
                Token::Set(count) => match self.begin(item, Kind::Set, Some(count as usize))? {
                    Some(made) => made,
                    None => continue,
                },
                Token::FrozenSet(count) => match self.begin(item, Kind::FrozenSet, Some(count as usize))? {
                    Some(made) => made,
                    None => continue,
                },
                Token::Dict => match self.begin(item, Kind::Dict, None)? {
                    Some(made) => made,
                    None => continue,
                },
            };
            if item.numbered && !is_container(item.token) {
                self.numbered.push(Some((value.clone(), 0)));
            }
            loop {
                let Some(outer) = self.open.last_mut() else {
                    self.tokens.end()?;
                    return Ok(Some(value));
                };
                outer.height = outer.height.max(height);
                self.members.push(value);
                if outer.count != Some(self.members.len() - outer.first) {
                    break;
                }
                let Some(open) = self.open.pop() else { break };
                (value, height) = self.finish(open)?;
            }
        }
    }

    /// Opens a container; returns one that has no members.
    #[inline]
    fn begin(
        &mut self,
        item: Item<'_>,
        kind: Kind,
        count: Option<usize>,
    ) -> Result<Option<(Bound<'py, PyAny>, u32)>, Refusal> {
        if self.open.len() >= MAX_DEPTH {
            return Err(refusal(item, &too_deep()));
        }
        let made = match kind {
            Kind::Dict if item.numbered => Some(PyDict::new(self.py).into_any()),
            Kind::List if item.numbered => Some(PyList::empty(self.py).into_any()),
            Kind::Set if item.numbered => Some(PySet::empty(self.py)?.into_any()),
            _ => None,
        };
        let number = item.numbered.then_some(self.numbered.len());
        if item.numbered {
            self.numbered.push(made.clone().map(|made| (made, 0)));
        }
        let open = Open { kind, count, first: self.members.len(), number, made, height: 0 };
        if count == Some(0) {
            return self.finish(open).map(Some);
        }
        self.open.push(open);
        Ok(None)
    }

    /// Makes a container of its members.
    fn finish(&mut self, open: Open<'py>) -> Result<(Bound<'py, PyAny>, u32), Refusal> {
        let Open { kind, first, number, made, height, .. } = open;
        let height = height + 1;
        if height as usize > MAX_DEPTH {
            return Err(Refusal::Unfit(too_deep()));
        }
        let py = self.py;
        let members = &self.members[first..];
        let value = match kind {
            Kind::Dict => {
                self.keys.check(members.iter().step_by(2))?;
                let dict = match &made {
                    Some(made) => made.cast::<PyDict>().map_err(PyErr::from)?.clone(),
                    None => PyDict::new(py),
                };
                for pair in members.chunks_exact(2) {
                    dict.set_item(&pair[0], &pair[1])?;
                }
                dict.into_any()
            }
            Kind::List => match made {
                Some(made) => {
                    let list = made.cast::<PyList>().map_err(PyErr::from)?;
                    list.set_slice(0, 0, PyList::new(py, members)?.as_any())?;
                    made
                }
                None => PyList::new(py, members)?.into_any(),
            },
            Kind::Tuple => PyTuple::new(py, members)?.into_any(),
            Kind::FrozenSet => {
                self.keys.check(members.iter())?;
                PyFrozenSet::new(py, members)?.into_any()
            }
            Kind::Set => {
                self.keys.check(members.iter())?;
                match made {
                    Some(made) => {
                        let set = made.cast::<PySet>().map_err(PyErr::from)?;
                        members.iter().try_for_each(|member| set.add(member))?;
                        made
                    }
                    None => PySet::new(py, members)?.into_any(),
                }
            }
        };
        self.members.truncate(first);
        if let Some(number) = number {
            self.numbered[number] = Some((value.clone(), height));
        }
        Ok((value, height))
    }
}

fn is_container(token: Token<'_>) -> bool {
    matches!(
        token,
        Token::Tuple(_) | Token::List(_) | Token::Set(_) | Token::FrozenSet(_) | Token::Dict | Token::Null
    )
}

fn refusal(item: Item<'_>, what: &str) -> Refusal {
    Refusal::Unfit(format!("invalid value at byte {}: {what}", item.start))
}

fn too_deep() -> String {
    format!("nested more than {MAX_DEPTH} levels deep")
}

/// Makes an integer of any size up to the limit, in time linear in it.
fn integer<'py>(py: Python<'py>, digits: Digits<'_>) -> Result<Bound<'py, PyAny>, Refusal> {
    if let Some(value) = digits.to_i64() {
        return Ok(value.into_pyobject(py)?.into_any());
    }
    let large = || Refusal::Unfit(format!("integer of more than {} digits", marshal::MAX_INTEGER_DIGITS));
    if digits.len() > MAX_DIGITS {
        return Err(large());
    }
    let bytes = PyBytes::new(py, &digits.to_le_bytes());
    let int = py.get_type::<PyInt>();
    let magnitude = int.call_method1(intern!(py, "from_bytes"), (bytes, intern!(py, "little")))?;
    if digits.len() == MAX_DIGITS {
        static LIMIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let limit = LIMIT.get_or_try_init(py, || -> PyResult<_> {
            Ok(10_u8.into_pyobject(py)?.into_any().pow(marshal::MAX_INTEGER_DIGITS, py.None())?.unbind())
        })?;
        if magnitude.ge(limit)? {
            return Err(large());
        }
    }
    Ok(if digits.is_negative() { magnitude.neg()? } else { magnitude })
}

/// Containers in containers, counted through references too. The hash of a tuple recurses in C without a limit of its own.
const MAX_DEPTH: usize = 1000;

/// The digits of 15 bits that an integer of the most decimal ones has.
const MAX_DIGITS: usize = 953;
