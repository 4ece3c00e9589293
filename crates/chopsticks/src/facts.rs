//! Facts about a host.
//!
//! These are the functions of the Python module `chopsticks.facts`, which code on any host can
//! import as well. They need no programs on the host and no network. A fact that the host does not
//! provide is `None` or empty.
//!
//! ```no_run
//! # async fn example(tunnel: chopsticks::Tunnel) -> Result<(), chopsticks::Error> {
//! use chopsticks::facts;
//!
//! let facts = facts::all(&tunnel).await?;
//! println!("{}: {} on {} CPUs", facts.host_name, facts.os.name, facts.cpu_count);
//! println!("address: {:?}", facts::ip(&tunnel).await?);
//! # Ok(())
//! # }
//! ```

use std::net::IpAddr;

use chopsticks_tunnel::{Error, Tunnel};
use serde::{Deserialize, de::IgnoredAny};

macro_rules! fact {
    ($name:ident, $result:ty, $($doc:literal)+) => {
        $(#[doc = $doc])+
        ///
        /// # Errors
        ///
        /// The errors of [`Tunnel::call`].
        ///
        /// # Cancel safety
        ///
        /// The same as for [`Tunnel::call`].
        pub async fn $name(tunnel: &Tunnel) -> Result<$result, Error> {
            tunnel.call(concat!("chopsticks.facts:", stringify!($name)), ()).await
        }
    };
}

fact!(all, Facts, "Returns all facts, in one call.");
fact!(
    cpu_count,
    u32,
    "Returns how many CPUs programs that are started on the host may run on."
    "Limits of CPU time, such as those of a container, are not counted."
);
fact!(host_name, String, "Returns the name that the host gives itself.");
fact!(
    ip,
    Option<IpAddr>,
    "Returns the address from which the host reaches others; `None` if it has only that of the loopback."
    ""
    "IPv4 if it has it, else IPv6. Nothing is sent to find out."
);
fact!(kernel, Kernel, "Returns the name, release and machine type of the kernel.");
fact!(memory, Memory, "Returns how much memory the host has.");
fact!(os, Os, "Returns the operating system, or the distribution of it.");
fact!(python_executable, String, "Returns the path of the agent's Python; empty if it is not known.");
fact!(
    routes,
    Vec<Route>,
    "Returns the routes of the host's main table, IPv4 first; empty if the system does not provide them."
);

/// Returns the version of the agent's Python: major, minor, micro.
///
/// # Errors
///
/// As [`Tunnel::call`].
///
/// # Cancel safety
///
/// As [`Tunnel::call`].
pub async fn python_version(tunnel: &Tunnel) -> Result<(u8, u8, u8), Error> {
    // It comes with its level and serial.
    let version: (u8, u8, u8, IgnoredAny, IgnoredAny) =
        tunnel.call("chopsticks.facts:python_version", ()).await?;
    Ok((version.0, version.1, version.2))
}

/// All facts of a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// The result of [`cpu_count`].
    pub cpu_count: u32,
    /// The result of [`host_name`].
    pub host_name: String,
    /// The result of [`ip`].
    pub ip: Option<IpAddr>,
    /// The result of [`kernel`].
    pub kernel: Kernel,
    /// The result of [`memory`].
    pub memory: Memory,
    /// The result of [`os`].
    pub os: Os,
    /// The result of [`python_executable`].
    pub python_executable: String,
    /// The result of [`python_version`].
    pub python_version: (u8, u8, u8),
    /// The result of [`routes`].
    pub routes: Vec<Route>,
}

/// A host's kernel, as `uname` reports it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Kernel {
    /// The name, such as `Linux` or `Darwin`.
    pub name: String,
    /// The release, such as `6.1.0-18-amd64`.
    pub release: String,
    /// The machine, such as `x86_64` or `aarch64`.
    pub machine: String,
}

/// A host's memory, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Memory {
    /// The memory of the host, or `None` if it is not known.
    pub total: Option<u64>,
    /// The memory that programs can get without swapping. It is known only on Linux.
    pub available: Option<u64>,
}

/// A host's operating system.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Os {
    /// A fixed name, such as `debian` or `darwin`.
    pub id: String,
    /// A name for people, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
    /// The version, such as `12`; empty if there is no version.
    pub version: String,
}

/// One route of a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// The network's address.
    pub destination: IpAddr,
    /// How many bits of the destination are significant: 0 for a default route.
    pub prefix_len: u8,
    /// The next hop of packets, if they are not sent directly to the destination.
    pub gateway: Option<IpAddr>,
    /// The network interface, such as `eth0`.
    pub interface: String,
    /// Among several routes to a destination, the one with the lowest metric is used. `None` if the
    /// system has no metrics.
    pub metric: Option<u32>,
}
