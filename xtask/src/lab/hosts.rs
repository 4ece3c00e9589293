//! The hosts of the suite `hosts`: servers, users and links, and the ssh configuration that leads to them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use chopsticks_support::Interpreter;

use crate::failure::Failure;

use super::requirement::Programs;
use super::{Lab, python, requirement, user};

/// What has to be installed.
pub(crate) const PROGRAMS: Programs = &[
    ("bwrap", "bubblewrap"),
    ("busybox", "busybox"),
    ("chroot", "coreutils"),
    ("dash", "dash"),
    ("doas", "opendoas"),
    ("fish", "fish"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("lxc-attach", "lxc"),
    ("mount", "mount"),
    ("munged", "munge"),
    ("nsenter", "util-linux"),
    ("python3", "python3"),
    ("slurmctld", "slurm-wlm"),
    ("slurmd", "slurm-wlm"),
    ("srun", "slurm-wlm"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("su", "util-linux"),
    ("sudo", "sudo"),
    ("systemd-nspawn", "systemd-container"),
    ("tcsh", "tcsh"),
    ("useradd", "passwd"),
    ("zsh", "zsh"),
];

/// Login shells, by the name of the user who has each.
const SHELLS: [&str; 7] = ["sh", "dash", "bash", "zsh", "fish", "tcsh", "busybox"];

/// Shells that read a file even when they only run a command, and the file.
const NOISY: [(&str, &str); 4] =
    [("bash", ".bashrc"), ("zsh", ".zshenv"), ("fish", ".config/fish/config.fish"), ("tcsh", ".tcshrc")];

/// What the shells without a Python of their own find on their `PATH`.
const TOOLS: [&str; 14] = [
    "cat", "dirname", "echo", "env", "false", "id", "ls", "mkdir", "rm", "setsid", "sh", "sleep", "true",
    "uname",
];

/// Who may become whom.
const RULES: &str = "
chopsticks-sudo ALL=(chopsticks-other) NOPASSWD: ALL
chopsticks-pty ALL=(chopsticks-other) NOPASSWD: ALL
Defaults:chopsticks-pty use_pty
chopsticks-tty ALL=(chopsticks-other) NOPASSWD: ALL
Defaults:chopsticks-tty requiretty
chopsticks-password ALL=(chopsticks-other) ALL
chopsticks-asks ALL=(chopsticks-other) ALL
Defaults:chopsticks-asks timestamp_timeout=0
chopsticks-asks-pty ALL=(chopsticks-other) ALL
Defaults:chopsticks-asks-pty timestamp_timeout=0, use_pty, pwfeedback, lecture=always
chopsticks-asks-once ALL=(chopsticks-other) ALL
Defaults:chopsticks-asks-once timestamp_timeout=0, !use_pty, passprompt_override, passwd_tries=1
chopsticks-asks-tty ALL=(chopsticks-other) ALL
Defaults:chopsticks-asks-tty requiretty
chopsticks-asks-wrong ALL=(chopsticks-other) ALL
chopsticks-login ALL=(chopsticks-other) ALL
Defaults:chopsticks-login timestamp_timeout=0
";

/// Users who have the lab's password.
const WITH_PASSWORD: [&str; 9] = [
    "asks",
    "asks-pty",
    "asks-once",
    "asks-tty",
    "asks-wrong",
    "login",
    "login-expired",
    "login-group",
    "login-wrong",
];

/// The service of PAM of a server that asks for a password.
const PAM: &str = "auth required pam_unix.so\naccount required pam_unix.so\npassword required pam_unix.so\nsession required pam_permit.so\n";

/// Networks for measurements, which are used nowhere else (RFC 2544).
const CONTROLLER: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 254);
const BASTION: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 20);
const BASTION_WITHIN: Ipv4Addr = Ipv4Addr::new(198, 18, 78, 1);
const WITHIN: Ipv4Addr = Ipv4Addr::new(198, 18, 78, 2);
const FAR_FROM: Ipv4Addr = Ipv4Addr::new(198, 18, 79, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 18, 79, 2);
const DROPPED: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 30);
const NOBODY: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 250);

/// Hosts whose links the tests may cut, one for each such test.
const CUT: u8 = 6;

/// How long a packet to the far host takes, each way.
const FAR_MILLISECONDS: u32 = 10;

/// Limits that no test reaches.
const GENEROUS: &str = "MaxStartups 1000:30:2000\nMaxSessions 1000";

/// Sets all up, and returns what to say of it.
pub(crate) fn set_up(lab: &mut Lab) -> Result<String, Failure> {
    let old = set_up_users(lab)?;
    lab.make_ssh_keys()?;
    let mut config = Config::default();
    set_up_servers(lab, &mut config)?;
    set_up_network(lab, &mut config)?;
    let folder = lab.folder().display().to_string();
    let text = config.finish(&folder);
    lab.write("ssh/config", 0o644, &text)?;
    let key = lab.run(Command::new("cut").args(["-d", " ", "-f", "1,2"]).arg(lab.path("ssh/hostkey.pub")))?;
    let other = lab.run(Command::new("cut").args(["-d", " ", "-f", "1,2"]).arg(lab.path("ssh/other.pub")))?;
    lab.write("ssh/known_hosts", 0o644, &format!("[127.0.0.1]:*,198.18.7?.* {key}"))?;
    lab.write("ssh/known_hosts-changed", 0o644, &format!("[127.0.0.1]:*,198.18.7?.* {other}"))?;
    lab.start_slurm()?;
    let ssh = lab.run(Command::new("sh").args(["-c", "ssh -V 2>&1"]))?;
    let sudo = lab.run(Command::new("sudo").arg("--version"))?;
    let slurm = lab.run(Command::new("srun").arg("--version").env("SLURM_CONF", lab.path("slurm.conf")))?;
    let python = lab.run(Command::new("/usr/bin/python3").arg("--version"))?;
    let sudo = sudo.lines().next().unwrap_or_default();
    Ok(format!("{}, {sudo}, {}, {}, {old}", ssh.trim(), slurm.trim(), python.trim()))
}

fn set_up_users(lab: &mut Lab) -> Result<String, Failure> {
    for folder in ["bin", "home", "path/tools", "path/odd", "path/old", "path/stub"] {
        lab.create_folder(folder)?;
    }
    for shell in SHELLS {
        let program = shell_program(lab, shell)?;
        lab.add_user(shell, &program)?;
    }
    for (shell, file) in NOISY {
        let home = lab.add_user(&format!("noisy-{shell}"), &shell_program(lab, shell)?)?;
        let text = "echo in the rc file of a shell\nprintf '\\001\\377\\n'\necho noise of the rc file >&2\n";
        lab.write_home(&home, file, if shell == "tcsh" { "echo in the rc file of a shell\n" } else { text })?;
    }
    for name in ["forced", "banner", "sudo", "pty", "tty", "password", "other"] {
        lab.add_user(name, Path::new("/bin/sh"))?;
    }
    for name in WITH_PASSWORD {
        lab.add_user(name, Path::new("/bin/sh"))?;
    }
    lab.set_passwords(&WITH_PASSWORD)?;
    lab.run(Command::new("passwd").arg("--expire").arg(format!("{}login-expired", user::PREFIX)))?;
    lab.add_pam_service("chopsticks-pam", PAM)?;
    lab.add_user("nologin", Path::new("/usr/sbin/nologin"))?;
    let old = set_up_paths(lab)?;
    lab.add_sudo_rules(RULES)?;
    Ok(old)
}

/// Users whose `PATH` has an unusual choice of interpreters.
fn set_up_paths(lab: &mut Lab) -> Result<String, Failure> {
    let tools = lab.path("path/tools");
    for tool in TOOLS {
        let path = requirement::find(tool).ok_or_else(|| Failure::new(format!("there is no {tool}")))?;
        python::alias(&path, &tools, &[tool])?;
    }
    for name in ["empty", "odd", "old", "stub"] {
        let path = lab.path(format!("path/{name}"));
        let script = format!(
            "#!/bin/sh\nPATH={}:{}\nexport PATH\nexec /bin/sh \"$@\"\n",
            path.display(),
            tools.display()
        );
        let shell = lab.write(&format!("bin/shell-{name}"), 0o755, &script)?;
        lab.add_user(name, &shell)?;
    }
    // Only a name with its version, only a Python 2, and a name behind which there is no Python.
    let found = python::found()?;
    let system = Path::new("/usr/bin/python3").canonicalize();
    let system = system.map_err(|error| Failure::during("/usr/bin/python3", error))?;
    let name = system.file_name().and_then(|name| name.to_str()).unwrap_or("python3.0");
    python::alias(&system, &lab.path("path/odd"), &[name])?;
    lab.write("path/stub/python3", 0o755, "#!/bin/sh\necho 'python3 is not installed here' >&2\nexit 9\n")?;
    let old = found.iter().find(|interpreter| interpreter.is_python2());
    let Some(old) = old else {
        return Err(Failure::new("there is no Python 2.7, which some of the hosts are to have"));
    };
    set_up_old(lab, old)?;
    lab.set_up_root(old)?;
    lab.add_doas_rules()?;
    Ok(format!("Python {old}"))
}

fn set_up_old(lab: &Lab, old: &Interpreter) -> Result<(), Failure> {
    let (folder, names) = (lab.path("path/old"), ["python2.7", "python2", "python"]);
    if python::is_reachable(old.path()) {
        return python::alias(old.path(), &folder, &names);
    }
    let root = lab.create_folder("python2")?;
    python::copy(old, &root)?;
    python::copy_libraries(&root)?;
    python::link(old, &root, &folder, &names)
}

fn shell_program(lab: &Lab, shell: &str) -> Result<PathBuf, Failure> {
    let path = requirement::find(shell).ok_or_else(|| Failure::new(format!("there is no {shell}")))?;
    if shell != "busybox" {
        return Ok(path);
    }
    // Which of its programs it is to be, it is told by the name by which it is called.
    let ash = lab.path("bin/ash");
    if !ash.exists() {
        python::alias(&path, &lab.path("bin"), &["ash"])?;
    }
    Ok(ash)
}

fn set_up_servers(lab: &mut Lab, config: &mut Config) -> Result<(), Failure> {
    let banner = lab.write("ssh/banner", 0o644, "All that is done here is recorded.\n")?;
    let matches = format!(
        "{GENEROUS}\nMatch User {prefix}forced\n ForceCommand echo this account is for backups\nMatch User \
         {prefix}banner\n Banner {}",
        banner.display(),
        prefix = user::PREFIX
    );
    let port = lab.start_sshd("plain", &matches)?;
    let mut at = |name: &str, user: &str, more: &str| config.add(name, "127.0.0.1", port, user, more);
    at("plain", "bash", "");
    for shell in SHELLS {
        at(&format!("shell-{shell}"), shell, "");
    }
    for (shell, _) in NOISY {
        at(&format!("noisy-{shell}"), &format!("noisy-{shell}"), "");
    }
    let others = [
        "forced",
        "banner",
        "nologin",
        "empty",
        "odd",
        "old",
        "stub",
        "sudo",
        "pty",
        "tty",
        "password",
        "asks",
        "asks-pty",
        "asks-once",
        "asks-tty",
        "asks-wrong",
    ];
    for name in others {
        at(name, name, "");
    }
    at("unknown-key", "bash", "UserKnownHostsFile /dev/null");
    at("changed-key", "bash", "UserKnownHostsFile LAB/ssh/known_hosts-changed");
    at("wrong-key", "bash", "IdentityFile LAB/ssh/other");
    at("unknown-user", "nobody-of-this-name", "");
    at("locked", "bash", "IdentityFile LAB/ssh/locked");
    set_up_password_servers(lab, config, port)?;
    let strict = lab.start_sshd("strict", "MaxStartups 3:50:5")?;
    config.add("strict", "127.0.0.1", strict, "bash", "");
    let default = lab.start_sshd("default", "")?;
    config.add("default", "127.0.0.1", default, "bash", "");
    let mux = "ControlMaster auto\nControlPath LAB/ssh/%n.socket\nControlPersist 30";
    config.add("mux", "127.0.0.1", default, "bash", mux);
    let few = lab.start_sshd("few", "MaxStartups 1000:30:2000\nMaxSessions 2")?;
    config.add("few", "127.0.0.1", few, "bash", "");
    config.add("mux-dead", "127.0.0.1", port, "bash", mux);
    // Port 1 belongs to a service that nobody runs.
    config.add("refused", "127.0.0.1", 1, "bash", "");
    config.add("unresolved", "host.invalid", 22, "bash", "");
    Ok(())
}

/// Servers that ask for a password: by the method `password`, and by PAM and both methods.
fn set_up_password_servers(lab: &mut Lab, config: &mut Config, plain: u16) -> Result<(), Failure> {
    let password = lab.start_sshd_without_keys("chopsticks-password", "PasswordAuthentication yes")?;
    let interactive = "UsePAM yes\nKbdInteractiveAuthentication yes";
    let pam =
        lab.start_sshd_without_keys("chopsticks-pam", &format!("{interactive}\nPasswordAuthentication yes"))?;
    let methods = |methods: &str| format!("PreferredAuthentications {methods}");
    let mut at =
        |name: &str, port: u16, user: &str, more: &str| config.add(name, "127.0.0.1", port, user, more);
    at("login-password", password, "login", "");
    at("login-interactive", pam, "login", &methods("keyboard-interactive"));
    at("login-both", pam, "login", "");
    at("login-expired", pam, "login-expired", &methods("keyboard-interactive"));
    at("login-wrong", pam, "login-wrong", "");
    at("login-wrong-password", password, "login-wrong", "");
    at("login-unknown-key", password, "login", "UserKnownHostsFile /dev/null");
    at("behind-login", plain, "bash", "ProxyJump login-password");
    at("login-behind-login", pam, "login", "ProxyJump login-password");
    at("login-group-*", password, "login-group", "");
    Ok(())
}

fn set_up_network(lab: &mut Lab, config: &mut Config) -> Result<(), Failure> {
    lab.add_bridge(CONTROLLER)?;
    for number in 1..=CUT {
        let name = format!("cut-{number}");
        let address = Ipv4Addr::new(198, 18, 77, number);
        let namespace = lab.add_host(&name, address)?;
        lab.start_sshd_at((address, 22).into(), Some(&namespace), &name, GENEROUS)?;
        config.add(&name, &address.to_string(), 22, "bash", "");
    }
    let bastion = lab.add_host("bastion", BASTION)?;
    let within = lab.add_namespace("within")?;
    lab.connect((&bastion, BASTION_WITHIN), (&within, WITHIN))?;
    lab.start_sshd_at((BASTION, 22).into(), Some(&bastion), "bastion", GENEROUS)?;
    lab.start_sshd_at((WITHIN, 22).into(), Some(&within), "within", GENEROUS)?;
    config.add("bastion", &BASTION.to_string(), 22, "bash", "");
    config.add("within", &WITHIN.to_string(), 22, "bash", "ProxyJump bastion");
    config.add("within-directly", &WITHIN.to_string(), 22, "bash", "");

    let far = lab.add_namespace("far")?;
    lab.connect_slowly(&far, (FAR_FROM, FAR), FAR_MILLISECONDS)?;
    lab.start_sshd_at((FAR, 22).into(), Some(&far), "far", GENEROUS)?;
    config.add("far", &FAR.to_string(), 22, "bash", "");

    let dropped = lab.add_host("dropped", DROPPED)?;
    lab.run(Command::new("ip").args(["netns", "exec", &dropped, "iptables", "-A", "INPUT", "-j", "DROP"]))?;
    config.add("dropped", &DROPPED.to_string(), 22, "bash", "");
    config.add("nobody", &NOBODY.to_string(), 22, "bash", "");
    Ok(())
}

/// The file that `ssh -F` is given.
#[derive(Debug, Default)]
struct Config {
    text: String,
}

impl Config {
    /// Adds a host; `LAB` in `more` stands for the lab's folder.
    fn add(&mut self, name: &str, address: &str, port: u16, user: &str, more: &str) {
        let prefix = user::PREFIX;
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.text,
            "Host {name}\n  HostName {address}\n  Port {port}\n  User {prefix}{user}\n{more}"
        );
    }

    fn finish(self, folder: &str) -> String {
        // The first value of an option counts, so those for all come last; of identities all count.
        let text = self.text
            + "Host * !wrong-key !locked\n  IdentityFile LAB/ssh/id\nHost *\n  IdentitiesOnly yes\n  UserKnownHostsFile LAB/ssh/known_hosts\n  \
               GlobalKnownHostsFile /dev/null\n";
        text.replace("LAB", folder)
    }
}
