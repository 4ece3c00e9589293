//! Targets: hosts, and how to reach them, written as a text.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{
    driver::{Driver, Ssh},
    host::{HostName, InvalidHostName},
    interpreter::Interpreter,
};

use self::place::{Named, Place};

mod place;

/// A host, and how to reach it, written as a text.
///
/// | text | what it reaches |
/// |---|---|
/// | `local` | a subprocess: [`Local`](crate::Local) |
/// | `HOST`, `USER@HOST`, `ssh://USER@HOST:PORT` | another host: [`Ssh`] |
/// | `sudo:USER` | another user here: [`Sudo`](crate::Sudo) |
/// | `docker://IMAGE`, `podman://IMAGE` | a fresh container: [`Docker`](crate::Docker), [`Podman`](crate::Podman) |
/// | `docker-exec://CONTAINER`, `podman-exec://CONTAINER` | a container that runs: [`Docker::attach`](crate::Docker::attach) |
/// | `su:USER`, `doas:USER` | another user here: [`Su`](crate::Su), [`Doas`](crate::Doas) |
/// | `compose://SERVICE` | a container of Docker Compose: [`Compose`](crate::Compose) |
/// | `kubectl://POD`, `kubectl://NAMESPACE/POD` | a pod of Kubernetes: [`Kubectl`](crate::Kubectl) |
/// | `lxc://CONTAINER`, `incus://INSTANCE`, `lxd://INSTANCE` | a running system container: [`Lxc`](crate::Lxc), [`Incus`](crate::Incus) |
/// | `nspawn://FOLDER`, `nspawn://IMAGE`, `machine://MACHINE` | a new or running container of systemd: [`Nspawn`](crate::Nspawn), [`Machine`](crate::Machine) |
/// | `chroot:FOLDER` | another root folder here: [`Chroot`](crate::Chroot) |
/// | `nsenter:PID`, `netns:NETWORK` | the namespaces of a process, a network: [`Nsenter`](crate::Nsenter) |
/// | `slurm:`, `slurm:PARTITION` | a job on a cluster: [`Slurm`](crate::Slurm) |
/// | `exec:PROGRAM ARGUMENT…` | whatever the program reaches: [`Command`](crate::Command); words are separated and quoted as in a shell |
/// | `TARGET/TARGET`, as in `bastion/ssh://db1/sudo:root` | each target from the far side of the one before |
///
/// A target after a `/` has to begin with one of these words and its colon, as `ssh://` or `local:`.
/// If such a text is not meant as a target, write its `/` as `%2F`. The tunnel's name is composed of all names, as in
/// `bastion/db1/root@localhost`.
///
/// An IPv6 address is written as it is, with or without brackets: `fe80::1%eth0`, `[::1]`,
/// `admin@[::1]:2222`. After `ssh://`, the `%` of a zone is written as `%25`.
///
/// The text may begin with `NAME=`, the tunnel's name. Each target except `exec:` may end with its
/// settings, as in `web1?python=auto&env=LANG=C`. Characters that have a meaning there are written
/// as `%` and two hexadecimal digits.
///
/// | setting | of | |
/// |---|---|---|
/// | `python` | all | path or name of the interpreter, or `auto` |
/// | `cwd`, `env`, `site-packages` | all | a folder, `NAME=VALUE`, `yes` |
/// | `config`, `identity`, `jump`, `sudo`, `option` | ssh | as the methods of [`Ssh`]; `sudo` alone is root |
/// | `connect-timeout` | ssh | seconds |
/// | `shared` | ssh | `yes` |
/// | `name`, `network`, `volume`, `keep`, `persistent` | new containers | as the methods of [`Docker`](crate::Docker) |
/// | `user`, `workdir` | containers | as the methods of [`Docker`](crate::Docker) |
/// | `arg` | all programs but ssh and sudo | an argument of the program |
/// | `shell`, `login` | su | as the methods of [`Su`](crate::Su) |
/// | `file`, `project`, `index` | compose | as the methods of [`Compose`](crate::Compose) |
/// | `namespace`, `container`, `context`, `kubeconfig` | kubectl | as the methods of [`Kubectl`](crate::Kubectl) |
/// | `path`, `uid` | lxc | as the methods of [`Lxc`](crate::Lxc) |
/// | `project`, `uid` | incus, lxd | as the methods of [`Incus`](crate::Incus) |
/// | `user` | chroot, nspawn, machine | a user there |
/// | `bind`, `ephemeral`, `unregistered` | nspawn | as the methods of [`Nspawn`](crate::Nspawn) |
/// | `namespace` | nsenter | as the method of [`Nsenter`](crate::Nsenter) |
/// | `time`, `cpus` | slurm | as the methods of [`Slurm`](crate::Slurm) |
/// | `nodes` | slurm | the number of nodes of an allocation, which all targets with the same text share |
///
/// ```
/// use chopsticks_driver::Address;
///
/// let address: Address = "db=ssh://admin@10.0.0.7:2222?sudo&python=auto".parse()?;
/// assert_eq!(address.host().as_str(), "db");
/// # Ok::<(), chopsticks_driver::InvalidTarget>(())
/// ```
#[derive(Clone)]
pub struct Address {
    text: String,
    host: HostName,
    /// The hops on the way, outermost first.
    hops: Vec<Hop>,
    place: Place,
}

/// A target on the way to an [`Address`].
#[derive(Clone)]
pub struct Hop {
    /// The text, with everything in front of it.
    text: String,
    host: HostName,
    place: Place,
}

/// Error for a text that is not a target.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("invalid target '{text}': {reason}")]
pub struct InvalidTarget {
    text: String,
    reason: String,
}

/// Does not show the text, which contains arguments and variables.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, hops, place, .. } = self;
        let mut shown = f.debug_struct("Address");
        shown.field("host", host).field("hops", hops).field("place", place).finish_non_exhaustive()
    }
}

/// Does not show the text, like [`Address`].
impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, place, .. } = self;
        f.debug_struct("Hop").field("host", host).field("place", place).finish_non_exhaustive()
    }
}

impl Address {
    /// Returns the name of its tunnel.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Sets the interpreter, unless the text sets one.
    #[must_use]
    pub fn or_python(mut self, interpreter: impl Into<Interpreter>) -> Self {
        let python = interpreter.into();
        self.place = self.place.or_python(&python);
        for hop in &mut self.hops {
            hop.place = hop.place.clone().or_python(&python);
        }
        self
    }

    /// Returns the hops on the way, outermost first.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// Returns the driver of the target, to be used behind all hops.
    pub fn driver(&self) -> Arc<dyn Driver> {
        self.place.driver(&self.host)
    }
}

impl Hop {
    /// Returns its text, with everything in front of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns its driver, to be used behind the hops in front of it.
    pub fn driver(&self) -> Arc<dyn Driver> {
        self.place.driver(&self.host)
    }
}

impl FromStr for Address {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let text = text.to_owned();
        match parse(&text) {
            Ok((host, hops, place)) => Ok(Self { text, host, hops, place }),
            Err(reason) => Err(InvalidTarget { text, reason }),
        }
    }
}

/// Writes the text as it was given.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Result<(HostName, Vec<Hop>, Place), String> {
    // A name cannot have what stands in a place before a setting does.
    let (name, text) = match text.split_once('=') {
        Some((name, text)) if !name.contains([':', '/', '?', '@']) => (Some(name), text),
        _ => (None, text),
    };
    if name == Some("") {
        return Err("missing name before the `=`".to_owned());
    }
    let ends = ends_of_hops(text);
    let mut hops = Vec::new();
    let (mut begin, mut names) = (0, String::new());
    for end in ends {
        let (place, default) = one(&text[begin..end], &text[..begin])?;
        names.push_str(&default);
        hops.push(Hop { text: text[..end].to_owned(), host: named(&names)?, place });
        names.push('/');
        begin = end + 1;
    }
    let (place, default) = one(&text[begin..], &text[..begin])?;
    let host = named(name.unwrap_or(&(names + &default)))?;
    Ok((host, hops, place))
}

/// Returns the positions of each `/` that ends a target on the way.
fn ends_of_hops(text: &str) -> Vec<usize> {
    let (mut ends, mut begin) = (Vec::new(), 0);
    for (at, _) in text.match_indices('/') {
        // What follows `exec:` may be anything.
        if text[begin..].starts_with("exec:") {
            break;
        }
        let is_end = at > begin && SCHEMES.iter().any(|scheme| text[at + 1..].starts_with(scheme));
        // Not the second of the two in `ssh://`.
        if is_end && !text[begin..at].ends_with(":/") {
            ends.push(at);
            begin = at + 1;
        }
    }
    ends
}

/// Parses one of the targets between the `/`. `way` is what is in front of it.
fn one(text: &str, way: &str) -> Result<Named, String> {
    if let Some(command) = text.strip_prefix("exec:") {
        return place::command(command);
    }
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let mut settings = Settings::parse(query, way)?;
    let named = match place.split_once("://") {
        Some((scheme, rest)) => place::schemed(scheme, rest, &mut settings)?,
        None => bare(place, &mut settings)?,
    };
    settings.finish()?;
    Ok(named)
}

fn named(name: &str) -> Result<HostName, String> {
    name.parse().map_err(|error: InvalidHostName| error.to_string())
}

fn bare(place: &str, settings: &mut Settings<'_>) -> Result<Named, String> {
    if place.is_empty() {
        return Err(format!("it is empty; {ACCEPTED}"));
    }
    if place == "local" || place == "local:" {
        return place::local(settings);
    }
    if let Some(named) = place::prefixed(place, settings)? {
        return Ok(named);
    }
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    if host.starts_with('[') {
        let ssh = ssh(place, settings)?;
        // The port belongs to the name, the brackets only without one do not.
        let name = match place.strip_suffix(']') {
            Some(name) => name.replacen('[', "", 1),
            None => place.to_owned(),
        };
        return Ok((ssh.into(), name));
    }
    if host.contains(':') && !is_address(host) {
        return Err(match host.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => {
                format!("write the port as in `ssh://{host}:{port}`")
            }
            _ => format!("`{}:` is not known; {ACCEPTED}", place.split(':').next().unwrap_or_default()),
        });
    }
    check_host(host)?;
    place::plain_ssh(place, settings)
}

/// Parses `USER@HOST:PORT`. An IPv6 address is in brackets.
fn ssh(authority: &str, settings: &mut Settings<'_>) -> Result<Ssh, String> {
    let (user, rest) = match authority.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, authority),
    };
    let (host, port) = match rest.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (
            host,
            port.strip_prefix(':')
                .or(port.is_empty().then_some(""))
                .ok_or("expected `:PORT` after the `]`")?,
        ),
        Some(None) => return Err("a bracket is not closed".to_owned()),
        None if is_address(rest) => (rest, ""),
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    if rest.starts_with('[') && !is_address(host) {
        return Err(format!("'{host}' in brackets is not an IPv6 address"));
    }
    check_host(host)?;
    let mut ssh = Ssh::new(host);
    if let Some(user) = user {
        ssh = ssh.user(user);
    }
    if !port.is_empty() {
        ssh = ssh.port(port.parse().map_err(|_| format!("invalid port '{port}'"))?);
    }
    ssh_settings(ssh, settings)
}

fn ssh_settings(mut ssh: Ssh, settings: &mut Settings<'_>) -> Result<Ssh, String> {
    for file in settings.take("identity")? {
        ssh = ssh.identity_file(file);
    }
    for option in settings.take("option")? {
        ssh = ssh.option(option);
    }
    if let Some(file) = settings.take_one("config")? {
        ssh = ssh.config_file(file);
    }
    if let Some(hosts) = settings.take_one("jump")? {
        ssh = ssh.jump(hosts);
    }
    if let Some(seconds) = settings.take_one("connect-timeout")? {
        let seconds =
            seconds.parse().map_err(|_| format!("`connect-timeout={seconds}` is not a number of seconds"))?;
        ssh = ssh.connect_timeout(std::time::Duration::from_secs(seconds));
    }
    if settings.take_yes("shared")? {
        ssh = ssh.shared();
    }
    if let Some(user) = settings.take_switch("sudo")? {
        ssh = if user.is_empty() { ssh.sudo() } else { ssh.sudo_user(user) };
    }
    Ok(common!(ssh, settings))
}

/// Returns whether `host` is an IP address. An IPv6 address may have a zone: `fe80::1%eth0`.
fn is_address(host: &str) -> bool {
    match host.split_once('%') {
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty(),
        None => host.parse::<IpAddr>().is_ok(),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "=/\\'\"`$&|;<>(){}[]*!#,".contains(c);
    if host.is_empty() || host.starts_with('-') || host.contains(is_odd) {
        return Err(format!("invalid host name '{host}'; {ACCEPTED}"));
    }
    Ok(())
}

/// Applies the settings of every driver.
macro_rules! common {
    ($driver:expr, $settings:expr) => {{
        let mut driver = $driver;
        if let Some(python) = $settings.take_one("python")? {
            driver = driver.python(python);
        }
        if let Some(folder) = $settings.take_one("cwd")? {
            driver = driver.current_dir(folder);
        }
        for variable in $settings.take("env")? {
            let (name, value) = variable.split_once('=').ok_or("expected `env=NAME=VALUE`")?;
            driver = driver.env(name, value);
        }
        if $settings.take_yes("site-packages")? {
            driver = driver.with_site_packages();
        }
        if $settings.take_yes("user-site")? {
            driver = driver.with_user_site();
        }
        if $settings.take_yes("search-path")? {
            driver = driver.with_search_path();
        }
        driver
    }};
}
use common;

/// Applies the settings of containers, new or running.
#[cfg(feature = "containers")]
macro_rules! container {
    ($driver:expr, $settings:expr) => {{
        let mut driver = common!($driver, $settings);
        if let Some(user) = $settings.take_one("user")? {
            driver = driver.user(user);
        }
        if let Some(folder) = $settings.take_one("workdir")? {
            driver = driver.workdir(folder);
        }
        driver.args($settings.take("arg")?)
    }};
}
#[cfg(feature = "containers")]
use container;

/// The settings after the `?`.
struct Settings<'a> {
    given: Vec<(String, Option<String>)>,
    /// The targets in front of this one.
    way: &'a str,
}

impl<'a> Settings<'a> {
    fn parse(query: &str, way: &'a str) -> Result<Self, String> {
        let parts = query.split('&').filter(|part| !part.is_empty());
        let read = |part: &str| match part.split_once('=') {
            Some((key, value)) => Ok((decode(key)?, Some(decode(value)?))),
            None => Ok((decode(part)?, None)),
        };
        let given = parts.map(read).collect::<Result<_, String>>()?;
        Ok(Self { given, way })
    }

    fn way(&self) -> &str {
        self.way
    }

    /// Takes all values of `key`. Each setting must have a value.
    fn take(&mut self, key: &str) -> Result<Vec<String>, String> {
        let taken: Vec<_> = self.given.extract_if(.., |(name, _)| name == key).collect();
        taken.into_iter().map(|(_, value)| value.ok_or_else(|| format!("`{key}` has no value"))).collect()
    }

    fn take_one(&mut self, key: &str) -> Result<Option<String>, String> {
        let mut values = self.take(key)?;
        let last = values.pop();
        if values.is_empty() { Ok(last) } else { Err(format!("`{key}` is set twice")) }
    }

    /// Takes the value of a setting that may have no value, which is then empty.
    fn take_switch(&mut self, key: &str) -> Result<Option<String>, String> {
        for (name, value) in &mut self.given {
            if name == key {
                value.get_or_insert_default();
            }
        }
        self.take_one(key)
    }

    fn take_yes(&mut self, key: &str) -> Result<bool, String> {
        match self.take_switch(key)?.as_deref() {
            None | Some("no") => Ok(false),
            Some("" | "yes") => Ok(true),
            Some(value) => Err(format!("`{key}={value}` is neither `yes` nor `no`")),
        }
    }

    fn finish(self) -> Result<(), String> {
        match self.given.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("unknown setting `{key}` for this kind of target")),
        }
    }
}

fn decode(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "a `%` sequence is not UTF-8")?;
    Ok(text.into_owned())
}

/// The beginnings of targets that can follow a `/`.
const SCHEMES: [&str; 21] = [
    "chroot:",
    "compose://",
    "doas:",
    "docker-exec://",
    "docker://",
    "exec:",
    "incus://",
    "kubectl://",
    "local:",
    "lxc://",
    "lxd://",
    "machine://",
    "netns:",
    "nsenter:",
    "nspawn://",
    "podman-exec://",
    "podman://",
    "slurm:",
    "ssh://",
    "su:",
    "sudo:",
];

const ACCEPTED: &str = "expected one of `local`, `HOST`, `USER@HOST`, `ssh://USER@HOST:PORT`, `sudo:USER`, `su:USER`, \
                        `doas:USER`, `docker://IMAGE`, `docker-exec://CONTAINER`, `podman://IMAGE`, \
                        `podman-exec://CONTAINER`, `compose://SERVICE`, `kubectl://NAMESPACE/POD`, `lxc://CONTAINER`, \
                        `incus://INSTANCE`, `lxd://INSTANCE`, `nspawn://FOLDER`, `machine://MACHINE`, `chroot:FOLDER`, \
                        `nsenter:PID`, `netns:NETWORK`, `slurm:PARTITION` or `exec:COMMAND`, each with an optional \
                        `NAME=` in front";

#[cfg(test)]
#[cfg(feature = "containers")]
mod tests;
