//! Servers of a lab that are reached by ssh.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chopsticks_support::eventually;

use crate::failure::Failure;

use super::Lab;

/// The passphrase of the key `locked`, which the tests know as well.
const PASSPHRASE: &str = "passphrase of the lab";

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

impl Lab {
    /// Makes the keys of all servers and of their one client.
    pub(super) fn make_ssh_keys(&self) -> Result<(), Failure> {
        self.create_folder("ssh")?;
        for name in ["hostkey", "id", "other"] {
            let mut command = Command::new("ssh-keygen");
            self.run(
                command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.path(format!("ssh/{name}"))),
            )?;
        }
        let mut command = Command::new("ssh-keygen");
        self.run(command.args(["-q", "-t", "ed25519", "-N", PASSPHRASE, "-f"]).arg(self.path("ssh/locked")))?;
        let mut key = String::new();
        for name in ["id", "locked"] {
            let public = self.path(format!("ssh/{name}.pub"));
            key += &fs::read_to_string(&public).map_err(|error| Failure::during(public.display(), error))?;
        }
        // sshd reads it as the user who logs in.
        self.write("ssh/authorized_keys", 0o644, &key)?;
        // sshd insists on a folder that only root may write to, and the packages leave it to init.
        let folder = "/run/sshd";
        fs::create_dir_all(folder)
            .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)))
            .map_err(|error| Failure::during(folder, error))
    }

    /// Starts a server on a port of the loopback that nobody else has, and returns the port.
    pub(super) fn start_sshd(&mut self, name: &str, options: &str) -> Result<u16, Failure> {
        // Whoever takes the port in between makes the server end, which is noticed.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| Failure::during("a free port", error))?.port();
        self.start_sshd_at((Ipv4Addr::LOCALHOST, port).into(), None, name, options)?;
        Ok(port)
    }

    /// Starts a server that does not accept keys, with the settings `first` in front of all others, and
    /// returns the port. The service of PAM is called like the server.
    pub(super) fn start_sshd_without_keys(&mut self, name: &str, first: &str) -> Result<u16, Failure> {
        // sshd looks for the service under the name of its own program.
        let program = self.path(format!("bin/{name}"));
        symlink("/usr/sbin/sshd", &program).map_err(|error| Failure::during(program.display(), error))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| Failure::during("a free port", error))?.port();
        let first = format!("PubkeyAuthentication no\n{first}");
        let address = (Ipv4Addr::LOCALHOST, port).into();
        self.start_program_at(&program, address, None, name, &first, "MaxStartups 1000:30:2000")?;
        Ok(port)
    }

    /// Starts a server at an address, in a namespace if given, and waits until it listens.
    pub(super) fn start_sshd_at(
        &mut self,
        address: SocketAddr,
        namespace: Option<&str>,
        name: &str,
        options: &str,
    ) -> Result<(), Failure> {
        self.start_program_at(Path::new("/usr/sbin/sshd"), address, namespace, name, "", options)
    }

    fn start_program_at(
        &mut self,
        program: &Path,
        address: SocketAddr,
        namespace: Option<&str>,
        name: &str,
        first: &str,
        options: &str,
    ) -> Result<(), Failure> {
        let folder = self.folder().display();
        let mut config = String::new();
        for line in [
            first.to_owned(),
            format!("ListenAddress {address}"),
            format!("HostKey {folder}/ssh/hostkey"),
            format!("AuthorizedKeysFile {folder}/ssh/authorized_keys"),
            "PidFile none".to_owned(),
            // The folder for temporary files belongs to all.
            "StrictModes no".to_owned(),
            "UsePAM no".to_owned(),
            "UseDNS no".to_owned(),
            "PasswordAuthentication no".to_owned(),
            "KbdInteractiveAuthentication no".to_owned(),
            options.to_owned(),
        ] {
            // Writing to a string cannot fail.
            let _ = writeln!(config, "{line}");
        }
        let file = self.write(&format!("ssh/sshd-{name}"), 0o644, &config)?;
        let mut command = match namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let log = format!("sshd-{name}");
        let pid = self.start(&log, command.args(["-D", "-e", "-f"]).arg(file))?;
        let listens = || match namespace {
            // Its socket is looked for from within: some addresses cannot be reached from here.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, "ss", "-Htln", "src", &address.to_string()]);
                crate::command::output(&mut command).is_ok_and(|text| !text.trim().is_empty())
            }
            None => TcpStream::connect(address).is_ok(),
        };
        if eventually(PATIENCE, || listens() || !chopsticks_support::processes::runs(pid)) && listens() {
            return Ok(());
        }
        let text = fs::read_to_string(self.path(format!("log/{log}"))).unwrap_or_default();
        Err(Failure::new(format!("sshd {name} does not listen at {address}: {}", text.trim_end())))
    }
}
