//! Every driver but those of containers, on the hosts that `cargo xtask test-hosts` sets up.

mod elsewhere;
mod fleet;
mod functions;
mod links;
mod many;
mod nodes;
mod outward;
mod passwords;
mod shared;
mod ssh;
mod sudo;

chopsticks_hosts::behaviours! { bwrap local nsenter slurm ssh_plain ssh_sudo sudo_user via_ssh_sudo via_sudo_ssh_local }
chopsticks_hosts::behaviours! { brief: chroot doas incus_stand_in kubectl_stand_in lxc machine_stand_in slurm_node ssh_shared su }

// What a function writes last without a newline is followed by a line of systemd-nspawn where `/run` is on a disk.
mod nspawn {
    chopsticks_hosts::behaviours! { @ nspawn
        functions_run_with_what_they_import
        every_byte_arrives_as_it_was_sent
        dropped_call_ends_with_what_it_started
        close_ends_all_that_calls_started
        killed_controller_leaves_nothing
        killed_client_fails_the_call_and_leaves_nothing
        killed_agent_fails_the_call_and_the_next_one_connects
        folder_and_environment_are_as_set
        connections_leave_no_descriptor_and_no_process
        python_2_serves_as_well
        auto_finds_an_interpreter
    }
}
