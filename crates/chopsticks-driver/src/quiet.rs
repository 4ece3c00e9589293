//! Settings that `Debug` must not show: the environment and arguments, which may contain passwords
//! and tokens.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::{self, Debug, Formatter},
    ops::{Deref, DerefMut},
};

/// Settings whose `Debug` shows names or the number of values, and no values.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Quiet<T>(pub(crate) T);

impl<T> Deref for Quiet<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Quiet<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Shows how many arguments there are.
impl Debug for Quiet<Vec<OsString>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{} not shown]", self.len())
    }
}

/// Shows the names of options of the form `name=value`.
impl Debug for Quiet<Vec<String>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|option| option.split(['=', ' ']).next().unwrap_or_default());
        f.debug_list().entries(names).finish()
    }
}

/// Shows the names of variables.
impl Debug for Quiet<Vec<(OsString, OsString)>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Shows the names of variables.
impl<V> Debug for Quiet<BTreeMap<String, V>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Address, AgentOptions, Command, Docker, Local, Podman, Ssh, Sudo};

    #[test]
    fn debug_shows_names_of_variables_and_no_values_and_no_arguments() {
        let options = AgentOptions::new().env("TOKEN", "s3cret");
        let address: Address = "exec:env TOKEN=s3cret python3".parse().unwrap();
        let shown = [
            format!("{options:?}"),
            format!("{:?}", Local::new().env("TOKEN", "s3cret")),
            format!("{:?}", Command::new("env").args(["TOKEN=s3cret", "python3"])),
            format!("{:?}", Ssh::new("web1").args(["-o", "s3cret"]).option("ProxyCommand=s3cret")),
            format!("{:?}", Docker::new("python").args(["--env", "TOKEN=s3cret"])),
            format!("{:?}", Podman::new("python").args(["--env", "TOKEN=s3cret"])),
            format!("{:?}", Docker::attach("db").args(["--env", "TOKEN=s3cret"])),
            format!("{:?}", Sudo::new("root").env("TOKEN", "s3cret")),
            format!("{address:?}"),
        ];
        for shown in &shown {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        for shown in [&shown[0], &shown[1], &shown[7]] {
            assert!(shown.contains("TOKEN"), "{shown}");
        }
    }
}
