//! Links between the documents of the workspace.

use super::{File, Finding};

/// The table of contents of the book.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Checks that what a document links to exists.
pub(super) fn check(file: &File, exists: &dyn Fn(&str) -> bool, findings: &mut Vec<Finding>) {
    if file.extension() != "md" {
        return;
    }
    for (line, target) in targets(file) {
        match resolve(&file.path, target) {
            None => {
                findings.push(file.error(line, "link", format!("{target} leads out of the workspace")));
            }
            Some(path) if !exists(&path) => {
                findings.push(file.error(line, "link", format!("{target} does not exist")));
            }
            Some(_) => {}
        }
    }
}

/// Checks that the table of contents names every document of the book.
pub(super) fn check_summary(files: &[File], findings: &mut Vec<Finding>) {
    let Some(summary) = files.iter().find(|file| file.path == SUMMARY) else { return };
    let listed: Vec<_> = targets(summary).filter_map(|(_, target)| resolve(SUMMARY, target)).collect();
    for file in files {
        let is_document = file.path.starts_with("docs/") && file.extension() == "md";
        if is_document && file.path != SUMMARY && !listed.contains(&file.path) {
            findings.push(file.error(1, "summary", format!("the document is not listed in {SUMMARY}")));
        }
    }
}

/// Returns the relative targets of links and images with their lines; code is passed over.
fn targets(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    let lines = file.lines().filter(move |(_, text)| {
        let is_fence = text.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let targets = lines.flat_map(|(line, text)| inline_targets(text).map(move |target| (line, target)));
    targets.filter_map(|(line, target)| {
        let path = target.split('#').next().unwrap_or_default();
        let is_relative = !path.is_empty() && !path.contains(':');
        is_relative.then_some((line, path))
    })
}

/// Returns the targets of `[text](target)` and `[name]: target` outside of code spans.
fn inline_targets(line: &str) -> impl Iterator<Item = &str> {
    // Outside of code spans are the even parts; a link's text may be a code span.
    let prose = line.split('`').step_by(2);
    let inline = prose.flat_map(|part| {
        let openings = part.match_indices("](").map(|(at, _)| &part[at + 2..]);
        openings.filter_map(|rest| rest.split([')', ' ']).next())
    });
    let is_definition = line.starts_with('[') && !line.starts_with("[^");
    let definition = line.split_once("]: ").filter(|_| is_definition).map(|(_, target)| target.trim());
    inline.chain(definition)
}

/// Returns the path that `target` means in the document `path`, unless it leads out of the workspace.
fn resolve(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, content: &str) -> File {
        File { path: path.to_owned(), content: content.to_owned() }
    }

    fn messages(content: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let exists = |path: &str| path == "docs/wire.md" || path == "README.md";
        check(&document("docs/guide.md", content), &exists, &mut findings);
        findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.message)).collect()
    }

    #[test]
    fn links_to_what_exists_are_fine() {
        assert!(messages("[a](wire.md), [b](../README.md#use) and [`c`](./wire.md \"title\")\n").is_empty());
        assert!(messages("[a]: wire.md\n[web](https://example.org/x) [here](#below)\n").is_empty());
    }

    #[test]
    fn links_to_what_is_missing_are_found() {
        assert_eq!(messages("\n[a](wire.md) ![b](c.png)\n"), ["2: c.png does not exist"]);
        assert_eq!(messages("[`a`](gone.md)\n"), ["1: gone.md does not exist"]);
        assert_eq!(messages("[a]: gone.md\n"), ["1: gone.md does not exist"]);
        assert_eq!(messages("[a](../../x.md)\n"), ["1: ../../x.md leads out of the workspace"]);
    }

    #[test]
    fn links_in_code_are_passed_over() {
        assert!(messages("```text\n[a](gone.md)\n```\n`[a](gone.md)`\n").is_empty());
    }

    #[test]
    fn documents_missing_in_the_summary_are_found() {
        let files = [
            document(SUMMARY, "- [Wire](wire.md)\n- [One](decisions/0001-one.md)\n"),
            document("docs/wire.md", ""),
            document("docs/decisions/0001-one.md", ""),
            document("docs/decisions/0002-two.md", ""),
            document("README.md", ""),
        ];
        let mut findings = Vec::new();
        check_summary(&files, &mut findings);
        let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["docs/decisions/0002-two.md"]);
    }
}
