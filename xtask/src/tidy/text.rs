//! Rules about the text of a single file.

use super::{File, Finding};

/// A file of more lines is hard to hold in mind: split it where two concerns meet.
const MOST_LINES: usize = 1000;
/// From here on it is time to look for the seam.
const MANY_LINES: usize = 800;

/// Where prose is wrapped, as in `.rumdl.toml`.
const MOST_COLUMNS: usize = 100;

/// The macro that prints a value while one debugs; in two parts, or this file would be found.
const DEBUG_MACRO: &str = concat!("dbg", "!(");
/// Folders that exist on somebody's machine only.
const MACHINE_PATHS: &[&str] = &[concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Extensions of files that people write; the others are data or generated.
const WRITTEN: &[&str] = &["", "css", "md", "py", "rs", "sh", "toml", "yaml", "yml"];

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    for (line, text) in file.lines() {
        for path in MACHINE_PATHS.iter().filter(|path| holds_path(text, path)) {
            findings.push(file.error(line, "machine path", format!("{path} exists on one machine only")));
        }
    }
    let extension = file.extension();
    if !WRITTEN.contains(&extension) {
        return;
    }
    check_length(file, findings);
    if extension == "md" {
        check_columns(file, findings);
    }
    let is_code = matches!(extension, "rs" | "py");
    for (line, text) in file.lines() {
        if text.ends_with([' ', '\t', '\r']) {
            findings.push(file.error(line, "trailing space", "the line ends in white space"));
        }
        if is_code && text.contains('\t') {
            findings.push(file.error(line, "tab", "indent with spaces; write a tab in a string as \\t"));
        }
        if extension == "rs" && text.contains(DEBUG_MACRO) {
            findings.push(file.error(line, "debug macro", "left over from debugging"));
        }
    }
    if !file.content.is_empty() && !file.content.ends_with('\n') {
        findings.push(file.error(file.lines().count(), "last line", "the file does not end in a newline"));
    }
    if extension == "rs" && !file.content.starts_with("//!") {
        findings.push(file.error(1, "opening", "say in a first `//!` line what the file is for"));
    }
}

fn check_length(file: &File, findings: &mut Vec<Finding>) {
    let lines = file.lines().count();
    if lines > MOST_LINES {
        findings.push(file.error(lines, "length", format!("{lines} lines, {MOST_LINES} are allowed")));
    } else if lines > MANY_LINES {
        findings.push(file.warning(lines, "length", format!("{lines} lines, {MOST_LINES} are allowed")));
    }
}

/// Warns of the first line of prose that is too long: `rumdl fmt` wraps them all.
fn check_columns(file: &File, findings: &mut Vec<Finding>) {
    let mut is_code = false;
    for (line, text) in file.lines() {
        let is_fence = text.trim_start().starts_with("```");
        is_code ^= is_fence;
        let is_prose = !is_code && !is_fence && !text.starts_with(['|', '#', '[']);
        // A link or a path of its own cannot be wrapped.
        let can_break = text.trim().contains(' ');
        if is_prose && can_break && text.chars().count() > MOST_COLUMNS {
            findings.push(file.warning(line, "columns", format!("wrap at {MOST_COLUMNS}: rumdl fmt")));
            return;
        }
    }
}

/// Whether `text` has `path` as the beginning of a path rather than as a part of one.
fn holds_path(text: &str, path: &str) -> bool {
    let is_inside = |character: char| character.is_alphanumeric() || "_-.~*})".contains(character);
    text.match_indices(path).any(|(at, _)| !text[..at].ends_with(is_inside))
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn rules(path: &str, content: &str) -> Vec<(usize, &'static str)> {
        let mut findings = Vec::new();
        check(&File { path: path.to_owned(), content: content.to_owned() }, &mut findings);
        findings.iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn clean_file_has_no_findings() {
        assert_eq!(rules("a.rs", "//! What it is for.\n\nfn main() {}\n"), []);
        assert_eq!(rules("a.py", ""), []);
    }

    #[test]
    fn rust_file_that_does_not_say_what_it_is_for_is_found() {
        assert_eq!(rules("a.rs", "use std::io;\n"), [(1, "opening")]);
        assert_eq!(rules("a.rs", ""), [(1, "opening")]);
    }

    #[test]
    fn white_space_is_found() {
        assert_eq!(rules("a.md", "one \ntwo\n"), [(1, "trailing space")]);
        assert_eq!(rules("a.md", "one\r\n"), [(1, "trailing space")]);
        assert_eq!(rules("a.py", "if x:\n\ty()\n"), [(2, "tab")]);
        assert_eq!(rules("a.toml", "a = 1"), [(1, "last line")]);
    }

    #[test]
    fn white_space_of_data_is_left_alone() {
        assert_eq!(rules("vectors.json", "{\t} \n"), []);
    }

    #[test]
    fn prose_that_is_too_long_is_found_once() {
        let long = "word ".repeat(21);
        let long = long.trim_end();
        assert_eq!(rules("a.md", &format!("short\n{long}\n{long}\n")), [(2, "columns")]);
        assert_eq!(rules("a.md", &format!("```text\n{long}\n```\n| {long} |\n# {long}\n")), []);
        assert_eq!(rules("a.md", &format!("{}\n", "x".repeat(101))), []);
        assert_eq!(rules("a.rs", &format!("//! {long}\n")), []);
    }

    #[test]
    fn leftovers_of_debugging_are_found() {
        let content = format!("//! About.\nfn f() {{ {DEBUG_MACRO}1); }}\n");
        assert_eq!(rules("a.rs", &content), [(2, "debug macro")]);
        assert_eq!(rules("a.md", &content), []);
    }

    #[test]
    fn machine_paths_are_found_at_their_beginning_only() {
        for folder in MACHINE_PATHS {
            assert_eq!(rules("a.json", &format!("\"{folder}file\"\n")), [(1, "machine path")]);
            assert_eq!(rules("a.md", &format!("see {folder}\n")), [(1, "machine path")]);
            assert_eq!(rules("a.md", &format!("see net{folder}file\n")), []);
            assert_eq!(rules("a.md", &format!("see ~{folder}file\n")), []);
        }
    }

    #[test]
    fn long_files_are_warned_of_and_then_refused() {
        let mut findings = Vec::new();
        for lines in [MANY_LINES, MANY_LINES + 1, MOST_LINES + 1] {
            check(&File { path: "a.py".to_owned(), content: "x\n".repeat(lines) }, &mut findings);
        }
        let severities: Vec<_> = findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Warning, Severity::Error]);
    }
}
