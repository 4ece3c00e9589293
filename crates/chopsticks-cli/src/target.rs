//! Lists of targets: `--on`, and files of hosts.

use std::{collections::BTreeMap, fs, io};

use chopsticks::{HostName, Target};

/// Parses all targets in the values of `--on`, in their order. The errors are for people.
pub(crate) fn targets(values: &[String]) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for value in values {
        for text in split(value) {
            match text.strip_prefix('@') {
                Some(file) => targets.extend(from_file(file)?),
                None => targets.push(text.parse().map_err(|error| format!("{error}"))?),
            }
        }
    }
    if targets.is_empty() {
        return Err("there are no targets".to_owned());
    }
    check_names(&targets)?;
    Ok(targets)
}

/// Splits at commas. A target with `exec:` extends to the end, because commands contain commas.
fn split(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = value;
    while let Some((part, behind)) = rest.split_once(',') {
        if is_exec(rest) {
            break;
        }
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

fn is_exec(text: &str) -> bool {
    let place = match text.split_once('=') {
        Some((name, place)) if !name.contains([',', ':', '/', '?', '@']) => place,
        _ => text,
    };
    // The last of those that are reached through each other, too.
    place.starts_with("exec:") || place.split(',').next().is_some_and(|first| first.contains("/exec:"))
}

/// Reads a file of hosts, or stdin for `-`, with a target in each line. Empty lines and those that
/// begin with `#` are skipped.
fn from_file(file: &str) -> Result<Vec<Target>, String> {
    let (name, text) = match file {
        "" => return Err("missing file name after `@`, or `-` for stdin".to_owned()),
        "-" => ("stdin", io::read_to_string(io::stdin())),
        file => (file, fs::read_to_string(file)),
    };
    let text = text.map_err(|error| format!("cannot read targets from {name}: {error}"))?;
    // Editors of Windows put one in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = |(number, line): (usize, &str)| match line.strip_prefix('@') {
        Some(_) => Err(format!("{name}:{}: a file of targets cannot name another one", number + 1)),
        None => line.parse().map_err(|error| format!("{name}:{}: {error}", number + 1)),
    };
    lines.map(read).collect()
}

/// Refuses targets with the same name, which is the key in the results.
fn check_names(targets: &[Target]) -> Result<(), String> {
    let mut counts = BTreeMap::<&HostName, usize>::new();
    for target in targets {
        *counts.entry(target.host()).or_default() += 1;
    }
    let repeated: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = repeated.iter().map(|(host, count)| format!("'{host}' ({count} times)")).collect();
    Err(format!(
        "targets have the same name: {}; name them apart, as in --on a=local,b=local",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use chopsticks_support::Scratch;

    use super::*;

    fn hosts(values: &[&str]) -> Result<Vec<String>, String> {
        let values: Vec<_> = values.iter().map(|&value| value.to_owned()).collect();
        Ok(targets(&values)?.iter().map(|target| target.host().to_string()).collect())
    }

    #[test]
    fn commas_separate_targets_of_every_kind() {
        let found = hosts(&[
            "local,web1,admin@web2,ssh://root@10.0.0.7:2222",
            "sudo:www,db=docker://postgres?name=db,docker-exec://web,p=podman://fedora",
        ]);
        let expected =
            ["localhost", "web1", "admin@web2", "root@10.0.0.7:2222", "www@localhost", "db", "web", "p"];
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn command_goes_on_to_the_end() {
        let found = hosts(&["a=local,job=exec:srun --nodelist=n1,n2 python3,b=local", "c=local"]);
        assert_eq!(found.unwrap(), ["a", "job", "c"]);
        assert_eq!(split("exec:a,b"), ["exec:a,b"]);
        assert_eq!(split("a/sudo:b,c/exec:d e,f"), ["a/sudo:b", "c/exec:d e,f"]);
        assert_eq!(split("web?env=A=exec:,b"), ["web?env=A=exec:", "b"]);
        assert_eq!(split("a,b,"), ["a", "b", ""]);
    }

    #[test]
    fn files_have_one_target_a_line() {
        let scratch = Scratch::new();
        scratch.write("hosts", "# the web\n\n  a=local  \r\nb=local\n\tjob=exec:nsenter -t 1,2 python3\n");
        let file = format!("@{}", scratch.path().join("hosts").display());
        assert_eq!(hosts(&[&format!("{file},c=local")]).unwrap(), ["a", "b", "job", "c"]);
        assert!(hosts(&[&file, "a=local"]).unwrap_err().contains("'a' (2 times)"));
    }

    #[test]
    fn byte_order_mark_is_passed_over() {
        let scratch = Scratch::new();
        scratch.write("target", "\u{feff}a=local\r\nb=local\r\n");
        scratch.write("comment", "\u{feff}# hosts\r\na=local\r\n");
        for (name, expected) in [("target", &["a", "b"][..]), ("comment", &["a"])] {
            assert_eq!(hosts(&[&format!("@{}", scratch.path().join(name).display())]).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let scratch = Scratch::new();
        let at = |name: &str| format!("@{}", scratch.path().join(name).display());
        scratch.write("odd", "a=local\n#\nftp://x\n");
        scratch.write("nested", "\n@other\n");
        scratch.write("empty", "# nothing\n");
        for (value, expected) in [
            (at("odd"), "odd:3: invalid target 'ftp://x': `ftp://` is not known"),
            (at("nested"), "nested:2: a file of targets cannot name another one"),
            (at("empty"), "there are no targets"),
            (at("none"), "cannot read targets from "),
            ("@".to_owned(), "missing file name after `@`"),
            ("local,".to_owned(), "invalid target '': it is empty"),
            ("local,local".to_owned(), "'localhost' (2 times)"),
        ] {
            let message = hosts(&[&value]).unwrap_err();
            assert!(message.contains(expected), "{value}: {message}");
        }
    }

    #[test]
    fn names_that_repeat_are_refused_all_at_once() {
        let message = hosts(&["local,a=local,local,b=local,a=local,a=local"]).unwrap_err();
        assert!(message.contains("'a' (3 times), 'localhost' (2 times)"), "{message}");
        assert!(!message.contains("'b'"), "{message}");
    }
}
