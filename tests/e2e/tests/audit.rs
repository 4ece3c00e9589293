//! Records of what was done on hosts.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
};

use chopsticks::{AuditLog, AuditRecord, Call, Codebase, Function, Group, Pool, Put, Tunnel};
use chopsticks_e2e::{local, quiet};
use chopsticks_support::{Scratch, python3};
use futures::StreamExt as _;
use serde_json::{Value, json};

type Records = Arc<Mutex<Vec<AuditRecord>>>;

fn recorded(code: &Scratch) -> (Tunnel, Records) {
    let records = Records::default();
    let sink = records.clone();
    let config = quiet()
        .modules(Codebase::folder(code.path()))
        .audit(move |record: &AuditRecord| sink.lock().expect("no test has failed").push(record.clone()));
    (Tunnel::with_config(local(python3()).name("web3"), config), records)
}

fn last(records: &Records) -> AuditRecord {
    records.lock().expect("no test has failed").pop().expect("there is a record")
}

#[tokio::test]
async fn calls_have_records_without_their_values() {
    let code = Scratch::new();
    code.write("ops.py", "def restart(name, token=None):\n    return name\n");
    let (tunnel, records) = recorded(&code);
    let call = Call::new("ops:restart").args(("hunter2",)).kwarg("token", "secret");
    tunnel.call_with(call).await.unwrap();
    let record = last(&records);
    assert_eq!((record.version, record.host.as_str(), record.operation), (1, "web3", "call"));
    assert_eq!((record.what.as_str(), record.outcome, record.arguments), ("ops:restart", "ok", Some(1)));
    assert_eq!((record.keywords.len(), record.keywords[0].as_str()), (1, "token"));
    // sha1sum of the file.
    assert_eq!(record.digest.as_deref(), Some("sha1:020c89536b43c280473cd5c19d94c683db5feeba"));
    assert!(record.bytes.is_some() && record.duration_ms > 0.0 && record.time.ends_with('Z'));
    let text = serde_json::to_string(&record).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("secret"), "{text}");

    tunnel.call::<f64>("time:time", ()).await.unwrap();
    assert_eq!(last(&records).digest, None);
    let failing = Function::source("def f(): raise ValueError('no')", "f");
    tunnel.call::<()>(failing, ()).await.unwrap_err();
    let record = last(&records);
    assert_eq!(
        (record.outcome, record.error, record.phase.as_deref()),
        ("failed", Some("raised"), Some("call"))
    );
    assert!(record.digest.is_some());

    let stuck = Function::source("import time\ndef f(): time.sleep(1000)", "f");
    let mut call = Box::pin(tunnel.call::<()>(stuck, ()));
    assert!(futures::poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(last(&records).outcome, "cancelled");
    assert!(records.lock().unwrap().is_empty());
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn streams_programs_and_transfers_have_records() {
    let code = Scratch::new();
    code.write("ops.py", "def restart(name, token=None):\n    return name\n");
    let (tunnel, records) = recorded(&code);
    let yielding = Function::source("def f():\n    yield 1\n    yield 2", "f");
    let items: Vec<_> = tunnel.stream::<i64>(yielding, ()).collect().await;
    assert_eq!(items.len(), 2);
    let record = last(&records);
    assert_eq!((record.operation, record.outcome, record.items), ("stream", "ok", Some(2)));
    let first = tunnel.stream::<String>("ops:restart", ("ab",)).next().await;
    assert_eq!(first.unwrap().unwrap(), "a");
    let record = last(&records);
    assert_eq!((record.outcome, record.items), ("cancelled", Some(1)));
    assert_eq!(record.digest.as_deref(), Some("sha1:020c89536b43c280473cd5c19d94c683db5feeba"));

    assert!(!tunnel.command("sh").args(["-c", "exit 3"]).status().await.unwrap().success());
    let record = last(&records);
    assert_eq!((record.operation, record.what.as_str(), record.arguments), ("run", "sh", Some(2)));
    assert_eq!((record.outcome, record.error, record.status), ("failed", Some("exit-status"), Some(3)));
    let mut child = tunnel.command("true").spawn().await.unwrap();
    assert!(child.wait().await.unwrap().success());
    assert_eq!((last(&records).outcome, records.lock().unwrap().len()), ("ok", 0));
    tunnel.command("/nonexistent").status().await.unwrap_err();
    assert_eq!(last(&records).error, Some("program"));

    let to = code.path().join("there");
    let put = || Put::bytes("abc").to(&to).if_changed();
    for changed in [true, false] {
        tunnel.put_with(put()).await.unwrap();
        let record = last(&records);
        assert_eq!((record.operation, record.changed, record.bytes), ("put", Some(changed), Some(3)));
        assert_eq!(record.digest.as_deref(), Some("sha1:a9993e364706816aba3e25717850c26c9cd0d89d"));
        assert_eq!(record.what, to.to_str().unwrap());
        // The comparison is a part of it.
        assert!(records.lock().unwrap().is_empty());
    }
    tunnel.fetch(&to, code.path().join("back")).await.unwrap();
    let record = last(&records);
    assert_eq!((record.operation, record.outcome, record.changed), ("fetch", "ok", None));
    tunnel.put_dir(code.path(), code.path().join("nonexistent/x")).await.unwrap_err();
    assert_eq!((last(&records).outcome, records.lock().unwrap().len()), ("failed", 0));
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn slots_of_pools_have_records() {
    let code = Scratch::new();
    code.write("ops.py", "def restart(name, token=None):\n    return name\n");
    let (tunnel, records) = recorded(&code);
    let pool = Pool::new(Group::new([tunnel.clone()]).unwrap());
    let outcomes: Vec<_> = pool.clone().map::<String>("ops:restart", ["a", "b", "c"]).collect().await;
    assert_eq!(outcomes.len(), 3);
    let record = last(&records);
    assert_eq!((record.operation, record.what.as_str()), ("stream", "ops:restart"));
    assert_eq!((record.outcome, record.items, record.failed_items), ("ok", Some(3), Some(0)));
    assert_eq!(record.digest.as_deref(), Some("sha1:020c89536b43c280473cd5c19d94c683db5feeba"));
    assert!(records.lock().unwrap().is_empty());

    // What fails concerns an item, and not the slot.
    let outcomes: Vec<_> = pool.clone().map::<String>("ops:nothing", ["a"]).collect().await;
    assert!(outcomes[0].outcome.is_err());
    assert_eq!(last(&records).outcome, "failed");

    let items = [json!("a"), json!(["b"]), json!(7), json!("c")];
    let outcomes: Vec<_> = pool.clone().map::<usize>("builtins:len", items).collect().await;
    assert_eq!(outcomes.iter().filter(|done| done.outcome.is_err()).count(), 1);
    let record = last(&records);
    assert_eq!((record.outcome, record.items, record.failed_items), ("ok", Some(4), Some(1)));

    let items = futures::stream::iter(["a"]).chain(futures::stream::pending());
    let mut under_way = pool.per_host(2).map_stream::<String>("ops:restart", items);
    assert!(under_way.next().await.is_some());
    drop(under_way);
    assert_eq!((last(&records).outcome, records.lock().unwrap().len()), ("ok", 0));
    let mut under_way =
        Pool::new(Group::new([tunnel.clone()]).unwrap()).map::<()>("time:sleep", [json!(0), json!(1000)]);
    assert!(under_way.next().await.is_some());
    drop(under_way);
    assert_eq!((last(&records).outcome, records.lock().unwrap().len()), ("cancelled", 0));
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn log_is_appended_in_whole_lines() {
    let scratch = Scratch::new();
    let path = scratch.path().join("log");
    for _ in 0..2 {
        let config = quiet().audit(AuditLog::append(&path).unwrap());
        let tunnels =
            ["a", "b", "c"].map(|name| Tunnel::with_config(local(python3()).name(name), config.clone()));
        let calls = tunnels.iter().map(|tunnel| tunnel.call::<i64>("os:getpid", ()));
        futures::future::try_join_all(calls).await.unwrap();
        for tunnel in tunnels {
            tunnel.close().await.unwrap();
        }
    }
    let text = fs::read_to_string(&path).unwrap();
    let mut hosts: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| record["host"].as_str().unwrap().to_owned())
        .collect();
    hosts.sort();
    assert_eq!(hosts, ["a", "a", "b", "b", "c", "c"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
