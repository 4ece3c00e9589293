//! What a controller sends, against every agent.

use std::{
    fmt,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use chopsticks::{
    agent::{FIRST_STAGE, PACKED, Part},
    pencode,
};
use chopsticks_support::interpreters;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Argument, Frame, Language, Table, framed, hex, length, native, text, unhex};

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
    send: Vec<Frame>,
    expect: Vec<Expected>,
    /// The items that request 2 yields.
    #[serde(default)]
    items: Vec<Item>,
    /// Those of a MAP.
    #[serde(default)]
    outcomes: Vec<Item>,
    /// Why it is not for agents in Rust.
    no_rust: Option<String>,
    /// Whether it is for them alone.
    #[serde(default)]
    rust: bool,
}

/// A value, or a failure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    value: Option<Argument>,
    #[serde(default)]
    contains: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    operation: u8,
    #[serde(default = "crate::first_request")]
    request: u32,
    value: Option<Argument>,
    text: Option<String>,
    hex: Option<String>,
    #[serde(default)]
    contains: Vec<String>,
}

/// A message of the agent.
struct Message {
    request: u32,
    operation: u8,
    format: u8,
    payload: Vec<u8>,
}

const NONCE: &[u8; 16] = b"0123456789abcdef";
const REPLY: u8 = 3;
const PONG: u8 = 7;
const DATA: u8 = 8;
const END: u8 = 9;
const CREDIT: u8 = 0x0a;
const RESET: u8 = 0x0b;
/// YIELD, FEED, PIPE and MAP.
const STREAMING: std::ops::RangeInclusive<u8> = 0x29..=0x2c;
const IMPORT: u8 = 0x22;

impl Case {
    fn all() -> Vec<Self> {
        toml::from_str::<Cases>(include_str!("../../../conformance/controller.toml")).unwrap().case
    }

    /// Returns what the agent that `command` starts does otherwise than it should.
    fn run(&self, language: Language, mut command: Command) -> Result<(), String> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        let outcome = self.converse(language, &mut child);
        // Without a stdin it ends.
        drop(child.stdin.take());
        let status = child.wait().map_err(|error| error.to_string())?;
        outcome?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
    }

    fn converse(&self, language: Language, child: &mut Child) -> Result<(), String> {
        let mut start = b"\0\x01".to_vec();
        start.extend(NONCE);
        start.extend((1_u64 << 30).to_be_bytes());
        start.extend(b"{0");
        let mut data = match language {
            Language::Python => PACKED.to_vec(),
            // What follows a program: here there is none before it.
            Language::Rust => b">".to_vec(),
        };
        data.extend(framed(0, 1, 0, &start));
        data.extend(self.send.iter().flat_map(|frame| frame.bytes(language)));
        data.extend(framed(0, 6, 0, b"ping"));
        let stdin = child.stdin.as_mut().expect("it is piped");
        let mut write = |data: &[u8]| stdin.write_all(data).map_err(|error| error.to_string());
        // It is less than a pipe holds.
        write(&data)?;
        let mut stdout = child.stdout.take().expect("it is piped");
        let mut read = |length: usize| {
            let mut bytes = vec![0; length];
            stdout.read_exact(&mut bytes).map_err(|error| format!("it has ended: {error}")).map(|()| bytes)
        };
        let mut greeting = read(16)?;
        // A program of tests prints something first.
        while language == Language::Rust && !greeting.ends_with(NONCE) {
            greeting.extend(read(1)?);
        }
        if !greeting.ends_with(NONCE) {
            return Err("no nonce".to_owned());
        }
        let has_streams =
            self.send.iter().any(|frame| frame.operation.is_some_and(|code| STREAMING.contains(&code)));
        let has_items = !self.items.is_empty() || !self.outcomes.is_empty();
        let (mut data, mut has_ended) = (Vec::new(), false);
        let mut left: Vec<&Expected> = self.expect.iter().collect();
        let mut has_answered = false;
        while !left.is_empty() || !has_answered {
            let header = read(10)?;
            let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
            let payload = read(number(0) as usize)?;
            let message = Message { request: number(4), operation: header[8], format: header[9], payload };
            match (message.operation, message.request) {
                // HELLO.
                (2, 0) if message.payload.starts_with(b"\0\x01") => {}
                (IMPORT, request) => write(&framed(request, 3, 2, &part(&message.payload)?))?,
                (DATA, 2) if has_items && !has_ended => data.extend(message.payload),
                (END, 2) if has_streams && message.payload.is_empty() => has_ended = true,
                (CREDIT | RESET, 2) if has_streams => {}
                (PONG, 0) if message.payload == b"ping" => has_answered = true,
                _ => {
                    // The stream ends before its answer.
                    let is_early = has_items && message.operation == REPLY && !has_ended;
                    let matching = left.iter().position(|expected| expected.is(&message));
                    let unexpected = || message.to_string();
                    left.remove(matching.filter(|_| !is_early).ok_or_else(unexpected)?);
                }
            }
        }
        match (&self.items[..], &self.outcomes[..]) {
            ([], []) => Ok(()),
            (items, []) => compare(&data, items, 0),
            // The time that each has taken.
            (_, outcomes) => compare(&data, outcomes, 4),
        }
    }
}

/// Compares the bytes of a stream with the items that it should have, each behind so many bytes.
fn compare(mut data: &[u8], expected: &[Item], skipped: usize) -> Result<(), String> {
    for item in expected {
        let (head, rest) = data.split_at_checked(5).ok_or("there are too few items")?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (value, rest) = rest.split_at_checked(length).ok_or("an item that is cut off")?;
        let payload = value.get(skipped..).ok_or("an outcome without its time")?.to_vec();
        let message = Message { request: 2, operation: DATA, format: head[0], payload };
        let is_right = match &item.value {
            Some(value) => message.has(value),
            None => {
                let shown = String::from_utf8_lossy(&message.payload);
                message.format == 4 && item.contains.iter().all(|part| shown.contains(part))
            }
        };
        if !is_right {
            return Err(format!("an item of format {}: {}", message.format, hex(&message.payload)));
        }
        data = rest;
    }
    if data.is_empty() { Ok(()) } else { Err("there are more items".to_owned()) }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = hex(&self.payload[..self.payload.len().min(60)]);
        write!(f, "unexpected: operation {:#04x}, request {}, {payload}", self.operation, self.request)
    }
}

impl Message {
    fn has(&self, value: &Argument) -> bool {
        match value {
            Argument::Integer(number) => self.value::<i32>().as_ref() == Some(number),
            Argument::Text(text) => self.value::<String>().as_ref() == Some(text),
        }
    }

    fn value<T: DeserializeOwned>(&self) -> Option<T> {
        match self.format {
            1 => pencode::from_slice(&self.payload).ok(),
            2 => pencode::marshal::from_slice(&self.payload).ok(),
            _ => None,
        }
    }
}

/// Returns the entry of the part of the agent that a request asks for, in `marshal`.
fn part(question: &[u8]) -> Result<Vec<u8>, String> {
    let name: String = pencode::marshal::from_slice(question).map_err(|error| error.to_string())?;
    let part = name.strip_prefix('.').and_then(Part::named).ok_or(format!("it imports {name}"))?;
    let mut entry = b"(\x05\0\0\0".to_vec();
    text(&name, &mut entry);
    entry.extend(b"i\0\0\0\0");
    text("", &mut entry);
    entry.push(b's');
    entry.extend(length(part.source().len()));
    entry.extend(part.source().as_bytes());
    entry.extend(b"[\0\0\0\0");
    Ok(entry)
}

impl Expected {
    fn is(&self, message: &Message) -> bool {
        let payload = match (&self.text, &self.hex) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, digits) => digits.as_deref().map(unhex),
        };
        let is_value = self.value.as_ref().is_none_or(|value| message.has(value));
        let shown = String::from_utf8_lossy(&message.payload);
        (message.request, message.operation) == (self.request, self.operation)
            && is_value
            && payload.is_none_or(|payload| message.payload == payload)
            && self.contains.iter().all(|part| shown.contains(part))
    }
}

#[test]
fn cases_of_a_controller_against_the_agent_in_python() {
    let mut table = Table::default();
    for interpreter in interpreters() {
        for case in Case::all().iter().filter(|case| !case.rust) {
            let mut command = interpreter.command();
            command.args(["-s", "-S", "-E", "-c", FIRST_STAGE]);
            let found = case.run(Language::Python, command).err().unwrap_or_else(|| "as expected".to_owned());
            let label = format!("§{} {}", case.section, case.name);
            table.add(&format!("Python {interpreter}"), &label, &found, "as expected");
        }
    }
    table.finish();
}

#[test]
fn cases_of_a_controller_against_the_agent_in_rust() {
    let mut table = Table::default();
    for case in Case::all() {
        let label = format!("§{} {}", case.section, case.name);
        match case.no_rust.as_deref() {
            Some(reason) => table.leave_out("Rust", &label, reason),
            None => {
                let found = case.run(Language::Rust, native::command());
                let found = found.err().unwrap_or_else(|| "as expected".to_owned());
                table.add("Rust", &label, &found, "as expected");
            }
        }
    }
    table.finish();
}
