//! Ctrl-C and its like, for tasks that have something to take down before they end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::Failure;

static CAME: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on SIGINT, SIGTERM and SIGHUP end nothing by themselves: ask [`check`].
pub(crate) fn catch() -> Result<(), Failure> {
    let came = CAME.get_or_init(Arc::default);
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(came))
            .map_err(|error| Failure::during("signal handler", error))?;
    }
    Ok(())
}

/// Returns whether one came since [`catch`].
pub(crate) fn came() -> bool {
    CAME.get().is_some_and(|came| came.load(Ordering::Relaxed))
}

/// Fails if one came since [`catch`].
pub(crate) fn check() -> Result<(), Failure> {
    if came() { Err(Failure::new("interrupted")) } else { Ok(()) }
}
