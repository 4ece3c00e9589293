//! Writes a configuration file to several hosts, and runs a command on those that have it.
//!
//! ```console
//! $ cargo run -p chopsticks --example configure -- app.conf /etc/app.conf 'systemctl restart app' www1 www2 www3
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{env, error::Error};

use chopsticks::{Call, Group, TunnelConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(local), Some(remote), Some(command)) = (args.next(), args.next(), args.next()) else {
        return Err("a file, its path on the hosts, a command, and hosts are wanted".into());
    };
    let group = Group::parse(args, TunnelConfig::default())?;
    let written = group.put(local, remote).await;
    let restart = Call::new("subprocess:check_call").args((command,)).kwarg("shell", true);
    let restarted = group.succeeded(&written).call_with(restart).await;
    for (host, file) in written.successful() {
        let is_restarted = restarted.get(host).is_some_and(Result::is_ok);
        println!("{host}: {} bytes, {}", file.size, if is_restarted { "restarted" } else { "not restarted" });
    }
    restarted.raise_failures()?;
    written.raise_failures()?;
    Ok(())
}
