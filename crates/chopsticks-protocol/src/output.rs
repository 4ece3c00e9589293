//! What code on a host prints and logs: `docs/wire.md`, section 12.

use chopsticks_pencode::marshal::{self, DecodeError, EncodeError, Writer};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use crate::start::texts;

/// Text that was written to `sys.stdout`, which need not be whole lines.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a dict of three on the wire")]
pub struct Printed {
    /// The names of the inner tunnels that lead from the agent to the host that wrote it. Empty for
    /// the agent itself.
    pub hosts: Vec<String>,
    /// How many messages before this one were left out.
    pub lost: u64,
    /// The bytes.
    pub text: Vec<u8>,
}

/// A record, or only the number of messages that were left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is what is on the wire")]
pub struct Logged {
    /// As in [`Printed`].
    pub hosts: Vec<String>,
    /// As in [`Printed`].
    pub lost: u64,
    /// The record.
    pub record: Option<Record>,
}

/// A record of Python's `logging`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an agent says each of them")]
pub struct Record {
    /// The name of the logger.
    pub logger: String,
    /// The number of the level, such as 30.
    pub level: i64,
    /// The name of the level, such as `WARNING`.
    pub name: String,
    /// The file that contains the logging call.
    pub file: String,
    /// The line of the call.
    pub line: i64,
    /// The text.
    pub message: String,
    /// The formatted exception and stack, if the record has any.
    #[serde(default)]
    pub traceback: Option<String>,
}

#[derive(Deserialize)]
struct PrintedFields {
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    lost: u64,
    #[serde(default)]
    text: ByteBuf,
}

#[derive(Deserialize)]
struct LoggedFields {
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    lost: u64,
    #[serde(default)]
    message: Option<serde::de::IgnoredAny>,
}

impl Printed {
    /// Encodes the message.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        begin(&self.hosts, self.lost, 1, &mut writer);
        writer.name("text").bytes(&self.text);
        writer.finish()
    }

    /// Decodes the message.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a message.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let PrintedFields { hosts, lost, text } = marshal::from_slice(payload)?;
        Ok(Self { hosts, lost, text: text.into_vec() })
    }
}

impl Logged {
    /// Encodes the message.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        let Some(record) = &self.record else {
            begin(&self.hosts, self.lost, 0, &mut writer);
            return writer.finish();
        };
        begin(&self.hosts, self.lost, 6 + usize::from(record.traceback.is_some()), &mut writer);
        writer.name("logger").text(&record.logger).name("level").int(record.level);
        writer.name("name").text(&record.name).name("file").text(&record.file);
        writer.name("line").int(record.line).name("message").text(&record.message);
        if let Some(traceback) = &record.traceback {
            writer.name("traceback").text(traceback);
        }
        writer.finish()
    }

    /// Decodes the message.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a message.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let LoggedFields { hosts, lost, message } = marshal::from_slice(payload)?;
        let record = match message {
            Some(_) => Some(marshal::from_slice(payload)?),
            None => None,
        };
        Ok(Self { hosts, lost, record })
    }
}

/// Writes what both messages have.
fn begin(hosts: &[String], lost: u64, others: usize, writer: &mut Writer) {
    let common = usize::from(!hosts.is_empty()) + usize::from(lost > 0);
    writer.begin_dict(common + others);
    if !hosts.is_empty() {
        writer.name("hosts");
        texts(hosts, writer);
    }
    if lost > 0 {
        writer.name("lost").int(i64::try_from(lost).unwrap_or(i64::MAX));
    }
}
