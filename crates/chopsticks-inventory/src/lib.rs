//! Names many hosts.
//!
//! * [`expand`] returns the names that a text with ranges, such as `web[01-20,35]`, stands for.
//!   [`fold()`] is its inverse. [`NodeSet`] is a set of names, with exclusion and intersection.
//! * [`Inventory`] reads the hosts, groups, settings and variables of a file: `chopsticks.toml`, or
//!   an inventory of Ansible as INI or YAML.
//! * [`Defaults`] are the settings of the program in `chopsticks.toml`.
//! * [`ssh_config_hosts`] lists the hosts of an `ssh_config`.
//! * [`Selector`] combines all of these, and returns a [`Selection`] of [`Host`]s. Each has the text
//!   of a target, and its variables.
//!
//! ```
//! use chopsticks_inventory::{Format, Inventory, Selector};
//!
//! let text = "[web]\nweb[01:20] ansible_user=admin\n\n[web:vars]\nrole=front\n";
//! let inventory = Inventory::parse(text, Format::Ini, "hosts.ini")?;
//! let selector = Selector::new().inventory(inventory).except("web[10-20]");
//! // How targets are written is the affair of another crate.
//! let name_of = |target: &str| Ok(target.split('=').next().unwrap_or_default().to_owned());
//! let selection = selector.select(["@web!web03"], name_of)?;
//! assert_eq!(selection.folded(), "web[01-02], web[04-09]");
//! assert_eq!(selection.hosts()[0].target(), "web01=ssh://admin@web01");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate reads files, but it does not start processes or connect to hosts. It knows nothing
//! about targets, except for the settings that an inventory can make. [`MAX_NAMES`] limits the
//! number of names, and is checked before any name is created.

mod ansible;
mod defaults;
mod document;
mod fold;
mod inventory;
mod node;
mod origin;
mod pattern;
mod select;
mod set;
mod settings;
mod ssh_config;
mod variable;

pub use crate::{
    defaults::{Defaults, Setting},
    fold::{Run, fold, runs},
    inventory::{Format, Host, Inventory, UnknownVariable},
    origin::{InvalidInventory, Origin, Warning},
    pattern::{InvalidNames, InvalidNamesKind, MAX_NAMES, expand},
    select::{SelectError, Selection, Selector},
    set::NodeSet,
    ssh_config::{SshConfigError, ssh_config_hosts, user_ssh_config},
    variable::{Variable, Variables},
};
