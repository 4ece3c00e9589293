//! The drivers of containers, with the images that `cargo xtask test-docker` makes.

mod engine;
mod outward;
mod podman;
mod pool;

chopsticks_hosts::behaviours! { docker_exec docker_run podman_exec podman_run via_local_docker via_podman_local }
chopsticks_hosts::behaviours! { brief: compose docker_persistent }
