//! The passwords that are asked for on the terminal, or that commands print.

use std::{
    io::{self, Read as _},
    process::{Command, Stdio},
};

use chopsticks::{Secret, SecretKind, Secrets, TunnelConfig};
use clap::{CommandFactory as _, error::ErrorKind};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::args::Args;

/// Where passwords come from. Each is asked for once, and used for all targets.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SecretArgs {
    /// Ask on the terminal for the password that ssh logs in with. It is used for all targets and jump hosts that ask for one.
    #[arg(long, conflicts_with = "password_command")]
    pub(crate) ask_password: bool,

    /// Run a command of the shell, and use the first line of its output as the password that ssh logs in with.
    #[arg(long, value_name = "CMD")]
    pub(crate) password_command: Option<String>,

    /// Ask on the terminal for the passphrase of private keys.
    #[arg(long)]
    pub(crate) ask_passphrase: bool,

    /// Ask on the terminal for the password of sudo on the targets. If nothing is entered, it is the one that ssh logs in with.
    #[arg(long, conflicts_with = "sudo_password_command")]
    pub(crate) ask_sudo_password: bool,

    /// Run a command of the shell, and use the first line of its output as the password of sudo.
    #[arg(long, value_name = "CMD")]
    pub(crate) sudo_password_command: Option<String>,
}

/// Adds the secrets to a configuration, and asks for them. Ends the program with a usage error if
/// there is one missing.
pub(crate) fn configure(args: &SecretArgs, config: TunnelConfig) -> TunnelConfig {
    match secrets(args) {
        Ok(None) => config,
        Ok(Some(secrets)) => config.secrets(secrets),
        Err(message) => Args::command().error(ErrorKind::ValueValidation, message).exit(),
    }
}

fn secrets(args: &SecretArgs) -> Result<Option<Secrets>, String> {
    let SecretArgs {
        ask_password,
        password_command,
        ask_passphrase,
        ask_sudo_password,
        sudo_password_command,
    } = args;
    let is_wanted = [*ask_password, *ask_passphrase, *ask_sudo_password].contains(&true);
    if !is_wanted && password_command.is_none() && sudo_password_command.is_none() {
        return Ok(None);
    }
    keep_memory_private();
    let mut secrets = Secrets::new();
    let password = match password_command {
        Some(command) => Some(printed(command, "--password-command")?),
        None if *ask_password => Some(asked("Password: ")?),
        None => None,
    };
    if let Some(password) = &password {
        secrets = secrets.with(SecretKind::Password, password.clone());
        secrets = secrets.with(SecretKind::JumpPassword, password.clone());
    }
    if *ask_passphrase {
        secrets = secrets.with(SecretKind::Passphrase, asked("Passphrase of keys: ")?);
    }
    let sudo = match sudo_password_command {
        Some(command) => Some(printed(command, "--sudo-password-command")?),
        None if *ask_sudo_password => {
            let hint = if password.is_some() { " [that of ssh]" } else { "" };
            let answer = asked(&format!("Password of sudo{hint}: "))?;
            if answer.expose().is_empty() { password.or(Some(answer)) } else { Some(answer) }
        }
        None => None,
    };
    Ok(Some(sudo.into_iter().fold(secrets, |secrets, sudo| secrets.with(SecretKind::Sudo, sudo))))
}

/// Asks on the terminal, whatever stdin and stdout are.
fn asked(prompt: &str) -> Result<Secret, String> {
    let answer = rpassword::prompt_password(prompt);
    answer.map(Secret::new).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted => "no password was entered".to_owned(),
        _ => format!("a password can only be entered on a terminal: {error}"),
    })
}

/// Returns the first line that a command prints. Its stdin is empty, and its stderr is that of this
/// program.
fn printed(command: &str, option: &str) -> Result<Secret, String> {
    let failed = |error: io::Error| format!("the command of {option} cannot be run: {error}");
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = shell.spawn().map_err(failed)?;
    // With its whole length from the beginning, since growing would leave copies behind.
    let mut text = String::with_capacity(MAX_PRINTED as usize);
    let read = child.stdout.take().map(|stdout| stdout.take(MAX_PRINTED).read_to_string(&mut text));
    let status = child.wait().map_err(failed)?;
    if let Some(Err(error)) = read {
        return Err(failed(error));
    }
    // The text may be a secret even then.
    let all = Secret::new(text);
    if !status.success() {
        return Err(format!("the command of {option} has failed: {status}"));
    }
    match all.expose().lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(format!("the command of {option} has printed no password")),
    }
}

/// Keeps secrets out of core dumps, and other processes of the user out of the memory.
fn keep_memory_private() {
    // If the system refuses, the secrets are as exposed as those of any other program.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Longer than any password.
const MAX_PRINTED: u64 = 64 << 10;
