//! Waiting for descriptors when the limit of this process is reached.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

/// Opens something, and tries again for a while if this fails because there are too few
/// descriptors. Blocks the thread.
pub(crate) fn patiently<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(error) if is_want(&error) && begun.elapsed() < PATIENCE => thread::sleep(MOMENT),
            result => return result,
        }
    }
}

/// Returns whether an operation failed because too many files are open.
fn is_want(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

const MOMENT: Duration = Duration::from_millis(20);
/// How long an agent may take to end by default.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_descriptors_is_waited_out() {
        let mut tries = 0;
        let opened = patiently(|| {
            tries += 1;
            if tries < 3 { Err(Errno::MFILE.into()) } else { Ok(tries) }
        });
        assert_eq!(opened.unwrap(), 3);
        let missing = patiently::<()>(|| Err(Errno::NOENT.into()));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
