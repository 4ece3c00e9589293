//! Tunnels that code on the far side opens itself: what it gets, how deep it gets, and how all of it ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chopsticks::{
    Codebase, Local, Stderr, Tunnel, TunnelConfig,
    module::{ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource},
};
use chopsticks_e2e::{PATIENCE, canary, local, newest_and_oldest, quiet, wait_for, wait_until_none};
use chopsticks_support::{Scratch, eventually, newest, processes};

const CODE: &str = r#"
import os, subprocess, sys, time
import chopsticks
from chopsticks import facts
from chopsticks.group import Group
from chopsticks.queue import Queue
from chopsticks.tunnel import DepthLimitExceeded, Local, RemoteException

kept = []

def add(one, other): return one + other
def pid(): return os.getpid()
def fails(): raise ValueError('inner trouble')

def results():
    with Local('inner') as tun:
        return [tun.call(add, 2, other=3), tun.call(add, 'a', 'b'), tun.call(pid) != os.getpid(),
                tun.call(facts.python_version) == facts.python_version()]

def error():
    with Local('inner') as tun: tun.call(fails)

def group(count):
    with Group([Local('h%d' % n) for n in range(count)]) as hosts:
        queue = Queue()
        numbers = [queue.call(hosts, add, n, 1) for n in range(3)]
        queue.run()
        return [sorted(set(number.value.values())) for number in numbers]

def recursive():
    with Local() as tun: return tun.call(recursive)

def deep(count):
    if not count: return 0
    with Local('d%d' % count) as tun: return 1 + tun.call(deep, count - 1)

def set_limit(limit, count):
    chopsticks.DEPTH_LIMIT = limit
    return deep(count)

def say():
    os.write(2, b'one\ntwo\n')

def speak():
    with Local('inner') as tun: tun.call(say)

def children(canary):
    subprocess.Popen(['setsid', 'sh', '-c', 'trap "" TERM; while true; do sleep 1000; done', canary])

def wait(canary):
    children(canary)
    time.sleep(1000)

def hang(canary, count):
    with Local('inner') as tun:
        if count: tun.call(hang, canary, count - 1)
        else: tun.call(wait, canary)

def stay(canary, count):
    kept.append(Local('inner'))
    if count: kept[-1].call(stay, canary, count - 1)
    else: kept[-1].call(children, canary)
"#;

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("far.py", CODE);
    scratch
}

fn config(scratch: &Scratch) -> TunnelConfig {
    quiet().modules(Codebase::folder(scratch.path()))
}

fn newest_local() -> Local {
    Local::new().python(newest().path())
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_errors_of_inner_agents_come_back() {
    let scratch = scratch();
    for interpreter in newest_and_oldest() {
        let tunnel = Tunnel::with_config(local(interpreter), config(&scratch));
        let (number, text, apart, facts): (i64, String, bool, bool) =
            tunnel.call("far:results", ()).await.unwrap();
        assert_eq!((number, text.as_str(), apart, facts), (5, "ab", true, true), "{interpreter}");
        let error = tunnel.call::<()>("far:error", ()).await.unwrap_err();
        let remote = error.remote().unwrap();
        assert_eq!(remote.message, "inner: ValueError: inner trouble", "{interpreter}");
        // Both tracebacks, each once.
        for line in ["tun.call(fails)", "raise ValueError('inner trouble')"] {
            assert_eq!(remote.traceback.matches(line).count(), 1, "{interpreter}: {}", remote.traceback);
        }
        let numbers: Vec<Vec<i64>> = tunnel.call("far:group", (4,)).await.unwrap();
        assert_eq!(numbers, [[1], [2], [3]], "{interpreter}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion_ends_at_the_depth_limit_with_the_path_that_led_there() {
    let scratch = scratch();
    for interpreter in newest_and_oldest() {
        let tunnel = Tunnel::with_config(Local::new().python(interpreter.path()), config(&scratch));
        let error = tunnel.call::<()>("far:recursive", ()).await.unwrap_err().to_string();
        assert!(error.contains("DepthLimitExceeded"), "{interpreter}: {error}");
        assert!(error.contains("localhost -> localhost -> localhost"), "{interpreter}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_limit_is_set_from_here_and_from_there() {
    let scratch = scratch();
    for (limit, depth) in [(1, 0), (2, 1), (4, 3)] {
        let tunnel = Tunnel::with_config(newest_local(), config(&scratch).depth_limit(limit));
        assert_eq!(tunnel.call::<u32>("far:deep", (depth,)).await.unwrap(), depth);
        let error = tunnel.call::<u32>("far:deep", (depth + 1,)).await.unwrap_err().to_string();
        assert!(error.contains("DepthLimitExceeded"), "{limit}: {error}");
        assert_eq!(tunnel.call::<u32>("far:set_limit", (depth + 2, depth + 1)).await.unwrap(), depth + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_inner_agents_come_with_the_path() {
    let scratch = scratch();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let stderr = Stderr::callback(move |host, line| {
        seen.lock().unwrap().push(format!("[{host}] {}", String::from_utf8_lossy(line)));
    });
    let tunnel = Tunnel::with_config(newest_local(), config(&scratch).stderr(stderr));
    tunnel.call::<()>("far:speak", ()).await.unwrap();
    tunnel.close().await.unwrap();
    assert_eq!(*lines.lock().unwrap(), ["[localhost] [inner] one", "[localhost] [inner] two"]);
}

/// A codebase that counts how often it is asked for each module.
#[derive(Debug, Default)]
struct Counting {
    modules: BTreeMap<&'static str, &'static str>,
    asked: Mutex<BTreeMap<String, usize>>,
}

impl ModuleSource for Counting {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        Ok(self.modules.keys().filter(|name| !name.contains('.')).map(|&name| name.to_owned()).collect())
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        *self.asked.lock().expect("no test panics with it").entry(name.to_owned()).or_default() += 1;
        Ok(self
            .modules
            .get(name)
            .map(|&source| ModuleEntry::new(name, ModuleEntryKind::Module, format!("{name}.py"), source)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_module_crosses_each_link_once() {
    let code = Counting {
        modules: BTreeMap::from([
            (
                "top",
                "from chopsticks.group import Group\nfrom chopsticks.tunnel import Local\n\
                 def work():\n    import first, second\n    return first.X + second.Y\n\
                 def middle(n):\n    with Group([Local('l%d' % i) for i in range(n)]) as g:\n        \
                 return sorted(g.call(work).values())\n\
                 def far(n):\n    with Group([Local('m%d' % i) for i in range(n)]) as g:\n        \
                 return [g.call(middle, n)[t.host] for t in g]",
            ),
            ("first", "import second\nX = second.Y + 1"),
            ("second", "Y = 1"),
        ]),
        ..Counting::default()
    };
    let code = Arc::new(code);
    let config = quiet().modules(Shared(code.clone())).depth_limit(3);
    let tunnel = Tunnel::with_config(newest_local(), config);
    let values: Vec<Vec<u32>> = tunnel.call("top:far", (3,)).await.unwrap();
    assert_eq!(values, [[3, 3, 3], [3, 3, 3], [3, 3, 3]]);
    tunnel.close().await.unwrap();
    let asked = code.asked.lock().unwrap();
    let once: BTreeMap<String, usize> = ["first", "second", "top"].map(|name| (name.to_owned(), 1)).into();
    assert_eq!(*asked, once);
}

#[derive(Debug)]
struct Shared(Arc<Counting>);

impl ModuleSource for Shared {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        self.0.top_level()
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        self.0.module(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_call_ends_the_calls_beneath_it() {
    let scratch = scratch();
    for interpreter in newest_and_oldest() {
        let canary = canary("far-drop");
        let tunnel = Tunnel::with_config(local(interpreter), config(&scratch).depth_limit(4));
        let name = canary.clone();
        let call = tokio::spawn({
            let tunnel = tunnel.clone();
            async move { tunnel.call::<()>("far:hang", (name, 2)).await }
        });
        let name = canary.clone();
        tokio::task::spawn_blocking(move || wait_for(&name, 1)).await.unwrap();
        call.abort();
        tokio::task::spawn_blocking(move || wait_until_none(&canary)).await.unwrap();
        // The tunnel itself is as it was.
        assert_eq!(tunnel.call::<i64>("far:add", (1, 2)).await.unwrap(), 3, "{interpreter}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_or_killing_a_link_ends_all_beneath_it() {
    let scratch = scratch();
    for interpreter in newest_and_oldest() {
        for kill in [false, true] {
            let canary = canary("far-close");
            let tunnel = Tunnel::with_config(local(interpreter), config(&scratch).depth_limit(4));
            tunnel.call::<()>("far:stay", (canary.as_str(), 2)).await.unwrap();
            let pid: u32 = tunnel.call("far:pid", ()).await.unwrap();
            let inner = processes::children_of(pid);
            assert_eq!(inner.len(), 1, "{interpreter}");
            if kill {
                let pid = i32::try_from(pid).unwrap();
                rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid).unwrap(),
                    rustix::process::Signal::KILL,
                )
                .unwrap();
            } else {
                tunnel.close().await.unwrap();
            }
            tokio::task::spawn_blocking(move || {
                wait_until_none(&canary);
                assert!(eventually(PATIENCE, || !processes::runs(inner[0])), "an inner agent is left");
            })
            .await
            .unwrap();
        }
    }
}
