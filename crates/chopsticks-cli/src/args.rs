//! The command line.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use chopsticks::{Batch, Budget, Codebase, Encode, Limits, Links, LogLevel, Scope, Target, TunnelConfig};
use clap::{
    CommandFactory as _, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};

use crate::{
    argument::{self, Argument, Keyword},
    function::FunctionName,
    help,
    input::is_stdin,
    log,
    stdin::Wanted,
    target::{self, Chosen},
};

/// Runs your own Python code, and programs, elsewhere. The other end needs nothing but Python.
#[derive(Debug, Parser)]
#[command(name = "chopsticks", version = env!("CHOPSTICKS_VERSION"), max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Call(CallArgs),
    Completions(CompletionsArgs),
    Containers(ContainersArgs),
    Facts(FactsArgs),
    Fetch(FetchArgs),
    Hosts(HostsArgs),
    Man(ManArgs),
    Map(MapArgs),
    Ping(PingArgs),
    Put(PutArgs),
    Run(RunArgs),
}

/// Call a Python function of your codebase on targets in parallel.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CALL)]
pub(crate) struct CallArgs {
    /// The function: `module:name`, `module:Class.method`, `module.name` or `path/of/script.py:name`.
    ///
    /// The module is looked up in the standard library of the target's Python, and then in the codebase. A script runs as a module:
    /// its block under `if __name__ == "__main__"` does not run.
    #[arg(value_name = "FUNCTION")]
    pub(crate) function: FunctionName,

    /// The positional arguments. An argument that is valid JSON is read as JSON; any other argument is text.
    ///
    /// `5` is an integer, `[1, 2]` a list, `true` is True, `null` is None, `web` and `"5"` are text. An argument that begins with `-`
    /// and is not a number goes after `--`, behind all options.
    #[arg(value_name = "ARG", allow_negative_numbers = true, value_parser = argument::parser())]
    pub(crate) args: Vec<Argument>,

    /// A keyword argument. The value is read like ARG. Can be repeated.
    #[arg(long = "kw", value_name = "NAME=VALUE")]
    pub(crate) kwargs: Vec<Keyword>,

    /// A keyword argument whose value is a variable of the target in the inventory. Can be repeated.
    ///
    /// NAME passes the variable NAME as the argument of the same name. NAME=VARIABLE passes another variable.
    #[arg(long = "kw-var", value_name = "NAME[=VARIABLE]")]
    pub(crate) kw_vars: Vec<VariableKeyword>,

    #[command(flatten)]
    pub(crate) code: CodeArgs,

    #[command(flatten)]
    pub(crate) shown: ShownArgs,

    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// The codebase of a function, and the form of its values.
#[derive(Debug, clap::Args)]
pub(crate) struct CodeArgs {
    /// A folder, zip or wheel with Python modules that targets can import. Can be repeated: the first one that has a module wins.
    #[arg(long = "root", value_name = "PATH", default_value = ".")]
    pub(crate) roots: Vec<PathBuf>,

    /// Serve data files that are not served by default, such as `certifi/cacert.pem`. Can be repeated.
    ///
    /// PATTERN is a glob. Without `/` it matches names at any depth; with `/` it matches paths that start at the root. `**` matches any
    /// number of folders.
    #[arg(long = "include", value_name = "PATTERN")]
    pub(crate) includes: Vec<String>,

    /// Do not serve these files and folders, neither as modules nor as data, even if --include names them. PATTERN is a glob as for
    /// --include. Can be repeated.
    #[arg(long = "exclude", value_name = "PATTERN")]
    pub(crate) excludes: Vec<String>,

    /// Allow values in results that are refused otherwise, and send them in a plain form: `objects`, such as dates, paths, enums, named
    /// tuples and data classes, and `names` that are not UTF-8. Without WHAT, both.
    ///
    /// Dates become text, named tuples and data classes become dicts, and so on. In a name, each byte that is not UTF-8 becomes one of
    /// the characters U+EF80 to U+EFFF. In an argument, such text becomes the name again, and an argument that is not UTF-8 is accepted.
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',', num_args = 0..=1, require_equals = true,
          default_missing_value = "objects,names")]
    pub(crate) encode: Vec<EncodeName>,

    /// Write packages of the codebase whose names match, such as `docutils`, to a temporary folder on the targets, so that they find
    /// their files as if they were installed. Can be repeated.
    ///
    /// The folder is removed when the call has ended. All files of the package are written, including keys, except those that --exclude
    /// names.
    #[arg(long = "unpack", value_name = "PATTERN")]
    pub(crate) unpacks: Vec<String>,

    /// Which symbolic links in the codebase are followed.
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = LinksName::WithinRoot)]
    pub(crate) links: LinksName,
}

/// Call a Python function for each line of the input, on whichever target is free.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::MAP)]
pub(crate) struct MapArgs {
    /// The function, as for `call`. Its first argument is the item.
    #[arg(value_name = "FUNCTION")]
    pub(crate) function: FunctionName,

    /// Further positional arguments, the same for all items, as for `call`.
    #[arg(value_name = "ARG", allow_negative_numbers = true, value_parser = argument::parser())]
    pub(crate) args: Vec<Argument>,

    /// A keyword argument. The value is read like ARG. Can be repeated.
    #[arg(long = "kw", value_name = "NAME=VALUE")]
    pub(crate) kwargs: Vec<Keyword>,

    /// The file with the items. `-` is stdin.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,

    /// Take each line as text, even if it is valid JSON or empty.
    #[arg(long)]
    pub(crate) lines: bool,

    /// How many items each target runs at a time, in threads of one Python.
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,

    /// Print the results in the order of the items.
    #[arg(long)]
    pub(crate) ordered: bool,

    /// How many more targets try an item if its target is lost. An item may have run in part by
    /// then. With 0 no item runs twice, and no item is sent ahead, which is slower.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) retries: u32,

    /// How many items may fail before no further item starts.
    #[arg(long, value_name = "N")]
    pub(crate) max_failures: Option<usize>,

    /// Leave out the items that are done according to FILE, and add those that are done in this
    /// run. Items that fail are not added.
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,

    /// Print the target of each result, as `host`.
    #[arg(long)]
    pub(crate) host: bool,

    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// How long each item may take. After that its call is cancelled.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// The longest result of an item, in bytes or with the unit K, M or G. A longer result is a failure of that item.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64M")]
    pub(crate) max_result: usize,

    #[command(flatten)]
    pub(crate) code: CodeArgs,

    #[command(flatten)]
    pub(crate) shown: ShownArgs,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// Report on stderr what happens to connections; given twice, report more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Which output of functions is shown, apart from their results.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ShownArgs {
    /// Show the records of Python's logging from this level on, as `[host] LEVEL logger: message`.
    #[arg(long, value_name = "LEVEL", value_parser = log_level())]
    pub(crate) log_level: Option<LogLevel>,

    /// Show neither what functions print nor what targets write to stderr. An error still quotes the last lines.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// List the containers that tunnels have left over, and remove them with --remove.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CONTAINERS)]
pub(crate) struct ContainersArgs {
    /// The engine whose containers are listed. By default every engine whose program is installed.
    #[arg(long, value_enum)]
    pub(crate) engine: Vec<EngineName>,

    /// Also list containers whose tunnel may still exist. They are not removed.
    #[arg(long)]
    pub(crate) all: bool,

    /// Remove the containers that are left over.
    #[arg(long)]
    pub(crate) remove: bool,

    /// Print one JSON object for each container in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what targets are: addresses, Python, system, CPUs, memory.
#[derive(Debug, clap::Args)]
pub(crate) struct FactsArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// Read a file or folder of each target into a local one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::FILES)]
pub(crate) struct FetchArgs {
    /// The path on the targets; a leading `~` is a home folder there.
    #[arg(value_name = "REMOTE")]
    pub(crate) remote: PathBuf,

    /// The local path, with `{host}` for the name of the target; `-` is stdout. By default a new temporary file for each target.
    #[arg(value_name = "LOCAL")]
    pub(crate) local: Option<String>,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// Write a local file or folder to targets.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::FILES)]
pub(crate) struct PutArgs {
    /// The local path; `-` is stdin.
    #[arg(value_name = "LOCAL")]
    pub(crate) local: PathBuf,

    /// The path on the targets; a leading `~` is a home folder there. By default a new temporary file.
    #[arg(value_name = "REMOTE")]
    pub(crate) remote: Option<PathBuf>,

    /// The owner on the targets: `user`, `user:group` or `:group`, as names or numbers. By default the owner of the file that is replaced,
    /// or the agent's user.
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,

    /// Send only files that differ on the targets, compared by size and SHA-1.
    #[arg(long)]
    pub(crate) if_changed: bool,

    /// Write nothing, and show what would change.
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// How files are transferred.
#[derive(Debug, clap::Args)]
pub(crate) struct TransferArgs {
    /// The permissions of the file, in octal digits. By default those of the file that is replaced, or of the source.
    #[arg(long, value_name = "MODE", value_parser = mode, conflicts_with = "recursive")]
    pub(crate) mode: Option<u32>,

    /// Transfer a folder with everything in it, into an existing or a new folder.
    #[arg(short, long)]
    pub(crate) recursive: bool,

    /// Keep the times of modification.
    #[arg(long)]
    pub(crate) times: bool,

    /// Fail if the file already exists.
    #[arg(long)]
    pub(crate) no_overwrite: bool,

    /// The maximum number of bytes per second for each target.
    #[arg(long, value_name = "BYTES")]
    pub(crate) rate: Option<NonZeroU64>,
}

/// Show the targets that would be reached, and how, without connecting.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::HOSTS)]
pub(crate) struct HostsArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// Print one JSON object for each target in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write the manual pages into a folder.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The folder, which has to exist. The pages are `chopsticks.1`, `chopsticks-call.1` and so on.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

/// Connect to targets, and show their Python and how fast they answer.
#[derive(Debug, clap::Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// Run a program on targets in parallel, and show its output as it arrives.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::RUN)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,

    /// Give all of stdin to each target. Without this option, a single target gets stdin, unless it is a terminal, and several targets get
    /// an empty stdin.
    #[arg(long, conflicts_with = "no_stdin")]
    pub(crate) stdin_to_all: bool,

    /// Give the program an empty stdin, as `ssh -n` does. A loop that reads its list from stdin needs this option, because the program
    /// would read the list otherwise.
    #[arg(short = 'n', long)]
    pub(crate) no_stdin: bool,

    /// Replace `{host}` in the arguments by the name of the target, and `{var.NAME}` by its variable in the inventory.
    #[arg(long)]
    pub(crate) template: bool,

    /// Pass on the output of the program byte for byte, as `ssh` does: without the name of the target, and without a summary. This takes one
    /// target. What goes to a terminal is shown as without this option.
    #[arg(long, conflicts_with_all = ["json", "fold", "ordered"])]
    pub(crate) raw: bool,

    /// The program and its arguments, after `--`.
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// How many targets run at once, and what happens to their results.
#[derive(Debug, clap::Args)]
pub(crate) struct GroupArgs {
    /// How many targets run at once. By default all; 64 connect at once.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,

    /// Run in batches of this number or percentage of targets: no target starts before those of the earlier batches are done.
    #[arg(long, value_name = "N|P%")]
    pub(crate) batch: Option<Batch>,

    /// How many targets may fail before the run stops, as a number or a percentage: after more failures no further target starts. Targets
    /// that run go on.
    #[arg(long, value_name = "N|P%")]
    pub(crate) max_failures: Option<Budget>,

    /// Write the targets that failed, or were not started, to a file, one in each line: `--on @FILE` tries them again.
    #[arg(long, value_name = "FILE")]
    pub(crate) failed: Option<PathBuf>,

    /// Show equal results of a function, and equal output of a program, once, at the end, with the targets that have them.
    #[arg(long, conflicts_with = "json")]
    pub(crate) fold: bool,

    /// Show results in the order of the targets, and the output of a program together for each.
    #[arg(long, conflicts_with = "fold")]
    pub(crate) ordered: bool,

    /// Show a table of outcomes at the end: how many targets have each outcome, and which. Without this option, the table is shown when some
    /// of more than 10 targets have failed.
    #[arg(long, conflicts_with = "json")]
    pub(crate) summary: bool,
}

/// Which targets there are.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SelectArgs {
    /// The targets: `HOST`, `USER@HOST`, `web[1-9]`, `local`, `sudo:USER`, `docker://IMAGE`, `exec:COMMAND`, `@GROUP`, `@FILE` and more.
    #[arg(long = "on", value_name = "TARGET", required = true, long_help = help::TARGETS)]
    pub(crate) on: Vec<String>,

    /// Targets to leave out, compared by name. Written like TARGET of --on. Can be repeated.
    #[arg(long, value_name = "TARGET")]
    pub(crate) except: Vec<String>,

    /// A file with hosts, groups and variables: `chopsticks.toml`, or an inventory of Ansible as INI or YAML.
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
}

/// The options of all verbs with targets.
#[derive(Debug, clap::Args)]
pub(crate) struct FleetArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// How long each target may take, from connecting to the result. After that its call is cancelled.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// The longest result of a target, in bytes or with the unit K, M or G. A longer result is a failure of that target.
    ///
    /// Turning a result into text takes up to 20 times its length of memory.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64M")]
    pub(crate) max_result: usize,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    #[command(flatten)]
    pub(crate) group: GroupArgs,

    /// Print one JSON object for each target in place of text.
    #[arg(long)]
    pub(crate) json: bool,

    /// Report on stderr what happens to connections; given twice, report more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How the Python of targets is started.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    /// The Python to run: a path, a name, or `auto`, which looks for one. By default `/usr/bin/python3`.
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,

    /// Let targets also import from their Python's site-packages, and not only from its standard library.
    #[arg(long)]
    pub(crate) site_packages: bool,

    /// Let targets also import the packages that their user has installed (`pip install --user`).
    #[arg(long)]
    pub(crate) user_site: bool,

    /// Let targets also import from the folders of the variable PYTHONPATH: their own, or the one that --env sets.
    #[arg(long)]
    pub(crate) search_path: bool,

    /// The working directory on the targets. By default the one in which they start.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,

    /// An environment variable on the targets. Can be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<Variable>,

    /// Append a record of each operation on each target to a file, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
}

/// A program that runs containers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum EngineName {
    Docker,
    Podman,
}

/// The values that are sent in a plain form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum EncodeName {
    Names,
    Objects,
}

/// Which links are followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LinksName {
    /// All links. Everything that they lead to is served.
    Anywhere,
    /// Links that stay within their root.
    WithinRoot,
}

/// An environment variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A keyword argument that comes from a variable of the target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct VariableKeyword {
    pub(crate) name: String,
    pub(crate) variable: String,
}

fn log_level() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LogLevel::ALL.map(LogLevel::name))
        .try_map(|name| name.parse::<LogLevel>().map_err(|error| error.to_string()))
}

/// Performs the checks of a verb that concern several options. Ends the program with a usage error
/// if they fail.
pub(crate) fn checked<T>(verb: &str, check: impl FnOnce() -> Result<T, String>) -> T {
    check().unwrap_or_else(|message| {
        let mut command = Args::command();
        command.build();
        // The subcommand's own usage is the one that helps.
        let subcommand = command.find_subcommand_mut(verb).expect("the verb is defined above");
        subcommand.error(ErrorKind::ValueValidation, help::shortened(&message)).exit()
    })
}

impl RunArgs {
    /// Checks the options and returns the targets.
    pub(crate) fn check(&self) -> Result<Chosen, String> {
        let chosen = self.fleet.targets()?;
        if self.raw && chosen.targets.len() > 1 {
            return Err(format!("--raw takes one target, and there are {}", chosen.targets.len()));
        }
        if self.template {
            let mut words = self.command.iter().filter_map(|word| word.to_str());
            words.try_for_each(|word| chosen.hosts.check_template(word))?;
        }
        Ok(chosen)
    }

    /// Returns which targets get stdin.
    pub(crate) fn stdin(&self) -> Wanted {
        match (self.stdin_to_all, self.no_stdin) {
            (true, _) => Wanted::ByAll,
            (false, true) => Wanted::No,
            (false, false) => Wanted::ByTargets,
        }
    }
}

impl CallArgs {
    /// Checks the options and returns the targets.
    pub(crate) fn check(&self) -> Result<Chosen, String> {
        self.code.check(&self.function, &self.args, &self.kwargs)?;
        let chosen = self.fleet.targets()?;
        let mut names: BTreeSet<_> = self.kwargs.iter().map(|keyword| &keyword.name).collect();
        for keyword in &self.kw_vars {
            if !names.insert(&keyword.name) {
                return Err(format!("the keyword argument '{}' is given twice", keyword.name));
            }
            chosen.hosts.check_variable(&keyword.variable)?;
        }
        Ok(chosen)
    }
}

impl MapArgs {
    /// Checks the options and returns the targets.
    pub(crate) fn check(&self) -> Result<Chosen, String> {
        self.code.check(&self.function, &self.args, &self.kwargs)?;
        if is_stdin(&self.input) && self.select.on.iter().any(|on| on.split(',').any(|target| target == "@-"))
        {
            return Err("stdin cannot have both the targets and the items".to_owned());
        }
        target::choose(&self.select)
    }
}

impl CodeArgs {
    /// Checks the options of a call.
    fn check(&self, function: &FunctionName, args: &[Argument], kwargs: &[Keyword]) -> Result<(), String> {
        let mut names = BTreeSet::new();
        if let Some(keyword) = kwargs.iter().find(|keyword| !names.insert(&keyword.name)) {
            return Err(format!("the keyword argument '{}' is given twice", keyword.name));
        }
        if args.iter().any(|arg| matches!(arg, Argument::Name(_)))
            && !self.encode.contains(&EncodeName::Names)
        {
            return Err("an argument is not UTF-8; with --encode=names it is sent as it is".to_owned());
        }
        // A folder in an archive has its archive somewhere above it.
        let is_there = |root: &PathBuf| root.is_dir() || root.ancestors().any(|path| path.is_file());
        if let Some(root) = self.roots.iter().find(|root| !is_there(root)) {
            return Err(format!("the root '{}' is neither a folder nor an archive", root.display()));
        }
        if let Some(script) = function.script().filter(|script| !script.is_file()) {
            return Err(format!("there is no script '{}'", script.display()));
        }
        Ok(())
    }

    /// Adds the codebase, and the forms of values, to a configuration.
    pub(crate) fn configure(self, function: &FunctionName, config: TunnelConfig) -> TunnelConfig {
        let Self { roots, includes, excludes, unpacks, links, encode } = self;
        // Of several roots that have a module the first wins. Shared by all tunnels, so that each file is read and parsed once.
        let codebase = function.script_folder().map_or_else(Codebase::default, Codebase::folder);
        let codebase = roots.into_iter().fold(codebase, Codebase::and_path);
        let codebase = includes.into_iter().fold(codebase, Codebase::include);
        let codebase = excludes.into_iter().fold(codebase, Codebase::exclude);
        let codebase = unpacks.into_iter().fold(codebase, Codebase::unpack);
        let codebase = match links {
            LinksName::Anywhere => codebase.links(Links::Anywhere),
            LinksName::WithinRoot => codebase,
        };
        let config = encode.into_iter().fold(config, |config, what| {
            config.encode(match what {
                EncodeName::Names => Encode::Names,
                EncodeName::Objects => Encode::Objects,
            })
        });
        config.modules(codebase)
    }
}

impl AgentArgs {
    /// Adds the options to a configuration.
    pub(crate) fn configure(self, mut config: TunnelConfig) -> TunnelConfig {
        if self.site_packages {
            config = config.with_site_packages();
        }
        if self.user_site {
            config = config.with_user_site();
        }
        if self.search_path {
            config = config.with_search_path();
        }
        if let Some(folder) = self.cwd {
            config = config.current_dir(folder);
        }
        if let Some(log) = self.log {
            config = config.audit(log::open(&log));
        }
        for variable in self.env {
            config = config.env(variable.name, variable.value);
        }
        config
    }

    /// Gives targets that name no Python the one of the options.
    pub(crate) fn with_python(&self, targets: Vec<Target>) -> Vec<Target> {
        let with_python = |target: Target| match &self.python {
            Some(python) => target.or_python(python),
            None => target,
        };
        targets.into_iter().map(with_python).collect()
    }
}

impl FetchArgs {
    /// Returns whether the content goes to stdout.
    pub(crate) fn is_stdout(&self) -> bool {
        self.local.as_deref().is_some_and(|local| local == "-" || local == "/dev/stdout")
    }

    /// Checks the options, and returns the targets and the local path of each.
    pub(crate) fn check(&self) -> Result<(Chosen, Option<Vec<PathBuf>>), String> {
        let targets = self.fleet.targets()?;
        if self.is_stdout() {
            if self.transfer.recursive || self.fleet.json {
                return Err("stdout gets the content of a file, and nothing else".to_owned());
            }
            if targets.len() > 1 {
                return Err("stdout takes the file of one target".to_owned());
            }
            return Ok((targets, None));
        }
        let paths = self.local.as_deref().map(|local| local_paths(local, &targets)).transpose()?;
        Ok((targets, paths))
    }
}

/// Returns the local path of each target.
fn local_paths(local: &str, chosen: &Chosen) -> Result<Vec<PathBuf>, String> {
    if !local.contains("{var.") {
        let hosts = chosen.targets.iter().map(Target::host);
        return chopsticks::host_paths(local, hosts).map_err(|error| error.to_string());
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut known = BTreeSet::new();
    for (target, host) in chosen.targets.iter().zip(chosen.hosts.iter()) {
        // A name cannot lead out of the folder. What is in variables is the user's.
        let path = chopsticks::host_paths(local, [target.host()]).map_err(|error| error.to_string())?;
        let path = path[0].to_str().unwrap_or(local);
        let path = PathBuf::from(host.fill(path).map_err(|error| error.to_string())?);
        if !known.insert(path.clone()) {
            let path = path.display();
            return Err(format!(
                "the files of several targets would be written to {path}; put `{{host}}` into the path"
            ));
        }
        paths.push(path);
    }
    Ok(paths)
}

impl PutArgs {
    /// Returns whether the local path differs from target to target.
    pub(crate) fn has_local_template(&self) -> bool {
        self.local.to_str().is_some_and(target::is_template)
    }

    /// Checks the options and returns the targets.
    pub(crate) fn check(&self) -> Result<Chosen, String> {
        if is_stdin(&self.local) {
            if self.if_changed || self.dry_run {
                return Err("stdin cannot be compared".to_owned());
            }
            if self.transfer.recursive {
                return Err("a folder cannot be read from stdin".to_owned());
            }
            if self.fleet.select.on.iter().any(|on| on.split(',').any(|target| target == "@-")) {
                return Err("stdin cannot have both the targets and the content".to_owned());
            }
            return self.fleet.targets();
        }
        let chosen = self.fleet.targets()?;
        if let Some(remote) = self.remote.as_ref().and_then(|remote| remote.to_str()) {
            chosen.hosts.check_template(remote)?;
        }
        if self.has_local_template() {
            let local = self.local.to_string_lossy();
            chosen.hosts.check_template(&local)?;
            for target in &chosen.targets {
                self.check_local(Path::new(&chosen.hosts.fill(target.host(), &local)))?;
            }
        } else {
            self.check_local(&self.local)?;
        }
        Ok(chosen)
    }

    fn check_local(&self, path: &Path) -> Result<(), String> {
        let local = path.display();
        match fs::metadata(path) {
            Err(error) => Err(format!("cannot read {local}: {error}")),
            Ok(metadata) if metadata.is_dir() && !self.transfer.recursive => {
                Err(format!("{local} is a folder: write -r to put all that is in it"))
            }
            Ok(metadata) if !metadata.is_dir() && self.transfer.recursive => {
                Err(format!("{local} is not a folder"))
            }
            Ok(_) => Ok(()),
        }
    }
}

impl GroupArgs {
    /// Returns the limits of the group.
    pub(crate) fn limits(&self) -> Limits {
        let limits = Limits::default().batch(self.batch);
        let limits = self.limit.map_or(limits.clone(), |limit| limits.max_running(limit.get()));
        match self.max_failures {
            Some(budget) => limits.max_failures(budget, Scope::All),
            None => limits,
        }
    }
}

impl FleetArgs {
    /// Parses the targets, and checks that the file for failed targets can be written.
    pub(crate) fn targets(&self) -> Result<Chosen, String> {
        let targets = target::choose(&self.select)?;
        if let Some(file) = &self.group.failed {
            // What is in it stays until it is known who failed: the targets may have come from it.
            can_write(file).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        Ok(targets)
    }
}

/// Checks that a file can be written, and creates it if it does not exist. Anything other than a
/// file, such as a pipe, is left alone.
fn can_write(file: &Path) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Ok(()),
        _ => fs::OpenOptions::new().append(true).create(true).open(file).map(drop),
    }
}

impl FromStr for VariableKeyword {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, variable) = text.split_once('=').unwrap_or((text, text));
        if name.is_empty() || variable.is_empty() {
            return Err("expected NAME or NAME=VARIABLE".to_owned());
        }
        Ok(Self { name: name.to_owned(), variable: variable.to_owned() })
    }
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err("expected octal digits, such as 644".to_owned()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let size = digits.parse().ok().and_then(|number: usize| number.checked_mul(unit));
    size.filter(|&size| size > 0)
        .ok_or_else(|| "expected a number of bytes above 0, such as 1000000 or 64M".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "expected a number of seconds, such as 30 or 0.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err("expected a number of seconds above 0".to_owned()),
    }
}

#[cfg(test)]
mod tests;
