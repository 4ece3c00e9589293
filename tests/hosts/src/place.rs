//! Places: where drivers lead to.

use std::time::Duration;

use chopsticks::{
    Codebase, Command, Docker, Interpreter, Local, Podman, Stderr, Sudo, Target, Tunnel, TunnelConfig,
};

use crate::lab;

/// Somewhere that functions can be called: a driver with its arguments.
#[derive(Debug)]
pub struct Place {
    name: String,
    kind: Kind,
    /// What has to be there while the place is used.
    _container: Option<Container>,
}

#[derive(Debug)]
enum Kind {
    Bwrap,
    DockerExec(String),
    DockerRun(String),
    Local,
    Nsenter,
    PodmanExec(String),
    PodmanRun(String),
    Srun,
    Ssh,
    SshSudo,
    Sudo,
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
            _ => return Self::with_image(name, lab::newest_image),
        };
        Self { name: name.to_owned(), kind, _container: None }
    }

    /// Returns what names the place to another process: its name, and the container that there is for it.
    pub fn address(&self) -> String {
        match &self.kind {
            Kind::DockerExec(id) | Kind::PodmanExec(id) => format!("{}={id}", self.name),
            _ => self.name.clone(),
        }
    }

    fn with_image(name: &str, image: impl Fn() -> String) -> Self {
        let mut container = None;
        let mut start = |engine| {
            let started = Container::start(engine, &image());
            let id = started.id.clone();
            container = Some(started);
            id
        };
        let kind = match name {
            "bwrap" => Kind::Bwrap,
            "docker_exec" => Kind::DockerExec(start("docker")),
            "docker_run" => Kind::DockerRun(image()),
            "local" => Kind::Local,
            "podman_exec" => Kind::PodmanExec(start("podman")),
            "podman_run" => Kind::PodmanRun(image()),
            "srun" => Kind::Srun,
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
        Self { name: name.to_owned(), kind, _container: container }
    }

    /// Returns the place's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a tunnel that is not connected yet.
    pub fn tunnel(&self, setup: &Setup) -> Tunnel {
        match &self.kind {
            Kind::Bwrap => open!(bwrap(), setup),
            Kind::DockerExec(id) => open!(Docker::attach(id), setup),
            Kind::DockerRun(image) => open!(Docker::new(&setup.name).image(image).network("none"), setup),
            Kind::Local => open!(Local::new(), setup),
            Kind::PodmanExec(id) => open!(Podman::attach(id), setup),
            Kind::PodmanRun(image) => open!(Podman::new(&setup.name).image(image).network("none"), setup),
            Kind::Srun => open!(srun(), setup),
            Kind::Ssh => open!(lab::ssh("plain"), setup),
            Kind::SshSudo => open!(lab::ssh("sudo").sudo_user("chopsticks-other"), setup),
            Kind::Sudo => open!(Sudo::new("chopsticks-other"), setup),
            Kind::Nsenter => open!(nsenter(), setup),
            Kind::Via(path, last) => via(path, last, setup),
        }
    }

    /// Whether an agent whose client is killed may not come to end what it started.
    ///
    /// Here it is the client itself, which nsenter becomes as well; Slurm kills it as well; and podman's monitor now and then keeps the stdin of what `exec`
    /// started open.
    pub fn loses_agent_with_client(&self) -> bool {
        matches!(self.kind, Kind::Local | Kind::Nsenter | Kind::PodmanExec(_) | Kind::Srun)
    }

    /// Whether the place may go with its agent, and what was written there.
    pub fn may_end_with_agent(&self) -> bool {
        matches!(self.kind, Kind::Bwrap | Kind::DockerRun(_) | Kind::PodmanRun(_) | Kind::Via(..))
    }

    /// Whether the client is that of another tunnel, through which this one goes.
    pub fn is_reached_through_another(&self) -> bool {
        matches!(self.kind, Kind::Via(..))
    }

    /// Returns the place with a Python 2.7, and how that is called there.
    pub fn with_python2(self) -> (Self, Interpreter) {
        match self.kind {
            Kind::DockerRun(_) | Kind::DockerExec(_) | Kind::PodmanRun(_) | Kind::PodmanExec(_) => {
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

/// A job of Slurm. Without `--unbuffered` it would wait for whole lines.
fn srun() -> Command {
    Command::new("srun").args(["--unbuffered", "--input=all", "--ntasks=1", "--quiet"]).python("python3")
}

/// In the network of a namespace, as one looks into a container from outside.
fn nsenter() -> Command {
    Command::new("nsenter").args(["--net=/run/netns/chopsticks-bastion", "--"]).python("python3")
}
