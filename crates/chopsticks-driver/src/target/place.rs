//! The drivers of targets, and the parts of texts that name them.

use std::sync::Arc;

#[cfg(feature = "containers")]
use super::container;
use super::{ACCEPTED, Settings, common, decode, ssh, ssh_settings};
#[cfg(feature = "containers")]
use crate::driver::{Compose, Docker, DockerExec, Podman, PodmanExec};
use crate::{
    driver::{
        Chroot, Command, Doas, Driver, Incus, Kubectl, Local, Lxc, Machine, Nsenter, Nspawn, Slurm,
        SlurmNode, Ssh, Su, Sudo,
    },
    host::HostName,
    interpreter::Interpreter,
};

/// A place, and its default name.
pub(super) type Named = (Place, String);

macro_rules! places {
    ($($(#[$attribute:meta])* $type:ident),*) => {
        /// The driver of a target.
        #[derive(Clone, Debug)]
        pub(super) enum Place {
            $($(#[$attribute])* $type(Box<$type>)),*
        }

        impl Place {
            pub(super) fn or_python(self, python: &Interpreter) -> Self {
                match self {
                    // Words that end in an interpreter say which.
                    Self::Command(driver) if !driver.has_place() => Self::Command(driver),
                    $($(#[$attribute])* Self::$type(driver) => Self::from(driver.or_python(python))),*
                }
            }

            /// Returns the driver with the name `name`.
            pub(super) fn driver(&self, name: &HostName) -> Arc<dyn Driver> {
                match self.clone() {
                    $($(#[$attribute])* Self::$type(driver) => Arc::new(driver.name(name))),*
                }
            }
        }

        $($(#[$attribute])* impl From<$type> for Place {
            fn from(driver: $type) -> Self {
                Self::$type(Box::new(driver))
            }
        })*
    };
}

places! {
    Chroot, Command,
    #[cfg(feature = "containers")] Compose,
    Doas,
    #[cfg(feature = "containers")] Docker,
    #[cfg(feature = "containers")] DockerExec,
    Incus, Kubectl, Local, Lxc, Machine, Nsenter, Nspawn,
    #[cfg(feature = "containers")] Podman,
    #[cfg(feature = "containers")] PodmanExec,
    Slurm, SlurmNode, Ssh, Su, Sudo
}

/// Adds the arguments of the program.
macro_rules! args {
    ($driver:expr, $settings:expr) => {
        $driver.args($settings.take("arg")?)
    };
}

/// Sets the user on the far side, and adds the arguments of the program.
macro_rules! user {
    ($driver:expr, $settings:expr) => {{
        let mut driver = args!($driver, $settings);
        if let Some(user) = $settings.take_one("user")? {
            driver = driver.user(user);
        }
        driver
    }};
}

/// Creates a driver for a new container, and its name.
#[cfg(feature = "containers")]
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
        if $settings.take_yes("keep")? {
            driver = driver.keep();
        }
        if $settings.take_yes("persistent")? {
            driver = driver.persistent();
        }
        (driver, name)
    }};
}

/// Parses what follows `exec:`.
pub(super) fn command(text: &str) -> Result<Named, String> {
    let words = shlex::split(text).ok_or("a quote is not closed")?;
    let Some((program, arguments)) = words.split_first() else {
        return Err("missing program after `exec:`".to_owned());
    };
    if arguments.is_empty() {
        return Err(
            "expected an interpreter as the last word after `exec:`, or `{}` in the place of a shell line"
                .to_owned(),
        );
    }
    let command = Command::new(program).args(arguments);
    Ok((command.into(), program.rsplit('/').next().unwrap_or(program).to_owned()))
}

/// Parses what follows `SCHEME://`.
pub(super) fn schemed(scheme: &str, rest: &str, settings: &mut Settings<'_>) -> Result<Named, String> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Err(format!("nothing follows `{scheme}://`"));
    }
    if scheme == "kubectl" {
        return kubectl(rest, settings);
    }
    let rest = decode(rest)?;
    let place = match scheme {
        "ssh" => ssh(&rest, settings)?.into(),
        #[cfg(feature = "containers")]
        "docker" => {
            let (docker, name) = fresh!(Docker, &rest, settings);
            return Ok((docker.into(), name));
        }
        #[cfg(feature = "containers")]
        "podman" => {
            let (podman, name) = fresh!(Podman, &rest, settings);
            return Ok((podman.into(), name));
        }
        #[cfg(feature = "containers")]
        "docker-exec" => container!(Docker::attach(&rest), settings).into(),
        #[cfg(feature = "containers")]
        "podman-exec" => container!(Podman::attach(&rest), settings).into(),
        #[cfg(feature = "containers")]
        "compose" => compose(&rest, settings)?.into(),
        "incus" => incus(Incus::new(&rest), settings)?.into(),
        "lxd" => incus(Incus::lxd(&rest), settings)?.into(),
        "lxc" => lxc(&rest, settings)?.into(),
        "machine" => user!(common!(Machine::new(&rest), settings), settings).into(),
        "nspawn" => nspawn(&rest, settings)?.into(),
        #[cfg(not(feature = "containers"))]
        "compose" | "docker" | "podman" | "docker-exec" | "podman-exec" => {
            return Err("this program was built without containers: see the feature `containers`".to_owned());
        }
        _ => return Err(format!("`{scheme}://` is not known; {ACCEPTED}")),
    };
    Ok((place, rest))
}

/// Parses what follows `SCHEME:`, if it is a known one.
pub(super) fn prefixed(place: &str, settings: &mut Settings<'_>) -> Result<Option<Named>, String> {
    let Some((scheme, rest)) = place.split_once(':') else { return Ok(None) };
    let what = match scheme {
        "chroot" => "folder",
        "doas" | "su" | "sudo" => "user name",
        "netns" => "name of a network",
        "nsenter" => "number of a process",
        "slurm" => "partition",
        _ => return Ok(None),
    };
    let rest = decode(rest)?;
    if rest.is_empty() && scheme != "slurm" {
        return Err(format!("missing {what} after `{scheme}:`"));
    }
    let at_localhost = format!("{rest}@localhost");
    Ok(Some(match scheme {
        "chroot" => (user!(common!(Chroot::new(&rest), settings), settings).into(), rest),
        "doas" => (args!(common!(Doas::new(&rest), settings), settings).into(), at_localhost),
        "netns" => (args!(common!(Nsenter::network(&rest), settings), settings).into(), rest),
        "nsenter" => {
            let pid = number(&rest, "nsenter:")?;
            let mut driver = args!(common!(Nsenter::process(pid), settings), settings);
            for namespace in settings.take("namespace")? {
                driver = driver.namespace(namespace);
            }
            (driver.into(), format!("pid-{pid}"))
        }
        "slurm" => {
            let name = if rest.is_empty() { "slurm".to_owned() } else { rest.clone() };
            (slurm(rest, settings)?, name)
        }
        "su" => {
            let mut driver = args!(common!(Su::new(&rest), settings), settings);
            if let Some(shell) = settings.take_one("shell")? {
                driver = driver.shell(shell);
            }
            if settings.take_yes("login")? {
                driver = driver.login();
            }
            (driver.into(), at_localhost)
        }
        _ => (common!(Sudo::new(&rest), settings).into(), at_localhost),
    }))
}

/// Parses a host of ssh without a scheme, which was examined.
pub(super) fn plain_ssh(place: &str, settings: &mut Settings<'_>) -> Result<Named, String> {
    Ok((ssh_settings(Ssh::new(place), settings)?.into(), place.to_owned()))
}

pub(super) fn local(settings: &mut Settings<'_>) -> Result<Named, String> {
    Ok((common!(Local::new(), settings).into(), "localhost".to_owned()))
}

/// Parses `POD` or `NAMESPACE/POD`. If a setting names the namespace, all of it is the pod.
fn kubectl(rest: &str, settings: &mut Settings<'_>) -> Result<Named, String> {
    let namespace = settings.take_one("namespace")?;
    let (namespace, pod) = match (namespace, rest.split_once('/')) {
        (None, Some((namespace, pod))) => (Some(decode(namespace)?), decode(pod)?),
        (namespace, _) => (namespace, decode(rest)?),
    };
    let mut driver = args!(common!(Kubectl::new(&pod), settings), settings);
    if let Some(namespace) = namespace {
        driver = driver.namespace(namespace);
    }
    if let Some(container) = settings.take_one("container")? {
        driver = driver.container(container);
    }
    if let Some(context) = settings.take_one("context")? {
        driver = driver.context(context);
    }
    if let Some(file) = settings.take_one("kubeconfig")? {
        driver = driver.kubeconfig(file);
    }
    Ok((driver.into(), pod))
}

#[cfg(feature = "containers")]
fn compose(service: &str, settings: &mut Settings<'_>) -> Result<Compose, String> {
    let mut driver = container!(Compose::new(service), settings);
    for file in settings.take("file")? {
        driver = driver.file(file);
    }
    if let Some(project) = settings.take_one("project")? {
        driver = driver.project(project);
    }
    if let Some(index) = settings.take_one("index")? {
        driver = driver.index(number(&index, "index=")?);
    }
    Ok(driver)
}

fn incus(driver: Incus, settings: &mut Settings<'_>) -> Result<Incus, String> {
    let mut driver = args!(common!(driver, settings), settings);
    if let Some(project) = settings.take_one("project")? {
        driver = driver.project(project);
    }
    if let Some(uid) = settings.take_one("uid")? {
        driver = driver.uid(number(&uid, "uid=")?);
    }
    Ok(driver)
}

fn lxc(container: &str, settings: &mut Settings<'_>) -> Result<Lxc, String> {
    let mut driver = args!(common!(Lxc::new(container), settings), settings);
    if let Some(folder) = settings.take_one("path")? {
        driver = driver.path(folder);
    }
    if let Some(uid) = settings.take_one("uid")? {
        driver = driver.uid(number(&uid, "uid=")?);
    }
    Ok(driver)
}

/// Parses a folder, which begins with a `/`, or the name of an image.
fn nspawn(root: &str, settings: &mut Settings<'_>) -> Result<Nspawn, String> {
    let driver = if root.starts_with('/') { Nspawn::folder(root) } else { Nspawn::machine(root) };
    let mut driver = user!(common!(driver, settings), settings);
    for bind in settings.take("bind")? {
        driver = driver.bind(bind);
    }
    if settings.take_yes("ephemeral")? {
        driver = driver.ephemeral();
    }
    if settings.take_yes("unregistered")? {
        driver = driver.unregistered();
    }
    Ok(driver)
}

fn slurm(partition: String, settings: &mut Settings<'_>) -> Result<Place, String> {
    let mut driver = args!(common!(Slurm::new(), settings), settings);
    if !partition.is_empty() {
        driver = driver.partition(partition);
    }
    if let Some(limit) = settings.take_one("time")? {
        driver = driver.time(limit);
    }
    if let Some(count) = settings.take_one("cpus")? {
        driver = driver.cpus(number(&count, "cpus=")?);
    }
    Ok(match settings.take_one("nodes")? {
        Some(count) => match number(&count, "nodes=")? {
            0 => return Err("`nodes=0` is an allocation without nodes".to_owned()),
            count => driver.node(count, settings.way()).into(),
        },
        None => driver.into(),
    })
}

fn number(text: &str, of: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{of}{text}` is not a number"))
}
