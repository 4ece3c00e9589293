//! Every driver but those of containers, on the hosts that `cargo xtask test-hosts` sets up.

chopsticks_hosts::behaviours! { bwrap local nsenter srun ssh ssh_sudo sudo }
