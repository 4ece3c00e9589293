//! Groups and queues of real agents.

use std::time::Duration;

use chopsticks::{
    Call, Command, Error, ErrorKind, Failure, Function, Group, Ignored, Limits, Local, Phase, Put, Queue,
    Ssh, Stderr, Target, Tunnel, TunnelConfig,
};
use chopsticks_support::{Scratch, eventually, interpreters, processes::children};
use futures::StreamExt as _;

/// As many hosts as there are interpreters, but at least two.
fn locals() -> Group {
    let pythons = interpreters().iter().cycle().take(interpreters().len().max(2)).enumerate();
    Group::new(
        pythons.map(|(number, python)| Local::new().name(format!("host{number}")).python(python.path())),
    )
    .expect("the names differ")
}

/// A host whose program never becomes an agent.
fn hanging() -> Tunnel {
    let config = TunnelConfig::default().handshake_timeout(Duration::from_secs(2)).stderr(Stderr::off());
    Tunnel::with_config(Command::new("sh").args(["-c", "exec sleep 600"]).name("hanging"), config)
}

/// A host that has no Python.
fn missing() -> Tunnel {
    Local::new().name("missing").python("/nonexistent/python").into()
}

#[tokio::test]
async fn every_host_has_its_outcome() {
    let group = locals() | &hanging() | &missing();
    let results = group.call::<String>("os.path:join", ("/srv", "www")).await;
    assert_eq!(results.len(), interpreters().len().max(2) + 2);
    assert!(results.successful().all(|(_, path)| path == "/srv/www"));
    let failures: Vec<_> = results.failures().map(|(host, failure)| (host.as_str(), failure)).collect();
    let [("hanging", Failure::Operation(hanging)), ("missing", Failure::Operation(missing))] = failures[..]
    else {
        panic!("two hosts fail: {failures:?}");
    };
    assert!(hanging.is_timeout() && hanging.phase() == Phase::Handshake, "{hanging}");
    assert!(matches!(missing.kind(), ErrorKind::Spawn { .. } | ErrorKind::NoAgent { .. }), "{missing}");
    assert_eq!(group.failed(&results).to_string(), "hanging, missing");
    let report = results.raise_failures().expect_err("two hosts have failed").to_string();
    assert!(report.starts_with(&format!("2/{} hosts had failures\n  hanging: ", group.len())), "{report}");
    assert_eq!(report.lines().count(), 3, "{report}");
}

#[tokio::test]
async fn results_come_as_hosts_finish_and_dropping_the_stream_ends_the_rest() {
    let group = locals();
    group.connect().await.raise_failures().expect("all hosts are there");
    let source = "import time\ndef f(host):\n    if host: time.sleep(600)\n    return host";
    let mut started = 0;
    let mut run = group.each(move |tunnel| {
        let call = Call::new(Function::source(source, "f")).args((started,));
        started += 1;
        async move { tunnel.call_with(call).await?.decode::<u32>() }
    });
    let (host, first) = run.next().await.expect("a host finishes");
    assert!(host.as_str() == "host0" && matches!(first, Ok(0)), "{host}: {first:?}");
    drop(run);
    // The same agents answer at once: the calls that slept were cancelled.
    let limits = Limits::default().target_timeout(Duration::from_secs(60));
    let pids = group.limits(limits).call::<u32>("os:getpid", ()).await;
    assert_eq!(pids.failures().count(), 0, "{pids:?}");
}

#[tokio::test]
async fn filter_asks_each_host() {
    let group = locals();
    let pids = group.call::<u32>("os:getpid", ()).await.raise_failures().expect("all hosts are there");
    let chosen = Function::source("import os\ndef f(): return os.getpid() == PID and [1]", "f")
        .value("PID", pids[1].1);
    assert_eq!(group.filter(chosen.clone()).await.expect("all answer").to_string(), "host1");
    assert_eq!(group.exclude(chosen).await.expect("all answer").len(), group.len() - 1);
    let failures = (group | &missing()).filter("os:getpid").await.expect_err("one host is missing");
    assert_eq!((failures.len(), failures.iter().next().map(|(host, _)| host.as_str())), (1, Some("missing")));
}

#[tokio::test]
async fn scope_closes_the_group() {
    let before = children().len();
    let pids = locals().scope(async |group| group.call::<u32>("os:getpid", ()).await).await;
    assert!(pids.failures().next().is_none(), "{pids:?}");
    assert!(eventually(Duration::from_secs(10), || children().len() <= before), "agents are left");
}

#[tokio::test]
async fn queue_works_each_line_in_order() {
    let group = locals();
    let (first, lost) = (group.tunnels().next().expect("there is a host").clone(), missing());
    let queue = Queue::new();
    let count = Function::source(
        "import sys\ndef f():\n    sys.count = getattr(sys, 'count', 0) + 1\n    return sys.count",
        "f",
    );
    let counts: Vec<_> = (0..3).map(|_| queue.call::<u32, _>(&group, count.clone(), ())).collect();
    let raised = queue.call::<f64, _>(&first, "math:sqrt", (-1,));
    let late = queue.call::<u32, _>(&first, count.clone(), ());
    let gone = [queue.connect(&lost), queue.connect(&lost)];
    let agents = queue.connect(&group);
    assert!(agents.value().is_err());
    queue.run().await;
    for (number, counts) in (1..).zip(counts) {
        let counts = counts.value().expect("the queue is empty");
        assert!(
            counts.successful().all(|(_, count)| *count == number) && counts.failures().count() == 0,
            "{counts:?}"
        );
    }
    assert!(matches!(&*raised.await, Err(Failure::Operation(error)) if error.is_remote()));
    assert!(matches!(&*late.await, Ok(4)));
    assert_eq!(agents.await.successful().count(), group.len());
    for gone in gone {
        assert!(matches!(&*gone.await, Err(Failure::Operation(error)) if error.phase() != Phase::Call));
    }
    let timeline = queue.timeline();
    assert_eq!(timeline.rows().len(), group.len() + 1);
    assert!(timeline.to_svg().contains("host0"));
}

#[test]
fn hosts_behind_one_bastion_have_one_destination() {
    let hosts = ["db1?jump=bastion", "db2?jump=bastion,inner", "web1", "web1-again=web1", "local"];
    let group = Group::parse(hosts, TunnelConfig::default()).expect("all are targets");
    let keys: Vec<_> = group.tunnels().map(Tunnel::destination).collect();
    assert!(keys[0].is_some() && keys[0] == keys[1] && keys[2] == keys[3] && keys[0] != keys[2], "{keys:?}");
    assert_eq!(keys[4], None);
}

#[test]
fn texts_make_a_group() {
    let parse = |targets: &[&str]| Group::parse(targets, TunnelConfig::default());
    assert_eq!(
        parse(&["web1", "b=local", "docker://python?name=c"]).expect("all are targets").to_string(),
        "web1, b, c"
    );
    for (targets, expected) in [(&["web1", "ftp://x"][..], "ftp"), (&["web1", "web1"], "'web1' (2 times)")] {
        let error = parse(targets).expect_err("they make none").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn tunnels_drivers_and_texts_mix_and_no_host_is_lost_by_its_name() {
    let here = Tunnel::new(Local::new().name("here"));
    let web = Group::parse(["web1", "web2"], TunnelConfig::default()).expect("both are targets");
    let group = web.with(Ssh::new("db1")).expect("names differ").with(&here).expect("names differ");
    assert_eq!(group.to_string(), "web1, web2, db1, here");
    assert_eq!((group - Local::new().name("here")).to_string(), "web1, web2, db1");
    let other = Group::new(["db1", "web2"].map(Ssh::new)).expect("names differ");
    let error = web.with(other).expect_err("web2 is in both");
    assert_eq!(error.to_string(), "targets have the same name: 'web2' (2 times)");
    assert_eq!(Group::new([&here]).expect("one name").to_string(), "here");
}

#[test]
fn groups_and_results_print_names_as_texts() {
    let group = Group::new(["web1", "web2"].map(Ssh::new)).expect("names differ");
    assert_eq!(format!("{group:?}"), r#"Group["web1", "web2"]"#);
}

#[test]
fn group_yields_its_tunnels_in_order() {
    let group = locals();
    let borrowed: Vec<_> = (&group).into_iter().map(|tunnel| tunnel.host().clone()).collect();
    assert!(group.hosts().eq(&borrowed), "{borrowed:?}");
    assert!(group.into_iter().map(|tunnel| tunnel.host().clone()).eq(borrowed));
}

#[tokio::test]
async fn folders_go_to_all_hosts_and_come_back_apart() {
    let scratch = Scratch::new();
    let source = scratch.create_folder("source");
    std::fs::write(source.join("a.txt"), "content").expect("the folder is there");
    let (remote, group) = (scratch.path().join("remote"), locals());
    let put = group.put_dir(&source, &remote).await.raise_failures().expect("all can write");
    assert!(put.iter().all(|(_, folder)| (folder.files, folder.size) == (1, 7)), "{put:?}");

    let template = format!("{}/back-{{host}}", scratch.path().display());
    let shared = template.replace("{host}", "x");
    let shared = group.fetch_dir(&remote, &shared).await.expect_err("one path for all").to_string();
    assert!(shared.contains("host0 and host1"), "{shared}");
    let fetched = group.fetch_dir(&remote, &template).await.expect("paths differ").raise_failures();
    for (host, _) in fetched.expect("all can read") {
        let path = scratch.path().join(format!("back-{host}/a.txt"));
        assert_eq!(std::fs::read_to_string(path).expect("it is there"), "content");
    }
}

#[tokio::test]
async fn files_go_to_all_hosts_and_come_back_apart() {
    let scratch = Scratch::new();
    let local = scratch.write("a.txt", "content");
    let remote = scratch.create_folder("remote");
    let group = locals();
    let target = |tunnel: &Tunnel| remote.join(tunnel.host().as_str());
    let put = group.put_with(|tunnel| Put::new(&local).to(target(tunnel))).await;
    assert!(put.failures().next().is_none(), "{put:?}");

    // No host's file has the same path as another's, or nothing is fetched.
    let template = format!("{}/{{host}}.txt", scratch.path().display());
    let shared = group.fetch(&local, &template.replace("{host}", "x")).await.expect_err("one path for all");
    assert!(shared.to_string().contains("host0 and host1"), "{shared}");
    let fetched =
        group.fetch(&local, &template).await.expect("paths differ").raise_failures().expect("all have it");
    for (host, file) in fetched {
        let path = scratch.path().join(format!("{host}.txt"));
        assert_eq!(file.local.as_deref(), Some(path.as_path()));
        assert_eq!(
            (std::fs::read_to_string(path).expect("it is there"), file.size),
            ("content".to_owned(), 7)
        );
    }

    let queue = Queue::new();
    let puts: Vec<_> = group.tunnels().map(|tunnel| queue.put(tunnel, &local, target(tunnel))).collect();
    let back = queue.fetch(&group, &local, &template).expect("paths differ");
    queue.run().await;
    assert!(puts.iter().all(|put| put.value().is_ok_and(|put| put.is_ok())));
    assert_eq!(back.await.successful().count(), group.len());
}

#[test]
fn one_error_type_carries_every_error() {
    fn target() -> Result<(), Error> {
        "web1/".parse::<Target>()?;
        Ok(())
    }
    fn group() -> Result<(), Error> {
        Group::parse(["web1", "web1"], TunnelConfig::default())?;
        Ok(())
    }
    fn value() -> Result<(), Error> {
        chopsticks::pencode::from_slice::<u8>(b"\x7f")?;
        Ok(())
    }
    fn result() -> Result<(), Error> {
        Queue::new().call::<Ignored, _>(&Tunnel::new(Local::new()), "os:getpid", ()).value()?;
        Ok(())
    }
    for (error, text) in [
        (target(), "invalid target"),
        (group(), "web1"),
        (value(), "invalid value at byte 0: unknown tag 0x7f"),
        (result(), "the operation is not completed"),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind().name(), "other", "{error}");
        assert_eq!(error.phase(), Phase::Other);
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.to_string(), error.report());
    }
}
