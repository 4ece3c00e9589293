//! The beginning of a connection: `docs/wire.md`, section 5.

use std::collections::BTreeMap;

use chopsticks_pencode::marshal::{self, DecodeError, EncodeError, Writer};
use serde::Deserialize;

/// The options of `START`, which the agent applies before anything runs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever starts an agent decides on each of them")]
#[serde(default)]
pub struct Start {
    /// The tunnel's name.
    pub host: String,
    /// The names of the tunnels that lead there, outermost first, and its own.
    pub hosts: Vec<String>,
    /// The number of nested tunnels that lead from the controller to the agent.
    pub depth: u32,
    /// The largest depth of a tunnel that code on the agent may open.
    pub depth_limit: u32,
    /// Folders to put on `sys.path`.
    pub path: Vec<String>,
    /// Whether the host's site-packages can be imported.
    pub site: bool,
    /// Whether the user's own site-packages can be imported.
    pub user: bool,
    /// Whether the folders of `PYTHONPATH` are importable.
    pub search: bool,
    /// The folder to work in.
    pub cwd: Option<String>,
    /// The kinds of values that the agent sends in a plain form.
    pub encode: Vec<String>,
    /// The variables that are added to the environment.
    pub env: BTreeMap<String, String>,
}

impl Start {
    /// The names of the options, in the order in which they are sent. The last three are left out
    /// if they change nothing.
    pub const OPTIONS: [&'static str; 11] =
        ["host", "hosts", "depth", "depth_limit", "path", "site", "user", "search", "cwd", "encode", "env"];

    /// Encodes the options.
    ///
    /// # Errors
    ///
    /// The error if a text or a list is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let [host, hosts, depth, depth_limit, path, site, user, search, cwd, encode, env] = Self::OPTIONS;
        let mut writer = Writer::new();
        let optional = [self.cwd.is_some(), !self.encode.is_empty(), !self.env.is_empty()];
        let optional = optional.into_iter().map(usize::from).sum::<usize>();
        writer.begin_dict(8 + optional).name(host).text(&self.host);
        writer.name(hosts);
        texts(&self.hosts, &mut writer);
        writer.name(depth).int(i64::from(self.depth)).name(depth_limit).int(i64::from(self.depth_limit));
        writer.name(path);
        texts(&self.path, &mut writer);
        writer.name(site).bool(self.site).name(user).bool(self.user).name(search).bool(self.search);
        if let Some(folder) = &self.cwd {
            writer.name(cwd).text(folder);
        }
        if !self.encode.is_empty() {
            writer.name(encode);
            texts(&self.encode, &mut writer);
        }
        if !self.env.is_empty() {
            writer.name(env).begin_dict(self.env.len());
            for (name, value) in &self.env {
                writer.text(name).text(value);
            }
        }
        writer.finish()
    }

    /// Decodes the options. Unknown options are ignored.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such options.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

/// The description of an agent: the value of `HELLO`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an agent says each of them")]
pub struct Hello {
    /// The Python version: major, minor, micro. An agent in Rust leaves it out.
    #[serde(default)]
    pub python: Option<(u8, u8, u8)>,
    /// The path of the interpreter, as the interpreter reports it, or of the agent's program.
    pub executable: String,
    /// The process id on its host.
    pub pid: u32,
    /// The name that its host gives itself.
    pub hostname: String,
    /// Python's `sys.platform`, or the name of the system that the agent was built for.
    pub platform: String,
}

impl Hello {
    /// Encodes the value.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_dict(4 + usize::from(self.python.is_some()));
        if let Some((major, minor, micro)) = self.python {
            writer.name("python").begin_list(3);
            for number in [major, minor, micro] {
                writer.int(i64::from(number));
            }
        }
        writer.name("executable").text(&self.executable).name("pid").int(i64::from(self.pid));
        writer.name("hostname").text(&self.hostname).name("platform").text(&self.platform);
        writer.finish()
    }

    /// Decodes the value.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a value.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

/// Writes a list of texts.
pub(crate) fn texts(texts: &[String], writer: &mut Writer) {
    writer.begin_list(texts.len());
    for text in texts {
        writer.text(text);
    }
}
