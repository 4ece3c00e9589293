//! What is left when a call, a connection or a controller ends: nothing.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use chopsticks::{Call, Codebase, ErrorKind, Local, Phase, Stderr, Tunnel, TunnelConfig};
use chopsticks_support::{Interpreter, Scratch, eventually, interpreters, processes, python3};

/// Long enough for anything on a busy machine, so that what it ends has hung.
const PATIENCE: Duration = Duration::from_secs(30);

const CODE: &str = r#"
import os, signal, subprocess, sys, time

def children(canary):
    """A child, one that left the session, and one that ignores SIGTERM, each with the canary among its arguments."""
    sleep = ['sh', '-c', 'while true; do sleep 1000; done', canary]
    stubborn = ['sh', '-c', 'trap "" TERM HUP INT; while true; do sleep 1000; done', canary]
    subprocess.Popen(sleep)
    subprocess.Popen(['setsid'] + sleep)
    subprocess.Popen(['setsid'] + stubborn)

def orphan(canary):
    """A process whose parent is gone, in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp('sh', ['sh', '-c', 'while true; do sleep 1000; done', canary])
        os._exit(0)
    os.wait()

def hang(canary):
    children(canary)
    orphan(canary)
    time.sleep(1000)

def spin(canary):
    children(canary)
    while True:
        pass

def multiply(canary):
    while True:
        subprocess.Popen(['setsid', 'sh', '-c', 'while true; do sleep 1000; done', canary])
        time.sleep(0.02)

def nap():
    while True:
        time.sleep(0.05)

def until(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return 5

def stream(items, canary):
    children(canary)
    for item in items:
        yield item

def receive(_):
    os.read(os.pipe()[0], 1)

def wait(_):
    import threading
    threading.Event().wait()

def stubborn(canary):
    children(canary)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass
"#;

/// A text that no other process has among its arguments.
fn canary(name: &str) -> String {
    format!("canary-{name}-{}", std::process::id())
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("ops.py", CODE);
    scratch
}

fn tunnel(interpreter: &Interpreter, scratch: &Scratch) -> Tunnel {
    let config = TunnelConfig::default().modules(Codebase::folder(scratch.path())).stderr(Stderr::off());
    Tunnel::with_config(Local::new().python(interpreter.path()), config)
}

/// Waits until the canary's processes are there.
async fn appeared(canary: &str, count: usize) {
    let name = canary.to_owned();
    let there = move || eventually(PATIENCE, || processes::with_argument(&name).len() >= count);
    assert!(
        tokio::task::spawn_blocking(there).await.expect("it does not panic"),
        "{canary}: the children did not start"
    );
}

/// Waits until no process has the canary, while the runtime goes on.
async fn gone(canary: &str) {
    let name = canary.to_owned();
    tokio::task::spawn_blocking(move || wait_until_gone(&name)).await.expect("nothing is left");
}

fn wait_until_gone(canary: &str) {
    let left = || processes::with_argument(canary);
    assert!(eventually(PATIENCE, || left().is_empty()), "{canary}: left behind: {:?}", left());
}

#[tokio::test]
async fn close_ends_all_that_calls_started() {
    for interpreter in interpreters() {
        let scratch = scratch();
        let tunnel = tunnel(interpreter, &scratch);
        let canary = canary(&format!("close-{:?}", interpreter.version()).replace(' ', ""));
        tunnel.call::<()>("ops:children", (&canary,)).await.unwrap();
        tunnel.call::<()>("ops:orphan", (&canary,)).await.unwrap();
        let agent = tunnel.connect().await.unwrap().pid;
        appeared(&canary, 4).await;
        tunnel.close().await.unwrap();
        assert!(processes::with_argument(&canary).is_empty(), "{interpreter:?}: close returned too soon");
        assert!(!processes::is_there(agent));
    }
}

#[tokio::test]
async fn deadline_ends_what_the_call_started_and_the_tunnel_stays_usable() {
    for interpreter in interpreters() {
        let scratch = scratch();
        let tunnel = tunnel(interpreter, &scratch);
        let pid: u32 = tunnel.call("os:getpid", ()).await.unwrap();
        let kept = canary(&format!("kept-{:?}", interpreter.version()).replace(' ', ""));
        tunnel.call::<()>("ops:children", (&kept,)).await.unwrap();
        appeared(&kept, 3).await;
        // Whose a process is, is told by its age, which the kernel knows to a hundredth of a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for function in ["ops:hang", "ops:spin"] {
            let canary = canary(&format!("deadline-{:?}", interpreter.version()).replace(' ', ""));
            let call = Call::new(function).args((&canary,)).timeout(Duration::from_secs(1));
            let error = tunnel.call_with(call).await.unwrap_err();
            assert!(error.is_timeout() && error.phase() == Phase::Call, "{}", error.report());
            gone(&canary).await;
        }
        assert_eq!(
            tunnel.call::<u32>("os:getpid", ()).await.unwrap(),
            pid,
            "{interpreter:?}: not the same agent"
        );
        assert!(
            processes::with_argument(&kept).len() >= 3,
            "{interpreter:?}: an earlier call's children are gone"
        );
        tunnel.close().await.unwrap();
        gone(&kept).await;
    }
}

#[tokio::test]
async fn dropped_call_ends_what_it_started() {
    let scratch = scratch();
    let tunnel = tunnel(python3(), &scratch);
    let canary = canary("dropped");
    {
        let call = tunnel.call::<()>("ops:hang", (&canary,));
        tokio::select! {
            result = call => panic!("it never returns: {result:?}"),
            () = appeared(&canary, 4) => {}
        }
    }
    gone(&canary).await;
    assert!(tunnel.call::<u32>("os:getpid", ()).await.is_ok());
}

#[tokio::test]
async fn agent_that_will_not_end_is_killed_and_that_is_told() {
    let scratch = scratch();
    let config = TunnelConfig::default()
        .modules(Codebase::folder(scratch.path()))
        .stderr(Stderr::off())
        .close_timeout(Duration::from_secs(1));
    let tunnel = Tunnel::with_config(Local::new().python(python3().path()), config);
    let agent = tunnel.connect().await.unwrap().pid;
    // Stopped, it neither sees the end of its stdin nor answers a signal but SIGKILL.
    let pid = rustix::process::Pid::from_raw(agent.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let error = tokio::time::timeout(PATIENCE, tunnel.close()).await.expect("close is bounded").unwrap_err();
    assert_eq!(error.phase(), Phase::Close);
    assert!(error.is_timeout(), "{}", error.report());
    assert!(!processes::is_there(agent));
}

#[tokio::test]
async fn function_that_refuses_to_stop_is_abandoned_and_ends_with_its_connection() {
    let scratch = scratch();
    let config = TunnelConfig::default()
        .modules(Codebase::folder(scratch.path()))
        .stderr(Stderr::off())
        .cancel_grace(Duration::from_millis(200))
        .max_abandoned(1);
    let tunnel = Tunnel::with_config(Local::new().python(python3().path()), config);
    let canary = canary("stubborn");
    let pid: u32 = tunnel.call("os:getpid", ()).await.unwrap();
    let call = Call::new("ops:stubborn").args((&canary,)).timeout(Duration::from_secs(5));
    let refusing = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.call_with(call).await }
    });
    // It comes first, since only the main thread may ignore a signal.
    let mark = canary.clone();
    let begun = move || eventually(PATIENCE, || processes::with_argument(&mark).len() >= 3);
    assert!(tokio::task::spawn_blocking(begun).await.unwrap(), "its children were not started");
    let beside = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.call::<()>("ops:nap", ()).await }
    });
    let error = refusing.await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{}", error.report());
    gone(&canary).await;
    // While another call is under way, one more that is abandoned is one too many.
    let error = loop {
        match tunnel.call::<u32>("os:getpid", ()).await {
            Ok(same) => assert_eq!(same, pid),
            Err(error) => break error,
        }
    };
    let ErrorKind::TooManyAbandoned { limit: 1 } = error.kind() else { panic!("{}", error.report()) };
    assert!(processes::is_there(pid));
    assert!(!beside.is_finished());
    // Without one, nobody loses anything by a new connection.
    beside.abort();
    let left = move || eventually(PATIENCE, || !processes::is_there(pid));
    assert!(tokio::task::spawn_blocking(left).await.unwrap(), "the agent is still there");
    assert_ne!(tunnel.call::<u32>("os:getpid", ()).await.unwrap(), pid, "the next call connects again");
}

#[tokio::test]
async fn deadline_of_a_call_in_a_system_call_costs_nobody_else_anything() {
    for interpreter in interpreters() {
        let scratch = scratch();
        let config = TunnelConfig::default()
            .modules(Codebase::folder(scratch.path()))
            .stderr(Stderr::off())
            .cancel_grace(Duration::from_millis(100));
        let tunnel = Tunnel::with_config(Local::new().python(interpreter.path()), config);
        let pid: u32 = tunnel.call("os:getpid", ()).await.unwrap();
        let release = scratch.path().join("release");
        let long = tokio::spawn({
            let (tunnel, release) = (tunnel.clone(), release.display().to_string());
            async move { tunnel.call::<u32>("ops:until", (release,)).await }
        });
        let late = async |function, deadline| {
            let call = Call::new(function).args((1000,)).timeout(Duration::from_millis(deadline));
            tunnel.call_with(call).await.unwrap_err()
        };
        for function in ["time:sleep", "ops:receive", "ops:wait", "time:sleep", "ops:receive"] {
            let error = late(function, 200).await;
            assert!(error.is_timeout(), "{interpreter:?}: {}", error.report());
        }
        for n in 0..60 {
            let error = late("time:sleep", n % 13).await;
            assert!(error.is_timeout(), "{interpreter:?}: {}", error.report());
            tunnel.put(scratch.path().join("ops.py"), scratch.path().join("there")).await.unwrap();
            tunnel.fetch(scratch.path().join("there"), scratch.path().join("back")).await.unwrap();
        }
        assert_eq!(tunnel.call::<u32>("os:getpid", ()).await.unwrap(), pid, "{interpreter:?}");
        scratch.write("release", "");
        assert_eq!(long.await.unwrap().unwrap(), 5, "{interpreter:?}");
    }
}

#[tokio::test]
async fn calls_in_sequence_that_sleep_beyond_their_deadlines_leave_the_connection_as_it_is() {
    for interpreter in interpreters() {
        let scratch = scratch();
        let tunnel = tunnel(interpreter, &scratch);
        let pid: u32 = tunnel.call("os:getpid", ()).await.unwrap();
        for n in 0..60 {
            let call = Call::new("time:sleep").args((600,)).timeout(Duration::from_millis(n % 13));
            let error = tunnel.call_with(call).await.unwrap_err();
            assert!(error.is_timeout(), "{interpreter:?}: {}", error.report());
        }
        assert_eq!(tunnel.call::<u32>("os:getpid", ()).await.unwrap(), pid, "{interpreter:?}");
    }
}

#[tokio::test]
async fn killed_agent_fails_the_call_with_its_status_and_the_next_one_connects() {
    for interpreter in interpreters() {
        let scratch = scratch();
        let tunnel = tunnel(interpreter, &scratch);
        let error = tunnel.call::<()>("os:kill", (tunnel.connect().await.unwrap().pid, 9)).await.unwrap_err();
        let ErrorKind::Disconnected { status: Some(status), .. } = error.kind() else {
            panic!("{}", error.report())
        };
        assert!(status.to_string().contains("signal: 9"), "{status}");
        assert!(error.is_disconnected());
        tunnel.call::<u32>("os:getpid", ()).await.unwrap();
        let error = tunnel.call::<()>("os:_exit", (7,)).await.unwrap_err();
        assert!(error.report().ends_with(": the connection was lost, exit status 7"), "{}", error.report());
        tunnel.call::<u32>("os:getpid", ()).await.unwrap();
    }
}

#[tokio::test]
async fn closed_tunnel_fails_calls_under_way_and_connects_again() {
    let scratch = scratch();
    let tunnel = tunnel(python3(), &scratch);
    let canary = canary("closed");
    let call = tunnel.clone();
    let name = canary.clone();
    let call = tokio::spawn(async move { call.call::<()>("ops:hang", (name,)).await });
    appeared(&canary, 4).await;
    tunnel.close().await.unwrap();
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed), "{}", error.report());
    gone(&canary).await;
    assert!(tunnel.call::<u32>("os:getpid", ()).await.is_ok());
}

#[tokio::test]
async fn last_handle_that_goes_takes_the_agent_along() {
    let scratch = scratch();
    let tunnel = tunnel(python3(), &scratch);
    let canary = canary("handle");
    tunnel.call::<()>("ops:children", (&canary,)).await.unwrap();
    appeared(&canary, 3).await;
    drop(tunnel);
    gone(&canary).await;
}

#[test]
fn runtime_that_ends_takes_the_agents_along() {
    let scratch = scratch();
    let canary = canary("runtime");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tunnel = tunnel(python3(), &scratch);
    runtime.block_on(tunnel.call::<()>("ops:children", (&canary,))).unwrap();
    drop(runtime);
    wait_until_gone(&canary);
}

#[test]
fn killed_controller_leaves_nothing() {
    for interpreter in interpreters() {
        for function in ["ops:hang", "ops:spin", "ops:multiply"] {
            let scratch = scratch();
            let canary = canary(&format!("{function}-{:?}", interpreter.version()).replace(' ', ""));
            let mut controller = Command::new(env!("CARGO_BIN_EXE_controller"))
                .arg(interpreter.path())
                .arg(scratch.path())
                .args([function, &canary, "2"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            // The controller itself has the canary among its arguments.
            assert!(eventually(PATIENCE, || processes::with_argument(&canary).len() > 6), "{canary}");
            controller.kill().unwrap();
            controller.wait().unwrap();
            wait_until_gone(&canary);
        }
    }
}

#[test]
fn controller_killed_while_it_streams_leaves_nothing() {
    for interpreter in interpreters() {
        let scratch = scratch();
        let canary = canary(&format!("stream-{:?}", interpreter.version()).replace(' ', ""));
        let mut controller = Command::new(env!("CARGO_BIN_EXE_streamer"))
            .arg(interpreter.path())
            .arg(scratch.path())
            .args(["ops:stream", &canary])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // From then on items are under way in both directions.
        let mut line = String::new();
        BufReader::new(controller.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "streaming\n");
        assert!(!processes::with_argument(&canary).is_empty());
        controller.kill().unwrap();
        controller.wait().unwrap();
        wait_until_gone(&canary);
    }
}

#[test]
fn too_few_descriptors_are_named_with_their_limit_and_the_rest_works() {
    let scratch = scratch();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_controller")])
        .arg(python3().path())
        .arg(scratch.path())
        .args(["builtins:len", "four", "40"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (well, failed): (Vec<_>, Vec<_>) = text.lines().partition(|line| *line == "ok Some(4)");
    assert_eq!(well.len() + failed.len(), 40, "{text}");
    assert!(!well.is_empty() && !failed.is_empty(), "{text}");
    for line in failed {
        assert!(line.contains("this process can open 64 files: raise `ulimit -n`"), "{line}");
    }
}
