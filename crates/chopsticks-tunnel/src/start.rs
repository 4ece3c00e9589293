//! What an agent is told when it starts.

use bytes::Bytes;
use chopsticks_driver::AgentOptions;
use chopsticks_pencode::marshal::{EncodeError, Writer};

/// Composes the options of START, `docs/wire.md`, section 5, for the last of `hosts`, to which the others lead.
pub(crate) fn encode(
    options: &AgentOptions,
    hosts: &[String],
    depth_limit: u32,
) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    let (folder, env) = (options.folder(), options.variables());
    let has_cwd = usize::from(folder.is_some());
    let has_env = usize::from(!env.is_empty());
    let encoded = options.encoded();
    let has_encode = usize::from(encoded.len() > 0);
    let host = hosts.last().map_or("", String::as_str);
    writer.begin_dict(8 + has_cwd + has_env + has_encode).name("host").text(host);
    writer.name("hosts").begin_list(hosts.len());
    for host in hosts {
        writer.text(host);
    }
    // Whatever leads there, the controller itself opens it.
    writer.name("depth").int(1).name("depth_limit").int(i64::from(depth_limit));
    writer.name("path").begin_list(options.python_paths().len());
    for folder in options.python_paths() {
        writer.text(folder);
    }
    writer.name("site").bool(options.has_site_packages());
    writer.name("user").bool(options.has_user_site());
    writer.name("search").bool(options.has_search_path());
    if let Some(folder) = folder {
        writer.name("cwd").text(folder);
    }
    if has_encode > 0 {
        writer.name("encode").begin_list(encoded.len());
        for what in encoded {
            writer.text(what.name());
        }
    }
    if !env.is_empty() {
        writer.name("env").begin_dict(env.len());
        for (name, value) in env {
            writer.text(name).text(value);
        }
    }
    writer.finish().map(Bytes::from)
}
