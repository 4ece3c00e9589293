//! A cluster under Slurm, whose nodes are all on this machine.

use std::io::Read as _;
use std::process::Command;
use std::time::Duration;

use chopsticks_support::eventually;

use crate::command;
use crate::failure::Failure;

use super::Lab;

/// How long the node may take to be idle.
const PATIENCE: Duration = Duration::from_secs(30);

/// The nodes, each with a `slurmd` and a port of its own.
const NODES: u16 = 4;

/// The port of the first node.
const FIRST_PORT: u16 = 16818;

/// Settings of a cluster that asks nothing of the kernel; the nodes claim more cores than there are.
const SETTINGS: &str = "
ClusterName=chopsticks
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=1
SchedulerParameters=batch_sched_delay=0,sched_interval=1
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
PartitionName=test Nodes=node-[1-3] Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:64
PartitionName=alone Nodes=node-4 MaxTime=INFINITE State=UP OverSubscribe=EXCLUSIVE
";

impl Lab {
    /// Starts the cluster; programs find it by the file `slurm.conf` of the lab.
    pub(super) fn start_slurm(&mut self) -> Result<(), Failure> {
        let munge = self.create_folder("munge")?;
        self.write_munge_key()?;
        let file = |name: &str| munge.join(name).display().to_string();
        let mut munged = Command::new("/usr/sbin/munged");
        munged.args(["--foreground", "--force"]).args([
            format!("--key-file={}", file("key")),
            format!("--socket={}", file("socket")),
            format!("--pid-file={}", file("pid")),
            format!("--log-file={}", file("log")),
            format!("--seed-file={}", file("seed")),
        ]);
        self.start("munged", &mut munged)?;
        let host = self.run(Command::new("hostname").arg("-s"))?;
        let host = host.trim();
        let folder = self.create_folder("slurm")?;
        let folder = folder.display();
        let config = format!(
            "SlurmctldHost={host}(127.0.0.1)\nSlurmctldPort=16817\nAuthInfo=socket={socket}\n\
             StateSaveLocation={folder}\nSlurmdSpoolDir={folder}/spool-%n\nSlurmctldPidFile={folder}/slurmctld.pid\n\
             SlurmdPidFile={folder}/slurmd-%n.pid\nNodeName=node-[1-{NODES}] NodeHostname={host} NodeAddr=127.0.0.1 \
             Port={FIRST_PORT}-{last} CPUs=64 Boards=1 SocketsPerBoard=1 CoresPerSocket=64 ThreadsPerCore=1 \
             State=UNKNOWN\n{SETTINGS}",
            socket = file("socket"),
            last = FIRST_PORT + NODES - 1,
        );
        let config = self.write("slurm.conf", 0o644, &config)?;
        let mut controller = Command::new("/usr/sbin/slurmctld");
        self.start("slurmctld", controller.args(["-D", "-f"]).arg(&config).env("SLURM_CONF", &config))?;
        for number in 1..=NODES {
            let node = format!("node-{number}");
            let mut command = Command::new("/usr/sbin/slurmd");
            command.args(["-D", "-N", &node, "-f"]).arg(&config).env("SLURM_CONF", &config);
            self.start(&format!("slurmd-{number}"), &mut command)?;
        }
        let is_idle = || {
            let mut command = Command::new("sinfo");
            command
                .args(["-h", "-N", "-p", "test,alone", "-t", "idle", "-o", "%N"])
                .env("SLURM_CONF", &config);
            command::output(&mut command).is_ok_and(|text| text.lines().count() == usize::from(NODES))
        };
        if eventually(PATIENCE, is_idle) {
            return Ok(());
        }
        Err(Failure::new("the nodes of Slurm did not become idle"))
    }

    fn write_munge_key(&self) -> Result<(), Failure> {
        let during = |error| Failure::during("the key of munge", error);
        let mut key = [0; 1024];
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key)).map_err(during)?;
        let path = self.write("munge/key", 0o400, "")?;
        std::fs::write(path, key).map_err(during)
    }
}
