//! Targets: hosts written as a text.

use std::{fmt, net::IpAddr, str::FromStr};

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{
    config::TunnelConfig,
    driver::{Command, Docker, DockerExec, Local, Podman, PodmanExec, Ssh, Sudo},
    host::{HostName, InvalidHostName},
    interpreter::Interpreter,
    tunnel::Tunnel,
};

/// A host, and how to reach it, written as a text.
///
/// | text | what it reaches |
/// |---|---|
/// | `local` | a subprocess: [`Local`] |
/// | `HOST`, `USER@HOST`, `ssh://USER@HOST:PORT` | another host: [`Ssh`] |
/// | `sudo:USER` | another user here: [`Sudo`] |
/// | `docker://IMAGE`, `podman://IMAGE` | a fresh container: [`Docker`], [`Podman`] |
/// | `docker-exec://CONTAINER`, `podman-exec://CONTAINER` | a container that runs: [`Docker::attach`] |
/// | `exec:PROGRAM ARGUMENT…` | whatever the program reaches: [`Command`]; words are separated and quoted as in a shell |
///
/// In front of each can stand `NAME=`, the tunnel's name, and behind each but `exec:` its settings, as in
/// `web1?python=auto&env=LANG=C`. Characters that have a meaning there are written as `%` and two hexadecimal digits.
///
/// | setting | of | |
/// |---|---|---|
/// | `python` | all | path or name of the interpreter, or `auto` |
/// | `cwd`, `env`, `site-packages` | all | a folder, `NAME=VALUE`, `yes` |
/// | `config`, `identity`, `jump`, `sudo`, `option` | ssh | as the methods of [`Ssh`]; `sudo` alone is root |
/// | `connect-timeout` | ssh | seconds |
/// | `name`, `network`, `volume`, `user`, `workdir`, `arg` | containers | as the methods of [`Docker`] |
///
/// ```
/// use chopsticks_tunnel::{Target, TunnelConfig};
///
/// let target: Target = "db=ssh://admin@10.0.0.7:2222?sudo&python=auto".parse()?;
/// let tunnel = target.tunnel(TunnelConfig::default());
/// assert_eq!(tunnel.host().as_str(), "db");
/// # Ok::<(), chopsticks_tunnel::InvalidTarget>(())
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    text: String,
    host: HostName,
    place: Place,
}

/// The driver that a target stands for.
#[derive(Clone, Debug)]
enum Place {
    Command(Command),
    Docker(Box<Docker>),
    DockerExec(DockerExec),
    Local(Local),
    Podman(Box<Podman>),
    PodmanExec(PodmanExec),
    Ssh(Box<Ssh>),
    Sudo(Sudo),
}

/// A text that is no target.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("'{text}' is no target: {reason}")]
pub struct InvalidTarget {
    text: String,
    reason: String,
}

impl Target {
    /// Returns the name that its tunnel has.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Sets the interpreter, unless the text has set one.
    #[must_use]
    pub fn or_python(mut self, interpreter: impl Into<Interpreter>) -> Self {
        let python = interpreter.into();
        self.place = match self.place {
            // Words that end in an interpreter say which.
            Place::Command(driver) if !driver.has_place() => Place::Command(driver),
            Place::Command(driver) => Place::Command(driver.or_python(&python)),
            Place::Docker(driver) => Place::Docker(Box::new(driver.or_python(&python))),
            Place::DockerExec(driver) => Place::DockerExec(driver.or_python(&python)),
            Place::Local(driver) => Place::Local(driver.or_python(&python)),
            Place::Podman(driver) => Place::Podman(Box::new(driver.or_python(&python))),
            Place::PodmanExec(driver) => Place::PodmanExec(driver.or_python(&python)),
            Place::Ssh(driver) => Place::Ssh(Box::new(driver.or_python(&python))),
            Place::Sudo(driver) => Place::Sudo(driver.or_python(&python)),
        };
        self
    }

    /// Makes a tunnel to it, which is not connected yet.
    pub fn tunnel(&self, config: TunnelConfig) -> Tunnel {
        let name = &self.host;
        match self.place.clone() {
            Place::Command(driver) => Tunnel::with_config(driver.name(name), config),
            Place::Docker(driver) => Tunnel::with_config(driver.name(name), config),
            Place::DockerExec(driver) => Tunnel::with_config(driver.name(name), config),
            Place::Local(driver) => Tunnel::with_config(driver.name(name), config),
            Place::Podman(driver) => Tunnel::with_config(driver.name(name), config),
            Place::PodmanExec(driver) => Tunnel::with_config(driver.name(name), config),
            Place::Ssh(driver) => Tunnel::with_config(driver.name(name), config),
            Place::Sudo(driver) => Tunnel::with_config(driver.name(name), config),
        }
    }
}

impl From<Target> for Tunnel {
    fn from(target: Target) -> Self {
        target.tunnel(TunnelConfig::default())
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let text = text.to_owned();
        match parse(&text) {
            Ok((host, place)) => Ok(Self { text, host, place }),
            Err(reason) => Err(InvalidTarget { text, reason }),
        }
    }
}

/// The text, as it was given.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Result<(HostName, Place), String> {
    // A name cannot have what stands in a place before a setting does.
    let (name, text) = match text.split_once('=') {
        Some((name, text)) if !name.contains([':', '/', '?', '@']) => (Some(name), text),
        _ => (None, text),
    };
    if let Some(command) = text.strip_prefix("exec:") {
        let (place, default) = command_place(command)?;
        return finish(name, &default, place);
    }
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let mut settings = Settings::parse(query)?;
    let (place, default) = match place.split_once("://") {
        Some((scheme, rest)) => schemed(scheme, rest, &mut settings)?,
        None => bare(place, &mut settings)?,
    };
    settings.finish()?;
    finish(name, &default, place)
}

fn finish(name: Option<&str>, default: &str, place: Place) -> Result<(HostName, Place), String> {
    if name == Some("") {
        return Err("there is no name in front of the `=`".to_owned());
    }
    let host = name.unwrap_or(default).parse().map_err(|error: InvalidHostName| error.to_string())?;
    Ok((host, place))
}

/// A place, and the name that it has by default.
type Named = (Place, String);

fn command_place(text: &str) -> Result<Named, String> {
    let words = shlex::split(text).ok_or("a quote is not closed")?;
    let Some((program, arguments)) = words.split_first() else {
        return Err("a program is wanted after `exec:`".to_owned());
    };
    if arguments.is_empty() {
        return Err(
            "what follows `exec:` is to end in an interpreter, or to have `{}` where a shell line goes"
                .to_owned(),
        );
    }
    let command = Command::new(program).args(arguments);
    Ok((Place::Command(command), program.rsplit('/').next().unwrap_or(program).to_owned()))
}

fn schemed(scheme: &str, rest: &str, settings: &mut Settings) -> Result<Named, String> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Err(format!("nothing follows `{scheme}://`"));
    }
    let rest = decode(rest)?;
    Ok(match scheme {
        "ssh" => (Place::Ssh(Box::new(ssh(&rest, settings)?)), rest),
        "docker" => {
            let (docker, name) = fresh!(Docker, &rest, settings);
            (Place::Docker(Box::new(docker)), name)
        }
        "podman" => {
            let (podman, name) = fresh!(Podman, &rest, settings);
            (Place::Podman(Box::new(podman)), name)
        }
        "docker-exec" => (Place::DockerExec(attached!(Docker, &rest, settings)), rest),
        "podman-exec" => (Place::PodmanExec(attached!(Podman, &rest, settings)), rest),
        _ => return Err(format!("`{scheme}://` is not known; {ACCEPTED}")),
    })
}

fn bare(place: &str, settings: &mut Settings) -> Result<Named, String> {
    if place.is_empty() {
        return Err(format!("it is empty; {ACCEPTED}"));
    }
    if place == "local" {
        return Ok((Place::Local(common!(Local::new(), settings)), "localhost".to_owned()));
    }
    if let Some(user) = place.strip_prefix("sudo:") {
        if user.is_empty() {
            return Err("a user is wanted after `sudo:`".to_owned());
        }
        let user = decode(user)?;
        return Ok((Place::Sudo(common!(Sudo::new(&user), settings)), format!("{user}@localhost")));
    }
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    if host.contains(':') && host.parse::<IpAddr>().is_err() {
        return Err(match host.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => {
                format!("a port is given as in `ssh://{host}:{port}`")
            }
            _ => format!("`{}:` is not known; {ACCEPTED}", place.split(':').next().unwrap_or_default()),
        });
    }
    check_host(host)?;
    Ok((Place::Ssh(Box::new(ssh_settings(Ssh::new(place), settings)?)), place.to_owned()))
}

/// Reads `USER@HOST:PORT`; an IPv6 address is in brackets.
fn ssh(authority: &str, settings: &mut Settings) -> Result<Ssh, String> {
    let (user, rest) = match authority.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, authority),
    };
    let (host, port) = match rest.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (
            host,
            port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or("what follows `]` is no port")?,
        ),
        Some(None) => return Err("a bracket is not closed".to_owned()),
        None if rest.parse::<IpAddr>().is_ok() => (rest, ""),
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    check_host(host)?;
    let mut ssh = Ssh::new(host);
    if let Some(user) = user {
        ssh = ssh.user(user);
    }
    if !port.is_empty() {
        ssh = ssh.port(port.parse().map_err(|_| format!("'{port}' is no port"))?);
    }
    ssh_settings(ssh, settings)
}

fn ssh_settings(mut ssh: Ssh, settings: &mut Settings) -> Result<Ssh, String> {
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
            seconds.parse().map_err(|_| format!("`connect-timeout={seconds}` is no number of seconds"))?;
        ssh = ssh.connect_timeout(std::time::Duration::from_secs(seconds));
    }
    if let Some(user) = settings.take_switch("sudo")? {
        ssh = if user.is_empty() { ssh.sudo() } else { ssh.sudo_user(user) };
    }
    Ok(common!(ssh, settings))
}

fn check_host(host: &str) -> Result<(), String> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "=/\\'\"`$&|;<>(){}*!#,".contains(c);
    if host.is_empty() || host.starts_with('-') || host.contains(is_odd) {
        return Err(format!("'{host}' is no name of a host; {ACCEPTED}"));
    }
    Ok(())
}

/// Sets what every driver has.
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
            let (name, value) = variable.split_once('=').ok_or("`env=NAME=VALUE` is wanted")?;
            driver = driver.env(name, value);
        }
        if $settings.take_yes("site-packages")? {
            driver = driver.with_site_packages();
        }
        driver
    }};
}
use common;

/// Sets what containers have, fresh or not.
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
use container;

macro_rules! attached {
    ($type:ident, $container:expr, $settings:expr) => {
        container!($type::attach($container), $settings)
    };
}
use attached;

/// Makes a fresh container and tells its name.
macro_rules! fresh {
    ($type:ident, $image:expr, $settings:expr) => {{
        let image = $image;
        let (driver, name) = match $settings.take_one("name")? {
            Some(name) => ($type::new(&name).image(image), name),
            None => ($type::of_image(image), image.to_owned()),
        };
        let mut driver = container!(driver, $settings);
        if let Some(network) = $settings.take_one("network")? {
            driver = driver.network(network);
        }
        for volume in $settings.take("volume")? {
            driver = driver.volume(volume);
        }
        (driver, name)
    }};
}
use fresh;

/// The settings behind the `?`.
struct Settings(Vec<(String, Option<String>)>);

impl Settings {
    fn parse(query: &str) -> Result<Self, String> {
        let parts = query.split('&').filter(|part| !part.is_empty());
        let read = |part: &str| match part.split_once('=') {
            Some((key, value)) => Ok((decode(key)?, Some(decode(value)?))),
            None => Ok((decode(part)?, None)),
        };
        parts.map(read).collect::<Result<_, String>>().map(Self)
    }

    /// All values of `key`, each of which must have one.
    fn take(&mut self, key: &str) -> Result<Vec<String>, String> {
        let taken: Vec<_> = self.0.extract_if(.., |(name, _)| name == key).collect();
        taken.into_iter().map(|(_, value)| value.ok_or_else(|| format!("`{key}` has no value"))).collect()
    }

    fn take_one(&mut self, key: &str) -> Result<Option<String>, String> {
        let mut values = self.take(key)?;
        let last = values.pop();
        if values.is_empty() { Ok(last) } else { Err(format!("`{key}` is set twice")) }
    }

    /// The value of a setting that may stand alone, and is empty then.
    fn take_switch(&mut self, key: &str) -> Result<Option<String>, String> {
        for (name, value) in &mut self.0 {
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
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(format!("the setting `{key}` is not known, or not for this kind of target"))
            }
        }
    }
}

fn decode(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "a `%` sequence is no UTF-8")?;
    Ok(text.into_owned())
}

const ACCEPTED: &str = "accepted are `local`, `HOST`, `USER@HOST`, `ssh://USER@HOST:PORT`, `sudo:USER`, `docker://IMAGE`, \
                        `docker-exec://CONTAINER`, `podman://IMAGE`, `podman-exec://CONTAINER` and `exec:COMMAND`, each with \
                        `NAME=` in front if wanted";

#[cfg(test)]
mod tests;
