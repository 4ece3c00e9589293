//! Drivers with programs of our own in place of `ssh` and `docker`: what these are given, and what follows when they fail.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use chopsticks_support::{Scratch, eventually, processes, python3};
use chopsticks_tunnel::{
    Call, Command, Docker, ErrorKind, Function, Hint, Local, Phase, Ssh, Stderr, Target, Tunnel, TunnelConfig,
};

/// Long enough for any start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> TunnelConfig {
    TunnelConfig::default().stderr(Stderr::off())
}

/// Makes an executable that `sh` runs. Its folder is `$DIR`.
fn program(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let text = format!("#!/bin/sh\nDIR={}\n{text}\n", scratch.path().display());
    let path = scratch.write(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .expect("a file of ours can be made executable");
    path
}

/// An `ssh` that does what `before` says, and then runs the command here.
fn ssh(scratch: &Scratch, before: &str) -> Ssh {
    let text = format!(
        "if [ \"$1\" = -V ]; then echo 'OpenSSH_9.2p1, OpenSSL 3' >&2; exit; fi\n\
         for argument; do last=$argument; echo \"$argument\" >>$DIR/arguments; done\n{before}\nexec sh -c \"$last\""
    );
    Ssh::new("web1").program(program(scratch, "ssh", &text)).python(python3().path())
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn ssh_is_never_asked_for_a_terminal_or_a_password() {
    let scratch = Scratch::new();
    let ssh = ssh(&scratch, "echo ${SSH_ASKPASS-unset} $SSH_ASKPASS_REQUIRE >$DIR/askpass")
        .user("admin")
        .port(2222)
        .jump("bastion")
        .identity_file("/key")
        .config_file("/config")
        .option("StrictHostKeyChecking=yes")
        .args(["-v"])
        .connect_timeout(Duration::from_secs(7));
    let tunnel = Tunnel::with_config(ssh, config());
    assert_eq!(tunnel.host().as_str(), "web1");
    tunnel.connect().await.unwrap();
    tunnel.close().await.unwrap();
    assert_eq!(lines(&scratch.path().join("askpass")), ["unset never"]);

    let arguments = lines(&scratch.path().join("arguments"));
    let line = arguments.join(" ");
    let expected =
        "-T -x -F /config -i /key -l admin -p 2222 -J bastion -o StrictHostKeyChecking=yes -o BatchMode=yes";
    assert!(line.starts_with(expected), "{line}");
    for option in [
        "ControlMaster=no",
        "ClearAllForwardings=yes",
        "RemoteCommand=none",
        "StdinNull=no",
        "ConnectTimeout=7",
        "ServerAliveInterval=15",
    ] {
        assert!(arguments.iter().any(|argument| argument == option), "{option} in {line}");
    }
    let [.., verbose, end, host, command] = &arguments[..] else { panic!("{line}") };
    assert_eq!([verbose, end, host], ["-v", "--", "web1"]);
    assert!(command.starts_with(&format!("exec {} -s -S -E -c '", python3().path().display())), "{command}");
}

#[tokio::test]
async fn ssh_runs_sudo_over_there_without_a_password() {
    let scratch = Scratch::new();
    let ssh = ssh(&scratch, "echo 'sudo: a password is required' >&2; exit 1").sudo_user("it's me");
    let error = Tunnel::with_config(ssh, config()).connect().await.unwrap_err();
    assert_eq!(error.hint().map(Hint::cause), Some("sudo-password"));
    let arguments = lines(&scratch.path().join("arguments"));
    let command = arguments.last().unwrap();
    let expected = r"exec sudo --non-interactive --set-home -u 'it'\''s me' -- ";
    assert!(command.starts_with(expected), "{command}");
}

#[tokio::test]
async fn old_ssh_is_not_given_options_that_it_does_not_know() {
    let scratch = Scratch::new();
    let text = "if [ \"$1\" = -V ]; then echo OpenSSH_7.4p1 >&2; exit; fi; echo \"$@\" >$DIR/arguments";
    let ssh = Ssh::new("web1").program(program(&scratch, "old-ssh", text));
    Tunnel::with_config(ssh, config()).connect().await.unwrap_err();
    let line = lines(&scratch.path().join("arguments")).join(" ");
    assert!(
        line.contains("BatchMode=yes") && !line.contains("StdinNull") && !line.contains("SessionType"),
        "{line}"
    );
}

/// What is shown of what an `ssh` says whose configuration has this level, and the error if it then fails.
async fn shown_at(level: &str, then: &str) -> (Vec<String>, Option<String>) {
    let scratch = Scratch::new();
    let before = format!(
        "if [ \"$1\" = -G ]; then echo 'user me'; echo 'loglevel {level}'; exit; fi\n\
         echo 'Warning: Permanently added' >&2; echo banner >&2; {then}"
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Stderr::callback({
        let seen = seen.clone();
        move |_, line| seen.lock().expect("nobody panics").push(String::from_utf8_lossy(line).into_owned())
    });
    let tunnel = Tunnel::with_config(ssh(&scratch, &before), TunnelConfig::default().stderr(sink));
    let text = "def f():\n    import os; os.write(2, b'user\\n')";
    let error = tunnel.call::<()>(Function::source(text, "f"), ()).await.err().map(|error| error.report());
    let _ = tunnel.close().await;
    let arguments = lines(&scratch.path().join("arguments"));
    assert!(arguments.iter().any(|argument| argument == "LogLevel=INFO"), "{arguments:?}");
    let seen = seen.lock().expect("nobody panics").clone();
    (seen, error)
}

#[tokio::test]
async fn what_the_level_of_the_user_hides_is_not_shown_but_explains_a_failure() {
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert_eq!(shown_at("INFO", "").await, (owned(&["Warning: Permanently added", "banner", "user"]), None));
    assert_eq!(shown_at("ERROR", "").await, (owned(&["user"]), None));
    for (level, count) in [("INFO", 3), ("QUIET", 0)] {
        let (seen, error) = shown_at(level, "echo 'it is broken' >&2; exit 255").await;
        assert_eq!(seen.len(), count, "{level}: {seen:?}");
        assert!(error.as_ref().is_some_and(|error| error.contains("it is broken")), "{level}: {error:?}");
    }
}

/// What ssh prints when a server with too many connections drops one.
const REFUSED: &str = "echo 'kex_exchange_identification: read: Connection reset by peer' >&2; \
                       echo 'Connection reset by 127.0.0.1 port 22' >&2; exit 255";

#[tokio::test]
async fn deadline_after_a_refusal_tells_of_that() {
    let scratch = Scratch::new();
    let text = format!("if mkdir $DIR/first 2>/dev/null; then {REFUSED}; fi; exec sleep 1000");
    let config = config().handshake_timeout(Duration::from_secs(2));
    let error = Tunnel::with_config(ssh(&scratch, &text), config).connect().await.unwrap_err();
    assert!(error.is_timeout(), "{}", error.report());
    assert!(error.report().contains("timed out after 2s: kex_exchange_identification"), "{}", error.report());
    assert_eq!(error.hint().map(Hint::cause), Some("server-busy"), "{}", error.report());
}

#[tokio::test]
async fn server_that_refuses_for_load_is_tried_again_and_the_call_runs_once() {
    let scratch = Scratch::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Stderr::callback({
        let seen = seen.clone();
        move |_, line| seen.lock().unwrap().push(String::from_utf8_lossy(line).into_owned())
    });
    let ssh =
        ssh(&scratch, &format!("echo >>$DIR/tries; if [ $(wc -l <$DIR/tries) -le 3 ]; then {REFUSED}; fi"));
    let tunnel = Tunnel::with_config(ssh, TunnelConfig::default().stderr(sink));
    let text = "def f(path):\n    with open(path, 'a') as file: file.write('ran\\n')\n    import os; os.write(2, b'seen\\n')";
    let ran = scratch.path().join("ran");
    let call = || tunnel.call::<()>(Function::source(text, "f"), (ran.to_str().unwrap(),));
    let (first, second, third) = tokio::join!(call(), call(), call());
    for result in [first, second, third] {
        result.unwrap();
    }
    tunnel.close().await.unwrap();
    assert_eq!(lines(&scratch.path().join("tries")).len(), 4);
    assert_eq!(lines(&ran).len(), 3);
    assert_eq!(
        *seen.lock().unwrap(),
        ["seen"; 3],
        "refusals are not the user's affair as long as it goes on"
    );
}

#[tokio::test]
async fn server_that_goes_on_refusing_is_told_within_the_deadline() {
    let scratch = Scratch::new();
    let ssh = ssh(&scratch, &format!("echo >>$DIR/tries; {REFUSED}"));
    let tunnel = Tunnel::with_config(ssh, config().handshake_timeout(Duration::from_secs(1)));
    let error = tunnel.call::<()>("os:getpid", ()).await.unwrap_err();
    assert_eq!(error.phase(), Phase::Handshake);
    assert_eq!(error.hint().map(Hint::cause), Some("server-busy"));
    assert!(error.to_string().contains("Connection reset by peer"), "{error}");
    assert!(lines(&scratch.path().join("tries")).len() > 1);
}

#[tokio::test]
async fn connection_that_was_lost_after_the_login_is_not_tried_again() {
    let scratch = Scratch::new();
    let text = format!("echo >>$DIR/tries; sh -c \"$last\"; {REFUSED}");
    let tunnel = Tunnel::with_config(ssh(&scratch, &text), config());
    let error = tunnel.call::<()>("os:_exit", (3,)).await.unwrap_err();
    assert!(error.is_disconnected(), "{error:?}");
    assert_eq!(lines(&scratch.path().join("tries")).len(), 1);
}

#[tokio::test]
async fn closing_does_not_wait_for_the_next_attempt() {
    let scratch = Scratch::new();
    let ssh = ssh(&scratch, &format!("echo >>$DIR/tries; {REFUSED}"));
    let tunnel = Tunnel::with_config(ssh, config());
    let connecting = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.connect().await }
    });
    let tries = scratch.path().join("tries");
    tokio::task::spawn_blocking(move || assert!(eventually(PATIENCE, || lines(&tries).len() > 2)))
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, tunnel.close()).await.unwrap().unwrap();
    assert!(matches!(connecting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed));
}

/// A `docker` that notes what it is asked for, and runs the interpreter here.
fn docker(scratch: &Scratch, run: &str) -> Docker {
    let text = format!(
        "echo \"$@\" >>$DIR/asked\n\
         case $1 in\n\
         ps) cat $DIR/found 2>/dev/null; exit;;\n\
         rm) exit;;\n\
         esac\n\
         while [ \"$1\" != image ]; do shift; done; shift\n{run}\nexec \"$@\""
    );
    Docker::new("box").image("image").program(program(scratch, "docker", &text)).python(python3().path())
}

/// What `docker` was asked for, each by its first word.
fn asked(scratch: &Scratch) -> Vec<String> {
    let first = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    lines(&scratch.path().join("asked")).iter().map(first).collect()
}

#[tokio::test]
async fn container_that_ends_by_itself_needs_no_removal() {
    let scratch = Scratch::new();
    let docker =
        docker(&scratch, "").network("none").volume("/a:/b").user("me").workdir("/w").args(["--memory=1g"]);
    let tunnel = Tunnel::with_config(docker, config());
    tunnel.connect().await.unwrap();
    tunnel.close().await.unwrap();
    assert_eq!(asked(&scratch), ["run"]);
    let line = lines(&scratch.path().join("asked")).join("");
    for part in [
        "run -i --log-driver none --rm --label chopsticks.controller=",
        " --init --name box --network none --user me --workdir /w --volume /a:/b --memory=1g image ",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn container_of_a_killed_client_is_removed() {
    let scratch = Scratch::new();
    scratch.write("found", "4711\n");
    let tunnel = Tunnel::with_config(docker(&scratch, ""), config());
    let error = tunnel.call::<()>("os:kill", (tunnel.connect().await.unwrap().pid, 9)).await.unwrap_err();
    assert!(error.is_disconnected());
    assert_eq!(asked(&scratch), ["run", "ps", "rm"]);
    let asked = lines(&scratch.path().join("asked"));
    assert!(asked[0].contains(asked[1].split("label=").nth(1).unwrap()), "{asked:?}");
    assert_eq!(asked[2], "rm --force 4711");
}

#[tokio::test]
async fn container_of_another_tunnel_with_the_name_is_left_alone() {
    let scratch = Scratch::new();
    let text = "echo 'docker: Error response from daemon: Conflict. The container name \"/box\" is already in use by container \
                \"4711\".' >&2; exit 125";
    let error = Tunnel::with_config(docker(&scratch, text), config()).connect().await.unwrap_err();
    assert_eq!(error.hint().map(Hint::cause), Some("name-in-use"));
    assert!(error.to_string().contains("container name \"/box\" is already in use"), "{error}");
    // It is looked for by the label of this connection, and nothing is found.
    assert_eq!(asked(&scratch), ["run", "ps"]);
}

#[tokio::test]
async fn next_connection_waits_until_the_container_of_the_last_one_is_gone() {
    let scratch = Scratch::new();
    // The engine is slow to remove what has the name.
    let text = "mkdir $DIR/box || { echo 'container name \"/box\" is already in use' >&2; exit 125; }\n\
                \"$@\"; sleep 0.3; rmdir $DIR/box; exit 0";
    let tunnel = Tunnel::with_config(docker(&scratch, text), config());
    tunnel.connect().await.unwrap();
    for _ in 0..3 {
        let (closed, connected) = tokio::join!(tunnel.close(), tunnel.connect());
        closed.unwrap();
        connected.unwrap();
    }
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn name_that_the_engine_has_not_let_go_of_yet_is_waited_for() {
    let scratch = Scratch::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Stderr::callback({
        let seen = seen.clone();
        move |_, line| seen.lock().expect("nobody panics").push(String::from_utf8_lossy(line).into_owned())
    });
    // The container outlives its client, and is asked for a few times before it is gone.
    let text = "echo >>$DIR/tries\n\
                if [ -e $DIR/box ]; then [ $(wc -l <$DIR/tries) -lt 4 ] || rm $DIR/box; \
                echo 'Conflict. The container name \"/box\" is already in use' >&2; exit 125; fi; touch $DIR/box";
    let tunnel = Tunnel::with_config(docker(&scratch, text), TunnelConfig::default().stderr(sink));
    tunnel.connect().await.unwrap();
    tunnel.close().await.unwrap();
    assert_eq!(tunnel.call::<i64>("operator:add", (1, 2)).await.unwrap(), 3);
    tunnel.close().await.unwrap();
    assert_eq!(lines(&scratch.path().join("tries")).len(), 5);
    assert_eq!(*seen.lock().expect("nobody panics"), Vec::<String>::new());
}

#[tokio::test]
async fn interpreter_is_looked_for_where_wrappers_do_not_run() {
    let scratch = Scratch::new();
    program(&scratch, "python3", "echo 'no version is set' >&2; exit 127");
    let python = python3().path().display().to_string();
    program(&scratch, "python3.29", &format!("exec {python} \"$@\""));
    program(&scratch, "sh", "exec /bin/sh \"$@\"");
    let local = Local::new().python("auto").env("PATH", scratch.path());
    let agent = Tunnel::with_config(local, config()).connect().await.unwrap();
    assert_eq!(agent.python, Some(python3().version()));
}

#[tokio::test]
async fn command_runs_an_interpreter_by_a_vector_or_by_a_line_of_shell() {
    let python = python3().path();
    for command in [
        Command::new("env").arg("X=1").python(python),
        Command::new("env").arg("X=1").arg(python),
        Command::new("env").args(["X=1", "sh", "-c", "{}"]).python(python),
    ] {
        let tunnel = Tunnel::with_config(command.name("any"), config());
        assert_eq!(tunnel.call::<String>("os:getenv", ("X",)).await.unwrap(), "1");
        tunnel.close().await.unwrap();
    }
    let target: Target = format!("any=exec:env X='a b' {}", python.display()).parse().unwrap();
    assert_eq!(target.tunnel(config()).call::<String>("os:getenv", ("X",)).await.unwrap(), "a b");
}

#[tokio::test]
async fn folder_and_environment_are_there_before_a_function_runs() {
    let folder = Scratch::new();
    let command = Command::new("env").arg(python3().path()).current_dir(folder.path().to_str().unwrap());
    let general = config().env("A", "general").env("B", "general");
    let tunnel = Tunnel::with_config(command.env("A", "gr\u{fc}n"), general);
    let text = "import os\ndef f(): return [os.getcwd(), os.environ['A'], os.environ['B']]";
    let found: Vec<String> =
        tunnel.call_with(Call::new(Function::source(text, "f"))).await.unwrap().decode().unwrap();
    assert_eq!(Path::new(&found[0]), folder.path().canonicalize().unwrap());
    assert_eq!(found[1..], ["gr\u{fc}n", "general"]);

    let gone = Command::new("env").arg(python3().path()).current_dir("/nowhere/at/all");
    let error = Tunnel::with_config(gone, config()).connect().await.unwrap_err();
    assert_eq!(error.hint().map(Hint::cause), Some("folder-missing"), "{error:?}");
}

/// `su` and `sudo` stop themselves when what they run is stopped, and nobody would continue them.
#[tokio::test]
async fn wrapper_that_stops_with_its_child_is_not_left_behind() {
    let scratch = Scratch::new();
    let wrapper = "import os, signal, sys\n\
                   pid = os.fork()\n\
                   if not pid: os.execv(sys.argv[1], sys.argv[1:])\n\
                   while 1:\n    \
                   status = os.waitpid(pid, os.WUNTRACED)[1]\n    \
                   if not os.WIFSTOPPED(status): sys.exit(os.WIFSIGNALED(status))\n    \
                   open(sys.argv[0] + '.stopped', 'w').close()\n    \
                   os.kill(os.getpid(), signal.SIGSTOP)\n    \
                   os.kill(pid, signal.SIGCONT)\n";
    let wrapper = scratch.write("wrapper.py", wrapper);
    let command = Command::new(python3().path()).arg(&wrapper).python(python3().path());
    let tunnel = Tunnel::with_config(command, config());
    let begun = scratch.path().join("begun");
    let text = "def f(path):\n    import subprocess, time\n    subprocess.Popen(['sleep', '600'])\n    \
                open(path, 'w').close()\n    time.sleep(600)";
    let calling = tokio::spawn({
        let (tunnel, begun) = (tunnel.clone(), begun.to_str().unwrap().to_owned());
        async move { tunnel.call::<()>(Function::source(text, "f"), (begun,)).await }
    });
    tokio::task::spawn_blocking(move || assert!(eventually(PATIENCE, || begun.exists()))).await.unwrap();
    tunnel.close().await.unwrap();
    calling.await.unwrap().unwrap_err();
    assert!(!scratch.path().join("wrapper.py.stopped").exists(), "the agent was stopped");
}

#[test]
fn tunnel_is_read_from_a_target() {
    assert_eq!("ssh://root@web3:2222".parse::<Tunnel>().unwrap().host(), "root@web3:2222");
    let error = "foo://bar".parse::<Tunnel>().unwrap_err();
    assert!(error.to_string().contains("`foo://` is not known"), "{error}");
}

#[tokio::test]
async fn nothing_is_left_of_a_hundred_failures() {
    let scratch = Scratch::new();
    let mark = scratch.path().display().to_string();
    let before = processes::open_descriptors();
    for _ in 0..100 {
        let ssh = ssh(&scratch, "echo 'Host key verification failed.' >&2; exit 255");
        Tunnel::with_config(ssh, config()).connect().await.unwrap_err();
    }
    assert_eq!(processes::with_argument(&mark), [0_u32; 0]);
    assert!(eventually(PATIENCE, || processes::open_descriptors() <= before + 2), "descriptors are left");
}

#[tokio::test]
async fn flood_of_short_lines_in_place_of_an_answer_is_told_at_once() {
    let scratch = Scratch::new();
    let flood = Command::new(program(&scratch, "flood", "exec yes")).name("flood").arg("python3");
    let error = Tunnel::with_config(flood, config().handshake_timeout(PATIENCE)).connect().await.unwrap_err();
    assert!(error.report().contains("began with \"y"), "{}", error.report());
}
