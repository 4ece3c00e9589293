//! Tests of targets.

use super::*;

fn host(text: &str) -> String {
    text.parse::<Address>().unwrap_or_else(|error| panic!("{error}")).host().to_string()
}

/// How the driver behind a target is set, as far as `Debug` tells.
fn driver(text: &str) -> String {
    format!("{:?}", text.parse::<Address>().unwrap_or_else(|error| panic!("{error}")).place)
}

fn reason(text: &str) -> String {
    text.parse::<Address>().err().unwrap_or_else(|| panic!("{text} was accepted")).to_string()
}

#[test]
fn each_kind_of_target_has_a_name_of_its_own_unless_one_is_given() {
    for (text, name) in [
        ("local", "localhost"),
        ("worker 1=local", "worker 1"),
        ("local?python=auto", "localhost"),
        ("web1", "web1"),
        ("admin@web1.example", "admin@web1.example"),
        ("db=admin@web1?python=auto&env=A=B", "db"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("user@[::1]", "user@::1"),
        ("user@[::1]:2222", "user@[::1]:2222"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("root@fe80::1%eth0", "root@fe80::1%eth0"),
        ("[fe80::1%eth0]:22", "[fe80::1%eth0]:22"),
        ("ssh://web1", "web1"),
        ("ssh://admin@web1:2222/", "admin@web1:2222"),
        ("ssh://[fe80::1%25eth0]:22", "[fe80::1%eth0]:22"),
        ("sudo:postgres", "postgres@localhost"),
        ("docker://python:3.13-slim", "python:3.13-slim"),
        ("docker://registry.example:5000/a/b:1?name=box", "box"),
        ("box=docker://python:3?name=other", "box"),
        ("docker-exec://web", "web"),
        ("podman://python:3", "python:3"),
        ("podman-exec://web", "web"),
        ("su:postgres", "postgres@localhost"),
        ("doas:root?arg=-L", "root@localhost"),
        ("chroot:/srv/root", "/srv/root"),
        ("nsenter:4711?namespace=net", "pid-4711"),
        ("netns:blue", "blue"),
        ("compose://web?project=shop", "web"),
        ("kubectl://web-0", "web-0"),
        ("kubectl://shop/web-0?container=app", "web-0"),
        ("kubectl://deploy/api?namespace=shop", "deploy/api"),
        ("lxc://web", "web"),
        ("incus://cluster:web", "cluster:web"),
        ("lxd://web", "web"),
        ("nspawn://bookworm?ephemeral", "bookworm"),
        ("nspawn:///srv/root", "/srv/root"),
        ("machine://web", "web"),
        ("slurm:", "slurm"),
        ("slurm:debug?nodes=2", "debug"),
        ("exec:/usr/bin/srun -n1 python3", "srun"),
        ("node=exec:env A=B python3", "node"),
    ] {
        assert_eq!(host(text), name, "{text}");
    }
}

#[test]
fn target_behind_a_slash_is_reached_through_the_one_in_front() {
    for (text, hops, name) in [
        ("bastion/ssh://db1", "bastion", "bastion/db1"),
        ("ssh://bastion/ssh://db1/sudo:root", "bastion, bastion/db1", "bastion/db1/root@localhost"),
        ("local/local:/local:", "localhost, localhost/localhost", "localhost/localhost/localhost"),
        ("db=admin@bastion?python=/usr/bin/python3/ssh://db1:22?sudo", "admin@bastion", "db"),
        (
            "web1/docker://registry.example:5000/a/b:1?network=none",
            "web1",
            "web1/registry.example:5000/a/b:1",
        ),
        ("web1/docker-exec://c/sudo:u", "web1, web1/c", "web1/c/u@localhost"),
        ("web1/podman://i", "web1", "web1/i"),
        ("web1/kubectl://shop/web-0", "web1", "web1/web-0"),
        ("web1/nspawn:///srv/root/su:u", "web1, web1//srv/root", "web1//srv/root/u@localhost"),
        ("login/slurm:debug?nodes=2/chroot:/srv/su/x", "login, login/debug", "login/debug//srv/su/x"),
        ("web1/exec:sh -c 'x /ssh://y' python3", "web1", "web1/sh"),
        ("exec:sh -c /ssh://y python3", "", "sh"),
        ("docker://registry%2Fsudo:1", "", "registry/sudo:1"),
        ("web1?cwd=/usr/local", "", "web1"),
    ] {
        let target = text.parse::<Address>().unwrap_or_else(|error| panic!("{error}"));
        let found: Vec<_> = target.hops.iter().map(|hop| hop.host.as_str()).collect();
        assert_eq!((found.join(", ").as_str(), target.host().as_str()), (hops, name), "{text}");
        assert_eq!(target.to_string(), text);
    }
    let target: Address = "a?python=special/sudo:u".parse().unwrap();
    let target = target.or_python("general");
    assert!(format!("{:?}", target.hops[0].place).contains("special"));
    assert!(format!("{:?}", target.place).contains("general"));
}

#[test]
fn settings_reach_the_driver() {
    let ssh = driver(
        "ssh://ad%40min@[::1]:2222?jump=b1,b2&sudo&identity=/k%261&config=/c&option=A=b&connect-timeout=7",
    );
    for part in [
        r#"host: "::1""#,
        r#"user: Some("ad@min")"#,
        "port: Some(2222)",
        r#"jump: Some("b1,b2")"#,
        r#"sudo: Some("root")"#,
        r#"["/k&1"]"#,
        r#"config_file: Some("/c")"#,
        r#"options: ["A"]"#,
        "connect_timeout: Some(7s)",
    ] {
        assert!(ssh.contains(part), "{part} in {ssh}");
    }
    let docker = driver(
        "docker://img?name=n&network=none&volume=/a:/b&volume=/c:/d&user=u&workdir=/w&arg=--memory=1g",
    );
    for part in [
        r#"container_name: Some("n")"#,
        r#"image: "img""#,
        r#"network: Some("none")"#,
        r#"volumes: ["/a:/b", "/c:/d"]"#,
        r#"user: Some("u")"#,
        r#"workdir: Some("/w")"#,
        // Arguments and the values of variables may be secrets.
        "args: [1 not shown]",
    ] {
        assert!(docker.contains(part), "{part} in {docker}");
    }
    let common = driver("web1?python=python3.9&cwd=/srv&env=LANG=C&env=X=a=b&site-packages");
    for part in ["python3.9", r#"current_dir: Some("/srv")"#, r#"env: {"LANG", "X"}"#, "site_packages: true"]
    {
        assert!(common.contains(part), "{part} in {common}");
    }
    assert!(driver("exec:sh -c 'exec \"$0\"' python3").contains("args: [3 not shown]"));
}

#[test]
fn addresses_of_version_6_reach_ssh_without_their_brackets() {
    for (text, host, user, port) in [
        ("[::1]", "::1", "None", "None"),
        ("admin@[::1]:2222", "::1", r#"Some("admin")"#, "Some(2222)"),
        ("ssh://[fe80::1%25eth0]:22", "fe80::1%eth0", "None", "Some(22)"),
        ("[fe80::1%eth0]", "fe80::1%eth0", "None", "None"),
        ("fe80::1%eth0", "fe80::1%eth0", "None", "None"),
    ] {
        let target = text.parse::<Address>().unwrap();
        let Place::Ssh(ssh) = &target.place else { panic!("{text}") };
        assert_eq!(ssh.parts(), (host, user.to_owned(), port.to_owned()), "{text}");
    }
}

#[test]
fn general_interpreter_leaves_a_special_one_alone() {
    let general = |text: &str| format!("{:?}", text.parse::<Address>().unwrap().or_python("general").place);
    for text in ["local", "web1", "sudo:u", "docker://i", "docker-exec://c", "podman://i", "podman-exec://c"]
    {
        assert!(general(text).contains("general"), "{text}");
        let special = general(&format!("{text}?python=special"));
        assert!(special.contains("special") && !special.contains("general"), "{special}");
    }
    assert!(general("exec:su u -c {}").contains("general"));
    assert!(!general("exec:srun python3").contains("general"), "the words name an interpreter themselves");
}

#[test]
fn what_is_no_target_is_refused_with_what_is_wrong() {
    for (text, expected) in [
        ("", "it is empty; expected one of `local`, `HOST`"),
        ("=local", "missing name before the `=`"),
        ("a=", "it is empty"),
        ("a=b=local", "invalid host name 'b=local'"),
        ("a\x1bb=local", "control characters"),
        ("-web1", "invalid host name"),
        ("ssh://-oProxyCommand=x", "invalid host name"),
        ("web1:2222", "`ssh://web1:2222`"),
        ("http://web1", "`http://` is not known; expected"),
        ("shh:web1", "`shh:` is not known; expected"),
        ("ssh://", "nothing follows `ssh://`"),
        ("ssh://web1:port", "invalid port 'port'"),
        ("ssh://[::1", "bracket is not closed"),
        ("ssh://[::1]x", "expected `:PORT` after the `]`"),
        ("ssh://user@", "invalid host name ''"),
        ("sudo:", "missing user name"),
        ("web1?pyhton=x", "unknown setting `pyhton`"),
        ("sudo:u?network=none", "unknown setting `network` for this kind"),
        ("web1?python=a&python=b", "`python` is set twice"),
        ("web1?python", "`python` has no value"),
        ("web1?env=LANG", "expected `env=NAME=VALUE`"),
        ("web1?site-packages=maybe", "neither `yes` nor `no`"),
        ("web1?connect-timeout=soon", "not a number of seconds"),
        ("web1?cwd=%ff", "not UTF-8"),
        ("exec:", "missing program"),
        ("exec:srun", "expected an interpreter as the last word"),
        ("exec:sh 'x", "a quote is not closed"),
        ("bastion/ssh://", "nothing follows `ssh://`"),
        ("bastion/sudo:root?network=none", "unknown setting `network` for this kind"),
        ("bastion/db1", "invalid host name 'bastion/db1'"),
        ("[web]", "'web' in brackets is not an IPv6 address"),
        ("web[1-3]", "invalid host name 'web[1-3]'"),
        ("fe80::1%", "`fe80:` is not known"),
        ("[::1]x", "expected `:PORT`"),
        ("[::1", "bracket is not closed"),
        ("two words", "invalid host name 'two words'"),
    ] {
        let message = reason(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn settings_reach_the_drivers_of_other_programs() {
    for (text, parts) in [
        ("su:u?shell=/bin/sh&login", &[r#"shell: Some("/bin/sh")"#, "login: true"][..]),
        ("chroot:/r?user=u", &[r#"folder: "/r""#, r#"user: Some("u")"#]),
        ("nsenter:7?namespace=net&namespace=pid", &["target: Some(7)", r#"["net", "pid"]"#]),
        ("netns:blue", &["target: None", r#"["net=/run/netns/blue"]"#]),
        (
            "compose://web?file=a&file=b&project=p&index=2&user=u&workdir=/w",
            &[
                r#"["a", "b"]"#,
                r#"project: Some("p")"#,
                "index: Some(2)",
                r#"user: Some("u")"#,
                r#"Some("/w")"#,
            ],
        ),
        (
            "kubectl://n%2Fs/web?container=c&context=x&kubeconfig=/k",
            &[r#"namespace: Some("n/s")"#, r#"pod: "web""#, r#"Some("c")"#, r#"Some("x")"#, r#"Some("/k")"#],
        ),
        ("kubectl://deploy/web?namespace=n", &[r#"namespace: Some("n")"#, r#"pod: "deploy/web""#]),
        ("kubectl://deploy%2Fweb", &["namespace: None", r#"pod: "deploy/web""#]),
        ("lxc://c?path=/p&uid=7", &[r#"path: Some("/p")"#, "uid: Some(7)"]),
        ("incus://c?project=p&uid=7", &[r#"program: "incus""#, r#"project: Some("p")"#, "uid: Some(7)"]),
        ("lxd://c", &[r#"program: "lxc""#]),
        ("nspawn:///r?bind=/a:/b&user=u&unregistered", &[r#""--directory", "/r""#, "registered: false"]),
        ("nspawn://i?ephemeral", &[r#""--machine", "i""#, "ephemeral: true"]),
        ("machine://m?user=u", &[r#"machine: "m""#, r#"user: Some("u")"#]),
        (
            "slurm:p?time=10&cpus=4&arg=-x",
            &[r#"partition: Some("p")"#, r#"time: Some("10")"#, "cpus: Some(4)"],
        ),
        ("docker://i?name=n&persistent", &["persistent: true"]),
        ("podman://i?keep", &["keep: true"]),
        ("ssh://h?shared", &["shared: true"]),
    ] {
        let shown = driver(text);
        for part in parts {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}

#[test]
fn targets_with_one_text_share_an_allocation() {
    let node = |text: &str| driver(text).split("allocation: ").nth(1).unwrap().to_owned();
    let parse = |text: &str| text.parse::<Address>().unwrap();
    let [one, other, more] = ["a=slurm:p?nodes=2", "b=slurm:p?nodes=2", "c=login/slurm:p?nodes=2"].map(parse);
    let allocation = |address: &Address| match &address.place {
        Place::SlurmNode(node) => node.allocation(),
        place => panic!("{place:?}"),
    };
    assert!(std::sync::Arc::ptr_eq(&allocation(&one), &allocation(&other)));
    assert!(!std::sync::Arc::ptr_eq(&allocation(&one), &allocation(&more)));
    assert!(!std::sync::Arc::ptr_eq(&allocation(&one), &allocation(&parse("slurm:p?nodes=3"))));
    assert!(node("slurm:p?nodes=2&python=auto").contains("count: 2"));
}

#[test]
fn what_is_no_number_or_missing_is_named() {
    for (text, expected) in [
        ("su:", "missing user name after `su:`"),
        ("chroot:", "missing folder after `chroot:`"),
        ("nsenter:web", "`nsenter:web` is not a number"),
        ("slurm:?nodes=0", "an allocation without nodes"),
        ("slurm:?nodes=two", "`nodes=two` is not a number"),
        ("lxc://", "nothing follows `lxc://`"),
        ("lxc://c?project=p", "unknown setting `project`"),
        ("kubectl://n/p?namespace=n&namespace=m", "`namespace` is set twice"),
    ] {
        let reason = reason(text);
        assert!(reason.contains(expected), "{reason}");
    }
}
