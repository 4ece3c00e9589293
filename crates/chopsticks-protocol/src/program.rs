//! Programs that an agent runs: `docs/wire.md`, section 9.

use chopsticks_pencode::marshal::{self, DecodeError, EncodeError, Writer};
use serde::Deserialize;
use serde_bytes::ByteBuf;

/// `SPAWN`: runs a program.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever starts a program decides on each of them")]
pub struct Spawn {
    /// The program and its arguments.
    pub argv: Vec<Vec<u8>>,
    /// Variables that are set in the environment, or removed.
    pub env: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The folder to start in.
    pub cwd: Option<Vec<u8>>,
    /// The number of the request that receives the program's stderr; 0 for no request.
    pub stderr: u32,
}

#[derive(Deserialize)]
struct Fields {
    argv: Vec<ByteBuf>,
    #[serde(deserialize_with = "pairs")]
    env: Vec<(ByteBuf, Option<ByteBuf>)>,
    cwd: Option<ByteBuf>,
    stderr: u32,
}

impl Spawn {
    /// The keys, in the order in which they are sent.
    pub const KEYS: [&'static str; 4] = ["argv", "env", "cwd", "stderr"];

    /// Encodes the request.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let [argv, env, cwd, stderr] = Self::KEYS;
        let mut writer = Writer::new();
        writer.begin_dict(4).name(argv).begin_list(self.argv.len());
        for argument in &self.argv {
            writer.bytes(argument);
        }
        writer.name(env).begin_dict(self.env.len());
        for (name, value) in &self.env {
            writer.bytes(name);
            optional(value.as_deref(), &mut writer);
        }
        writer.name(cwd);
        optional(self.cwd.as_deref(), &mut writer);
        writer.name(stderr).int(i64::from(self.stderr));
        writer.finish()
    }

    /// Decodes the request.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a request.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let Fields { argv, env, cwd, stderr } = marshal::from_slice(payload)?;
        Ok(Self {
            argv: argv.into_iter().map(ByteBuf::into_vec).collect(),
            env: env
                .into_iter()
                .map(|(name, value)| (name.into_vec(), value.map(ByteBuf::into_vec)))
                .collect(),
            cwd: cwd.map(ByteBuf::into_vec),
            stderr,
        })
    }
}

/// The `REPLY` to [`Spawn`]: the status of the program.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a dict of one on the wire")]
pub struct Exit {
    /// The exit status, or the negative number of the signal that killed it.
    pub status: i32,
}

impl Exit {
    /// Encodes the reply.
    ///
    /// # Errors
    ///
    /// The error if there is not enough memory.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_dict(1).name("status").int(i64::from(self.status));
        writer.finish()
    }

    /// Decodes the reply.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a reply.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

/// An empty dict: the request `STDERR`, and the `REPLY` to it.
pub const EMPTY: &[u8] = b"{0";

/// Writes bytes, or `None`.
pub(crate) fn optional(bytes: Option<&[u8]>, writer: &mut Writer) {
    match bytes {
        Some(bytes) => writer.bytes(bytes),
        None => writer.none(),
    };
}

/// Decodes a dict in its order.
fn pairs<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(ByteBuf, Option<ByteBuf>)>, D::Error> {
    struct Pairs;

    impl<'de> serde::de::Visitor<'de> for Pairs {
        type Value = Vec<(ByteBuf, Option<ByteBuf>)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a dict of bytes")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_map(Pairs)
}
