//! Whatever a program says that ends before an agent answers: nothing panics, and advice is given in words.

#![no_main]

use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};

use chopsticks_driver::{Symptoms, hint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Option<u8>, &str, &str)| {
    let (code, stderr, noise) = input;
    let status = code.map(|code| ExitStatus::from_raw(i32::from(code) << 8));
    if let Some(hint) = hint::of_failed_start(&Symptoms::new(status, stderr, noise)) {
        assert!(!hint.cause().is_empty() && !hint.to_string().is_empty());
        // What says nothing but blanks tells no more than silence.
        let is_silent = stderr.trim().is_empty() && noise.trim().is_empty();
        let silent = hint::of_failed_start(&Symptoms::new(status, "", ""));
        assert!(!is_silent || silent.is_some_and(|silent| silent.cause() == hint.cause()));
    }
    let _ = hint::of_loss(stderr);
    let line = hint::telling_line(stderr);
    assert!(stderr.contains(line) && !line.contains('\n'));
    // A refusal is one wherever it stands alone.
    if hint::has_failed_for_load(stderr) {
        assert!(stderr.lines().any(hint::is_refusal_for_load), "{stderr:?}");
    }
});
