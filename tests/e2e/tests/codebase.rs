//! A codebase of realistic shape, in `codebase/`: two roots with parts of one namespace package, data, cycles,
//! scripts, and files in several encodings, called under every interpreter.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use chopsticks::{Call, Codebase, Function, RemoteException, Tunnel};
use chopsticks_e2e::{local, newest_and_oldest, quiet};
use chopsticks_support::{Implementation, Interpreter, Scratch, interpreters};
use futures::future::try_join_all;
use serde::de::DeserializeOwned;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("codebase")
}

fn tunnel(interpreter: &Interpreter, more: &Scratch) -> Tunnel {
    let codebase = Codebase::folder(folder().join("app"))
        .and_folder(folder().join("plugins"))
        .and_folder(folder().join("scripts"))
        .and_folder(more.path());
    Tunnel::with_config(local(interpreter), quiet().modules(codebase))
}

async fn get<T: DeserializeOwned>(tunnel: &Tunnel, function: impl Into<Function>) -> T {
    let function = function.into();
    let label = format!("{} under {}", function, tunnel.host());
    match tunnel.call(function, ()).await {
        Ok(value) => value,
        Err(error) => panic!("{label}: {error:?}"),
    }
}

async fn raised(tunnel: &Tunnel, function: &str) -> RemoteException {
    let error = tunnel.call::<()>(function, ()).await.expect_err("the function raises");
    error.remote().unwrap_or_else(|| panic!("{function} under {}: {error:?}", tunnel.host())).clone()
}

#[tokio::test]
async fn modules_data_cycles_and_namespaces_work_everywhere() {
    for interpreter in interpreters() {
        let more = Scratch::new();
        let tunnel = tunnel(interpreter, &more);
        assert_eq!(get::<String>(&tunnel, "depot.stock:summary").await, r#"["all", 10]"#);
        assert_eq!(get::<String>(&tunnel, "depot.report:whole").await, r#"["whole", 10]"#);
        let mail: String = tunnel.call("depot.report:mail", ("Ada",)).await.expect("the data is there");
        assert_eq!(mail, "Dear Ada,\n\n10 of things are left.\n");
        let version = Function::source("import depot\ndef f(): return depot.VERSION", "f");
        assert_eq!(get::<String>(&tunnel, version).await, "1.4.2");
        let folders: Option<(Vec<String>, String)> = get(&tunnel, "depot.report:folders").await;
        if interpreter.version() >= (3, 9, 0) {
            assert_eq!(folders, Some((vec!["mails".into()], "Dear {name},".into())), "{interpreter}");
        }
        let colours: BTreeMap<String, Option<String>> = get(&tunnel, "depot.registry:colours").await;
        // As Python lists them: a folder without `__init__.py` is not walked through.
        let wanted = [("addons.blue", Some("blue beside red")), ("addons.red", Some("red"))];
        let wanted = wanted.map(|(name, colour)| (name.to_owned(), colour.map(str::to_owned)));
        assert_eq!(colours, BTreeMap::from(wanted), "{interpreter}");
        let names: Vec<String> = get(&tunnel, "depot.everything:names").await;
        assert_eq!(names, ["Item", "names", "report", "stock"], "{interpreter}");
        assert_eq!(get::<(usize, usize)>(&tunnel, "depot.checks:together").await, (8, 1));
        tunnel.close().await.expect("the agent ends");
    }
}

#[tokio::test]
async fn callables_of_all_kinds_work_everywhere() {
    for interpreter in interpreters() {
        let more = Scratch::new();
        let tunnel = tunnel(interpreter, &more);
        let item: (String, u32) =
            tunnel.call("depot.model:Item.parsed", ("nut=4",)).await.expect("a class method");
        assert_eq!(item, ("nut".into(), 4));
        let doubled: u32 = tunnel.call("depot.model:Item.doubled", (4,)).await.expect("a static method");
        assert_eq!(doubled, 8);
        for step in 1..=3 {
            assert_eq!(get::<u32>(&tunnel, "depot.model:counter").await, step);
        }
        assert_eq!(tunnel.call::<u32>("len", (vec![1, 2],)).await.expect("a builtin"), 2);
        assert_eq!(tunnel.call::<u32>("operator:add", (1, 2)).await.expect("of the standard library"), 3);
        let lambda = Function::lambda("from depot import limits\nlambda n: [n * FACTOR, limits.LARGEST]");
        let call = Call::new(lambda.value("FACTOR", 3)).args((2,));
        let reply = tunnel.call_with(call).await.expect("a lambda");
        assert_eq!(reply.decode::<(u32, u32)>().expect("two integers"), (6, 1000));
        for n in 1..=2 {
            let script = Function::script(folder().join("scripts/deploy.py"), "deploy");
            let (name, state, largest, same): (String, Vec<String>, u32, bool) =
                tunnel.call(script, ("web",)).await.expect("a script");
            assert_eq!(
                (name.as_str(), state.len(), largest, same),
                ("deploy", n, 1000, true),
                "{interpreter}"
            );
        }
        tunnel.close().await.expect("the agent ends");
    }
}

#[tokio::test]
async fn coroutine_functions_overlap_on_one_loop() {
    let source = "import asyncio\nevents = {}\n\
                  def event(): return events.setdefault('it', asyncio.Event())\n\
                  async def wait(n):\n    await event().wait()\n    return n\n\
                  async def go():\n    event().set()\n";
    for interpreter in interpreters().iter().filter(|interpreter| interpreter.version() >= (3, 5, 0)) {
        let more = Scratch::new();
        let tunnel = tunnel(interpreter, &more);
        let waiting = (0..10).map(|n| tunnel.call::<u32>(Function::source(source, "wait"), (n,)));
        let all = async { try_join_all(waiting).await };
        let (numbers, gone) = tokio::join!(all, tunnel.call::<()>(Function::source(source, "go"), ()));
        gone.expect("it sets the event");
        assert_eq!(numbers.expect("all come back"), (0..10).collect::<Vec<_>>(), "{interpreter}");
        tunnel.close().await.expect("the agent ends");
    }
}

#[tokio::test]
async fn errors_tell_file_line_and_text_everywhere() {
    for interpreter in interpreters() {
        let more = Scratch::new();
        let tunnel = tunnel(interpreter, &more);
        let exception = raised(&tunnel, "depot.broken:f").await;
        assert_eq!(exception.type_name, "SyntaxError", "{interpreter}");
        // One that never closes has lines.
        let is_told = ["line 1", "lines 1-"]
            .iter()
            .any(|place| exception.message.contains(&format!("broken.py, {place}")));
        assert!(is_told, "{interpreter}: {}", exception.message);
        assert!(
            exception.traceback.contains("depot/broken.py\", line 1"),
            "{interpreter}: {}",
            exception.traceback
        );
        let printed: String = get(&tunnel, "depot.checks:printed").await;
        let line = "depot/limits.py\", line 10, in checked\n    raise TooMany(";
        assert!(printed.contains(line), "{interpreter}: {printed}");
        let error = tunnel.call::<()>("depot.limits:checked", (5000,)).await.expect_err("it raises");
        let exception = error.remote().expect("the function raises");
        assert_eq!(exception.type_name, "depot.limits.TooMany");
        assert!(exception.traceback.contains(line), "{interpreter}: {}", exception.traceback);
        let about: (String, u32, String, String) = get(&tunnel, "depot.checks:about").await;
        let wanted = ("app/depot/model.py".into(), 3, "depot".into(), "A thing in stock.".into());
        assert_eq!(about, wanted, "{interpreter}");
        tunnel.close().await.expect("the agent ends");
    }
}

#[tokio::test]
async fn sources_are_read_in_their_encoding_everywhere() {
    let more = Scratch::new();
    let write = |name: &str, content: &[u8]| {
        fs::write(more.path().join(name), content).expect("the folder is writable");
    };
    write("latin.py", b"# -*- coding: latin-1 -*-\ndef f(): return u\"\xe9\"\n");
    write("marked.py", b"\xef\xbb\xbfdef f(): return u\"\xc3\xa9\"\n");
    write("windows.py", b"def f():\r\n    return u\"\\xe9\"\r\n");
    write("odd.py", b"# coding: no-such-encoding\r\ndef f(): pass\r\n");
    write("null.py", b"def f():\n    pass\n\0\n");
    for interpreter in interpreters().iter().filter(|found| found.implementation() == Implementation::CPython)
    {
        let tunnel = tunnel(interpreter, &more);
        for name in ["latin:f", "marked:f", "windows:f"] {
            assert_eq!(get::<String>(&tunnel, name).await, "\u{e9}", "{name} {interpreter}");
        }
        for (name, file) in [("odd:f", "odd.py"), ("null:f", "null.py")] {
            let exception = raised(&tunnel, name).await;
            assert_eq!(exception.type_name, "SyntaxError", "{interpreter}");
            assert!(exception.message.contains(file), "{interpreter}: {}", exception.message);
        }
        tunnel.close().await.expect("the agent ends");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is_near() {
    for interpreter in newest_and_oldest() {
        let more = Scratch::new();
        let tunnel = tunnel(interpreter, &more);
        for (function, words) in [
            ("depot.stock:totl", "'totl' is not in depot.stock (near: total)"),
            ("depot.model:Item.parse", "'parse' is not in depot.model:Item (near: parsed"),
            ("depot.limits:LARGEST", "depot.limits:LARGEST is of type int, not callable"),
            ("depot.stok:total", "stok"),
        ] {
            let error = tunnel.call::<()>(function, ()).await.expect_err("there is no such function");
            let text = format!("{error:?} {error}");
            assert!(text.contains(words), "{interpreter}: {text}");
        }
        tunnel.close().await.expect("the agent ends");
    }
}

#[tokio::test]
async fn python_of_the_documentation_runs() {
    let page = include_str!("../../../docs/remote-code.md");
    let blocks: Vec<&str> = page
        .split("```python\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a split has a first part"))
        .collect();
    let [state, processes, data, resources, _daemon] = blocks[..] else {
        panic!("{} blocks of Python", blocks.len())
    };
    let more = Scratch::new();
    more.write("jobs/__init__.py", "");
    more.write("jobs/templates/mail.txt", "Dear");
    more.write("jobs/words.txt", "one");
    more.write("jobs/schema.sql", "create table jobs (name)");
    more.write("jobs/state.py", state);
    more.write("jobs/render.py", "def page(name): return '<%s>' % name\n");
    more.write("jobs/processes.py", processes);
    more.write("jobs/data.py", format!("{data}\ndef get(): return TEMPLATE\n"));
    let indented = resources.replace('\n', "\n    ");
    more.write("jobs/resources.py", format!("def get():\n    {indented}\n    return words\n"));
    for interpreter in newest_and_oldest() {
        let tunnel = tunnel(interpreter, &more);
        let database = more.path().join(format!("{interpreter}.db")).to_string_lossy().into_owned();
        let make = "import sqlite3\ndef make(path):\n    with sqlite3.connect(path) as made:\n        \
                    made.execute('create table jobs (name)')\n";
        tunnel.call::<()>(Function::source(make, "make"), (&database,)).await.expect("the file is new");
        for _ in 0..2 {
            let count: u32 = tunnel.call("jobs.state:count", (&database,)).await.expect("a table");
            assert_eq!(count, 0);
        }
        if interpreter.version() >= (3, 4, 0) {
            let pages: Vec<String> =
                tunnel.call("jobs.processes:pages", (["a", "b"],)).await.expect("the processes import");
            assert_eq!(pages, ["<a>", "<b>"]);
        }
        assert_eq!(get::<String>(&tunnel, "jobs.data:get").await, "Dear");
        if interpreter.version() >= (3, 9, 0) {
            assert_eq!(get::<String>(&tunnel, "jobs.resources:get").await, "one");
        }
        tunnel.close().await.expect("the agent ends");
    }
}
