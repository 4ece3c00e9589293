//! Inventories of Ansible: INI, YAML, and the folders of variables.

use std::path::Path;

use crate::{
    inventory::{self, Inventory, Layer},
    node::{self, Data, Entry, Node},
    origin::{InvalidInventory, Origin, Warning},
    pattern::{Style, expand_as},
    settings::Key,
    variable::Variable,
};

/// Reads INI: lines of hosts, in sections.
pub(crate) fn read_ini(inventory: &mut Inventory, text: &str) -> Result<(), InvalidInventory> {
    let file = inventory.file_name();
    let mut section = Section::Hosts(UNGROUPED.to_owned());
    inventory.define_group(UNGROUPED, &Origin::new(&file, 1));
    // Variables of groups can stand in front of their hosts.
    let mut variables: Vec<(String, String, Origin)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (line, origin) = (line.trim(), Origin::new(&file, number + 1));
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split_once(']').filter(|(_, rest)| is_comment(rest));
            let Some((name, _)) = header else {
                return Err(origin.invalid("expected `[group]`, or one host in each line"));
            };
            section = match name.split_once(':') {
                None => {
                    inventory.define_group(name, &origin);
                    Section::Hosts(name.to_owned())
                }
                Some((name, "children")) => {
                    inventory.define_group(name, &origin);
                    Section::Children(name.to_owned())
                }
                Some((name, "vars")) => {
                    variables.push((name.to_owned(), String::new(), origin));
                    Section::Variables(name.to_owned())
                }
                Some((_, kind)) => {
                    return Err(
                        origin.invalid(format!("`:{kind}` is not known; expected `:children` or `:vars`"))
                    );
                }
            };
            continue;
        }
        match &section {
            Section::Hosts(group) => ini_host(inventory, group, line, &origin)?,
            Section::Children(group) => {
                let child = without_comment(line);
                inventory.add_child(group, child, &origin);
            }
            Section::Variables(group) => variables.push((group.clone(), line.to_owned(), origin)),
        }
    }
    let mut warnings = Vec::new();
    for (group, line, origin) in variables {
        let Some(layer) = inventory.known_group(&group) else {
            return Err(origin.invalid(format!("there is no group '{group}'")));
        };
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| origin.invalid("expected `NAME=VALUE`"))?;
        set_text(layer, name.trim(), without_comment(value.trim()), &origin, &mut warnings)?;
    }
    warnings.into_iter().for_each(|warning| inventory.warn(warning));
    Ok(())
}

/// What the lines of a section are.
enum Section {
    Children(String),
    Hosts(String),
    Variables(String),
}

fn ini_host(
    inventory: &mut Inventory,
    group: &str,
    line: &str,
    origin: &Origin,
) -> Result<(), InvalidInventory> {
    let words = shlex::split(line).ok_or_else(|| origin.invalid("a quote is not closed"))?;
    let Some((pattern, settings)) = words.split_first() else { return Ok(()) };
    let (pattern, port) = with_port(pattern);
    let names = expand_as(pattern, Style::Colons).map_err(|error| origin.invalid(error.to_string()))?;
    let mut warnings = Vec::new();
    for name in names {
        let position = inventory.define_host(&name, origin)?;
        inventory.add_to_group(group, position, origin);
        let layer = inventory.host_layer(position);
        if let Some(port) = port {
            layer.settings.set(Key::Port, port, origin);
        }
        warnings.clear();
        for setting in settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                origin.invalid(format!("'{setting}' is not `NAME=VALUE`; write one host in each line"))
            })?;
            set_text(layer, name, value, origin, &mut warnings)?;
        }
    }
    // Once, however many hosts the line stands for.
    warnings.into_iter().for_each(|warning| inventory.warn(warning));
    Ok(())
}

/// Splits `HOST:PORT`. Colons between brackets belong to a range, and several ones to an address.
fn with_port(pattern: &str) -> (&str, Option<&str>) {
    match pattern.rsplit_once(':') {
        Some((host, port))
            if !port.is_empty()
                && port.bytes().all(|digit| digit.is_ascii_digit())
                && (host.ends_with(']') || !host.contains(':') || host.contains('[')) =>
        {
            (host, Some(port))
        }
        _ => (pattern, None),
    }
}

fn is_comment(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with(['#', ';'])
}

/// Cuts off a comment, which begins with ` #`.
fn without_comment(line: &str) -> &str {
    line.split(" #").next().unwrap_or(line).trim_end()
}

/// Sets what a text in an INI file sets. Values are literals of Python where they can be.
fn set_text(
    layer: &mut Layer,
    name: &str,
    value: &str,
    origin: &Origin,
    warnings: &mut Vec<Warning>,
) -> Result<(), InvalidInventory> {
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .or_else(|| value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')));
    let value = match (unquoted, value) {
        (Some(text), _) => text.into(),
        (None, "True") => Variable::Bool(true),
        (None, "False") => Variable::Bool(false),
        (None, "None") => Variable::None,
        (None, text) => {
            if text.starts_with(['[', '{']) && !text.starts_with("{{") {
                let what =
                    format!("the value of `{name}` is taken as a text; write lists and mappings in YAML");
                warnings.push(origin.warning(what));
            }
            node::number(text).unwrap_or_else(|| text.into())
        }
    };
    set(layer, name, value, origin, warnings)
}

/// Reads YAML: groups with `hosts`, `vars` and `children`.
pub(crate) fn read_yaml(inventory: &mut Inventory, text: &str) -> Result<(), InvalidInventory> {
    let Some(root) = Node::from_yaml(text, &inventory.file_name())? else { return Ok(()) };
    for entry in root.entries("the inventory")? {
        yaml_group(inventory, entry)?;
    }
    Ok(())
}

fn yaml_group(inventory: &mut Inventory, group: &Entry) -> Result<(), InvalidInventory> {
    let name = &group.key;
    inventory.define_group(name, &group.origin);
    for entry in group.value.entries(name)? {
        match entry.key.as_str() {
            "hosts" => {
                for host in entry.value.entries("hosts")? {
                    yaml_host(inventory, name, host)?;
                }
            }
            "vars" => {
                let mut warnings = Vec::new();
                let layer = inventory.define_group(name, &group.origin);
                set_all(layer, entry.value.entries("vars")?, &mut warnings)?;
                warnings.into_iter().for_each(|warning| inventory.warn(warning));
            }
            "children" => {
                for child in entry.value.entries("children")? {
                    inventory.add_child(name, &child.key, &child.origin);
                    yaml_group(inventory, child)?;
                }
            }
            other => {
                let what = format!("`{other}` has no effect; a group has `hosts`, `vars` and `children`");
                inventory.warn(entry.origin.warning(what));
            }
        }
    }
    Ok(())
}

fn yaml_host(inventory: &mut Inventory, group: &str, host: &Entry) -> Result<(), InvalidInventory> {
    let (pattern, port) = with_port(&host.key);
    let names = expand_as(pattern, Style::Colons).map_err(|error| host.origin.invalid(error.to_string()))?;
    let mut warnings = Vec::new();
    for name in names {
        let position = inventory.define_host(&name, &host.origin)?;
        inventory.add_to_group(group, position, &host.origin);
        let layer = inventory.host_layer(position);
        if let Some(port) = port {
            layer.settings.set(Key::Port, port, &host.origin);
        }
        warnings.clear();
        set_all(layer, host.value.entries(&host.key)?, &mut warnings)?;
    }
    warnings.into_iter().for_each(|warning| inventory.warn(warning));
    Ok(())
}

/// Reads `group_vars` and `host_vars` in `folder`.
pub(crate) fn read_folders(inventory: &mut Inventory, folder: &Path) -> Result<(), InvalidInventory> {
    let groups: Vec<_> = inventory.groups().map(str::to_owned).collect();
    let hosts: Vec<_> = inventory.names().map(str::to_owned).collect();
    let (of_groups, of_hosts) = (folder.join("group_vars"), folder.join("host_vars"));
    let mut warnings = Vec::new();
    if of_groups.is_dir() {
        for group in groups {
            let Some(layer) = inventory.known_group(&group) else { continue };
            read_variables(&of_groups, &group, layer, &mut warnings)?;
        }
    }
    if of_hosts.is_dir() {
        for host in hosts {
            let Some(layer) = inventory.known_host(&host) else { continue };
            read_variables(&of_hosts, &host, layer, &mut warnings)?;
        }
    }
    warnings.into_iter().for_each(|warning| inventory.warn(warning));
    Ok(())
}

fn read_variables(
    folder: &Path,
    name: &str,
    layer: &mut Layer,
    warnings: &mut Vec<Warning>,
) -> Result<(), InvalidInventory> {
    // A name may be a path.
    if name.contains('/') || name == ".." {
        return Ok(());
    }
    for ending in ["", ".yml", ".yaml", ".json"] {
        let path = folder.join(format!("{name}{ending}"));
        if path.is_dir() {
            let origin = Origin::new(&path.to_string_lossy().into(), 1);
            warnings.push(origin.warning("folders of variables are not read, only files"));
            continue;
        }
        if path.is_file() {
            let text = inventory::read(&path)?;
            let file = path.to_string_lossy().into();
            if let Some(node) = Node::from_yaml(&text, &file)? {
                set_all(layer, node.entries("the file")?, warnings)?;
            }
        }
    }
    Ok(())
}

fn set_all(
    layer: &mut Layer,
    entries: &[Entry],
    warnings: &mut Vec<Warning>,
) -> Result<(), InvalidInventory> {
    for entry in entries {
        if let Data::Unknown(why) = &entry.value.data {
            warnings.push(entry.value.origin.warning(format!("`{}` has no effect: {why}", entry.key)));
            continue;
        }
        set(layer, &entry.key, entry.value.variable()?, &entry.origin, warnings)?;
    }
    Ok(())
}

/// Sets a variable, or how a host is reached.
fn set(
    layer: &mut Layer,
    name: &str,
    value: Variable,
    origin: &Origin,
    warnings: &mut Vec<Warning>,
) -> Result<(), InvalidInventory> {
    let is_template = |text: &str| text.contains("{{") || text.contains("{%");
    let Some(setting) = name.strip_prefix("ansible_") else {
        if matches!(&value, Variable::Text(text) if is_template(text)) {
            warnings.push(origin.warning(format!("the template in `{name}` is not evaluated")));
        }
        layer.variables.insert(name.to_owned(), value);
        return Ok(());
    };
    let Some(text) = value.to_text() else {
        warnings.push(origin.warning(format!("`{name}` has no effect: its value is not a text")));
        return Ok(());
    };
    if is_template(&text) {
        return Err(origin.invalid(format!("the template in `{name}` cannot be evaluated")));
    }
    let yes = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok("yes"),
        "false" | "no" | "off" | "0" => Ok("no"),
        _ => Err(origin.invalid(format!("`{name}` is neither true nor false"))),
    };
    match setting {
        "host" | "ssh_host" => layer.settings.set(Key::Address, text, origin),
        "user" | "ssh_user" => layer.settings.set(Key::User, text, origin),
        "port" | "ssh_port" => match text.parse::<u16>() {
            Ok(port) => layer.settings.set(Key::Port, port.to_string(), origin),
            Err(_) => return Err(origin.invalid(format!("`{name}` is not a port"))),
        },
        "python_interpreter" => {
            // Ansible's words for looking for one.
            let python = if text.starts_with("auto") { "auto" } else { &text };
            layer.settings.set(Key::Python, python, origin);
        }
        "ssh_private_key_file" | "private_key_file" => layer.settings.set(Key::Identity, text, origin),
        "become" => layer.settings.set(Key::Sudo, yes(&text)?, origin),
        "become_user" => layer.settings.set(Key::SudoUser, text, origin),
        "become_method" if text == "sudo" => {}
        "connection" => {
            let connection = match text.rsplit('.').next().unwrap_or_default() {
                "smart" | "ssh" | "paramiko" | "paramiko_ssh" => "ssh",
                "docker" | "docker_api" => "docker",
                "local" => "local",
                "podman" => "podman",
                _ => &text,
            };
            layer.settings.set(Key::Connection, connection, origin);
        }
        "password" | "ssh_pass" | "ssh_password" | "become_password" | "become_pass" | "sudo_pass" => {
            warnings.push(
                origin.warning(format!("`{name}` has no effect: passwords are not read from inventories")),
            );
        }
        _ => warnings.push(origin.warning(format!("`{name}` has no effect: it is not known"))),
    }
    Ok(())
}

/// The group of hosts that are in no group.
const UNGROUPED: &str = "ungrouped";
