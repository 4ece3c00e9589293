//! What the suite `docker` needs: images on the local engine, and a podman that has them too.

use std::process::Command;

use chopsticks_support::Interpreter;

use crate::command;
use crate::failure::Failure;

use super::journal::{Trace, podman};
use super::requirement::Programs;
use super::{Lab, image, python};

/// What has to be installed.
pub(crate) const PROGRAMS: Programs = &[
    ("docker", "docker.io"),
    ("docker-compose", "docker-compose"),
    ("python3", "python3"),
    ("setsid", "util-linux"),
];

/// What the half with podman needs besides. Without it, the other half is run.
pub(crate) const PODMAN_PROGRAMS: Programs =
    &[("docker-init", "docker.io"), ("podman", "podman"), ("runc", "runc")];

/// At most this many images are made: the oldest interpreters, the newest, and some between.
const IMAGES: usize = 4;

/// Official images, where a registry may be asked.
const OFFICIAL: [&str; 3] = ["2.7", "3.8", "3.13"];

/// Settings with which podman runs where the kernel allows little, and keeps to itself.
const PODMAN: &str = "[containers]
default_ulimits = [\"nofile=1024:4096\", \"nproc=4096:8192\"]
init_path = \"/usr/bin/docker-init\"
log_driver = \"none\"
[engine]
cgroup_manager = \"cgroupfs\"
events_logger = \"none\"
runtime = \"runc\"
";

/// Returns why the engine cannot be used, or `None` if it can.
pub(crate) fn engine_trouble() -> Option<String> {
    let version = ["version", "--format", "{{.Server.Version}}"];
    match command::output(Command::new("docker").args(version)) {
        Ok(_) => None,
        Err(Failure::Message(message)) => Some(format!("no container engine answers: {message}")),
        Err(Failure::Reported) => Some("no container engine answers".to_owned()),
    }
}

/// Sets all up, and returns what to say of it.
pub(crate) fn set_up(lab: &mut Lab, official: bool) -> Result<String, Failure> {
    let found = python::found()?;
    let mut images = Vec::new();
    for interpreter in choose(&found) {
        let name = lab.add_image(interpreter)?;
        println!("{name}: Python {interpreter}, from {}", interpreter.path().display());
        images.push(name);
    }
    for version in OFFICIAL.iter().filter(|_| official) {
        let name = lab.pull_image(version)?;
        println!("{name}: from its registry");
        images.push(name);
    }
    lab.write("images", 0o644, &(images.join("\n") + "\n"))?;
    let docker = lab.run(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]))?;
    let podman = if super::missing(PODMAN_PROGRAMS).is_none() {
        set_up_podman(lab, &images)?;
        format!(", {}", lab.run(Command::new("podman").arg("--version"))?.trim())
    } else {
        String::new()
    };
    Ok(format!("Docker {}{podman}, images {}", docker.trim(), images.join(", ")))
}

/// One image for each version would take long, and say little more.
fn choose(found: &[Interpreter]) -> Vec<&Interpreter> {
    let last = found.len().saturating_sub(1);
    let mut chosen: Vec<_> = (0..IMAGES).map(|n| &found[n * last / (IMAGES - 1)]).collect();
    chosen.dedup();
    chosen
}

fn set_up_podman(lab: &mut Lab, images: &[String]) -> Result<(), Failure> {
    lab.write("containers.conf", 0o644, PODMAN)?;
    let folder = lab.create_folder("podman")?;
    let folder = folder.display();
    let storage = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{folder}/root\"\nrunroot = \"{folder}/run\"\n"
    );
    lab.write("storage.conf", 0o644, &storage)?;
    lab.leave(Trace::Podman(lab.folder().to_owned()))?;
    let mut save = Command::new("docker");
    // The oldest and the newest Python are what the tests use.
    let used =
        images.first().into_iter().chain(images.iter().rfind(|name| name.starts_with(image::REPOSITORY)));
    python::pipe(save.arg("save").args(used), podman(lab.folder()).arg("load")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_and_newest_interpreters_are_chosen() {
        let found = chopsticks_support::interpreters();
        let chosen = choose(found);
        assert_eq!((chosen.first().copied(), chosen.last().copied()), (found.first(), found.last()));
        assert!(chosen.len() <= IMAGES);
    }
}
