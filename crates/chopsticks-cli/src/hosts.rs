//! `chopsticks hosts`.

use std::process::ExitCode;

use chopsticks::{inventory::Host, text::harmless_line};
use serde_json::json;

use crate::{
    args::{self, HostsArgs},
    output::Output,
    target::{self, Chosen},
};

/// Prints the targets, and how they would be reached.
pub(crate) fn run(args: &HostsArgs) -> ExitCode {
    let chosen = args::checked("hosts", || target::choose(&args.select));
    let mut output = Output::human();
    chosen.warnings.iter().for_each(|warning| output.caution(warning));
    let text = if args.json { objects(&chosen) } else { table(&chosen) };
    match output.write(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(128 + 13),
        Err(error) => {
            output.complain(&format!("cannot write: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn objects(chosen: &Chosen) -> String {
    let object = |host: &Host| {
        let origin = host.origin().map(ToString::to_string);
        let object = json!({
            "host": host.name(), "target": host.target(), "groups": host.groups(),
            "variables": host.variables(), "origin": origin,
        });
        format!("{object}\n")
    };
    chosen.hosts.iter().map(object).collect()
}

fn table(chosen: &Chosen) -> String {
    let row = |host: &Host| [host.name().to_owned(), masked(host.target()), host.groups().join(", ")];
    let rows: Vec<[String; 3]> = [HEADS.map(str::to_owned)]
        .into_iter()
        .chain(chosen.hosts.iter().map(row))
        .map(|row| row.map(|cell| harmless_line(&cell).into_owned()))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let lines = rows.iter().map(|[name, target, groups]| {
        let line = format!("{name:first$}  {target:second$}  {groups}");
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// Returns the text of a target without the values of variables, which may be secret.
fn masked(target: &str) -> String {
    let Some((place, settings)) = target.split_once('?') else { return target.to_owned() };
    let mask = |setting: &str| match setting.strip_prefix("env=") {
        Some(variable) => format!("env={}=…", variable.split(['=', '%']).next().unwrap_or_default()),
        None => setting.to_owned(),
    };
    let settings: Vec<_> = settings.split('&').map(mask).collect();
    format!("{place}?{}", settings.join("&"))
}

const HEADS: [&str; 3] = ["HOST", "TARGET", "GROUPS"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_not_shown() {
        assert_eq!(
            masked("a=ssh://b?python=auto&env=TOKEN=secret&sudo"),
            "a=ssh://b?python=auto&env=TOKEN=…&sudo"
        );
        assert_eq!(masked("a?env=T%3Dsecret"), "a?env=T=…");
        assert_eq!(masked("a"), "a");
    }
}
