//! A root folder, and what runs in it: for `chroot`, `systemd-nspawn` and LXC.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chopsticks_support::{Interpreter, eventually};

use crate::command;
use crate::failure::Failure;

use super::journal::Trace;
use super::{Lab, python};

/// How long the container may take to run.
const PATIENCE: Duration = Duration::from_secs(20);

/// Devices of a root folder, which systemd and LXC make themselves: name, major and minor number.
const DEVICES: [(&str, &str, &str); 4] =
    [("null", "1", "3"), ("zero", "1", "5"), ("random", "1", "8"), ("urandom", "1", "9")];

/// The state of containers of systemd, which stays until the system ends.
const NSPAWN: &str = "/run/systemd/nspawn";

/// Who may become whom by doas: as root, since a rule for others is read alike.
const DOAS: &str = "permit nopass root as chopsticks-other\npermit root as chopsticks-password\n";

impl Lab {
    /// Makes the root folder `root`, with the system's Python and a Python 2.7, and starts the
    /// container `chopsticks-lxc` of LXC in it.
    pub(super) fn set_up_root(&mut self, old: &Interpreter) -> Result<(), Failure> {
        let root = self.create_folder("root")?;
        self.fill(&root)?;
        let system = python::found()?;
        let is_system = |interpreter: &&Interpreter| interpreter.path().starts_with("/usr/bin");
        let system =
            system.iter().find(is_system).ok_or_else(|| Failure::new("there is no /usr/bin/python3"))?;
        for interpreter in [system, old] {
            python::copy(interpreter, &root)?;
        }
        let during = |error| Failure::during(root.display(), error);
        let python3 = root.join("usr/bin/python3");
        if !python3.exists() {
            symlink(system.path().file_name().unwrap_or_default(), &python3).map_err(during)?;
        }
        python::copy_libraries(&root)?;
        // The folders of this machine keep its names, so that an interpreter finds its library.
        python::alias(old.path(), &root.join("usr/local/bin"), &["python2.7"])?;
        self.add_devices(&root)?;
        self.mount_chroot(&root)?;
        if !Path::new(NSPAWN).exists() {
            self.leave(Trace::Folder(NSPAWN.into()))?;
        }
        self.start_lxc(&root)
    }

    fn add_devices(&self, root: &Path) -> Result<(), Failure> {
        for folder in ["dev", "var/tmp"] {
            fs::create_dir_all(root.join(folder)).map_err(|error| Failure::during(root.display(), error))?;
        }
        for (name, major, minor) in DEVICES {
            let path = root.join("dev").join(name);
            self.run(Command::new("mknod").args(["-m", "666"]).arg(path).args(["c", major, minor]))?;
        }
        self.run(Command::new("chmod").arg("1777").arg(root.join("var/tmp")))?;
        Ok(())
    }

    /// Mounts the root once more, with `/proc`, in which agents find what their calls have started.
    /// Containers mount their own, unless there is one.
    fn mount_chroot(&mut self, root: &Path) -> Result<(), Failure> {
        let chroot = self.create_folder("chroot")?;
        self.leave(Trace::Mount(chroot.clone()))?;
        self.run(Command::new("mount").arg("--bind").arg(root).arg(&chroot))?;
        let proc = chroot.join("proc");
        self.leave(Trace::Mount(proc.clone()))?;
        self.run(Command::new("mount").args(["-t", "proc", "proc"]).arg(proc))?;
        Ok(())
    }

    fn start_lxc(&mut self, root: &Path) -> Result<(), Failure> {
        let folder = self.create_folder("lxc")?;
        let config = format!(
            "lxc.rootfs.path = dir:{}\nlxc.uts.name = chopsticks-lxc\nlxc.net.0.type = none\n\
             lxc.init.cmd = /bin/sleep 100000\nlxc.apparmor.profile = unconfined\nlxc.mount.auto = proc:rw\n",
            root.display()
        );
        for name in ["chopsticks-lxc", "chopsticks-stopped"] {
            self.create_folder(&format!("lxc/{name}"))?;
            self.write(&format!("lxc/{name}/config"), 0o644, &config)?;
        }
        let named = |program: &str| {
            let mut command = Command::new(program);
            command.arg("--lxcpath").arg(&folder).args(["--name", "chopsticks-lxc"]);
            command
        };
        self.start("lxc-start", named("lxc-start").arg("--foreground"))?;
        let runs = || command::output(&mut named("lxc-info")).is_ok_and(|text| text.contains("RUNNING"));
        if eventually(PATIENCE, runs) {
            return Ok(());
        }
        Err(Failure::new("the container of LXC does not run"))
    }

    /// Lets root become others by doas.
    pub(super) fn add_doas_rules(&mut self) -> Result<(), Failure> {
        let path = Path::new("/etc/doas.conf");
        if path.exists() {
            return Err(Failure::new("there is an /etc/doas.conf, which the tests would replace"));
        }
        self.leave(Trace::File(path.to_owned()))?;
        let draft = self.write("doas.conf", 0o600, DOAS)?;
        self.run(Command::new("install").args(["-m", "0600"]).arg(&draft).arg(path))?;
        Ok(())
    }
}
