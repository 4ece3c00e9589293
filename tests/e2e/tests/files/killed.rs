//! Agents, controllers and links that end in the middle of a transfer: the target is as it was or as it is to be, and nothing else is there.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chopsticks::{Fetch, Local, Put, Tunnel, TunnelConfig};
use chopsticks_e2e::{PATIENCE, newest_and_oldest, quiet, script, tunnel};
use chopsticks_support::{Interpreter, Scratch, eventually, processes};
use rustix::process::{Pid, Signal, kill_process};

use crate::{SIZE, SLOW, names, noise, once};

/// How many kills have to strike a transfer that is under way, for each end and each direction.
const KILLS: u32 = 200;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    Fetch,
    Put,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::Put, Self::Fetch];

    fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Put => "put",
        }
    }

    /// Moves a file, as slowly as is said.
    async fn run(self, tunnel: &Tunnel, source: &Path, target: &Path) -> Result<(), chopsticks::Error> {
        match self {
            Self::Fetch => tunnel.fetch_with(Fetch::new(source).to(target).no_sync()).await.map(drop),
            Self::Put => tunnel.put_with(Put::new(source).to(target).no_sync()).await.map(drop),
        }
    }

    /// Moves a file slowly, and does something when the first bytes have moved.
    async fn run_slowly(
        self,
        tunnel: &Tunnel,
        source: &Path,
        target: &Path,
        act: impl FnOnce() + Send,
    ) -> Result<(), chopsticks::Error> {
        match self {
            Self::Fetch => {
                let fetch = Fetch::new(source).to(target).limit(SLOW).on_progress(once(act));
                tunnel.fetch_with(fetch).await.map(drop)
            }
            Self::Put => {
                let put = Put::new(source).to(target).limit(SLOW).on_progress(once(act));
                tunnel.put_with(put).await.map(drop)
            }
        }
    }
}

fn kill(pid: u32) {
    // One that has ended already is no fault.
    let _ = kill_process(process(pid), Signal::KILL);
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).expect("a process has a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_that_is_killed_in_the_middle_leaves_nothing() {
    for python in newest_and_oldest() {
        for direction in Direction::BOTH {
            let (here, there) = (Scratch::new(), Scratch::new());
            let tunnel = tunnel(python);
            let pid = tunnel.connect().await.unwrap().pid;
            let (source, target) = (here.write("source", noise(SIZE)), there.write("target", "old"));
            let error = direction.run_slowly(&tunnel, &source, &target, || kill(pid)).await.unwrap_err();
            assert!(error.is_disconnected(), "{python}: {}", error.report());
            assert_eq!(fs::read(&target).unwrap(), b"old", "{python}");
            assert_eq!(names(there.path()), ["target"], "{python}: {direction:?}");
            // The next use connects again.
            tunnel.put(&source, &target).await.unwrap();
            tunnel.close().await.unwrap();
        }
    }
}

/// An interpreter behind two programs that pass on what goes in and out, as ssh does; and the processes of these and of the agent.
async fn relayed(scratch: &Scratch, python: &Interpreter, config: TunnelConfig) -> (Tunnel, Vec<u32>, u32) {
    let text = format!("cat | {} \"$@\" | cat", python.path().display());
    let program = script(scratch, "relayed", &text);
    let tunnel = Tunnel::with_config(Local::new().name("relayed").python(program), config);
    let agent = tunnel.connect().await.expect("it connects").pid;
    let mut link = processes::children_of(parent(agent));
    link.retain(|&pid| pid != agent);
    assert_eq!(link.len(), 2, "{python}: {link:?}");
    (tunnel, link, agent)
}

/// The process that has started another.
fn parent(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("it has a parent");
    line.trim().parse().expect("that is a number")
}

/// Breaks the link of transfers in the middle, in a way that either end has to find out by itself.
async fn break_links(signal: Signal, config: TunnelConfig) {
    for python in newest_and_oldest() {
        for direction in Direction::BOTH {
            let (programs, here, there) = (Scratch::new(), Scratch::new(), Scratch::new());
            let (tunnel, link, agent) = relayed(&programs, python, config.clone()).await;
            let (source, target) = (here.write("source", noise(SIZE)), there.write("target", "old"));
            let strike =
                || link.into_iter().for_each(|pid| kill_process(process(pid), signal).expect("it is there"));
            let error = direction
                .run_slowly(&tunnel, &source, &target, strike)
                .await
                .expect_err("the link is broken");
            assert!(error.is_disconnected(), "{python}: {direction:?}: {}", error.report());
            assert!(eventually(PATIENCE, || !processes::is_there(agent)), "{python}: {direction:?}");
            assert_eq!(fs::read(&target).expect("it is there"), b"old", "{python}: {direction:?}");
            let left = (names(here.path()), names(there.path()));
            assert_eq!(left, (vec!["source".into()], vec!["target".into()]), "{python}: {direction:?}");
            // The next use connects again.
            direction.run(&tunnel, &source, &target).await.expect("it connects");
            assert!(fs::read(&target).expect("it is there") == noise(SIZE), "{python}: {direction:?}");
            tunnel.close().await.expect("it closes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn link_that_is_cut_in_the_middle_leaves_nothing_at_both_ends() {
    break_links(Signal::KILL, quiet()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn link_that_falls_silent_in_the_middle_leaves_nothing_at_both_ends() {
    break_links(Signal::STOP, quiet().keepalive(Duration::from_secs(1), Duration::from_secs(1))).await;
}

/// What kills are made on: a source and a target whose contents alternate.
struct Range {
    here: Scratch,
    there: Scratch,
    contents: [Vec<u8>; 2],
    /// Which of the contents the target has.
    old: usize,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// The transfer had ended before the kill.
    Finished,
    Killed,
}

impl Range {
    fn new() -> Self {
        let contents = [noise(600_000), noise(600_001)];
        let (here, there) = (Scratch::new(), Scratch::new());
        there.write("target", &contents[1]);
        Self { here, there, contents, old: 1 }
    }

    fn target(&self) -> PathBuf {
        self.there.path().join("target")
    }

    /// The source, with the content that the target does not have.
    fn source(&self) -> PathBuf {
        self.here.write("source", &self.contents[1 - self.old])
    }

    /// Looks at what a round has left; returns whether that is the new file.
    fn check(&mut self, round: Round) -> bool {
        let content = fs::read(self.target()).expect("the target is there");
        let is_new = content == self.contents[1 - self.old];
        assert!(
            is_new || round == Round::Killed && content == self.contents[self.old],
            "{} bytes",
            content.len()
        );
        if is_new {
            self.old = 1 - self.old;
        }
        assert_eq!(names(self.here.path()), ["source"]);
        let mut left = names(self.there.path());
        left.retain(|name| name != "target");
        // Between the two system calls that replace a file there is a further name, which the next transfer takes away.
        let is_spare =
            |name: &OsString| name.as_encoded_bytes().starts_with(b".chopsticks-") && name.len() == 28;
        assert!(left.len() <= 1 && left.iter().all(is_spare), "{left:?}");
        assert!(left.is_empty() || round == Round::Killed, "{left:?}");
        if let Some(name) = left.first() {
            let content = fs::read(self.there.path().join(name)).expect("it is there");
            assert!(self.contents.contains(&content), "{} bytes", content.len());
        }
        is_new
    }
}

/// Kills until enough of it has struck, at moments spread over the time that an undisturbed transfer takes and a little beyond.
///
/// `run` makes a transfer and kills after the time that it is given, or never; it returns how that ended, and how long it took.
async fn kill_at_random_moments(run: impl AsyncFn(u32, &Path, &Path, Option<Duration>) -> (Round, Duration)) {
    let mut range = Range::new();
    let mut spans = Vec::new();
    for round in 0..5 {
        let (source, target) = (range.source(), range.target());
        let (ended, span) = run(round, &source, &target, None).await;
        spans.push(span);
        assert!(range.check(ended) && ended == Round::Finished);
    }
    spans.sort();
    let (mut killed, mut replaced, mut round) = (0, 0, 0_u32);
    while killed < KILLS {
        assert!(round < 10 * KILLS, "only {killed} of {round} kills struck a transfer under way");
        let (source, target) = (range.source(), range.target());
        // Steps of the golden ratio spread evenly.
        let moment = spans[2].mul_f64(f64::from(round) * 0.618_033_99 % 1.0 * 1.25);
        let (ended, _) = run(round, &source, &target, Some(moment)).await;
        killed += u32::from(ended == Round::Killed);
        replaced += u32::from(range.check(ended));
        round += 1;
    }
    assert!(replaced > 0 && replaced < round, "{replaced} of {round} replaced the target");
}

async fn kill_agents(direction: Direction) {
    let pythons = newest_and_oldest();
    kill_at_random_moments(async |round, source, target, moment| {
        let tunnel = tunnel(pythons[round as usize % pythons.len()]);
        let pid = tunnel.connect().await.expect("it connects").pid;
        let strike = async {
            match moment {
                Some(moment) => tokio::time::sleep(moment).await,
                None => std::future::pending().await,
            }
        };
        let begin = Instant::now();
        let transfer = direction.run(&tunnel, source, target);
        tokio::pin!(transfer);
        let ended = tokio::select! {
            biased;
            done = &mut transfer => {
                done.expect("nothing disturbs it");
                Round::Finished
            }
            () = strike => {
                kill(pid);
                // Its answer may have been under way already.
                if transfer.await.is_ok() { Round::Finished } else { Round::Killed }
            }
        };
        let span = begin.elapsed();
        // Of an agent that was killed it tells so.
        let _ = tunnel.close().await;
        (ended, span)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_killed_at_any_moment_of_a_put_leaves_the_old_file_or_the_new() {
    kill_agents(Direction::Put).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_killed_at_any_moment_of_a_fetch_leaves_the_old_file_or_the_new() {
    kill_agents(Direction::Fetch).await;
}

async fn kill_controllers(direction: Direction) {
    let pythons = newest_and_oldest();
    kill_at_random_moments(async |round, source, target, moment| {
        let python = pythons[round as usize % pythons.len()];
        let mut child = Command::new(env!("CARGO_BIN_EXE_transfer"))
            .args([python.path(), direction.name().as_ref(), source, target])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is there");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (mut agent, mut outcome) = (String::new(), String::new());
        output.read_line(&mut agent).expect("it tells its agent");
        let agent = agent.trim().parse().unwrap_or_else(|_| panic!("{agent:?}"));
        let begin = Instant::now();
        if let Some(moment) = moment {
            tokio::time::sleep(moment).await;
            child.kill().expect("it was not waited for");
        }
        // Whoever has told the outcome had finished.
        output.read_line(&mut outcome).expect("it tells its outcome, or nothing");
        let span = begin.elapsed();
        child.wait().expect("it ends");
        // What has all come, the agent may put in its place yet.
        assert!(eventually(PATIENCE, || !processes::is_there(agent)), "round {round}: the agent is left");
        (if outcome.is_empty() { Round::Killed } else { Round::Finished }, span)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controller_killed_at_any_moment_of_a_put_leaves_the_old_file_or_the_new() {
    kill_controllers(Direction::Put).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controller_killed_at_any_moment_of_a_fetch_leaves_the_old_file_or_the_new() {
    kill_controllers(Direction::Fetch).await;
}
