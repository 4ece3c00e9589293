//! Names of the functions in a traceback of this program.
//!
//! An agent in Rust sends addresses, because its copy of the program has no symbols.

use std::fmt::Write as _;

use addr2line::Loader;

/// A function, and the place in its source.
type Frame = (String, Option<String>);

/// Returns the traceback with names and places, without the frames of the panic itself and of the
/// agent. `addresses` has a line for each frame, and counts from the beginning of the program.
///
/// Returns `None` if this program has no symbols. Reads the file of this program.
pub(crate) fn resolve(addresses: &str) -> Option<String> {
    let loader = Loader::new("/proc/self/exe").ok()?;
    let start = loader.relative_address_base();
    let frames: Vec<_> = addresses
        .lines()
        .take(MAX_FRAMES)
        .filter_map(|line| u64::from_str_radix(line.strip_prefix("0x")?, 16).ok())
        // An address is the one behind a call, which may already be that of another function.
        .filter_map(|offset| start.checked_add(offset)?.checked_sub(1))
        .flat_map(|address| frames_at(&loader, address))
        .collect();
    let frames = relevant(&frames);
    if frames.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (number, (name, place)) in frames.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{number:4}: {name}");
        if let Some(place) = place {
            let _ = writeln!(text, "             at {place}");
        }
    }
    Some(text)
}

/// Returns the functions at an address: several if they were inlined.
fn frames_at(loader: &Loader, address: u64) -> Vec<Frame> {
    let mut found = Vec::new();
    if let Ok(mut frames) = loader.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let Some(function) = frame.function else { continue };
            let place = frame.location.and_then(|place| {
                let file = place.file?;
                Some(place.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")))
            });
            found.push((function.demangle().map_or_else(|_| String::new(), |name| plain(&name)), place));
        }
    }
    if found.is_empty()
        && let Some(symbol) = loader.find_symbol(address)
    {
        let name = addr2line::demangle_auto(symbol.into(), None);
        found.push((plain(&name), None));
    }
    found
}

/// Removes the hash at the end of a name.
fn plain(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            path.to_owned()
        }
        _ => name.to_owned(),
    }
}

/// Returns the frames between the panic and the agent.
fn relevant(frames: &[Frame]) -> &[Frame] {
    // Not all of `std::panicking`: it also catches panics, further out.
    let of_panic = ["core::panicking::", "rust_begin_unwind", "panicking::begin_panic"];
    let is_panic = |(name, _): &Frame| of_panic.iter().any(|part| name.contains(part));
    let is_agent = |(name, _): &Frame| name.starts_with("chopsticks_function::");
    let start = frames.iter().rposition(is_panic).map_or(0, |last| last + 1);
    let end = frames[start..].iter().position(is_agent).map_or(frames.len(), |agent| start + agent);
    &frames[start..end]
}

/// More than a stack shows that is worth reading.
const MAX_FRAMES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_panic_and_of_the_agent_are_left_out() {
        let frame = |name: &str| (name.to_owned(), None);
        let names =
            ["std::panicking::x", "core::panicking::panic", "a::b", "a::run", "chopsticks_function::c", "d"];
        let frames = names.map(frame);
        assert_eq!(relevant(&frames), [frame("a::b"), frame("a::run")]);
        assert_eq!(plain("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(plain("a::hash"), "a::hash");
    }

    #[test]
    fn text_without_addresses_has_no_names() {
        for text in ["", "x\n", "0x\n0xffffffffffffffff\n", "0x0\n"] {
            assert_eq!(resolve(text), None, "{text:?}");
        }
    }
}
