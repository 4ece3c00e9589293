//! The console, when many hosts write to it at once.

use std::{collections::BTreeMap, process::Command};

use chopsticks_support::python3;
use chopsticks_tunnel::{Function, Local, Tunnel};

const HOSTS: usize = 100;
const LINES: usize = 40;
/// Set in the process whose console is looked at.
const CHILD: &str = "CHOPSTICKS_TEST_WRITES_TO_ITS_CONSOLE";

#[test]
fn lines_of_a_hundred_hosts_do_not_mix() {
    if std::env::var_os(CHILD).is_some() {
        return write();
    }
    let this = std::env::current_exe().expect("a test has a path");
    let mut command = Command::new(this);
    command.args(["--exact", "lines_of_a_hundred_hosts_do_not_mix", "--nocapture"]).env(CHILD, "1");
    let output = command.output().expect("the test can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stderr).expect("hosts write ASCII").lines() {
        let (host, text) = line.strip_prefix('[').and_then(|line| line.split_once("] ")).expect(line);
        seen.entry(host.to_owned()).or_default().push(text.to_owned());
    }
    assert_eq!(seen.len(), HOSTS);
    for (host, lines) in seen {
        let expected: Vec<_> = (0..LINES).map(|n| format!("{host} {n} {}", "x".repeat(200))).collect();
        assert_eq!(lines, expected, "{host}");
    }
}

#[tokio::main]
async fn write() {
    // Each line is written in two pieces.
    let text = "import os\ndef f(host, lines):\n    for n in range(lines):\n        \
                os.write(2, ('%s %d ' % (host, n)).encode()); os.write(2, b'x' * 200 + b'\\n')";
    let tunnels =
        (0..HOSTS).map(|n| Tunnel::new(Local::new().name(format!("host-{n}")).python(python3().path())));
    let tunnels: Vec<_> = tunnels.collect();
    let mut calls = tokio::task::JoinSet::new();
    for tunnel in &tunnels {
        let tunnel = tunnel.clone();
        calls.spawn(async move {
            let arguments = (tunnel.host().as_str().to_owned(), LINES);
            tunnel.call::<()>(Function::source(text, "f"), arguments).await
        });
    }
    for result in calls.join_all().await {
        result.expect("the function only writes");
    }
    for tunnel in tunnels {
        tunnel.close().await.expect("the agent is idle");
    }
}
