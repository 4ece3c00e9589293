//! Every driver but those of containers, on the hosts that `cargo xtask test-hosts` sets up.

mod functions;
mod links;
mod many;
mod outward;
mod passwords;
mod ssh;
mod sudo;

chopsticks_hosts::behaviours! { bwrap local nsenter srun ssh_plain ssh_sudo sudo_user via_ssh_sudo via_sudo_ssh_local }
