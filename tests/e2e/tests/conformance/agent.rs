//! What an agent sends, against every controller.

use std::sync::{Arc, Mutex};

use chopsticks::{
    Call, Codebase, Command, Error, ErrorKind, LogLevel, Logging, Phase, Stdout, Tunnel, TunnelConfig,
};
use chopsticks_e2e::{PATIENCE, local, newest_and_oldest, quiet};
use chopsticks_support::{Scratch, newest};
use futures::{StreamExt as _, TryStreamExt as _, stream::FusedStream as _};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use crate::{Frame, Language, Table, framed, hex, unhex};

#[derive(Debug, Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Of docs/wire.md.
    section: u8,
    #[serde(default)]
    noise: String,
    hello: Option<String>,
    send: Vec<Frame>,
    outcome: String,
    value: Option<String>,
    /// Whether the first call is a YIELD, whose items are bytes.
    #[serde(default)]
    stream: bool,
    /// Whether it is a MAP, for two items.
    #[serde(default)]
    map: bool,
    /// The text that the agent prints, and the records that it logs.
    printed: Option<String>,
    logged: Option<String>,
}

impl Case {
    fn all() -> Vec<Self> {
        toml::from_str::<Cases>(include_str!("../../../conformance/agent.toml")).unwrap().case
    }

    fn label(&self) -> String {
        format!("§{} {}", self.section, self.name)
    }

    /// The arguments of the program that plays the agent.
    fn script(&self) -> [String; 3] {
        // A dict with the key `python` and what else agents say, in `marshal`.
        let hello = self.hello.clone().unwrap_or_else(|| hex(HELLO));
        let hello = framed(0, 2, 2, &unhex(&hello));
        let send: Vec<u8> = self.send.iter().flat_map(|frame| frame.bytes(Language::Python)).collect();
        [hex(self.noise.as_bytes()), hex(&hello), hex(&send)]
    }

    /// What is passed on before the result.
    fn told(&self, label: &str) -> String {
        let printed = self.printed.iter().map(|text| format!("; printed {label}{text}"));
        printed.chain(self.logged.iter().map(|text| format!("; logged {text}"))).collect()
    }

    fn wanted(&self) -> String {
        match &self.value {
            Some(value) => format!("value {value}, then again"),
            None if self.outcome == "failed" => "failed, then again".to_owned(),
            None => self.outcome.clone(),
        }
    }
}

const HELLO: &[u8] = b"\0\x01{u\x06\0\0\0python[\x03\0\0\0i\x03\0\0\0i\x09\0\0\0i\x01\0\0\0\
    u\x0a\0\0\0executableu\x01\0\0\0xu\x03\0\0\0pidi\x01\0\0\0u\x08\0\0\0hostnameu\x01\0\0\0x\
    u\x08\0\0\0platformu\x05\0\0\0linux0";

/// Plays an agent. It finds in the words of the first stage how many bytes the packed agent has.
const PLAYER: &str = "
import os, re, struct, sys
from binascii import unhexlify
header = struct.Struct('>LLBB')
noise, hello, send = [unhexlify(word) for word in sys.argv[1:4]]
def read(size):
    data = b''
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more: os._exit(0)
        data += more
    return data
def message():
    size, request, operation, _ = header.unpack(read(10))
    return request, operation, read(size)
read(int(re.search(r'(\\d+)-len', ' '.join(sys.argv)).group(1)))
os.write(1, noise + message()[2][2:18] + hello)
calls = 0
while 1:
    request, operation, _ = message()
    if operation in (0x20, 0x29, 0x2c):
        calls += 1
        os.write(1, send if calls == 1 else header.pack(5, request, 3, 3) + b'again')
";

/// The same as `outcome_of`, in the Python package.
const FAR: &str = "
import os, sys
from chopsticks.tunnel import Disconnected, RemoteException, SubprocessTunnel

class Fake(SubprocessTunnel):
    host = 'fake'
    def command(self, python):
        return [sys.executable, '-S', '-c'] + self.words + python

def outcome(streams, *words):
    tun = Fake()
    tun.words = [str(word) for word in words]
    def called(streams=False):
        try:
            tun.connect()
            value = b','.join(tun.stream(os.getpid)) if streams else tun.call(os.getpid)
            return value if type(value) is str else value.decode('utf-8')
        except Disconnected as e:
            if 'protocol error: ' not in str(e):
                return 'gone: %s' % e
            return 'handshake' if 'handshake: ' in str(e) else 'lost'
        except RemoteException:
            return 'failed'
    try:
        found = called(streams)
        if found in ('lost', 'handshake') or found.startswith('gone'):
            return found
        return '%s, then %s' % (found if found == 'failed' else 'value ' + found, called())
    finally:
        tun.close()
";

/// What was passed on.
#[derive(Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    fn config(&self) -> TunnelConfig {
        let (printed, logged) = (self.0.clone(), self.0.clone());
        quiet()
            .stdout(Stdout::callback(move |_, line| {
                let text = String::from_utf8_lossy(line);
                printed.lock().unwrap().push_str(&format!("; printed {}", text.trim_end()));
            }))
            .logging(Logging::callback(LogLevel::Info, move |record| {
                logged.lock().unwrap().push_str(&format!("; logged {record}"));
            }))
    }

    fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn called(tunnel: &Tunnel) -> Result<String, Error> {
    // A call alone does not read what HELLO says.
    tunnel.connect().await?;
    let reply = tunnel.call_with(Call::new("os:getpid")).await?;
    Ok(String::from_utf8_lossy(&reply.decode::<ByteBuf>()?).into_owned())
}

async fn streamed(tunnel: &Tunnel) -> Result<String, Error> {
    tunnel.connect().await?;
    let items: Vec<ByteBuf> = tunnel.stream("os:getpid", ()).try_collect().await?;
    let texts: Vec<_> = items.iter().map(|item| String::from_utf8_lossy(item)).collect();
    Ok(texts.join(","))
}

/// The outcomes of two items.
async fn mapped(tunnel: &Tunnel) -> Result<String, Error> {
    tunnel.connect().await?;
    let mut outcomes =
        tunnel.map_with::<ByteBuf>(Call::new("os:getpid").input(futures::stream::iter([1, 2])));
    let mut texts = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(value) => texts.push(String::from_utf8_lossy(&value).into_owned()),
            Err(error) if outcomes.is_terminated() => return Err(error),
            Err(_) => texts.push("failed".to_owned()),
        }
    }
    Ok(texts.join(","))
}

/// Returns what becomes of a call of a tunnel, and of a later one.
async fn outcome_of(tunnel: &Tunnel, case: &Case) -> String {
    let first = match case {
        Case { map: true, .. } => mapped(tunnel).await,
        Case { stream: true, .. } => streamed(tunnel).await,
        _ => called(tunnel).await,
    };
    let first = match first {
        Ok(value) => format!("value {value}"),
        Err(error) => match error.kind() {
            ErrorKind::Protocol { .. } | ErrorKind::Result(_) if error.phase() == Phase::Handshake => {
                return "handshake".to_owned();
            }
            ErrorKind::Protocol { .. } => return "lost".to_owned(),
            _ if error.is_disconnected() => return format!("gone: {error}"),
            _ => "failed".to_owned(),
        },
    };
    let then = called(tunnel).await.unwrap_or_else(|error| format!("{error}"));
    format!("{first}, then {then}")
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_an_agent_against_the_controller_in_rust() {
    let mut table = Table::default();
    for case in Case::all() {
        let program = Command::new(newest().path()).args(["-S", "-c", PLAYER]).args(case.script());
        let told = Told::default();
        let tunnel = Tunnel::with_config(program.python("python3").name("fake"), told.config());
        let found = tokio::time::timeout(PATIENCE, outcome_of(&tunnel, &case)).await;
        let found = format!("{}{}", found.unwrap_or("no outcome".to_owned()), told.take());
        table.add("Rust", &case.label(), &found, &format!("{}{}", case.wanted(), case.told("")));
    }
    table.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_an_agent_against_the_python_package_on_hosts() {
    let scratch = Scratch::new();
    scratch.write("conform.py", FAR);
    let mut table = Table::default();
    for interpreter in newest_and_oldest() {
        let told = Told::default();
        let config = told.config().modules(Codebase::folder(scratch.path()));
        let tunnel = Tunnel::with_config(local(interpreter), config);
        // The package makes no MAP.
        for case in Case::all().into_iter().filter(|case| !case.map) {
            let [noise, hello, send] = case.script();
            let call = tunnel.call::<String>("conform:outcome", (case.stream, PLAYER, noise, hello, send));
            let found = match tokio::time::timeout(PATIENCE, call).await {
                Ok(found) => found.unwrap_or_else(|error| error.to_string()),
                Err(_) => "no outcome".to_owned(),
            };
            let found = format!("{found}{}", told.take());
            // The agent passes it on, with the name of the host.
            let wanted = format!("{}{}", case.wanted(), case.told("[fake] "));
            table.add(&format!("package on {interpreter}"), &case.label(), &found, &wanted);
        }
    }
    table.finish();
}
