//! Secrets for programs that ask: with programs of our own in place of `ssh` and `sudo`, which note what they are given.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chopsticks_support::{Scratch, eventually, processes, python3};
use chopsticks_tunnel::{
    AuditRecord, Error, Hint, Secret, SecretKind, Secrets, Ssh, Stderr, Sudo, Tunnel, TunnelConfig,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The prompt of ssh itself.
const PASSWORD: &str = "me@web1's password: ";

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

/// An `ssh` that does what `before` says, and then runs the command here. `ask PROMPT` asks like ssh, and notes the answer.
fn ssh_program(scratch: &Scratch, before: &str) -> PathBuf {
    let text = format!(
        "if [ \"$1\" = -V ]; then echo 'OpenSSH_9.2p1, OpenSSL 3' >&2; exit; fi\n\
         for argument; do last=$argument; echo \"$argument\" >>$DIR/arguments; done\n\
         ask() {{ \"$SSH_ASKPASS\" \"$1\" >>$DIR/answers; }}\n{before}\nexec sh -c \"$last\""
    );
    program(scratch, "ssh", &text)
}

fn ssh(scratch: &Scratch, before: &str) -> Ssh {
    Ssh::new("web1").program(ssh_program(scratch, before)).python(python3().path())
}

/// A `sudo` that does what `before` says, and then runs the command. `prompt` asks like sudo, and `take` reads an answer.
fn sudo(scratch: &Scratch, before: &str) -> Sudo {
    let text = format!(
        "echo \"$@\" >>$DIR/arguments\n[ \"$1\" = -S ] && p=$3\n\
         prompt() {{ printf %s \"$p\" >&2; }}\ntake() {{ IFS= read -r answer && echo \"$answer\" >>$DIR/answers; }}\n{before}\n\
         while [ \"$1\" != -- ]; do shift; done; shift\nexec \"$@\""
    );
    Sudo::new("root").program(program(scratch, "sudo", &text)).python(python3().path())
}

fn answers(scratch: &Scratch) -> Vec<String> {
    let text = fs::read_to_string(scratch.path().join("answers")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn works(tunnel: &Tunnel) {
    let sum = tunnel.call::<i64>("operator:add", (1, 2)).await;
    assert_eq!(sum.unwrap_or_else(|error| panic!("{}", error.report())), 3);
}

async fn failure(tunnel: &Tunnel) -> Error {
    tunnel.connect().await.expect_err("the login fails")
}

fn cause(error: &Error) -> Option<&str> {
    error.hint().map(Hint::cause)
}

#[tokio::test]
async fn ssh_that_asks_for_the_password_gets_it_and_the_agent_the_rest() {
    let scratch = Scratch::new();
    let ssh = ssh(&scratch, &format!("ask \"{PASSWORD}\"")).password(Secret::new("one '\\ $two%s"));
    let tunnel = Tunnel::with_config(ssh, config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), ["one '\\ $two%s"]);
    let arguments = fs::read_to_string(scratch.path().join("arguments")).unwrap();
    assert!(arguments.contains("BatchMode=no\n-o\nNumberOfPasswordPrompts=1\n"), "{arguments}");
}

#[tokio::test]
async fn ssh_that_does_not_ask_gets_nothing() {
    let scratch = Scratch::new();
    let tunnel = Tunnel::with_config(ssh(&scratch, "").password(Secret::new("hush")), config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), [""; 0]);
}

#[tokio::test]
async fn password_that_is_refused_is_one_error_and_is_not_sent_again() {
    let scratch = Scratch::new();
    let before = format!("ask \"{PASSWORD}\"\nask \"{PASSWORD}\"");
    let tunnel = Tunnel::with_config(ssh(&scratch, &before).password(Secret::new("wrong")), config());
    let error = failure(&tunnel).await;
    assert_eq!(cause(&error), Some("password-wrong"), "{}", error.report());
    assert!(error.report().contains("ssh asks again: the password was refused"), "{}", error.report());
    let error = failure(&tunnel).await;
    assert_eq!(cause(&error), Some("password-wrong"), "{}", error.report());
    assert!(error.report().contains("was refused by web1, and is not sent again"), "{}", error.report());
    assert_eq!(answers(&scratch), ["wrong"]);
}

#[tokio::test]
async fn denied_login_says_that_the_password_was_given() {
    let scratch = Scratch::new();
    let before =
        format!("ask \"{PASSWORD}\"\necho 'me@web1: Permission denied (publickey,password).' >&2\nexit 255");
    let tunnel = Tunnel::with_config(ssh(&scratch, &before).password(Secret::new("wrong")), config());
    let error = failure(&tunnel).await;
    assert_eq!(cause(&error), Some("password-wrong"), "{}", error.report());
    failure(&tunnel).await;
    assert_eq!(answers(&scratch), ["wrong"]);
}

#[tokio::test]
async fn other_questions_get_no_secret() {
    for prompt in [
        "(me@web1) Verification code: ",
        "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
        "Enter me@web1's new password: ",
        "Enter PIN for key: ",
        "(me@web1) Enter passphrase for key '/id': ",
    ] {
        let scratch = Scratch::new();
        let before = format!("ask \"{prompt}\" || {{ echo 'Host key verification failed.' >&2; exit 255; }}");
        let ssh = ssh(&scratch, &before).password(Secret::new("hush")).passphrase(Secret::new("hush"));
        let error = failure(&Tunnel::with_config(ssh, config())).await;
        let expected = if prompt.contains("yes/no") { "host-key-unknown" } else { "prompt-unknown" };
        assert_eq!(cause(&error), Some(expected), "{prompt}: {}", error.report());
        assert!(!error.report().contains("hush"), "{}", error.report());
        assert_eq!(answers(&scratch), [""; 0], "{prompt}");
    }
}

#[tokio::test]
async fn text_of_the_host_that_looks_like_a_prompt_gets_nothing() {
    let scratch = Scratch::new();
    let before =
        format!("printf \"{PASSWORD}\"; printf \"{PASSWORD}\" >&2; echo 'chopsticks-asks-0123:' >&2");
    let ssh = ssh(&scratch, &before).password(Secret::new("hush")).sudo_password(Secret::new("hush"));
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let ear = heard.clone();
    let stderr = Stderr::callback(move |_, line| ear.lock().unwrap().extend_from_slice(line));
    let tunnel = Tunnel::with_config(ssh, config().stderr(stderr));
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard.lock().unwrap()), format!("{PASSWORD}chopsticks-asks-0123:"));
}

/// An ssh for a jump host is started by the one that logs in to the host.
#[tokio::test]
async fn jump_host_gets_its_own_password_only() {
    let jump = "sh -c '\"$SSH_ASKPASS\" \"me@jump'\\''s password: \"; echo $? >&2' >>$DIR/answers";
    let before = format!("{jump}\nask \"{PASSWORD}\"");
    let scratch = Scratch::new();
    let ssh_to = |scratch: &Scratch| ssh(scratch, &before).password(Secret::new("inner"));
    let tunnel = Tunnel::with_config(ssh_to(&scratch).jump_password(Secret::new("outer")), config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), ["outer", "inner"]);

    let scratch = Scratch::new();
    let before = format!("{jump}\nexit 255");
    let tunnel = Tunnel::with_config(ssh(&scratch, &before).password(Secret::new("inner")), config());
    let error = failure(&tunnel).await;
    assert_eq!(cause(&error), Some("password-missing"), "{}", error.report());
    assert_eq!(answers(&scratch), [""; 0]);
}

#[tokio::test]
async fn passphrase_opens_keys_and_others_are_skipped() {
    let scratch = Scratch::new();
    let key = |name: &str| format!("Enter passphrase for key '/{name}': ");
    let before = format!("ask \"{}\"; ask \"{}\"", key("a"), key("b"));
    let tunnel = Tunnel::with_config(ssh(&scratch, &before).passphrase(Secret::new("open")), config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), ["open", "open"]);

    // ssh goes on without the key, as it does when nobody answers.
    let scratch = Scratch::new();
    let before = format!("ask \"{}\"; ask \"{PASSWORD}\"", key("a"));
    let tunnel = Tunnel::with_config(ssh(&scratch, &before).password(Secret::new("in")), config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), ["in"]);
}

#[tokio::test]
async fn old_ssh_is_made_to_ask_the_program() {
    let scratch = Scratch::new();
    let text = format!(
        "if [ \"$1\" = -V ]; then echo 'OpenSSH_8.0p1, OpenSSL 1' >&2; exit; fi\nfor argument; do last=$argument; done\n\
         [ -n \"$DISPLAY\" ] || exit 3\nif (: </dev/tty) 2>/dev/null; then exit 4; fi\n\
         \"$SSH_ASKPASS\" \"{PASSWORD}\" >>$DIR/answers\nexec sh -c \"$last\""
    );
    let program = program(&scratch, "ssh", &text);
    let ssh = Ssh::new("web1").program(program).python(python3().path()).password(Secret::new("old"));
    let tunnel = Tunnel::with_config(ssh, config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), ["old"]);
}

#[tokio::test]
async fn sudo_that_asks_gets_one_line_and_the_agent_the_rest() {
    let scratch = Scratch::new();
    // A lecture, and a prompt in two pieces.
    let before = "echo 'Remember your responsibilities.' >&2; printf %s \"${p%??????}\" >&2\n\
                  printf %s \"${p#\"${p%??????}\"}\" >&2; take";
    let tunnel = Tunnel::with_config(sudo(&scratch, before).password(Secret::new("become")), config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), ["become"]);
}

#[tokio::test]
async fn sudo_that_does_not_ask_gets_no_byte_more_than_the_agent() {
    let scratch = Scratch::new();
    let before = "printf 'Password: ' >&2; echo '[sudo] password for me:' >&2";
    let tunnel = Tunnel::with_config(sudo(&scratch, before).password(Secret::new("become")), config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    assert_eq!(answers(&scratch), [""; 0]);
}

#[tokio::test]
async fn sudo_that_asks_twice_gets_one_answer() {
    let scratch = Scratch::new();
    let before = "prompt; take; echo 'Das hat nicht funktioniert.' >&2; prompt\n\
                  if take; then exit 9; fi; echo 'sudo: no password was provided' >&2; exit 1";
    let tunnel = Tunnel::with_config(sudo(&scratch, before).password(Secret::new("wrong")), config());
    for _ in 0..3 {
        let error = failure(&tunnel).await;
        assert_eq!(cause(&error), Some("sudo-password-wrong"), "{}", error.report());
        assert!(error.report().contains("exit status 1"), "{}", error.report());
    }
    assert_eq!(answers(&scratch), ["wrong"]);
}

#[tokio::test]
async fn without_a_password_sudo_is_not_to_ask() {
    let scratch = Scratch::new();
    let tunnel = Tunnel::with_config(sudo(&scratch, ""), config());
    works(&tunnel).await;
    tunnel.close().await.unwrap();
    let arguments = fs::read_to_string(scratch.path().join("arguments")).unwrap();
    assert!(arguments.starts_with("--non-interactive --set-home -u root -- "), "{arguments}");
}

#[tokio::test]
async fn callback_is_asked_once_for_each_host_and_kind() {
    let scratch = Scratch::new();
    let program = ssh_program(&scratch, &format!("ask \"{PASSWORD}\""));
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let secrets = Secrets::callback({
        let asked = asked.clone();
        move |request| {
            asked.lock().unwrap().push(format!("{} {:?} {}", request.host, request.kind, request.prompt));
            Some(Secret::new(format!("of {}", request.host)))
        }
    });
    let config = config().secrets(secrets);
    let tunnels: Vec<_> = ["a", "b", "a", "b"]
        .into_iter()
        .map(|host| {
            let ssh = Ssh::new(host).program(&program).python(python3().path());
            Tunnel::with_config(ssh, config.clone())
        })
        .collect();
    for tunnel in &tunnels {
        works(tunnel).await;
        tunnel.close().await.unwrap();
        works(tunnel).await;
        tunnel.close().await.unwrap();
    }
    assert_eq!(answers(&scratch).len(), 8);
    let prompt = PASSWORD.trim();
    assert_eq!(*asked.lock().unwrap(), [format!("a Password {prompt}"), format!("b Password {prompt}")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_password_for_many_hosts_is_one_failed_login() {
    let scratch = Scratch::new();
    let before = format!("ask \"{PASSWORD}\"\necho 'me@web1: Permission denied (password).' >&2\nexit 255");
    let program = ssh_program(&scratch, &before);
    let config = config().secrets(Secrets::new().with(SecretKind::Password, Secret::new("wrong")));
    let connect = |number: usize| {
        let ssh = Ssh::new(format!("web{number}")).program(&program).python(python3().path());
        let tunnel = Tunnel::with_config(ssh, config.clone());
        tokio::spawn(async move { failure(&tunnel).await })
    };
    let tasks: Vec<_> = (0..12).map(connect).collect();
    for task in tasks {
        let error = task.await.unwrap();
        assert_eq!(cause(&error), Some("password-wrong"), "{}", error.report());
    }
    assert_eq!(answers(&scratch), ["wrong"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_password_for_many_hosts_is_asked_once_and_lets_all_in() {
    let scratch = Scratch::new();
    let program = ssh_program(&scratch, &format!("ask \"{PASSWORD}\""));
    let config = config().secrets(Secrets::new().with(SecretKind::Password, Secret::new("right")));
    let connect = |number: usize| {
        let ssh = Ssh::new(format!("web{number}")).program(&program).python(python3().path());
        let tunnel = Tunnel::with_config(ssh, config.clone());
        tokio::spawn(async move {
            works(&tunnel).await;
            tunnel.close().await.unwrap();
        })
    };
    let tasks: Vec<_> = (0..12).map(connect).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(answers(&scratch), ["right"; 12]);
}

#[tokio::test]
async fn deadline_and_drop_end_a_prompt_that_waits() {
    let scratch = Scratch::new();
    let program = ssh_program(&scratch, &format!("ask \"{PASSWORD}\""));
    let asked = Arc::new(AtomicUsize::new(0));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let count = asked.clone();
    let secrets = Secrets::callback(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let _ = released.lock().unwrap().recv();
        None
    });
    let ssh = || Ssh::new("web1").program(&program).python(python3().path());
    let config = config().secrets(secrets);
    let short = config.clone().handshake_timeout(Duration::from_millis(300));
    let error = failure(&Tunnel::with_config(ssh(), short)).await;
    assert!(error.is_timeout(), "{}", error.report());
    assert!(eventually(PATIENCE, || processes::children().is_empty()));

    let tunnel = Tunnel::with_config(ssh(), config);
    let connecting = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.connect().await }
    });
    while processes::children().is_empty() {
        tokio::task::yield_now().await;
    }
    connecting.abort();
    drop(tunnel);
    while !processes::children().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    drop(release);
}

/// What is known about the secret everywhere but in the memory of this process and of the program that asked.
#[tokio::test]
async fn secret_is_in_no_argument_variable_file_record_message_or_debug() {
    let scratch = Scratch::new();
    let secret = format!("canary-{}-of-all", std::process::id());
    // The secret stays in a variable of the shell, which is not exported.
    let before = format!(
        "answer=$(\"$SSH_ASKPASS\" \"{PASSWORD}\")\n[ -n \"$answer\" ] || exit 7\nls -la \"${{SSH_ASKPASS%/*}}\" >$DIR/list\n\
         echo \"${{SSH_ASKPASS%/*}}\" >$DIR/askpass; cp \"$SSH_ASKPASS\" $DIR/script\n\
         while [ ! -e $DIR/go ]; do sleep 0.01; done"
    );
    let ssh = ssh(&scratch, &before).password(Secret::new(secret.clone()));
    let said: Arc<Mutex<String>> = Arc::default();
    let (ear, pen) = (said.clone(), said.clone());
    let config = TunnelConfig::default()
        .stderr(Stderr::callback(move |_, line| *ear.lock().unwrap() += &String::from_utf8_lossy(line)))
        .audit(move |record: &AuditRecord| *pen.lock().unwrap() += &format!("{record:?}"))
        .secrets(Secrets::new().with(SecretKind::Sudo, Secret::new(secret.clone())));
    *said.lock().unwrap() += &format!("{ssh:?} {config:?} {:?}", Secret::new(secret.clone()));
    let tunnel = Tunnel::with_config(ssh, config);
    *said.lock().unwrap() += &format!("{tunnel:?}");
    let calling = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.call::<i64>("operator:add", (1, 2)).await }
    });
    while !scratch.path().join("script").exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(processes::with_argument(&secret), [0_u32; 0]);
    assert_eq!(with_variable(&secret), [0_u32; 0]);
    let list = fs::read_to_string(scratch.path().join("list")).unwrap();
    assert!(list.contains("drwx------") && list.contains("prw-------"), "{list}");
    scratch.write("go", "");
    calling.await.unwrap().unwrap();
    tunnel.close().await.unwrap();
    drop(tunnel);
    let folder = fs::read_to_string(scratch.path().join("askpass")).unwrap();
    assert!(eventually(PATIENCE, || !Path::new(folder.trim()).exists()), "{folder}");
    for file in ["script", "list", "arguments", "askpass"] {
        let text = fs::read_to_string(scratch.path().join(file)).unwrap();
        assert!(!text.contains(&secret), "{file}: {text}");
    }
    let said = said.lock().unwrap();
    assert!(said.contains("operator:add") && said.contains("Password"), "{said}");
    assert!(!said.contains(&secret), "{said}");
}

/// Returns the processes with a text in their environment.
fn with_variable(text: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc")
        .expect("there is a /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_it = |pid: &u32| {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&variables).contains(text)
    };
    pids.filter(has_it).collect()
}
