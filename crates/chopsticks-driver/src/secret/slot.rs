//! One secret, and what is known about it: whether it was asked for, and which hosts took it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use zeroize::Zeroizing;

use crate::{
    host::HostName,
    secret::{Refusal, Secret, SecretKind, SecretRequest},
};

/// The secrets that a callback returns.
pub(super) struct Asked {
    ask: Box<Asking>,
    slots: Mutex<HashMap<(SecretKind, String), Arc<Slot>>>,
}

type Asking = dyn Fn(&SecretRequest) -> Option<Secret> + Send + Sync;

/// One secret.
pub(super) struct Slot {
    answer: watch::Sender<Answer>,
    verdict: watch::Sender<Verdict>,
    /// The right to try a secret that no host has accepted.
    turn: Arc<Semaphore>,
    /// The hosts that have refused it.
    refused_by: Mutex<BTreeSet<HostName>>,
}

enum Answer {
    Unasked,
    Asked,
    Known(Option<Secret>),
}

#[derive(Clone)]
enum Verdict {
    Unknown,
    Accepted,
    Rejected(HostName),
}

/// A secret that a host is given. Dropping it says that the host's decision is not known.
pub(crate) struct Try {
    secret: Secret,
    slot: Arc<Slot>,
    host: HostName,
    turn: Option<OwnedSemaphorePermit>,
    since: Instant,
}

impl Asked {
    pub(super) fn new(ask: impl Fn(&SecretRequest) -> Option<Secret> + Send + Sync + 'static) -> Self {
        Self { ask: Box::new(ask), slots: Mutex::default() }
    }

    pub(super) fn slot(&self, request: &SecretRequest) -> Arc<Slot> {
        let about = match request.kind {
            SecretKind::Passphrase | SecretKind::JumpPassword => request.prompt.clone(),
            SecretKind::Password | SecretKind::Sudo => request.host.to_string(),
        };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry((request.kind, about)).or_insert_with(|| Arc::new(Slot::new(Answer::Unasked))).clone()
    }
}

impl Slot {
    fn new(answer: Answer) -> Self {
        Self {
            answer: watch::Sender::new(answer),
            verdict: watch::Sender::new(Verdict::Unknown),
            turn: Arc::new(Semaphore::new(1)),
            refused_by: Mutex::default(),
        }
    }

    pub(super) fn known(secret: Secret) -> Self {
        Self::new(Answer::Known(Some(secret)))
    }

    /// Returns the secret, and asks for it if that has not been done.
    pub(super) async fn secret(
        self: &Arc<Self>,
        asked: Option<&Arc<Asked>>,
        request: &SecretRequest,
    ) -> Option<Secret> {
        let mut answer = self.answer.subscribe();
        loop {
            let mut is_first = false;
            self.answer.send_if_modified(|answer| {
                is_first = matches!(answer, Answer::Unasked);
                if is_first {
                    *answer = Answer::Asked;
                }
                false
            });
            if is_first {
                let asking = Unanswered { slot: self.clone() };
                let (asked, request) = (asked?.clone(), request.clone());
                // It goes on if this future is dropped, so that the question is not asked again.
                tokio::task::spawn_blocking(move || {
                    let secret = (asked.ask)(&request);
                    asking.slot.answer.send_replace(Answer::Known(secret));
                });
            }
            let known = answer.wait_for(|answer| !matches!(answer, Answer::Asked)).await.ok()?;
            if let Answer::Known(secret) = &*known {
                return secret.clone();
            }
        }
    }

    /// Waits until the secret may be tried.
    pub(super) async fn turn(
        self: &Arc<Self>,
        secret: Secret,
        request: &SecretRequest,
    ) -> Result<Try, Refusal> {
        if secret.line("").is_none() {
            return Err(Refusal::Unfit);
        }
        let host = &request.host;
        let mut verdict = self.verdict.subscribe();
        let turn = loop {
            if self.refused_by.lock().unwrap_or_else(PoisonError::into_inner).contains(host) {
                return Err(Refusal::Rejected(host.clone()));
            }
            match &*verdict.borrow_and_update() {
                Verdict::Rejected(by) => return Err(Refusal::Rejected(by.clone())),
                Verdict::Accepted => break None,
                // A key is on this host, and no account can be locked.
                Verdict::Unknown if request.kind == SecretKind::Passphrase => break None,
                Verdict::Unknown => {}
            }
            tokio::select! {
                biased;
                _ = verdict.changed() => {}
                turn = self.turn.clone().acquire_owned() => {
                    if matches!(*verdict.borrow(), Verdict::Unknown) {
                        break turn.ok();
                    }
                }
            }
        };
        Ok(Try { secret, slot: self.clone(), host: host.clone(), turn, since: Instant::now() })
    }
}

impl Try {
    /// Returns the bytes `head`, the secret and a newline.
    pub(crate) fn line(&self, head: &str) -> Zeroizing<Vec<u8>> {
        self.secret.line(head).expect("a secret that is tried is one line")
    }

    /// Notes that the host has accepted the secret.
    pub(crate) fn accept(self) {
        self.slot.verdict.send_if_modified(|verdict| {
            let is_new = !matches!(verdict, Verdict::Accepted);
            *verdict = Verdict::Accepted;
            is_new
        });
    }

    /// Notes that the host has refused the secret.
    pub(crate) fn reject(self) {
        let mut refused_by = self.slot.refused_by.lock().unwrap_or_else(PoisonError::into_inner);
        refused_by.insert(self.host.clone());
        drop(refused_by);
        self.slot.verdict.send_if_modified(|verdict| {
            let is_unknown = matches!(verdict, Verdict::Unknown);
            if is_unknown {
                *verdict = Verdict::Rejected(self.host.clone());
            }
            is_unknown
        });
    }

    /// Waits until the host has had enough time, and then lets other hosts try the secret. Never
    /// completes.
    pub(crate) async fn let_others_try(&mut self) -> std::convert::Infallible {
        tokio::time::sleep_until(self.since + PATIENCE).await;
        self.turn = None;
        std::future::pending().await
    }
}

/// A question that is being asked. It counts as not asked if it was not answered.
struct Unanswered {
    slot: Arc<Slot>,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.slot.answer.send_if_modified(|answer| {
            let is_open = matches!(answer, Answer::Asked);
            if is_open {
                // A callback that panics would do so again.
                *answer = if std::thread::panicking() { Answer::Known(None) } else { Answer::Unasked };
            }
            is_open
        });
    }
}

/// How long a host may take to decide about a secret before another host gets it. A wrong password
/// takes two to three seconds.
const PATIENCE: Duration = Duration::from_secs(10);
