//! The package `chopsticks` on a host, and its typed counterparts, with agents in processes of their own.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};

use chopsticks::{
    Codebase, ErrorKind, Function, Local, Stderr, Tunnel, TunnelConfig, facts,
    helpers::{self, OutputStream, RemoteCommand},
};
use chopsticks_support::{Interpreter, Scratch, eventually, interpreters, processes, python3};

/// Far more than anything here takes on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(30);

fn tunnel(python: &Interpreter) -> Tunnel {
    Tunnel::with_config(Local::new().python(python.path()), TunnelConfig::default().stderr(Stderr::off()))
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_come_typed_from_every_interpreter() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let all = facts::all(&tunnel).await.unwrap();
        assert_eq!(all.python_version, python.version(), "{python}");
        assert_eq!(facts::python_version(&tunnel).await.unwrap(), python.version());
        let executable = facts::python_executable(&tunnel).await.unwrap();
        assert_eq!(fs::canonicalize(executable).unwrap(), python.path());
        assert_eq!(facts::host_name(&tunnel).await.unwrap(), all.host_name);
        assert_eq!(facts::ip(&tunnel).await.unwrap(), all.ip);
        assert_eq!(facts::routes(&tunnel).await.unwrap(), all.routes);
        assert_eq!(facts::os(&tunnel).await.unwrap(), all.os);
        assert_eq!(facts::kernel(&tunnel).await.unwrap(), all.kernel);
        assert_eq!(facts::cpu_count(&tunnel).await.unwrap(), all.cpu_count);
        let cpus = std::thread::available_parallelism().unwrap().get();
        assert!(all.cpu_count as usize >= cpus, "{} {cpus}", all.cpu_count);
        assert!(facts::memory(&tunnel).await.unwrap().total.unwrap() > 1 << 20);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn package_is_importable_by_name_whatever_the_codebase_has() {
    let scratch = Scratch::new();
    scratch.write("chopsticks/__init__.py", "raise ValueError('the wrong one')\n");
    scratch.write("chopsticks/facts.py", "raise ValueError('the wrong one')\n");
    scratch.write(
        "uses.py",
        "from chopsticks.facts import python_version\nfrom chopsticks import helpers\n\
         def both(): return [list(python_version()), helpers.output_lines(['echo', 'hello'])]\n",
    );
    let text = Function::source(
        "import chopsticks.facts\ndef f(): return list(chopsticks.facts.python_version())",
        "f",
    );
    for python in interpreters() {
        let (major, minor, micro) = python.version();
        let bare = tunnel(python);
        assert_eq!(bare.call::<[u8; 3]>(text.clone(), ()).await.unwrap(), [major, minor, micro], "{python}");
        bare.close().await.unwrap();

        let config = TunnelConfig::default().modules(Codebase::folder(scratch.path()));
        let shadowed = Tunnel::with_config(Local::new().python(python.path()), config);
        let both: ([u8; 3], Vec<String>) = shadowed.call("uses:both", ()).await.unwrap();
        assert_eq!(both, ([major, minor, micro], vec!["hello".to_owned()]), "{python}");
        assert_eq!(facts::python_version(&shadowed).await.unwrap(), python.version());
        shadowed.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn example_of_the_document_runs() {
    let text = include_str!("../../../docs/facts.md");
    let (_, text) = text.split_once("```python\n").unwrap();
    let (source, _) = text.split_once("```").unwrap();
    for python in interpreters() {
        let tunnel = tunnel(python);
        let report = Function::source(source, "report");
        let (_, memory, busy): (Option<String>, Option<u64>, Vec<String>) =
            tunnel.call(report, ()).await.unwrap();
        assert!(memory.is_none_or(|bytes| bytes > 0), "{python}");
        assert!(busy.len() <= 3, "{python}: {busy:?}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_programs_is_bytes_or_lines() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        assert_eq!(helpers::check_output(&tunnel, ["printf", r"a\377"]).await.unwrap(), b"a\xff", "{python}");
        let lines = helpers::output_lines(&tunnel, "printf 'one\\n\\303\\251\\n'; pwd").await.unwrap();
        assert_eq!(lines[..2], ["one", "é"]);
        let command = RemoteCommand::shell("pwd; echo $A$B; echo").arg("it's").current_dir("/");
        let command = command.env("A", "ä").env_remove("PATH");
        assert_eq!(helpers::output_lines(&tunnel, command).await.unwrap(), ["/", "ä", "it's"], "{python}");

        let error = helpers::check_output(&tunnel, "exit 3").await.unwrap_err();
        let ErrorKind::Raised(exception) = error.kind() else { panic!("{error:?}") };
        assert_eq!(exception.type_name, "subprocess.CalledProcessError");
        assert!(exception.message.contains("'exit 3'") && exception.message.contains(" 3"), "{exception:?}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_gives_status_and_both_streams() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let output = helpers::run(&tunnel, "printf 'out\\377'; echo err >&2; exit 3").await.unwrap();
        assert_eq!(
            (output.status.code(), output.stdout, output.stderr),
            (Some(3), b"out\xff".to_vec(), b"err\n".to_vec()),
            "{python}"
        );
        let output = helpers::run(&tunnel, ["sh", "-c", "kill -9 $$"]).await.unwrap();
        assert_eq!((output.status.code(), output.status.signal()), (None, Some(9)), "{python}");

        let error = helpers::run(&tunnel, ["/nonexistent/program"]).await.unwrap_err();
        let message = error.report().to_string();
        assert!(message.contains("No such file or directory: '/nonexistent/program'"), "{python}: {message}");
        assert!(helpers::run(&tunnel, ["true"]).await.unwrap().status.success(), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_one_host_run_side_by_side() {
    let tunnel = tunnel(python3());
    let outputs = futures::future::join_all(
        (0..20).map(|n| helpers::run(&tunnel, vec!["sh".into(), "-c".into(), format!("echo {n}; exit {n}")])),
    );
    for (n, output) in outputs.await.into_iter().enumerate() {
        let output = output.unwrap();
        assert_eq!(
            (output.status.code(), output.stdout),
            (i32::try_from(n).ok(), format!("{n}\n").into_bytes())
        );
    }
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_passes_whole_and_untaken_output_makes_the_program_wait() {
    let tunnel = tunnel(python3());
    let output = helpers::run(&tunnel, "head -c 20000000 /dev/zero; echo end >&2").await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr), (20_000_000, b"end\n".to_vec()));

    let scratch = Scratch::new();
    let done = scratch.path().join("done");
    let line = format!("echo $$; head -c 3000000 /dev/zero; touch '{}'", done.display());
    let mut running = helpers::start(&tunnel, line);
    let first = running.next().await.unwrap().unwrap();
    assert_eq!(first.stream, OutputStream::Stdout);
    // Other calls go on meanwhile.
    facts::python_version(&tunnel).await.unwrap();
    assert!(!done.exists());
    assert!(running.wait().await.unwrap().success());
    assert!(done.exists());
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn output_comes_while_the_program_runs_and_its_drop_ends_it() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let mut running = helpers::start(&tunnel, "echo $$; exec tail -f /dev/null");
        let chunk = running.next().await.unwrap().unwrap();
        let pid: u32 = String::from_utf8(chunk.data).unwrap().trim().parse().unwrap();
        // A future that is dropped while it waits loses nothing.
        assert!(tokio::time::timeout(Duration::from_millis(20), running.next()).await.is_err());
        drop(running);
        processes::wait_until_gone([pid], DEADLINE).unwrap();
        // The tunnel is as good as before, wherever the interrupt has struck.
        assert!(helpers::run(&tunnel, ["true"]).await.unwrap().status.success(), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_ends_the_program() {
    let scratch = Scratch::new();
    let pids = scratch.path().join("pid");
    let tunnel = tunnel(python3());
    let line = format!("echo $$ > '{}'; exec tail -f /dev/null", pids.display());
    let command = RemoteCommand::shell(line).timeout(Duration::from_secs(2));
    let begun = Instant::now();
    let error = helpers::run(&tunnel, command).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let pid = fs::read_to_string(&pids).unwrap_or_default().trim().parse::<u32>();
    processes::wait_until_gone(pid.into_iter(), DEADLINE).unwrap();
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connection_is_told_once_and_again() {
    let tunnel = tunnel(python3());
    let agent = tunnel.connect().await.unwrap().pid;
    let mut running = helpers::start(&tunnel, "echo here; exec tail -f /dev/null");
    assert_eq!(running.next().await.unwrap().unwrap().data, b"here\n");
    let killed = std::process::Command::new("kill").args(["-9", &agent.to_string()]).status().unwrap();
    assert!(killed.success());
    let error = running.next().await.unwrap_err();
    assert!(error.is_disconnected(), "{error:?}");
    assert!(running.next().await.unwrap_err().is_disconnected());
    assert!(running.wait().await.unwrap_err().is_disconnected());
    assert!(eventually(DEADLINE, || !std::path::Path::new(&format!("/proc/{agent}/exe")).exists()));
    tunnel.close().await.unwrap();
}
