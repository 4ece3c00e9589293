//! Inventories of all formats, and what is selected from them.

use std::fs;

use chopsticks_inventory::{
    Defaults, Format, Inventory, SelectError, Selection, Selector, Variable, ssh_config_hosts,
};
use chopsticks_support::Scratch;

const INI: &str = "\
# hosts without a group
mail ansible_host=10.0.0.1 note='a b' ansible_port=2222

[web]
www[01:03].x ansible_user=admin # old style
\"quoted\" x=5

[db]
db-[a:b] ansible_connection=local
[prod:children]
web
db   # both
[prod:vars]
ansible_python_interpreter=/usr/bin/python3.11
tier = prod  # which
[all:vars]
tier=any
zip=01234
flags=[1, 2]
[web:vars]
ansible_become=true
";

const YAML: &str = "\
all:
  vars: {tier: any, ansible_python_interpreter: auto_silent}
  hosts:
    mail: {ansible_host: '::1', ansible_port: 2222, note: [1, {a: 2}]}
  children:
    prod:
      vars: {tier: prod}
      children:
        web:
          vars: {ansible_become: yes, ansible_become_user: www}
          hosts:
            www[01:03].x: {ansible_user: admin}
        db:
          hosts:
            db1:
              ansible_connection: community.docker.docker
              ansible_host: pg
            db2:
";

const TOML: &str = "\
[defaults]
timeout = 30

[hosts.mail]
address = '10.0.0.1'
port = 2222
vars = { note = 'a b', list = [1, 2] }

[hosts.'db[1-2]']
address = '10.0.1.[11-12]'
sudo = 'postgres'
env = { A = 'x,y&z', B = '1' }

[groups.web]
hosts = ['web[1-3]']
user = 'admin'
sudo = true

[groups.containers]
hosts = ['c[1-2]']
target = 'docker-exec://app-{host}'
python = 'python3'

[groups.prod]
groups = ['web', 'db']
python = 'auto'
vars = { tier = 'prod' }

[groups.db]
hosts = ['db[1-2]']
";

fn select(inventory: &str, format: Format, on: &str, except: &[&str]) -> Result<Selection, SelectError> {
    let inventory = Inventory::parse(inventory, format, "f").expect("it is valid");
    let selector = except.iter().fold(Selector::new().inventory(inventory), |it, text| it.except(*text));
    selector.select([on], name_of)
}

/// As the parser of targets does it, for what is needed here.
fn name_of(target: &str) -> Result<String, String> {
    match target.split_once('=') {
        Some((name, _)) if !name.contains([':', '?']) => Ok(name.to_owned()),
        _ if target.is_empty() || target.starts_with("ftp:") => Err(format!("invalid target '{target}'")),
        _ => Ok(target.to_owned()),
    }
}

fn targets(selection: &Selection) -> Vec<&str> {
    selection.hosts().iter().map(|host| host.target()).collect()
}

#[test]
fn ini_of_ansible_is_read() {
    let selection = select(INI, Format::Ini, "@all", &[]).unwrap();
    assert_eq!(
        targets(&selection),
        [
            "mail=ssh://10.0.0.1:2222",
            "www01.x=ssh://admin@www01.x?python=/usr/bin/python3.11&sudo",
            "www02.x=ssh://admin@www02.x?python=/usr/bin/python3.11&sudo",
            "www03.x=ssh://admin@www03.x?python=/usr/bin/python3.11&sudo",
            "quoted=ssh://quoted?python=/usr/bin/python3.11&sudo",
            "db-a=local?python=/usr/bin/python3.11",
            "db-b=local?python=/usr/bin/python3.11",
        ]
    );
    let host = selection.get("www02.x").unwrap();
    assert_eq!(host.groups(), ["prod", "web"]);
    assert_eq!(host.variables()["tier"], "prod".into());
    assert_eq!(selection.get("mail").unwrap().variables()["tier"], "any".into());
    assert_eq!(selection.get("mail").unwrap().variables()["note"], "a b".into());
    assert_eq!(selection.get("quoted").unwrap().variables()["x"], Variable::Int(5));
    assert_eq!(host.variables()["zip"], "01234".into());
    assert_eq!(host.origin().unwrap().to_string(), "f:5");
    let inventory = Inventory::parse(INI, Format::Ini, "f").unwrap();
    let warnings: Vec<_> = inventory.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["f:19: the value of `flags` is taken as a text; write lists and mappings in YAML"]);
    assert_eq!(inventory.group("prod").unwrap().len(), 6);
    assert_eq!(inventory.group("ungrouped").unwrap(), ["mail"]);
}

#[test]
fn yaml_of_ansible_is_read() {
    let selection = select(YAML, Format::Yaml, "@all", &[]).unwrap();
    assert_eq!(
        targets(&selection),
        [
            "mail=ssh://[%3A%3A1]:2222?python=auto",
            "www01.x=ssh://admin@www01.x?python=auto&sudo=www",
            "www02.x=ssh://admin@www02.x?python=auto&sudo=www",
            "www03.x=ssh://admin@www03.x?python=auto&sudo=www",
            "db1=docker-exec://pg?python=auto",
            "db2=ssh://db2?python=auto",
        ]
    );
    let note = serde_json::to_string(&selection.get("mail").unwrap().variables()["note"]).unwrap();
    assert_eq!(note, r#"[1,{"a":2}]"#);
    assert_eq!(selection.get("db2").unwrap().variables()["tier"], "prod".into());
}

#[test]
fn own_inventory_is_read() {
    let selection = select(TOML, Format::Toml, "@all", &[]).unwrap();
    assert_eq!(
        targets(&selection),
        [
            "mail=ssh://10.0.0.1:2222",
            "db1=ssh://10.0.1.11?python=auto&env=A=x%2Cy%26z&env=B=1&sudo=postgres",
            "db2=ssh://10.0.1.12?python=auto&env=A=x%2Cy%26z&env=B=1&sudo=postgres",
            "web1=ssh://admin@web1?python=auto&sudo",
            "web2=ssh://admin@web2?python=auto&sudo",
            "web3=ssh://admin@web3?python=auto&sudo",
            "c1=docker-exec://app-c1?python=python3",
            "c2=docker-exec://app-c2?python=python3",
        ]
    );
    assert_eq!(selection.get("db1").unwrap().groups(), ["prod", "db"]);
}

#[test]
fn hosts_are_selected_by_groups_globs_ranges_and_files() {
    let scratch = Scratch::new();
    scratch.write("file", "# some\nweb[1-2]\n\nother!nothing\n");
    let file = format!("@{}", scratch.path().join("file").display());
    for (on, except, expected) in [
        ("@web", &[][..], "web[1-3]"),
        ("@prod!@web", &[], "db[1-2]"),
        ("@prod&@web", &["web2"], "web1, web3"),
        ("w*,db1", &[], "web[1-3], db1"),
        ("web[2-3],@web", &[], "web[2-3], web1"),
        ("new[08-10],mail", &["*"], "new[08-10]"),
        (&file, &[], "web[1-2], other"),
        ("n[1-3]=local,m[1-2]=ssh://h[7-8]:2", &["n2"], "n1, n3, m[1-2]"),
    ] {
        let selection = select(TOML, Format::Toml, on, except).unwrap();
        assert_eq!(selection.folded(), expected, "{on}");
    }
    let selection =
        select(TOML, Format::Toml, "web1,m[1-2]=ssh://h[7-8]:2?env=A=[1-3]", &["nothing"]).unwrap();
    assert_eq!(
        targets(&selection),
        ["web1=ssh://admin@web1?python=auto&sudo", "m1=ssh://h7:2?env=A=[1-3]", "m2=ssh://h8:2?env=A=[1-3]",]
    );
    assert_eq!(selection.unused(), ["nothing"]);
    // A target of that name has the variables of the inventory.
    let selection = select(TOML, Format::Toml, "web1=local", &[]).unwrap();
    assert_eq!(
        (targets(&selection), &selection.hosts()[0].variables()["tier"]),
        (vec!["web1=local"], &"prod".into())
    );
}

#[test]
fn what_selects_nothing_is_an_error() {
    for (on, expected) in [
        ("x*", "'x*' selects nothing: no host in f has such a name"),
        ("@nope", "'@nope' selects nothing: there is neither a group 'nope' in f nor a file"),
        ("web1!web1", "there are no targets"),
        ("a=local,a=local", "'a' (2 times)"),
        ("web[1-2],web1=local", "'web1' (2 times)"),
        ("n[1-2]=h[1-3]", "2 names stand for 3 targets"),
        ("web[1-999999999]", "too many names"),
        ("ftp://x", "invalid target 'ftp://x'"),
        ("a,", "invalid target ''"),
    ] {
        let error = select(TOML, Format::Toml, on, &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{on}: {error}");
    }
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_line() {
    for (format, text, expected) in [
        (Format::Ini, "a\n[web\n", "f:2: expected `[group]`"),
        (Format::Ini, "a\nb c\n", "f:2: 'c' is not `NAME=VALUE`"),
        (Format::Ini, "a x='\n", "f:1: a quote is not closed"),
        (Format::Ini, "[x:y]\n", "f:1: `:y` is not known"),
        (Format::Ini, "[a:children]\nb\n", "f:2: there is no group 'b'"),
        (Format::Ini, "\n[b:vars]\nx=1\n", "f:2: there is no group 'b'"),
        (Format::Ini, "[a:children]\nb\n[b:children]\na\n", "is a part of itself"),
        (Format::Ini, "a[9:1]\n", "f:1: invalid names 'a[9:1]'"),
        (Format::Ini, "a[1:999999999]\n", "too many names"),
        (Format::Ini, "a ansible_port=x\n", "f:1: `ansible_port` is not a port"),
        (Format::Ini, "a ansible_host={{x}}\n", "f:1: the template in `ansible_host` cannot be evaluated"),
        (Format::Ini, "a ansible_become=maybe\n", "neither true nor false"),
        (Format::Yaml, "all:\n  hosts: [a]\n", "f:2: `hosts` is not a mapping"),
        (Format::Yaml, "all: {\n", "f:"),
        (Format::Yaml, "a: {}\n---\nb: {}\n", "a second document"),
        (Format::Toml, "[hosts.a]\nuser = 'x'\ncolour = 'red'\n", "f:3: `colour` is not known"),
        (Format::Toml, "[groups.'a b']\n", "f:1: invalid name of a group"),
        (Format::Toml, "[groups.a]\nhosts = 'x'\n", "f:2: `hosts` is not a list"),
        (Format::Toml, "[groups.a]\naddress = 'x'\n", "f:2: a group has no address"),
        (Format::Toml, "[hosts.'a[1-2]']\naddress = 'x'\n", "f:2: 2 hosts have 1 addresses"),
        (Format::Toml, "host = 1\n", "f:1: `host` is not known"),
    ] {
        let error = Inventory::parse(text, format, "f").unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let error = select("a ansible_connection=winrm\n", Format::Ini, "a", &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "f:1: host 'a': the connection 'winrm' is not known; expected ssh, local, docker or podman"
    );
}

#[test]
fn what_has_no_effect_is_named_with_its_line() {
    let warnings = |format, text: &str| {
        let inventory = Inventory::parse(text, format, "f").unwrap();
        inventory.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(Format::Ini, "a[1:3] ansible_shell_type=csh ansible_password=secret x={{y}}\n"),
        [
            "f:1: `ansible_shell_type` has no effect: it is not known",
            "f:1: `ansible_password` has no effect: passwords are not read from inventories",
            "f:1: the template in `x` is not evaluated",
        ]
    );
    assert_eq!(
        warnings(Format::Yaml, "all:\n  hosts:\n    a:\n      p: !vault |\n        66\nweb:\n  host: {}\n"),
        [
            "f:4: `p` has no effect: values with the tag `!vault` cannot be read",
            "f:7: `host` has no effect; a group has `hosts`, `vars` and `children`",
        ]
    );
}

#[test]
fn folders_of_variables_are_read() {
    let scratch = Scratch::new();
    scratch.write("hosts.ini", "[web]\na x=1\nb\n");
    scratch.write("group_vars/web.yml", "x: 2\nansible_user: admin\n");
    scratch.write("group_vars/all", "y: [1]\n");
    scratch.write("host_vars/b.yaml", "x: 3\n");
    let inventory = Inventory::read(scratch.path().join("hosts.ini")).unwrap();
    let [a, b] = ["a", "b"].map(|name| inventory.host(name).unwrap().unwrap());
    assert_eq!(
        (a.target(), &a.variables()["x"], a.variables().len()),
        ("a=ssh://admin@a", &Variable::Int(1), 2)
    );
    assert_eq!(b.variables()["x"], Variable::Int(3));
    scratch.write("group_vars/web.yml", "x: [\n");
    let error = Inventory::read(scratch.path().join("hosts.ini")).unwrap_err().to_string();
    assert!(error.contains("group_vars/web.yml:"), "{error}");
    scratch.write("script", "#!/bin/sh\n");
    let error = Inventory::read(scratch.path().join("script")).unwrap_err().to_string();
    assert!(error.contains("it is a program"), "{error}");
}

#[test]
fn templates_have_names_and_variables() {
    let selection = select(TOML, Format::Toml, "mail", &[]).unwrap();
    let host = &selection.hosts()[0];
    assert_eq!(host.fill("{host}/{var.note}/{other}/{{host}}/{").unwrap(), "mail/a b/{other}/{mail}/{");
    assert!(host.fill("{var.list}").unwrap_err().to_string().contains("'mail'"));
    assert!(host.fill("{var.none}").unwrap_err().to_string().contains("'none'"));
}

#[test]
fn hosts_of_ssh_config_are_listed() {
    let scratch = Scratch::new();
    let more = scratch.path().join("conf.d");
    scratch.write("conf.d/a.conf", "Host a1\nHOST=\"a2\" # more\n");
    scratch.write("conf.d/b.conf", format!("host b1\nInclude {}/b.conf\n", more.display()));
    scratch.write("conf.d/.hidden.conf", "Host hidden\n");
    scratch.write(
        "config",
        format!(
            "Include {}/*.conf {}/absent\nHost web1 web2 !web3 *.x web?\n  HostName 10.0.0.1\n\
             Match host web9\n  Include {}/a.conf\nHost web1 db\nHost *\n",
            more.display(),
            more.display(),
            more.display(),
        ),
    );
    let config = scratch.path().join("config");
    let hosts = ssh_config_hosts(&config).unwrap();
    assert_eq!(hosts.iter().collect::<Vec<_>>(), ["a1", "a2", "b1", "web1", "web2", "db"]);
    let selector = Selector::new().ssh_config(&config);
    let selection = selector.select(["ssh-config:web*!web1,x=local"], name_of).unwrap();
    assert_eq!(selection.folded(), "web2, x");
    let error = selector.select(["ssh-config:nope*"], name_of).unwrap_err().to_string();
    assert!(error.contains("no host in ") && error.contains("config"), "{error}");
    fs::remove_file(&config).unwrap();
    let error = selector.select(["ssh-config:*"], name_of).unwrap_err().to_string();
    assert!(error.contains("cannot read "), "{error}");
}

#[test]
fn settings_of_the_program_are_read_with_their_lines() {
    let scratch = Scratch::new();
    let file = scratch.path().join("chopsticks.toml");
    scratch.write(
        "chopsticks.toml",
        "[defaults]\ntimeout = 30\nfold = true\nroot = ['a', 'b']\nenv = { A = 1 }\n",
    );
    let defaults = Defaults::read(&file).unwrap();
    let found: Vec<_> = defaults.settings.iter().map(|it| (it.name.as_str(), it.values.join(" "))).collect();
    let expected = [("timeout", "30"), ("fold", "true"), ("root", "a b"), ("env", "A=1")];
    assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!((defaults.settings[1].origin.line(), defaults.has_hosts), (3, false));
    scratch.write("chopsticks.toml", "[groups.a]\n[defaults]\ntimeout = [[1]]\n");
    let error = Defaults::read(&file).unwrap_err().to_string();
    assert!(error.ends_with("chopsticks.toml:3: `timeout` has an invalid value"), "{error}");
    scratch.write("chopsticks.toml", "[groups.a]\n");
    assert!(Defaults::read(&file).unwrap().has_hosts);
}
