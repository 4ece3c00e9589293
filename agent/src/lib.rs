//! The Python agent of chopsticks, packed as constants.
//!
//! The agent is the program at the far end of a tunnel. It needs nothing there but Python, 2.7 or 3.4 and
//! later, and it arrives in two steps:
//!
//! 1. [`FIRST_STAGE`] is given to the interpreter as `-c` argument. It reads as many bytes from stdin as
//!    [`PACKED`] has, and runs them.
//! 2. [`PACKED`] holds the parts that every connection needs. The others are sent when the agent asks for them
//!    ([`Part::named`]), or before a request that they serve ([`Part::with_requirements`]).
//!
//! What the agent says and hears is specified in `docs/wire.md`; how it is built is told in
//! `docs/how-it-works.md`. This crate has no code, only the sources.

mod part;

pub use part::Part;

/// The program text for the interpreter's `-c` option.
///
/// It is plain ASCII without quotes, backslashes, `!` or newlines, so that it passes through any login shell
/// in single quotes.
pub const FIRST_STAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/first_stage.py"));

/// The parts that every connection sends, compressed: the first bytes of the agent's stdin.
pub const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent.z"));

/// The texts of the parts, in the order of [`Part::ALL`].
static TEXTS: [Text; Part::ALL.len()] = include!(concat!(env!("OUT_DIR"), "/parts.rs"));

struct Text {
    /// Bytes of the file as it is written.
    original: usize,
    stripped: &'static str,
}

impl Part {
    /// Returns the text of the part, without comments, docstrings and most indentation.
    pub fn source(self) -> &'static str {
        self.text().stripped
    }

    /// Returns how many bytes the file has as it is written.
    pub fn original_len(self) -> usize {
        self.text().original
    }

    fn text(self) -> &'static Text {
        // The variants are numbered in the order of `ALL`, which a test verifies.
        &TEXTS[self as usize]
    }
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
        for part in Part::ALL {
            let original = std::fs::read_to_string(format!("python/{}.py", part.name())).unwrap();
            assert_eq!(part.original_len(), original.len(), "{part:?}");
            let code: Vec<&str> = part.source().lines().collect();
            for (number, line) in original.lines().enumerate() {
                if line.starts_with("def ") {
                    assert!(code[number].starts_with("def "), "{part:?}:{}", number + 1);
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
    fn every_file_is_one_part_of_its_own() {
        let files = std::fs::read_dir("python").unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<_> = files.filter_map(|name| name.into_string().ok()).collect();
        files.retain(|name| name.ends_with(".py") && !["first_stage.py", "loader.py"].contains(&&**name));
        files.sort();
        let mut parts: Vec<_> = Part::ALL.iter().map(|part| format!("{}.py", part.name())).collect();
        parts.sort();
        assert_eq!(files, parts);
        for (number, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, number, "{part:?}");
            assert_eq!(Part::named(part.name()), Some(part));
        }
        assert_eq!(Part::named("nothing"), None);
        assert!(Part::Values.source().contains("def pencode"));
    }

    #[test]
    fn requirements_come_first_and_once() {
        let files = [Part::Stream, Part::Targets, Part::Files, Part::Folders];
        assert_eq!(Part::Folders.with_requirements(), files);
        assert_eq!(Part::Relay.with_requirements(), [Part::Stream, Part::Relay]);
        assert_eq!(Part::Values.with_requirements(), [Part::Values]);
    }
}
