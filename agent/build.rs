//! Strips the agent's Python files and the library's, and packs those that every connection sends.
//!
//! Stripping removes what the far side does not need (comments, docstrings, three of four spaces of
//! indentation; in the agent itself the spaces around operators too) and keeps every line where it was, so that
//! tracebacks stay true.

use std::{env, fmt::Write as _, fs, io::Write as _, num::NonZeroU64, path::Path};

#[expect(dead_code, unreachable_pub, reason = "the crate itself uses and exports all of it")]
#[path = "src/part.rs"]
mod part;

use part::Part;

/// The least size of a piece of the core. What compiles it keeps most of the memory that it takes for the largest piece.
const PIECE: usize = 3 << 10;

/// The library's modules for functions that have no name: large, and rarely needed.
const ON_DEMAND: [&str; 6] = ["_call", "_compare", "_input", "_items", "_merged", "_source"];

/// The library's module that has the first stage.
const FIRST_STAGE_MODULE: &str = "_first_stage";

fn main() {
    println!("cargo::rerun-if-changed=lib");
    println!("cargo::rerun-if-changed=python");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/part.rs");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let mut table = String::from("[\n");
    let mut sent = Vec::new();
    let mut pieces = 0;
    for part in Part::ALL {
        let name = part.name();
        let original =
            fs::read_to_string(format!("python/{name}.py")).expect("the file is part of the package");
        let stripped: String = strip(&original).lines().map(squeeze).collect();
        // The first line, a docstring, is blank by now: it makes room for the name by which the agent finds a part.
        assert!(stripped.starts_with('\n'), "python/{name}.py does not begin with a docstring");
        let text = if part == Part::Core { stripped } else { format!("# {name}{stripped}") };
        fs::write(out.join(format!("{name}.py")), &text).expect("OUT_DIR is writable");
        writeln!(
            table,
            "    Text {{ original: {}, stripped: include_str!(concat!(env!(\"OUT_DIR\"), \"/{name}.py\")) }},",
            original.len(),
        )
        .expect("writing to a string cannot fail");
        if part == Part::Core {
            sent.extend(split(&text));
            pieces = sent.len();
        } else if part.is_packed() {
            sent.push(text);
        }
    }
    table.push(']');
    fs::write(out.join("parts.rs"), table).expect("OUT_DIR is writable");

    let loader = fs::read_to_string("python/loader.py").expect("the file is part of the package");
    sent.insert(0, strip(&loader).replace("PIECES", &pieces.to_string()));
    let mut packed = Vec::new();
    // It takes a second, and saves each connection a few bytes.
    let options =
        zopfli::Options { iteration_count: NonZeroU64::MIN.saturating_add(199), ..Default::default() };
    let joined = sent.join("\0");
    zopfli::compress(options, zopfli::Format::Deflate, joined.as_bytes(), &mut packed)
        .expect("writing to a vector cannot fail");
    fs::File::create(out.join("agent.z"))
        .and_then(|mut f| f.write_all(&packed))
        .expect("OUT_DIR is writable");

    let first = fs::read_to_string("python/first_stage.py").expect("the file is part of the package");
    fs::write(out.join("library.rs"), library(out, first.trim_end())).expect("OUT_DIR is writable");
    fs::write(out.join("first_stage.py"), first.trim_end().replace("SIZE", &packed.len().to_string()))
        .expect("OUT_DIR is writable");
}

/// Strips the package `chopsticks` and returns the table of its modules, each package in front of what is in it.
///
/// One module is made here: it has the first stage, for tunnels from the far side, where what is packed has another size.
fn library(out: &Path, first_stage: &str) -> String {
    let mut names = Vec::new();
    collect(Path::new("lib/chopsticks"), "", &mut names);
    names.sort_by_key(|name| (name != "__init__", name.replace("/__init__", "")));
    let mut table = String::from("&[\n");
    names.push(FIRST_STAGE_MODULE.to_owned());
    for name in names {
        let source = if name == FIRST_STAGE_MODULE {
            format!("TEXT = '{first_stage}'\n")
        } else {
            strip(&fs::read_to_string(format!("lib/chopsticks/{name}.py")).expect("the file can be read"))
        };
        let file = format!("lib_{}.py", name.replace('/', "_"));
        fs::write(out.join(&file), source).expect("OUT_DIR is writable");
        let module = format!("chopsticks.{}", name.replace('/', "."));
        let module = module.strip_suffix(".__init__").unwrap_or(&module);
        writeln!(
            table,
            "    LibraryModule {{ name: {module:?}, file: \"<chopsticks>/{name}.py\", on_demand: {}, source: include_str!(concat!(env!(\"OUT_DIR\"), \"/{file}\")) }},",
            ON_DEMAND.contains(&&*name),
        )
        .expect("writing to a string cannot fail");
    }
    table + "]"
}

/// Adds the paths of the Python files below a folder, without their ending.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder is part of the package") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.strip_suffix(".py") {
            Some(name) => names.push(format!("{prefix}{name}")),
            None if entry.path().is_dir() => collect(&entry.path(), &format!("{prefix}{name}/"), names),
            None => {}
        }
    }
}

/// Splits a stripped text in front of definitions. The pieces have the lines that they have in the whole.
fn split(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut begin = 0;
    for (number, line) in text.lines().enumerate() {
        let piece = pieces.last_mut().expect("there is one");
        if piece.len() - begin >= PIECE && line.starts_with("def ") {
            pieces.push("\n".repeat(number));
            begin = number;
        }
        let piece = pieces.last_mut().expect("there is one");
        piece.push_str(line);
        piece.push('\n');
    }
    pieces
}

/// Removes comments, docstrings and most indentation; line numbers stay.
fn strip(source: &str) -> String {
    let mut stripped = String::with_capacity(source.len());
    let mut in_docstring = false;
    for line in source.lines() {
        let text = line.trim_start();
        if in_docstring {
            in_docstring = !text.contains("\"\"\"");
        } else if let Some(rest) = text.strip_prefix("\"\"\"") {
            in_docstring = !rest.contains("\"\"\"");
        } else if !text.starts_with('#') {
            let code = match text.find("  #") {
                Some(at) if !text[at..].contains(['\'', '"']) => text[..at].trim_end(),
                _ => text,
            };
            stripped.extend(std::iter::repeat_n(' ', (line.len() - text.len()) / 4));
            stripped.push_str(code);
        }
        stripped.push('\n');
    }
    stripped.truncate(stripped.trim_end().len());
    stripped.push('\n');
    stripped
}

/// Returns a line, and its end, without the spaces beside operators and brackets that are not in a string.
///
/// Not for the library, whose lines users see in tracebacks.
fn squeeze(line: &str) -> String {
    let code = line.trim_start();
    let mut squeezed = line[..line.len() - code.len()].to_owned();
    let needless = |c: Option<char>| c.is_some_and(|c| "=+-*/%<>,:()[]{}|&!".contains(c));
    let (mut quote, mut escaped) = (None, false);
    let mut before = None;
    let mut rest = code.chars().peekable();
    while let Some(c) = rest.next() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == ' ' && (needless(before) || needless(rest.peek().copied())) => continue,
            None if c == '\'' || c == '"' => quote = Some(c),
            None => {}
        }
        squeezed.push(c);
        before = Some(c);
    }
    squeezed.push('\n');
    squeezed
}
