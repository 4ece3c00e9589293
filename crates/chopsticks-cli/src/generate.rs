//! `chopsticks completions` and `chopsticks man`: the files that packagers install with the
//! program.

use std::{io, process::ExitCode};

use clap::CommandFactory as _;

use crate::{
    args::{Args, CompletionsArgs, ManArgs},
    output::Output,
};

/// Prints the completion script for a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "chopsticks", &mut script);
    let output = Output::human();
    let written = output.write(&String::from_utf8_lossy(&script));
    finish(output, written)
}

/// Writes the manual pages, one for the program and one for each command.
pub(crate) fn man(args: &ManArgs) -> ExitCode {
    finish(Output::human(), clap_mangen::generate_to(Args::command(), &args.folder))
}

fn finish(mut output: Output, result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.complain(&format!("cannot write: {error}"));
            ExitCode::FAILURE
        }
    }
}
