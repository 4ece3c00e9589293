//! The constants of the protocol and of the drivers, which Rust defines and the Python code on hosts uses too.
//!
//! They are written once, in the crates. [`text`] makes a Python module of them for the package on hosts, which
//! `cargo xtask constants` writes. The parts of the agent, whose size counts, define those that they use; they are
//! compared here.

use super::{File, Finding};

/// The module that is made.
pub(crate) const MODULE: &str = "agent/lib/chopsticks/_constants.py";
/// Where no constant may have another value.
const PYTHON: &str = "agent/";
const RULE: &str = "constants";

/// A constant of Python, and where Rust defines it.
struct Constant {
    python: &'static str,
    file: &'static str,
    /// What stands in front of the value.
    rust: &'static str,
}

const fn constant(python: &'static str, file: &'static str, rust: &'static str) -> Constant {
    Constant { python, file, rust }
}

const CONFIG: &str = "crates/chopsticks-transport/src/config.rs";
const FORMAT: &str = "crates/chopsticks-transport/src/format.rs";
const OPERATIONS: &str = "crates/chopsticks-transport/src/operation.rs";
const APPLICATION: &str = "crates/chopsticks-protocol/src/operation.rs";
const SSH: &str = "crates/chopsticks-driver/src/driver/ssh.rs";

const CONSTANTS: &[Constant] = &[
    constant(
        "VERSION",
        "crates/chopsticks-transport/src/connection/handshake.rs",
        "PROTOCOL_VERSION: u16 = ",
    ),
    constant("START", OPERATIONS, "START ="),
    constant("HELLO", OPERATIONS, "HELLO ="),
    constant("REPLY", OPERATIONS, "REPLY ="),
    constant("FAIL", OPERATIONS, "FAIL ="),
    constant("CANCEL", OPERATIONS, "CANCEL ="),
    constant("PING", OPERATIONS, "PING ="),
    constant("PONG", OPERATIONS, "PONG ="),
    constant("DATA", OPERATIONS, "DATA ="),
    constant("END", OPERATIONS, "END ="),
    constant("CREDIT", OPERATIONS, "CREDIT ="),
    constant("RESET", OPERATIONS, "RESET ="),
    constant("CALL", APPLICATION, "CALL ="),
    constant("MODULES", APPLICATION, "MODULES ="),
    constant("IMPORT", APPLICATION, "IMPORT ="),
    constant("RESOURCE", APPLICATION, "RESOURCE ="),
    constant("PUT", APPLICATION, "PUT ="),
    constant("FETCH", APPLICATION, "FETCH ="),
    constant("EXTEND", APPLICATION, "EXTEND ="),
    constant("PENCODE", FORMAT, "Self::Pencode =>"),
    constant("MARSHAL", FORMAT, "Self::Marshal =>"),
    constant("BYTES", FORMAT, "Self::Bytes =>"),
    constant("MORE", "crates/chopsticks-transport/src/frame.rs", "MORE_BIT: u8 ="),
    constant("FRAME", CONFIG, "frame_len:"),
    constant("MAX_FRAME", CONFIG, "max_frame_len:"),
    constant("MAX_NOISE", CONFIG, "max_noise:"),
    constant("MAX_REQUEST", CONFIG, "max_request_len:"),
    constant("MAX_REQUESTS", CONFIG, "max_peer_requests:"),
    constant("MAX_ABANDONED", CONFIG, "max_abandoned_requests:"),
    constant("MAX_CREDIT", CONFIG, "MAX_CREDIT: u64 ="),
    constant("MAX_PING", "crates/chopsticks-transport/src/connection/receive.rs", "MAX_SMALL: usize ="),
    constant("HANDSHAKE_TIMEOUT", CONFIG, "handshake_timeout:"),
    constant("GRACE", CONFIG, "cancel_grace:"),
    constant("ANSWER_TIME", "crates/chopsticks-transport/src/connection.rs", "MIN_PROBE_TIME: Duration ="),
    constant("SSH", SSH, "FIXED: [&str; 7] ="),
    constant("SSH_LOG_LEVEL", SSH, "LOG_LEVEL: &str ="),
    constant("SSH_SINCE_8_7", SSH, "FIXED_SINCE_8_7: [&str; 3] ="),
    constant("CONNECT_TIMEOUT", SSH, "CONNECT_TIMEOUT: Duration ="),
    constant("KEEPALIVE_INTERVAL", SSH, "KEEPALIVE_INTERVAL: Duration ="),
    constant("KEEPALIVE_COUNT", SSH, "KEEPALIVE_COUNT: u32 ="),
    constant("VERSION_TIMEOUT", SSH, "QUESTION_TIMEOUT: Duration ="),
    constant("SUDO", "crates/chopsticks-driver/src/driver/sudo.rs", "OPTIONS: [&str; 3] ="),
    constant("CONTAINER_RUN", "crates/chopsticks-driver/src/driver/container.rs", "RUN: [&str; 4] ="),
    constant(
        "CONTROLLER_LABEL",
        "crates/chopsticks-driver/src/driver/container/listing.rs",
        "CONTROLLER_LABEL: &str = ",
    ),
    constant(
        "CONNECTION_LABEL",
        "crates/chopsticks-driver/src/driver/container.rs",
        "CONNECTION_LABEL: &str = ",
    ),
    constant("PLAIN_MARKS", "crates/chopsticks-driver/src/quote.rs", "PLAIN_MARKS: &str ="),
    constant("REFUSALS", "crates/chopsticks-driver/src/hint.rs", "REFUSALS: [&str; 3] ="),
    constant("REFUSAL_ENDS", "crates/chopsticks-driver/src/hint.rs", "REFUSAL_ENDS: [&str; 3] ="),
];

/// Constants that stand where they are used: in parts of the agent, and where no further module is to be imported.
const OF_PARTS: &[Constant] = &[
    constant("SPAWN", APPLICATION, "SPAWN ="),
    constant("STDERR", APPLICATION, "STDERR ="),
    constant("YIELD", APPLICATION, "YIELD ="),
    constant("FEED", APPLICATION, "FEED ="),
    constant("PIPE", APPLICATION, "PIPE ="),
    constant("MAP", APPLICATION, "MAP ="),
    constant("WINDOW", CONFIG, "stream_window:"),
    constant("FIRST_CREDIT", "crates/chopsticks-protocol/src/item.rs", "FIRST_CREDIT: u32 ="),
    constant("_DEPTH_LIMIT", "crates/chopsticks-tunnel/src/context.rs", "DEPTH_LIMIT: u32 ="),
    constant("SPARE", "crates/chopsticks-files/src/spare.rs", "PREFIX: &[u8] ="),
];

/// A value that both languages have.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Value {
    Number(u64),
    Text(String),
    Texts(Vec<String>),
}

pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let Some(module) = files.iter().find(|file| file.path == MODULE) else { return };
    match text(files) {
        Err(message) => findings.push(module.error(1, RULE, message)),
        Ok(text) if text != module.content => {
            findings.push(module.error(1, RULE, "differs from the Rust crates: run `cargo xtask constants`"));
        }
        Ok(_) => {}
    }
    let known: Vec<_> = CONSTANTS.iter().chain(OF_PARTS).map(|own| (own, value(own, files))).collect();
    for (own, value) in &known {
        if let Err(message) = value {
            findings.push(module.error(1, RULE, format!("{}: {message}", own.python)));
        }
    }
    for file in files.iter().filter(|file| file.path.starts_with(PYTHON) && file.extension() == "py") {
        for (line, code) in file.lines() {
            let Some((name, given)) = code.split_once(" = ") else { continue };
            let Some((own, Ok(right))) = known.iter().find(|(own, _)| own.python == name) else { continue };
            // What is no literal, such as a word of another module, is not compared.
            let given = given.split("  #").next().unwrap_or_default();
            if read(given).is_some_and(|given| given != *right) {
                let message = format!("{name} is {} in {}", python(right), own.file);
                findings.push(file.error(line, RULE, message));
            }
        }
    }
}

/// Returns the text of the Python module.
pub(crate) fn text(files: &[File]) -> Result<String, String> {
    let mut text = String::from(
        "\"\"\"What the Rust crates define: made by `cargo xtask constants`, and verified by `cargo xtask tidy`.\"\"\"\n",
    );
    for own in CONSTANTS {
        let value = value(own, files).map_err(|message| format!("{}: {message}", own.python))?;
        let value = match value {
            Value::Number(code) if [OPERATIONS, APPLICATION].contains(&own.file) => format!("{code:#04x}"),
            value => python(&value),
        };
        let line = format!("{} = {value}\n", own.python);
        let is_long = line.len() > 100;
        text.push_str(&if is_long {
            line.replace("', '", "',\n    '").replace(" = (", " = (\n    ")
        } else {
            line
        });
    }
    Ok(text)
}

/// Finds the value of a constant in the crates.
fn value(own: &Constant, files: &[File]) -> Result<Value, String> {
    let file = files.iter().find(|file| file.path == own.file).ok_or(format!("there is no {}", own.file))?;
    let is_code = |text: &str| !text.trim_start().starts_with("//");
    let code: Vec<_> = file.content.lines().filter(|line| is_code(line)).collect();
    let code = code.join("\n");
    let ends_a_word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let values = code.match_indices(own.rust).filter(|(at, _)| ends_a_word(*at));
    // A field has its type elsewhere, which is no value.
    let mut values = values.filter_map(|(at, found)| read(&code[at + found.len()..]));
    values.next().ok_or(format!("{} has no `{}`", own.file, own.rust))
}

/// Reads a literal of either language, up to what ends it.
fn read(text: &str) -> Option<Value> {
    let text = text.trim_start();
    // `b"…"`, and what is around a number: `Some(`, `Duration::from_secs(`, `AtomicU32::new(`.
    let around = ["Some(", "Duration::from_secs(", "AtomicU32::new(", "&", "b"];
    if let Some(inner) = around.iter().find_map(|word| text.strip_prefix(word)) {
        return read(inner);
    }
    let first = text.chars().next()?;
    match first {
        '"' | '\'' => Some(Value::Text(text[1..].split(first).next()?.to_owned())),
        '[' | '(' => {
            let end = if first == '[' { ']' } else { ')' };
            let items = text[1..].split(end).next()?;
            let quote = items.chars().find(|c| matches!(c, '"' | '\''))?;
            Some(Value::Texts(items.split(quote).skip(1).step_by(2).map(str::to_owned).collect()))
        }
        '0'..='9' | '+' => number(text).map(Value::Number),
        _ => None,
    }
}

/// Reads a number, possibly shifted.
fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || " <_".contains(c))).unwrap_or(text.len());
    let mut terms = text[..end].split("<<").map(|term| {
        let digits = term.trim().replace('_', "");
        match digits.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => digits.parse().ok(),
        }
    });
    let first = terms.next()??;
    terms.try_fold(first, |value, shift| value.checked_shl(u32::try_from(shift?).ok()?))
}

/// Returns a value as Python writes it.
fn python(value: &Value) -> String {
    let quoted = |text: &String| format!("'{text}'");
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        Value::Texts(texts) => format!("({})", texts.iter().map(quoted).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_both_languages_are_read() {
        let texts = Value::Texts(vec!["a".to_owned(), "b=1".to_owned()]);
        let cases = [
            ("0x2a;", Some(Value::Number(0x2a))),
            ("128 << 10,", Some(Value::Number(1 << 17))),
            ("(1 << 31) - 1;", None),
            ("Some(Duration::from_secs(60)),", Some(Value::Number(60))),
            ("AtomicU32::new(2);", Some(Value::Number(2))),
            ("\"x y\";", Some(Value::Text("x y".to_owned()))),
            ("b'.c-'", Some(Value::Text(".c-".to_owned()))),
            ("[\n    \"a\",\n    \"b=1\",\n];", Some(texts.clone())),
            ("('a', 'b=1')", Some(texts)),
            ("usize,", None),
            ("agent['START']", None),
        ];
        for (text, value) in cases {
            assert_eq!(read(text), value, "{text}");
        }
    }

    #[test]
    fn constant_with_another_value_is_found() {
        let file = |path: &str, content: &str| File { path: path.to_owned(), content: content.to_owned() };
        let files = [
            file(MODULE, ""),
            file(CONFIG, "pub struct C {\n    frame_len: usize,\n}\n    frame_len: 128 << 10,\n"),
            file("agent/python/agent.py", "FRAME = 1 << 16  # bytes\nOTHER = 3\n"),
            file("agent/python/other.py", "FRAME = 1 << 17\n"),
        ];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        let found: Vec<_> = findings.iter().map(ToString::to_string).collect();
        let found: Vec<_> = found.iter().filter(|text| text.contains("/python/")).collect();
        let right = format!("agent/python/agent.py:1: error: constants: FRAME is 131072 in {CONFIG}");
        assert_eq!(found, [&right]);
        assert!(findings.iter().any(|found| found.path == MODULE), "a constant that is gone is found too");
    }
}
