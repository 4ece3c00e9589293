//! Facts about a host.
//!
//! These are the functions of the Python module `chopsticks.facts`, which code on any host can
//! import as well. They need no programs on the host and no network. A fact that the host does not
//! provide is `None` or empty. An agent in Rust reports the same facts, but for those about Python.
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

use chopsticks_function::facts::all as all_by_native;
use chopsticks_tunnel::{Agent, Call, Error, Reply, Tunnel};
use serde::de::IgnoredAny;

pub use chopsticks_function::facts::{Facts, Kernel, Memory, Os, Route};

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
            if is_native(tunnel).await? {
                return Ok(all(tunnel).await?.$name);
            }
            tunnel.call(concat!("chopsticks.facts:", stringify!($name)), ()).await
        }
    };
}

/// Returns all facts, in one call.
///
/// # Errors
///
/// The errors of [`Tunnel::call`].
///
/// # Cancel safety
///
/// The same as for [`Tunnel::call`].
pub async fn all(tunnel: &Tunnel) -> Result<Facts, Error> {
    encoded(tunnel).await?.decode()
}

/// Returns all facts, still encoded.
///
/// # Errors
///
/// The errors of [`Tunnel::call`].
///
/// # Cancel safety
///
/// The same as for [`Tunnel::call`].
pub async fn encoded(tunnel: &Tunnel) -> Result<Reply, Error> {
    if is_native(tunnel).await? {
        return tunnel.invoke_encoded(all_by_native::with()).await;
    }
    tunnel.call_with(Call::new("chopsticks.facts:all")).await
}

/// Returns whether an agent in Rust answers.
async fn is_native(tunnel: &Tunnel) -> Result<bool, Error> {
    Ok(match tunnel.agent() {
        Agent::Python => false,
        Agent::Native => true,
        _ => tunnel.connect().await?.python.is_none(),
    })
}

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
