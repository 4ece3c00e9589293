//! Failures of an agent on its host: `docs/wire.md`, sections 8 and 9.

use chopsticks_pencode::marshal::{self, DecodeError, EncodeError, Writer};
use serde::Deserialize;
use serde_bytes::ByteBuf;

/// The `FAIL` of a transfer or of a program that could not be started.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a dict of three on the wire")]
pub struct Failure {
    /// The number of the system's error; 0 if there is none.
    pub errno: i32,
    /// The error's text.
    pub message: String,
    /// The file, folder or program.
    pub path: Vec<u8>,
}

#[derive(Deserialize)]
struct Fields {
    errno: i32,
    message: String,
    path: ByteBuf,
}

impl Failure {
    /// Encodes the failure.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_dict(3).name("errno").int(i64::from(self.errno)).name("message").text(&self.message);
        writer.name("path").bytes(&self.path);
        writer.finish()
    }

    /// Decodes the failure.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a failure.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let Fields { errno, message, path } = marshal::from_slice(payload)?;
        Ok(Self { errno, message, path: path.into_vec() })
    }
}
