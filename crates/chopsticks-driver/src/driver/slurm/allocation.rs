//! Allocations of several nodes.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::Slurm;
use crate::{
    driver::AgentCommand,
    process::{Link, LinkParts},
};

/// The nodes that several drivers share, requested when the first of them is used.
#[derive(Debug)]
pub(crate) struct Allocation {
    request: Vec<OsString>,
    count: u32,
    held: tokio::sync::Mutex<Weak<Held>>,
}

/// Nodes, as long as this exists.
#[derive(Debug)]
struct Held {
    job: String,
    nodes: Vec<String>,
    /// Whether each of the nodes has a tunnel.
    taken: Mutex<Vec<bool>>,
    /// `salloc`, which holds the nodes until its stdin ends.
    holder: tokio::sync::Mutex<Option<LinkParts>>,
}

/// A node that belongs to one tunnel until this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    held: Arc<Held>,
    index: usize,
}

/// Allocations of a process, by what was requested.
type Allocations = (u32, HashMap<String, Weak<Allocation>>);

impl Allocation {
    pub(super) fn new(slurm: &Slurm, count: u32) -> Self {
        let mut request = slurm.request();
        request.extend([format!("--nodes={count}").into(), "--ntasks-per-node=1".into()]);
        Self { request, count, held: tokio::sync::Mutex::default() }
    }

    /// Returns the allocation that all drivers with these settings share, as long as one of them
    /// exists.
    pub(super) fn shared(slurm: &Slurm, count: u32, place: &str) -> Arc<Self> {
        // Like a cache: it names what exists, and what differs in any setting is apart.
        static ALL: Mutex<Option<Allocations>> = Mutex::new(None);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        // A forked child has allocations of its own.
        let all = match &mut *all {
            Some((owner, all)) if *owner == process => all,
            all => &mut all.insert((process, HashMap::new())).1,
        };
        let new = Self::new(slurm, count);
        let key = format!("{place} {:?}", new.request);
        if let Some(allocation) = all.get(&key).and_then(Weak::upgrade) {
            return allocation;
        }
        all.retain(|_, allocation| allocation.strong_count() > 0);
        let allocation = Arc::new(new);
        all.insert(key, Arc::downgrade(&allocation));
        allocation
    }

    /// Returns a node without a tunnel, and requests the allocation if there is none. If there can be
    /// none, returns `salloc`, which says why.
    pub(super) async fn lease(&self, agent: &AgentCommand) -> io::Result<Result<Lease, Link>> {
        let mut held = self.held.lock().await;
        let current = match held.upgrade() {
            Some(current) if current.is_alive().await => current,
            _ => match self.request(agent).await? {
                Ok(new) => {
                    *held = Arc::downgrade(&new);
                    new
                }
                Err(failed) => return Ok(Err(failed)),
            },
        };
        Held::lease(&current).map(Ok)
    }

    async fn request(&self, agent: &AgentCommand) -> io::Result<Result<Arc<Held>, Link>> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).args(&self.request).args(["sh", "-c", HOLD]);
        let link = agent.spawn(command).await?;
        let mut parts = link.into_parts();
        let mut lines = Vec::new();
        let mut reader = BufReader::new(&mut parts.stdout);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).await? == 0 {
                return Ok(Err(Link::from_parts(parts)));
            }
            match line.trim() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let Some((job, nodes)) = lines.split_first() else { return Ok(Err(Link::from_parts(parts))) };
        tracing::debug!(job, ?nodes, "nodes allocated");
        Ok(Ok(Arc::new(Held {
            job: job.clone(),
            nodes: nodes.to_vec(),
            taken: Mutex::new(vec![false; nodes.len().min(self.count as usize)]),
            holder: tokio::sync::Mutex::new(Some(parts)),
        })))
    }
}

impl Held {
    /// Returns whether the allocation has not ended, by its time limit or by an administrator.
    async fn is_alive(&self) -> bool {
        let mut holder = self.holder.lock().await;
        let Some(parts) = &mut *holder else { return false };
        tokio::time::timeout(Duration::ZERO, parts.process.wait()).await.is_err()
    }

    fn lease(held: &Arc<Self>) -> io::Result<Lease> {
        let mut taken = held.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.iter_mut().enumerate().find(|(_, taken)| !**taken) {
            Some((index, taken)) => {
                *taken = true;
                Ok(Lease { held: held.clone(), index })
            }
            None => {
                let count = taken.len();
                Err(io::Error::other(format!("all {count} nodes of the allocation have a tunnel already")))
            }
        }
    }
}

impl Drop for Held {
    /// Gives the nodes back by the end of stdin. A signal would keep `salloc` from it.
    fn drop(&mut self) {
        let Some(mut parts) = self.holder.get_mut().take() else { return };
        parts.stdin = Box::new(tokio::io::sink());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(tokio::time::timeout(END_TIMEOUT, parts.process.wait()).await) });
        }
    }
}

impl Lease {
    pub(super) fn job(&self) -> &str {
        &self.held.job
    }

    pub(super) fn node(&self) -> &str {
        &self.held.nodes[self.index]
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held.taken.lock().unwrap_or_else(PoisonError::into_inner)[self.index] = false;
    }
}

/// Runs `salloc` until its stdin ends, also while it waits for nodes, when it reads nothing: then a
/// process beside it ends it. A `salloc` that has nodes must not get a signal, since it may then run
/// for ever, and is to have no other child than the command of the allocation.
const GUARD: &str = "exec 3<&0;CHOPSTICKS_GUARD=$(\
                     { trap '' INT TERM;cat >/dev/null;kill -INT 0;sleep 5;kill -KILL 0;}\
                     <&3 >/dev/null 2>&1 3<&- &echo $!);\
                     export CHOPSTICKS_GUARD;exec salloc \"$@\" 3<&-";

/// Ends that process, and prints the number of the job, its nodes, and an empty line. Then it waits
/// for the end of stdin.
const HOLD: &str = "kill -KILL $CHOPSTICKS_GUARD;\
                    echo $SLURM_JOB_ID;scontrol show hostnames $SLURM_JOB_NODELIST;echo;exec cat";

/// How long `salloc` may take to give the nodes back, before it gets a signal.
const END_TIMEOUT: Duration = Duration::from_secs(30);
