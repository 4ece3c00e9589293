//! The functions of this program.

use std::{
    collections::{HashMap, hash_map},
    sync::OnceLock,
};

use chopsticks_protocol::{CallFailure, Run};

use crate::answer::{Answer, Sink, failure};

/// A function of this program that can be called on hosts.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the code that a macro writes creates it")]
pub struct Entry {
    /// The full name.
    pub name: &'static str,
    /// A number that stands for the types of the parameters and of the result.
    pub signature: u64,
    /// The head of the function as it is written, for errors.
    pub text: &'static str,
    /// What its program can be recognised by in a file: see [`Catalog`](crate::Catalog).
    pub mark: &'static str,
    /// Whether it runs in a process of its own.
    pub is_process: bool,
    /// What runs it.
    pub body: Body,
}

/// Code that decodes the arguments, calls a function, and encodes what it returns.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the code that a macro writes creates it")]
pub enum Body {
    /// It returns a value.
    Value(fn(&[u8]) -> Answer),
    /// It yields items, which it gives to the sink. What it returns then has no value.
    Items(fn(&[u8], &mut dyn Sink) -> Answer),
}

/// The test as which a program of tests becomes an agent.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the code that a macro writes creates it")]
pub struct TestAgent {
    /// Its full name.
    pub path: &'static str,
}

inventory::collect!(Entry);
inventory::collect!(TestAgent);

/// Returns the name of the test as which this program becomes an agent, as the program knows it,
/// if it is a program of tests.
pub(crate) fn test_agent() -> Option<&'static str> {
    let test = inventory::iter::<TestAgent>.into_iter().next()?;
    // The program leaves out the name of the crate.
    test.path.split_once("::").map(|(_, path)| path)
}

/// Returns the marks of all functions of this program.
pub(crate) fn marks() -> impl Iterator<Item = &'static str> {
    inventory::iter::<Entry>.into_iter().map(|entry| entry.mark)
}

/// Runs a function of this program.
pub(crate) fn run(message: &Run) -> Answer {
    let Run { signature, name, arguments } = message;
    match find(name, *signature)?.body {
        Body::Value(run) => run(arguments),
        // The signature of a function says which it is, so only a peer that is none asks for this.
        Body::Items(_) => Err(failure("function", "", format!("{name} yields items"))),
    }
}

/// Runs a function of this program that yields items.
#[cfg(feature = "agent")]
pub(crate) fn run_items(message: &Run, sink: &mut dyn Sink) -> Answer {
    let Run { signature, name, arguments } = message;
    match find(name, *signature)?.body {
        Body::Items(run) => run(arguments, sink),
        Body::Value(_) => Err(failure("function", "", format!("{name} yields no items"))),
    }
}

/// Returns whether a function runs in a process of its own.
#[cfg(feature = "agent")]
pub(crate) fn needs_process(message: &Run) -> bool {
    find(&message.name, message.signature).is_ok_and(|entry| entry.is_process)
}

fn find(name: &str, signature: u64) -> Result<&'static Entry, CallFailure> {
    let refused = |message: String| Err(failure("function", "", message));
    match functions().get(name) {
        None => refused(format!(
            "the program on the host has no function {name}; it was built from another source, or does not link the \
             crate of the function (`use that_crate as _;`)"
        )),
        Some(None) => refused(format!(
            "several functions are called {name}: give all but one of them another name by `#[function(name = \"…\")]`"
        )),
        Some(Some(entry)) if entry.signature != signature => refused(format!(
            "{name} is `{}` in the program on the host; it was built from another source",
            entry.text
        )),
        Some(Some(entry)) => Ok(entry),
    }
}

/// The functions by name; nothing for a name that several have.
fn functions() -> &'static HashMap<&'static str, Option<&'static Entry>> {
    static FUNCTIONS: OnceLock<HashMap<&str, Option<&Entry>>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let mut functions = HashMap::new();
        for entry in inventory::iter::<Entry> {
            match functions.entry(entry.name) {
                hash_map::Entry::Vacant(vacant) => drop(vacant.insert(Some(entry))),
                hash_map::Entry::Occupied(mut occupied) => drop(occupied.insert(None)),
            }
        }
        functions
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chopsticks_pencode::marshal;

    use super::*;
    use crate::{answer::Success, function};

    #[function]
    fn double(number: i64) -> i64 {
        number * 2
    }

    mod twice {
        use crate::function;

        #[function(name = "two of a name")]
        fn first() {}

        #[function(name = "two of a name")]
        fn second() {}

        pub(super) fn call() -> crate::Invocation<()> {
            let _ = second::with();
            first::with()
        }
    }

    #[test]
    fn function_is_found_by_its_name_and_signature() {
        let message = double::with(21).message().unwrap();
        assert_eq!(message.name, "chopsticks_function::registry::tests::double");
        let Ok(Success::Value(value)) = run(&message) else { panic!("it fails") };
        assert_eq!(marshal::from_slice::<i64>(&value).unwrap(), 42);

        let other = Run { signature: 1, ..message.clone() };
        let failure = run(&other).unwrap_err();
        assert_eq!(failure.kind, "function");
        assert!(failure.message.contains("is `fn double(number: i64) -> i64` in the program"), "{failure:?}");

        let failure = run(&Run { name: "nowhere::double".to_owned(), ..message.clone() }).unwrap_err();
        assert!(failure.message.contains("has no function nowhere::double"), "{failure:?}");

        let failure = run(&Run { arguments: Bytes::from_static(b"(\x01\0\0\0T"), ..message }).unwrap_err();
        assert_eq!(failure.kind, "argument");
    }

    #[test]
    fn two_functions_of_one_name_are_refused() {
        let failure = run(&twice::call().message().unwrap()).unwrap_err();
        assert!(failure.message.starts_with("several functions are called two of a name"), "{failure:?}");
    }
}
