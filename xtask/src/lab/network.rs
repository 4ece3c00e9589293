//! Hosts with addresses of their own: network namespaces, and links to them.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::failure::Failure;

use super::Lab;
use super::journal::Trace;

/// What the names of all namespaces begin with.
pub(super) const PREFIX: &str = "chopsticks-";

/// The switch that hosts are connected to. Names of interfaces have at most 15 characters.
const BRIDGE: &str = "chx-bridge";

/// Holds back what travels between two TUN devices. The kernel's own way, `netem`, is a module that may be absent.
const DELAY: &str = include_str!("network/delay.py");

impl Lab {
    /// Makes the switch, with an address for the controller's side.
    pub(super) fn add_bridge(&mut self, address: Ipv4Addr) -> Result<(), Failure> {
        self.leave(Trace::Link(BRIDGE.to_owned()))?;
        self.ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        self.ip(&["address", "add", &format!("{address}/24"), "dev", BRIDGE])?;
        self.ip(&["link", "set", BRIDGE, "up"])
    }

    /// Makes a namespace that is connected to nothing, and returns its name.
    pub(super) fn add_namespace(&mut self, name: &str) -> Result<String, Failure> {
        let namespace = format!("{PREFIX}{name}");
        self.leave(Trace::Namespace(namespace.clone()))?;
        self.ip(&["netns", "add", &namespace])?;
        self.ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Makes a namespace that is connected to the switch by `eth0`.
    pub(super) fn add_host(&mut self, name: &str, address: Ipv4Addr) -> Result<String, Failure> {
        let namespace = self.add_namespace(name)?;
        let link = format!("chx-{name}");
        self.leave(Trace::Link(link.clone()))?;
        self.ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
        self.ip(&["link", "set", &link, "master", BRIDGE, "up"])?;
        self.ip(&["-n", &namespace, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        self.ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
        Ok(namespace)
    }

    /// Connects two namespaces with each other.
    pub(super) fn connect(&self, one: (&str, Ipv4Addr), other: (&str, Ipv4Addr)) -> Result<(), Failure> {
        self.ip(&[
            "-n", one.0, "link", "add", "inner0", "type", "veth", "peer", "name", "inner0", "netns", other.0,
        ])?;
        for (namespace, address) in [one, other] {
            self.ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "inner0"])?;
            self.ip(&["-n", namespace, "link", "set", "inner0", "up"])?;
        }
        Ok(())
    }

    /// Connects a namespace with the controller's side by a link that takes `milliseconds` each way.
    pub(super) fn connect_slowly(
        &mut self,
        namespace: &str,
        (here, there): (Ipv4Addr, Ipv4Addr),
        milliseconds: u32,
    ) -> Result<(), Failure> {
        let script = self.write("delay.py", 0o644, DELAY)?;
        let mut command = Command::new("python3");
        command.args(["-S", "-s"]).arg(script).args([namespace, &milliseconds.to_string()]);
        self.leave(Trace::Link("chx-slow".to_owned()))?;
        self.start("delay", &mut command)?;
        let there_is = |arguments: &[&str]| crate::command::succeeds(Command::new("ip").args(arguments));
        let both = || {
            there_is(&["link", "show", "chx-slow"]) && there_is(&["-n", namespace, "link", "show", "slow0"])
        };
        if !chopsticks_support::eventually(std::time::Duration::from_secs(10), both) {
            let log = std::fs::read_to_string(self.path("log/delay")).unwrap_or_default();
            return Err(Failure::new(format!("the slow link did not come up: {}", log.trim_end())));
        }
        let (here, there) = (here.to_string(), there.to_string());
        self.ip(&["address", "add", &here, "peer", &there, "dev", "chx-slow"])?;
        self.ip(&["link", "set", "chx-slow", "mtu", "1400", "up"])?;
        self.ip(&["-n", namespace, "address", "add", &there, "peer", &here, "dev", "slow0"])?;
        self.ip(&["-n", namespace, "link", "set", "slow0", "mtu", "1400", "up"])
    }

    fn ip(&self, arguments: &[&str]) -> Result<(), Failure> {
        self.run(Command::new("ip").args(arguments)).map(drop)
    }
}
