//! Programs on hosts, run by agents in processes of their own.

use std::{
    fs, io,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use chopsticks::{
    ErrorKind, Group, Hint, Local, Queue, RemoteCommand, Stderr, Stdio, Tunnel, TunnelConfig, facts,
};
use chopsticks_support::{Interpreter, Scratch, eventually, interpreters, processes, python3};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadBuf};

/// Far more than anything here takes on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

fn config() -> TunnelConfig {
    TunnelConfig::default().stderr(Stderr::off())
}

fn tunnel(python: &Interpreter) -> Tunnel {
    Tunnel::with_config(Local::new().python(python.path()), config())
}

fn locals() -> Group {
    let driver = |name| Local::new().python(python3().path()).name(name);
    Group::new(["a", "b"].map(driver).map(|driver| Tunnel::with_config(driver, config())))
        .expect("names differ")
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_status_and_both_streams_under_every_interpreter() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let command = RemoteCommand::shell("printf 'out\\377'; echo err >&2; exit 3");
        let output = tunnel.command_with(command).output().await.unwrap();
        assert_eq!(
            (output.status.code(), output.stdout, output.stderr),
            (Some(3), b"out\xff".to_vec(), b"err\n".to_vec()),
            "{python}"
        );
        let status = tunnel.command("sh").args(["-c", "kill -9 $$"]).status().await.unwrap();
        assert_eq!((status.code(), status.signal()), (None, Some(9)), "{python}");
        let command = tunnel.command("sh").args(["-c", "pwd; echo $A$B; cat"]).current_dir("/");
        let output = command.env("A", "ä").env_remove("B").input("given").output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "/\nä\ngiven", "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn program_that_cannot_be_started_is_named_with_what_to_do() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let error = tunnel.command("/nonexistent/program").output().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Program { .. }), "{python}: {error:?}");
        assert!(
            error.report().contains("/nonexistent/program: No such file or directory"),
            "{python}: {error:?}"
        );
        assert_eq!(error.hint().map(Hint::cause), Some("program-missing"), "{python}");
        let mut child = tunnel.command("true").current_dir("/nonexistent/folder").spawn().await.unwrap();
        let error = child.wait().await.unwrap_err();
        assert!(error.report().contains("/nonexistent/folder"), "{python}: {error:?}");
        // The tunnel is as good as before.
        assert!(tunnel.command("true").status().await.unwrap().success(), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_one_host_run_side_by_side() {
    let tunnel = tunnel(python3());
    let runs = (0..20).map(|n| {
        let command = RemoteCommand::shell("echo $1; exit $1").arg(n.to_string());
        tunnel.command_with(command).output()
    });
    for (n, output) in futures::future::join_all(runs).await.into_iter().enumerate() {
        let output = output.unwrap();
        assert_eq!(
            (output.status.code(), output.stdout),
            (i32::try_from(n).ok(), format!("{n}\n").into_bytes())
        );
    }
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_passes_whole_and_output_that_is_not_read_makes_the_program_wait() {
    let tunnel = tunnel(python3());
    let command = RemoteCommand::shell("head -c 20000000 /dev/zero; echo end >&2");
    let output = tunnel.command_with(command).output().await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr), (20_000_000, b"end\n".to_vec()));

    let scratch = Scratch::new();
    let done = scratch.path().join("done");
    // More than the window and both pipes hold.
    let command = RemoteCommand::shell("echo begun >&2; head -c 30000000 /dev/zero; touch \"$1\"").arg(&done);
    let mut child = tunnel.command_with(command).spawn().await.unwrap();
    let mut begun = BufReader::new(child.stderr.take().unwrap());
    assert_eq!(begun.read_line(&mut String::new()).await.unwrap(), 6);
    // Other calls go on meanwhile.
    facts::python_version(&tunnel).await.unwrap();
    assert!(!done.exists());
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success() && done.exists());
    assert_eq!(output.stdout.len(), 30_000_000);
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_through_a_program_from_a_reader_to_a_writer() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut copy = Vec::new();
        let command =
            tunnel.command("cat").stdin(Stdio::reader(&content[..])).stdout(Stdio::writer(&mut copy));
        assert!(command.status().await.unwrap().success(), "{python}");
        assert!(copy == content, "{python}: {} bytes", copy.len());

        let mut child =
            tunnel.command("tr").args(["a-z", "A-Z"]).stdin(Stdio::piped()).spawn().await.unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        stdin.write_all(b"some text").await.unwrap();
        drop(stdin);
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "SOME TEXT", "{python}");
        assert!(child.wait().await.unwrap().success(), "{python}");
        // One that reads nothing ends all the same.
        let status =
            tunnel.command("true").stdin(Stdio::reader(tokio::io::repeat(7))).status().await.unwrap();
        assert!(status.success(), "{python}");
        tunnel.close().await.unwrap();
    }
}

/// Fails after its first bytes.
struct Broken(bool);

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Err(io::Error::other("the reader is broken")));
        }
        buffer.put_slice(b"first");
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_of_a_reader_ends_the_program_and_is_returned() {
    let tunnel = tunnel(python3());
    let scratch = Scratch::new();
    let pid = scratch.path().join("pid");
    let command = RemoteCommand::shell("echo $$ > \"$1\"; cat; exec tail -f /dev/null").arg(&pid);
    let error = tunnel.command_with(command).stdin(Stdio::reader(Broken(false))).status().await.unwrap_err();
    let report = error.report();
    assert!(report.contains("<stdin>") && report.ends_with("the reader is broken"), "{report}");
    // It may have been ended before it began.
    if let Some(pid) = fs::read_to_string(&pid).ok().and_then(|pid| pid.trim().parse::<u32>().ok()) {
        processes::wait_until_gone([pid], DEADLINE).unwrap();
    }
    tunnel.close().await.unwrap();
}

/// Starts a program that writes its number and runs until it is ended, and returns the number.
async fn endless(tunnel: &Tunnel) -> (chopsticks::Child<'static>, u32) {
    let command = RemoteCommand::shell("echo $$; exec tail -f /dev/null");
    let mut child = tunnel.command_with(command).spawn().await.expect("the tunnel works");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).await.expect("the program writes its number");
    (child, line.trim().parse().expect("the program writes its number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn program_ends_when_it_is_dropped_or_killed() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let (child, pid) = endless(&tunnel).await;
        drop(child);
        processes::wait_until_gone([pid], DEADLINE).unwrap();

        let (mut child, pid) = endless(&tunnel).await;
        child.kill();
        processes::wait_until_gone([pid], DEADLINE).unwrap();
        assert!(matches!(child.wait().await.unwrap_err().kind(), ErrorKind::Program { .. }), "{python}");
        // The tunnel is as good as before.
        assert!(tunnel.command("true").status().await.unwrap().success(), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_ends_the_program_and_what_it_started() {
    let scratch = Scratch::new();
    let pids = scratch.path().join("pids");
    let tunnel = tunnel(python3());
    tunnel.connect().await.unwrap();
    let line = "tail -f /dev/null & echo $$ $! > \"$1\"; wait";
    let command = RemoteCommand::shell(line).arg(&pids).timeout(Duration::from_secs(3));
    let error = tunnel.command_with(command).output().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    let pids = fs::read_to_string(&pids).unwrap_or_default();
    let pids: Vec<u32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    processes::wait_until_gone(pids, DEADLINE).unwrap();
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_the_pipes_open_does_not_keep_the_program() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let command = RemoteCommand::shell("tail -f /dev/null & echo $!");
        let output = tunnel.command_with(command).output().await.unwrap();
        assert!(output.status.success(), "{python}");
        let pid: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        tunnel.close().await.unwrap();
        processes::wait_until_gone([pid], DEADLINE).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connection_is_the_error_of_the_program() {
    let tunnel = tunnel(python3());
    let agent = tunnel.connect().await.unwrap().pid;
    let (mut child, _) = endless(&tunnel).await;
    let killed = std::process::Command::new("kill").args(["-9", &agent.to_string()]).status().unwrap();
    assert!(killed.success());
    let error = child.wait().await.unwrap_err();
    assert!(error.is_disconnected(), "{error:?}");
    assert!(child.wait().await.unwrap_err().is_disconnected());
    assert!(eventually(DEADLINE, || !Path::new(&format!("/proc/{agent}/exe")).exists()));
    assert!(tunnel.command("true").status().await.unwrap().success());
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_queues_run_programs() {
    let group = locals();
    let command = RemoteCommand::shell("cat; echo $1").arg("there").input("hello ");
    let outputs = group.output(command.clone()).await;
    assert!(outputs.all_ok(), "{outputs:?}");
    for (host, output) in outputs.successful() {
        assert_eq!(output.stdout, b"hello there\n", "{host}");
    }
    let codes = group.status(RemoteCommand::shell("exit 4")).await.map(|status| status.code());
    assert!(codes.successful().all(|(_, code)| *code == Some(4)), "{codes:?}");

    let queue = Queue::new();
    let outputs = queue.output(&group, command);
    let wrong = queue.output(&group, RemoteCommand::new("/nonexistent/program"));
    queue.run().await;
    let (outputs, wrong) = (outputs.value().unwrap(), wrong.value().unwrap());
    assert_eq!(outputs.successful().count(), 2);
    assert_eq!(wrong.failures().count(), 2);
    group.close().await;
}
