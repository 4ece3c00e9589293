//! What the interfaces of controllers mean alike: in Rust, and in the Python package on hosts.

use chopsticks::{Call, Codebase, Group, Local, Queue, Tunnel, TunnelConfig};
use chopsticks_e2e::{local, newest_and_oldest, quiet};
use chopsticks_support::{Scratch, newest};
use serde::Deserialize;

use crate::{Argument, Table};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    host_path: Vec<HostPath>,
    failure: Vec<Failure>,
    group: Vec<Members>,
    queue: Vec<Line>,
    depth: Vec<Depth>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostPath {
    template: String,
    hosts: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    shared: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    function: String,
    args: Vec<Argument>,
    r#type: Option<String>,
    message: Option<String>,
    #[serde(default)]
    contains: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    hosts: Vec<String>,
    #[serde(default)]
    fails: Vec<String>,
    #[serde(default)]
    ok: Vec<String>,
    #[serde(default)]
    refused: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    line: Vec<String>,
    results: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Depth {
    limit: u32,
    opens: u32,
}

/// Functions that both call, and the same cases by the package.
const CODE: &str = r#"
import importlib, os, shutil, sys, tempfile
from chopsticks._agent import agent

def host(fails=()):
    if agent['options']['host'] in fails: raise ValueError('as wanted')
    return agent['options']['host']

def echo(word):
    if word == u'fail': raise ValueError('as wanted')
    return word

def deep(count):
    from chopsticks.tunnel import Local
    if not count: return 0
    with Local('d%d' % count) as tun: return 1 + tun.call(deep, count - 1)

def text(value):
    return value if isinstance(value, type(u'')) else str(value)

def host_paths(template, hosts):
    from chopsticks.group import Group
    from chopsticks.tunnel import Local
    folder = tempfile.mkdtemp()
    try:
        with open(os.path.join(folder, 'source'), 'wb') as f: f.write(b'content')
        with Group([Local(name) for name in hosts]) as group:
            try:
                found = group.fetch(os.path.join(folder, 'source'), os.path.join(folder, 'got', template)
                                    if os.mkdir(os.path.join(folder, 'got')) is None else None)
                found.raise_failures()
            except ValueError:
                return u'shared'
            return u' '.join(text(os.path.basename(info['local_path'])) for info in found.values())
    finally:
        shutil.rmtree(folder)

def failure(function, *args):
    from chopsticks.tunnel import Local, RemoteException
    module, name = function.split(':')
    with Local('inner') as tun:
        try: tun.call(getattr(importlib.import_module(module), name), *args)
        except RemoteException as e: return [text(e.type_name), text(e.msg)]

def group(hosts, fails):
    from chopsticks.group import Group
    from chopsticks.tunnel import Local
    try: members = Group([Local(name) for name in hosts])
    except ValueError: return u'refused'
    with members:
        found = members.call(host, list(fails))
        return u'%s; ok %s; failed %s' % tuple(u' '.join(map(text, names)) for names in (
            found, [v for _, v in found.successful()], [h for h, _ in found.failures()]))

def queue(words):
    from chopsticks.queue import Queue
    from chopsticks.tunnel import ErrorResult, Local
    with Local('inner') as tun:
        line = Queue()
        results = [line.call(tun, echo, word) for word in words]
        line.run()
        return u' '.join(u'failed' if isinstance(r.value, ErrorResult) else text(r.value) for r in results)
"#;

impl HostPath {
    fn wanted(&self) -> String {
        if self.shared { "shared".to_owned() } else { self.paths.join(" ") }
    }
}

impl Failure {
    /// Returns what is told otherwise than it should be.
    fn problem(&self, type_name: &str, message: &str) -> String {
        let is_right = self.r#type.as_ref().is_none_or(|wanted| wanted == type_name)
            && self.message.as_ref().is_none_or(|wanted| message.ends_with(wanted.as_str()))
            && (message.contains(&self.contains) || type_name.contains(&self.contains));
        if is_right { "as expected".to_owned() } else { format!("{type_name}: {message}") }
    }
}

impl Members {
    fn wanted(&self) -> String {
        if self.refused {
            return "refused".to_owned();
        }
        format!("{}; ok {}; failed {}", self.hosts.join(" "), self.ok.join(" "), self.fails.join(" "))
    }
}

fn cases() -> Cases {
    toml::from_str(include_str!("../../../conformance/api.toml")).unwrap()
}

fn config(scratch: &Scratch) -> TunnelConfig {
    quiet().modules(Codebase::folder(scratch.path()))
}

/// Returns a tunnel of each name to an interpreter of this host.
fn tunnels(names: &[String], config: &TunnelConfig) -> Vec<Tunnel> {
    let local = |name: &String| Local::new().python(newest().path()).name(name.as_str());
    names.iter().map(|name| Tunnel::with_config(local(name), config.clone())).collect()
}

async fn host_path_in_rust(case: &HostPath, scratch: &Scratch) -> String {
    let group = Group::new(tunnels(&case.hosts, &config(scratch))).unwrap();
    let folder = Scratch::new();
    folder.write("source", "content");
    let template = format!("{}/got/{}", folder.path().display(), case.template);
    std::fs::create_dir(folder.path().join("got")).unwrap();
    let Ok(found) = group.fetch(folder.path().join("source"), &template).await else {
        return "shared".to_owned();
    };
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let names = found.into_iter().map(|(_, file)| name(file.unwrap().local.as_deref().unwrap()));
    names.collect::<Vec<_>>().join(" ")
}

async fn failure_in_rust(case: &Failure) -> String {
    let tunnel = Tunnel::with_config(Local::new().python(newest().path()), quiet());
    let mut call = Call::new(case.function.as_str());
    for argument in &case.args {
        call = match argument {
            Argument::Integer(number) => call.arg(number),
            Argument::Text(text) => call.arg(text),
        };
    }
    match tunnel.call_with(call).await {
        Ok(_) => "it returned".to_owned(),
        Err(error) => match error.remote() {
            Some(remote) => case.problem(&remote.type_name, &remote.message),
            None => error.to_string(),
        },
    }
}

async fn group_in_rust(case: &Members, scratch: &Scratch) -> String {
    let Ok(group) = Group::new(tunnels(&case.hosts, &config(scratch))) else {
        return "refused".to_owned();
    };
    let found = group.call::<String>("conform:host", (&case.fails,)).await;
    let order: Vec<_> = found.iter().map(|(host, _)| host.to_string()).collect();
    let ok: Vec<_> = found.iter().filter_map(|(_, value)| value.as_ref().ok().cloned()).collect();
    let failed: Vec<_> =
        found.iter().filter(|(_, value)| value.is_err()).map(|(host, _)| host.to_string()).collect();
    format!("{}; ok {}; failed {}", order.join(" "), ok.join(" "), failed.join(" "))
}

async fn queue_in_rust(case: &Line, scratch: &Scratch) -> String {
    let tunnel = Tunnel::with_config(Local::new().python(newest().path()), config(scratch));
    let queue = Queue::new();
    let add = |word: &String| queue.call_with(&tunnel, Call::new("conform:echo").arg(word));
    let results: Vec<_> = case.line.iter().map(add).collect();
    queue.run().await;
    let mut texts = Vec::new();
    for result in results {
        let text = result.await.as_ref().as_ref().ok().and_then(|reply| reply.decode::<String>().ok());
        texts.push(text.unwrap_or_else(|| "failed".to_owned()));
    }
    texts.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_the_interface_in_rust() {
    let (cases, mut table) = (cases(), Table::default());
    let scratch = Scratch::new();
    scratch.write("conform.py", CODE);
    for case in &cases.host_path {
        let found = host_path_in_rust(case, &scratch).await;
        table.add("Rust", &format!("path {} of {:?}", case.template, case.hosts), &found, &case.wanted());
    }
    for case in &cases.failure {
        let found = failure_in_rust(case).await;
        table.add("Rust", &format!("failure of {}", case.function), &found, "as expected");
    }
    for case in &cases.group {
        let found = group_in_rust(case, &scratch).await;
        table.add("Rust", &format!("group of {:?}", case.hosts), &found, &case.wanted());
    }
    for case in &cases.queue {
        let found = queue_in_rust(case, &scratch).await;
        table.add("Rust", &format!("queue of {:?}", case.line), &found, &case.results.join(" "));
    }
    for case in &cases.depth {
        let config = config(&scratch).depth_limit(case.limit);
        let tunnel = Tunnel::with_config(Local::new().python(newest().path()), config);
        for (depth, wanted) in [(case.opens, "opened"), (case.opens + 1, "DepthLimitExceeded")] {
            let found = match tunnel.call::<u32>("conform:deep", (depth,)).await {
                Ok(_) => "opened".to_owned(),
                Err(error) if error.to_string().contains("DepthLimitExceeded") => {
                    "DepthLimitExceeded".to_owned()
                }
                Err(error) => error.to_string(),
            };
            table.add("Rust", &format!("depth {depth} with limit {}", case.limit), &found, wanted);
        }
    }
    table.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_the_interface_in_the_python_package_on_hosts() {
    let (cases, mut table) = (cases(), Table::default());
    let scratch = Scratch::new();
    scratch.write("conform.py", CODE);
    for interpreter in newest_and_oldest() {
        let tunnel = Tunnel::with_config(local(interpreter), config(&scratch));
        let name = format!("package on {interpreter}");
        let told = |found: Result<String, chopsticks::Error>| found.unwrap_or_else(|error| error.to_string());
        for case in &cases.host_path {
            let found = told(tunnel.call("conform:host_paths", (&case.template, &case.hosts)).await);
            table.add(&name, &format!("path {} of {:?}", case.template, case.hosts), &found, &case.wanted());
        }
        for case in &cases.failure {
            let mut call = Call::new("conform:failure").arg(&case.function);
            for argument in &case.args {
                call = match argument {
                    Argument::Integer(number) => call.arg(number),
                    Argument::Text(text) => call.arg(text),
                };
            }
            let found = match tunnel.call_with(call).await.and_then(|reply| reply.decode::<[String; 2]>()) {
                Ok([type_name, message]) => case.problem(&type_name, &message),
                Err(error) => error.to_string(),
            };
            table.add(&name, &format!("failure of {}", case.function), &found, "as expected");
        }
        for case in &cases.group {
            let found = told(tunnel.call("conform:group", (&case.hosts, &case.fails)).await);
            table.add(&name, &format!("group of {:?}", case.hosts), &found, &case.wanted());
        }
        for case in &cases.queue {
            let found = told(tunnel.call("conform:queue", (&case.line,)).await);
            table.add(&name, &format!("queue of {:?}", case.line), &found, &case.results.join(" "));
        }
    }
    table.finish();
}
