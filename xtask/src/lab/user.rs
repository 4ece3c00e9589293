//! Users of a lab.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;

use super::Lab;
use super::journal::{Trace, user_id};

/// What the names of all users begin with.
pub(super) const PREFIX: &str = "chopsticks-";

impl Lab {
    /// Adds a user called `chopsticks-NAME` with a login shell and an empty home, and returns the home.
    pub(super) fn add_user(&mut self, name: &str, shell: &Path) -> Result<PathBuf, Failure> {
        let user = format!("{PREFIX}{name}");
        let home = self.create_folder(&format!("home/{name}"))?;
        self.leave(Trace::User(user.clone()))?;
        let mut command = Command::new("useradd");
        // No password fits, yet the account is not locked: sshd and sudo refuse locked ones.
        command.args(["--no-create-home", "--user-group", "--password", "*", "--home-dir"]);
        self.run(command.arg(&home).arg("--shell").arg(shell).arg(&user))?;
        let id = user_id(&user).ok_or_else(|| Failure::new(format!("{user} was not added")))?;
        chown(&home, Some(id), Some(id)).map_err(|error| Failure::during(home.display(), error))?;
        Ok(home)
    }

    /// Gives users the lab's password.
    pub(super) fn set_passwords(&mut self, names: &[&str]) -> Result<(), Failure> {
        let nonce = || RandomState::new().hash_one(0);
        let password = format!("{:016x}{:016x}", nonce(), nonce());
        self.write("password", 0o600, &password)?;
        let lines: String = names.iter().map(|name| format!("{PREFIX}{name}:{password}\n")).collect();
        let lines = self.write("passwords", 0o600, &lines)?;
        // Without PAM, whose rules could refuse the password.
        self.run(Command::new("sh").args(["-c", "exec chpasswd -c SHA512 <\"$0\""]).arg(&lines))?;
        fs::remove_file(&lines).map_err(|error| Failure::during(lines.display(), error))
    }

    /// Adds a service of PAM.
    pub(super) fn add_pam_service(&mut self, name: &str, rules: &str) -> Result<(), Failure> {
        let path = PathBuf::from("/etc/pam.d").join(name);
        self.leave(Trace::File(path.clone()))?;
        super::write_file(&path, 0o644, rules)
    }

    /// Lets users become others as `rules` says, in the language of sudoers.
    pub(super) fn add_sudo_rules(&mut self, rules: &str) -> Result<(), Failure> {
        let draft = self.write("sudoers", 0o440, rules)?;
        // A faulty file would lock everybody out.
        self.run(Command::new("visudo").arg("--check").arg("--file").arg(&draft))?;
        let path = PathBuf::from("/etc/sudoers.d/chopsticks-lab");
        self.leave(Trace::File(path.clone()))?;
        self.run(Command::new("install").args(["-m", "0440"]).arg(&draft).arg(&path))?;
        Ok(())
    }

    /// Writes a file of a user's own.
    pub(super) fn write_home(&self, home: &Path, name: &str, text: &str) -> Result<(), Failure> {
        let path = home.join(name);
        let during = |error| Failure::during(path.display(), error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(during)?;
        }
        fs::write(&path, text).map_err(during)
    }
}
