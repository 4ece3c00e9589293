//! Tunnels through other tunnels.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use chopsticks::{
    AgentCommand, Call, Command, Driver, Error, ErrorKind, Function, Group, Hint, HostName, Interpreter,
    Link, Local, Phase, Put, Stderr, Target, Tunnel, TunnelConfig, Via,
};
use chopsticks_e2e::{PATIENCE, canary, local, newest_and_oldest, quiet, script, wait_for, wait_until_none};
use chopsticks_support::{Scratch, eventually, processes, python3};
use tokio::time::timeout;

/// A tunnel to an agent that the agent of `parent` starts.
fn through(parent: &Tunnel, name: &str) -> Tunnel {
    Tunnel::with_config(Local::new().name(name).python(python3().path()).via(parent), quiet())
}

fn outer() -> Tunnel {
    Tunnel::with_config(Local::new().name("outer").python(python3().path()), quiet())
}

async fn parent_pid(tunnel: &Tunnel) -> u32 {
    tunnel.call("os:getppid", ()).await.expect("the agent answers")
}

async fn pid(tunnel: &Tunnel) -> u32 {
    tunnel.call("os:getpid", ()).await.expect("the agent answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_of_one_tunnel_starts_that_of_the_next() {
    for outer in newest_and_oldest() {
        for inner in newest_and_oldest() {
            let first = chopsticks_e2e::tunnel(outer);
            let second = Tunnel::with_config(local(inner).name("second").via(&first), quiet());
            let third = Tunnel::with_config(local(outer).name("third").via(&second), quiet());
            // Connecting the last connects all.
            assert_eq!(parent_pid(&third).await, pid(&second).await, "{outer} {inner}");
            assert_eq!(parent_pid(&second).await, pid(&first).await, "{outer} {inner}");
            assert_eq!(second.connect().await.unwrap().python, Some(inner.version()));
            for tunnel in [third, second, first] {
                tunnel.close().await.unwrap();
            }
        }
    }
    assert!(eventually(PATIENCE, || processes::children().is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_and_files_pass_two_hops_unharmed() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let first = chopsticks_e2e::tunnel(interpreter);
        let second = Tunnel::with_config(local(interpreter).name("second").via(&first), quiet());
        let third = Tunnel::with_config(local(interpreter).name("third").via(&second), quiet());
        let content: Vec<u8> = (0..50_000_000_u32).map(|n| (n ^ (n >> 9)) as u8).collect();
        let echo = Function::source("def f(value): return bytearray(value)", "f");
        let echoed: serde_bytes::ByteBuf =
            third.call(echo, (serde_bytes::Bytes::new(&content),)).await.unwrap();
        assert!(echoed == content);
        let path = scratch.path().join("file");
        let put = third.put_with(Put::bytes(content.clone()).to(&path)).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        let fetched = third.fetch(&path, scratch.path().join("back")).await.unwrap();
        assert_eq!((fetched.sha1, fetched.size), (put.sha1, 50_000_000));
        // What passed through is not kept on the way.
        let held = peak_memory(pid(&second).await);
        assert!(held < 64 << 10, "{interpreter}: {held} KiB");
        first.close().await.unwrap();
    }
}

/// The most memory that a process has had so far, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tunnels_share_one_parent() {
    let parent = outer();
    let children: Vec<_> = (0..30).map(|n| through(&parent, &format!("child-{n}"))).collect();
    let group = Group::new(children).unwrap();
    let result = group.call::<u32>("os:getppid", ()).await;
    let pid = pid(&parent).await;
    let values: Vec<_> = result.successful().map(|(_, value)| *value).collect();
    assert_eq!(values, [pid; 30], "{result:?}");
    for (_, closed) in group.close().await.iter() {
        closed.as_ref().unwrap();
    }
    // The parent is there still, with no children.
    assert_eq!(parent.call::<u32>("os:getpid", ()).await.unwrap(), pid);
    assert!(eventually(PATIENCE, || processes::children_of(pid).is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn program_that_is_not_there_is_told_as_if_it_were_here() {
    let parent = outer();
    let child =
        Tunnel::with_config(Local::new().name("child").python("/nowhere/python3").via(&parent), quiet());
    let error = child.call::<u32>("os:getpid", ()).await.unwrap_err();
    assert_eq!(
        error.report(),
        "child: spawn: cannot start /nowhere/python3: No such file or directory (os error 2) \
         (the program does not exist on outer: install it, or give its path)"
    );
    parent.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folder_that_is_not_there_is_not_taken_for_a_program() {
    let parent = outer();
    // In the first the agent looks for the folder, in the second that of the parent.
    for (child, expected) in [
        (
            Local::new().name("child").current_dir("/nowhere").via(&parent),
            "No such file or directory: '/nowhere'",
        ),
        (Elsewhere("/nowhere").via(&parent), "the working directory /nowhere is not a folder"),
    ] {
        let error = Tunnel::with_config(child, quiet()).connect().await.unwrap_err();
        assert!(error.report().contains(expected), "{}", error.report());
        assert_eq!(error.hint().map(Hint::cause), Some("folder-missing"));
    }
    parent.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn program_that_fails_there_is_told_with_its_status_and_stderr() {
    let parent = outer();
    let scratch = Scratch::new();
    let failing =
        script(&scratch, "failing", "echo noise; echo 'Permission denied (publickey).' >&2; exit 255");
    let child = Tunnel::with_config(Command::new(failing).name("child").arg("python3").via(&parent), quiet());
    let error = child.connect().await.unwrap_err();
    let ErrorKind::NoAgent { status, stderr, noise } = error.kind() else { panic!("{error:?}") };
    assert_eq!(status.and_then(|status| status.code()), Some(255), "{error:?}");
    assert_eq!((stderr.as_str(), noise.as_str()), ("Permission denied (publickey).", "noise\n"));
    let killed = script(&scratch, "killed", "kill -9 $$");
    let child = Tunnel::with_config(Command::new(killed).name("child").arg("python3").via(&parent), quiet());
    let error = child.connect().await.unwrap_err();
    assert!(error.report().contains("signal 9 (SIGKILL)"), "{}", error.report());
    // The parent bears it.
    pid(&parent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_of_the_parent_is_that_of_its_children() {
    let parent = Tunnel::with_config(Local::new().name("bastion").python("/nowhere/python3"), quiet());
    let child = through(&parent, "db1");
    let error = child.call::<u32>("os:getpid", ()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Parent(_)), "{error:?}");
    assert_eq!(
        error.report(),
        "db1: spawn: the parent tunnel failed: bastion: spawn: cannot start /nowhere/python3: \
         No such file or directory (os error 2) (the program does not exist here: install it, or give its path)"
    );
    assert_eq!(error.hint().map(Hint::cause), Some("program-missing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadline_names_the_parent_that_hangs() {
    let scratch = Scratch::new();
    let hangs = script(&scratch, "hangs", "exec sleep 1000");
    let parent = Tunnel::with_config(Local::new().name("bastion").python(hangs), quiet());
    let child = through(&parent, "db1");
    let call = Call::new("os:getpid").timeout(Duration::from_millis(300));
    let error = child.call_with(call).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(error.report().contains("bastion: handshake: timed out"), "{}", error.report());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_the_parent_ends_its_children_and_the_next_use_connects_both() {
    let parent = outer();
    let child = through(&parent, "child");
    let grandchild = through(&child, "grandchild");
    for end in ["close", "kill"] {
        let (first, second, third) = (pid(&parent).await, pid(&child).await, pid(&grandchild).await);
        let under_way = tokio::spawn({
            let grandchild = grandchild.clone();
            async move { grandchild.call::<()>("time:sleep", (1000,)).await }
        });
        // The call is there once another one overlaps it.
        pid(&grandchild).await;
        match end {
            "close" => parent.close().await.unwrap(),
            _ => rustix::process::kill_process(
                rustix::process::Pid::from_raw(first.cast_signed()).unwrap(),
                rustix::process::Signal::KILL,
            )
            .unwrap(),
        }
        let error =
            timeout(PATIENCE, under_way).await.expect("it ends with the parent").unwrap().unwrap_err();
        assert!(error.report().contains("outer: "), "{end}: {}", error.report());
        processes::wait_until_gone([first, second, third], PATIENCE).unwrap();
    }
    assert_eq!(parent_pid(&grandchild).await, pid(&child).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_a_child_leaves_the_parent_alone() {
    let parent = outer();
    let first = pid(&parent).await;
    let scratch = Scratch::new();
    let canary = canary("stubborn");
    // Whoever neither takes notice of the end of stdin nor of SIGTERM.
    let text = format!(
        "trap '' TERM\n{} -c 'import time; time.sleep(1000)' {canary} &\nwhile :; do sleep 1; done",
        python3().path().display()
    );
    let stubborn = script(&scratch, "stubborn", &text);
    let driver = Command::new(stubborn).name("stubborn").arg("python3").via(&parent);
    let config =
        quiet().close_timeout(Duration::from_millis(100)).handshake_timeout(Duration::from_millis(500));
    let child = Tunnel::with_config(driver, config);
    let error = child.connect().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    wait_until_none(&canary);
    // One that is dropped in the middle of a call.
    let child = through(&parent, "child");
    let second = pid(&child).await;
    drop(timeout(Duration::from_millis(50), child.call::<()>("time:sleep", (1000,))).await);
    drop(child);
    processes::wait_until_gone([second], PATIENCE).unwrap();
    assert_eq!(pid(&parent).await, first);
    assert!(eventually(PATIENCE, || processes::children_of(first).is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_call_is_cancelled_there() {
    let parent = outer();
    let child = through(&parent, "child");
    let canary = canary("cancel");
    let argv = [python3().path().to_str().unwrap(), "-c", "import time; time.sleep(1000)", &canary];
    let call = child.call::<i32>("subprocess:call", (argv,));
    tokio::select! {
        ended = call => panic!("{ended:?}"),
        () = async { tokio::task::spawn_blocking({ let canary = canary.clone(); move || wait_for(&canary, 1) }).await.unwrap() } => {}
    }
    wait_until_none(&canary);
    pid(&child).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stderr_has_the_name_of_the_tunnel_that_it_comes_from() {
    let seen = Arc::new(Mutex::new(HashMap::<String, String>::new()));
    let config = TunnelConfig::default().stderr(Stderr::callback({
        let seen = seen.clone();
        move |host, line| {
            seen.lock().unwrap().entry(host.to_owned()).or_default().push_str(&String::from_utf8_lossy(line));
        }
    }));
    let parent = Tunnel::with_config(Local::new().name("outer").python(python3().path()), config.clone());
    let child = Tunnel::with_config(Local::new().name("inner").python(python3().path()).via(&parent), config);
    let write = Function::source("import os\ndef f(text):\n os.write(2, text.encode() * 100 + b'\\n')", "f");
    for (tunnel, text) in [(&parent, "a"), (&child, "b")] {
        tunnel.call::<()>(write.clone(), (text,)).await.unwrap();
    }
    // What was written last comes with the end.
    child.close().await.unwrap();
    parent.close().await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!((seen["outer"].as_str(), seen["inner"].as_str()), (&*"a".repeat(100), &*"b".repeat(100)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_on_stderr_holds_up_nobody() {
    let parent = outer();
    let child = through(&parent, "child");
    let flood = Function::source(
        "import os\ndef f(): return sum(os.write(2, b'x' * 65536) for _ in range(800))",
        "f",
    );
    let flooding = child.call::<u64>(flood, ());
    let (written, other) = tokio::join!(flooding, parent.call::<u32>("os:getpid", ()));
    assert_eq!(written.unwrap(), 65536 * 800);
    other.unwrap();
}

/// Starts its program by itself.
#[derive(Debug)]
struct Selfish;

#[chopsticks::async_trait]
impl Driver for Selfish {
    fn host(&self) -> HostName {
        HostName::lossy("selfish")
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let argv = agent.argv(&Interpreter::from(python3().path()));
        let mut command = tokio::process::Command::new(&argv[0]);
        command.args(&argv[1..]);
        Link::spawn(command)
    }
}

/// Starts its program in a folder.
#[derive(Debug)]
struct Elsewhere(&'static str);

#[chopsticks::async_trait]
impl Driver for Elsewhere {
    fn host(&self) -> HostName {
        HostName::lossy("child")
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let argv = agent.argv(&Interpreter::from(python3().path()));
        let mut command = tokio::process::Command::new(&argv[0]);
        command.args(&argv[1..]).current_dir(self.0);
        agent.spawn(command).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn driver_that_starts_programs_by_itself_is_refused() {
    let tunnel = Tunnel::with_config(Selfish.via(&outer()), quiet());
    let error = tunnel.connect().await.unwrap_err();
    assert_eq!(error.phase(), Phase::Spawn);
    assert!(error.report().contains("`AgentCommand::spawn`"), "{}", error.report());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_through_one_target_share_its_tunnel_while_they_need_it() {
    let python = python3().path().display();
    let text = |last: &str| format!("local?python={python}/{last}?python={python}");
    let both = [text("local:"), format!("b=local?python={python}/exec:nice {python}")];
    let targets: Vec<Target> = both.iter().map(|text| text.parse().unwrap()).collect();
    let tunnels = Target::tunnels(&targets, &quiet());
    assert_eq!(tunnels[0].host().as_str(), "localhost/localhost");
    assert_eq!(tunnels[1].host().as_str(), "b");
    let parents = [parent_pid(&tunnels[0]).await, parent_pid(&tunnels[1]).await];
    assert_eq!(parents[0], parents[1]);
    tunnels[0].close().await.unwrap();
    assert_eq!(parent_pid(&tunnels[1]).await, parents[0]);
    tunnels[1].close().await.unwrap();
    processes::wait_until_gone(parents, PATIENCE).unwrap();
    // The next use makes another.
    assert_ne!(parent_pid(&tunnels[0]).await, parents[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_shared_by_all_that_wait() -> Result<(), Error> {
    let parent = outer();
    let child =
        Tunnel::with_config(Local::new().name("child").python("/nowhere/python3").via(&parent), quiet());
    let calls = (0..10).map(|_| child.call::<u32>("os:getpid", ()));
    for result in futures::future::join_all(calls).await {
        assert!(matches!(result.unwrap_err().kind(), ErrorKind::Spawn { .. }));
    }
    parent.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_at_the_end_of_a_chain_is_at_the_first_depth_and_knows_the_whole_path() {
    let scratch = Scratch::new();
    scratch.write(
        "deeper.py",
        "from chopsticks.tunnel import Local\ndef go(names):\n  if not names: return 0\n  \
         with Local(names[0]) as tunnel: return 1 + tunnel.call(go, names[1:])\n",
    );
    let config = quiet().modules(chopsticks::Codebase::folder(scratch.path()));
    for interpreter in newest_and_oldest() {
        let first = chopsticks_e2e::tunnel(interpreter);
        let driver = local(interpreter).name("second").via(&first);
        let second = Tunnel::with_config(driver, config.clone());
        assert_eq!(second.call::<u32>("deeper:go", (["a"],)).await.unwrap(), 1, "{interpreter}");
        let error = second.call::<u32>("deeper:go", (["a", "b"],)).await.unwrap_err().report();
        let path = format!("{} -> second -> a -> b", first.host());
        assert!(error.contains("DepthLimitExceeded") && error.contains(&path), "{error}");
        first.close().await.unwrap();
    }
}

#[test]
fn tunnel_whose_runtime_ended_while_it_connected_connects_on_another() {
    let scratch = Scratch::new();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let text = format!(
        "mkdir {}/once && exec sleep 1000; exec {} \"$@\"",
        scratch.path().display(),
        python3().path().display()
    );
    let parent =
        Tunnel::with_config(Local::new().name("outer").python(script(&scratch, "first", &text)), quiet());
    let child = through(&parent, "child");
    let first = runtime();
    first
        .block_on(async { timeout(Duration::from_millis(100), child.connect()).await })
        .expect_err("the parent hangs");
    drop(first);
    let second = runtime();
    second.block_on(async { timeout(PATIENCE, pid(&child)).await }).unwrap();
    second.block_on(parent.close()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_that_a_call_forks_keeps_no_child_from_ending() {
    let fork = Function::source(
        "import os, time\ndef f():\n if not os.fork():\n  time.sleep(1000)\n  os._exit(0)",
        "f",
    );
    for interpreter in newest_and_oldest() {
        let parent = chopsticks_e2e::tunnel(interpreter);
        let child = through(&parent, "child");
        pid(&child).await;
        parent.call::<()>(fork.clone(), ()).await.unwrap();
        // Otherwise it would be killed, after 5 seconds.
        child.close().await.unwrap();
        parent.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_process_of_a_chain_can_be_killed_at_any_moment() {
    let scratch = Scratch::new();
    // Whatever is left of it has its path among its arguments.
    let python = scratch.path().join("python");
    std::os::unix::fs::symlink(python3().path(), &python).unwrap();
    let local = |name: &str| Local::new().name(name).python(&python);
    let first = Tunnel::with_config(local("first"), quiet());
    let second = Tunnel::with_config(local("second").via(&first), quiet());
    let third = Tunnel::with_config(local("third").via(&second), quiet());
    let (path, large) = (scratch.path().join("file"), scratch.path().join("large"));
    std::fs::File::create(&large).unwrap().set_len(1 << 30).unwrap();
    for round in 0..24_u32 {
        let chain = [&first, &second, &third];
        let victim = pid(chain[round as usize % 3]).await;
        pid(&third).await;
        let (tunnel, path, large) = (third.clone(), path.clone(), large.clone());
        let under_way = tokio::spawn(async move {
            match round / 3 % 4 {
                0 => tunnel.call::<()>("time:sleep", (1000,)).await,
                1 => tunnel.put_with(Put::bytes(vec![0; 50_000_000]).to(path)).await.map(drop),
                2 => tunnel.fetch(large, path).await.map(drop),
                _ => tunnel.close().await,
            }
        });
        tokio::time::sleep(Duration::from_millis(u64::from(round * 7 % 30))).await;
        let victim = rustix::process::Pid::from_raw(victim.cast_signed()).unwrap();
        // One that was closed may be gone.
        let _ = rustix::process::kill_process(victim, rustix::process::Signal::KILL);
        if let Err(error) = timeout(PATIENCE, under_way).await.expect("it ends").unwrap() {
            assert!(error.report().starts_with("third: "), "{}", error.report());
        }
        // What ended a moment ago may not have been noticed.
        let again = async { while third.call::<u32>("os:getpid", ()).await.is_err() {} };
        timeout(PATIENCE, again).await.expect("it connects again");
    }
    for tunnel in [third, second, first] {
        tunnel.close().await.unwrap();
    }
    wait_until_none(python.to_str().unwrap());
}
