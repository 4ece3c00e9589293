//! The command line.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use crate::{
    argument::{self, Argument, Keyword},
    function::FunctionName,
    help,
};

mod check;
mod option;
mod place;
mod transfer;
mod value;

use self::value::{duration, size};
pub(crate) use self::{
    option::{
        AgentArgs, AgentName, CodeArgs, ColorName, ConnectArgs, EncodeName, EngineName, FleetArgs, GroupArgs,
        LinksName, RetryArgs, SelectArgs, ShownArgs,
    },
    transfer::TransferArgs,
    value::VariableKeyword,
};

/// Runs your own Python code, and programs, elsewhere. The other end needs nothing but Python.
#[derive(Debug, Parser)]
#[command(name = "chopsticks", version = env!("CHOPSTICKS_VERSION"), max_term_width = 100)]
pub(crate) struct Args {
    /// The file with defaults for options, in place of the `chopsticks.toml` that is found in the working directory or above it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Read no file with defaults for options.
    #[arg(long, global = true, conflicts_with = "config")]
    no_config: bool,

    /// Show the value of each setting, and where it comes from, and do nothing.
    #[arg(long, global = true)]
    show_config: bool,

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
    Shell(ShellArgs),
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
    #[arg(long, value_name = "TIME", value_parser = duration)]
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
    /// The path on the targets; a leading `~` is a home folder there. With -r, a path that ends with `/` means the content of the folder.
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
    /// The local path; `-` is stdin. With -r, a path that ends with `/` means the content of the folder.
    #[arg(value_name = "LOCAL")]
    pub(crate) local: PathBuf,

    /// The path on the targets; a leading `~` is a home folder there. By default a new temporary file.
    #[arg(value_name = "REMOTE")]
    pub(crate) remote: Option<PathBuf>,

    /// The owner on the targets: `user`, `user:group` or `:group`, as names or numbers. By default the owner of the file that is replaced,
    /// or the agent's user.
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
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
    #[arg(long, conflicts_with_all = ["json", "fold", "ordered", "diff_outputs"])]
    pub(crate) raw: bool,

    /// Write the output of each target to files in a folder, in place of showing it: `HOST.out` and `HOST.err`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "fold", "raw", "diff_outputs"])]
    pub(crate) output_dir: Option<PathBuf>,

    /// The program and its arguments, after `--`.
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Open a Python prompt on targets, which keeps its names from line to line.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::SHELL)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// How long each block may take. After that it is cancelled.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// The longest answer of a target, in bytes or with the unit K, M or G.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64M")]
    pub(crate) max_result: usize,

    /// The file for the lines that were typed; `-` keeps none. By default `chopsticks/shell-history` in the folder of the variable
    /// XDG_STATE_HOME. Lines that begin with a space are not kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) code: CodeArgs,

    #[command(flatten)]
    pub(crate) shown: ShownArgs,

    #[command(flatten)]
    pub(crate) retry: ConnectArgs,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// When colours are used.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorName::Auto)]
    pub(crate) color: ColorName,

    /// Report on stderr what happens to connections; given twice, report more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
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

#[cfg(test)]
mod tests;
