//! What tunnels share and what they do not: contexts, and the use of one connection by several.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use chopsticks_support::python3;
use chopsticks_tunnel::{
    AgentCommand, Context, Driver, Function, HostName, Link, Local, Phase, Stdio, Stdout, Tunnel,
    TunnelConfig,
};
use tokio::sync::{Semaphore, mpsc};

/// A console whose text can be read.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("no writer panics").clone();
        String::from_utf8(bytes).expect("what is shown is text")
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_with_different_contexts_do_not_see_each_others_defaults() {
    let text = "import sys, chopsticks\ndef f(name):\n    sys.stderr.write(name + ' err\\n')\n    \
                print(name + ' out')\n    return chopsticks.DEPTH_LIMIT";
    let (one, other) = (Shown::default(), Shown::default());
    let context =
        |shown: &Shown| Context::new().console(shown.clone()).default_python::<Local>(python3().path());
    let configs = [
        ("one", 5, TunnelConfig::default().context(context(&one).depth_limit(5))),
        ("other", 2, TunnelConfig::default().context(context(&other))),
    ];
    for (name, depth, config) in configs {
        let own = Tunnel::with_config(Local::new().name(name), config.clone().depth_limit(7));
        let tunnel = Tunnel::with_config(Local::new().name(name), config);
        assert_eq!(tunnel.call::<u32>(Function::source(text, "f"), (name,)).await.unwrap(), depth);
        assert_eq!(own.call::<u32>(Function::source(text, "f"), ("own",)).await.unwrap(), 7);
        tunnel.close().await.unwrap();
        own.close().await.unwrap();
    }
    let lines = |shown: &Shown| {
        let mut lines: Vec<String> = shown.text().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = |name: &str| {
        ["own err", &format!("{name} err")]
            .map(|line| format!("[{name}] {line}"))
            .into_iter()
            .chain(["own out", &format!("{name} out")].map(|line| format!("[{name} stdout] {line}")))
            .collect::<Vec<_>>()
    };
    for (name, shown) in [("one", &one), ("other", &other)] {
        let mut expected = expected(name);
        expected.sort();
        assert_eq!(lines(shown), expected);
    }

    let nowhere = Context::new().default_python::<Local>("/nonexistent");
    let config = TunnelConfig::default().context(nowhere);
    let error = Tunnel::with_config(Local::new(), config.clone()).connect().await.unwrap_err();
    assert_eq!(error.phase(), Phase::Spawn);
    assert!(error.to_string().contains("/nonexistent"), "{error}");
    // A driver's own setting goes before the default.
    let tunnel = Tunnel::with_config(Local::new().python(python3().path()), config);
    tunnel.connect().await.unwrap();
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_that_is_set_to_the_console_goes_to_that_of_the_context() {
    let shown = Shown::default();
    let config = TunnelConfig::default()
        .context(Context::new().console(shown.clone()))
        .stderr(chopsticks_tunnel::Stderr::off())
        .stdout(Stdout::console());
    let tunnel = Tunnel::with_config(Local::new().name("web1").python(python3().path()), config);
    let text = "import sys\ndef f():\n    sys.stderr.write('err\\n')\n    print('out')";
    tunnel.call::<()>(Function::source(text, "f"), ()).await.unwrap();
    tunnel.close().await.unwrap();
    assert_eq!(shown.text(), "[web1 stdout] out\n");
}

/// Waits at the door of one server, which all drivers of the type name.
#[derive(Clone, Debug)]
struct Door {
    arrived: mpsc::UnboundedSender<()>,
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    open: Arc<Semaphore>,
}

#[async_trait::async_trait]
impl Driver for Door {
    fn host(&self) -> HostName {
        HostName::lossy("door")
    }

    fn destination(&self) -> Option<String> {
        Some("server".to_owned())
    }

    async fn open(&self, _agent: &AgentCommand) -> io::Result<Link> {
        self.most.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _ = self.arrived.send(());
        let _permit = self.open.acquire().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Err(io::Error::other("the door is shut"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_context_limits_its_own_simultaneous_connects_to_a_server() {
    let open = Arc::new(Semaphore::new(0));
    let mut connecting = tokio::task::JoinSet::new();
    let mut start = |limit, count| {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let door = Door { arrived, inside: Arc::default(), most: Arc::default(), open: open.clone() };
        let config = TunnelConfig::default().context(Context::new().max_connecting(limit));
        for _ in 0..count {
            let tunnel = Tunnel::with_config(door.clone(), config.clone());
            connecting.spawn(async move { tunnel.connect().await.unwrap_err() });
        }
        (arrivals, door.most)
    };
    let (mut first, most_of_first) = start(1, 4);
    first.recv().await.unwrap();
    // The first context is full; the second one has its own turns at the same server.
    let (mut second, most_of_second) = start(3, 3);
    for _ in 0..3 {
        second.recv().await.unwrap();
    }
    open.add_permits(1);
    while let Some(error) = connecting.join_next().await {
        assert_eq!(error.unwrap().phase(), Phase::Spawn);
    }
    assert_eq!(most_of_first.load(Ordering::SeqCst), 1);
    assert_eq!(most_of_second.load(Ordering::SeqCst), 3);
}

#[test]
fn configurations_share_a_context_unless_they_set_one() {
    let debug = format!("{:?}", TunnelConfig::default());
    assert!(debug.contains("max_connecting: 64") && debug.contains("depth_limit: 2"), "{debug}");
    assert!(Arc::ptr_eq(&Context::shared(), &Context::shared()));
    let context = Arc::new(Context::new().max_connecting(0).depth_limit(4).reading_threads(0));
    let debug = format!("{:?}", TunnelConfig::default().context(context.clone()));
    assert!(debug.contains("max_connecting: 1,") && debug.contains("reading_threads: 1,"), "{debug}");
    assert!(debug.ends_with("depth_limit: 4 }"), "{debug}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_is_idle_when_its_last_use_has_ended_however_many_handles_there_are() {
    let tunnel = Tunnel::new(Local::new().python(python3().path()));
    let handles = [tunnel.clone(), tunnel.clone()];
    let first = tunnel.connect().await.unwrap().pid;
    // A handle is no use.
    assert!(tunnel.give_way());
    assert!(!tunnel.give_way(), "there is no connection any more");

    let second = handles[0].connect().await.unwrap().pid;
    assert_ne!(first, second);
    let mut child = handles[1].command("cat").stdin(Stdio::piped()).spawn().await.unwrap();
    assert!(!tunnel.give_way(), "a program runs");
    drop(child.stdin.take());
    assert!(child.wait().await.unwrap().success());
    assert_eq!(tunnel.connect().await.unwrap().pid, second);
    drop(child);
    assert!(tunnel.give_way());

    let inner =
        Tunnel::new(chopsticks_tunnel::Route::through(Local::new().python(python3().path()), &tunnel));
    inner.connect().await.unwrap();
    assert!(!tunnel.give_way(), "a tunnel goes through it");
    inner.close().await.unwrap();
    assert!(tunnel.give_way());
    tunnel.close().await.unwrap();
}
