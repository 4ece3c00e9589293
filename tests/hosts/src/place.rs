//! Places: where drivers lead to.

use std::fmt::Debug;
use std::time::Duration;

use chopsticks::{
    Chroot, Codebase, Command, Compose, Doas, Docker, Incus, Interpreter, Kubectl, Local, Lxc, Machine,
    Nsenter, Nspawn, Podman, Slurm, SlurmNode, Stderr, Su, Sudo, Target, Tunnel, TunnelConfig,
};

use chopsticks_support::processes;

use crate::compose::Project;
use crate::lab;
use crate::watch::canary;

/// Somewhere that functions can be called: a driver with its arguments.
#[derive(Debug)]
pub struct Place {
    name: String,
    kind: Kind,
    /// What has to be there while the place is used.
    _held: Vec<Box<dyn Debug + Send + Sync>>,
}

#[derive(Debug)]
enum Kind {
    Bwrap,
    Chroot,
    /// Its project, and the file of that.
    Compose(String, String),
    Doas,
    DockerExec(String),
    /// Its name, and the image.
    DockerPersistent(String, String),
    DockerRun(String),
    IncusStandIn,
    KubectlStandIn,
    Local,
    Lxc,
    MachineStandIn,
    Nsenter,
    Nspawn,
    PodmanExec(String),
    PodmanRun(String),
    Slurm,
    SlurmNode,
    Ssh,
    SshShared,
    SshSudo,
    Su,
    Sudo,
    /// Any target, as a text.
    Target(String),
    /// Through other tunnels: what leads there, and the last target without its settings.
    Via(String, String),
}

/// What a test wants of a tunnel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// The tunnel's name, and that of its container.
    pub name: String,
    /// The tunnel's configuration.
    pub config: TunnelConfig,
    /// The interpreter, if not the driver's own choice.
    pub python: Option<Interpreter>,
    /// The working directory.
    pub current_dir: Option<String>,
    /// An environment variable.
    pub env: Option<(String, String)>,
    /// Whether the far side's `site-packages` are wanted.
    pub site_packages: bool,
}

/// A container that runs while this lives.
#[derive(Debug)]
struct Container {
    engine: &'static str,
    id: String,
}

impl Setup {
    /// Creates one with the tests' modules and without stderr.
    pub fn new(name: &str) -> Self {
        // Engines take their time when many tests ask them for something.
        let config = TunnelConfig::default().close_timeout(Duration::from_secs(20));
        let config = config.modules(Codebase::folder(lab::code())).stderr(Stderr::off());
        Self {
            name: name.to_owned(),
            config,
            python: None,
            current_dir: None,
            env: None,
            site_packages: false,
        }
    }
}

/// Gives a driver, of whatever type, what a setup has.
macro_rules! open {
    ($driver:expr, $setup:expr) => {{
        let setup: &Setup = $setup;
        let mut driver = $driver.name(&setup.name);
        if let Some(python) = &setup.python {
            driver = driver.python(python.clone());
        }
        if let Some(folder) = &setup.current_dir {
            driver = driver.current_dir(folder.as_str());
        }
        if let Some((name, value)) = &setup.env {
            driver = driver.env(name.as_str(), value.as_str());
        }
        if setup.site_packages {
            driver = driver.with_site_packages();
        }
        Tunnel::with_config(driver, setup.config.clone())
    }};
}

impl Place {
    /// Returns the place of this name, or of this address.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn named(name: &str) -> Self {
        let kind = match name.split_once('=') {
            Some(("docker_exec", id)) => Kind::DockerExec(id.to_owned()),
            Some(("podman_exec", id)) => Kind::PodmanExec(id.to_owned()),
            Some(("target", text)) => Kind::Target(text.to_owned()),
            Some((name @ ("compose" | "docker_persistent"), both)) => {
                let (one, other) = both.split_once('|').expect("an address has both");
                let (one, other) = (one.to_owned(), other.to_owned());
                if name == "compose" { Kind::Compose(one, other) } else { Kind::DockerPersistent(one, other) }
            }
            _ => return Self::with_image(name, lab::newest_image),
        };
        // Without what names it.
        let name = name.split('=').next().unwrap_or_default();
        Self { name: name.to_owned(), kind, _held: Vec::new() }
    }

    /// Returns what names the place to another process: its name, and the container that there is for it.
    pub fn address(&self) -> String {
        match &self.kind {
            Kind::DockerExec(id) | Kind::PodmanExec(id) => format!("{}={id}", self.name),
            Kind::Compose(one, other) | Kind::DockerPersistent(one, other) => {
                format!("{}={one}|{other}", self.name)
            }
            _ => self.name.clone(),
        }
    }

    fn with_image(name: &str, image: impl Fn() -> String) -> Self {
        let mut held: Vec<Box<dyn Debug + Send + Sync>> = Vec::new();
        let mut start = |engine| {
            let started = Container::start(engine, &image());
            let id = started.id.clone();
            held.push(Box::new(started));
            id
        };
        let kind = match name {
            "bwrap" => Kind::Bwrap,
            "chroot" => Kind::Chroot,
            "compose" => {
                let project = Project::start(&image());
                let (name, file) = project.parts();
                held.push(Box::new(project));
                Kind::Compose(name, file)
            }
            "doas" => Kind::Doas,
            "docker_persistent" => {
                let name = canary("persistent");
                // It is created when it is first used.
                held.push(Box::new(Container { engine: "docker", id: name.clone() }));
                Kind::DockerPersistent(name, image())
            }
            "incus_stand_in" => Kind::IncusStandIn,
            "kubectl_stand_in" => Kind::KubectlStandIn,
            "lxc" => Kind::Lxc,
            "machine_stand_in" => Kind::MachineStandIn,
            "nspawn" => Kind::Nspawn,
            "slurm" => Kind::Slurm,
            "slurm_node" => Kind::SlurmNode,
            "ssh_shared" => Kind::SshShared,
            "su" => Kind::Su,
            "docker_exec" => Kind::DockerExec(start("docker")),
            "docker_run" => Kind::DockerRun(image()),
            "local" => Kind::Local,
            "podman_exec" => Kind::PodmanExec(start("podman")),
            "podman_run" => Kind::PodmanRun(image()),
            "ssh_plain" => Kind::Ssh,
            "ssh_sudo" => Kind::SshSudo,
            "sudo_user" => Kind::Sudo,
            "nsenter" => Kind::Nsenter,
            "via_ssh_sudo" => Kind::Via(ssh_target("sudo"), "sudo:chopsticks-other".to_owned()),
            "via_sudo_ssh_local" => {
                Kind::Via(format!("sudo:root/{}", ssh_target("plain")), "local:".to_owned())
            }
            "via_local_docker" => Kind::Via("local".to_owned(), format!("docker://{}", image())),
            "via_podman_local" => {
                Kind::Via(format!("podman://{}?network=none", image()), "local:".to_owned())
            }
            _ => panic!("there is no place called {name}"),
        };
        Self { name: name.to_owned(), kind, _held: held }
    }

    /// Returns the place's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a tunnel that is not connected yet.
    pub fn tunnel(&self, setup: &Setup) -> Tunnel {
        match &self.kind {
            Kind::Bwrap => open!(bwrap(), setup),
            Kind::Chroot => open!(Chroot::new(lab::chroot()), setup),
            Kind::Compose(project, file) => open!(Compose::new("web").project(project).file(file), setup),
            Kind::Doas => open!(Doas::new("chopsticks-other"), setup),
            Kind::DockerPersistent(name, image) => {
                open!(Docker::new(name).image(image).network("none").persistent(), setup)
            }
            Kind::IncusStandIn => open!(Incus::new("web").program(lab::stand_in("incus")), setup),
            Kind::KubectlStandIn => {
                open!(Kubectl::new("web-0").namespace("shop").program(lab::stand_in("kubectl")), setup)
            }
            Kind::Lxc => {
                open!(Lxc::new("chopsticks-lxc").path(lab::folder().join("lxc").display().to_string()), setup)
            }
            Kind::MachineStandIn => open!(Machine::new("web").program(lab::stand_in("systemd-run")), setup),
            Kind::Nspawn => open!(nspawn(&setup.name), setup),
            Kind::Slurm => open!(Slurm::new().partition("test"), setup),
            Kind::SlurmNode => open!(slurm_node(), setup),
            Kind::SshShared => open!(lab::ssh("plain").shared(), setup),
            Kind::Su => open!(Su::new("chopsticks-other"), setup),
            Kind::DockerExec(id) => open!(Docker::attach(id), setup),
            Kind::DockerRun(image) => open!(Docker::new(&setup.name).image(image).network("none"), setup),
            Kind::Local => open!(Local::new(), setup),
            Kind::PodmanExec(id) => open!(Podman::attach(id), setup),
            Kind::PodmanRun(image) => open!(Podman::new(&setup.name).image(image).network("none"), setup),
            Kind::Ssh => open!(lab::ssh("plain"), setup),
            Kind::SshSudo => open!(lab::ssh("sudo").sudo_user("chopsticks-other"), setup),
            Kind::Sudo => open!(Sudo::new("chopsticks-other"), setup),
            Kind::Nsenter => open!(Nsenter::network("chopsticks-bastion"), setup),
            Kind::Target(text) => {
                let target: Target = text.parse().unwrap_or_else(|error| panic!("{error}"));
                target.tunnel(setup.config.clone())
            }
            Kind::Via(path, last) => via(path, last, setup),
        }
    }

    /// Whether an agent whose client is killed may not come to end what it started.
    ///
    /// Here it is the client itself, which nsenter becomes as well; Slurm kills it as well; and podman's monitor now and then keeps the stdin of what `exec`
    /// started open.
    pub fn loses_agent_with_client(&self) -> bool {
        matches!(
            self.kind,
            Kind::Chroot
                | Kind::Doas
                | Kind::Local
                | Kind::Nsenter
                | Kind::Nspawn
                | Kind::PodmanExec(_)
                | Kind::Slurm
                | Kind::SlurmNode
        )
    }

    /// Whether the place may go with its agent, and what was written there.
    pub fn may_end_with_agent(&self) -> bool {
        matches!(
            self.kind,
            Kind::Bwrap | Kind::DockerRun(_) | Kind::Nspawn | Kind::PodmanRun(_) | Kind::Via(..)
        )
    }

    /// Whether the client is that of another tunnel, through which this one goes.
    pub fn is_reached_through_another(&self) -> bool {
        matches!(self.kind, Kind::Via(..))
    }

    /// Returns the programs that carry the tunnel, of the children of this process: there may be one
    /// that carries several.
    pub fn clients(&self, children: Vec<u32>) -> Vec<u32> {
        let is_client = |pid: &u32| {
            let words = processes::describe(*pid);
            !words.contains("ControlMaster=yes") && !words.contains("salloc")
        };
        children.into_iter().filter(is_client).collect()
    }

    /// Returns the place with a Python 2.7, and how that is called there.
    pub fn with_python2(self) -> (Self, Interpreter) {
        match self.kind {
            Kind::Chroot | Kind::Lxc | Kind::Nspawn => (self, "/usr/local/bin/python2.7".into()),
            Kind::Compose(..)
            | Kind::DockerExec(_)
            | Kind::DockerPersistent(..)
            | Kind::DockerRun(_)
            | Kind::PodmanExec(_)
            | Kind::PodmanRun(_) => {
                let oldest = || lab::images().into_iter().next().expect("the lab has images");
                (Self::with_image(&self.name, oldest), "python2".into())
            }
            Kind::Via(path, last) if last.starts_with("docker://") => {
                let last = lab::images().into_iter().next().expect("the lab has images");
                (Self { kind: Kind::Via(path, format!("docker://{last}")), ..self }, "python2".into())
            }
            // The outer agent is of the newest.
            Kind::Via(path, last) if path.starts_with("podman://") => {
                let oldest = lab::images().into_iter().next().expect("the lab has images");
                let path = format!("podman://{oldest}?network=none&python=python2");
                (Self { kind: Kind::Via(path, last), ..self }, "python2".into())
            }
            _ => (self, lab::folder().join("path/old/python2.7").into()),
        }
    }
}

impl Container {
    fn start(engine: &'static str, image: &str) -> Self {
        let arguments = ["run", "--detach", "--rm", "--init", "--network", "none", image, "sleep", "100000"];
        Self { engine, id: lab::run(engine, arguments) }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        lab::output(self.engine, ["rm", "--force", &self.id]);
    }
}

/// Makes a tunnel to a target through others, with what a setup has as settings of it.
fn via(path: &str, last: &str, setup: &Setup) -> Tunnel {
    let escaped = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02x}")).collect() };
    let mut settings = Vec::new();
    let python = setup.python.as_ref().map(Interpreter::to_string);
    // That of a container is its own.
    let default = path.starts_with("podman://").then(|| "python3".to_owned());
    if let Some(python) = python.or(default) {
        settings.push(format!("python={}", escaped(&python)));
    }
    if let Some(folder) = &setup.current_dir {
        settings.push(format!("cwd={}", escaped(folder)));
    }
    if let Some((name, value)) = &setup.env {
        settings.push(format!("env={}", escaped(&format!("{name}={value}"))));
    }
    if setup.site_packages {
        settings.push("site-packages".to_owned());
    }
    if last.starts_with("docker://") {
        // Without a name of its own: when the parent is lost, nobody can wait until the engine has removed the one before.
        settings.push("network=none".to_owned());
    }
    let text = format!("{}={path}/{last}?{}", setup.name, settings.join("&"));
    let target: Target = text.parse().unwrap_or_else(|error| panic!("{error}"));
    target.tunnel(setup.config.clone())
}

/// A host of the lab as a target.
fn ssh_target(alias: &str) -> String {
    format!("ssh://{alias}?config={}", lab::folder().join("ssh/config").display())
}

/// A sandbox with the machine's own files, from which nothing can be changed.
fn bwrap() -> Command {
    let arguments =
        ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all", "--die-with-parent"];
    // Where temporary files go if /tmp cannot be written; there the lab keeps interpreters.
    let temporary = ["--tmpfs", "/var/tmp"];
    Command::new("bwrap").args(arguments).args(temporary).python("python3")
}

/// A container of systemd, whose root several may use at once.
fn nspawn(name: &str) -> Nspawn {
    let machine = format!("--machine={name}");
    let arguments = ["--read-only", "--tmpfs=/tmp:mode=1777", "--tmpfs=/var/tmp:mode=1777", &machine];
    Nspawn::folder(lab::root()).unregistered().args(arguments)
}

/// A node of an allocation of two.
fn slurm_node() -> SlurmNode {
    Slurm::new().partition("test").nodes(2).remove(0)
}
