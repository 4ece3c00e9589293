//! Files, programs and tunnels by agents in Rust, which are copies of this program of tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use chopsticks::{
    Agent, Error, ErrorKind, Fetch, Local, Put, RemoteCommand, Stderr, Stdio, Tunnel, TunnelConfig, Via as _,
    facts, function,
};
use chopsticks_support::{Scratch, eventually, processes::with_argument, python3};

#[path = "native/compared.rs"]
mod compared;
#[path = "native/reused.rs"]
mod reused;

chopsticks::tests!();

#[function]
fn pid() -> u32 {
    process::id()
}

#[function]
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

fn config(agent: Agent) -> TunnelConfig {
    TunnelConfig::default().agent(agent).stderr(Stderr::off())
}

fn tunnel() -> Tunnel {
    Tunnel::with_config(Local::new(), config(Agent::Native))
}

/// Returns a tunnel of either kind of agent to a host that has no Python at the path of the driver.
fn without_python() -> Tunnel {
    Tunnel::with_config(Local::new().python("/nonexistent/python"), config(Agent::Auto))
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a text that no other process of the machine has in its arguments.
fn canary(name: &str) -> String {
    format!("native-{name}-{}", process::id())
}

fn wait_until_none(canary: &str) {
    assert!(eventually(PATIENCE, || with_argument(canary).is_empty()), "{canary} is left");
}

/// Returns everything in a folder: modes, contents, and where links lead.
fn listed(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(
                path.strip_prefix(root).unwrap().to_owned(),
                (metadata.permissions().mode(), content),
            );
        }
    }
    found
}

#[tokio::test]
async fn file_is_put_and_fetched_with_its_mode_and_time() -> Result<(), Error> {
    let (scratch, tunnel) = (Scratch::new(), tunnel());
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let source = scratch.write("source", &content);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o751)).unwrap();
    let there = scratch.path().join("there");
    let put = tunnel.put_with(Put::new(&*source).to(&*there).keep_modified()).await?;
    assert_eq!((put.size, put.in_place, put.remote), (3_000_000, false, there.clone()));
    assert_eq!(fs::read(&there).unwrap(), content);
    let (old, new) = (fs::metadata(&source).unwrap(), fs::metadata(&there).unwrap());
    assert_eq!(new.modified().unwrap(), old.modified().unwrap());
    assert_eq!(new.permissions().mode() & 0o777, 0o751 & !0o022 | (0o751 & 0o001));

    let back = scratch.path().join("back");
    let fetched = tunnel.fetch(&there, &back).await?;
    assert_eq!((fetched.size, fetched.sha1), (3_000_000, put.sha1));
    assert_eq!(fs::read(&back).unwrap(), content);

    // What is replaced keeps its mode.
    fs::set_permissions(&there, fs::Permissions::from_mode(0o640)).unwrap();
    tunnel.put_with(Put::bytes(&b"new"[..]).to(&*there)).await?;
    assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read(&there).unwrap(), b"new");

    // Nothing else is left there, and a new temporary file has a path of its own.
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 3);
    let temporary = tunnel.put_with(Put::bytes(&b"x"[..])).await?.remote;
    assert_eq!(fs::read(&temporary).unwrap(), b"x");
    fs::remove_file(temporary).unwrap();
    tunnel.close().await
}

#[tokio::test]
async fn failures_of_transfers_name_path_and_reason() {
    let (scratch, tunnel) = (Scratch::new(), tunnel());
    let there = scratch.write("there", "old");
    let put = Put::bytes(&b"x"[..]);
    let failed = [
        (tunnel.put_with(put.to(scratch.path().join("no/file"))).await, "its folder does not exist"),
        (tunnel.put_with(Put::bytes(&b"x"[..]).to(scratch.path())).await, "Is a directory"),
        (tunnel.put_with(Put::bytes(&b"x"[..]).to(&*there).no_overwrite()).await, "File exists"),
        (tunnel.put_with(Put::bytes(&b"x"[..]).to("~no-such-user/x")).await, "there is no user no-such-user"),
        (
            tunnel.put_with(Put::bytes(&b"x"[..]).to(&*there).owner("no-such-user")).await,
            "there is no user no-such-user",
        ),
        (tunnel.fetch(scratch.path().join("missing"), scratch.path().join("back")).await, "No such file"),
    ];
    for (result, reason) in failed {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::File { .. }), "{error}");
        assert!(error.report().to_string().contains(reason), "{}", error.report());
    }
    assert_eq!(fs::read(&there).unwrap(), b"old");
    let fetched = tunnel.fetch_with(Fetch::new("/proc/version").to(scratch.path().join("version"))).await;
    assert!(fetched.unwrap().size > 0);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn folder_goes_there_and_back() -> Result<(), Error> {
    let (scratch, tunnel) = (Scratch::new(), tunnel());
    scratch.write("tree/a/deep/file", vec![7; 300_000]);
    scratch.write("tree/b", "b");
    fs::create_dir(scratch.path().join("tree/empty")).unwrap();
    symlink("a/deep", scratch.path().join("tree/link")).unwrap();
    let (tree, there, back) =
        (scratch.path().join("tree"), scratch.path().join("there"), scratch.path().join("back"));
    let put = tunnel.put_dir(&tree, &there).await?;
    assert_eq!((put.files, put.folders, put.links, put.size), (2, 4, 1, 300_001));
    assert_eq!(listed(&there), listed(&tree));
    let fetched = tunnel.fetch_dir(&there, &back).await?;
    assert_eq!((fetched.files, fetched.folders, fetched.links), (2, 4, 1));
    assert_eq!(listed(&back), listed(&tree));

    tunnel.close().await
}

#[tokio::test]
async fn program_has_its_streams_environment_folder_and_status() -> Result<(), Error> {
    let (scratch, tunnel) = (Scratch::new(), tunnel());
    let line = "cat; echo $A $B; pwd; echo problem >&2; exit 7";
    let output = tunnel
        .command_with(
            RemoteCommand::shell(line).env("A", "one").env_remove("HOME").current_dir(scratch.path()),
        )
        .input(vec![b'x'; 1_000_000])
        .output()
        .await?;
    assert_eq!(output.status.code(), Some(7));
    let expected = format!("one\n{}\n", scratch.path().display());
    assert_eq!(&output.stdout[1_000_000..], expected.as_bytes());
    assert_eq!(output.stderr, b"problem\n");

    // What it does not read is no failure, nor does it hold up anything.
    let status = tunnel.command("true").input(vec![0; 3_000_000]).status().await?;
    assert!(status.success());
    let killed = tunnel.command_with(RemoteCommand::shell("kill -9 $$")).status().await?;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed), Some(9));

    let error = tunnel.command("no-such-program").status().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Program { .. }), "{error}");
    let error = tunnel.command("true").current_dir("/nonexistent").status().await.unwrap_err();
    assert!(error.report().to_string().contains("/nonexistent"), "{}", error.report());
    tunnel.close().await
}

#[tokio::test]
async fn large_streams_of_programs_pass_each_other() -> Result<(), Error> {
    let tunnel = tunnel();
    let cat = || async {
        let mut out = Vec::new();
        let source = tokio::io::AsyncReadExt::take(tokio::io::repeat(7), 20_000_000);
        let status = tunnel
            .command("cat")
            .stdin(Stdio::reader(source))
            .stdout(Stdio::writer(&mut out))
            .status()
            .await?;
        assert!(status.success());
        Ok::<_, Error>(out.len())
    };
    let call = async {
        for _ in 0..20 {
            tunnel.invoke(pid::with()).await?;
        }
        Ok(())
    };
    let (one, two, three, ()) = tokio::try_join!(cat(), cat(), cat(), call)?;
    assert_eq!([one, two, three], [20_000_000; 3]);
    tunnel.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_program_is_ended_with_what_it_has_started() -> Result<(), Error> {
    let (tunnel, canary) = (tunnel(), canary("dropped"));
    // It ignores requests to end, and so does its child.
    let line = "trap '' TERM; (while :; do sleep 1; done) & echo begun; while :; do sleep 1; done";
    let command = RemoteCommand::shell(line).arg(&canary);
    let mut child = tunnel.command_with(command).spawn().await?;
    let mut begun = [0; 6];
    let mut stdout = child.stdout.take().unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut stdout, &mut begun).await.unwrap();
    assert!(with_argument(&canary).len() >= 2);
    drop((child, stdout));
    wait_until_none(&canary);
    // The agent goes on.
    assert!(tunnel.command("true").status().await?.success());
    tunnel.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_programs_and_transfers() -> Result<(), Error> {
    let (scratch, tunnel, canary) = (Scratch::new(), tunnel(), canary("closed"));
    let mut child =
        tunnel.command_with(RemoteCommand::shell("echo begun; sleep 1000; :").arg(&canary)).spawn().await?;
    let mut begun = [0; 6];
    let mut stdout = child.stdout.take().unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut stdout, &mut begun).await.unwrap();
    let there = scratch.path().join("there");
    // It never ends.
    let source = tokio::io::repeat(7);
    let (done, noted) = tokio::sync::oneshot::channel();
    let mut done = Some(done);
    let put = Put::reader(source).to(&*there).on_progress(move |_| {
        if let Some(done) = done.take() {
            let _ = done.send(());
        }
    });
    let closing = async {
        noted.await.unwrap();
        tunnel.close().await
    };
    let (put, closed) = tokio::join!(tunnel.put_with(put), closing);
    assert!(put.is_err());
    closed?;
    wait_until_none(&canary);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_go_through_agents_without_python() -> Result<(), Error> {
    let first = tunnel();
    let second = Tunnel::with_config(Local::new().name("second").via(&first), config(Agent::Native));
    let third = Tunnel::with_config(Local::new().name("third").via(&second), config(Agent::Native));
    let pids = (first.invoke(pid::with()).await?, second.invoke(pid::with()).await?);
    assert_eq!((second.invoke(parent::with()).await?, third.invoke(parent::with()).await?), pids);
    let output = third.command("cat").input(vec![1; 2_000_000]).output().await?;
    assert_eq!(output.stdout.len(), 2_000_000);
    let scratch = Scratch::new();
    third.put_with(Put::bytes(vec![7; 2_000_000]).to(scratch.path().join("file"))).await?;
    assert_eq!(fs::metadata(scratch.path().join("file")).unwrap().len(), 2_000_000);

    // And an agent in Python through them.
    let python = Local::new().name("python").python(python3().path()).via(&third);
    let python = Tunnel::with_config(python, config(Agent::Python));
    assert_eq!(python.call::<u32>("os:getppid", ()).await?, third.invoke(pid::with()).await?);
    first.close().await?;
    assert!(eventually(PATIENCE, || chopsticks_support::processes::children().is_empty()));
    Ok(())
}

#[tokio::test]
async fn facts_are_those_that_python_reports() -> Result<(), Error> {
    let native = tunnel();
    let python = Tunnel::with_config(Local::new().python(python3().path()), config(Agent::Python));
    let (mut left, right) = (facts::all(&native).await?, facts::all(&python).await?);
    assert_eq!((left.python_version, &*left.python_executable), (None, ""));
    (left.python_version, left.python_executable) = (right.python_version, right.python_executable.clone());
    left.memory.available = right.memory.available;
    assert_eq!(left, right);
    assert_eq!(facts::host_name(&native).await?, right.host_name);
    let error = facts::python_version(&native).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongAgent { .. }), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_starts_what_is_needed_and_the_other_through_it() -> Result<(), Error> {
    for rust_first in [false, true] {
        let tunnel = Tunnel::with_config(Local::new().python(python3().path()), config(Agent::Auto));
        let (python, rust) = if rust_first {
            let rust = tunnel.invoke(pid::with()).await?;
            (tunnel.call::<u32>("os:getpid", ()).await?, rust)
        } else {
            (tunnel.call::<u32>("os:getpid", ()).await?, tunnel.invoke(pid::with()).await?)
        };
        let of_python: u32 = tunnel.call("os:getppid", ()).await?;
        let of_rust = tunnel.invoke(parent::with()).await?;
        if rust_first {
            assert_eq!((of_python, of_rust), (rust, process::id()));
        } else {
            assert_eq!((of_rust, of_python), (python, process::id()));
        }
        // What both can do, the first one does.
        assert_eq!(tunnel.connect().await?.python.is_none(), rust_first);
        let output = tunnel.command_with(RemoteCommand::shell("echo $PPID")).output().await?;
        let by: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        assert_eq!(by, if rust_first { rust } else { python });
        tunnel.close().await?;
        // It can be used again.
        assert_ne!(tunnel.invoke(pid::with()).await?, rust);
        tunnel.close().await?;
        assert!(eventually(PATIENCE, || chopsticks_support::processes::children().is_empty()));
    }
    Ok(())
}

#[tokio::test]
async fn auto_needs_no_python_but_for_functions_in_python() -> Result<(), Error> {
    let (scratch, tunnel) = (Scratch::new(), without_python());
    let there = scratch.path().join("there");
    tunnel.put_with(Put::bytes(&b"x"[..]).to(&*there)).await?;
    assert_eq!(fs::read(&there).unwrap(), b"x");
    assert!(tunnel.command("true").status().await?.success());
    assert_eq!(tunnel.connect().await?.python, None);
    assert_eq!(facts::all(&tunnel).await?.python_version, None);
    let inner = Tunnel::with_config(Local::new().name("inner").via(&tunnel), config(Agent::Native));
    assert!(inner.invoke(pid::with()).await? > 0);
    let error = tunnel.call::<u32>("os:getpid", ()).await.unwrap_err();
    assert!(error.report().to_string().contains("/nonexistent/python"), "{}", error.report());
    tunnel.close().await
}
