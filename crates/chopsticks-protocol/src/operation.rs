//! The operation codes of `docs/wire.md`, section 4, that belong to the layer above the transport.

// The one place in Rust that assigns these codes; `cargo xtask tidy` compares it with docs/wire.md.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: u8 = $code;)*

        /// Every code with its name, in order.
        pub const TABLE: &[(u8, &str)] = &[$(($code, stringify!($name)),)*];
    };
}

operations! {
    /// Calls a function: [`Call`](crate::Call).
    CALL = 0x20;
    /// Modules that the agent will need: [`Modules`](crate::Modules).
    MODULES = 0x21;
    /// Requests a module: [`Import`](crate::Import).
    IMPORT = 0x22;
    /// Requests a package's data: [`Resource`](crate::Resource).
    RESOURCE = 0x23;
    /// Writes a file: [`Put`](crate::Put).
    PUT = 0x24;
    /// Reads a file: [`Fetch`](crate::Fetch).
    FETCH = 0x25;
    /// The sources of parts of the agent that it needs from here on.
    EXTEND = 0x26;
    /// Runs a program, whose stdin and stdout are the request's streams: [`Spawn`](crate::Spawn).
    SPAWN = 0x27;
    /// The stream is the stderr of a program: [`EMPTY`](crate::EMPTY).
    STDERR = 0x28;
    /// Calls a function whose result is a stream of [`Item`](crate::Item)s: [`Call`](crate::Call).
    YIELD = 0x29;
    /// Calls a function whose first argument is a stream of [`Item`](crate::Item)s: [`Call`](crate::Call).
    FEED = 0x2a;
    /// Calls a function of which both are true: [`Call`](crate::Call).
    PIPE = 0x2b;
    /// Calls a function for each [`Item`](crate::Item) of a stream: [`Call`](crate::Call).
    MAP = 0x2c;
    /// Runs a function of the agent's own program: [`Run`](crate::Run).
    RUN = 0x2d;
    /// What code on the host has printed: [`Printed`](crate::Printed).
    PRINT = 0x2e;
    /// A record of Python's `logging`: [`Logged`](crate::Logged).
    LOG = 0x2f;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_ordered_and_those_of_the_upper_layer() {
        assert!(TABLE.is_sorted_by(|left, right| left.0 < right.0));
        assert!(TABLE.iter().all(|(code, _)| *code >= 0x20));
    }
}
