//! Tunnels through an agent that does not keep to the protocol, or to programs that do not behave.

use std::time::Duration;

use chopsticks::{Error, Function, Local, Tunnel, TunnelConfig, Via};
use chopsticks_e2e::{PATIENCE, quiet};
use chopsticks_support::python3;
use tokio::time::timeout;

fn hasty() -> TunnelConfig {
    quiet()
        .handshake_timeout(Duration::from_millis(700))
        .spawn_timeout(Duration::from_millis(700))
        .close_timeout(Duration::from_millis(500))
}

/// Connects through an agent that answers the order to start a program by `code`, where `r` is what belongs to the request.
async fn through(code: &str) -> Error {
    let parent = Tunnel::with_config(
        Local::new().name("outer").python(python3().path()),
        quiet().max_message_len(1 << 20),
    );
    // What it replaces comes with the first program.
    let first =
        Tunnel::with_config(Local::new().name("first").python(python3().path()).via(&parent), quiet());
    first.connect().await.expect("an agent of ours answers");
    first.close().await.expect("an agent of ours answers");
    let patch = "import sys\ndef f(code):\n \
                 finder = [finder for finder in sys.meta_path if type(finder).__name__ == 'Finder'][0]\n \
                 exec(code, finder.find_spec.__globals__)";
    let code = format!("def bad(r, wanted, path):\n {}\nanswers[0x27] = bad\n", code.replace('\n', "\n "));
    parent.call::<()>(Function::source(patch, "f"), (code,)).await.expect("an agent of ours answers");
    let child =
        Tunnel::with_config(Local::new().name("inner").python(python3().path()).via(&parent), hasty());
    let error = timeout(PATIENCE, child.connect()).await.expect("it ends").expect_err("nothing answers");
    drop(timeout(PATIENCE, child.close()).await.expect("it closes"));
    drop(timeout(PATIENCE, parent.close()).await.expect("it closes"));
    // The next connection is through another agent.
    first.connect().await.expect("an agent of ours answers");
    parent.close().await.expect("an agent of ours answers");
    error
}

/// A reply with this status.
fn reply(status: &str) -> String {
    format!("send(r.request, REPLY, MARSHAL, marshal.dumps({{u'status': {status}}}, 2))")
}

/// A failure with this number.
fn fail(errno: &str, path: &str) -> String {
    format!("send(r.request, FAIL, MARSHAL, failure_of({errno}, u'text', {path}))")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_that_answers_nonsense_for_a_program_holds_up_nobody() {
    let cases: Vec<String> = [
        // Never a word.
        "pass",
        // Answers that are none, or that are too long.
        "send(r.request, REPLY, 0, b'')",
        "send(r.request, REPLY, MARSHAL, b'\\xff\\xff')",
        "send(r.request, REPLY, BYTES, b'x' * (2 << 20))",
        "send(r.request, FAIL, MARSHAL, b'x' * (2 << 20))",
        "send(r.request, FAIL, 0, b'')",
        "send(r.request, FAIL, 0, b'\\3')",
        &reply("-2147483648"),
        &reply("1 << 80"),
        &reply("u'text'"),
        &[reply("0"), reply("0")].join("\n"),
        &fail("-2147483648", "b''"),
        &fail("-5", "b'\\xff'"),
        &fail("2", "b'x' * 900000"),
        // Streams without end, and more than is allowed.
        &[&*reply("0"), "while 1: r.stdout.write(memoryview(b'x' * 65536))"].join("\n"),
        "while 1: r.stdout.write(memoryview(b'x' * 65536))",
        "while 1: streams[wanted['stderr']].write(memoryview(b'x' * 65536))",
        "while 1: send(r.request, DATA, 0, b'x' * 65536)",
        "while 1: send(r.request, RESET, 0, number_of.pack(0))",
        "for _ in range(4): send(r.request, CREDIT, 0, number_of.pack((1 << 31) - 1))",
        "for _ in range(2): send(r.request, END, 0, b'')",
        "for operation in END, DATA: send(r.request, operation, 0, b'')",
        "send(r.request, END, 0, number_of.pack(7))",
        &["send(wanted['stderr'], REPLY, MARSHAL, b'x' * (2 << 20))", &reply("3")].join("\n"),
    ]
    .map(str::to_owned)
    .to_vec();
    for several in cases.chunks(6) {
        let answers = several.iter().map(|code| through(code));
        for (code, error) in several.iter().zip(futures::future::join_all(answers).await) {
            let report = error.report();
            assert!(report.starts_with("inner: "), "{code}: {report}");
        }
    }
    let held = chopsticks_support::processes::children();
    assert!(
        chopsticks_support::eventually(PATIENCE, || chopsticks_support::processes::children().is_empty()),
        "{held:?}"
    );
}
