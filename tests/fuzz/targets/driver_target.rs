//! Any text as a target: nothing panics, what is refused is named, and what is taken means the same when it is written again.

#![no_main]

use chopsticks_driver::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Address>() {
        Ok(address) => {
            assert!(!address.host().as_str().is_empty());
            let written = address.to_string();
            let again: Address = written.parse().expect("what was written can be read");
            assert_eq!(again.to_string(), written);
            assert_eq!(format!("{again:?}"), format!("{address:?}"));
            assert_eq!(again.hops().len(), address.hops().len());
        }
        Err(error) => assert!(error.to_string().starts_with("invalid target '")),
    }
});
