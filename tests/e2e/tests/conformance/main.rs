//! The cases of `tests/conformance`, against every controller and every agent.
//!
//! What a peer sends, and what must happen, stands in those files as data. Here the cases of an agent run against
//! the Rust controller and the Python package on hosts, and those of a controller against the agents in Python and
//! in Rust. Each test prints a table: `cargo test -p chopsticks-e2e --test conformance -- --nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, and the table that they print"
)]

use std::fmt::Write as _;

use chopsticks::agent::Part;
use serde::Deserialize;

mod agent;
mod api;
mod controller;
mod native;

// The agent in Rust is a copy of this program.
chopsticks::tests!();

/// What an agent is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Language {
    Python,
    Rust,
}

/// A frame of a case, or several bytes without one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    operation: Option<u8>,
    #[serde(default = "first_request")]
    request: u32,
    #[serde(default)]
    flags: u8,
    text: Option<String>,
    hex: Option<String>,
    raw: Option<String>,
    call: Option<NamedCall>,
    /// Where a call is cut in two frames.
    cut: Option<usize>,
    /// The names of parts of the agent, which EXTEND brings.
    extend: Option<Vec<String>>,
    /// What stands behind them.
    #[serde(default)]
    settings: String,
}

/// A call, which is written as CALL in `marshal`; with another operation, as that has the same payload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedCall {
    function: String,
    args: Vec<Argument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Argument {
    Integer(i32),
    Text(String),
}

fn first_request() -> u32 {
    2
}

impl Frame {
    fn bytes(&self, language: Language) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return unhex(raw);
        }
        if self.extend.is_some() && language == Language::Rust {
            return Vec::new();
        }
        if let Some(names) = &self.extend {
            let part = |name: &String| Part::named(name).expect("there is such a part").source().to_owned();
            let mut text = names.iter().map(part).collect::<Vec<_>>().join("\n");
            text.push('\n');
            text.push_str(&self.settings);
            return framed(0, 0x26, 0, text.as_bytes());
        }
        let (operation, flags, payload) = match &self.call {
            Some(call) => {
                let (code, format, payload) = match language {
                    Language::Python => (0x20, 2, call.payload()),
                    Language::Rust => (0x2d, 3, native::message(call)),
                };
                (self.operation.unwrap_or(code), format, payload)
            }
            None => {
                let payload = match (&self.hex, &self.text) {
                    (Some(hex), _) => unhex(hex),
                    (None, text) => text.clone().unwrap_or_default().into_bytes(),
                };
                (self.operation.expect("a frame has an operation"), self.flags, payload)
            }
        };
        let Some(cut) = self.cut else { return framed(self.request, operation, flags, &payload) };
        let (first, rest) = payload.split_at(cut);
        let first = framed(self.request, operation, flags | 0x80, first);
        [first, framed(self.request, operation, flags, rest)].concat()
    }
}

impl NamedCall {
    fn payload(&self) -> Vec<u8> {
        let mut payload = b"(\x03\0\0\0".to_vec();
        text(&self.function, &mut payload);
        payload.push(b'(');
        payload.extend(length(self.args.len()));
        for argument in &self.args {
            match argument {
                Argument::Integer(number) => {
                    payload.push(b'i');
                    payload.extend(number.to_le_bytes());
                }
                Argument::Text(value) => text(value, &mut payload),
            }
        }
        payload.push(b'N');
        payload
    }
}

fn text(value: &str, payload: &mut Vec<u8>) {
    payload.push(b'u');
    payload.extend(length(value.len()));
    payload.extend(value.as_bytes());
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap().to_le_bytes()
}

/// A frame as bytes: docs/wire.md, section 2.
fn framed(request: u32, operation: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(request.to_be_bytes());
    bytes.extend([operation, flags]);
    bytes.extend(payload);
    bytes
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// The outcome of each case for each implementation.
#[derive(Default)]
struct Table {
    rows: Vec<(String, String, Result<(), String>)>,
    /// Cases that do not apply, with the reasons.
    left_out: Vec<(String, String, String)>,
}

impl Table {
    /// Adds a row, which passes if what was found is what was wanted.
    fn add(&mut self, implementation: &str, case: &str, found: &str, wanted: &str) {
        let outcome = if found == wanted { Ok(()) } else { Err(format!("{found}; wanted: {wanted}")) };
        self.rows.push((implementation.to_owned(), case.to_owned(), outcome));
    }

    /// Adds a case that does not apply.
    fn leave_out(&mut self, implementation: &str, case: &str, reason: &str) {
        self.left_out.push((implementation.to_owned(), case.to_owned(), reason.to_owned()));
    }

    /// Prints all rows, and fails if one does.
    #[track_caller]
    fn finish(self) {
        let width =
            self.rows.iter().map(|(implementation, ..)| implementation.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (implementation, case, outcome) in &self.rows {
            let outcome =
                outcome.as_ref().map_or_else(|found| format!("FAILED  {found}"), |()| "ok".to_owned());
            let _ = writeln!(text, "{implementation:width$}  {case:60}  {outcome}");
        }
        for (implementation, case, reason) in &self.left_out {
            let _ = writeln!(text, "{implementation:width$}  {case:60}  does not apply: {reason}");
        }
        println!("{text}");
        assert!(!self.rows.is_empty(), "there are cases");
        let failed = self.rows.iter().filter(|(.., outcome)| outcome.is_err()).count();
        assert_eq!(failed, 0, "of {} rows:\n{text}", self.rows.len());
    }
}
