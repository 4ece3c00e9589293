//! The options of `START`.

use chopsticks_driver::AgentOptions;
use chopsticks_protocol::Start;

/// Returns the options of an agent on the last of `hosts`. The others lead to it.
pub(crate) fn options(options: &AgentOptions, hosts: Vec<String>, depth_limit: u32) -> Start {
    Start {
        host: hosts.last().cloned().unwrap_or_default(),
        hosts,
        // Whatever leads there, the controller itself opens it.
        depth: 1,
        depth_limit,
        path: options.python_paths().to_vec(),
        site: options.has_site_packages(),
        user: options.has_user_site(),
        search: options.has_search_path(),
        cwd: options.folder().map(str::to_owned),
        encode: options.encoded().map(|what| what.name().to_owned()).collect(),
        env: options.variables().clone(),
    }
}
