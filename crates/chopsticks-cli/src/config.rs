//! Defaults of options: `chopsticks.toml`, the user's file, and the environment.
//!
//! They become the defaults of the command line, so that every option overrides them, and an option
//! that excludes another one excludes its default too.

use std::{
    env,
    ffi::OsString,
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use chopsticks::{
    inventory::{Defaults, Origin},
    text::harmless_line,
};
use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _,
    builder::{ArgPredicate, Resettable},
    error::ErrorKind,
    parser::ValueSource,
    value_parser,
};

use crate::{args::Args, help, output::Output};

/// Who may make a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    /// Every file: the setting changes how many targets run, how long, and what is shown.
    Any,
    /// A file that the user has chosen: the setting decides what runs where, what is sent, or which
    /// files are written.
    Chosen,
}

/// The options that can have defaults, by their long names. Targets, and what is done there, cannot.
const SETTINGS: &[(&str, Trust)] = &[
    ("ask-passphrase", Trust::Chosen),
    ("ask-password", Trust::Chosen),
    ("ask-sudo-password", Trust::Chosen),
    ("batch", Trust::Any),
    ("color", Trust::Any),
    ("cwd", Trust::Chosen),
    ("diff-outputs", Trust::Any),
    ("encode", Trust::Chosen),
    ("env", Trust::Chosen),
    ("exclude", Trust::Chosen),
    ("fold", Trust::Any),
    ("history", Trust::Chosen),
    ("idempotent", Trust::Chosen),
    ("if-changed", Trust::Any),
    ("include", Trust::Chosen),
    ("inventory", Trust::Chosen),
    ("jobs", Trust::Any),
    ("json", Trust::Any),
    ("limit", Trust::Any),
    ("links", Trust::Chosen),
    ("log", Trust::Chosen),
    ("log-level", Trust::Any),
    ("max-failures", Trust::Any),
    ("max-result", Trust::Any),
    ("ordered", Trust::Any),
    ("output-dir", Trust::Chosen),
    ("password-command", Trust::Chosen),
    ("python", Trust::Chosen),
    ("quiet", Trust::Any),
    ("rate", Trust::Any),
    ("retries", Trust::Any),
    ("root", Trust::Chosen),
    ("search-path", Trust::Chosen),
    ("site-packages", Trust::Chosen),
    ("sort", Trust::Any),
    ("sudo-password-command", Trust::Chosen),
    ("summary", Trust::Any),
    ("timeout", Trust::Any),
    ("times", Trust::Any),
    ("unpack", Trust::Chosen),
    ("user-site", Trust::Chosen),
    ("wait-for", Trust::Any),
];

/// The setting of the user's file with the folders whose `chopsticks.toml` may make every setting.
const TRUST: &str = "trust";
/// The name of the file that is looked for in the working directory and above it.
const NAME: &str = "chopsticks.toml";

/// The settings, and where they come from.
#[derive(Debug, Default)]
struct Settings {
    /// The ones that are in force.
    values: Vec<Setting>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Setting {
    name: String,
    values: Vec<String>,
    place: Place,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    Line(Origin),
    Variable(String),
    /// The file itself describes hosts.
    File(String),
}

/// Where files are looked for.
#[derive(Debug, Default)]
struct Search {
    working: Option<PathBuf>,
    user_file: Option<PathBuf>,
    /// The file of `--config`.
    chosen: Option<PathBuf>,
}

/// What the command line says about configuration, before it is parsed.
#[derive(Debug, Default)]
struct Wish {
    config: Option<PathBuf>,
    has_no_config: bool,
    shows: bool,
    /// Whether the words ask for help, or for files of this program, which need no settings.
    is_help: bool,
}

/// Parses the command line of the process, with the defaults of files and of the environment. Ends
/// the program if that fails, or if the settings are to be shown.
pub(crate) fn parse() -> Args {
    let words: Vec<OsString> = env::args_os().collect();
    let wish = Wish::of(&words);
    let settings = match wish.is_help {
        true => Ok(Settings::default()),
        false => Settings::find(&wish),
    };
    let fail = |message: String| -> ! {
        Args::command().error(ErrorKind::ValueValidation, help::shortened(&message)).exit()
    };
    let settings = settings.unwrap_or_else(|message| fail(message));
    let mut output = Output::human();
    settings.warnings.iter().for_each(|warning| output.caution(warning));
    let command = settings.applied(Args::command(), &words).unwrap_or_else(|message| fail(message));
    if wish.shows {
        let text = settings.shown(lenient(command), &words);
        let _ = output.write(&text);
        std::process::exit(0);
    }
    let mut command = command;
    let mut matches = command.clone().get_matches_from(words);
    Args::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

impl Wish {
    fn of(words: &[OsString]) -> Self {
        let mut wish = Self::default();
        let mut words = words.iter().skip(1).peekable();
        if words.peek().is_none_or(|verb| ["completions", "man", "help"].iter().any(|name| *verb == name)) {
            wish.is_help = true;
        }
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--") => break,
                Some("--config") => wish.config = words.next().map(PathBuf::from),
                Some("--no-config") => wish.has_no_config = true,
                Some("--show-config") => wish.shows = true,
                Some("-h" | "--help" | "-V" | "--version") => wish.is_help = true,
                Some(word) => {
                    if let Some(file) = word.strip_prefix("--config=") {
                        wish.config = Some(file.into());
                    }
                }
                None => {}
            }
        }
        wish
    }
}

impl Settings {
    /// Reads the files and the environment.
    fn find(wish: &Wish) -> Result<Self, String> {
        let mut settings = Self::default();
        if !wish.has_no_config {
            let chosen = wish.config.clone().or_else(|| env::var_os("CHOPSTICKS_CONFIG").map(PathBuf::from));
            let search = Search { working: env::current_dir().ok(), user_file: user_file(), chosen };
            settings.read(&search)?;
        }
        settings.take_environment(|name| env::var_os(name))?;
        Ok(settings)
    }

    /// Reads the user's file, and then the chosen or the found one, which overrides it.
    fn read(&mut self, search: &Search) -> Result<(), String> {
        let mut trusted = Vec::new();
        if let Some(file) = search.user_file.as_deref().filter(|file| file.is_file()) {
            match doubt(file) {
                Some(doubt) => self.warnings.push(doubt),
                None => trusted = self.add(file, Trust::Chosen, true)?,
            }
        }
        if let Some(file) = &search.chosen {
            self.add(file, Trust::Chosen, false)?;
            return Ok(());
        }
        let Some(found) = search.working.as_deref().and_then(find_upwards) else { return Ok(()) };
        if search.user_file.as_ref() == Some(&found) {
            return Ok(());
        }
        match doubt(&found) {
            Some(doubt) => self.warnings.push(doubt),
            None => {
                let folder = found.parent().unwrap_or(Path::new("/"));
                let is_trusted = trusted.iter().any(|trusted| folder.starts_with(trusted));
                self.add(&found, if is_trusted { Trust::Chosen } else { Trust::Any }, false)?;
            }
        }
        Ok(())
    }

    /// Adds the settings of a file. Returns the folders that it trusts.
    fn add(&mut self, file: &Path, trust: Trust, is_users: bool) -> Result<Vec<PathBuf>, String> {
        let defaults = Defaults::read(file).map_err(|error| error.to_string())?;
        let mut trusted = Vec::new();
        let mut has_inventory = false;
        for setting in defaults.settings {
            let name = setting.name.replace('_', "-");
            let at = &setting.origin;
            if name == TRUST && is_users {
                let home = env::home_dir();
                trusted = setting.values.iter().map(|folder| expanded(folder, home.as_deref())).collect();
                continue;
            }
            match SETTINGS.iter().find(|(known, _)| *known == name) {
                None => return Err(format!("{at}: the setting `{}` is not known", setting.name)),
                Some((_, Trust::Chosen)) if trust == Trust::Any => {
                    let folder = file.parent().unwrap_or(Path::new("/")).display();
                    return Err(format!(
                        "{at}: the setting `{name}` has to come from a file that you have chosen: pass this one by \
                         --config, or add {folder} to `{TRUST}` in your own file"
                    ));
                }
                Some(_) => {}
            }
            has_inventory |= name == "inventory";
            let folder = file.parent().unwrap_or(Path::new("/"));
            let values = match PATHS.contains(&&*name) {
                true => setting.values.iter().map(|path| resolved(folder, path)).collect(),
                false => setting.values,
            };
            self.set(Setting { name, values, place: Place::Line(setting.origin) });
        }
        if defaults.has_hosts && !has_inventory && trust == Trust::Chosen {
            let text = file.display().to_string();
            let (name, place) = ("inventory".to_owned(), Place::File(text.clone()));
            self.set(Setting { name, values: vec![text], place });
        }
        Ok(trusted)
    }

    fn take_environment(&mut self, get: impl Fn(&str) -> Option<OsString>) -> Result<(), String> {
        for (name, _) in SETTINGS {
            let variable = variable(name);
            let Some(value) = get(&variable).filter(|value| !value.is_empty()) else { continue };
            let Some(value) = value.to_str() else { return Err(format!("{variable} is not UTF-8")) };
            let values = match LISTS.contains(name) {
                true => value.split(',').map(str::to_owned).collect(),
                false => vec![value.to_owned()],
            };
            self.set(Setting { name: (*name).to_owned(), values, place: Place::Variable(variable) });
        }
        Ok(())
    }

    fn set(&mut self, setting: Setting) {
        self.values.retain(|earlier| earlier.name != setting.name);
        self.values.push(setting);
    }

    fn get(&self, name: &str) -> Option<&Setting> {
        self.values.iter().find(|setting| setting.name == name)
    }

    /// Returns the command line with these settings as defaults.
    fn applied(&self, mut command: Command, words: &[OsString]) -> Result<Command, String> {
        let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        // Conflicts are known to a complete command.
        let mut complete = command.clone();
        complete.build();
        for setting in &self.values {
            let mut is_known = false;
            for verb in &verbs {
                // There it is the number of further targets for an item.
                if verb == "map" && setting.name == "retries" {
                    continue;
                }
                let Some(of_verb) = complete.find_subcommand(verb) else { continue };
                let Some(arg) = of_verb.get_arguments().find(|arg| arg.get_long() == Some(&setting.name))
                else {
                    continue;
                };
                if !is_known {
                    check(arg, setting)?;
                    is_known = true;
                }
                let conflicts = of_verb.get_arg_conflicts_with(arg);
                let conflicts: Vec<_> =
                    conflicts.iter().map(|other| (other.get_id().to_string(), is_flag(other))).collect();
                let id = arg.get_id().to_string();
                command = command.mut_subcommand(verb, |of_verb| {
                    of_verb.mut_arg(id, |arg| with_default(arg, &setting.values, &conflicts))
                });
            }
            if !is_known {
                return Err(format!("{}: the setting `{}` is not known", setting.place, setting.name));
            }
        }
        // `--fold=false` overrides a setting. Without one there is nothing to override.
        for word in words.iter().skip(1).take_while(|word| *word != "--").filter_map(|word| word.to_str()) {
            let Some(name) =
                word.strip_prefix("--").and_then(|word| word.split_once('=')).map(|(name, _)| name)
            else {
                continue;
            };
            if !SETTINGS.iter().any(|(known, _)| *known == name) || self.get(name).is_some() {
                continue;
            }
            for verb in &verbs {
                let of_verb = complete.find_subcommand(verb);
                let arg =
                    of_verb.and_then(|verb| verb.get_arguments().find(|arg| arg.get_long() == Some(name)));
                if let Some(arg) = arg.filter(|arg| is_flag(arg)) {
                    let id = arg.get_id().to_string();
                    command = command.mut_subcommand(verb, |of_verb| {
                        of_verb.mut_arg(id, |arg| with_default(arg, &["false".to_owned()], &[]))
                    });
                }
            }
        }
        Ok(command)
    }

    /// Returns a table of the settings of the verb in `words`: their values, and where they come from.
    fn shown(&self, command: Command, words: &[OsString]) -> String {
        let mut rows = Vec::new();
        let mut complete = command.clone();
        complete.build();
        let matches = command.get_matches_from(words);
        match matches.subcommand() {
            Some((verb, matches)) => {
                let arguments = complete.find_subcommand(verb).into_iter().flat_map(Command::get_arguments);
                let is_setting = |arg: &&Arg| {
                    arg.get_long().is_some_and(|name| SETTINGS.iter().any(|(known, _)| *known == name))
                };
                for arg in arguments.filter(is_setting) {
                    let name = arg.get_long().unwrap_or_default();
                    let values = raw(matches, arg);
                    let place = match (matches.value_source(arg.get_id().as_str()), self.get(name)) {
                        (Some(ValueSource::CommandLine), _) => "the command line".to_owned(),
                        (Some(_), Some(setting)) if setting.values == values => setting.place.to_string(),
                        _ => "the default".to_owned(),
                    };
                    rows.push([name.to_owned(), masked(name, &values), place]);
                }
            }
            None => {
                for setting in &self.values {
                    let place = setting.place.to_string();
                    rows.push([setting.name.clone(), masked(&setting.name, &setting.values), place]);
                }
            }
        }
        rows.sort();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1).min(40));
        let mut text = String::new();
        for [name, value, place] in rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:first$}  {value:second$}  {place}");
        }
        text
    }
}

/// Checks a value alone, so that the message names its place.
fn check(arg: &Arg, setting: &Setting) -> Result<(), String> {
    let name = &setting.name;
    let fail = |reason: String| Err(format!("{}: `{name}`: {reason}", setting.place));
    if is_flag(arg) {
        return match &setting.values[..] {
            [value] if value == "true" || value == "false" => Ok(()),
            _ => fail("expected true or false".to_owned()),
        };
    }
    let is_list = matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some();
    if setting.values.len() != 1 && !is_list {
        return fail("expected one value".to_owned());
    }
    let alone = arg.clone().required(false).global(false);
    let words = setting.values.iter().map(|value| format!("--{name}={value}"));
    let words: Vec<_> = std::iter::once("chopsticks".to_owned()).chain(words).collect();
    let bare = Command::new("chopsticks").disable_help_flag(true).arg(remade(alone));
    match bare.try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            fail(line.strip_prefix("error: ").unwrap_or(line).to_owned())
        }
    }
}

/// Returns the option without its ties to others.
fn remade(arg: Arg) -> Arg {
    let mut made =
        Arg::new("value").value_parser(arg.get_value_parser().clone()).action(arg.get_action().clone());
    if let Some(long) = arg.get_long() {
        made = made.long(long.to_owned());
    }
    if let Some(delimiter) = arg.get_value_delimiter() {
        made = made.value_delimiter(delimiter);
    }
    made
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Returns an option with a default, which is left out if an option that excludes it is given.
fn with_default(arg: Arg, values: &[String], conflicts: &[(String, bool)]) -> Arg {
    let is_flag = is_flag(&arg);
    let mut arg = arg;
    if is_flag {
        arg = arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(value_parser!(bool))
            .hide_possible_values(true);
    }
    for (other, is_other_flag) in conflicts {
        let default = if is_flag { Resettable::Value("false".into()) } else { Resettable::Reset };
        // A flag that is not given is there all the same, and false.
        let given =
            if *is_other_flag { ArgPredicate::Equals("true".into()) } else { ArgPredicate::IsPresent };
        arg = arg.default_value_if(other.clone(), given, default);
    }
    arg.default_values(values.to_vec()).hide_default_value(true).required(false)
}

/// Returns a command line in which nothing is required.
fn lenient(command: Command) -> Command {
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.subcommand_required(false).arg_required_else_help(false);
    verbs.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| {
            verb.mut_args(|arg| arg.required(false)).arg_required_else_help(false)
        })
    })
}

fn raw(matches: &ArgMatches, arg: &Arg) -> Vec<String> {
    let values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    values.map(|value| value.to_string_lossy().into_owned()).collect()
}

/// Returns the values in one text. Those of variables may be secret.
fn masked(name: &str, values: &[String]) -> String {
    let mask = |value: &String| match value.split_once('=') {
        Some((variable, _)) if name == "env" => format!("{variable}=…"),
        _ => value.clone(),
    };
    match values {
        [] => "-".to_owned(),
        values => harmless_line(&values.iter().map(mask).collect::<Vec<_>>().join(", ")).into_owned(),
    }
}

/// Returns the environment variable of a setting.
fn variable(name: &str) -> String {
    match name {
        // That name is taken: it lists interpreters for tests.
        "python" => "CHOPSTICKS_REMOTE_PYTHON".to_owned(),
        name => format!("CHOPSTICKS_{}", name.to_uppercase().replace('-', "_")),
    }
}

fn user_file() -> Option<PathBuf> {
    let folder = match env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(folder) => folder,
        None => env::home_dir()?.join(".config"),
    };
    Some(folder.join("chopsticks").join("config.toml"))
}

fn find_upwards(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(NAME)).find(|file| file.is_file())
}

/// Returns why a file is not read, if others could have written it.
fn doubt(file: &Path) -> Option<String> {
    let shown = file.display();
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("{shown} is not read: {error}")),
    };
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me && metadata.uid() != 0 {
        return Some(format!("{shown} is not read, because it belongs to another user"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Some(format!("{shown} is not read, because every user can write it"));
    }
    None
}

fn expanded(folder: &str, home: Option<&Path>) -> PathBuf {
    match (folder.strip_prefix('~'), home) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(folder),
    }
}

/// Paths in a file are relative to its folder.
fn resolved(folder: &Path, path: &str) -> String {
    let path = expanded(path, env::home_dir().as_deref());
    folder.join(path).to_string_lossy().into_owned()
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(origin) => origin.fmt(f),
            Self::Variable(name) => write!(f, "${name}"),
            Self::File(file) => f.write_str(file),
        }
    }
}

/// The settings that are paths on this side.
const PATHS: &[&str] = &["history", "inventory", "log", "output-dir", "root"];
/// The settings with several values.
const LISTS: &[&str] = &["encode", "env", "exclude", "include", "root", "unpack"];

#[cfg(test)]
mod tests;
