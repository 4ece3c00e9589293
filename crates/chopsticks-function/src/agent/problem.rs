//! What is wrong with a file, as it is sent, and what an agent in Rust does not do.

use std::io::{self, ErrorKind};

use chopsticks_protocol::Failure;
use rustix::io::Errno;

/// Returns an error in the form in which it is sent.
pub(crate) fn failure(error: &io::Error, path: &[u8]) -> Failure {
    let number = error.raw_os_error().or_else(|| {
        let errno = match error.kind() {
            ErrorKind::AlreadyExists => Errno::EXIST,
            ErrorKind::InvalidInput => Errno::INVAL,
            ErrorKind::IsADirectory => Errno::ISDIR,
            ErrorKind::NotADirectory => Errno::NOTDIR,
            ErrorKind::NotFound => Errno::NOENT,
            ErrorKind::PermissionDenied => Errno::ACCESS,
            _ => return None,
        };
        Some(errno.raw_os_error())
    });
    // Without a text of its own, that of the system says more than that of the kind.
    let message = match number {
        Some(number) if error.get_ref().is_none() => io::Error::from_raw_os_error(number).to_string(),
        _ => error.to_string(),
    };
    let message = match message.rsplit_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => message,
    };
    Failure { errno: number.unwrap_or_default(), message, path: path.to_vec() }
}

pub(crate) const NO_PYTHON: &str =
    "this agent is a program in Rust: it runs functions of its own, and has no Python";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_numbers_and_texts_of_the_system() {
        let failed = |error: io::Error| {
            let Failure { errno, message, .. } = failure(&error, b"x");
            (errno, message)
        };
        let missing = (2, "No such file or directory".to_owned());
        assert_eq!(failed(io::Error::from_raw_os_error(2)), missing);
        assert_eq!(failed(ErrorKind::NotFound.into()), missing);
        assert_eq!(failed(io::Error::new(ErrorKind::NotFound, "no user x")), (2, "no user x".to_owned()));
        assert_eq!(failed(io::Error::other("it changed")), (0, "it changed".to_owned()));
    }
}
