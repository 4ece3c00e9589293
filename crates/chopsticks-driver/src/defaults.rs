//! The interpreters of drivers that do not set their own.

use std::collections::BTreeMap;

use crate::{driver::Driver, interpreter::Interpreter};

/// A driver whose type has a default interpreter: `Local`, `Ssh`, `Sudo`, and those of containers.
/// New and running containers of one engine share theirs.
pub trait HasDefaultPython: Driver + sealed::Sealed {}

impl<D: Driver + sealed::Sealed> HasDefaultPython for D {}

/// The interpreters of drivers that do not set their own, for each type of driver.
///
/// ```
/// use chopsticks_driver::{DefaultPythons, Ssh};
///
/// let mut pythons = DefaultPythons::default();
/// assert_eq!(pythons.get::<Ssh>().to_string(), "/usr/bin/python3");
/// pythons.set::<Ssh>("/opt/python3.13/bin/python3");
/// assert_eq!(pythons.get::<Ssh>().to_string(), "/opt/python3.13/bin/python3");
/// ```
#[derive(Clone, Debug, Default)]
pub struct DefaultPythons(BTreeMap<&'static str, Interpreter>);

impl DefaultPythons {
    /// Sets the interpreter of drivers of type `D`.
    pub fn set<D: HasDefaultPython>(&mut self, interpreter: impl Into<Interpreter>) {
        self.0.insert(D::KIND, interpreter.into());
    }

    /// Returns the interpreter of drivers of type `D`. Unless it was set, it is `/usr/bin/python3`,
    /// and `python3` in containers.
    pub fn get<D: HasDefaultPython>(&self) -> Interpreter {
        self.0.get(D::KIND).cloned().unwrap_or_else(|| Interpreter::from(D::PRESET))
    }
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {
        /// Drivers of one kind share their default.
        const KIND: &str;
        const PRESET: &str = "/usr/bin/python3";
    }
}
