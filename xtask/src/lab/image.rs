//! Images of containers, made of what this machine has: no registry is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use chopsticks_support::Interpreter;

use crate::failure::Failure;

use super::journal::Trace;
use super::{Lab, python, requirement};

/// What the names of all images begin with.
pub(super) const REPOSITORY: &str = "chopsticks-test/python";

/// The programs of an image: a shell, and what the tests run.
const PROGRAMS: [&str; 20] = [
    "cat", "chmod", "cp", "echo", "env", "false", "head", "hostname", "id", "kill", "ls", "mkdir", "mv",
    "rm", "setsid", "sh", "sleep", "tail", "true", "wc",
];

/// Who there is in a container.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";

impl Lab {
    /// Makes an image with an interpreter, and returns its name.
    ///
    /// The one with Python 2.7 has no `python3`.
    pub(super) fn add_image(&mut self, interpreter: &Interpreter) -> Result<String, Failure> {
        let (major, minor, _) = interpreter.version();
        let name = format!("{REPOSITORY}:{major}.{minor}");
        let root = self.create_folder(&format!("image-{major}.{minor}"))?;
        self.fill(&root)?;
        python::copy(interpreter, &root)?;
        let names = [format!("python{major}.{minor}"), format!("python{major}"), "python".to_owned()];
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        python::alias(interpreter.path(), &root.join("usr/local/bin"), &names)?;
        // `/usr/bin/python3` is what drivers run by default.
        if !root.join("usr/bin").join(names[1]).exists() {
            python::alias(interpreter.path(), &root.join("usr/bin"), &names[1..2])?;
        }
        python::copy_libraries(&root)?;
        self.leave(Trace::Image(name.clone()))?;
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(&root).args(["--owner=0", "--group=0", "--numeric-owner", "-c", "."]);
        let mut import = Command::new("docker");
        import.args(["import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-", &name]);
        python::pipe(&mut pack, &mut import)?;
        fs::remove_dir_all(&root).map_err(|error| Failure::during(root.display(), error))?;
        Ok(name)
    }

    /// Makes what any image has.
    pub(super) fn fill(&self, root: &Path) -> Result<(), Failure> {
        let during = |error| Failure::during(root.display(), error);
        for folder in ["etc", "home/user", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/local/bin"] {
            fs::create_dir_all(root.join(folder)).map_err(during)?;
        }
        fs::create_dir_all(root.join("bin")).map_err(during)?;
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).map_err(during)?;
        fs::write(root.join("etc/passwd"), PASSWD).map_err(during)?;
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").map_err(during)?;
        for program in PROGRAMS {
            let path = requirement::find(program)
                .ok_or_else(|| Failure::new(format!("there is no {program} to put into an image")))?;
            fs::copy(path, root.join("bin").join(program)).map_err(during)?;
        }
        // The C library loads it by name to look up users.
        for library in ["/lib/x86_64-linux-gnu/libnss_files.so.2", "/lib/aarch64-linux-gnu/libnss_files.so.2"]
        {
            if Path::new(library).exists() {
                python::copy_file(Path::new(library), root)?;
            }
        }
        Ok(())
    }

    /// Fetches an official image of Python from its registry, and returns its name.
    pub(super) fn pull_image(&mut self, version: &str) -> Result<String, Failure> {
        let name = format!("python:{version}-slim");
        self.leave(Trace::Image(name.clone()))?;
        self.run(Command::new("docker").args(["pull", "--quiet", &name]))?;
        Ok(name)
    }
}
