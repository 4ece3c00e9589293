//! Functions in Rust, in agents that are copies of this program of tests.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::mpsc,
    time::Duration,
};

use anyhow::Context as _;
use chopsticks::{
    Agent, AuditRecord, Command, Error, ErrorKind, Group, Local, Phase, Pool, Queue, Stderr, Tunnel,
    TunnelConfig, closure, function, is_cancelled,
};
use chopsticks_support::{eventually, processes::with_argument};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

#[path = "functions/hostile.rs"]
mod hostile;
#[path = "functions/items.rs"]
mod items;
#[path = "functions/process.rs"]
mod process_of_its_own;

chopsticks::tests!();

#[derive(Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
enum CountError {
    #[error("{0} is not a folder")]
    NotAFolder(PathBuf),
    #[error("{path}: {text}")]
    Unreadable { path: PathBuf, text: String },
}

/// Returns the sizes of the files in a folder that are at least `min` bytes long.
#[function]
fn sizes(folder: &Path, min: u64) -> Result<BTreeMap<String, u64>, CountError> {
    if !folder.is_dir() {
        return Err(CountError::NotAFolder(folder.to_owned()));
    }
    let unreadable =
        |error: io::Error| CountError::Unreadable { path: folder.to_owned(), text: error.to_string() };
    let mut sizes = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let len = entry.metadata().map_err(unreadable)?.len();
        if len >= min {
            sizes.insert(entry.file_name().to_string_lossy().into_owned(), len);
        }
    }
    Ok(sizes)
}

#[function]
fn pid() -> u32 {
    process::id()
}

#[function]
fn parse(text: &str) -> anyhow::Result<u64> {
    text.parse::<u64>().with_context(|| format!("cannot read {text:?}"))
}

#[function]
fn panics(index: usize) -> u8 {
    let list = [1, 2, 3];
    list[index]
}

#[function]
#[expect(clippy::print_stdout, reason = "what becomes of it is tested")]
fn prints(text: String) {
    println!("{text}");
}

#[function]
fn doubled(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_within(..);
    bytes
}

#[function]
async fn soon(number: u64) -> u64 {
    std::future::ready(number).await + 1
}

#[function]
fn nested(value: Option<Option<u8>>) -> bool {
    value.is_some()
}

#[function]
fn folder() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// Waits until a file is there, or until it is cancelled; then it makes another file.
#[function]
fn wait_for(file: PathBuf, told: PathBuf) -> io::Result<()> {
    while !file.exists() {
        if is_cancelled() {
            return fs::write(told, "cancelled");
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// Never ready, and makes a file when it is dropped.
#[function]
async fn never(told: PathBuf) {
    struct Guard(PathBuf);

    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = fs::write(&self.0, "dropped");
        }
    }

    let _guard = Guard(told);
    std::future::pending::<()>().await;
}

/// Starts a program that ignores requests to end, in a session of its own, without a parent. Its name
/// in `/proc` contains `mark`.
#[function]
fn litter(mark: &str) -> io::Result<()> {
    let script = format!("trap '' TERM HUP; while :; do sleep 300; done # {mark}");
    let status = process::Command::new("sh").args(["-c", "setsid sh -c \"$0\" &", &script]).status()?;
    assert!(status.success());
    Ok(())
}

/// Starts a program that ignores requests to end, after a while, and goes on for ever.
#[function]
fn litters_late(mark: &str, begun: PathBuf) -> io::Result<()> {
    std::thread::sleep(Duration::from_millis(100));
    let script = format!("trap '' TERM HUP; : > $0; while :; do sleep 300; done # {mark}");
    drop(process::Command::new("sh").args(["-c", &script]).arg(begun).spawn()?);
    loop {
        std::thread::park();
    }
}

/// Starts programs without end.
#[function]
fn starts(mark: &str, begun: PathBuf) -> io::Result<()> {
    loop {
        drop(process::Command::new("sh").args(["-c", "sleep 300; true", mark]).spawn()?);
        if !begun.exists() {
            fs::write(&begun, "")?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends its process, unless that has happened before.
#[function]
fn dies_once(done: PathBuf) -> u8 {
    if fs::File::create_new(&done).is_ok() {
        process::abort();
    }
    7
}

fn config() -> TunnelConfig {
    TunnelConfig::default().agent(Agent::Native).stderr(Stderr::off())
}

fn tunnel() -> Tunnel {
    Tunnel::with_config(Local::new(), config())
}

/// Waits until a file is there.
async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn function_runs_in_a_copy_of_this_program() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("large"), "0123456789").unwrap();
    fs::write(scratch.path().join("small"), "0").unwrap();
    let tunnel = tunnel();
    let found = tunnel.invoke(sizes::with(scratch.path(), 5)).await.unwrap();
    assert_eq!(found, BTreeMap::from([("large".to_owned(), 10)]));
    assert_eq!(tunnel.invoke(soon::with(41)).await.unwrap(), 42);

    let agent = tunnel.connect().await.unwrap();
    assert_eq!((agent.python, agent.platform.as_str()), (None, std::env::consts::OS));
    let there = tunnel.invoke(pid::with()).await.unwrap();
    assert_eq!(there, agent.pid);
    assert_ne!(there, process::id());
    tunnel.close().await.unwrap();
    assert!(!Path::new(&format!("/proc/{there}")).exists());
}

#[tokio::test]
async fn errors_come_back_as_values_or_as_text() {
    let tunnel = tunnel();
    let missing = Path::new("/nonexistent/folder");
    let error = tunnel.invoke(sizes::with(missing, 0)).await.unwrap_err();
    assert_eq!(error.returned::<CountError>(), Some(CountError::NotAFolder(missing.to_owned())));
    assert_eq!(error.returned::<Vec<u8>>(), None);
    assert_eq!(
        error.to_string(),
        "localhost: call of functions::sizes: functions::CountError: /nonexistent/folder is not a folder"
    );

    let error = tunnel.invoke(parse::with("x")).await.unwrap_err();
    assert_eq!(error.remote().unwrap().message, "cannot read \"x\": invalid digit found in string");
    assert_eq!(error.returned::<String>(), None);

    let error = tunnel.invoke(panics::with(7)).await.unwrap_err();
    let panic = error.remote().unwrap();
    assert_eq!(panic.type_name, "panic");
    let message =
        "index out of bounds: the len is 3 but the index is 7, at crates/chopsticks/tests/functions.rs:";
    assert!(panic.message.contains(message), "{panic:?}");
    assert_eq!(tunnel.invoke(panics::with(2)).await.unwrap(), 3);
}

#[tokio::test]
async fn bytes_and_closures_travel() {
    let tunnel = tunnel();
    let bytes = vec![7; 3 << 20];
    assert_eq!(tunnel.invoke(doubled::with(bytes.clone())).await.unwrap(), [&bytes[..], &bytes].concat());
    let minus = closure!(|left: i64, right: i64| -> i64 { left - right });
    assert_eq!(tunnel.invoke(minus(44, 2)).await.unwrap(), 42);
    let text = closure!(|number: u8| -> String { number.to_string() });
    assert_eq!(tunnel.invoke(text(7)).await.unwrap(), "7");
}

#[tokio::test]
async fn value_that_would_arrive_as_another_is_refused_before_it_is_sent() {
    let error = tunnel().invoke(nested::with(Some(None))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Argument(_)), "{error}");
    assert!(error.to_string().contains("`Some` of `None` or of `()` would arrive as `None`"), "{error}");
    assert!(tunnel().invoke(nested::with(Some(Some(1)))).await.unwrap());
}

#[tokio::test]
async fn what_a_function_prints_is_a_line_of_its_host() {
    let (sender, lines) = mpsc::channel();
    let stderr = Stderr::callback(move |host, line| {
        drop(sender.send(format!("[{host}] {}", String::from_utf8_lossy(line).trim_end())));
    });
    let tunnel = Tunnel::with_config(Local::new().name("web1"), config().stderr(stderr));
    tunnel.invoke(prints::with("hello".to_owned())).await.unwrap();
    tunnel.close().await.unwrap();
    let lines: Vec<_> = lines.try_iter().collect();
    assert_eq!(lines, ["[web1] hello"]);
}

#[tokio::test]
async fn calls_overlap_and_the_first_one_holds_up_none() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, told) = (scratch.path().join("go"), scratch.path().join("told"));
    let tunnel = tunnel();
    let waiting = tunnel.invoke(wait_for::with(file.clone(), told.clone()));
    let others = async {
        for _ in 0..3 {
            let calls = (0..40).map(|_| tunnel.invoke(pid::with()));
            futures::future::try_join_all(calls).await.unwrap();
        }
        fs::write(&file, "").unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, others);
    waited.unwrap();
    assert!(!told.exists());
}

#[tokio::test]
async fn cancelled_function_learns_of_it() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, told) = (scratch.path().join("go"), scratch.path().join("told"));
    let tunnel = tunnel();
    tunnel.connect().await.unwrap();
    let call = wait_for::with(file, told.clone()).timeout(Duration::from_millis(50));
    let error = tunnel.invoke(call).await.unwrap_err();
    assert!(error.is_timeout() && error.phase() == Phase::Call, "{error}");
    appears(&told).await;
    // The future of an `async` function is dropped.
    let told = scratch.path().join("dropped");
    let call = never::with(told.clone()).timeout(Duration::from_millis(50));
    assert!(tunnel.invoke(call).await.unwrap_err().is_timeout());
    appears(&told).await;
    tunnel.invoke(pid::with()).await.unwrap();
}

#[tokio::test]
async fn groups_and_queues_run_functions() {
    let hosts = ["a", "b", "c"].map(|name| Tunnel::with_config(Local::new().name(name), config()));
    let group = Group::new(&hosts).unwrap();
    let pids = group.invoke(pid::with()).await.raise_failures().unwrap();
    assert_eq!(pids.len(), 3);
    let queue = Queue::new();
    let numbers = queue.invoke(&group, soon::with(1));
    let one = queue.invoke(&hosts[1], pid::with());
    queue.run().await;
    let numbers = numbers.value().unwrap().as_ref().clone().raise_failures().unwrap();
    assert_eq!(numbers.iter().map(|(_, number)| number).sum::<u64>(), 6);
    assert_eq!(one.value().unwrap().as_ref().clone().unwrap(), pids[1].1);
    assert!(group.close().await.raise_failures().is_ok());
}

#[tokio::test]
async fn other_agents_tasks_are_refused_with_a_sentence() -> Result<(), Error> {
    let native = tunnel();
    let error = native.call::<u8>("os:getpid", ()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongAgent { .. }), "{error}");
    assert!(error.to_string().contains("has no Python"), "{error}");
    let python = Tunnel::new(Local::new().python(chopsticks_support::python3().path()));
    let error = python.invoke(pid::with()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongAgent { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn pool_runs_functions() {
    let hosts = ["a", "b"].map(|name| Tunnel::with_config(Local::new().name(name), config()));
    let pool = Pool::new(Group::new(hosts).unwrap()).per_host(3);
    let sums: Vec<_> = pool.invoke((0..100).map(soon::with)).ordered().collect().await;
    let numbers: Vec<_> = sums.into_iter().map(|done| done.outcome.unwrap()).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    // Each item has an outcome of its own, also one that cannot be sent.
    let texts = ["1", "x", "3"].map(parse::with);
    let outcomes: Vec<_> = pool.invoke(texts).ordered().collect().await;
    let outcomes: Vec<_> = outcomes.into_iter().map(|done| done.outcome.ok()).collect();
    assert_eq!(outcomes, [Some(1), None, Some(3)]);
    let refused: Vec<_> = pool.invoke([nested::with(Some(None))]).collect().await;
    assert!(refused[0].outcome.as_ref().unwrap_err().to_string().contains("cannot be sent"));
}

#[tokio::test]
async fn pool_moves_invocations_of_a_lost_host() {
    let scratch = tempfile::tempdir().unwrap();
    let hosts = ["a", "b"].map(|name| Tunnel::with_config(Local::new().name(name), config()));
    let pool = Pool::new(Group::new(hosts).unwrap());
    let once = scratch.path().join("once");
    let outcomes: Vec<_> = pool.invoke((0..6).map(move |_| dies_once::with(once.clone()))).collect().await;
    assert_eq!(outcomes.len(), 6);
    assert!(outcomes.iter().all(|done| done.outcome.is_ok()), "{outcomes:?}");
    assert!(outcomes.iter().any(|done| done.attempts == 2), "{outcomes:?}");
}

#[tokio::test]
async fn program_of_the_agent_is_this_one_here_and_a_copy_elsewhere() {
    let program = closure!(|| -> io::Result<PathBuf> { fs::read_link("/proc/self/exe") });
    let here = tunnel().invoke(program()).await.unwrap();
    assert_eq!(here, std::env::current_exe().unwrap().canonicalize().unwrap());
    let copy = Tunnel::with_config(Command::new("sh").args(["-c", "{}"]), config());
    let copy = copy.invoke(program()).await.unwrap();
    assert!(copy.to_str().unwrap().ends_with(" (deleted)"), "{copy:?}");
}

#[tokio::test]
async fn panic_has_a_traceback() {
    for tunnel in [tunnel(), Tunnel::with_config(Command::new("sh").args(["-c", "{}"]), config())] {
        let error = tunnel.invoke(panics::with(7)).await.unwrap_err();
        let traceback = &error.remote().unwrap().traceback;
        if cfg!(feature = "symbols") {
            assert!(traceback.contains("0: functions::panics\n"), "{traceback}");
            assert!(!traceback.contains("chopsticks_function"), "{traceback}");
        } else {
            assert!(traceback.lines().count() > 3, "{traceback}");
            assert!(traceback.lines().all(|line| line.starts_with("0x")), "{traceback}");
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn pool_of_such_agents_says_what_they_do() {
    let outcomes: Vec<_> =
        Pool::new(Group::new([tunnel()]).unwrap()).map::<u64>("os.path:getsize", ["/"; 2]).collect().await;
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        let failure = outcome.outcome.unwrap_err();
        assert!(failure.to_string().contains("has no Python"), "{failure}");
    }
}

#[tokio::test]
async fn invocations_have_records_without_their_values() {
    let (sink, records) = mpsc::channel();
    let sink = move |record: &AuditRecord| sink.send(record.clone()).expect("the test goes on");
    let tunnel = Tunnel::with_config(Local::new().name("web3"), config().audit(sink));
    assert_eq!(tunnel.invoke(doubled::with(vec![7, 8])).await.unwrap(), [7, 8, 7, 8]);
    let record = records.try_recv().unwrap();
    assert_eq!((record.host.as_str(), record.operation), ("web3", "invoke"));
    assert_eq!((record.what.as_str(), record.outcome), ("functions::doubled", "ok"));
    assert_eq!((record.bytes, record.arguments, record.digest), (Some(4), None, None));

    tunnel.invoke(parse::with("hunter2")).await.unwrap_err();
    let record = records.try_recv().unwrap();
    assert_eq!((record.outcome, record.error, record.bytes), ("failed", Some("raised"), None));
    assert_eq!(record.phase.as_deref(), Some("call"));
    assert!(!format!("{record:?}").contains("hunter2"), "{record:?}");

    let mut call = Box::pin(tunnel.invoke(soon::with(1)));
    assert!(futures::poll!(&mut call).is_pending());
    drop(call);
    let record = records.try_recv().unwrap();
    assert_eq!((record.what.as_str(), record.outcome), ("functions::soon", "cancelled"));
    assert!(records.try_recv().is_err());
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn options_apply_as_far_as_they_can() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().canonicalize().unwrap();
    // The driver sets the variable and the folder when it starts the program.
    let driver = Local::new().current_dir(&path).env("CHOPSTICKS_TEST", "1");
    let tunnel = Tunnel::with_config(driver, config());
    assert_eq!(tunnel.invoke(folder::with()).await.unwrap(), path);
    let tunnel = Tunnel::with_config(Local::new(), config().current_dir(path.to_str().unwrap()));
    assert_eq!(tunnel.invoke(folder::with()).await.unwrap(), path);
    for (config, text) in [
        (config().current_dir("/nonexistent"), "cannot enter /nonexistent"),
        (
            config().env("CHOPSTICKS_TEST", "1"),
            "cannot set variables of its environment, such as CHOPSTICKS_TEST",
        ),
    ] {
        let error = Tunnel::with_config(Local::new(), config).invoke(pid::with()).await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// Returns a text that no other process of this machine has in its command line.
fn mark(name: &str) -> String {
    format!("chopsticks-{name}-{}", process::id())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_functions_have_started_ends_with_the_connection() {
    let (orphan, children) = (mark("orphan"), mark("children"));
    let scratch = tempfile::tempdir().unwrap();
    let begun = scratch.path().join("begun");
    let tunnel = tunnel();
    tunnel.invoke(litter::with(&orphan)).await.unwrap();
    assert!(eventually(LONG, || !with_argument(&orphan).is_empty()));
    // A function that goes on starting them is ended first.
    let other = tunnel.clone();
    let starts = starts::with(&children, begun.clone());
    let starting = tokio::spawn(async move { other.invoke(starts).await });
    appears(&begun).await;
    tunnel.close().await.unwrap();
    assert_eq!([with_argument(&orphan), with_argument(&children)], [Vec::<u32>::new(), Vec::new()]);
    assert!(matches!(starting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_child_of_a_long_call_ends_when_the_agent_is_killed() {
    let scratch = tempfile::tempdir().unwrap();
    let (mark, begun) = (mark("late"), scratch.path().join("begun"));
    let tunnel = tunnel();
    let agent = tunnel.connect().await.unwrap();
    let (other, call) = (tunnel.clone(), litters_late::with(&mark, begun.clone()));
    let running = tokio::spawn(async move { other.invoke(call).await });
    appears(&begun).await;
    let killed = process::Command::new("kill").args(["-9", &agent.pid.to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(eventually(LONG, || with_argument(&mark).is_empty()), "{:?}", with_argument(&mark));
    assert!(running.await.unwrap().unwrap_err().is_disconnected());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_functions_have_started_ends_when_the_agent_is_killed() {
    let scratch = tempfile::tempdir().unwrap();
    for is_busy in [false, true] {
        let mark = mark(&format!("killed-{is_busy}"));
        let begun = scratch.path().join(&mark);
        let tunnel = tunnel();
        let agent = tunnel.connect().await.unwrap();
        let other = tunnel.clone();
        let starting = match is_busy {
            true => {
                let starts = starts::with(&mark, begun.clone());
                let starting = tokio::spawn(async move { other.invoke(starts).await });
                appears(&begun).await;
                // It was started as soon as the function had a child for a moment.
                assert!(eventually(LONG, || !with_argument(&format!(":{}", agent.pid)).is_empty()));
                Some(starting)
            }
            false => {
                tunnel.invoke(litter::with(&mark)).await.unwrap();
                None
            }
        };
        let killed = process::Command::new("kill").args(["-9", &agent.pid.to_string()]).status().unwrap();
        assert!(killed.success());
        assert!(eventually(LONG, || with_argument(&mark).is_empty()), "{:?}", with_argument(&mark));
        if let Some(starting) = starting {
            let error = starting.await.unwrap().unwrap_err();
            assert!(error.is_disconnected() && error.to_string().contains("SIGKILL"), "{error}");
        }
        // The next use connects again.
        assert_ne!(tunnel.invoke(pid::with()).await.unwrap(), agent.pid);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_stays_in_the_folders_of_the_host() {
    let scratch = tempfile::tempdir().unwrap();
    let folders = ["XDG_RUNTIME_DIR", "TMPDIR"].map(|name| format!("{name}={}", scratch.path().display()));
    let words = folders.into_iter().chain(["sh", "-c", "{}"].map(str::to_owned));
    let tunnel = Tunnel::with_config(Command::new("env").args(words).name("copy"), config());
    let program = closure!(|| -> io::Result<PathBuf> { fs::read_link("/proc/self/exe") });
    let program = tunnel.invoke(program()).await.unwrap();
    assert!(program.starts_with(scratch.path().canonicalize().unwrap()), "{program:?}");
    assert!(program.to_str().unwrap().ends_with(" (deleted)"), "{program:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    tunnel.close().await.unwrap();
}

/// More than anything here takes.
const LONG: Duration = Duration::from_secs(20);
