//! Functions that cannot run on hosts.

use chopsticks_function::function;

#[function]
fn generic<T>(_: T) {}

#[function]
fn lifetime<'a>(_: &'a str) {}

#[function]
const fn constant() {}

#[function]
unsafe fn careless() {}

#[function]
extern "C" fn foreign() {}

#[function]
fn changing(_: &mut String) {}

#[function]
fn opaque(_: impl ToString) {}

#[function]
fn borrowed() -> &'static str {
    ""
}

#[function]
fn shown() -> impl ToString {
    ""
}

#[function]
fn untyped() -> impl Iterator {
    0..3
}

#[function]
fn borrowed_items() -> impl Iterator<Item = &'static str> {
    ["a"].into_iter()
}

#[function(process)]
fn apart() -> impl Iterator<Item = u8> {
    0..3
}

#[function]
struct Data;

#[function(names = "x")]
fn option() {}

struct Owner;

impl Owner {
    #[function]
    fn method(&self) {}
}

fn main() {}
