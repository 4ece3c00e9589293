//! Panics of functions.

use std::{
    backtrace::Backtrace,
    cell::RefCell,
    fs,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
};

use chopsticks_protocol::CallFailure;

use crate::{
    answer::{Answer, failure},
    call,
};

thread_local! {
    static LAST: RefCell<Option<CallFailure>> = const { RefCell::new(None) };
}

/// Keeps the panics of calls for their answers. All others are shown as usual.
///
/// A program that aborts on panics cannot answer afterwards, so `answer` answers the call that runs
/// on this thread at once.
pub(crate) fn hook(answer: impl Fn(CallFailure) + Send + Sync + 'static) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if !call::is_running() {
            return usual(panicked);
        }
        let failure = describe(panicked);
        if cfg!(panic = "abort") {
            answer(failure);
        } else {
            LAST.set(Some(failure));
        }
    }));
}

/// Runs a call, and turns a panic into its failure.
pub(crate) fn catch(work: impl FnOnce() -> Answer) -> Answer {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(LAST.take().unwrap_or_else(|| failure("panicked", TYPE, "the function panicked".to_owned())))
    })
}

/// Names of functions are not known here, because the debug information is not sent: the controller
/// finds them by the addresses.
fn describe(panicked: &PanicHookInfo<'_>) -> CallFailure {
    let text = panicked.payload_as_str().unwrap_or("with a value that is not a text");
    let place = panicked.location().map(|place| format!(", at {place}")).unwrap_or_default();
    let traceback = stack(&format!("{:#}", Backtrace::force_capture()), start_of_program());
    CallFailure { traceback, ..failure("panicked", TYPE, format!("{text}{place}")) }
}

/// Returns the frames of a backtrace as the standard library shows it, with addresses that count
/// from the beginning of the program.
fn stack(text: &str, start: u64) -> String {
    let mut frames = String::new();
    for line in text.lines() {
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("0x"));
        let Some(address) = address.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else { continue };
        if let Some(offset) = address.checked_sub(start) {
            frames.push_str(&format!("{offset:#x}\n"));
        }
    }
    frames
}

/// Returns the address at which the program begins in memory, or 0 if that is not known.
fn start_of_program() -> u64 {
    let Ok(program) = fs::read_link("/proc/self/exe") else { return 0 };
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let of_program = |line: &&str| line.ends_with(&*program.to_string_lossy());
    let start = maps.lines().find(of_program).and_then(|line| line.split('-').next());
    start.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// In place of the type of an error.
const TYPE: &str = "panic";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_from_the_start_of_the_program() {
        let text = "   0:     0x55d0c0001234 - <unknown>\n   1:     0x55d0c0000010 - a::b\n       at a.rs:1\n   2: 0x10 - c";
        assert_eq!(stack(text, 0x55d0_c000_0000), "0x1234\n0x10\n");
        let start = start_of_program();
        let here = frames_are_counted_from_the_start_of_the_program as fn() as usize as u64;
        assert!(start > 0 && here > start);
        assert!(!stack(&format!("{:#}", Backtrace::force_capture()), start).is_empty());
    }
}
