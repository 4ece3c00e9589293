//! A project of Docker Compose.

use tempfile::TempDir;

use crate::lab;
use crate::watch::canary;

/// A project with one service, `web`, which runs while this lives.
#[derive(Debug)]
pub(crate) struct Project {
    name: String,
    folder: TempDir,
}

impl Project {
    /// Starts the service with a container of `image`.
    pub(crate) fn start(image: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a file");
        let text = format!(
            "version: '2.4'\nservices:\n  web:\n    image: {image}\n    command: [sleep, '100000']\n    init: true\n    \
             network_mode: none\n    stop_grace_period: 0s\n"
        );
        std::fs::write(folder.path().join("compose.yaml"), text).expect("there is room for a file");
        let project = Self { name: canary("compose"), folder };
        project.run(["up", "--detach"]);
        project
    }

    /// Returns its name, and the path of its file.
    pub(crate) fn parts(&self) -> (String, String) {
        (self.name.clone(), self.file())
    }

    fn file(&self) -> String {
        self.folder.path().join("compose.yaml").display().to_string()
    }

    fn run(&self, verb: [&str; 2]) {
        let (file, [verb, option]) = (self.file(), verb);
        lab::run("docker-compose", ["--file", &file, "--project-name", &self.name, verb, option]);
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.run(["down", "--volumes"]);
    }
}
