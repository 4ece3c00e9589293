//! What goes ahead of a call, with an agent in a process of its own.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use chopsticks::{
    Codebase, Function, Local, Stderr, Tunnel, TunnelConfig,
    tunnel::{ModuleEntry, ModuleError, ModuleSource},
};
use chopsticks_support::{Interpreter, Scratch, interpreters};

/// A codebase that notes what agents ask for.
#[derive(Clone, Debug)]
struct Noted {
    inner: Codebase,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Noted {
    fn new(scratch: &Scratch) -> Self {
        Self { inner: Codebase::folder(scratch.path()), asked: Arc::default() }
    }

    fn tunnel(&self, python: &Interpreter) -> Tunnel {
        Tunnel::with_config(Local::new().python(python.path()), TunnelConfig::default().modules(self.clone()))
    }

    fn take_asked(&self) -> Vec<String> {
        mem::take(&mut self.asked.lock().expect("nobody panics with it"))
    }
}

impl ModuleSource for Noted {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        ModuleSource::top_level(&self.inner)
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        self.asked.lock().expect("nobody panics with it").push(name.to_owned());
        ModuleSource::module(&self.inner, name)
    }

    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        ModuleSource::needed(&self.inner, name)
    }

    fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        ModuleSource::needed_by_source(&self.inner, source)
    }

    fn hint(&self, name: &str) -> Option<String> {
        ModuleSource::hint(&self.inner, name)
    }
}

/// A package of fifty modules of which each imports the next and the seventh next, at its top or in its function.
fn package() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("pkg/__init__.py", "");
    for n in 0..50 {
        let next = [n + 1, n + 7]
            .map(|to| if to < 50 { format!("from pkg.m{to} import f as f{to}") } else { "pass".into() });
        let sum =
            [n + 1, n + 7].map(|to| if to < 50 { format!(" + f{to}(seen)") } else { String::new() }).concat();
        // Each is counted once, for the number of ways through the package is large.
        let guard = format!("    if {n} in seen:\n        return 0\n    seen.add({n})\n");
        let source = format!("{}\n{}\ndef f(seen):\n{guard}    return {n}{sum}\n", next[0], next[1]);
        scratch.write(format!("pkg/m{n}.py"), &source);
        let lazy = next.map(|line| line.replace("pkg.m", "pkg.lazy"));
        let source = format!("def f(seen):\n{guard}    {}\n    {}\n    return {n}{sum}\n", lazy[0], lazy[1]);
        scratch.write(format!("pkg/lazy{n}.py"), &source);
    }
    scratch.write("pkg/main.py", "from . import m0\ndef run():\n    return m0.f(set())\n");
    scratch.write("lazy.py", "def run():\n    from pkg.lazy0 import f\n    return f(set())\n");
    scratch
}

#[tokio::test]
async fn package_of_fifty_modules_travels_with_the_call() {
    let scratch = package();
    for python in interpreters() {
        for function in ["pkg.main:run", "lazy:run"] {
            let noted = Noted::new(&scratch);
            let tunnel = noted.tunnel(python);
            let sum: u32 = tunnel.call(function, ()).await.unwrap();
            assert_eq!(sum, (0..50).sum::<u32>(), "{function} {python}");
            assert_eq!(noted.take_asked(), [""; 0], "{function} {python}");
            tunnel.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_source_text_imports_travels_with_the_call() {
    let scratch = package();
    for python in interpreters() {
        let noted = Noted::new(&scratch);
        let tunnel = noted.tunnel(python);
        let text = "def run():\n    from pkg import m0\n    return m0.f(set())\n";
        let sum: u32 = tunnel.call(Function::source(text, "run"), ()).await.unwrap();
        assert_eq!(sum, (0..50).sum::<u32>(), "{python}");
        assert_eq!(noted.take_asked(), [""; 0], "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn missing_module_is_told_with_those_like_it_and_where_it_was_looked_for() {
    let scratch = package();
    let noted = Noted::new(&scratch);
    let tunnel = noted.tunnel(chopsticks_support::python3());
    let error = tunnel.call::<u32>("pkg.mian:run", ()).await.unwrap_err();
    let place = scratch.path().display();
    let text = format!("; the codebase has no module pkg.mian in {place}; near: pkg.main");
    assert!(error.to_string().ends_with(&text), "{error}");
    // The module is there, which is for the agent to know.
    let error = tunnel.call::<u32>("pkg.main:rnu", ()).await.unwrap_err();
    assert!(!error.to_string().contains("the codebase"), "{error}");
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn missing_module_is_told_with_the_fact_that_there_is_no_codebase() {
    let python = chopsticks_support::python3();
    let config = TunnelConfig::default().stderr(Stderr::off());
    let tunnel = Tunnel::with_config(Local::new().python(python.path()), config);
    let error = tunnel.call::<u32>("mine:run", ()).await.unwrap_err().to_string();
    assert!(error.contains("No module named 'mine'"), "{error}");
    assert!(error.ends_with("; this tunnel serves no codebase"), "{error}");
    // What is like it on the host stays, and what is there is no matter of the codebase.
    let error = tunnel.call::<u32>("maths:sqrt", ()).await.unwrap_err().to_string();
    assert!(error.contains("math") && error.ends_with("; this tunnel serves no codebase"), "{error}");
    let error = tunnel.call::<u32>("math:root", ()).await.unwrap_err().to_string();
    assert!(!error.contains("codebase"), "{error}");
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn what_is_over_the_limits_is_asked_for() {
    let scratch = package();
    for python in interpreters() {
        let mut noted = Noted::new(&scratch);
        noted.inner = noted.inner.max_ahead_modules(20);
        let tunnel = noted.tunnel(python);
        assert_eq!(tunnel.call::<u32>("pkg.main:run", ()).await.unwrap(), (0..50).sum::<u32>(), "{python}");
        // The package, its main module, and 18 of the fifty have gone ahead.
        assert_eq!(noted.take_asked().len(), 32, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn notice_that_the_transport_refuses_is_asked_for_in_parts() {
    let scratch = package();
    let noted = Noted::new(&scratch);
    let config = TunnelConfig::default().modules(noted.clone()).max_message_len(8 << 10);
    let tunnel = Tunnel::with_config(Local::new().python(chopsticks_support::python3().path()), config);
    assert_eq!(tunnel.call::<u32>("pkg.main:run", ()).await.unwrap(), (0..50).sum::<u32>());
    assert_eq!(noted.take_asked().len(), 52);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn changed_file_reaches_the_next_connection() {
    let scratch = Scratch::new();
    scratch.write("main.py", "import part\ndef run():\n    return part.X\n");
    scratch.write("part.py", "X = 1\n");
    let python = chopsticks_support::python3();
    let noted = Noted::new(&scratch);
    let tunnel = noted.tunnel(python);
    assert_eq!(tunnel.call::<u32>("main:run", ()).await.unwrap(), 1);
    scratch.write("part.py", "X = 2\n");
    assert_eq!(tunnel.call::<u32>("main:run", ()).await.unwrap(), 1);
    tunnel.close().await.unwrap();
    assert_eq!(tunnel.call::<u32>("main:run", ()).await.unwrap(), 2);
    tunnel.close().await.unwrap();
    assert_eq!(noted.take_asked(), [""; 0]);
}

#[tokio::test]
async fn names_that_only_the_running_code_knows_are_asked_for() {
    let scratch = Scratch::new();
    scratch.write("main.py", "def run(n):\n    return __import__('part' + n).X\n");
    scratch.write("part1.py", "import json, part2\nX = part2.X\n");
    scratch.write("part2.py", "X = 7\n");
    // Shadows a standard module, which wins on the host.
    scratch.write("json.py", "raise Exception('not this one')\n");
    for python in interpreters() {
        let noted = Noted::new(&scratch);
        let tunnel = noted.tunnel(python);
        assert_eq!(tunnel.call::<u32>("main:run", ("1",)).await.unwrap(), 7, "{python}");
        assert_eq!(noted.take_asked(), ["part1", "part2"], "{python}");
        tunnel.close().await.unwrap();
    }
}
