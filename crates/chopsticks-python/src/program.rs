//! Drivers that run one program with arguments, by the names of their settings.

use std::{collections::HashMap, ffi::OsString, str::FromStr, sync::Arc};

use chopsticks::{
    Chroot, Compose, Doas, Docker, Driver, Incus, Kubectl, Lxc, Machine, Nsenter, Nspawn, Podman, Slurm, Su,
};
use pyo3::{exceptions::PyValueError, prelude::*};

/// What all of them have.
pub(crate) struct Words {
    pub(crate) args: Vec<OsString>,
    pub(crate) program: Option<OsString>,
    pub(crate) python: OsString,
}

/// Sets what all of them have, and those settings that were given.
macro_rules! made {
    ($driver:expr, $host:ident, $settings:ident, $words:ident $(, $name:ident: $type:ty)*) => {{
        let mut driver = $driver.name($host).python($words.python).args($words.args);
        if let Some(program) = $words.program {
            driver = driver.program(program);
        }
        $(if let Some(value) = $settings.take::<$type>(stringify!($name))? {
            driver = driver.$name(value);
        })*
        driver
    }};
}

/// Makes the driver `kind` to `place`.
pub(crate) fn driver(
    kind: &str,
    host: &str,
    place: String,
    settings: Vec<(String, String)>,
    words: Words,
) -> PyResult<Arc<dyn Driver>> {
    let mut settings = Settings::new(settings);
    let driver: Arc<dyn Driver> = match kind {
        "su" => {
            let driver = made!(Su::new(place), host, settings, words, shell: String);
            Arc::new(if settings.is_set("login") { driver.login() } else { driver })
        }
        "doas" => Arc::new(made!(Doas::new(place), host, settings, words)),
        "chroot" => Arc::new(made!(Chroot::new(place), host, settings, words, user: String)),
        "nsenter" => {
            let driver = Nsenter::process(number("pid", &place)?);
            Arc::new(made!(settings.each("namespace", driver, Nsenter::namespace), host, settings, words))
        }
        "netns" => Arc::new(made!(Nsenter::network(place), host, settings, words)),
        "nspawn" => {
            let driver = if place.contains('/') { Nspawn::folder(place) } else { Nspawn::machine(place) };
            let driver = settings.each("bind", driver, Nspawn::bind);
            let driver = made!(driver, host, settings, words, user: String);
            Arc::new(if settings.is_set("ephemeral") { driver.ephemeral() } else { driver })
        }
        "machine" => Arc::new(made!(Machine::new(place), host, settings, words, user: String)),
        "lxc" => Arc::new(made!(Lxc::new(place), host, settings, words, path: String, uid: u32)),
        "incus" => Arc::new(made!(Incus::new(place), host, settings, words, project: String, uid: u32)),
        "lxd" => Arc::new(made!(Incus::lxd(place), host, settings, words, project: String, uid: u32)),
        "kubectl" => Arc::new(made!(
            Kubectl::new(place),
            host,
            settings,
            words,
            namespace: String,
            container: String,
            context: String,
            kubeconfig: String
        )),
        "compose" => {
            let driver = settings.each("file", Compose::new(place), Compose::file);
            Arc::new(
                made!(driver, host, settings, words, project: String, index: u32, user: String, workdir: String),
            )
        }
        "slurm" => {
            Arc::new(made!(Slurm::new(), host, settings, words, partition: String, time: String, cpus: u32))
        }
        "docker-exec" => {
            Arc::new(made!(Docker::attach(place), host, settings, words, user: String, workdir: String))
        }
        "podman-exec" => {
            Arc::new(made!(Podman::attach(place), host, settings, words, user: String, workdir: String))
        }
        kind => return Err(PyValueError::new_err(format!("there is no driver {kind:?}"))),
    };
    settings.check()?;
    Ok(driver)
}

/// The settings that were given and not taken.
struct Settings(HashMap<String, Vec<String>>);

impl Settings {
    fn new(given: Vec<(String, String)>) -> Self {
        let mut settings: HashMap<_, Vec<_>> = HashMap::new();
        for (name, value) in given {
            settings.entry(name).or_default().push(value);
        }
        Self(settings)
    }

    /// Returns a setting that can be given once.
    fn take<T: FromStr>(&mut self, name: &str) -> PyResult<Option<T>> {
        let value = self.0.remove(name).and_then(|values| values.into_iter().next());
        value.map(|value| number(name, &value)).transpose()
    }

    fn is_set(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// Sets something that can be given more than once.
    fn each<T>(&mut self, name: &str, driver: T, set: impl Fn(T, String) -> T) -> T {
        self.0.remove(name).into_iter().flatten().fold(driver, set)
    }

    /// Fails if there is a setting that the driver does not have.
    fn check(&self) -> PyResult<()> {
        match self.0.keys().min() {
            None => Ok(()),
            Some(name) => Err(PyValueError::new_err(format!("there is no setting {name:?}"))),
        }
    }
}

fn number<T: FromStr>(name: &str, text: &str) -> PyResult<T> {
    text.parse().map_err(|_| PyValueError::new_err(format!("{name} is not a number: {text:?}")))
}
