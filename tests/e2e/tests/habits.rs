//! A codebase against the same files in a folder on `sys.path`: what code does with one works with the other.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use chopsticks::{Codebase, Embedded, Tunnel};
use chopsticks_e2e::{local, quiet};
use chopsticks_support::{Interpreter, Scratch, interpreters};

/// A habit, how it fares without files on the disk, and what comes of it, as JSON.
type Outcome = (String, String, String);

/// The files of the codebase, by their paths in it.
fn files() -> Vec<(String, Vec<u8>)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("codebase/habits");
    let mut files = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read(path).unwrap()));
            }
        }
    }
    files
}

/// What comes of the habits where the files are in a folder.
fn in_a_folder(interpreter: &Interpreter, folder: &Path) -> Vec<Outcome> {
    let program = "import sys, json; sys.path.append(sys.argv[1]); sys.dont_write_bytecode = True; import habits; \
                   print(json.dumps(habits.outcomes()))";
    let mut command = interpreter.command();
    let output = command.args(["-W", "ignore", "-c", program]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{interpreter}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{interpreter}: {error}: {text}"))
}

/// What comes of them where a controller has the files, and no disk.
async fn in_a_codebase(interpreter: &Interpreter, codebase: Codebase) -> Vec<Outcome> {
    let driver = local(interpreter).with_site_packages();
    let tunnel = Tunnel::with_config(driver, quiet().modules(codebase));
    let outcomes = tunnel.call("habits:outcomes", ()).await.unwrap();
    tunnel.close().await.unwrap();
    outcomes
}

#[tokio::test]
async fn habits_have_the_outcome_that_they_have_with_a_folder() {
    let scratch = Scratch::new();
    for (name, content) in files() {
        scratch.write(name, content);
    }
    let embedded = || Embedded::new().files(files()).label("/nowhere/habits");
    for interpreter in interpreters() {
        let expected = in_a_folder(interpreter, scratch.path());
        assert!(expected.len() > 60, "{interpreter}");
        let codebase = Codebase::source(embedded());
        let far = in_a_codebase(interpreter, codebase.clone()).await;
        let unpacked = in_a_codebase(interpreter, codebase.unpack("*")).await;
        let mut differences = Vec::new();
        for ((expected, far), unpacked) in expected.iter().zip(&far).zip(&unpacked) {
            let is_same = expected == far;
            if expected.1 != "any" && is_same != (expected.1 == "same") {
                differences.push(format!("{expected:?}\n    {far:?}"));
            }
            // The metadata is not on the disk: it comes from the controller whether a package is unpacked or not.
            if expected != unpacked && expected.0 != "distributions of a folder" {
                differences.push(format!("{expected:?}\n    unpacked: {unpacked:?}"));
            }
        }
        assert!(differences.is_empty(), "{interpreter}:\n{}", differences.join("\n"));
    }
}
