//! Connections that the sessions of several tunnels share: master connections of ssh.

use std::{
    collections::HashMap,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::process::{Link, LinkParts};

/// The master connections to one host, with the same settings.
#[derive(Debug, Default)]
struct Pool {
    masters: tokio::sync::Mutex<Vec<Weak<Master>>>,
    /// How many logins have failed.
    failures: AtomicU64,
}

/// A master connection, as long as this exists.
#[derive(Debug)]
struct Master {
    socket: PathBuf,
    sessions: AtomicUsize,
    /// ssh, which ends with its stdin.
    parts: tokio::sync::Mutex<LinkParts>,
    /// The guard of ssh removes it too, if this process is killed.
    _folder: TempDir,
    /// Others find the pool as long as one of its masters exists.
    _pool: Arc<Pool>,
}

/// The right to one session over a master connection.
#[derive(Debug)]
pub(super) struct Lease(Arc<Master>);

/// What comes of the attempt to share a connection.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A session over a master connection.
    Shared(Lease),
    /// The ssh that could not log in, which says why.
    Failed(Box<Link>),
    /// There is no master connection, and no reason is known.
    Alone,
}

/// The pools of a process, by settings.
type Pools = (u32, HashMap<String, Weak<Pool>>);

/// Returns the right to a session over a master connection with the settings `key`.
///
/// `ssh` composes the command of a new one, given the path of its socket.
pub(super) async fn lease(key: String, ssh: impl FnOnce(&Path) -> Command) -> io::Result<Outcome> {
    let pool = Pool::of(key);
    let failures = pool.failures.load(Ordering::Relaxed);
    let mut masters = pool.masters.lock().await;
    masters.retain(|master| master.strong_count() > 0);
    for master in masters.iter().filter_map(Weak::upgrade) {
        if let Some(lease) = master.lease().await {
            return Ok(Outcome::Shared(lease));
        }
    }
    // Not all that have waited for a login that failed should wait for each other's.
    if pool.failures.load(Ordering::Relaxed) != failures {
        return Ok(Outcome::Alone);
    }
    match timeout(LOGIN_TIMEOUT, start(pool.clone(), ssh)).await {
        Ok(Ok(Ok(master))) => {
            masters.push(Arc::downgrade(&master));
            Ok(master.lease().await.map_or(Outcome::Alone, Outcome::Shared))
        }
        Ok(Ok(Err(failed))) => {
            pool.failures.fetch_add(1, Ordering::Relaxed);
            Ok(failed)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            pool.failures.fetch_add(1, Ordering::Relaxed);
            Ok(Outcome::Alone)
        }
    }
}

async fn start(
    pool: Arc<Pool>,
    ssh: impl FnOnce(&Path) -> Command,
) -> io::Result<Result<Arc<Master>, Outcome>> {
    let folder = folder()?;
    let socket = folder.path().join("s");
    let command = guarded(&ssh(&socket), folder.path());
    let mut parts = Link::spawn(command)?.into_parts();
    let mut reader = BufReader::new(&mut parts.stdout);
    let mut line = String::new();
    // What login scripts print does not come here, since no command is run.
    while !line.ends_with(&format!("{READY}\n")) {
        line.clear();
        if reader.read_line(&mut line).await? == 0 {
            let status = parts.process.wait().await?;
            // Any other status is not that of ssh.
            let is_ssh = status.code() == Some(255);
            return Ok(Err(if is_ssh {
                Outcome::Failed(Box::new(Link::from_parts(parts)))
            } else {
                Outcome::Alone
            }));
        }
    }
    // Each session reports its own troubles. ssh survives that this pipe is closed.
    parts.stderr = Box::new(tokio::io::empty());
    tracing::debug!(socket = %socket.display(), "master connection");
    let parts = tokio::sync::Mutex::new(parts);
    Ok(Ok(Arc::new(Master { socket, sessions: AtomicUsize::new(0), parts, _folder: folder, _pool: pool })))
}

impl Pool {
    fn of(key: String) -> Arc<Self> {
        // Like a cache: it names what exists, and what differs in any setting is apart.
        static POOLS: Mutex<Option<Pools>> = Mutex::new(None);
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        // A forked child has connections of its own.
        let pools = match &mut *pools {
            Some((owner, pools)) if *owner == process => pools,
            pools => &mut pools.insert((process, HashMap::new())).1,
        };
        if let Some(pool) = pools.get(&key).and_then(Weak::upgrade) {
            return pool;
        }
        pools.retain(|_, pool| pool.strong_count() > 0);
        let pool = Arc::new(Self::default());
        pools.insert(key, Arc::downgrade(&pool));
        pool
    }
}

impl Master {
    /// Returns the right to one more session, unless there are too many, or ssh has ended.
    async fn lease(self: Arc<Self>) -> Option<Lease> {
        if timeout(Duration::ZERO, self.parts.lock().await.process.wait()).await.is_ok() {
            return None;
        }
        let has_room = |count| (count < MAX_SESSIONS).then_some(count + 1);
        self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room).ok()?;
        Some(Lease(self))
    }
}

impl Lease {
    /// Returns the path of the socket.
    pub(super) fn socket(&self) -> &Path {
        &self.0.socket
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the arguments of a master connection, in front of all others.
pub(super) fn master_arguments(socket: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments = vec!["-N".into(), "-S".into(), escaped(socket).into()];
    for option in MASTER {
        arguments.extend(["-o".into(), option.into()]);
    }
    arguments.extend(["-o".into(), format!("LocalCommand=echo {READY}").into()]);
    arguments
}

/// Returns the arguments of a session over a master connection, in front of all others.
pub(super) fn session_arguments(socket: &Path) -> [std::ffi::OsString; 2] {
    ["-S".into(), escaped(socket).into()]
}

/// In the path of a socket, ssh replaces what follows a `%`.
fn escaped(socket: &Path) -> String {
    // It is made by `folder`, whose names are text.
    socket.to_string_lossy().replace('%', "%%")
}

/// Creates a folder for a socket, which only this user may enter.
fn folder() -> io::Result<TempDir> {
    let temporary = std::env::temp_dir();
    let fits = temporary.to_str().is_some_and(|path| path.len() <= MAX_FOLDER_LEN);
    let parent = if fits { temporary.as_path() } else { Path::new("/tmp") };
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("chopsticks-ssh-").permissions(private).tempdir_in(parent)
}

/// Returns a command that runs `ssh` until its stdin ends, and then removes `folder`.
fn guarded(ssh: &Command, folder: &Path) -> Command {
    let ssh = ssh.as_std();
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "sh"]).arg(folder).arg(ssh.get_program()).args(ssh.get_args());
    for (name, value) in ssh.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Becomes ssh. A process beside it, in the same process group, waits for the end of stdin, which
/// comes also when the controller is killed.
const GUARD: &str = "d=$1;shift;exec 3<&0 </dev/null;\
                     ({ trap '' TERM;cat;kill -TERM 0;rm -rf \"$d\";}<&3 >/dev/null 2>&1 3<&- &);\
                     exec \"$@\" 3<&-";

/// What makes a connection a master. ssh runs the local command when it has logged in and listens.
const MASTER: [&str; 3] = ["ControlMaster=yes", "ControlPersist=no", "PermitLocalCommand=yes"];

/// What the local command prints.
const READY: &str = "chopsticks-ready";

/// The sessions that an OpenSSH server allows over a connection by default (`MaxSessions`). If a
/// server allows fewer, ssh makes a connection of its own for the session.
const MAX_SESSIONS: usize = 10;

/// How long a login may take, within the default time to start a program. A tunnel that has to wait
/// longer makes a connection of its own.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The path of a socket has at most 104 bytes on some systems, and ssh adds 17 to it at first.
const MAX_FOLDER_LEN: usize = 60;
