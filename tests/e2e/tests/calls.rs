//! Calls: what functions can be, what they raise, what cancels them, and what does not.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use chopsticks::{Call, Context, ErrorKind, Function, Local, Phase, Stderr, Tunnel, transport::Format};
use chopsticks_e2e::{
    PATIENCE, canary, local, newest_and_oldest, quiet, script, tunnel, tunnel_with_code, wait_for,
    wait_until_none,
};
use chopsticks_support::{Scratch, eventually, interpreters, newest, processes};
use futures::future::join_all;

const OPS: &str = r#""""Operations."""
import os
import subprocess
import time

from shop.stock import LEFT
from . import helpers

calls = []


class Refused(Exception):
    pass


def left(n=0):
    calls.append(n)
    return [LEFT - n, len(calls), __name__, __file__]


def refuse():
    return helpers.check(-1)


def sleep(mark):
    subprocess.call(['sh', '-c', 'sleep 600; :', mark])


def spin():
    while True:
        pass


naps = []


def nap(n):
    naps.append(n)
    while len(naps) < 100:
        time.sleep(.01)
    return n
"#;

const HELPERS: &str = "\
def check(n):
    from shop import ops

    if n < 0:
        raise ops.Refused(u'below zero: \\xe9')
    return n
";

fn code() -> Scratch {
    let code = Scratch::new();
    code.write("shop/__init__.py", "");
    code.write("shop/ops.py", OPS);
    code.write("shop/helpers.py", HELPERS);
    code.write("shop/stock.py", "LEFT = 10\n");
    code.write("broken.py", "import os\n\nraise ValueError('broken on purpose')\n");
    code.write("space/inner.py", "def f(): return 'space'\n");
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_a_folder_run_with_all_that_they_import() {
    let code = code();
    for python in interpreters() {
        let tunnel = tunnel_with_code(python, &code);
        let file = code.path().join("shop/ops.py");
        for (count, name) in [(1, "shop.ops:left"), (2, "shop.ops.left")] {
            let got: (i32, i32, String, PathBuf) =
                tunnel.call(name, (3,)).await.unwrap_or_else(|error| panic!("{python}: {}", error.report()));
            assert_eq!(got, (7, count, "shop.ops".to_owned(), file.clone()), "{python}");
        }
        let got: Vec<serde::de::IgnoredAny> =
            tunnel.call_with(Call::new("shop.ops:left").kwarg("n", 4)).await.unwrap().decode().unwrap();
        assert_eq!(got.len(), 4, "{python}");
        assert_eq!(tunnel.call::<String>("space.inner:f", ()).await.unwrap(), "space", "{python}");
        tunnel.close().await.unwrap();
        // A new connection knows nothing of what the last one had.
        let (_, count, ..) = tunnel.call::<(i32, i32, String, String)>("shop.ops:left", (0,)).await.unwrap();
        assert_eq!(count, 1, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn source_text_is_a_module_of_its_own() {
    let code = code();
    for python in interpreters() {
        let tunnel = tunnel_with_code(python, &code);
        let text = "import math\nfrom shop.stock import LEFT\ncount = []\n\
                    def f(r):\n    count.append(r)\n    return [int(math.floor(r)) * SCALE, len(count), LEFT, NAME]";
        for (n, scale) in [(1, 2), (2, 30)] {
            let function = Function::source(text, "f").value("SCALE", scale).value("NAME", "é");
            let got: (i32, i32, i32, String) = tunnel
                .call(function, (1.5,))
                .await
                .unwrap_or_else(|error| panic!("{python}: {}", error.report()));
            assert_eq!(got, (scale, n, 10, "é".to_owned()), "{python}");
        }
        let function = Function::source("def f():\n    return 1 // 0\n", "f").file("jobs/Überblick.py");
        let error = tunnel.call::<()>(function, ()).await.unwrap_err();
        let remote = error.remote().unwrap_or_else(|| panic!("{python}: {}", error.report()));
        assert_eq!(remote.type_name, "ZeroDivisionError", "{python}");
        let wanted = "  File \"jobs/Überblick.py\", line 2, in f\n    return 1 // 0\n";
        assert!(remote.traceback.contains(wanted), "{python}: {}", remote.traceback);
        let error = tunnel.call::<()>(Function::source("def f(:", "f"), ()).await.unwrap_err();
        let remote = error.remote().unwrap_or_else(|| panic!("{python}: {}", error.report()));
        assert_eq!(remote.type_name, "SyntaxError", "{python}");
        assert!(remote.traceback.contains("File \"source:f-2\", line 1"), "{python}: {}", remote.traceback);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_call_and_reply_are_passed_on_as_they_are() {
    let code = code();
    for python in newest_and_oldest() {
        let tunnel = tunnel_with_code(python, &code);
        // marshal.dumps(("shop.ops:left", (3,), None), 2)
        let message = [b"(\x03\0\0\0u\x0d\0\0\0shop.ops:left".as_slice(), b"(\x01\0\0\0i\x03\0\0\0N"];
        let call = Call::new("shop.ops:left").encoded(message.map(Into::into)).imports(["shop.ops"]);
        let reply =
            tunnel.call_with(call).await.unwrap_or_else(|error| panic!("{python}: {}", error.report()));
        let (format, encoded) = reply.encoded();
        assert!(matches!(format, Format::Marshal | Format::Pencode), "{python}: {format:?}");
        let text = b"shop.ops".as_slice();
        assert!(encoded.windows(text.len()).any(|part| part == text), "{python}: {encoded:?}");
        assert_eq!(reply.decode::<(i32, i32, String, String)>().unwrap().0, 7, "{python}");
        // The same, pickled.
        let message = [
            b"(\x03\0\0\0N(\x04\0\0\0s\x1a\0\0\0\x80\x02X\x0d\0\0\0shop.ops:leftK\x03\x85N\x87.".as_slice(),
            b"(\0\0\0\0(\0\0\0\0(\0\0\0\0N",
        ];
        let call = Call::new("left").encoded(message.map(Into::into)).imports(["shop.ops"]);
        let reply =
            tunnel.call_with(call).await.unwrap_or_else(|error| panic!("{python}: {}", error.report()));
        assert_eq!(reply.decode::<(i32, i32, String, String)>().unwrap().0, 7, "{python}");
        // The label is what errors show.
        let message = [b"(\x03\0\0\0u\x06\0\0\0os:xyz(\0\0\0\0N".as_slice().into()];
        let error = tunnel.call_with(Call::new("shown").encoded(message)).await.unwrap_err();
        assert!(error.report().to_string().contains("shown"), "{python}: {}", error.report());
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_are_data_with_true_files_and_lines() {
    let code = code();
    for python in interpreters() {
        let tunnel = tunnel_with_code(python, &code);
        let error = tunnel.call::<()>("shop.ops:refuse", ()).await.unwrap_err();
        assert_eq!((error.phase(), error.kind().name(), error.is_remote()), (Phase::Call, "raised", true));
        let remote = error.remote().unwrap();
        assert_eq!(remote.type_name, "shop.ops.Refused", "{python}");
        assert_eq!(remote.message, "below zero: é", "{python}");
        let (ops, helpers) = (code.path().join("shop/ops.py"), code.path().join("shop/helpers.py"));
        for line in [
            format!("  File \"{}\", line 22, in refuse\n    return helpers.check(-1)\n", ops.display()),
            format!(
                "  File \"{}\", line 5, in check\n    raise ops.Refused(u'below zero: \\xe9')\n",
                helpers.display()
            ),
        ] {
            assert!(remote.traceback.contains(&line), "{python}: {line}\nis not in\n{}", remote.traceback);
        }
        let first = remote.traceback.lines().nth(1).unwrap();
        assert!(first.contains("shop/ops.py"), "{python}: frames of the agent are shown: {first}");
        assert!(error.to_string().ends_with(": shop.ops.Refused: below zero: é"), "{error}");

        let error = tunnel.call::<()>("broken:f", ()).await.unwrap_err();
        let remote = error.remote().unwrap_or_else(|| panic!("{python}: {}", error.report()));
        assert_eq!(remote.message, "broken on purpose", "{python}");
        assert!(remote.traceback.contains("broken.py\", line 3"), "{python}: {}", remote.traceback);
        let error = tunnel.call::<()>("sys:exit", (3,)).await.unwrap_err();
        assert_eq!(error.remote().unwrap().type_name, "SystemExit", "{python}");
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_functions_are_named_with_names_like_them() {
    let code = code();
    for python in interpreters() {
        let tunnel = tunnel_with_code(python, &code);
        for (name, word, near) in [
            ("shop.ops:lefd", "lefd", "left"),
            ("shop.ops.lefd", "lefd", "left"),
            ("shpo.ops:left", "shpo", "shop"),
            ("shop.ops:calls", "not callable", ""),
            ("nothing_like_it:f", "nothing_like_it", ""),
            ("os:nothing_like_it", "nothing_like_it", ""),
        ] {
            let error = tunnel.call::<()>(name, ()).await.unwrap_err();
            let ErrorKind::NoFunction { message } = error.kind() else {
                panic!("{python}: {}", error.report())
            };
            assert!(message.contains(word) && message.contains(near), "{python}: {name}: {message}");
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn module_that_cannot_be_read_is_an_import_error() {
    let code = code();
    let secret = Scratch::new();
    std::os::unix::fs::symlink(secret.write("key.py", "KEY = 1\n"), code.path().join("leak.py")).unwrap();
    for python in newest_and_oldest() {
        let tunnel = tunnel_with_code(python, &code);
        let error = tunnel.call::<()>("leak:f", ()).await.unwrap_err();
        assert!(error.report().contains("leak"), "{python}: {}", error.report());
        assert!(!error.is_disconnected(), "{python}: {}", error.report());
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_calls_overlap() {
    let code = code();
    for python in interpreters() {
        let tunnel = tunnel_with_code(python, &code);
        // Each of them waits until all are there.
        let got = join_all((0..100).map(|n| tunnel.call::<i32>("shop.ops:nap", (n,)))).await;
        let got: Vec<i32> = got
            .into_iter()
            .map(|n| n.unwrap_or_else(|error| panic!("{python}: {}", error.report())))
            .collect();
        assert_eq!(got, (0..100).collect::<Vec<_>>(), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tunnel_serves_tasks_on_many_threads() {
    for python in newest_and_oldest() {
        let tunnel = tunnel(python);
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let tunnel = tunnel.clone();
                tokio::spawn(async move {
                    for n in 0..50 {
                        let sum: i64 = tunnel.call("operator:add", (task * 1000, n)).await?;
                        assert_eq!(sum, task * 1000 + n);
                    }
                    Ok::<(), chopsticks::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap_or_else(|error| panic!("{python}: {}", error.report()));
        }
        // All of them used one agent.
        let pids = join_all((0..4).map(|_| tunnel.call::<u32>("os:getpid", ()))).await;
        assert!(
            pids.windows(2).all(|pair| pair[0].as_ref().unwrap() == pair[1].as_ref().unwrap()),
            "{python}"
        );
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_sequence_run_on_the_main_thread() {
    let text = "import threading, time\ndef f(n):\n    time.sleep(n)\n    return type(threading.current_thread()).__name__";
    for python in interpreters() {
        let tunnel = tunnel(python);
        for n in [0.0, 0.02, 0.0, 0.02, 0.02, 0.0] {
            let name: String = tunnel.call(Function::source(text, "f"), (n,)).await.unwrap();
            assert_eq!(name, "_MainThread", "{python}");
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loop_that_never_returns_is_ended_by_its_deadline() {
    let code = code();
    for python in interpreters() {
        let tunnel = tunnel_with_code(python, &code);
        let pid = tunnel.connect().await.unwrap().pid;
        let after = Duration::from_millis(300);
        let error = tunnel.call_with(Call::new("shop.ops:spin").timeout(after)).await.unwrap_err();
        assert!(error.is_timeout() && error.phase() == Phase::Call, "{python}: {}", error.report());
        assert!(error.report().contains("timed out after 300ms"), "{}", error.report());
        assert_eq!(tunnel.call::<u32>("os:getpid", ()).await.unwrap(), pid, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_of_the_tunnel_holds_for_calls_without_one() {
    let tunnel = Tunnel::with_config(local(newest()), quiet().call_timeout(Duration::from_millis(300)));
    tunnel.connect().await.unwrap();
    assert!(tunnel.call::<()>("time:sleep", (600,)).await.unwrap_err().is_timeout());
    let call = Call::new("time:sleep").args((0.5,)).timeout(PATIENCE);
    tunnel.call_with(call).await.unwrap();
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_call_ends_its_processes_and_no_others() {
    let code = code();
    for python in newest_and_oldest() {
        let tunnel = tunnel_with_code(python, &code);
        let (kept, dropped) = (canary("kept"), canary("dropped"));
        let other = {
            let (tunnel, kept) = (tunnel.clone(), kept.clone());
            tokio::spawn(async move { tunnel.call::<()>("shop.ops:sleep", (kept,)).await })
        };
        wait_for(&kept, 1);
        let call = {
            let (tunnel, dropped) = (tunnel.clone(), dropped.clone());
            tokio::spawn(async move { tunnel.call::<()>("shop.ops:sleep", (dropped,)).await })
        };
        wait_for(&dropped, 1);
        call.abort();
        wait_until_none(&dropped);
        assert!(!processes::with_argument(&kept).is_empty(), "{python}");
        assert!(!other.is_finished(), "{python}");
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
        wait_until_none(&kept);
        let error = other.await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closed), "{python}: {}", error.report());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_argument_that_is_dropped_on_its_way_harms_nothing() {
    for python in newest_and_oldest() {
        let tunnel = tunnel(python);
        let pid = tunnel.connect().await.unwrap().pid;
        let data = serde_bytes::ByteBuf::from(vec![7; 16 << 20]);
        for wait in [0, 1, 5, 20] {
            let call = Call::new("len").args((&data,)).timeout(Duration::from_millis(wait));
            if let Err(error) = tunnel.call_with(call).await {
                assert!(error.is_timeout(), "{python}: {}", error.report());
            }
        }
        assert_eq!(tunnel.call::<u32>("os:getpid", ()).await.unwrap(), pid, "{python}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(tunnel.call::<u32>("os:getpid", ()).await.unwrap(), pid, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn function_writes_to_nowhere_and_reads_nothing() {
    let text = "import os, subprocess, sys\ndef f():\n    os.write(1, b'x' * 100000)\n    sys.stdout.write('text')\n\
                \x20   subprocess.check_call(['echo', 'child'])\n    return len(sys.stdin.read())";
    for python in interpreters() {
        let tunnel = tunnel(python);
        assert_eq!(tunnel.call::<u32>(Function::source(text, "f"), ()).await.unwrap(), 0, "{python}");
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
    }
}

type Lines = Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>;

fn collected(lines: &Lines) -> Stderr {
    let lines = Arc::clone(lines);
    Stderr::callback(move |host, line| {
        lines.lock().expect("no test panics with it").entry(host.to_owned()).or_default().push(line.to_vec());
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn stderr_comes_in_lines_by_host_whatever_is_in_it() {
    let text = "import os\ndef f(name):\n    os.write(2, b'from ' + name.encode() + b'\\n\\xff\\xfe\\x00\\n')\n\
                \x20   os.write(2, b'in two '); os.write(2, b'pieces\\n\\n'); os.write(2, b'the last')";
    for python in newest_and_oldest() {
        let lines = Lines::default();
        let hosts: Vec<_> = ["one", "two"]
            .map(|name| Tunnel::with_config(local(python).name(name), quiet().stderr(collected(&lines))))
            .into();
        let done = join_all(hosts.iter().map(|tunnel| {
            tunnel.call::<()>(Function::source(text, "f"), (tunnel.host().as_str().to_owned(),))
        }))
        .await;
        assert!(done.iter().all(Result::is_ok), "{python}: {done:?}");
        for tunnel in &hosts {
            tunnel.close().await.unwrap();
        }
        let lines = lines.lock().unwrap();
        for name in ["one", "two"] {
            let first = format!("from {name}").into_bytes();
            let wanted = [&first, b"\xff\xfe\x00".as_slice(), b"in two pieces", b"", b"the last"];
            assert_eq!(lines[name], wanted, "{python}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_megabytes_of_stderr_hold_up_no_result() {
    let text = "import os\ndef f():\n    for _ in range(1600): os.write(2, (b'x' * 99 + b'\\n') * 656)\n    return u'y' * (8 << 20)";
    let total = Arc::new(Mutex::new(0));
    let sink = {
        let total = Arc::clone(&total);
        Stderr::callback(move |_, line| *total.lock().unwrap() += line.len() + 1)
    };
    let tunnel = Tunnel::with_config(local(newest()), quiet().stderr(sink));
    let (text, sum) = tokio::join!(
        tunnel.call::<String>(Function::source(text, "f"), ()),
        tunnel.call::<i32>("operator:add", (1, 2))
    );
    assert_eq!((text.unwrap().len(), sum.unwrap()), (8 << 20, 3));
    tunnel.close().await.unwrap();
    assert_eq!(*total.lock().unwrap(), 1600 * 656 * 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_killed_in_mid_call_is_told_with_signal_and_stderr() {
    let scratch = Scratch::new();
    for python in interpreters() {
        let tunnel = tunnel(python);
        let said = scratch.path().join(python.to_string());
        let text = "import os, time\ndef f(said):\n    os.write(2, b'the last words\\n')\n    open(said, 'w').close(); time.sleep(600)";
        let pid = tunnel.connect().await.unwrap().pid;
        let call = {
            let (tunnel, said) = (tunnel.clone(), said.clone());
            tokio::spawn(async move { tunnel.call::<()>(Function::source(text, "f"), (said,)).await })
        };
        tokio::task::spawn_blocking(move || assert!(eventually(PATIENCE, || said.exists()))).await.unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        let error = call.await.unwrap().unwrap_err();
        assert!(error.is_disconnected(), "{python}: {}", error.report());
        let ErrorKind::Disconnected { stderr, .. } = error.kind() else {
            panic!("{python}: {}", error.report())
        };
        assert!(stderr.ends_with("the last words"), "{python}: {stderr}");
        assert!(error.report().contains("signal 9"), "{python}: {}", error.report());
        let other: u32 = tunnel.call("os:getpid", ()).await.unwrap();
        assert_ne!(other, pid, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn close_that_has_to_use_force_is_bounded_and_says_so() {
    // Holds the interpreter's lock in C for ever, so that neither the end of the input nor a signal is noticed.
    let text = "import ctypes, subprocess\ndef f(mark):\n    subprocess.Popen(['sh', '-c', 'while :; do sleep 1; done', mark])\n\
                \x20   ctypes.PyDLL(None).sleep(600)";
    for python in newest_and_oldest() {
        let tunnel = Tunnel::with_config(local(python), quiet().close_timeout(Duration::from_millis(500)));
        let pid = tunnel.connect().await.unwrap().pid;
        let mark = canary("stubborn");
        let call = {
            let (tunnel, mark) = (tunnel.clone(), mark.clone());
            tokio::spawn(async move { tunnel.call::<()>(Function::source(text, "f"), (mark,)).await })
        };
        wait_for(&mark, 1);
        let error = tokio::time::timeout(PATIENCE, tunnel.close()).await.expect("it is bounded").unwrap_err();
        assert!(error.is_timeout() && error.phase() == Phase::Close, "{python}: {}", error.report());
        assert!(!processes::is_there(pid), "{python}");
        wait_until_none(&mark);
        assert!(matches!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Closed), "{python}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cycles_of_connections_leave_nothing_behind() {
    // Counted in a process of its own: other tests open and start things meanwhile.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cycles"))
        .arg(newest().path())
        .arg("200")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn default_interpreter_is_used_by_those_that_name_none() {
    let folder = Scratch::new();
    let path = script(&folder, "chosen", &format!("exec {} \"$@\"", newest().path().display()));
    let config = quiet().context(Context::new().default_python::<Local>(&path));
    let tunnel = Tunnel::with_config(Local::new(), config.clone());
    let agent = tunnel.connect().await.unwrap();
    assert_eq!(agent.python, Some(newest().version()));
    tunnel.close().await.unwrap();
    let tunnel = Tunnel::with_config(Local::new().python("/nonexistent"), config);
    assert_eq!(tunnel.connect().await.unwrap_err().phase(), Phase::Spawn);
}

#[tokio::test(flavor = "multi_thread")]
async fn program_that_never_answers_leaves_nothing_when_it_is_dropped() {
    let folder = Scratch::new();
    let mark = canary("mute");
    let path = script(&folder, "mute", &format!("exec sh -c 'while :; do sleep 1; done' {mark}"));
    let config = quiet().close_timeout(Duration::from_millis(200));
    let tunnel = Tunnel::with_config(Local::new().python(path), config);
    let connecting = {
        let tunnel = tunnel.clone();
        tokio::spawn(async move { tunnel.connect().await })
    };
    wait_for(&mark, 1);
    connecting.abort();
    drop(tunnel);
    assert!(eventually(PATIENCE, || processes::with_argument(&mark).is_empty()), "it is left");
}

#[test]
fn program_that_never_answers_ends_with_the_runtime() {
    let folder = Scratch::new();
    let mark = canary("deserted");
    let path = script(&folder, "mute", &format!("exec sh -c 'while :; do sleep 1; done' {mark}"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tunnel = Tunnel::with_config(Local::new().python(path), quiet());
    let connecting = tunnel.clone();
    let task = runtime.spawn(async move { connecting.connect().await });
    wait_for(&mark, 1);
    drop(runtime);
    drop(task);
    wait_until_none(&mark);
}

#[test]
fn call_whose_connection_belongs_to_a_runtime_that_ends_says_so() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let (first, second) = (runtime(), runtime());
    let tunnel = tunnel(newest());
    first.block_on(tunnel.connect()).unwrap();
    let mut call = pin!(tunnel.call::<()>("time:sleep", (1000,)));
    // The call has left when one that left after it is answered.
    second
        .block_on(async {
            tokio::select! {
                biased;
                _ = &mut call => panic!("it sleeps"),
                pid = tunnel.call::<u32>("os:getpid", ()) => pid,
            }
        })
        .unwrap();
    drop(first);
    let error = second.block_on(async { tokio::time::timeout(PATIENCE, call).await }).unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Abandoned { .. }), "{error:?}");
    assert!(error.to_string().contains("the tokio runtime in which it was opened has ended"), "{error}");
    assert!(error.is_disconnected());
    second.block_on(tunnel.call::<u32>("os:getpid", ())).unwrap();
    second.block_on(tunnel.close()).unwrap();
}

#[test]
fn runtime_without_timers_or_io_is_an_error() {
    let call = || Call::new("os:getpid").timeout(PATIENCE);
    let tunnel = tunnel(newest());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(tunnel.call_with(call())).unwrap_err();
    assert_eq!(error.hint().map(chopsticks::Hint::cause), Some("no-runtime"), "{error}");
    assert!(error.report().contains("timers are disabled"), "{}", error.report());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = runtime.block_on(tunnel.call_with(call())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Abandoned { .. }), "{error:?}");
    assert!(error.to_string().contains("its task has panicked"), "{error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tunnel.call_with(call())).unwrap();
    runtime.block_on(tunnel.close()).unwrap();
}
