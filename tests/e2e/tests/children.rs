//! Processes that functions start with `multiprocessing`, or fork: they import the codebase.

use chopsticks::{Codebase, Function, Tunnel};
use chopsticks_e2e::{PATIENCE, local, newest_and_oldest, quiet};
use chopsticks_support::{Interpreter, Scratch, eventually, interpreters, processes};

const JOBS: &str = r#"
import multiprocessing, os

def context(method):
    return multiprocessing.get_context(method) if hasattr(multiprocessing, 'get_context') else multiprocessing

def pages(method):
    """In processes that have imported nothing of it, what the parent has not imported either."""
    pool = context(method).Pool(2)
    try:
        return pool.map(page, ['a', 'b'])
    finally:
        pool.close()
        pool.join()

def page(name):
    from render import text
    return text(name)

def forked():
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write, page('fork').encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    return os.read(read, 1000).decode()

def hang(method, canary):
    children = [context(method).Process(target=stay, args=(canary,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()

def stay(canary):
    page('x')
    os.execv('/bin/sh', ['sh', '-c', 'while true; do sleep 1000; done', canary])
"#;

const RENDER: &str = r"
import pkgutil

def text(name):
    return pkgutil.get_data('render', 'data/head.txt').decode() + name
";

const SCRIPT: &str = r"
import sys
from jobs import context

def triple(x):
    return x * 3

def run(method):
    pool = context(method).Pool(1)
    try:
        return pool.map(triple, [1, 2])
    finally:
        pool.close()
        pool.join()
";

fn code() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("jobs.py", JOBS);
    scratch.write("render/__init__.py", RENDER);
    scratch.write("render/data/head.txt", "page ");
    scratch.write("ops.py", SCRIPT);
    scratch
}

fn methods(interpreter: &Interpreter) -> &'static [&'static str] {
    if interpreter.is_python2() { &["fork"] } else { &["fork", "spawn", "forkserver"] }
}

#[tokio::test]
async fn pools_of_every_start_method_import_the_codebase_and_read_its_data() {
    let code = code();
    for interpreter in interpreters() {
        let tunnel = Tunnel::with_config(local(interpreter), quiet().modules(Codebase::folder(code.path())));
        for method in methods(interpreter) {
            let pages: Vec<String> = tunnel.call("jobs:pages", (*method,)).await.unwrap();
            assert_eq!(pages, ["page a", "page b"], "{interpreter}, {method}");
        }
        let page: String = tunnel.call("jobs:forked", ()).await.unwrap();
        assert_eq!(page, "page fork", "{interpreter}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn functions_of_scripts_and_texts_run_in_pools() {
    let code = code();
    let script = code.path().join("ops.py");
    for interpreter in newest_and_oldest() {
        for codebase in [Codebase::folder(code.path()), Codebase::script_dir(&script)] {
            let tunnel = Tunnel::with_config(local(interpreter), quiet().modules(codebase));
            for method in methods(interpreter) {
                for function in [Function::script(&script, "run"), Function::source(SCRIPT, "run")] {
                    let tripled: Vec<u32> = tunnel.call(function, (*method,)).await.unwrap();
                    assert_eq!(tripled, [3, 6], "{interpreter}, {method}");
                }
            }
            tunnel.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_call_ends_its_processes_and_the_next_pool_works() {
    let code = code();
    for interpreter in newest_and_oldest() {
        let tunnel = Tunnel::with_config(local(interpreter), quiet().modules(Codebase::folder(code.path())));
        for method in methods(interpreter) {
            let canary =
                format!("canary-children-{method}-{}-{}", interpreter.version().1, std::process::id());
            let call = tunnel.call::<()>("jobs:hang", (*method, &canary));
            let name = canary.clone();
            let started = tokio::task::spawn_blocking(move || {
                eventually(PATIENCE, || processes::with_argument(&name).len() >= 2)
            });
            tokio::select! {
                outcome = call => panic!("{interpreter}, {method}: the call ended: {outcome:?}"),
                started = started => assert!(started.unwrap(), "{interpreter}, {method}: no processes"),
            }
            let left = || processes::with_argument(&canary);
            let gone = tokio::task::block_in_place(|| eventually(PATIENCE, || left().is_empty()));
            assert!(gone, "{interpreter}, {method}: left behind: {:?}", left());
            let pages: Vec<String> = tunnel.call("jobs:pages", (*method,)).await.unwrap();
            assert_eq!(pages, ["page a", "page b"], "{interpreter}, {method}");
        }
        tunnel.close().await.unwrap();
    }
}
