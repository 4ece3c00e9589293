//! The Python agent of chopsticks, packed as constants.
//!
//! The agent is the program at the far end of a tunnel. It needs nothing there but Python, 2.7 or 3.4 and
//! later, and it arrives in two steps:
//!
//! 1. [`FIRST_STAGE`] is given to the interpreter as `-c` argument. It reads as many bytes from stdin as
//!    [`PACKED`] has, and runs them.
//! 2. [`PACKED`] holds the parts that every connection needs. The others ([`part`]) are sent when the agent asks
//!    for them.
//!
//! What the agent says and hears is specified in `docs/wire.md`; how it is built is told in
//! `docs/how-it-works.md`. This crate has no code, only the sources.

/// The program text for the interpreter's `-c` option.
///
/// It is plain ASCII without quotes, backslashes, `!` or newlines, so that it passes through any login shell
/// in single quotes.
pub const FIRST_STAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/first_stage.py"));

/// The parts that every connection sends, compressed: the first bytes of the agent's stdin.
pub const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent.z"));

/// Every part of the agent.
pub const PARTS: &[Part] = include!(concat!(env!("OUT_DIR"), "/parts.rs"));

/// One Python file of the agent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Part {
    /// The file's name without `.py`.
    pub name: &'static str,
    /// Whether [`PACKED`] holds it.
    pub sent: bool,
    /// Bytes of the file as it is written.
    pub original: usize,
    /// Bytes without comments, docstrings and most indentation.
    pub stripped: usize,
    /// The stripped text.
    pub source: &'static str,
}

/// The modules of the Python package `chopsticks`, which every host can import: each package in front of what is in it.
///
/// User code imports them by name, whatever else its tunnel serves. They are stripped as the agent is, and sent when they are
/// needed.
pub const LIBRARY: &[LibraryModule] = include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// One module of the Python package `chopsticks`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LibraryModule {
    /// The full name, such as `chopsticks.facts`.
    pub name: &'static str,
    /// The file name that tracebacks show. There is no such file anywhere.
    pub file: &'static str,
    /// Whether it is needed so rarely that it is not sent before an agent asks for it.
    pub on_demand: bool,
    /// The stripped text.
    pub source: &'static str,
}

/// Returns the text of a part that the agent asks for by `name`.
pub fn part(name: &str) -> Option<&'static str> {
    PARTS.iter().find(|part| part.name == name).map(|part| part.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_stage_survives_single_quotes_in_any_shell() {
        assert!(FIRST_STAGE.is_ascii());
        assert!(!FIRST_STAGE.contains(['\'', '"', '\\', '!', '\n', '`', '$']));
        assert!(FIRST_STAGE.contains(&PACKED.len().to_string()));
    }

    #[test]
    fn stripping_keeps_line_numbers() {
        for part in PARTS {
            let original = std::fs::read_to_string(format!("python/{}.py", part.name)).unwrap();
            let code: Vec<&str> = part.source.lines().collect();
            for (number, line) in original.lines().enumerate() {
                if line.starts_with("def ") {
                    assert!(code[number].starts_with("def "), "{}:{}", part.name, number + 1);
                }
            }
        }
    }

    #[test]
    fn library_is_one_package_and_begins_with_it() {
        let names: Vec<_> = LIBRARY.iter().map(|module| module.name).collect();
        assert_eq!(names[0], "chopsticks");
        assert!(names.contains(&"chopsticks.facts") && names.contains(&"chopsticks.helpers"), "{names:?}");
        assert!(LIBRARY.iter().any(|module| module.source.contains("SIZE-len(b)")), "the first stage");
        // That module is made when the crate is built.
        for module in LIBRARY.iter().filter(|module| module.name != "chopsticks._first_stage") {
            let file = module.file.strip_prefix("<chopsticks>/").unwrap();
            let original = std::fs::read_to_string(format!("lib/chopsticks/{file}")).unwrap();
            for (line, original) in module.source.lines().zip(original.lines()) {
                assert!(
                    line.trim().is_empty() || original.trim().starts_with(line.trim()),
                    "{file}: {original}"
                );
            }
        }
    }

    #[test]
    fn library_has_the_version_of_the_crate() {
        let version = env!("CARGO_PKG_VERSION");
        let numbers = version.replace('.', ", ");
        let source = LIBRARY[0].source;
        assert!(source.contains(&format!("__version__ = '{version}'")), "{version}");
        assert!(source.contains(&format!("__versioninfo__ = ({numbers})")), "{version}");
    }

    #[test]
    fn parts_are_found_by_name() {
        assert!(part("values").is_some_and(|source| source.contains("def pencode")));
        assert_eq!(part("nothing"), None);
    }
}
