//! Facts about a host, which a function of this crate collects there.
//!
//! They are those of the Python module `chopsticks.facts`, and have the same names. Nothing here
//! requires a network or a program of the host. What needs `/proc` is unknown without it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

use serde::{Deserialize, Serialize};

use crate::function;

/// All facts of a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// How many CPUs programs that are started on the host may run on.
    pub cpu_count: u32,
    /// The name that the host gives itself.
    pub host_name: String,
    /// The address from which the host reaches others, unless it has only that of the loopback.
    pub ip: Option<IpAddr>,
    /// The kernel.
    pub kernel: Kernel,
    /// The memory.
    pub memory: Memory,
    /// The operating system.
    pub os: Os,
    /// The path of the agent's Python. It is empty if the path is not known, or if the agent is a
    /// program in Rust.
    pub python_executable: String,
    /// The version of the agent's Python: major, minor, micro. `None` if the agent is a program in
    /// Rust.
    pub python_version: Option<(u8, u8, u8)>,
    /// The routes of the host's main table, IPv4 first; empty if the system does not provide them.
    pub routes: Vec<Route>,
}

/// A host's kernel, as `uname` reports it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// The memory of the host, or `None` if it is not known.
    pub total: Option<u64>,
    /// The memory that programs can get without swapping. It is known only on Linux.
    pub available: Option<u64>,
}

/// A host's operating system.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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

/// Returns all facts of the host on which it runs.
#[function]
pub fn all() -> Facts {
    let routes = routes();
    Facts {
        cpu_count: cpu_count(),
        host_name: uname(Name::Host),
        ip: ip(&routes),
        kernel: Kernel {
            name: uname(Name::System),
            release: uname(Name::Release),
            machine: uname(Name::Machine),
        },
        memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        os: os(),
        python_executable: String::new(),
        python_version: None,
        routes,
    }
}

/// Returns at once. A call of it takes as long as the way to the host and back.
#[function]
pub fn nothing() {}

enum Name {
    Host,
    Machine,
    Release,
    System,
}

#[cfg(feature = "agent")]
fn uname(name: Name) -> String {
    let names = rustix::system::uname();
    let name = match name {
        Name::Host => names.nodename(),
        Name::Machine => names.machine(),
        Name::Release => names.release(),
        Name::System => names.sysname(),
    };
    name.to_string_lossy().into_owned()
}

/// A program without the agent runs nowhere else.
#[cfg(not(feature = "agent"))]
fn uname(_: Name) -> String {
    String::new()
}

fn cpu_count() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:"));
    let count =
        allowed.map(|mask| mask.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum());
    count.filter(|count| *count > 0).unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
    })
}

/// Connecting a UDP socket sends nothing: it only looks up the route.
fn ip(routes: &[Route]) -> Option<IpAddr> {
    // The first two are reserved for documentation. Without a default route, a neighbour will do.
    let mut targets = vec![
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    ];
    targets.extend(
        routes.iter().filter(|route| !["lo", "lo0"].contains(&route.interface.as_str())).map(neighbour),
    );
    targets.into_iter().find_map(|target| {
        let any = match target {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let probe = UdpSocket::bind((any, 0)).ok()?;
        probe.connect((target, 9)).ok()?;
        let address = probe.local_addr().ok()?.ip();
        let is_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        (!address.is_unspecified() && !address.is_loopback() && !is_local).then_some(address)
    })
}

/// Returns the first address after that of a network.
fn neighbour(route: &Route) -> IpAddr {
    match route.destination {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() | 1).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() | 1).into()),
    }
}

fn memory(text: &str) -> Memory {
    let size = |wanted: &str| -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':'))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    // Kernels before 3.14 leave the sum to others.
    let sum = || Some(size("MemFree")? + size("Buffers").unwrap_or(0) + size("Cached").unwrap_or(0));
    Memory { total: size("MemTotal"), available: size("MemAvailable").or_else(sum) }
}

fn os() -> Os {
    let read = |path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
    let text = read("/etc/os-release").or_else(|_| read("/usr/lib/os-release")).unwrap_or_default();
    let (system, release) = (uname(Name::System), uname(Name::Release));
    os_of(&text, &system, &release)
}

fn os_of(text: &str, system: &str, release: &str) -> Os {
    let find = |wanted: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(wanted)?.strip_prefix('=')).map(unquoted)
    };
    let version = if system == "Linux" { "" } else { release };
    let name = find("PRETTY_NAME").or_else(|| find("NAME")).filter(|name| !name.is_empty());
    Os {
        id: find("ID").filter(|id| !id.is_empty()).unwrap_or_else(|| system.to_lowercase()),
        name: name.unwrap_or_else(|| format!("{system} {version}").trim().to_owned()),
        version: find("VERSION_ID").unwrap_or_else(|| version.to_owned()),
    }
}

/// Returns a value as shells read it.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let mut characters = inner.unwrap_or(value).chars();
    let is_raw = value.starts_with('\'');
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' if !is_raw => text.extend(characters.next()),
            _ => text.push(character),
        }
    }
    text
}

fn routes() -> Vec<Route> {
    let read = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let (first, second) = (read("route"), read("ipv6_route"));
    first.lines().filter_map(route4).chain(second.lines().filter_map(route6)).collect()
}

/// Reads a line of `/proc/net/route`, where addresses are in the byte order of the machine.
fn route4(line: &str) -> Option<Route> {
    let words: Vec<_> = line.split_whitespace().collect();
    let number = |place: usize| u32::from_str_radix(words.get(place)?, 16).ok();
    let address = |place| Some(IpAddr::V4(Ipv4Addr::from(number(place)?.to_ne_bytes())));
    let flags = number(3)?;
    if flags & UP == 0 || flags & REJECT != 0 {
        return None;
    }
    Some(Route {
        destination: address(1)?,
        prefix_len: u8::try_from(number(7)?.count_ones()).ok()?,
        gateway: if flags & GATEWAY == 0 { None } else { address(2) },
        interface: (*words.first()?).to_owned(),
        metric: words.get(6)?.parse().ok(),
    })
}

/// Reads a line of `/proc/net/ipv6_route`, which has all tables.
fn route6(line: &str) -> Option<Route> {
    let words: Vec<_> = line.split_whitespace().collect();
    let address = |place: usize| Some(IpAddr::V6(u128::from_str_radix(words.get(place)?, 16).ok()?.into()));
    let number = |place: usize| u32::from_str_radix(words.get(place)?, 16).ok();
    let flags = number(8)?;
    let is_multicast = words.first()?.starts_with("ff");
    if flags & UP == 0 || flags & (REJECT | CACHED | LOCAL | ANYCAST) != 0 || is_multicast {
        return None;
    }
    Some(Route {
        destination: address(0)?,
        prefix_len: u8::try_from(number(1)?).ok()?,
        gateway: if flags & GATEWAY == 0 { None } else { address(4) },
        interface: (*words.get(9)?).to_owned(),
        metric: number(5),
    })
}

// The kernel's flags of a route.
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;
const CACHED: u32 = 0x0100_0000;
const LOCAL: u32 = 0x8000_0000;
const ANYCAST: u32 = 0x0010_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_is_read_as_shells_read_it() {
        let text = "# x\nNAME=\"Odd \\\"Linux\\\"\"\nID=odd\nVERSION_ID='1.2'\n";
        let expected = Os { id: "odd".into(), name: "Odd \"Linux\"".into(), version: "1.2".into() };
        assert_eq!(os_of(text, "Linux", "6.1"), expected);
        let expected = Os { id: "linux".into(), name: "Linux".into(), version: String::new() };
        assert_eq!(os_of("", "Linux", "6.1"), expected);
    }

    #[test]
    fn routes_are_those_of_the_main_table_that_are_up() {
        let word = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let (none, gateway) = (word([0; 4]), word([10, 0, 0, 1]));
        let line = format!("eth0 {none} {gateway} 0003 0 0 100 {none} 0 0 0");
        let route = route4(&line).unwrap();
        assert_eq!((route.prefix_len, route.metric), (0, Some(100)));
        assert_eq!(route.gateway, Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))));
        assert!(route4("Iface Destination Gateway Flags").is_none());
        let line = "fe800000000000000000000000000000 40 0 00 0 00000100 1 0 00000001 eth0";
        let zeros = "0".repeat(32);
        let line = line.replacen(" 0 00 0 ", &format!(" {zeros} 00 {zeros} "), 1);
        assert_eq!(route6(&line).map(|route| (route.prefix_len, route.gateway)), Some((0x40, None)));
        assert!(route6(&line.replace("00000001 eth0", "80000001 eth0")).is_none());
    }

    #[test]
    fn memory_is_in_bytes_and_need_not_be_known() {
        let found = memory("MemTotal:  2048 kB\nMemAvailable: 1024 kB\n");
        assert_eq!(found, Memory { total: Some(2 << 20), available: Some(1 << 20) });
        assert_eq!(memory(""), Memory { total: None, available: None });
    }

    #[test]
    fn facts_of_this_host_are_there() {
        let facts = all();
        assert!(facts.cpu_count > 0 && !facts.host_name.is_empty() && !facts.os.id.is_empty());
        assert!(!facts.kernel.machine.is_empty() && facts.memory.total > facts.memory.available);
    }
}
