//! Agents that are none: whatever they send, what is here stays as it was.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use chopsticks::{Fetch, Local, Phase, Put, Tunnel};
use chopsticks_e2e::quiet;
use chopsticks_support::{Scratch, newest};

use crate::{failure, names};

/// Takes the place of an interpreter, and answers transfers as `$MISDEED` says.
const IMPOSTOR: &str = r#"
import hashlib, marshal, os, re, struct, sys
misdeed = os.environ['MISDEED']
HEADER = struct.Struct('>LLBB')


def read(size):
    data = b''
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            sys.exit()
        data += more
    return data


def send(request, operation, form, payload):
    data = HEADER.pack(len(payload), request, operation, form) + payload
    while data:
        data = data[os.write(1, data):]


read(int(re.search(r'read\(0,(\d+)', sys.argv[-1]).group(1)))
while 1:
    size, request, operation, flags = HEADER.unpack(read(10))
    payload = read(size)
    if operation == 1:
        os.write(1, payload[2:18])
        send(0, 2, 2, struct.pack('>H', 1) + marshal.dumps({
            'python': [3, 0, 0], 'executable': '', 'pid': 1, 'hostname': '', 'platform': ''}, 2))
    if operation == 0x20:
        send(request, 4, 0, misdeed.encode())
    if misdeed == 'leaves' and operation in (0x24, 0x25):
        sys.exit()
    if misdeed == 'breaks the protocol' and operation in (0x24, 0x25):
        send(request + 2, 3, 0, b'')
    if misdeed == 'vast reply' and operation in (0x24, 0x25):
        if operation == 0x25:
            send(request, 8, 0, struct.pack('>QL', 0, 0) + hashlib.sha1().digest())
            send(request, 9, 0, b'')
        send(request, 3, 2, b'N' * 100000)
        continue
    if operation == 0x24:
        done = {'path': b'/x', 'size': 1, 'sha1': b'\0' * 20}
        if misdeed == 'false summary':
            send(request, 3, 2, marshal.dumps(done, 2))
        else:
            send(request, 10, 0, struct.pack('>L', 1 << 20))
            send(request, 3, 2, marshal.dumps([1, 2], 2))
    if operation == 0x25:
        content = b'evil' * 1000
        if misdeed.startswith('folder'):
            entry = lambda kind, name: struct.pack('>BH', kind, len(name)) + name + struct.pack('>Lq', 0o6777, 0)
            file = lambda name, size=4: entry(2, name) + struct.pack('>QL', size, 4) + b'evil' + struct.pack(
                '>L', 0) + hashlib.sha1(b'evil').digest()
            link = lambda name, to: entry(3, name) + struct.pack('>H', len(to)) + to
            root = entry(1, b'')
            outside = os.environ['OUTSIDE'].encode()
            data = {
                'folder parent': root + file(b'../evil'),
                'folder absolute': root + file(outside + b'/evil'),
                'folder dots': root + entry(1, b'..') + file(b'evil'),
                'folder dot': root + entry(1, b'.') + file(b'evil'),
                'folder slash': root + entry(1, b'a/b') + file(b'evil'),
                'folder empty': root + file(b''),
                'folder nul': root + file(b'evil\0x'),
                'folder through link': root + link(b'l', outside) + entry(1, b'l') + file(b'evil'),
                'folder over link': root + link(b'evil', outside + b'/evil') + file(b'evil') + b'\0',
                'folder left twice': root + b'\0' + b'\0' + file(b'evil'),
                'folder left first': b'\0' + file(b'evil'),
                'folder none': file(b'evil'),
                'folder deep': root + entry(1, b'd') * 5000,
                'folder unknown': root + entry(9, b'evil'),
                'folder endless': root + file(b'x'),
                'folder less than announced': root + file(b'x', 5) + b'\0',
                'folder more than announced': root + file(b'x', 3) + b'\0',
            }[misdeed]
            send(request, 8, 0, data)
            send(request, 9, 0, b'')
            send(request, 3, 2, marshal.dumps({
                'path': b'/x', 'files': 1, 'folders': 1, 'links': 0, 'left_out': 0, 'size': 4}, 2))
            continue
        announced = {'vast promise': 1 << 63, 'less than announced': 4001, 'more than announced': 3999, 'unknown': 0}
        data = struct.pack('>QL', announced.get(misdeed, 4000), 4000) + content
        sha1 = hashlib.sha1(content).digest()
        end = struct.pack('>L', 0) + (b'\1' * 20 if misdeed == 'wrong checksum' else sha1)
        done = {'path': b'../../../etc/passwd', 'size': 4000, 'sha1': sha1, 'mode': 0o6777, 'modified': -1 << 63}
        if misdeed == 'vast block':
            data = struct.pack('>QL', 0, 0xffffffff) + content
        if misdeed == 'cut short':
            end = end[:-1]
        if misdeed == 'goes on':
            end += b'x'
        if misdeed == 'nothing':
            data = end = b''
        if misdeed == 'no end':
            end = b''
        send(request, 8, 0, data + end)
        if misdeed == 'beyond credit':
            for i in range(64):
                send(request, 8, 0, b'\0' * 100000)
        if misdeed == 'failure':
            send(request, 4, 2, marshal.dumps({'errno': 1 << 30, 'message': '\x1b[2J', 'path': b'../\n\xff'}, 2))
        elif misdeed == 'unreadable failure':
            send(request, 4, 2, b'\xff\xff')
        else:
            send(request, 9, 0, b'' if misdeed != 'broken off' else b'\0\0\0\1')
            send(request, 3, 2, marshal.dumps([] if misdeed == 'unreadable reply' else done, 2))
"#;

fn impostor_program(scratch: &Scratch) -> PathBuf {
    let text = format!("#!{}\n{IMPOSTOR}", newest().path().display());
    let program = scratch.write("impostor", text);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .expect("a file of ours can be made executable");
    program
}

fn impostor(scratch: &Scratch, misdeed: &str) -> Tunnel {
    let driver = Local::new().name("evil").python(impostor_program(scratch)).env("MISDEED", misdeed);
    Tunnel::with_config(driver, quiet())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_impostor_sends_replaces_nothing() {
    for misdeed in [
        "wrong checksum",
        "vast block",
        "cut short",
        "goes on",
        "nothing",
        "no end",
        "beyond credit",
        "failure",
        "unreadable failure",
        "unreadable reply",
        "broken off",
        "vast promise",
        "less than announced",
        "more than announced",
    ] {
        let (scratch, here) = (Scratch::new(), Scratch::new());
        let tunnel = impostor(&scratch, misdeed);
        let target = here.write("target", "old");
        let error = tunnel.fetch("/srv/file", &target).await.expect_err(misdeed);
        assert_eq!(fs::read(&target).unwrap(), b"old", "{misdeed}: {}", error.report());
        assert_eq!(names(here.path()), ["target"], "{misdeed}");
        if misdeed == "failure" {
            assert!(error.to_string().ends_with(r#"remote file "../\n\xFF": \x1b[2J"#), "{error}");
        }
        if misdeed.ends_with("announced") {
            assert_eq!(failure(&error).2, std::io::ErrorKind::InvalidData, "{misdeed}: {}", error.report());
        }
        let _ = tunnel.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_a_host_have_no_effect_here() {
    for misdeed in ["unknown", ""] {
        let (scratch, here) = (Scratch::new(), Scratch::new());
        let tunnel = impostor(&scratch, misdeed);
        let target = here.path().join("target");
        let fetch = Fetch::new("/srv/file").to(&target).keep_mode().keep_modified();
        let fetched = tunnel.fetch_with(fetch).await.unwrap();
        assert_eq!((fetched.size, fetched.local.as_ref()), (4000, Some(&target)));
        assert_eq!(fs::read(&target).unwrap(), b"evil".repeat(1000));
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o777);
        assert_eq!(names(here.path()), ["target"]);
        let _ = tunnel.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn false_receipt_is_noticed() {
    for misdeed in ["false summary", "unreadable"] {
        let scratch = Scratch::new();
        let tunnel = impostor(&scratch, misdeed);
        let error = tunnel.put_with(Put::bytes("x").to("/x")).await.unwrap_err();
        match misdeed {
            "unreadable" => assert_eq!(error.kind().name(), "result"),
            _ => assert_eq!(failure(&error).2, std::io::ErrorKind::InvalidData),
        }
        let _ = tunnel.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_of_an_impostor_stays_in_its_place() {
    for misdeed in [
        "parent",
        "absolute",
        "dots",
        "dot",
        "slash",
        "empty",
        "nul",
        "through link",
        "over link",
        "left twice",
        "left first",
        "none",
        "deep",
        "unknown",
        "endless",
        "less than announced",
        "more than announced",
    ] {
        let (scratch, here) = (Scratch::new(), Scratch::new());
        let outside = here.create_folder("outside");
        let program = impostor_program(&scratch);
        let driver = Local::new().name("evil").python(program).env("MISDEED", format!("folder {misdeed}"));
        let tunnel = Tunnel::with_config(driver.env("OUTSIDE", &outside), quiet());
        let fetched = tunnel.fetch_dir("/srv/folder", here.path().join("target")).await;
        // A file may replace the link: that is all within the target.
        assert_eq!(fetched.is_ok(), misdeed == "over link", "{misdeed}");
        assert!(names(&outside).is_empty(), "{misdeed}");
        if misdeed.ends_with("announced") {
            assert!(names(&here.path().join("target")).is_empty(), "{misdeed}");
        }
        let mut left = names(here.path());
        left.retain(|name| name != "target");
        assert_eq!(left, ["outside"], "{misdeed}");
        let _ = tunnel.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_by_the_transport_of_an_agent_is_told_as_such() {
    for (reason, kind, words) in [
        ("\x01", "result", "the agent has not answered the call"),
        ("\x02", "result", "the agent has given up the call"),
        ("\x03", "too-large", "the call or its result is over the agent's limit"),
        ("{", "result", "the agent has refused the call, for a reason that is not known"),
        // What would be `None` in marshal.
        ("N", "result", "the agent has refused the call, for a reason that is not known"),
        ("", "result", "the agent has refused the call, for a reason that is not known"),
    ] {
        let scratch = Scratch::new();
        let tunnel = impostor(&scratch, reason);
        let error = tunnel.call::<()>("m:f", ()).await.unwrap_err();
        assert_eq!((error.phase(), error.kind().name()), (Phase::Call, kind), "{}", error.report());
        assert!(error.report().ends_with(words), "{}", error.report());
        let _ = tunnel.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_breaks_in_a_transfer_is_an_error_of_the_transfer() {
    for (misdeed, kind) in [("leaves", "disconnected"), ("breaks the protocol", "protocol")] {
        let (scratch, here) = (Scratch::new(), Scratch::new());
        let tunnel = impostor(&scratch, misdeed);
        let folder = here.create_folder("folder");
        let errors = [
            tunnel.put_with(Put::bytes(vec![0_u8; 10 << 20]).to("/x")).await.unwrap_err(),
            tunnel.fetch("/x", here.path().join("target")).await.unwrap_err(),
            tunnel.put_dir(&folder, "/x").await.unwrap_err(),
            tunnel.fetch_dir("/x", here.path().join("target")).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.phase(), error.kind().name()), (Phase::Transfer, kind), "{}", error.report());
            assert!(error.is_disconnected() && error.function().is_none(), "{}", error.report());
        }
        let _ = tunnel.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_to_a_transfer_that_is_too_long_is_an_error() {
    let (scratch, here) = (Scratch::new(), Scratch::new());
    let driver = Local::new().name("evil").python(impostor_program(&scratch)).env("MISDEED", "vast reply");
    let tunnel = Tunnel::with_config(driver, quiet().max_result_len(1000));
    let folder = here.create_folder("folder");
    let errors = [
        tunnel.put_with(Put::bytes("x").to("/x")).await.unwrap_err(),
        tunnel.fetch("/x", here.path().join("target")).await.unwrap_err(),
        tunnel.put_dir(&folder, "/x").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            (error.phase(), error.kind().name()),
            (Phase::Transfer, "too-large"),
            "{}",
            error.report()
        );
    }
    assert_eq!(names(here.path()), ["folder"]);
    let _ = tunnel.close().await;
}
