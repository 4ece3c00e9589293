//! Panics of functions.

use std::{
    cell::RefCell,
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

/// The place is known, but there is no backtrace: the debug information is not sent.
fn describe(panicked: &PanicHookInfo<'_>) -> CallFailure {
    let text = panicked.payload_as_str().unwrap_or("with a value that is not a text");
    let place = panicked.location().map(|place| format!(", at {place}")).unwrap_or_default();
    failure("panicked", TYPE, format!("{text}{place}"))
}

/// In place of the type of an error.
const TYPE: &str = "panic";
