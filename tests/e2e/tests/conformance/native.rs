//! The functions in Rust that stand for those in Python, in agents that are copies of this program.

use std::{fmt, process::Command};

use chopsticks::{Invocation, StreamInvocation, function, functions::Start, pencode::marshal, protocol::Run};
use futures::{Stream, stream};

use crate::{Argument, NamedCall};

#[function]
fn add(left: i32, right: i32) -> i32 {
    left + right
}

#[function]
fn neg(number: i32) -> i32 {
    -number
}

#[function]
fn concat(left: &str, right: &str) -> String {
    format!("{left}{right}")
}

#[derive(Debug)]
struct IndexError;

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text index out of range")
    }
}

#[function]
fn getitem(text: &str, index: usize) -> Result<char, IndexError> {
    text.chars().nth(index).ok_or(IndexError)
}

#[function]
fn prmonth(year: i32, month: i32) {
    println!("{year}-{month:02}");
}

#[function]
fn repeat(text: String, times: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n(text, times)
}

#[function]
#[expect(clippy::option_option, reason = "it cannot be sent")]
fn nested() -> Option<Option<u8>> {
    Some(None)
}

#[function]
fn panics() {
    panic!("on purpose");
}

#[function]
fn fail_after(number: i32) -> impl Iterator<Item = Result<i32, String>> {
    (0..number).map(Ok).chain([Err("no more".to_owned())])
}

#[function]
fn never() -> impl Stream<Item = u8> {
    stream::pending()
}

/// Returns a command that starts the agent.
pub(crate) fn command() -> Command {
    let start = Start::of_this_program().expect("it is a program of tests");
    let mut command = Command::new(std::env::current_exe().expect("it has a file"));
    let (last, first) = start.arguments().split_last().expect("there is a word");
    // The token distinguishes agents.
    command.args(first).arg(format!("{last}c0f0"));
    command
}

/// Returns the payload of `RUN` for a call of the cases.
pub(crate) fn message(call: &NamedCall) -> Vec<u8> {
    let message = match (call.function.as_str(), &call.args[..]) {
        ("operator:add", [Argument::Integer(left), Argument::Integer(right)]) => {
            of(&add::with(*left, *right))
        }
        ("operator:neg", [Argument::Integer(number)]) => of(&neg::with(*number)),
        ("operator:concat", [Argument::Text(left), Argument::Text(right)]) => of(&concat::with(left, right)),
        ("operator:getitem", [Argument::Text(text), Argument::Integer(index)]) => {
            of(&getitem::with(text, usize::try_from(*index).expect("it is positive")))
        }
        ("calendar:prmonth", [Argument::Integer(year), Argument::Integer(month)]) => {
            of(&prmonth::with(*year, *month))
        }
        ("itertools:repeat", [Argument::Text(text), Argument::Integer(times)]) => {
            items_of(&repeat::with(text.clone(), usize::try_from(*times).expect("it is positive")))
        }
        ("nested", []) => of(&nested::with()),
        ("panic", []) => of(&panics::with()),
        ("fail after", [Argument::Integer(number)]) => items_of(&fail_after::with(*number)),
        ("never", []) => items_of(&never::with()),
        ("broken arguments", []) => Run { arguments: b"(\x01\0\0\0".to_vec().into(), ..of(&neg::with(1)) },
        ("another head", []) => Run { signature: 1, ..of(&neg::with(1)) },
        // The program does not have it.
        (name, []) => {
            let arguments = marshal::to_vec(&()).expect("it is a tuple").into();
            Run { signature: 0, name: name.to_owned(), arguments }
        }
        (name, arguments) => panic!("no function in Rust stands for {name} of {arguments:?}"),
    };
    message.encode().expect("the name is short").concat()
}

fn of<T>(invocation: &Invocation<T>) -> Run {
    invocation.message().expect("the arguments can be sent")
}

fn items_of<T>(invocation: &StreamInvocation<T>) -> Run {
    invocation.message().expect("the arguments can be sent")
}
