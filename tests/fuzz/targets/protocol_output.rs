//! What an agent says that its code has printed or logged: any bytes are refused, or read as what is written again in the same way.

#![no_main]

use chopsticks_protocol::{Logged, Printed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(printed) = Printed::decode(bytes)
        && let Ok(encoded) = printed.encode()
        && i64::try_from(printed.lost).is_ok()
    {
        assert_eq!(Printed::decode(&encoded), Ok(printed));
    }
    if let Ok(logged) = Logged::decode(bytes)
        && let Ok(encoded) = logged.encode()
        && i64::try_from(logged.lost).is_ok()
    {
        assert_eq!(Logged::decode(&encoded), Ok(logged));
    }
});
