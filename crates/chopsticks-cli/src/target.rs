//! Targets: where a function is called.

use std::{collections::BTreeMap, path::Path, str::FromStr};

use chopsticks::{HostName, Local, Tunnel, TunnelConfig};
use thiserror::Error;

/// A target: `[NAME=]local`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    host: HostName,
    place: Place,
}

/// What is at the end of the tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// A subprocess.
    Local,
}

#[derive(Debug, Error)]
pub(crate) enum InvalidTarget {
    #[error("a target is empty: `local` or `NAME=local` is wanted")]
    Empty,
    #[error("the target has no name in front of `=`")]
    Nameless,
    #[error("targets are `local` and `NAME=local`; '{0}' is not known")]
    Unknown(String),
    #[error("the target cannot be named so: {0}")]
    Unnameable(String),
}

impl Target {
    /// Returns the name of its host.
    pub(crate) fn host(&self) -> &HostName {
        &self.host
    }

    /// Makes a tunnel to it, which is not connected yet.
    pub(crate) fn tunnel(&self, python: Option<&Path>, config: TunnelConfig) -> Tunnel {
        match self.place {
            Place::Local => {
                let local = Local::new().name(&self.host);
                let local = match python {
                    Some(python) => local.python(python),
                    None => local,
                };
                Tunnel::with_config(local, config)
            }
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (name, place) = match text.split_once('=') {
            Some((name, place)) => (Some(name), place),
            None => (None, text),
        };
        let (place, default_name) = match place {
            "" if name.is_none() => return Err(InvalidTarget::Empty),
            "local" => (Place::Local, "localhost"),
            place => return Err(InvalidTarget::Unknown(place.to_owned())),
        };
        let host = match name {
            Some("") => return Err(InvalidTarget::Nameless),
            name => name.unwrap_or(default_name).parse(),
        };
        let host = host.map_err(|error: chopsticks::tunnel::InvalidHostName| {
            InvalidTarget::Unnameable(error.to_string())
        });
        Ok(Self { host: host?, place })
    }
}

/// Refuses targets with the same name, which would be the same key in the results.
pub(crate) fn check_names(targets: &[Target]) -> Result<(), String> {
    let mut counts = BTreeMap::<_, usize>::new();
    for target in targets {
        *counts.entry(target.host()).or_default() += 1;
    }
    let repeated: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = repeated.iter().map(|(host, count)| format!("'{host}' ({count} times)")).collect();
    Err(format!(
        "targets have the same name: {}; name them apart, as in --on a=local,b=local",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        text.parse::<Target>().map(|target| target.host().to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn local_target_is_named_localhost_unless_named() {
        assert_eq!(parse("local").unwrap(), "localhost");
        assert_eq!(parse("a=local").unwrap(), "a");
        assert_eq!(parse("worker 1=local").unwrap(), "worker 1");
    }

    #[test]
    fn other_targets_are_refused_with_what_is_accepted() {
        for (text, expected) in [
            ("", "a target is empty"),
            ("=local", "no name"),
            ("a=", "'' is not known"),
            ("a=b=local", "'b=local' is not known"),
            ("web1", "`local` and `NAME=local`; 'web1' is not known"),
            ("ssh://web1", "'ssh://web1' is not known"),
            ("LOCAL", "'LOCAL' is not known"),
            ("a\x1bb=local", "control characters"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn tunnel_has_the_name_of_its_target() {
        let tunnel = "a=local".parse::<Target>().unwrap().tunnel(None, TunnelConfig::default());
        assert_eq!(tunnel.host().as_str(), "a");
    }

    #[test]
    fn names_that_repeat_are_refused_all_at_once() {
        let targets = |text: &str| text.split(',').map(|text| text.parse().unwrap()).collect::<Vec<Target>>();
        assert_eq!(check_names(&targets("local,a=local,b=local")), Ok(()));
        let message = check_names(&targets("local,a=local,local,b=local,a=local,a=local")).unwrap_err();
        assert!(message.contains("'a' (3 times), 'localhost' (2 times)"), "{message}");
        assert!(!message.contains("'b'"), "{message}");
    }
}
