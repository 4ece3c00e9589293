//! Checks that concern several options, and what options mean to the library.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anstream::ColorChoice;
use chopsticks::{Agent, Codebase, Encode, Limits, Links, Retry, Scope, Target, TunnelConfig};

use super::{
    AgentArgs, AgentName, CallArgs, CodeArgs, ColorName, ConnectArgs, EncodeName, FetchArgs, FleetArgs,
    GroupArgs, LinksName, MapArgs, PutArgs, RunArgs, ShellArgs,
    place::{check_remote, folder_destination, in_home},
};
use crate::{
    answer::Compared,
    argument::{Argument, Keyword},
    function::FunctionName,
    input::is_stdin,
    log, secrets,
    stdin::Wanted,
    target::{self, Chosen},
};

impl RunArgs {
    /// Checks the options and returns the targets.
    pub(crate) fn check(&self) -> Result<Chosen, String> {
        let chosen = self.fleet.targets()?;
        if self.raw && chosen.targets.len() > 1 {
            return Err(format!("--raw takes one target, and there are {}", chosen.targets.len()));
        }
        if self.fleet.retry.idempotent
            && chosen.targets.len() == 1
            && self.stdin() != Wanted::No
            && !io::stdin().is_terminal()
        {
            return Err(
                "stdin cannot be given twice: --idempotent needs --no-stdin with one target".to_owned()
            );
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
        self.fleet.agent.check_python()?;
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
        self.agent.check_python()?;
        self.code.check(&self.function, &self.args, &self.kwargs)?;
        if is_stdin(&self.input) && self.select.on.iter().any(|on| on.split(',').any(|target| target == "@-"))
        {
            return Err("stdin cannot have both the targets and the items".to_owned());
        }
        target::choose(&self.select)
    }
}

impl ShellArgs {
    /// Checks the options and returns the targets.
    pub(crate) fn check(&self) -> Result<Chosen, String> {
        self.code.check_roots()?;
        if !io::stdin().is_terminal()
            && self.select.on.iter().any(|on| on.split(',').any(|target| target == "@-"))
        {
            return Err("stdin cannot have both the targets and the lines".to_owned());
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
        self.check_roots()?;
        if let Some(script) = function.script().filter(|script| !script.is_file()) {
            return Err(format!("the script '{}' does not exist", script.display()));
        }
        Ok(())
    }

    fn check_roots(&self) -> Result<(), String> {
        // A folder in an archive has its archive somewhere above it.
        let is_there = |root: &PathBuf| root.is_dir() || root.ancestors().any(|path| path.is_file());
        if let Some(root) = self.roots.iter().find(|root| !is_there(root)) {
            return Err(format!("the root '{}' is neither a folder nor an archive", root.display()));
        }
        Ok(())
    }

    /// Adds the codebase, and the forms of values, to a configuration.
    pub(crate) fn configure(self, function: &FunctionName, config: TunnelConfig) -> TunnelConfig {
        self.configure_with(function.script_folder().map_or_else(Codebase::default, Codebase::folder), config)
    }

    /// Adds the codebase, behind that one, and the forms of values, to a configuration.
    pub(crate) fn configure_with(self, codebase: Codebase, config: TunnelConfig) -> TunnelConfig {
        let Self { roots, includes, excludes, unpacks, links, encode } = self;
        // Of several roots that have a module the first wins. Shared by all tunnels, so that each file is read and parsed once.
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
    pub(crate) fn configure(self, config: TunnelConfig) -> TunnelConfig {
        let mut config = config.agent(match self.kind {
            AgentName::Auto => Agent::Auto,
            AgentName::Native => Agent::Native,
            AgentName::Python => Agent::Python,
        });
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
        secrets::configure(&self.secrets, config)
    }

    /// Refuses an agent that cannot call functions in Python.
    fn check_python(&self) -> Result<(), String> {
        if self.kind == AgentName::Native {
            return Err("a native agent calls no functions in Python: use --agent auto or python".to_owned());
        }
        Ok(())
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
        check_remote(&self.remote, &targets.targets)?;
        if self.is_stdout() {
            if self.transfer.recursive || self.fleet.json {
                return Err("stdout gets the content of a file, and nothing else".to_owned());
            }
            if targets.len() > 1 {
                return Err("stdout takes the file of one target".to_owned());
            }
            self.transfer.check_stream("stdout")?;
            return Ok((targets, None));
        }
        self.transfer.patterns()?;
        if self.transfer.recursive && (self.transfer.delta || self.transfer.resume) {
            return Err("with -r, only put has --delta and --resume".to_owned());
        }
        if self.local.is_none() && self.transfer.compares() != Compared::No {
            return Err("a new temporary file cannot be compared: give a local path".to_owned());
        }
        let Some(local) = &self.local else { return Ok((targets, None)) };
        let mut paths = local_paths(local, &targets)?;
        if self.transfer.recursive {
            let destination = |path: &PathBuf| folder_destination(&self.remote, path);
            paths = paths.iter().map(destination).collect::<Result<_, _>>()?;
        }
        let paths = paths.into_iter().map(|path| path.to_str().map_or_else(|| path.clone(), in_home));
        let paths = paths.collect();
        Ok((targets, Some(paths)))
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
    for target in &chosen.targets {
        // A name cannot lead out of the folder. What is in variables is the user's.
        let path = chopsticks::host_paths(local, [target.host()]).map_err(|error| error.to_string())?;
        let path = path[0].to_str().unwrap_or(local);
        let path = match chosen.hosts.get(target.host()) {
            Some(host) => PathBuf::from(host.fill(path).map_err(|error| error.to_string())?),
            None => PathBuf::from(path),
        };
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

    /// Checks the options, completes the paths, and returns the targets.
    pub(crate) fn check(&mut self) -> Result<Chosen, String> {
        let chosen = self.check_options()?;
        if let Some(remote) = &mut self.remote {
            check_remote(remote, &chosen.targets)?;
            if self.transfer.recursive {
                *remote = folder_destination(&self.local, remote)?;
            }
        }
        Ok(chosen)
    }

    fn check_options(&mut self) -> Result<Chosen, String> {
        if let Some(local) = self.local.to_str() {
            self.local = in_home(local);
        }
        if is_stdin(&self.local) {
            self.transfer.check_stream("stdin")?;
            if self.fleet.retry.idempotent {
                return Err("stdin cannot be given twice, as --idempotent needs".to_owned());
            }
            if self.transfer.recursive {
                return Err("a folder cannot be read from stdin".to_owned());
            }
            if self.fleet.select.on.iter().any(|on| on.split(',').any(|target| target == "@-")) {
                return Err("stdin cannot have both the targets and the content".to_owned());
            }
            return self.fleet.targets();
        }
        self.transfer.patterns()?;
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
                Err(format!("{local} is not a folder: leave out -r"))
            }
            Ok(_) => Ok(()),
        }
    }
}

impl ConnectArgs {
    /// Adds the options to a configuration.
    pub(crate) fn configure(&self, config: TunnelConfig) -> TunnelConfig {
        let retry = match self.wait_for {
            Some(time) => Retry::within(time),
            None => Retry::times(self.retries),
        };
        config.connect_retry(retry)
    }
}

impl ColorName {
    /// Makes this the choice for all that the program writes.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        if self != Self::Auto {
            choice.write_global();
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
        let mut targets = target::choose(&self.select)?;
        if self.group.sort {
            targets.sort();
        }
        if self.retry.idempotent && self.retry.connect.retries == 0 {
            return Err("--idempotent needs --retries".to_owned());
        }
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
