//! Turning results into text, each separately: in parallel with those of other targets, within its
//! deadline, and before waiting for the lock under which all are printed.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chopsticks::{Reply, text::harmless};
use tokio::{sync::Semaphore, task, time};

use crate::{
    answer::{Answer, Shown},
    outcome::Failure,
    output,
    pieces::Pieces,
    walk::{BUDGET, Unshown},
    work::{Stopped, resume},
};

/// Turns results into text.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    is_json: bool,
    timeout: Option<Duration>,
    /// Room for large results, in units of [`UNIT`] bytes.
    room: Arc<Semaphore>,
    units: u32,
}

impl Renderer {
    /// Creates a renderer of results of at most `max_result` bytes, which observes the deadline of
    /// each target.
    pub(crate) fn new(is_json: bool, timeout: Option<Duration>, max_result: usize) -> Self {
        // Two of the largest at once.
        let units = u32::try_from(2 * max_result / UNIT + 1).unwrap_or(u32::MAX).min(MAX_UNITS);
        Self { is_json, timeout, room: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Makes the text of a target's answer. `begun` is the start of the target.
    pub(crate) async fn render(&self, answer: Answer, begun: Instant) -> Result<Answer<Shown>, Stopped> {
        let reply = match answer {
            Answer::Value(reply) => return Ok(Answer::Value(self.shown(reply, begun).await?)),
            Answer::Facts(facts, reply) if self.is_json => {
                return Ok(Answer::Facts(facts, self.shown(reply, begun).await?));
            }
            Answer::Facts(facts, _) => return Ok(Answer::Facts(facts, Shown::Line(Pieces::default()))),
            Answer::File(file, compared) => Answer::File(file, compared),
            Answer::Shown(file) => Answer::Shown(file),
            Answer::Folder(folder, compared) => Answer::Folder(folder, compared),
            Answer::Pong(pong) => Answer::Pong(pong),
            Answer::Ran(ran) => Answer::Ran(ran),
        };
        Ok(reply)
    }

    async fn shown(&self, reply: Reply, begun: Instant) -> Result<Shown, Stopped> {
        let rendered = self.rendered(reply);
        let Some(timeout) = self.timeout else { return rendered.await };
        let left = timeout.saturating_sub(begun.elapsed());
        time::timeout(left, rendered).await.unwrap_or_else(|_| {
            let message =
                format!("timed out after {timeout:?}: the result came, and was not yet made into text");
            Err(Stopped::Failure(Failure::of_call("timeout", message)))
        })
    }

    async fn rendered(&self, reply: Reply) -> Result<Shown, Stopped> {
        let len = reply.encoded_len();
        let is_json = self.is_json;
        // A short result never waits for the large ones of others.
        let turn = if len > SHORT {
            let units = u32::try_from(len / UNIT).unwrap_or(u32::MAX).clamp(1, self.units);
            self.room.clone().acquire_many_owned(units).await.ok()
        } else {
            None
        };
        if len <= TINY {
            return shown(&reply, is_json, Arc::default()).map_err(Stopped::Failure);
        }
        let abandoned = Abandon::default();
        let flag = abandoned.0.clone();
        let rendered = task::spawn_blocking(move || {
            let shown = shown(&reply, is_json, flag);
            drop((reply, turn));
            shown
        });
        rendered.await.unwrap_or_else(resume).map_err(Stopped::Failure)
    }
}

/// Stops making a text when it is no longer needed.
#[derive(Debug, Default)]
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes the JSON of a result, which is short, or one of those that are made one after the other.
pub(crate) fn json(reply: &Reply) -> Result<Pieces, Failure> {
    match shown(reply, true, Arc::default())? {
        Shown::Block(text) | Shown::Json(text) | Shown::Line(text) => Ok(text),
    }
}

fn shown(reply: &Reply, is_json: bool, abandoned: Arc<AtomicBool>) -> Result<Shown, Failure> {
    let mut out = Pieces::new(abandoned);
    let graph = reply.graph()?;
    if is_json {
        output::write_json(&mut out, &graph, BUDGET)?;
        return Ok(Shown::Json(out));
    }
    match graph.root().as_str() {
        Some(text) if text.contains('\n') => {
            for line in text.split_inclusive('\n') {
                if !line.trim_end_matches(['\r', '\n']).is_empty() {
                    out.write_all(output::INDENT.as_bytes()).map_err(Unshown::from)?;
                }
                // A long line in parts, so that what stands for one is short.
                let mut rest = line;
                while !rest.is_empty() {
                    let (part, more) = rest.split_at(rest.floor_char_boundary(PART));
                    out.write_all(harmless(part).as_bytes()).map_err(Unshown::from)?;
                    rest = more;
                }
            }
            if !text.ends_with('\n') {
                out.write_all(b"\n").map_err(Unshown::from)?;
            }
            Ok(Shown::Block(out))
        }
        _ => {
            output::repr(&mut out, &graph, BUDGET)?;
            Ok(Shown::Line(out))
        }
    }
}

/// Shorter results are turned into text at once, since passing them to a thread takes longer.
const TINY: usize = 4 << 10;
/// Shorter results do not wait for room. A thousand of them take less than one large result.
const SHORT: usize = 64 << 10;
/// The unit in which room is counted.
const UNIT: usize = 4 << 10;
/// The limit of a semaphore on any system.
const MAX_UNITS: u32 = u32::MAX >> 4;
/// The number of bytes of a line that are examined at once.
const PART: usize = 16 << 10;

#[cfg(test)]
mod tests;
