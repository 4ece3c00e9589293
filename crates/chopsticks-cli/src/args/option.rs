//! Options that several verbs share.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use chopsticks::{Batch, Budget, LogLevel};
use clap::ValueEnum;

use super::value::{Variable, duration, log_level, size};
use crate::{help, secrets::SecretArgs};

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

    /// Take the targets in the order of their names, and show results in this order, as with --ordered. Numbers in names count as
    /// numbers: web2 comes before web10.
    #[arg(long)]
    pub(crate) sort: bool,

    /// Show the most frequent result of a function, or output of a program, and for other ones how they differ from it, at the end.
    #[arg(long, conflicts_with_all = ["json", "fold", "ordered"])]
    pub(crate) diff_outputs: bool,

    /// When colours are used. With colours, lines of different targets have different ones, and begin in the same column.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorName::Auto)]
    pub(crate) color: ColorName,
}

/// How often targets are tried again.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ConnectArgs {
    /// How often each target is tried again, after growing pauses, if it cannot be reached, or is lost before the function or program has
    /// begun. Logins that are refused, and other failures that persist, are not tried again.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retries: u32,

    /// How long to wait for targets that are coming up: they are tried again as often as necessary.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) wait_for: Option<Duration>,
}

/// What happens after failures.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// The operation may run several times: with --retries it is tried again after every failure, also if it has begun.
    #[arg(long)]
    pub(crate) idempotent: bool,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum ColorName {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    Always,
    Never,
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
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// The longest result of a target, in bytes or with the unit K, M or G. A longer result is a failure of that target.
    ///
    /// Turning a result into text takes up to 20 times its length of memory.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64M")]
    pub(crate) max_result: usize,

    #[command(flatten)]
    pub(crate) retry: RetryArgs,

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

    /// What runs on the targets. `native` is a copy of this program, for targets without Python.
    ///
    /// `native` needs a POSIX `sh` on the target, and the same kind of machine as this one. It runs programs and transfers files, but
    /// no functions in Python. `auto` is `python`, and `native` on targets that have no Python.
    #[arg(long = "agent", value_enum, value_name = "KIND", default_value_t = AgentName::Python)]
    pub(crate) kind: AgentName,

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

    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
}

/// The kind of agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AgentName {
    Auto,
    Native,
    Python,
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
