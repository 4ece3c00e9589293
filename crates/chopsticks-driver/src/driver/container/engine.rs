//! Programs that run containers.

use std::fmt;

/// A program that runs containers and accepts the arguments of Docker: [`DockerEngine`] or
/// [`PodmanEngine`].
pub trait Engine: Clone + fmt::Debug + Send + Sync + sealed::Sealed + 'static {}

/// Docker.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DockerEngine;

/// Podman.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PodmanEngine;

impl Engine for DockerEngine {}
impl Engine for PodmanEngine {}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {
        const PROGRAM: &str;
        /// The arguments that end and remove the containers that follow them.
        const REMOVE: &[&str];
    }

    impl Sealed for super::DockerEngine {
        const PROGRAM: &str = "docker";
        const REMOVE: &[&str] = &["rm", "--force"];
    }

    impl Sealed for super::PodmanEngine {
        const PROGRAM: &str = "podman";
        // It waits 10 s for the container to end by itself unless told not to.
        const REMOVE: &[&str] = &["rm", "--force", "--time", "0"];
    }
}
