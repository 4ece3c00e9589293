//! The macros of `chopsticks-function`.
//!
//! Each macro exists twice: for programs that use `chopsticks`, and for libraries that use
//! `chopsticks-function` alone. The two differ only in the crate that they name in what they write.
//! Both crates export theirs under the same short name.
//!
//! # Layout
//!
//! * [`function`](macro@function) and [`facade_function`] let a function be called on hosts.
//! * [`closure!`] and [`facade_closure`] do the same for a closure.
//! * [`main`](macro@main) and [`facade_main`] let the program become an agent.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::Error;

mod closure;
mod entry;
mod expand;
mod kind;
mod options;
mod output;

/// Lets a function be called on hosts.
///
/// The function stays as it is. The macro adds a type of the same name with one function, `with`,
/// which takes the same arguments and returns an `Invocation` of it. The compiler checks the
/// arguments and the type of the result.
///
/// ```text
/// #[chopsticks::function]
/// fn count(dir: PathBuf, min: u64) -> io::Result<u64> { … }
///
/// let number: u64 = tunnel.invoke(count::with("/var/log".into(), 1000)).await?;
/// ```
///
/// * Parameters and results are encoded by serde: their types need `Serialize` and `Deserialize`. A
///   parameter may be a reference, such as `&str`, `&Path` or `&[T]`; it is sent as the owned type.
/// * If the type of the result is called `Result`, its `Err` becomes the error of the call.
///   `Error::returned` returns an error that implements `Serialize` and `Display` as a value. Of
///   all other errors only the text arrives.
/// * If the result is an `impl Iterator` or an `impl Stream`, `with` returns a `StreamInvocation`: the
///   items are sent while the function runs, and are a stream on the controller. It may be in a
///   `Result`, and so may be each item; the first `Err` ends the stream. A `Box<dyn Iterator>`, a
///   `Pin<Box<dyn Stream>>` and a `BoxStream` do the same.
/// * An `async fn` runs on a small built-in executor. Futures that need a runtime, such as those of
///   tokio, do not run on it.
/// * Generic functions, methods, and functions that are `const`, `unsafe` or `extern` are refused.
///
/// # Options
///
/// * `name = "…"`: the name of the function on the wire, in place of its module's path and its own
///   name. It is needed if two functions of a program have the same name in the same module, such as
///   functions within functions.
/// * `process`: the function runs in a process of its own, which costs one to two milliseconds. It
///   is killed when the call is cancelled, at any place in the code. If it aborts, exits or crashes,
///   only its call fails. It shares no state with other calls.
/// * `crate = path`: the path of `chopsticks-function`, if it has another name in this crate.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::function(options.into(), item.into(), quote!(::chopsticks_function)).into()
}

/// As [`function`](macro@function), for crates that use `chopsticks`, which exports it under that
/// name.
#[proc_macro_attribute]
pub fn facade_function(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::function(options.into(), item.into(), quote!(::chopsticks::functions)).into()
}

/// Turns a closure that captures nothing into a function that returns an `Invocation` of it.
///
/// The types of the parameters and of the result have to be written out.
///
/// ```text
/// let larger = chopsticks::closure!(|dir: PathBuf, min: u64| -> io::Result<usize> { … });
/// let number = tunnel.invoke(larger("/var/log".into(), 1000)).await?;
/// ```
#[proc_macro]
pub fn closure(input: TokenStream) -> TokenStream {
    or_error(closure::expand(input.into(), &quote!(::chopsticks_function)))
}

/// As [`closure!`], for crates that use `chopsticks`, which exports it under that name.
#[proc_macro]
pub fn facade_closure(input: TokenStream) -> TokenStream {
    or_error(closure::expand(input.into(), &quote!(::chopsticks::functions)))
}

/// Lets the program become an agent: calls `init` at the beginning of `main`.
///
/// Write it above other attributes of `main`, so that nothing else of the program runs on hosts
/// before it, not even the start of a runtime:
///
/// ```text
/// #[chopsticks::main]
/// #[tokio::main]
/// async fn main() { … }
/// ```
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    or_error(entry::expand(options.into(), item.into(), &quote!(::chopsticks_function)))
}

/// As [`main`](macro@main), for crates that use `chopsticks`, which exports it under that name.
#[proc_macro_attribute]
pub fn facade_main(options: TokenStream, item: TokenStream) -> TokenStream {
    or_error(entry::expand(options.into(), item.into(), &quote!(::chopsticks::functions)))
}

fn or_error(result: Result<Tokens, Error>) -> TokenStream {
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}
