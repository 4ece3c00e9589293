//! Functions in Rust: login shells, hosts with little, and what goes wrong.

use std::{fs, io, os::unix::fs::symlink, path::Path, path::PathBuf};

use chopsticks::{Agent, Command, Error, Group, Put, Stderr, Tunnel, TunnelConfig, facts, function};
use chopsticks_hosts::lab::ssh;
use futures::StreamExt as _;

chopsticks::tests!();

#[function]
fn program() -> io::Result<PathBuf> {
    fs::read_link("/proc/self/exe")
}

#[function]
fn has(path: &Path) -> bool {
    path.exists()
}

/// Yields the names in a folder.
#[function]
fn entries(folder: PathBuf) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    Ok(fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())))
}

/// Returns the files of this agent in the folders where its program may have been.
#[function]
fn leftovers() -> Vec<PathBuf> {
    let folders = ["/dev/shm", "/tmp", "/var/tmp", "/root", "/"].map(PathBuf::from);
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mark = std::env::var("CHOPSTICKS_AGENT").expect("the lab has it");
    let (_, token) = mark.rsplit_once(':').expect("the lab has it");
    let ours = |path: &PathBuf| path.to_string_lossy().ends_with(&format!("/.chopsticks-{token}"));
    files.map(|file| file.path()).filter(ours).collect()
}

fn config() -> TunnelConfig {
    TunnelConfig::default().agent(Agent::Native).stderr(Stderr::off())
}

/// An empty root with nothing but busybox, and the C library that it and this program need.
fn bare(root: &Path, more: &[&str]) -> Command {
    fs::create_dir_all(root.join("bin")).expect("the lab has it");
    for tool in ["sh", "rm", "chmod", "head", "gzip", "uname", "setsid", "sleep"] {
        symlink("busybox", root.join("bin").join(tool)).expect("the lab has it");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("the lab has it");
    let mut arguments = vec!["--bind", root.to_str().expect("the lab has it"), "/"];
    for folder in ["/lib", "/lib64", "/usr/lib"] {
        if Path::new(folder).exists() {
            arguments.extend(["--ro-bind", folder, folder]);
        }
    }
    arguments.extend(["--unshare-all", "--die-with-parent", "--clearenv", "--setenv", "PATH", "/bin"]);
    arguments.extend(more);
    Command::new("bwrap")
        .args(arguments.iter().map(ToString::to_string))
        .args(["sh", "-c", "{}"])
        .name("bare")
}

/// This host, but with an empty `/proc`.
fn without_proc(path: &str, folder: &Path) -> Command {
    let arguments =
        ["--dev-bind", "/", "/", "--tmpfs", "/proc", "--die-with-parent", "--setenv", "PATH", path];
    let folder = ["--setenv", "XDG_RUNTIME_DIR", folder.to_str().expect("the lab has it")];
    Command::new("bwrap").args(arguments).args(folder).args(["sh", "-c", "{}"]).name("without-proc")
}

async fn refused(command: Command) -> Error {
    Tunnel::with_config(command, config()).invoke(program::with()).await.expect_err("the host is unfit")
}

#[tokio::test]
async fn every_login_shell_starts_the_program() {
    for shell in ["sh", "dash", "bash", "zsh", "fish", "tcsh", "busybox"] {
        let tunnel = Tunnel::with_config(ssh(&format!("shell-{shell}")), config());
        let program = tunnel.invoke(program::with()).await.unwrap();
        assert!(program.to_str().unwrap().ends_with(" (deleted)"), "{shell}: {program:?}");
        assert_eq!(tunnel.invoke(leftovers::with()).await.unwrap(), Vec::<PathBuf>::new(), "{shell}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn host_with_nothing_but_busybox_runs_functions() {
    let root = tempfile::tempdir().unwrap();
    let tunnel = Tunnel::with_config(bare(root.path(), &["--proc", "/proc", "--dev", "/dev"]), config());
    for (path, is_there) in [("/bin/busybox", true), ("/usr/bin/python3", false), ("/etc", false)] {
        assert_eq!(tunnel.invoke(has::with(Path::new(path))).await.unwrap(), is_there, "{path}");
    }
    assert_eq!(tunnel.invoke(leftovers::with()).await.unwrap(), Vec::<PathBuf>::new());
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn host_with_nothing_but_busybox_has_files_programs_and_facts() {
    let (root, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tunnel = Tunnel::with_config(bare(root.path(), &["--proc", "/proc", "--dev", "/dev"]), config());
    tunnel.connect().await.unwrap();
    let before = fs::read_dir(root.path()).unwrap().count();

    // A file there and back, and a folder.
    let content: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
    fs::create_dir_all(here.path().join("tree/inner")).unwrap();
    fs::write(here.path().join("tree/inner/file"), &content).unwrap();
    let (there, back) = (Path::new("/put/tree"), here.path().join("back"));
    tunnel.put_with(Put::new(here.path().join("tree/inner/file")).to("/put/file").parents()).await.unwrap();
    assert!(fs::read(root.path().join("put/file")).unwrap() == content);
    tunnel.fetch("/put/file", &back).await.unwrap();
    assert!(fs::read(&back).unwrap() == content);
    let folder = tunnel.put_dir(here.path().join("tree"), there).await.unwrap();
    assert_eq!((folder.files, folder.folders), (1, 2));
    let again = here.path().join("again");
    tunnel.fetch_dir(there, &again).await.unwrap();
    assert!(fs::read(again.join("inner/file")).unwrap() == content);
    assert_eq!(fs::read_dir(root.path().join("put")).unwrap().count(), 2);

    // Programs, which have a stdin and a status.
    let output = tunnel.command("sh").args(["-c", "echo $0; echo no >&2; exit 3", "out"]).output().await;
    let output = output.unwrap();
    assert_eq!(
        (output.status.code(), &output.stdout[..], &output.stderr[..]),
        (Some(3), &b"out\n"[..], &b"no\n"[..])
    );
    let missing = tunnel.command("python3").output().await.unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");

    let facts = facts::all(&tunnel).await.unwrap();
    assert_eq!(facts.python_version, None);
    assert!(!facts.kernel.release.is_empty());

    // Nothing else is left, neither while the agent runs nor after it.
    assert_eq!(tunnel.invoke(leftovers::with()).await.unwrap(), Vec::<PathBuf>::new());
    tunnel.close().await.unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), before + 1);
}

#[tokio::test]
async fn group_of_hosts_with_nothing_but_busybox_runs_functions() {
    let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    fs::write(roots[1].path().join("here"), "").unwrap();
    let host = |name: &str, root: &Path| {
        let command = bare(root, &["--proc", "/proc", "--dev", "/dev"]).name(name);
        Tunnel::with_config(command, config())
    };
    let group = Group::new([host("a", roots[0].path()), host("b", roots[1].path())]).unwrap();
    let found = group.invoke(has::with(Path::new("/here"))).await.raise_failures().unwrap();
    let found: Vec<_> = found.iter().map(|(host, is_there)| (host.as_str(), *is_there)).collect();
    assert_eq!(found, [("a", false), ("b", true)]);
    let mut entries: Vec<_> = group.invoke_stream(entries::with("/".into())).collect().await;
    entries.retain(|(_, entry)| matches!(entry.as_deref(), Ok("here")));
    assert_eq!(entries.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>(), ["b"]);
    group.close().await.raise_failures().unwrap();
}

#[tokio::test]
async fn host_without_proc_runs_functions_and_keeps_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let command = without_proc(&std::env::var("PATH").unwrap(), folder.path());
    let tunnel = Tunnel::with_config(command, config());
    assert!(!tunnel.invoke(has::with(Path::new("/proc/self"))).await.unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the file of the program is left behind");
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn shells_of_all_kinds_run_the_first_stage() {
    for shell in ["dash", "bash", "zsh", "busybox"] {
        let tools = tempfile::tempdir().unwrap();
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&paths).map(|folder| folder.join(shell)).find(|path| path.exists());
        symlink(found.unwrap(), tools.path().join("sh")).unwrap();
        let path = format!("PATH={}:{}", tools.path().display(), paths.to_string_lossy());
        let command = Command::new("env").args([path, "sh".into(), "-c".into(), "{}".into()]).name(shell);
        let tunnel = Tunnel::with_config(command, config());
        tunnel.invoke(program::with()).await.unwrap();
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn folders_that_forbid_programs_are_passed_over() {
    let mount = "mount -t tmpfs -o noexec none /dev/shm && mount -t tmpfs none /var/tmp && ";
    let command = |rest: &str| {
        let script = format!("unset XDG_RUNTIME_DIR TMPDIR; {mount}{rest}exec sh -c \"$0\"");
        Command::new("unshare").args(["-m", "sh", "-c", &script, "{}"]).name("noexec")
    };
    let tunnel = Tunnel::with_config(command("mount -t tmpfs -o noexec none /tmp && "), config());
    let path = tunnel.invoke(program::with()).await.unwrap();
    assert!(path.starts_with("/var/tmp"), "{path:?}");
    tunnel.close().await.unwrap();
    // Python makes a file in memory.
    let all = [
        "mount -t tmpfs -o noexec none /tmp && mount -t tmpfs -o noexec none /var/tmp && ",
        "export HOME=/tmp && cd /tmp && ",
    ];
    let all = all.concat();
    let tunnel = Tunnel::with_config(command(&all), config());
    let path = tunnel.invoke(program::with()).await.unwrap();
    assert_eq!(path, Path::new("/memfd:chopsticks (deleted)"));
    tunnel.close().await.unwrap();
    // Without Python and Perl there is no way.
    let tools = "for t in sh rm chmod head gzip uname; do ln -s $(command -v $t) /usr/local/$t; done && ";
    let error = refused(command(&format!(
        "{all}mount -t tmpfs none /usr/local && {tools}export PATH=/usr/local && "
    )));
    let error = error.await;
    assert_eq!(error.hint().map(|hint| hint.cause()), Some("no-place"), "{error}");
    // A folder that is full.
    let full = "mount -t tmpfs -o size=64k none /dev/shm && ";
    let error = refused(command(full)).await;
    assert_eq!(error.hint().map(|hint| hint.cause()), Some("no-place"), "{error}");
}

#[tokio::test]
async fn host_that_the_program_does_not_fit_is_refused_with_advice() {
    // Another kind of machine. Without `/proc`, `uname` is asked.
    let tools = tempfile::tempdir().unwrap();
    let uname = tools.path().join("uname");
    fs::write(&uname, "#!/bin/sh\necho pdp11\n").unwrap();
    fs::set_permissions(&uname, fs::metadata("/bin/sh").unwrap().permissions()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let command = without_proc(&path, folder.path());
    let error = refused(command).await;
    assert!(error.to_string().contains("the host is pdp11, the program for"), "{error}");
    assert_eq!(error.hint().map(|hint| hint.cause()), Some("machine-differs"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the file of the program is left behind");
    // No shell at all.
    let error = refused(Command::new("env").args(["PATH=/nonexistent", "sh", "-c", "{}"]).name("none")).await;
    assert_eq!(error.hint().map(|hint| hint.cause()), Some("shell-missing"), "{error}");
}
