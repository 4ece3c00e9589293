//! Functions of several programs, which differ in whatever else they contain.

use std::{fs, io};

use chopsticks_function::function;

/// Returns the process, and the length of its program.
#[function(name = "e2e::program")]
pub fn program() -> io::Result<(u32, u64)> {
    Ok((std::process::id(), fs::metadata("/proc/self/exe")?.len()))
}

/// Starts programs until it is ended.
#[function(name = "e2e::starts")]
pub fn starts(mark: &str) -> io::Result<()> {
    for number in 0_u64.. {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "trap '' TERM; sleep 300; true", mark]);
        if number % 2 == 0 {
            drop(shell.spawn()?);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}
