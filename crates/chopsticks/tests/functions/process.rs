//! Functions that run in a process of their own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use chopsticks::{ErrorKind, Invocation, function};
use chopsticks_support::{eventually, processes::with_argument};

use crate::{LONG, appears, mark, pid, tunnel};

#[function(process)]
fn apart(bytes: Vec<u8>) -> (u32, u32, Vec<u8>) {
    (process::id(), std::os::unix::process::parent_id(), bytes)
}

#[function(process)]
fn apart_bytes(len: usize) -> Vec<u8> {
    vec![7; len]
}

#[function(process)]
fn fails_apart(text: &str) -> io::Result<()> {
    Err(io::Error::other(text.to_owned()))
}

#[function(process)]
fn panics_apart() -> u8 {
    panic!("apart")
}

#[function(process)]
fn exits() {
    process::exit(7)
}

#[function(process)]
fn aborts() {
    process::abort()
}

#[function(process)]
#[expect(clippy::print_stdout, reason = "it must not be in the way of the answer")]
fn prints_apart() {
    print!("to stdout");
}

/// Starts a child, and never looks whether it was cancelled.
#[function(process)]
fn spins(begun: PathBuf, mark: &str) -> io::Result<()> {
    drop(process::Command::new("sh").args(["-c", "sleep 300; true", mark]).spawn()?);
    fs::write(begun, process::id().to_string())?;
    loop {
        std::hint::spin_loop();
    }
}

#[tokio::test]
async fn function_runs_apart_and_its_result_comes_back() {
    let tunnel = tunnel();
    let bytes = vec![1; 1 << 20];
    let agent = tunnel.invoke(pid::with()).await.unwrap();
    let (child, parent, same) = tunnel.invoke(apart::with(bytes.clone())).await.unwrap();
    assert_eq!((parent, same), (agent, bytes));
    assert_ne!(child, agent);
    assert_eq!(tunnel.invoke(apart_bytes::with(3 << 20)).await.unwrap(), vec![7; 3 << 20]);
    tunnel.invoke(prints_apart::with()).await.unwrap();
    let calls = (0..20).map(|_| tunnel.invoke(apart_bytes::with(1)));
    assert_eq!(futures::future::try_join_all(calls).await.unwrap().len(), 20);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn end_of_the_process_fails_its_call_alone() {
    let tunnel = tunnel();
    let agent = tunnel.invoke(pid::with()).await.unwrap();
    let ends: [(Invocation<()>, &str); 3] = [
        (fails_apart::with("no luck"), "no luck"),
        (exits::with(), "the process of the function has ended: exit status: 7"),
        (aborts::with(), "the process of the function has ended: signal: 6 (SIGABRT)"),
    ];
    for (call, text) in ends {
        let error = tunnel.invoke(call).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Raised(_)), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = tunnel.invoke(panics_apart::with()).await.unwrap_err();
    assert!(error.remote().unwrap().message.starts_with("apart, at "), "{error}");
    assert_eq!(tunnel.invoke(pid::with()).await.unwrap(), agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_process_is_killed_with_what_it_has_started() {
    let scratch = tempfile::tempdir().unwrap();
    let (begun, mark) = (scratch.path().join("begun"), mark("apart"));
    let tunnel = tunnel();
    let agent = tunnel.invoke(pid::with()).await.unwrap();
    let call = tunnel.invoke(spins::with(begun.clone(), &mark));
    let told = async {
        appears(&begun).await;
        // Written at once, but not in one step with the name.
        while fs::read_to_string(&begun).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        ended = call => panic!("it ends by itself: {ended:?}"),
        () = told => {}
    }
    let child = fs::read_to_string(&begun).unwrap();
    let is_gone = || !Path::new("/proc").join(&child).exists() && with_argument(&mark).is_empty();
    assert!(eventually(LONG, is_gone), "process {child} is left, or {:?}", with_argument(&mark));
    assert_eq!(tunnel.invoke(pid::with()).await.unwrap(), agent);
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn process_ends_with_its_agent() {
    let scratch = tempfile::tempdir().unwrap();
    let (begun, mark) = (scratch.path().join("begun"), mark("orphaned"));
    let tunnel = tunnel();
    let agent = tunnel.invoke(pid::with()).await.unwrap();
    let other = tunnel.clone();
    let call = spins::with(begun.clone(), &mark);
    let call = tokio::spawn(async move { other.invoke(call).await });
    appears(&begun).await;
    let killed = process::Command::new("kill").args(["-9", &agent.to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(call.await.unwrap().unwrap_err().is_disconnected());
    assert!(eventually(LONG, || with_argument(&mark).is_empty()), "{:?}", with_argument(&mark));
    tunnel.close().await.unwrap();
}
