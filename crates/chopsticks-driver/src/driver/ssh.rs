//! Another host, over SSH.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::process::Command;

use self::shared::Outcome;
use crate::{
    defaults::sealed::Sealed,
    dialogue::{self, Marks, Progress},
    driver::{
        AgentCommand, Driver,
        askpass::{Askpass, Login},
        setup::{Setup, setup_methods},
        sudo,
    },
    host::HostName,
    launcher::Known,
    options::AgentOptions,
    process::Link,
    quiet::Quiet,
    secret::{Secret, SecretKind, Secrets},
};

mod shared;

/// Runs the agent on another host, by the user's own `ssh`.
///
/// Everything that makes `ssh host` work on the command line also works here: `ssh_config`, agents,
/// certificates, jump hosts, known hosts, and an existing master connection. The driver never has a
/// terminal. ssh gets a [`password`](Self::password) or a [`passphrase`](Self::passphrase) if there
/// is one; a login that would ask for anything else fails. Settings for interactive use (a terminal,
/// forwardings, a remote command) are ignored.
///
/// ```
/// use std::time::Duration;
///
/// use chopsticks_driver::{Secret, Ssh};
///
/// let web = Ssh::new("web1");
/// let database = Ssh::new("db1").user("admin").port(2222).sudo().python("auto");
/// let old = Ssh::new("switch").password(Secret::new(read_password()));
/// let behind = Ssh::new("10.1.2.3").jump("bastion").option("StrictHostKeyChecking=accept-new").connect_timeout(Duration::from_secs(5));
/// # let _ = (web, database, old, behind);
/// # fn read_password() -> String { String::new() }
/// ```
#[derive(Clone, Debug)]
pub struct Ssh {
    setup: Setup,
    host: String,
    user: Option<String>,
    port: Option<u16>,
    jump: Option<String>,
    sudo: Option<String>,
    identity_files: Vec<PathBuf>,
    config_file: Option<PathBuf>,
    options: Quiet<Vec<String>>,
    args: Quiet<Vec<OsString>>,
    connect_timeout: Option<Duration>,
    keepalive: Option<(Duration, u32)>,
    program: OsString,
    secrets: Secrets,
    shared: bool,
}

impl Ssh {
    /// Creates a driver for `host`, as you would pass it to `ssh`: a name, an alias of
    /// `ssh_config`, an address, or `user@host`. It is also the tunnel's name.
    pub fn new(host: impl Into<String>) -> Self {
        let host = host.into();
        Self {
            setup: Setup::new(&host),
            host,
            user: None,
            port: None,
            jump: None,
            sudo: None,
            identity_files: Vec::new(),
            config_file: None,
            options: Quiet::default(),
            args: Quiet::default(),
            connect_timeout: Some(CONNECT_TIMEOUT),
            keepalive: Some((KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)),
            program: "ssh".into(),
            secrets: Secrets::new(),
            shared: false,
        }
    }

    setup_methods!();

    /// Sets the user to log in as. Default: the user in `ssh_config`, or else the local user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the port. Default: the port in `ssh_config`, or else 22.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the jump host, or several of them separated by commas: ssh's `-J`.
    #[must_use]
    pub fn jump(mut self, hosts: impl Into<String>) -> Self {
        self.jump = Some(hosts.into());
        self
    }

    /// Sets the password for the login on the host. It is used if ssh asks for one, by the method
    /// `password` or `keyboard-interactive`, after all keys were tried.
    ///
    /// ssh gets it once. A question for anything else, such as a one-time code, is not answered, and
    /// ends the login. The host's key must be known, or
    /// [`StrictHostKeyChecking`](Self::option) must allow a new one. A password can be given only to
    /// an ssh that runs here, and not through another tunnel.
    #[must_use]
    pub fn password(self, password: Secret) -> Self {
        self.secret(SecretKind::Password, password)
    }

    /// Sets the password for jump hosts that ask for one: those of [`jump`](Self::jump), and those of
    /// `ProxyJump` in `ssh_config`. A jump host never gets the [`password`](Self::password).
    #[must_use]
    pub fn jump_password(self, password: Secret) -> Self {
        self.secret(SecretKind::JumpPassword, password)
    }

    /// Sets the passphrase of private keys. It stays on this host. A key with another passphrase is
    /// skipped.
    #[must_use]
    pub fn passphrase(self, passphrase: Secret) -> Self {
        self.secret(SecretKind::Passphrase, passphrase)
    }

    /// Sets the password for the case that [`sudo`](Self::sudo) asks for one: usually that of the user
    /// who logs in. It is sent only after sudo has written the prompt that it was given, and once.
    #[must_use]
    pub fn sudo_password(self, password: Secret) -> Self {
        self.secret(SecretKind::Sudo, password)
    }

    fn secret(mut self, kind: SecretKind, secret: Secret) -> Self {
        self.secrets = self.secrets.with(kind, secret);
        self
    }

    /// Runs the agent as root on the host, by `sudo`.
    #[must_use]
    pub fn sudo(self) -> Self {
        self.sudo_user("root")
    }

    /// Runs the agent as another user on the host, by `sudo`.
    #[must_use]
    pub fn sudo_user(mut self, user: impl Into<String>) -> Self {
        self.sudo = Some(user.into());
        self
    }

    /// Shares one connection to the host with all tunnels of this process that have the same
    /// settings and are shared too. Only the first of them logs in.
    ///
    /// The connection ends with the last tunnel that uses it, and when the controller dies in any
    /// way. Its socket is in a folder that only this user may enter. It carries up to 10 tunnels;
    /// further tunnels share another connection, and if the server allows fewer sessions
    /// (`MaxSessions`), ssh makes connections of their own for the others. A login that takes longer
    /// than 20 s is not waited for either.
    ///
    /// This has no effect on an ssh that is started through another tunnel, or that may need a password
    /// or a passphrase.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Adds a file with a private key to the keys that are tried: ssh's `-i`.
    #[must_use]
    pub fn identity_file(mut self, file: impl AsRef<Path>) -> Self {
        self.identity_files.push(file.as_ref().to_owned());
        self
    }

    /// Sets the configuration file to read in place of the user's and the system's files: ssh's
    /// `-F`.
    #[must_use]
    pub fn config_file(mut self, file: impl AsRef<Path>) -> Self {
        self.config_file = Some(file.as_ref().to_owned());
        self
    }

    /// Adds a setting as in `ssh_config`, such as `StrictHostKeyChecking=accept-new`: ssh's `-o`.
    /// It precedes all settings of this driver, and the first value of a setting counts.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Adds arguments of `ssh`, in front of the host.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets how long ssh may take to reach the host, in whole seconds, at least one. `None` leaves
    /// it to `ssh_config`. Default: 30 s.
    ///
    /// The tunnel's `handshake_timeout` includes this time.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into();
        self
    }

    /// Sets when a silent link is probed, and how many unanswered probes end it: ssh's
    /// `ServerAliveInterval`, in whole seconds, and `ServerAliveCountMax`. Default: 15 s and 3, so
    /// that a dead link is noticed within a minute.
    ///
    /// A zero interval leaves both to `ssh_config`. Over a master connection only the settings of the master count.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration, count: u32) -> Self {
        self.keepalive = (!interval.is_zero()).then_some((interval, count));
        self
    }

    /// Sets the program to run in place of `ssh`. It has to accept the same arguments.
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// Returns host, user and port, as `Debug` shows them.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&str, String, String) {
        (&self.host, format!("{:?}", self.user), format!("{:?}", self.port))
    }

    /// Returns all arguments in front of the host, except the level of ssh's messages. `secrets` are
    /// those for a login that may ask.
    async fn arguments(&self, agent: &AgentCommand, secrets: Option<&Secrets>) -> io::Result<Vec<OsString>> {
        // No terminal, no X11: both would change the bytes or the side effects of the connection.
        let mut arguments: Vec<OsString> = vec!["-T".into(), "-x".into()];
        let mut push =
            |option: &str, value: &OsStr| arguments.extend([OsString::from(option), value.to_owned()]);
        if let Some(file) = &self.config_file {
            push("-F", file.as_os_str());
        }
        for file in &self.identity_files {
            push("-i", file.as_os_str());
        }
        if let Some(user) = &self.user {
            push("-l", user.as_ref());
        }
        if let Some(port) = self.port {
            push("-p", port.to_string().as_ref());
        }
        if let Some(hosts) = &self.jump {
            push("-J", hosts.as_ref());
        }
        for option in self.options.iter() {
            push("-o", option.as_ref());
        }
        let is_recent = supports_session_options(&self.program, agent).await?;
        for option in authentication(secrets, is_recent).iter().chain(&FIXED) {
            push("-o", option.as_ref());
        }
        if is_recent {
            for option in FIXED_SINCE_8_7 {
                push("-o", option.as_ref());
            }
        }
        if let Some(timeout) = self.connect_timeout {
            push("-o", format!("ConnectTimeout={}", timeout.as_secs().max(1)).as_ref());
        }
        if let Some((interval, count)) = self.keepalive {
            push("-o", format!("ServerAliveInterval={}", interval.as_secs().max(1)).as_ref());
            push("-o", format!("ServerAliveCountMax={}", count.max(1)).as_ref());
        }
        Ok(arguments)
    }

    /// Returns the right to a session over a master connection, if this is wanted and possible.
    async fn lease(
        &self,
        agent: &AgentCommand,
        arguments: &[OsString],
        logs_in: bool,
    ) -> io::Result<Outcome> {
        if !self.shared || !agent.is_here() || logs_in {
            return Ok(Outcome::Alone);
        }
        let key = format!("{:?} {arguments:?} {:?} {}", self.program, self.args.0, self.host);
        let ssh = |socket: &Path| {
            let mut command = Command::new(&self.program);
            command.args(shared::master_arguments(socket)).args(arguments).args(["-o", LOG_LEVEL]);
            command.args(self.args.iter()).args(["--", &self.host]);
            command.env_remove("SSH_ASKPASS").env("SSH_ASKPASS_REQUIRE", "never");
            command
        };
        shared::lease(key, ssh).await
    }

    /// Returns the line for the login shell. `marks` are those for a sudo that may ask.
    fn remote_command(&self, agent: &AgentCommand, marks: Option<&Marks>) -> io::Result<OsString> {
        let interpreter = agent.python::<Self>(self.setup.interpreter.as_ref());
        let Some(user) = &self.sudo else { return agent.shell_line(&[], &interpreter) };
        let prompt = marks.map(|marks| marks.prompt.as_str());
        let prefix: Vec<_> = ["sudo"].into_iter().chain(sudo::arguments(user, prompt)).collect();
        match marks {
            Some(marks) => agent.announcing(&marks.ready)?.shell_line(&prefix, &interpreter),
            None => agent.shell_line(&prefix, &interpreter),
        }
    }

    /// Starts ssh, which asks `askpass` if there is one.
    async fn spawn(
        &self,
        agent: &AgentCommand,
        mut command: Command,
        askpass: Option<&Askpass>,
    ) -> io::Result<Link> {
        command.env_remove("SSH_ASKPASS_PROMPT");
        let Some(askpass) = askpass else {
            command.env_remove("SSH_ASKPASS").env("SSH_ASKPASS_REQUIRE", "never");
            return agent.spawn(command).await;
        };
        command.env("SSH_ASKPASS", askpass.program()).env("SSH_ASKPASS_REQUIRE", "force");
        if supports_session_options(&self.program, agent).await? {
            return agent.spawn(command).await;
        }
        // Before version 8.4, ssh asks the program only if there is a display and no terminal.
        if std::env::var_os("DISPLAY").is_none() {
            command.env("DISPLAY", ":");
        }
        if std::fs::File::open("/dev/tty").is_err() {
            return agent.spawn(command).await;
        }
        let ssh = command.as_std();
        let mut detached = Command::new("setsid");
        detached.arg(ssh.get_program()).args(ssh.get_args());
        for (name, value) in ssh.get_envs() {
            match value {
                Some(value) => detached.env(name, value),
                None => detached.env_remove(name),
            };
        }
        // `setsid` becomes ssh, unless it is the leader of a process group.
        Link::spawn_as_it_is(detached)
    }
}

#[async_trait]
impl Driver for Ssh {
    fn host(&self) -> HostName {
        self.setup.name.clone()
    }

    fn options(&self) -> AgentOptions {
        self.setup.options.clone()
    }

    fn destination(&self) -> Option<String> {
        // It is the first hop that sees all who have not logged in; those that are hidden in a configuration cannot be told.
        let first = match &self.jump {
            Some(hosts) => hosts.split(',').next().unwrap_or_default().to_owned(),
            None => format!(
                "{}:{}",
                self.host.rsplit('@').next().unwrap_or_default(),
                self.port.unwrap_or_default()
            ),
        };
        Some(format!("{first} {:?} {:?}", self.config_file, self.program))
    }

    async fn is_quiet(&self, agent: &AgentCommand) -> bool {
        let Ok(arguments) = self.arguments(agent, None).await else { return false };
        let mut command = Command::new(&self.program);
        command.arg("-G").args(arguments).args(self.args.iter()).args(["--", &self.host]);
        match tokio::time::timeout(QUESTION_TIMEOUT, agent.output(command)).await {
            Ok(Ok(output)) => is_quiet(&String::from_utf8_lossy(&output.stdout)),
            _ => false,
        }
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        if !agent.is_here() && self.secrets.may_have(LOGIN) {
            let text = "a password or passphrase can be given only to an ssh that runs here: use `jump` to log in \
                        through another host";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let secrets = self.secrets.clone().or(agent.secrets());
        let logs_in = agent.is_here() && secrets.may_have(LOGIN);
        let marks = (self.sudo.is_some() && secrets.may_have(&[SecretKind::Sudo])).then(Marks::new);
        let arguments = self.arguments(agent, logs_in.then_some(&secrets)).await?;
        // Each login asks by itself.
        let lease = match self.lease(agent, &arguments, logs_in).await? {
            Outcome::Shared(lease) => Some(lease),
            Outcome::Failed(link) => return Ok(*link),
            Outcome::Alone => None,
        };
        let mut command = Command::new(&self.program);
        if let Some(lease) = &lease {
            command.args(shared::session_arguments(lease.socket()));
        }
        command.args(arguments).args(["-o", LOG_LEVEL]).args(self.args.iter());
        command.args(["--", &self.host]).arg(self.remote_command(agent, marks.as_ref())?);
        let askpass = if logs_in { Some(Askpass::new().await?) } else { None };
        let mut link = self.spawn(agent, command, askpass.as_ref()).await?;
        if let Some(lease) = lease {
            // It holds the master connection until the tunnel's own has ended.
            link = link.clean_up(async move { drop(lease) });
        }
        let (host, progress) = (self.host(), Arc::<Progress>::default());
        if let Some(askpass) = askpass {
            let (host, secrets) = (host.clone(), secrets.clone());
            let login = Login { host, pid: link.id(), secrets, progress: progress.clone() };
            // It ends when ssh has logged in, or when the link is dropped.
            tokio::spawn(askpass.answer(login));
        }
        Ok(match marks {
            Some(marks) => dialogue::answer(link, host, secrets, marks, &progress),
            None if logs_in => dialogue::follow(link, &progress),
            None => link,
        })
    }
}

/// Returns whether the `ssh` is OpenSSH 8.7 or later. This is determined once for each program,
/// here and on the far side of each connection.
async fn supports_session_options(program: &OsStr, agent: &AgentCommand) -> io::Result<bool> {
    // Of the programs of this host, which are the same for all who ask.
    static HERE: LazyLock<Known> = LazyLock::new(Known::default);
    let there = agent.known().await?;
    let known = there.as_deref().unwrap_or(&*HERE);
    if let Some(is_supported) = known.get(program) {
        return Ok(is_supported);
    }
    let mut command = Command::new(program);
    command.arg("-V");
    let is_supported = match tokio::time::timeout(QUESTION_TIMEOUT, agent.output(command)).await {
        Ok(Ok(output)) => version(&String::from_utf8_lossy(&output.stderr)) >= Some((8, 7)),
        // Starting it in earnest will tell what is wrong.
        _ => return Ok(false),
    };
    known.set(program, is_supported);
    Ok(is_supported)
}

/// Returns the version in the output of `ssh -V`:
/// `OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 1 Jan 2026`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, text) = text.split_once("OpenSSH_")?;
    // Windows has its own name in front of the number.
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let (major, rest) = text.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns whether the level in the output of `ssh -G` is one at which ssh reports at most errors.
fn is_quiet(settings: &str) -> bool {
    let level = settings.lines().find_map(|line| line.strip_prefix("loglevel "));
    matches!(level.map(str::trim_end), Some("SILENT" | "QUIET" | "FATAL" | "ERROR"))
}

/// Returns the settings for a login that may ask for `secrets`. They come before [`FIXED`].
fn authentication(secrets: Option<&Secrets>, is_recent: bool) -> Vec<&'static str> {
    let Some(secrets) = secrets else { return Vec::new() };
    // A second attempt could lock an account.
    let mut options = vec!["BatchMode=no", "NumberOfPasswordPrompts=1"];
    let has_password = secrets.may_have(&[SecretKind::JumpPassword, SecretKind::Password]);
    let has_passphrase = secrets.may_have(&[SecretKind::Passphrase]);
    if !has_password {
        options.push("PasswordAuthentication=no");
    }
    // An ssh before version 8.5 does not mark the texts of the server, which could ask for the passphrase.
    if !has_password || (has_passphrase && !is_recent) {
        options.push("KbdInteractiveAuthentication=no");
    }
    options
}

/// The secrets that ssh itself asks for.
const LOGIN: &[SecretKind] = &[SecretKind::JumpPassword, SecretKind::Passphrase, SecretKind::Password];

/// The settings that override the configuration, unless [`Ssh::option`] sets them.
const FIXED: [&str; 7] = [
    // Nobody is there to answer.
    "BatchMode=yes",
    // A master connection that is there is used, and none is made: the tunnels that share one would end with the tunnel that made it.
    "ControlMaster=no",
    "ClearAllForwardings=yes",
    "Tunnel=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "EscapeChar=none",
];

/// Errors quote the messages of ssh, and at this level ssh reports why a link was lost. Messages
/// that the user's own level hides are not shown.
const LOG_LEVEL: &str = "LogLevel=INFO";

/// Further settings for versions that know them. Other versions reject them.
const FIXED_SINCE_8_7: [&str; 3] = ["SessionType=default", "StdinNull=no", "ForkAfterAuthentication=no"];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 3;
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

impl Sealed for Ssh {
    const KIND: &str = "ssh";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_what_ssh_prints() {
        assert_eq!(version("OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19\n"), Some((9, 2)));
        assert_eq!(version("OpenSSH_7.4p1, OpenSSL 1.0.2k-fips"), Some((7, 4)));
        assert_eq!(version("OpenSSH_for_Windows_8.1p1, LibreSSL 3.0.2"), Some((8, 1)));
        assert_eq!(version("OpenSSH_10.0p2"), Some((10, 0)));
        assert_eq!(version("Dropbear v2022.83"), None);
    }

    #[test]
    fn level_is_read_from_what_ssh_prints() {
        assert!(is_quiet("user me\nloglevel ERROR\nport 22\n"));
        assert!(is_quiet("loglevel QUIET\r\n"));
        // As OpenSSH prints `QUIET`.
        assert!(is_quiet("loglevel SILENT\n"));
        assert!(!is_quiet("user me\nloglevel INFO\n"));
        assert!(!is_quiet("loglevel DEBUG\nhostname loglevel QUIET\n"));
        assert!(!is_quiet(""));
    }
}
