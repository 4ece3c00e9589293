//! Quoting arguments for login shells.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

/// Composes a command line from an argument vector.
///
/// It has the same meaning in sh, dash, bash, zsh, fish, csh, tcsh and busybox.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] if an argument contains a newline, a carriage return or a NUL:
/// there is no notation for these that all of the shells understand.
pub(crate) fn command_line(argv: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<OsString> {
    let mut line = Vec::new();
    for argument in argv {
        if !line.is_empty() {
            line.push(b' ');
        }
        quote(argument.as_ref().as_bytes(), &mut line)?;
    }
    Ok(OsString::from_vec(line))
}

fn quote(argument: &[u8], line: &mut Vec<u8>) -> io::Result<()> {
    if let Some(byte) = argument.iter().find(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        let text = format!("an argument has the byte {byte:#04x}, which not every shell can be given");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if !argument.is_empty() && argument.iter().all(|&byte| is_plain(byte)) {
        line.extend_from_slice(argument);
        return Ok(());
    }
    line.push(b'\'');
    for &byte in argument {
        match byte {
            // Within single quotes fish takes the backslash for an escape and csh the `!` for one; outside of them all
            // shells agree.
            b'\'' | b'\\' | b'!' => line.extend_from_slice(&[b'\'', b'\\', byte, b'\'']),
            byte => line.push(byte),
        }
    }
    line.push(b'\'');
    Ok(())
}

/// Returns whether the byte has no special meaning in any shell, at any place in a word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || PLAIN_MARKS.as_bytes().contains(&byte)
}

/// The characters besides letters and digits that need no quotes.
const PLAIN_MARKS: &str = "_-./:,+";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_readable() {
        let line = command_line(["exec", "/usr/bin/python3", "-s", "-c", "import os;x()"]).unwrap();
        assert_eq!(line, "exec /usr/bin/python3 -s -c 'import os;x()'");
    }

    #[test]
    fn special_characters_are_quoted_in_the_way_that_all_shells_share() {
        assert_eq!(command_line(["it's a\\b!", "", "$HOME"]).unwrap(), r"'it'\''s a'\\'b'\!'' '' '$HOME'");
    }

    #[test]
    fn what_cannot_be_quoted_is_refused() {
        for text in ["a\nb", "a\rb", "a\0b"] {
            assert_eq!(command_line([text]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    /// The shells of this machine that may be somebody's login shell.
    fn shells() -> Vec<Vec<&'static str>> {
        let shells = [
            vec!["sh"],
            vec!["dash"],
            vec!["bash"],
            vec!["zsh"],
            vec!["ksh"],
            vec!["fish"],
            vec!["csh"],
            vec!["tcsh"],
            vec!["busybox", "sh"],
        ];
        let is_there = |shell: &Vec<&str>| {
            let mut command = std::process::Command::new(shell[0]);
            command
                .args(&shell[1..])
                .args(["-c", "true"])
                .output()
                .is_ok_and(|output| output.status.success())
        };
        shells.into_iter().filter(is_there).collect()
    }

    #[test]
    fn every_login_shell_reads_back_what_was_quoted() {
        let printable: String = (b' '..=b'~').map(char::from).collect();
        let words = [
            printable.as_str(),
            "",
            " ",
            "'",
            "\\",
            "\\\\",
            "a\\",
            "!!",
            "!$x",
            "a!",
            "$HOME `id` ${x} $(id)",
            "~",
            "~root",
            "=ls",
            "%self",
            "{a,b}",
            "*",
            "[a-z]?",
            "#x",
            "-n",
            "^a^b",
            "a\tb",
            "gr\u{fc}\u{df} \u{4f60}",
            "it's \\'quoted\\' \"twice\"",
        ];
        let shells = shells();
        assert!(shells.contains(&vec!["sh"]));
        let python = chopsticks_support::python3().path();
        let show = "import sys;sys.stdout.buffer.write(bytes([0]).join(map(__import__(chr(111)+chr(115)).fsencode,sys.argv[1:])))";
        let head = [OsStr::new("exec"), python.as_os_str(), OsStr::new("-c"), OsStr::new(show)];
        let line = command_line(head.into_iter().chain(words.iter().map(OsStr::new))).unwrap();
        for shell in shells {
            let mut command = std::process::Command::new(shell[0]);
            // The locale decides what csh takes for a character.
            let output =
                command.args(&shell[1..]).arg("-c").arg(&line).env("LC_ALL", "C.UTF-8").output().unwrap();
            let stdout = String::from_utf8_lossy(&output.stdout);
            let read: Vec<_> = stdout.split('\0').collect();
            assert_eq!(read, words, "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
