//! How a connection begins, and how it is told that it does not.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use chopsticks::{Command, Error, ErrorKind, Hint, Local, Phase, Stderr, Tunnel, TunnelConfig};
use chopsticks_support::{Scratch, interpreters, python3};

/// Long enough for any start on a busy machine, so that what it ends has hung.
const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> TunnelConfig {
    TunnelConfig::default().stderr(Stderr::off())
}

/// Makes an executable that `sh` runs; `$PYTHON` is a real interpreter.
fn program(scratch: &Scratch, text: &str) -> PathBuf {
    let text = text.replace("$PYTHON", &python3().path().display().to_string());
    let path = scratch.write("python", format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .expect("a file of ours can be made executable");
    path
}

async fn pid_by(text: &str, config: TunnelConfig) -> Result<u32, Error> {
    let scratch = Scratch::new();
    let tunnel = Tunnel::with_config(Local::new().name("web1").python(program(&scratch, text)), config);
    let pid =
        tokio::time::timeout(PATIENCE, tunnel.call("os:getpid", ())).await.expect("the call has a deadline");
    tunnel.close().await?;
    pid
}

async fn failure_of(text: &str) -> Error {
    let error = pid_by(text, config().handshake_timeout(PATIENCE)).await.expect_err(text);
    assert_eq!(error.host().as_str(), "web1");
    error
}

#[tokio::test]
async fn every_interpreter_found_answers_and_says_what_it_is() {
    for interpreter in interpreters() {
        let tunnel = Tunnel::with_config(Local::new().python(interpreter.path()), config());
        let agent =
            tunnel.connect().await.unwrap_or_else(|error| panic!("{interpreter:?}: {}", error.report()));
        assert_eq!(agent.python, Some(interpreter.version()), "{interpreter:?}");
        assert_eq!(tunnel.call::<u32>("os:getpid", ()).await.unwrap(), agent.pid);
        assert!(!agent.hostname.is_empty() && !agent.platform.is_empty());
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn missing_interpreter_is_named() {
    let tunnel = Tunnel::with_config(Local::new().python("/nowhere/python3"), config());
    let error = tunnel.call::<u32>("os:getpid", ()).await.unwrap_err();
    assert_eq!(error.phase(), Phase::Spawn);
    assert_eq!(
        error.report(),
        "localhost: spawn: cannot start /nowhere/python3: No such file or directory (os error 2) \
         (the program does not exist here: install it, or give its path)"
    );
}

#[tokio::test]
async fn program_that_ends_at_once_is_told_with_status_and_stderr() {
    let error = failure_of("echo 'no python here' >&2; exit 3").await;
    assert_eq!(error.phase(), Phase::Handshake);
    assert_eq!(error.report(), "web1: handshake: no agent answered, exit status 3: no python here");
    let error = failure_of("exit 0").await;
    assert!(error.report().starts_with("web1: handshake: no agent answered, exit status 0 ("), "{error}");
    assert_eq!(error.hint().unwrap().cause(), "not-run");
}

#[tokio::test]
async fn program_that_is_no_python_is_told_with_what_it_printed() {
    let error = failure_of("echo \"$@\" | cut -c1-9").await;
    assert!(error.report().contains(r#"stdout began with "-s -S -E"#), "{}", error.report());
    for program in ["/bin/true", "/bin/cat"] {
        let tunnel = Tunnel::with_config(Local::new().python(program), config().handshake_timeout(PATIENCE));
        let error = tunnel.call::<u32>("os:getpid", ()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoAgent { status: Some(_), .. }), "{}", error.report());
    }
}

#[tokio::test]
async fn interpreter_that_crashes_is_told_with_the_end_of_its_traceback() {
    let error = failure_of("exec $PYTHON -c 'raise SyntaxError(\"too old for this\")'").await;
    let ErrorKind::NoAgent { stderr, .. } = error.kind() else { panic!("{}", error.report()) };
    assert!(stderr.contains("Traceback"), "{stderr}");
    assert_eq!(
        error.report(),
        "web1: handshake: no agent answered, exit status 1: SyntaxError: too old for this"
    );
    let error = failure_of("kill -SEGV $$").await;
    assert!(error.report().contains("signal 11"), "{}", error.report());
}

#[tokio::test]
async fn text_before_the_agent_is_skipped() {
    for noise in [
        "echo in .bash_profile",
        "head -c 10240 /dev/zero | tr '\\0' 'x'",
        "head -c 4096 /dev/urandom",
        "printf '\\0\\0\\0\\5\\0\\0\\0\\2\\3\\2'",
    ] {
        let pid = pid_by(&format!("{noise}; exec $PYTHON \"$@\""), config()).await;
        assert!(pid.is_ok(), "{noise}: {}", pid.unwrap_err().report());
    }
}

#[tokio::test]
async fn endless_noise_is_bounded_and_named() {
    let error = failure_of("exec yes garbage").await;
    assert_eq!(error.phase(), Phase::Handshake);
    assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{}", error.report());
    assert!(error.report().contains(r#"stdout began with "garbage"#), "{}", error.report());
}

#[tokio::test]
async fn silence_ends_with_the_deadline_of_the_handshake() {
    let config = config().handshake_timeout(Duration::from_millis(300));
    let error = pid_by("echo hello; echo waiting >&2; exec sleep 1000", config).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(
        error.report(),
        r#"web1: handshake: timed out after 300ms: waiting; stdout began with "hello""#
    );
}

#[tokio::test]
async fn agent_that_breaks_the_protocol_is_named() {
    // It finds the nonce behind the packed agent and START's header, and answers with nonsense.
    let size = chopsticks::agent::PACKED.len() + 10 + 2;
    let text = format!(
        "exec $PYTHON -c 'import os,sys,time
b = b\"\"
while len(b) < {size} + 16: b += os.read(0, {size} + 16 - len(b))
os.write(1, b[-16:] + b\"\\xff\" * 10)
time.sleep(1000)'"
    );
    let error = failure_of(&text).await;
    assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{}", error.report());
}

#[tokio::test]
async fn codebase_that_is_not_there_fails_the_call_and_is_named() {
    let config = config().modules(chopsticks::Codebase::folder("/nowhere/code"));
    let tunnel = Tunnel::with_config(Local::new().python(python3().path()), config);
    let error = tunnel.call::<u32>("os:getpid", ()).await.unwrap_err();
    assert!(error.report().contains("/nowhere/code"), "{}", error.report());
}

#[tokio::test]
async fn folder_environment_and_path_are_the_agents_own() {
    let scratch = Scratch::new();
    scratch.write("lib/there.py", "ANSWER = 42\ndef answer(): return ANSWER\n");
    let driver =
        Local::new().python(python3().path()).current_dir(scratch.path()).env("CHOPSTICKS_TEST", "ü 1");
    let lib = scratch.path().join("lib").display().to_string();
    let tunnel = Tunnel::with_config(driver, config().python_path(lib));
    let folder: PathBuf = tunnel.call("os:getcwd", ()).await.unwrap();
    assert_eq!(folder.canonicalize().unwrap(), scratch.path().canonicalize().unwrap());
    assert_eq!(tunnel.call::<String>("os:getenv", ("CHOPSTICKS_TEST",)).await.unwrap(), "ü 1");
    assert_eq!(tunnel.call::<u32>("there:answer", ()).await.unwrap(), 42);
    let missing = Local::new().python(python3().path()).current_dir("/nowhere");
    let error = Tunnel::with_config(missing, config()).connect().await.unwrap_err();
    assert!(error.report().contains("the working directory /nowhere is not a folder"), "{}", error.report());
}

#[tokio::test]
async fn deadline_of_the_handshake_is_not_told_a_second_late() {
    let config = config().handshake_timeout(Duration::from_millis(300));
    let mut took = Vec::new();
    // A busy machine may be late often, but not each time by that very second.
    while !took.iter().any(|took| *took < Duration::from_secs(1)) {
        let hanging = Command::new("sh").args(["-c", "exec sleep 600"]);
        let started = Instant::now();
        let error = Tunnel::with_config(hanging, config.clone()).connect().await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        took.push(started.elapsed());
        assert!(took.len() < 30, "{took:?}");
    }
}

#[tokio::test]
async fn missing_folder_has_the_cause_that_the_docs_promise_with_local_too() {
    let missing = Local::new().python(python3().path()).current_dir("/nowhere");
    let error = Tunnel::with_config(missing, config()).connect().await.unwrap_err();
    assert_eq!(error.hint().map(Hint::cause), Some("folder-missing"));
}

#[tokio::test]
async fn site_packages_are_there_only_if_asked_for() {
    let sites = |config| async move {
        let tunnel = Tunnel::with_config(Local::new().python(python3().path()), config);
        tunnel.call::<bool>("builtins:eval", ("'site' in __import__('sys').modules",)).await.unwrap()
    };
    assert!(!sites(config()).await);
    assert!(sites(config().with_site_packages()).await);
}

#[tokio::test]
async fn variables_of_python_do_not_change_the_agent() {
    let scratch = Scratch::new();
    scratch.write("json.py", "def dumps(value):\n    return 'mine'\n");
    let folder = scratch.path().to_str().expect("scratch folders have plain names");
    for interpreter in interpreters() {
        let driver = || Local::new().python(interpreter.path());
        let tunnel = Tunnel::with_config(driver().env("PYTHONPATH", folder), config());
        assert_eq!(tunnel.call::<String>("json:dumps", (1,)).await.unwrap(), "1", "{interpreter}");
        let inherited: String = tunnel.call("os:getenv", ("PYTHONPATH",)).await.unwrap();
        assert_eq!(inherited, folder, "{interpreter}");
        tunnel.close().await.unwrap();
    }
}
