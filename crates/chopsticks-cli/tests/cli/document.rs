//! The examples of `docs/cli.md` and `docs/cookbook.md`: those with `console` are run as they stand.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use chopsticks_support::Scratch;

const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");

/// A code block of a document.
struct Block {
    kind: String,
    lines: Vec<String>,
}

fn blocks(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(DOCUMENTS).join(document)).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned);
            blocks.push(Block { kind: kind.to_owned(), lines: body.collect() });
        }
    }
    blocks
}

/// Replaces what differs from run to run: times, and where the checkout lies.
fn normal(line: &str) -> String {
    let line = match line.split_once("/crates/chopsticks/examples") {
        Some((before, after)) => {
            let start = before.find('"').map_or("", |at| &before[..=at]);
            format!("{start}…{after}")
        }
        None => line.to_owned(),
    };
    let mut out = String::new();
    for word in line.split(' ') {
        let is_time = word.contains('.') && word.parse::<f64>().is_ok();
        out.push_str(if is_time { "TIME" } else { word });
        out.push(' ');
    }
    out
}

#[test]
fn examples_of_the_document_do_what_it_says() {
    let scratch = Scratch::new();
    let repository = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap();
    symlink(repository.join("crates"), scratch.path().join("crates")).unwrap();
    let blocks = blocks("cli.md");
    let hosts = blocks.iter().find(|block| block.kind == "text" && block.lines[0].starts_with("# ")).unwrap();
    scratch.write("hosts", hosts.lines.join("\n") + "\n");
    assert!(run_examples(&blocks, &scratch) >= 5);
}

#[test]
fn recipes_of_the_cookbook_do_what_they_say() {
    let scratch = Scratch::new();
    let blocks = blocks("cookbook.md");
    let text = |kind: &str| {
        let block = blocks.iter().find(|block| block.kind == kind).unwrap();
        block.lines.join("\n") + "\n"
    };
    scratch.write("ops.py", text("python"));
    scratch.write("hosts.ini", text("ini"));
    // Every other block is an example.
    assert_eq!(run_examples(&blocks, &scratch), blocks.len() - 2);
}

/// Runs the blocks with `console`, one after the other in one folder. Returns their number.
fn run_examples(blocks: &[Block], scratch: &Scratch) -> usize {
    link_program(scratch.path());
    let examples: Vec<_> = blocks.iter().filter(|block| block.kind == "console").collect();
    for block in &examples {
        let mut quotes = 0;
        let goes_on = |line: &&String| {
            // In quotes a command also goes on.
            quotes += line.matches('\'').count();
            line.ends_with('\\') || quotes % 2 == 1
        };
        let of_command = block.lines.iter().take_while(goes_on).count() + 1;
        let command: Vec<_> = block.lines[..of_command].iter().map(|line| dedented(line)).collect();
        let command = command.join("\n");
        let command = command.strip_prefix("$ ").unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{{ {command}\n}} 2>&1")]).current_dir(scratch.path());
        shell.stdin(Stdio::null());
        shell.env("PATH", format!("{}:{}", scratch.path().display(), std::env::var("PATH").unwrap()));
        let output = String::from_utf8(shell.output().unwrap().stdout).unwrap();
        let printed: Vec<_> = output.lines().map(normal).collect();
        for line in &block.lines[of_command..] {
            let expected = normal(line);
            let is_there = match expected.strip_suffix("… ") {
                Some(begin) => printed.iter().any(|line| line.starts_with(begin)),
                None => printed.contains(&expected),
            };
            assert!(is_there, "{command}\nis to print {line}\nbut prints\n{output}");
        }
        let is_cut = block.lines.iter().any(|line| line.ends_with('…'));
        assert!(is_cut || printed.len() == block.lines.len() - of_command, "{command}\nprints\n{output}");
    }
    examples.len()
}

/// Returns a line of a command without the indentation of the document, which Python would not take.
fn dedented(line: &str) -> &str {
    line.strip_prefix("    ").unwrap_or(line)
}

/// Makes `chopsticks` the program under test.
fn link_program(folder: &Path) {
    let program = folder.join("chopsticks");
    fs::write(&program, format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_chopsticks"))).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}
