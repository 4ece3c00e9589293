//! What there is to know of a host.
//!
//! These are the functions of the Python module `chopsticks.facts`, which code on any host can import as well. They need no
//! program there, and no network; what a host does not tell is `None` or empty.
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
use serde::Deserialize;

macro_rules! fact {
    ($name:ident, $result:ty, $($doc:literal)+) => {
        $(#[doc = $doc])+
        ///
        /// # Errors
        ///
        /// As [`Tunnel::call`].
        ///
        /// # Cancel safety
        ///
        /// As [`Tunnel::call`].
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
    "Returns the address from which the host reaches others; `None` if it has none but that of the loopback."
    ""
    "IPv4 if it has it, else IPv6. Nothing is sent to find out."
);
fact!(kernel, Kernel, "Returns the name, release and machine type of the kernel.");
fact!(memory, Memory, "Returns how much memory the host has.");
fact!(os, Os, "Returns the operating system, or the distribution of it.");
fact!(
    python_executable,
    String,
    "Returns the path of the Python that the agent runs under; empty if it does not know it."
);
fact!(python_version, (u8, u8, u8), "Returns the version of the agent's Python: major, minor, micro.");
fact!(
    routes,
    Vec<Route>,
    "Returns the routes of the host's main table, IPv4 first; empty where the system does not tell."
);

/// All facts of a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// As [`cpu_count`].
    pub cpu_count: u32,
    /// As [`host_name`].
    pub host_name: String,
    /// As [`ip`].
    pub ip: Option<IpAddr>,
    /// As [`kernel`].
    pub kernel: Kernel,
    /// As [`memory`].
    pub memory: Memory,
    /// As [`os`].
    pub os: Os,
    /// As [`python_executable`].
    pub python_executable: String,
    /// As [`python_version`].
    pub python_version: (u8, u8, u8),
    /// As [`routes`].
    pub routes: Vec<Route>,
}

/// A host's kernel, as `uname` has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Kernel {
    /// Such as `Linux` or `Darwin`.
    pub name: String,
    /// Such as `6.1.0-18-amd64`.
    pub release: String,
    /// Such as `x86_64` or `aarch64`.
    pub machine: String,
}

/// A host's memory, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Memory {
    /// What the host has, if it tells.
    pub total: Option<u64>,
    /// What programs can have without swapping, if the host tells. That is so on Linux alone.
    pub available: Option<u64>,
}

/// A host's operating system.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Os {
    /// A fixed name, such as `debian` or `darwin`.
    pub id: String,
    /// For people, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
    /// Such as `12`; empty where there is none.
    pub version: String,
}

/// One route of a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// The network's address.
    pub destination: IpAddr,
    /// How many bits of the destination count: 0 for a default route.
    pub prefix_len: u8,
    /// Where packets go first, if not to the destination at once.
    pub gateway: Option<IpAddr>,
    /// The network interface, such as `eth0`.
    pub interface: String,
    /// Of several routes to a destination the lowest is taken; `None` where the system has no such thing.
    pub metric: Option<u32>,
}
