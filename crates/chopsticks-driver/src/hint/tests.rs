//! Tests of hints, on texts that the programs have really printed.

use std::os::unix::process::ExitStatusExt as _;

use super::*;

fn cause(status: i32, stderr: &str, noise: &str) -> Option<String> {
    let status = Some(ExitStatus::from_raw(status << 8));
    of_failed_start(&Symptoms { status, stderr, noise }).map(|hint| hint.cause().to_owned())
}

/// OpenSSH 9.2.
#[test]
fn ssh_tells_why_it_does_not_connect() {
    let changed = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n\
                   @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
                   Host key for [127.0.0.1]:22022 has changed and you have requested strict checking.\n\
                   Host key verification failed.";
    for (stderr, expected) in [
        ("Host key verification failed.", "host-key-unknown"),
        (
            "No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.",
            "host-key-unknown",
        ),
        (changed, "host-key-changed"),
        ("drvy@127.0.0.1: Permission denied (publickey).", "permission-denied"),
        (
            "me@h: Permission denied (password).\nchopsticks: the password was given, and refused",
            "password-wrong",
        ),
        ("chopsticks: the password was refused by web1, and is not sent again", "password-wrong"),
        ("chopsticks: ssh asks again: the password of the jump host was refused", "password-wrong"),
        ("chopsticks: the password of the jump host is asked for, and there is none", "password-missing"),
        ("chopsticks: the password is asked for, and there is none", "password-missing"),
        ("chopsticks: ssh asks for something else: (me@h) Verification code:", "prompt-unknown"),
        ("ssh_askpass: exec(/tmp/chopsticks-1/askpass): Permission denied", "askpass-blocked"),
        (
            "me@h: Permission denied (publickey).\nchopsticks: a passphrase was given: it is wrong, or the server refused its key",
            "passphrase-wrong",
        ),
        ("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures", "too-many-keys"),
        ("ssh: Could not resolve hostname nohost.invalid: Name or service not known", "name-unknown"),
        ("ssh: connect to host 127.0.0.1 port 1: Connection refused", "refused"),
        ("ssh: connect to host 10.99.0.3 port 22: No route to host", "no-route"),
        ("ssh: connect to host 10.99.0.3 port 22: Connection timed out", "timed-out"),
        (
            "Connection timed out during banner exchange\nConnection to 192.0.2.1 port 22 timed out",
            "timed-out",
        ),
        (
            "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 127.0.0.1 port 22",
            "server-busy",
        ),
        ("kex_exchange_identification: Connection closed by remote host", "server-busy"),
        ("command-line: line 0: Bad configuration option: x", "ssh-config"),
        ("Can't open user config file /nowhere: No such file or directory", "ssh-config"),
        (
            "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
            "algorithms-differ",
        ),
        (
            "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed",
            "jump-failed",
        ),
    ] {
        assert_eq!(cause(255, stderr, "").as_deref(), Some(expected), "{stderr}");
    }
    assert_eq!(cause(255, "", ""), None);
}

/// bash 5.2, dash, zsh 5.9, fish 3.6, tcsh 6.24, busybox 1.35.
#[test]
fn every_login_shell_tells_that_there_is_no_interpreter() {
    for (status, stderr) in [
        (127, "bash: line 1: exec: python9: not found"),
        (127, "bash: line 1: /usr/bin/python9: No such file or directory"),
        (127, "dash: 1: exec: python9: not found"),
        (127, "zsh:1: command not found: python9"),
        (127, "zsh:1: no such file or directory: /usr/bin/python9"),
        (127, "fish: Unknown command: python9\nfish: \nexec python9 -c x\n     ^~~~~~^"),
        (1, "python9: Command not found."),
        (127, "sh: exec: line 0: python9: not found"),
        (1, "sudo: /usr/bin/python9: command not found"),
        (127, "chopsticks: no Python 2.7 or 3.4 and later was found: tried python3"),
    ] {
        assert_eq!(cause(status, stderr, "").as_deref(), Some("python-missing"), "{stderr}");
    }
    assert_eq!(
        cause(126, "bash: line 1: /opt/python: Permission denied", "").as_deref(),
        Some("python-not-runnable")
    );
}

#[test]
fn what_ran_in_place_of_the_interpreter_is_told() {
    assert_eq!(cause(1, "", "This account is currently not available.\n").as_deref(), Some("account-closed"));
    assert_eq!(cause(1, "", "This service allows sftp connections only.").as_deref(), Some("no-commands"));
    assert_eq!(cause(0, "", "Welcome to the backup server").as_deref(), Some("not-run"));
    assert_eq!(cause(1, "", "").as_deref(), Some("not-run"), "as the login shell /bin/false ends");
    assert_eq!(cause(1, "", "Welcome"), None);
    let eaten = "zlib.error: Error -3 while decompressing data: incorrect header check";
    assert_eq!(cause(1, eaten, "").as_deref(), Some("input-taken"));
    assert_eq!(cause(1, "open terminal failed: not a terminal", "").as_deref(), Some("login-script"));
}

/// All that the agent does with files before it answers is to enter its working directory.
#[test]
fn folder_that_cannot_be_entered_is_told() {
    for stderr in [
        "FileNotFoundError: [Errno 2] No such file or directory: '/nope'",
        "OSError: [Errno 2] No such file or directory: '/nope'",
    ] {
        assert_eq!(cause(1, stderr, "").as_deref(), Some("folder-missing"), "{stderr}");
    }
}

/// sudo 1.9.13, and sudo-rs 0.2.5, which Debian renames.
#[test]
fn sudo_tells_what_it_misses() {
    for (stderr, expected) in [
        ("sudo: a password is required", "sudo-password"),
        (
            "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt",
            "sudo-password-wrong",
        ),
        ("sudo: Maximum 3 incorrect authentication attempts", "sudo-password-wrong"),
        ("sudo: interactive authentication is required", "sudo-password"),
        ("sudo-rs: interactive authentication is required", "sudo-password"),
        ("sudo-rs: Maximum 3 incorrect authentication attempts", "sudo-password-wrong"),
        ("sudo-rs: I'm sorry x. I'm afraid I can't do that", "sudo-not-allowed"),
        ("sudo-rs: user 'nouser' not found", "user-unknown"),
        ("sudo: sorry, you must have a tty to run sudo", "sudo-tty"),
        ("Sorry, user x is not allowed to execute '/usr/bin/python3' as root on vm.", "sudo-not-allowed"),
        ("x is not in the sudoers file.", "sudo-not-allowed"),
        ("sudo: unknown user nouser\nsudo: error initializing audit plugin sudoers_audit", "user-unknown"),
        ("bash: line 1: exec: sudo: not found", "sudo-missing"),
        (
            "su: user nouser does not exist or the user entry does not contain all the required fields",
            "user-unknown",
        ),
    ] {
        assert_eq!(cause(1, stderr, "").as_deref(), Some(expected), "{stderr}");
    }
}

/// Docker 28.2 with engine 20.10, and Podman 4.3.
#[test]
fn container_engines_tell_what_they_miss() {
    for (status, stderr, expected) in [
        (
            127,
            "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable \
             to start container process: exec: \"python3\": executable file not found in $PATH: unknown",
            "python-missing",
        ),
        (127, "[FATAL tini (8)] exec python3 failed: No such file or directory", "python-missing"),
        (
            126,
            "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable \
             to start container process: exec: \"/etc/passwd\": permission denied: unknown",
            "python-not-runnable",
        ),
        (125, "docker: Error response from daemon: network nonet not found", "network-missing"),
        (125, "docker: Error response from daemon: No such image: nosuch/image:latest", "image-missing"),
        (
            125,
            "Unable to find image 'nosuch.invalid/image:latest' locally\ndocker: Error response from daemon: Get \
             \"https://nosuch.invalid/v2/\": dial tcp: lookup nosuch.invalid on 10.0.0.53:53: no such host",
            "image-missing",
        ),
        (1, "Error response from daemon: No such container: nocont", "container-missing"),
        (1, "Error response from daemon: Container dfef89f5cca8 is not running", "container-stopped"),
        (
            125,
            "docker: Error response from daemon: Conflict. The container name \"/dup\" is already in use by container \
             \"dfef89f5cca8\". You have to remove (or rename) that container to be able to reuse that name.",
            "name-in-use",
        ),
        (
            125,
            "docker: Cannot connect to the Docker daemon at unix:///nonexist. Is the docker daemon running?",
            "engine-down",
        ),
        (
            126,
            "docker: permission denied while trying to connect to the Docker daemon socket at unix:///d.sock: Head \
             \"http://%2Fd.sock/_ping\": dial unix /d.sock: connect: permission denied",
            "engine-denied",
        ),
        (
            127,
            "Error: runc: runc create failed: unable to start container process: exec: \"python9\": executable file not found in \
             $PATH: OCI runtime attempted to invoke a command that was not found",
            "python-missing",
        ),
        (
            125,
            "Error: short-name \"nosuch\" did not resolve to an alias and no unqualified-search registries are defined in \
             \"/etc/containers/registries.conf\"",
            "image-missing",
        ),
        (125, "Error: no container with name or ID \"nocont\" found: no such container", "container-missing"),
        (1, "the input device is not a TTY", "no-terminal"),
    ] {
        let stderr = format!("{stderr}\n\nRun 'docker run --help' for more information");
        assert_eq!(cause(status, &stderr, "").as_deref(), Some(expected), "{stderr}");
        assert!(!telling_line(&stderr).starts_with("Run "), "{stderr}");
    }
}

#[test]
fn loss_of_a_link_is_told_by_what_ssh_says_and_not_by_what_functions_say() {
    let cause = |stderr| of_loss(stderr).map(|hint| hint.cause().to_owned());
    assert_eq!(cause("Timeout, server 10.99.0.6 not responding.").as_deref(), Some("link-dead"));
    assert_eq!(cause("client_loop: send disconnect: Broken pipe").as_deref(), Some("link-broken"));
    assert_eq!(cause("cp: cannot open: Permission denied (publickey)"), None);
}

#[test]
fn line_that_tells_most_is_a_known_one_or_the_last() {
    assert_eq!(telling_line("one\ntwo\n\n"), "two");
    assert_eq!(
        telling_line("sudo: unknown user x\nsudo: error initializing audit plugin sudoers_audit"),
        "sudo: unknown user x"
    );
    assert_eq!(telling_line(""), "");
}

#[test]
fn only_a_refusal_before_the_login_is_one_for_load() {
    assert!(is_refusal_for_load("kex_exchange_identification: read: Connection reset by peer"));
    assert!(is_refusal_for_load("ssh_exchange_identification: Connection closed by remote host"));
    assert!(is_refusal_for_load("banner exchange: Connection to UNKNOWN port 65535: Broken pipe\r"));
    assert!(!is_refusal_for_load("Connection closed by 127.0.0.1 port 22"));
    assert!(!is_refusal_for_load("kex_exchange_identification: banner line contains invalid characters"));
    assert!(!is_refusal_for_load("ssh: connect to host h port 22: Connection refused"));
}

/// OpenSSH 9.2, with `ProxyJump`.
#[test]
fn jump_host_out_of_reach_is_no_busy_server() {
    let behind = "kex_exchange_identification: Connection closed by remote host\n\
                  Connection closed by UNKNOWN port 65535";
    assert!(has_failed_for_load(behind));
    let warned = format!("@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\n{behind}");
    assert!(has_failed_for_load(&warned));
    for (jump, expected) in [
        ("ssh: Could not resolve hostname nosuch.invalid: Name or service not known", "name-unknown"),
        ("ssh: connect to host 127.0.0.1 port 1: Connection refused", "refused"),
        ("ssh: connect to host 10.99.0.3 port 22: No route to host", "no-route"),
        ("ssh: connect to host 10.99.0.3 port 22: Connection timed out", "timed-out"),
        ("me@10.0.0.1: Permission denied (publickey).", "permission-denied"),
        ("Host key verification failed.", "host-key-unknown"),
    ] {
        let stderr = format!("{jump}\n{behind}");
        assert!(!has_failed_for_load(&stderr), "{jump}");
        assert_eq!(cause(255, &stderr, "").as_deref(), Some(expected), "{jump}");
        assert_eq!(telling_line(&stderr), jump);
    }
}

/// util-linux 2.38, OpenDoas 6.8.2, coreutils 9.1, systemd 252, LXC 5.0.2, Slurm 22.05, kubectl 1.32.
#[test]
fn programs_that_lead_elsewhere_tell_what_they_miss() {
    for (status, stderr, expected) in [
        (1, "Password: su: Authentication failure", "su-password"),
        (1, "This account is currently not available.", "account-closed"),
        (
            1,
            "su: user nobody-of-this-name does not exist or the user entry does not contain all",
            "user-unknown",
        ),
        (1, "doas: Authentication required", "doas-password"),
        (1, "doas: Operation not permitted", "doas-not-allowed"),
        (1, "doas: doas is not enabled, /etc/doas.conf: No such file or directory", "doas-not-allowed"),
        (1, "doas: unknown user", "user-unknown"),
        (1, "doas: /nowhere9: command not found", "python-missing"),
        (
            125,
            "chroot: cannot change root directory to '/nowhere': No such file or directory",
            "root-missing",
        ),
        (125, "chroot: cannot change root directory to '/tmp': Operation not permitted", "not-root"),
        (
            127,
            "chroot: failed to run command \u{2018}p9\u{2019}: No such file or directory",
            "python-missing",
        ),
        (126, "chroot: failed to run command \u{2018}/f\u{2019}: Permission denied", "python-not-runnable"),
        (125, "chroot: invalid user", "user-unknown"),
        (1, "nsenter: stat of /proc/999999/ns/user failed: No such file or directory", "process-missing"),
        (1, "nsenter: cannot open /run/netns/nowhere: No such file or directory", "network-missing"),
        (1, "nsenter: cannot open /proc/1/ns/net: Permission denied", "not-root"),
        (127, "nsenter: failed to execute p9: No such file or directory", "python-missing"),
        (1, "Failed to resolve path /nowhere: No such file or directory", "root-missing"),
        (1, "No image for machine 'nowhere'.", "image-missing"),
        (
            1,
            "Directory /x doesn't look like it has an OS tree (/usr/ directory is missing). Refusing.",
            "root-missing",
        ),
        (1, "Directory tree /x is currently busy.", "root-busy"),
        (1, "Need to be root.", "not-root"),
        (1, "execv(nowhere9) failed: No such file or directory", "python-missing"),
        (1, "Failed to resolve user nox.\nChild died too early.", "user-unknown"),
        (1, "Failed to connect to bus: Host is down", "machine-missing"),
        (
            1,
            "lxc-attach: c: ../src/lxc/attach.c: get_attach_context: 406 Connection refused - Failed to get init pid",
            "container-stopped",
        ),
        (
            127,
            "lxc-attach: c: attach.c: lxc_attach_run_command: 1841 No such file or directory - Failed to exec \"p9\"",
            "python-missing",
        ),
        (
            1,
            "lxc-attach: c1: ../src/lxc/lxclock.c: lxclock: 190 Permission denied - Failed to open \"/run/lxc/lock\"\n\
             Failed to load config for c1",
            "not-root",
        ),
        (
            1,
            "The connection to the server 127.0.0.1:1 was refused - did you specify the right host?",
            "cluster-down",
        ),
        (1, "Error in configuration: context was not found for specified context: nox", "context-missing"),
        (1, "Error from server (NotFound): pods \"web\" not found", "pod-missing"),
        (
            1,
            "Error from server (Forbidden): pods \"web\" is forbidden: User \"u\" cannot create",
            "kubectl-denied",
        ),
        (
            1,
            "srun: error: Unable to allocate resources: Invalid partition name specified",
            "partition-unknown",
        ),
        (
            1,
            "salloc: error: Job submit/allocate failed: Requested node configuration is not available",
            "nodes-unavailable",
        ),
        (127, "sh: 1: exec: salloc: not found", "program-missing"),
    ] {
        assert_eq!(cause(status, stderr, "").as_deref(), Some(expected), "{stderr}");
    }
    let lost = |stderr| of_loss(stderr).map(|hint| hint.cause().to_owned());
    let over = "slurmstepd: error: *** STEP 9.0 ON n1 CANCELLED AT 2026-11-30T14:00:00 DUE TO TIME LIMIT ***";
    assert_eq!(lost(over).as_deref(), Some("time-limit"));
    assert_eq!(
        telling_line("Need to be root.\nAttempted to remove disk file system under \"/x\""),
        "Need to be root."
    );
}
