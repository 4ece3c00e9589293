//! Jobs as the operations of a group, so that its limits apply to them.

use std::{fmt, io, sync::Arc};

use chopsticks::{
    Error, HostName, Limits, Tunnel,
    scheduling::{self, Failure as Unfinished, Group, Outcome},
};
use futures::StreamExt as _;
use thiserror::Error;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
};

use crate::{
    answer::{Answer, Shown},
    outcome::Failure,
};

/// Running jobs: one task that performs them all, and the outcomes of those that have ended.
pub(crate) struct Work {
    task: JoinHandle<()>,
    ended: mpsc::UnboundedReceiver<(usize, Ended)>,
}

/// The outcome of a job.
#[derive(Debug)]
pub(crate) enum Ended {
    Answer(Answer<Shown>),
    Failure(Failure),
    /// The output can no longer be written.
    Output(io::Error),
}

/// Why a job has no answer, or a negative one.
#[derive(Clone, Debug, Error)]
pub(crate) enum Stopped {
    #[error("the job failed")]
    Failure(Failure),
    /// The output of the job can no longer be written.
    #[error("stdout cannot be written")]
    Output(Arc<io::Error>),
    /// The answer reports a failure.
    #[error("the program failed")]
    Unwelcome(Arc<Answer<Shown>>),
}

/// A tunnel, identified by its position among the targets.
#[derive(Clone)]
struct Member {
    index: usize,
    tunnel: Tunnel,
}

/// The position of a target, which the log shows by name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Place {
    index: usize,
    host: HostName,
}

impl Work {
    /// Begins to run `job` on each tunnel, within the limits.
    pub(crate) fn begin<F>(
        tunnels: &[Tunnel],
        limits: Limits,
        job: impl Fn(usize, Tunnel) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Answer<Shown>, Stopped>> + Send + 'static,
    {
        let members = tunnels.iter().cloned().enumerate().map(|(index, tunnel)| Member { index, tunnel });
        let group = Group::new(members).expect("places differ").limits(limits);
        let mut run = group.each(move |member: Member| {
            let job = job(member.index, member.tunnel);
            async move {
                match job.await {
                    Ok(answer) if answer.is_failure() => Err(Stopped::Unwelcome(Arc::new(answer))),
                    result => result,
                }
            }
        });
        // There is one message for each target.
        let (sender, ended) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some((place, outcome)) = run.next().await {
                if sender.send((place.index, outcome.into())).is_err() {
                    return;
                }
            }
        });
        Self { task, ended }
    }

    /// Returns the position of the next target that is done, and its outcome, or `None` once all
    /// are done.
    ///
    /// This method is cancel safe: no outcome is lost.
    pub(crate) async fn next(&mut self) -> Option<(usize, Ended)> {
        match self.ended.recv().await {
            Some(ended) => Some(ended),
            None => {
                (&mut self.task).await.unwrap_or_else(|error| {
                    if !error.is_cancelled() {
                        resume(error)
                    }
                });
                None
            }
        }
    }

    /// Cancels the running jobs.
    pub(crate) async fn stop(&mut self) {
        if !self.task.is_finished() {
            self.task.abort();
            let _ = (&mut self.task).await;
        }
    }
}

impl From<Outcome<Answer<Shown>, Stopped>> for Ended {
    fn from(outcome: Outcome<Answer<Shown>, Stopped>) -> Self {
        match outcome {
            Ok(answer) => Self::Answer(answer),
            Err(Unfinished::Operation(Stopped::Failure(failure))) => Self::Failure(failure),
            Err(Unfinished::Operation(Stopped::Output(error))) => {
                Self::Output(Arc::into_inner(error).unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()))
            }
            Err(Unfinished::Operation(Stopped::Unwelcome(answer))) => match Arc::into_inner(answer) {
                Some(answer) => Self::Answer(answer),
                // Nobody else has it.
                None => Self::Failure(Failure::of_call("exit-status", "the program failed")),
            },
            Err(unfinished) => Self::Failure(Failure::not_started(unfinished.to_string())),
        }
    }
}

impl scheduling::Member for Member {
    type Name = Place;
    type Error = Stopped;

    fn name(&self) -> Place {
        Place { index: self.index, host: self.tunnel.host().clone() }
    }

    async fn connect(&self) -> Result<(), Stopped> {
        self.tunnel.connect().await?;
        Ok(())
    }

    async fn close(&self) -> Result<(), Stopped> {
        Ok(self.tunnel.close().await?)
    }

    fn key(&self) -> Option<String> {
        self.tunnel.destination()
    }

    async fn connected(&self) {
        self.tunnel.connected().await;
    }

    // None gives way: those that are done are being closed.
    fn room(&self) -> Option<impl Send + 'static> {
        self.tunnel.room()
    }

    async fn more_room(&self) {
        self.tunnel.more_room().await;
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failure(error.into())
    }
}

/// Passes a panic on. The tasks here are never cancelled before they are waited for.
pub(crate) fn resume<T>(error: JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}
