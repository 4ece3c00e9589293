//! The file `chopsticks.toml`: `[hosts.NAME]` and `[groups.NAME]`.

use crate::{
    inventory::{Inventory, Layer},
    node::{Data, Entry, Node},
    origin::InvalidInventory,
    pattern::expand,
    settings::Key,
    variable::Variable,
};

/// Reads the hosts and groups. Other tables belong to others.
pub(crate) fn read(inventory: &mut Inventory, text: &str) -> Result<(), InvalidInventory> {
    let root = Node::from_toml(text, &inventory.file_name())?;
    for entry in root.entries("the file")? {
        match entry.key.as_str() {
            "hosts" => {
                for host in entry.value.entries("hosts")? {
                    read_host(inventory, host)?;
                }
            }
            "groups" => {
                for group in entry.value.entries("groups")? {
                    read_group(inventory, group)?;
                }
            }
            DEFAULTS => {}
            other => {
                let what = format!("`{other}` is not known; expected `hosts`, `groups` or `{DEFAULTS}`");
                return Err(entry.origin.invalid(what));
            }
        }
    }
    Ok(())
}

fn read_host(inventory: &mut Inventory, host: &Entry) -> Result<(), InvalidInventory> {
    let names = expand(&host.key).map_err(|error| host.origin.invalid(error.to_string()))?;
    let entries = host.value.entries(&host.key)?;
    let mut addresses = None;
    for entry in entries.iter().filter(|entry| entry.key == "address") {
        let text = text(entry)?;
        let expanded = expand(&text).map_err(|error| entry.origin.invalid(error.to_string()))?;
        if expanded.len() != names.len() {
            let (names, addresses) = (names.len(), expanded.len());
            return Err(entry.origin.invalid(format!("{names} hosts have {addresses} addresses")));
        }
        addresses = Some((expanded, &entry.origin));
    }
    for (index, name) in names.iter().enumerate() {
        let position = inventory.define_host(name, &host.origin)?;
        let layer = inventory.host_layer(position);
        if let Some((addresses, origin)) = &addresses {
            layer.settings.set(Key::Address, &addresses[index], origin);
        }
        for entry in entries {
            if !set(layer, entry)? && entry.key != "address" {
                return Err(unknown(entry));
            }
        }
    }
    Ok(())
}

fn read_group(inventory: &mut Inventory, group: &Entry) -> Result<(), InvalidInventory> {
    let name = &group.key;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "@,!&[]/".contains(c)) {
        return Err(group.origin.invalid(format!("invalid name of a group '{name}'")));
    }
    inventory.define_group(name, &group.origin);
    for entry in group.value.entries(name)? {
        match entry.key.as_str() {
            "hosts" => {
                for (text, origin) in entry.value.texts("hosts")? {
                    let names = expand(text).map_err(|error| origin.invalid(error.to_string()))?;
                    for host in names {
                        let position = inventory.define_host(&host, origin)?;
                        inventory.add_to_group(name, position, origin);
                    }
                }
            }
            "groups" => {
                for (child, origin) in entry.value.texts("groups")? {
                    inventory.add_child(name, child, origin);
                }
            }
            "address" => return Err(entry.origin.invalid("a group has no address; its hosts have one each")),
            _ => {
                if !set(inventory.define_group(name, &group.origin), entry)? {
                    return Err(unknown(entry));
                }
            }
        }
    }
    Ok(())
}

/// Sets what hosts and groups can set. Returns whether the key is known.
fn set(layer: &mut Layer, entry: &Entry) -> Result<bool, InvalidInventory> {
    let key = match entry.key.as_str() {
        "connection" => Key::Connection,
        "cwd" => Key::Cwd,
        "identity" => Key::Identity,
        "jump" => Key::Jump,
        "python" => Key::Python,
        "target" => Key::Target,
        "user" => Key::User,
        "port" => {
            let port =
                text(entry)?.parse::<u16>().map_err(|_| entry.origin.invalid("`port` is not a port"))?;
            layer.settings.set(Key::Port, port.to_string(), &entry.origin);
            return Ok(true);
        }
        "sudo" => {
            match &entry.value.data {
                Data::Scalar(Variable::Bool(is_on)) => {
                    layer.settings.set(Key::Sudo, if *is_on { "yes" } else { "no" }, &entry.origin);
                }
                _ => {
                    layer.settings.set(Key::Sudo, "yes", &entry.origin);
                    layer.settings.set(Key::SudoUser, text(entry)?, &entry.origin);
                }
            }
            return Ok(true);
        }
        "env" => {
            for variable in entry.value.entries("env")? {
                layer.settings.set_env(&variable.key, text(variable)?);
            }
            return Ok(true);
        }
        "vars" => {
            for variable in entry.value.entries("vars")? {
                layer.variables.insert(variable.key.clone(), variable.value.variable()?);
            }
            return Ok(true);
        }
        _ => return Ok(false),
    };
    layer.settings.set(key, text(entry)?, &entry.origin);
    Ok(true)
}

fn text(entry: &Entry) -> Result<String, InvalidInventory> {
    let text = entry.value.variable()?.to_text();
    text.ok_or_else(|| entry.origin.invalid(format!("the value of `{}` is not a text", entry.key)))
}

fn unknown(entry: &Entry) -> InvalidInventory {
    let what = format!("`{}` is not known; expected {KEYS}; variables of your own are in `vars`", entry.key);
    entry.origin.invalid(what)
}

/// The table of the program's settings.
pub(crate) const DEFAULTS: &str = "defaults";
const KEYS: &str = "`address`, `connection`, `cwd`, `env`, `groups`, `hosts`, `identity`, `jump`, `port`, `python`, \
                    `sudo`, `target`, `user` or `vars`";
