//! What arrives of errors, and of futures.

use std::{future, io};

use anyhow::Context as _;
use chopsticks_pencode::marshal;
use serde::{Deserialize, Serialize};

use super::*;
use crate::function;

#[derive(Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
#[error("number {number} is too large")]
struct TooLarge {
    number: u32,
}

#[derive(Debug)]
struct Plain;

#[function]
fn typed(number: u32) -> Result<(), TooLarge> {
    Err(TooLarge { number })
}

#[function]
fn of_io(number: u32) -> io::Result<u8> {
    Err(io::Error::other(format!("number {number}")))
}

#[function]
fn chain(text: &str) -> anyhow::Result<u8> {
    text.parse::<u8>().with_context(|| format!("cannot read {text:?}"))
}

#[function]
fn plain() -> Result<u8, Plain> {
    Err(Plain)
}

type Outcome = Result<u8, TooLarge>;

mod hidden {
    use super::TooLarge;

    pub(super) type Result = std::result::Result<u8, TooLarge>;
}

#[function]
fn alias(number: u32) -> hidden::Result {
    u8::try_from(number).map_err(|_| TooLarge { number })
}

#[function]
fn value(number: u8) -> Option<Outcome> {
    Some(Ok(number))
}

#[function]
fn copy(bytes: Vec<u8>, slice: &[u8]) -> Vec<u8> {
    [&bytes, slice].concat()
}

#[function]
async fn soon(number: u64) -> u64 {
    future::ready(number).await + 1
}

#[function]
fn nested() -> Option<Option<u8>> {
    Some(None)
}

fn run<T>(invocation: &crate::Invocation<T>) -> Answer {
    crate::registry::run(&invocation.message().unwrap())
}

fn read<T>(invocation: &crate::Invocation<T>) -> T {
    let result = match &run(invocation).unwrap() {
        Success::Bytes(bytes) => invocation.read(crate::Encoded::Bytes(bytes)),
        Success::Value(value) => invocation.read(crate::Encoded::Value(value)),
    };
    result.unwrap()
}

#[test]
fn of_an_error_as_much_arrives_as_its_type_allows() {
    let failure = run(&typed::with(300)).unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("raised", "number 300 is too large"));
    assert!(failure.r#type.ends_with("::TooLarge"), "{failure:?}");
    assert_eq!(marshal::from_slice::<TooLarge>(&failure.value.unwrap()).unwrap(), TooLarge { number: 300 });

    let failure = run(&of_io::with(7)).unwrap_err();
    assert_eq!((failure.message.as_str(), failure.value), ("number 7", None));

    let failure = run(&chain::with("x")).unwrap_err();
    assert_eq!(failure.message, "cannot read \"x\": invalid digit found in string");
    assert!(failure.traceback.contains("Caused by:"), "{failure:?}");

    let failure = run(&plain::with()).unwrap_err();
    assert_eq!(failure.message, "Plain");
}

#[test]
fn results_are_told_by_the_name_of_their_type() {
    assert_eq!(read(&alias::with(7)), 7);
    assert_eq!(run(&alias::with(300)).unwrap_err().message, "number 300 is too large");
    // An `Option` is a value, whatever is in it.
    assert_eq!(read(&value::with(7)), Some(Ok(7)));
}

#[test]
fn bytes_are_sent_as_they_are() {
    let large = vec![7; 1 << 16];
    let invocation = copy::with(large.clone(), b"12");
    assert!(invocation.message().unwrap().arguments.len() < large.len() + 50);
    assert_eq!(read(&invocation).len(), large.len() + 2);
    assert!(invocation.read(crate::Encoded::Value(b"N")).is_err());
}

#[test]
fn future_runs_to_its_end() {
    assert_eq!(read(&soon::with(41)), 42);
}

#[test]
fn value_that_would_arrive_as_another_is_refused() {
    let failure = run(&nested::with()).unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.message.contains("would arrive as `None`")), ("result", true));
}

#[test]
fn functions_with_the_attribute_are_functions_still() {
    assert_eq!(["1", "2"].map(|text| chain(text).unwrap()), [1, 2]);
    assert_eq!(copy(vec![1], &[2]), [1, 2]);
    assert!(typed(3).is_err() && of_io(3).is_err() && plain().is_err() && alias(3).is_ok());
    assert_eq!((value(1), nested()), (Some(Ok(1)), Some(None)));
    assert_eq!(block_on(soon(1)), Some(2));
}
