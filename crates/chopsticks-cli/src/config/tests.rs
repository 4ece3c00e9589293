//! Tests of the defaults of options.

use std::os::unix::fs::PermissionsExt as _;

use chopsticks_support::Scratch;

use super::*;
use crate::args::{Command as Verb, RunArgs};

fn read(scratch: &Scratch, working: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.read(&Search {
        working: Some(scratch.path().join(working)),
        user_file: Some(scratch.path().join("user/config.toml")),
        chosen: None,
    })?;
    Ok(settings)
}

fn parsed(settings: &Settings, line: &str) -> RunArgs {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let command = settings.applied(Args::command(), &words).unwrap();
    let mut matches = command.try_get_matches_from(words).unwrap();
    match Args::from_arg_matches_mut(&mut matches).unwrap().command {
        Verb::Run(args) => args,
        other => panic!("{other:?}"),
    }
}

const RUN: &str = "chopsticks run --on local -- true";

#[test]
fn found_file_overrides_the_users_and_options_override_both() {
    let scratch = Scratch::new();
    scratch.write("user/config.toml", "[defaults]\ntimeout = 5\nlimit = 7\nfold = true\n");
    scratch.write("work/chopsticks.toml", "[defaults]\ntimeout = 9\nmax_failures = \"10%\"\n");
    scratch.create_folder("work/deep/er");
    let settings = read(&scratch, "work/deep/er").unwrap();
    let args = parsed(&settings, RUN);
    assert_eq!(args.fleet.timeout.unwrap().as_secs(), 9);
    assert_eq!(args.fleet.group.limit.unwrap().get(), 7);
    assert!(args.fleet.group.fold && args.fleet.group.max_failures.is_some());
    let args = parsed(&settings, "chopsticks run --on local --timeout 2 --fold=false -- true");
    assert_eq!((args.fleet.timeout.unwrap().as_secs(), args.fleet.group.fold), (2, false));
    let args = parsed(&settings, "chopsticks run --on local --json -- true");
    assert!(args.fleet.json && !args.fleet.group.fold);
}

#[test]
fn environment_overrides_files() {
    let scratch = Scratch::new();
    scratch.write("user/config.toml", "[defaults]\ntimeout = 5\nenv = { A = \"1\" }\n");
    let mut settings = read(&scratch, "").unwrap();
    let get = |name: &str| match name {
        "CHOPSTICKS_TIMEOUT" => Some("8".into()),
        "CHOPSTICKS_ENV" => Some("B=2,C=3".into()),
        _ => None,
    };
    settings.take_environment(get).unwrap();
    let args = parsed(&settings, RUN);
    assert_eq!((args.fleet.timeout.unwrap().as_secs(), args.fleet.agent.env.len()), (8, 2));
}

#[test]
fn unknown_and_invalid_settings_are_named_with_their_line() {
    let scratch = Scratch::new();
    for (text, expected) in [
        ("[defaults]\n\ntimeuot = 5\n", "config.toml:3: the setting `timeuot` is not known"),
        ("[defaults]\non = \"web1\"\n", "config.toml:2: the setting `on` is not known"),
        ("[defaults]\ntimeout = \"soon\"\n", "config.toml:2: `timeout`: invalid value 'soon'"),
        ("[defaults]\nfold = 3\n", "config.toml:2: `fold`: expected true or false"),
        ("[defaults]\nlimit = [1, 2]\n", "config.toml:2: `limit`: expected one value"),
        ("[default]\nlimit = 1\n", "config.toml:1: "),
    ] {
        scratch.write("user/config.toml", text);
        let message = read(&scratch, "").and_then(|settings| settings.applied(Args::command(), &[]));
        let message = message.err().unwrap_or_default();
        assert!(message.contains(expected), "{text:?}: {message}");
    }
}

#[test]
fn found_file_decides_nothing_that_runs_or_is_written_unless_its_folder_is_trusted() {
    let scratch = Scratch::new();
    for line in ["python = \"./evil\"", "inventory = \"hosts.toml\"", "log = \"/x\"", "env = { A = 1 }"] {
        scratch.write("work/chopsticks.toml", format!("[defaults]\n{line}\n"));
        let message = read(&scratch, "work").unwrap_err();
        assert!(message.contains("chopsticks.toml:2: ") && message.contains("--config"), "{message}");
    }
    scratch.write("work/chopsticks.toml", "[defaults]\npython = \"auto\"\n[hosts.web1]\n");
    let trust = format!("[defaults]\ntrust = [\"{}\"]\n", scratch.path().join("work").display());
    scratch.write("user/config.toml", trust);
    let settings = read(&scratch, "work").unwrap();
    let names: Vec<_> = settings.values.iter().map(|setting| &*setting.name).collect();
    assert_eq!(names, ["python", "inventory"]);
}

#[test]
fn hosts_of_a_found_file_are_not_the_inventory_by_themselves() {
    let scratch = Scratch::new();
    scratch.write("work/chopsticks.toml", "[hosts.web1]\ntarget = \"exec:touch /tmp/x\"\n");
    assert_eq!(read(&scratch, "work").unwrap().values, []);
}

#[test]
fn file_that_every_user_can_write_is_left_out_with_a_warning() {
    let scratch = Scratch::new();
    let file = scratch.write("work/chopsticks.toml", "[defaults]\ntimeout = 1\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let settings = read(&scratch, "work").unwrap();
    assert_eq!(settings.values, []);
    assert!(settings.warnings[0].contains("every user can write it"), "{:?}", settings.warnings);
}

#[test]
fn every_setting_belongs_to_an_option() {
    let mut command = Args::command();
    command.build();
    let options: Vec<_> =
        command.get_subcommands().flat_map(Command::get_arguments).filter_map(Arg::get_long).collect();
    // Those of passwords exist where there is a terminal.
    let known = |name: &str| options.contains(&name) || name.contains("password");
    let unknown: Vec<_> = SETTINGS.iter().map(|(name, _)| *name).filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn origins_are_shown() {
    let scratch = Scratch::new();
    scratch.write("user/config.toml", "[defaults]\ntimeout = 5\nenv = { TOKEN = \"secret\" }\n");
    let mut settings = read(&scratch, "").unwrap();
    settings.take_environment(|name| (name == "CHOPSTICKS_LIMIT").then(|| "7".into())).unwrap();
    let words: Vec<OsString> = ["chopsticks", "run", "--show-config", "--fold"].map(OsString::from).to_vec();
    let command = lenient(settings.applied(Args::command(), &words).unwrap());
    let shown = settings.shown(command, &words);
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(line("timeout").starts_with("timeout 5 ") && line("timeout").ends_with("user/config.toml:2"));
    assert_eq!(line("limit"), "limit 7 $CHOPSTICKS_LIMIT");
    assert_eq!(line("fold"), "fold true the command line");
    assert_eq!(line("batch"), "batch - the default");
    assert!(line("env").starts_with("env TOKEN=… ") && !shown.contains("secret"), "{shown}");
}
