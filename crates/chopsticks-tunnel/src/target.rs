//! Tunnels to targets, which are written as a text.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};

use chopsticks_driver::{Address, HostName, Interpreter, InvalidTarget};

use crate::{
    config::TunnelConfig,
    route::{Route, SharedParent},
    tunnel::Tunnel,
};

/// A host, and how to reach it, written as a text.
///
/// | text | what it reaches |
/// |---|---|
/// | `local` | a subprocess: [`Local`](crate::Local) |
/// | `HOST`, `USER@HOST`, `ssh://USER@HOST:PORT` | another host: [`Ssh`](crate::Ssh) |
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
/// | `TARGET/TARGET`, as in `bastion/ssh://db1/sudo:root` | each target from the far side of the one before: [`Via`](crate::Via) |
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
/// | `cwd`, `env` | all | a folder, `NAME=VALUE` |
/// | `site-packages`, `user-site`, `search-path` | all | `yes` |
/// | `config`, `identity`, `jump`, `sudo`, `option` | ssh | as the methods of [`Ssh`](crate::Ssh); `sudo` alone is root |
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
/// use chopsticks_tunnel::{Target, TunnelConfig};
///
/// let target: Target = "db=ssh://admin@10.0.0.7:2222?sudo&python=auto".parse()?;
/// let tunnel = target.tunnel(TunnelConfig::default());
/// assert_eq!(tunnel.host().as_str(), "db");
/// # Ok::<(), chopsticks_tunnel::InvalidTarget>(())
/// ```
#[derive(Clone, Debug)]
pub struct Target(Address);

impl Target {
    /// Returns the name of its tunnel.
    pub fn host(&self) -> &HostName {
        self.0.host()
    }

    /// Sets the interpreter, unless the text sets one.
    #[must_use]
    pub fn or_python(self, interpreter: impl Into<Interpreter>) -> Self {
        Self(self.0.or_python(interpreter))
    }

    /// Creates a tunnel to the target. It does not connect yet.
    pub fn tunnel(&self, config: TunnelConfig) -> Tunnel {
        self.tunnel_beside(config, &mut HashMap::new())
    }

    /// Creates a tunnel to each of `targets`. Tunnels that go through the same target share the
    /// tunnel to it.
    pub fn tunnels<'a>(targets: impl IntoIterator<Item = &'a Self>, config: &TunnelConfig) -> Vec<Tunnel> {
        let mut parents = HashMap::new();
        targets.into_iter().map(|target| target.tunnel_beside(config.clone(), &mut parents)).collect()
    }

    fn tunnel_beside(
        &self,
        config: TunnelConfig,
        parents: &mut HashMap<String, Arc<SharedParent>>,
    ) -> Tunnel {
        let mut parent = None;
        for hop in self.0.hops() {
            let made = || {
                // Folder and variables are meant for where functions are called.
                let config = config.clone().without_options();
                let (driver, above) = (hop.driver(), parent.take());
                Arc::new(SharedParent::new(move || {
                    Tunnel::with_config(Route::shared(driver.clone(), above.clone()), config.clone())
                }))
            };
            parent = Some(parents.entry(hop.text().to_owned()).or_insert_with(made).clone());
        }
        Tunnel::with_config(Route::shared(self.0.driver(), parent), config)
    }
}

impl From<Target> for Tunnel {
    fn from(target: Target) -> Self {
        target.tunnel(TunnelConfig::default())
    }
}

/// Creates a tunnel with the default configuration to a [`Target`]. A bare host name is reached by
/// SSH.
impl FromStr for Tunnel {
    type Err = InvalidTarget;

    fn from_str(target: &str) -> Result<Self, InvalidTarget> {
        target.parse::<Target>().map(Self::from)
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        text.parse().map(Self)
    }
}

/// Writes the text as it was given.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_through_one_target_have_one_destination() {
        let texts =
            ["bastion/ssh://db1", "bastion/ssh://db2/sudo:root", "ssh://other/ssh://db1", "local/local:"];
        let targets: Vec<Target> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let tunnels = Target::tunnels(&targets, &TunnelConfig::default());
        let destinations: Vec<_> = tunnels.iter().map(|tunnel| tunnel.destination().unwrap()).collect();
        assert_eq!(destinations[0], destinations[1]);
        assert_ne!(destinations[0], destinations[2]);
        assert_eq!(destinations[3], "localhost");
        assert_eq!(tunnels[1].parent().unwrap().hosts(), ["bastion", "bastion/db2"]);
    }
}
