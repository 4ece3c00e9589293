//! Calls of functions in Rust: `docs/wire.md`, section 11.

use bytes::Bytes;
use chopsticks_pencode::marshal::DecodeError;

use crate::span::invalid;

/// `RUN`: calls a function of the program that the agent is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is these three on the wire")]
pub struct Run {
    /// A number that stands for the types of the parameters and of the result, as they are written
    /// in the source.
    pub signature: u64,
    /// The full name of the function: its module's path, `::` and its own name.
    pub name: String,
    /// A tuple of the arguments in `marshal`.
    pub arguments: Bytes,
}

impl Run {
    /// Encodes the request in two pieces. The arguments are the second one, which is shared and not
    /// copied.
    ///
    /// # Errors
    ///
    /// The error if the name has 2^16 bytes or more.
    pub fn encode(&self) -> Result<Vec<Bytes>, NameTooLong> {
        let name = self.name.as_bytes();
        let len = u16::try_from(name.len()).map_err(|_| NameTooLong)?;
        let mut head = Vec::with_capacity(HEAD_LEN + name.len());
        head.extend_from_slice(&self.signature.to_be_bytes());
        head.extend_from_slice(&len.to_be_bytes());
        head.extend_from_slice(name);
        Ok(vec![Bytes::from(head), self.arguments.clone()])
    }

    /// Decodes the request. The arguments are a part of `payload`, and stay encoded.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a request.
    pub fn decode(payload: &Bytes) -> Result<Self, DecodeError> {
        let too_short = || invalid("the message ends too soon");
        let (signature, rest) = payload.split_first_chunk::<8>().ok_or_else(too_short)?;
        let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(too_short)?;
        let name = rest.get(..usize::from(u16::from_be_bytes(*len))).ok_or_else(too_short)?;
        let arguments = payload.slice(HEAD_LEN + name.len()..);
        let name = str::from_utf8(name).map_err(|_| invalid("the name is not UTF-8"))?;
        Ok(Self { signature: u64::from_be_bytes(*signature), name: name.to_owned(), arguments })
    }
}

/// Error for the name of a function that is too long to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the name of the function has more than 65535 bytes")]
#[expect(clippy::exhaustive_structs, reason = "it says all that there is to say")]
pub struct NameTooLong;

/// The signature and the length of the name.
const HEAD_LEN: usize = 10;
