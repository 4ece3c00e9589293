//! Composes a value from parts, of which some may be encoded already.

use serde::Serialize;

use super::{
    MAX_WRITE_DEPTH,
    error::{EncodeError, EncodeErrorKind},
    ser::{self, Serializer, counted},
    tag,
};

/// Composes one value part by part.
///
/// A container begins with the number of its members, which then follow, and it ends by itself. The
/// first error is kept and returned by [`finish`](Self::finish), so that calls can be chained.
///
/// # Examples
///
/// ```
/// use chopsticks_pencode::marshal::{self, Writer};
///
/// let arguments = marshal::to_vec(&("/etc/hosts", 0o644))?;
///
/// let mut writer = Writer::new();
/// writer.begin_tuple(3).text("os:chmod").splice(&arguments).none();
/// let call = writer.finish()?;
///
/// let read: (&str, (&str, u32), Option<()>) = marshal::from_slice(&call)?;
/// assert_eq!(read, ("os:chmod", ("/etc/hosts", 0o644), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    serializer: Serializer,
    /// Containers that are not complete, the outermost first.
    open: Vec<Open>,
    state: State,
    fault: Option<EncodeError>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Members that have not begun; a dict has two for each pair.
    left: usize,
    /// Whether a mark has to stand behind the last member.
    marked: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Empty,
    Begun,
    Complete,
}

impl Writer {
    /// Creates a writer of one value.
    pub fn new() -> Self {
        Self::with_buffer(Vec::new())
    }

    /// Creates a writer that appends one value to `buffer`.
    pub fn with_buffer(buffer: Vec<u8>) -> Self {
        Self { serializer: Serializer::new(buffer), open: Vec::new(), state: State::Empty, fault: None }
    }

    /// Begins a tuple of `count` members.
    pub fn begin_tuple(&mut self, count: usize) -> &mut Self {
        self.begin_counted(tag::TUPLE, count)
    }

    /// Begins a list of `count` members.
    pub fn begin_list(&mut self, count: usize) -> &mut Self {
        self.begin_counted(tag::LIST, count)
    }

    /// Begins a dict of `count` pairs: key, value, key, value.
    pub fn begin_dict(&mut self, count: usize) -> &mut Self {
        self.begin(count.saturating_mul(2), true, |serializer| {
            serializer.out.push(tag::DICT);
            Ok(())
        })
    }

    /// Writes `None`.
    pub fn none(&mut self) -> &mut Self {
        self.scalar(|serializer| {
            serializer.out.push(tag::NONE);
            Ok(())
        })
    }

    /// Writes `True` or `False`.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.scalar(|serializer| {
            serializer.out.push(if value { tag::TRUE } else { tag::FALSE });
            Ok(())
        })
    }

    /// Writes an `int`.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.scalar(|serializer| {
            serializer.signed(value);
            Ok(())
        })
    }

    /// Writes a `float`.
    pub fn float(&mut self, value: f64) -> &mut Self {
        self.scalar(|serializer| {
            serializer.float(value);
            Ok(())
        })
    }

    /// Writes text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.scalar(|serializer| serializer.sized(tag::TEXT, value.as_bytes()))
    }

    /// Writes text that Python stores once, such as a key.
    ///
    /// Python 2 reads it as `str`, so that keyword arguments have the type they have there.
    pub fn name(&mut self, value: &str) -> &mut Self {
        self.scalar(|serializer| serializer.name(value))
    }

    /// Writes bytes.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.scalar(|serializer| serializer.sized(tag::BYTES, value))
    }

    /// Writes any value.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.scalar(|serializer| ser::append(&mut serializer.out, value, false))
    }

    /// Writes a value that is already encoded. Its bytes are copied without being examined.
    ///
    /// The value must come from [`to_vec`](super::to_vec) or from a writer. References in a value
    /// that Python has written would refer to other objects here.
    pub fn splice(&mut self, encoded: &[u8]) -> &mut Self {
        self.scalar(|serializer| {
            serializer.out.extend_from_slice(encoded);
            Ok(())
        })
    }

    /// Returns the bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeErrorKind::Incomplete`] if members are missing or too many were written, and the
    /// first fault of any part.
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        match (self.fault, self.state) {
            (Some(fault), _) => Err(fault),
            (None, State::Complete) => Ok(self.serializer.out),
            (None, _) => Err(EncodeError::new(EncodeErrorKind::Incomplete("members are missing"))),
        }
    }

    fn begin_counted(&mut self, code: u8, count: usize) -> &mut Self {
        self.begin(count, false, |serializer| {
            let [a, b, c, d] = counted(count)?.to_le_bytes();
            serializer.out.extend_from_slice(&[code, a, b, c, d]);
            Ok(())
        })
    }

    fn begin(
        &mut self,
        left: usize,
        marked: bool,
        write: impl FnOnce(&mut Serializer) -> Result<(), EncodeError>,
    ) -> &mut Self {
        if self.open.len() == MAX_WRITE_DEPTH {
            let fault = EncodeError::new(EncodeErrorKind::TooDeep { max_depth: MAX_WRITE_DEPTH });
            self.fault.get_or_insert(fault);
        }
        self.member(write);
        if self.fault.is_none() {
            self.open.push(Open { left, marked });
            self.close();
        }
        self
    }

    fn scalar(&mut self, write: impl FnOnce(&mut Serializer) -> Result<(), EncodeError>) -> &mut Self {
        self.member(write);
        if self.fault.is_none() {
            self.close();
        }
        self
    }

    /// Writes what begins the next member.
    fn member(&mut self, write: impl FnOnce(&mut Serializer) -> Result<(), EncodeError>) {
        if self.fault.is_some() {
            return;
        }
        let written = match self.state {
            State::Complete => {
                Err(EncodeError::new(EncodeErrorKind::Incomplete("more members than announced")))
            }
            State::Empty | State::Begun => write(&mut self.serializer),
        };
        self.state = State::Begun;
        self.fault = written.err();
        if let Some(container) = self.open.last_mut() {
            container.left -= 1;
        }
    }

    /// Ends the containers that have all their members.
    fn close(&mut self) {
        while let Some(container) = self.open.pop_if(|container| container.left == 0) {
            if container.marked {
                self.serializer.out.push(tag::NULL);
            }
        }
        if self.open.is_empty() {
            self.state = State::Complete;
        }
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}
