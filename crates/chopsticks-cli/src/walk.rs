//! Walks a result in the order in which it is written, regardless of depth, cycles and sharing.

use std::io;

use chopsticks::{
    Graph, Value,
    pencode::{Container, NodeId},
};
use thiserror::Error;

/// Walks a graph as a tree, without recursion. It needs a byte for each object and eight for each
/// level, since a level can be an object of two bytes.
#[derive(Debug)]
pub(crate) struct Walk<'g> {
    graph: &'g Graph<'g>,
    root: Option<Value<'g>>,
    open: Vec<Open>,
    /// By the index of the node: [`WRITTEN`], [`OPEN`], [`MARKED`].
    states: Vec<u8>,
    /// How many open containers there are outside of the outermost repeated one, if there is one.
    copied_from: Option<usize>,
    /// The remaining budget for repeated objects.
    budget: usize,
    left: usize,
}

/// The next thing to write.
#[derive(Debug)]
pub(crate) struct Step<'g> {
    pub(crate) within: Option<Within<'g>>,
    pub(crate) event: Event<'g>,
}

/// The innermost open container around something, and the position in it. In a dict, keys have even
/// positions, and each value follows its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<'g> {
    pub(crate) value: Value<'g>,
    pub(crate) container: Container,
    pub(crate) position: usize,
}

#[derive(Debug)]
pub(crate) enum Event<'g> {
    /// The end of a container, with how many members it had.
    Close(Value<'g>, Container, usize),
    /// A container that is already open: it contains itself.
    Cycle(Value<'g>, Container),
    /// The beginning of a container.
    Open(Value<'g>, Container),
    /// Any value that is not a container.
    Scalar(Value<'g>),
}

/// Why a result is not shown.
#[derive(Debug, Error)]
pub(crate) enum Unshown {
    #[error(
        "the result is too large to be shown: objects that are in several places would make more than {} MiB of copies",
        budget >> 20
    )]
    TooManyCopies { budget: usize },
    /// There is not enough memory, or the text is no longer needed.
    #[error("the result cannot be shown: {0}")]
    Unwritten(#[from] io::Error),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    node: NodeId,
    /// A container has at most 2^32 members.
    taken: u32,
}

impl<'g> Walk<'g> {
    pub(crate) fn new(graph: &'g Graph<'g>, budget: usize) -> Result<Self, Unshown> {
        let mut states = Vec::new();
        states.try_reserve_exact(graph.node_count()).map_err(no_memory)?;
        states.resize(graph.node_count(), 0);
        let (root, open) = (Some(graph.root()), Vec::new());
        Ok(Self { graph, root, open, states, copied_from: None, budget, left: budget })
    }

    /// Returns the next step, or `None` at the end.
    pub(crate) fn step(&mut self) -> Result<Option<Step<'g>>, Unshown> {
        let (value, within) = match (self.root.take(), self.open.last_mut()) {
            (Some(root), _) => (root, None),
            (None, None) => return Ok(None),
            (None, Some(open)) => {
                let container = self.graph.value(open.node);
                let position = open.taken as usize;
                match (container.member(position), container.container()) {
                    (Some(member), Some(kind)) => {
                        open.taken += 1;
                        (member, Some(Within { value: container, container: kind, position }))
                    }
                    _ => return Ok(self.close()),
                }
            }
        };
        let index = value.id().index();
        let state = self.states[index];
        let is_within_copy = self.copied_from.is_some();
        let event = match value.container() {
            None => {
                let len = len(value);
                if is_within_copy || (state & WRITTEN != 0 && len > FREE_LEN) {
                    self.charge(COST + len)?;
                }
                self.states[index] |= WRITTEN;
                Event::Scalar(value)
            }
            Some(container) if state & OPEN != 0 => {
                self.charge(COST)?;
                Event::Cycle(value, container)
            }
            Some(container) => {
                if is_within_copy || state & WRITTEN != 0 {
                    self.charge(COST)?;
                    self.copied_from.get_or_insert(self.open.len());
                }
                self.states[index] |= OPEN;
                if self.open.len() == self.open.capacity() {
                    self.open.try_reserve_exact((self.open.len() / 4).max(16)).map_err(no_memory)?;
                }
                self.open.push(Open { node: value.id(), taken: 0 });
                Event::Open(value, container)
            }
        };
        Ok(Some(Step { within, event }))
    }

    /// Pays for something that is written in addition to the values.
    pub(crate) fn charge(&mut self, cost: usize) -> Result<(), Unshown> {
        let budget = self.budget;
        self.left = self.left.checked_sub(cost).ok_or(Unshown::TooManyCopies { budget })?;
        Ok(())
    }

    /// Marks an object for [`is_marked`](Self::is_marked).
    pub(crate) fn mark(&mut self, value: Value<'_>) {
        self.states[value.id().index()] |= MARKED;
    }

    pub(crate) fn is_marked(&self, value: Value<'_>) -> bool {
        self.states[value.id().index()] & MARKED != 0
    }

    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Returns the open containers, outermost first, each with the position of the member that is being written.
    pub(crate) fn open(&self) -> impl Iterator<Item = (Value<'g>, usize)> {
        let graph = self.graph;
        self.open.iter().map(move |open| (graph.value(open.node), (open.taken as usize).saturating_sub(1)))
    }

    fn close(&mut self) -> Option<Step<'g>> {
        let Open { node, taken } = self.open.pop()?;
        if self.copied_from == Some(self.open.len()) {
            self.copied_from = None;
        }
        let state = &mut self.states[node.index()];
        *state = (*state & !OPEN) | WRITTEN;
        let value = self.graph.value(node);
        let within = self.open.last().and_then(|outer| {
            let value = self.graph.value(outer.node);
            let position = (outer.taken as usize).saturating_sub(1);
            Some(Within { value, container: value.container()?, position })
        });
        Some(Step { within, event: Event::Close(value, value.container()?, taken as usize) })
    }
}

fn no_memory(_: std::collections::TryReserveError) -> Unshown {
    Unshown::Unwritten(io::ErrorKind::OutOfMemory.into())
}

/// The length of text, bytes and digits.
fn len(value: Value<'_>) -> usize {
    match (value.as_str(), value.as_bytes()) {
        (Some(text), _) => text.len(),
        (_, Some(bytes)) => bytes.len(),
        _ => value.as_int().and_then(|int| int.as_big_digits()).map_or(0, str::len),
    }
}

/// The state of an object: it was written, it is being written, or the writer has marked it.
const WRITTEN: u8 = 1;
const OPEN: u8 = 2;
const MARKED: u8 = 4;

/// The budget for all copies together. A result without shared objects costs nothing. It is much
/// more than anyone reads, and equals the default limit of a result.
pub(crate) const BUDGET: usize = 64 << 20;
/// The cost of each copied value in addition to its length: about the size of a short one.
pub(crate) const COST: usize = 16;
/// A shared scalar costs nothing up to this length, because Python itself shares names and small
/// numbers.
const FREE_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use chopsticks::pencode::{GraphBuilder, NodeId};

    use super::*;

    fn walk(builder: &GraphBuilder<'_>, root: NodeId) -> Option<usize> {
        let graph = builder.clone().finish(root).unwrap();
        let mut walk = Walk::new(&graph, BUDGET).unwrap();
        let mut steps = 0;
        loop {
            match walk.step() {
                Ok(Some(_)) => steps += 1,
                Ok(None) => return Some(steps),
                Err(Unshown::TooManyCopies { budget }) => {
                    assert_eq!(budget, BUDGET);
                    return None;
                }
                Err(Unshown::Unwritten(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn members_and_their_positions_come_in_order() {
        let mut b = GraphBuilder::new();
        let (one, two) = (b.int(1), b.int(2));
        let inner = b.reserve(Container::Dict);
        b.fill(inner, [one, two, two, inner]);
        let root = b.tuple([inner, one]);
        let graph = b.finish(root).unwrap();
        let mut walk = Walk::new(&graph, BUDGET).unwrap();
        let mut steps = Vec::new();
        while let Some(Step { within, event }) = walk.step().unwrap() {
            let event = match event {
                Event::Close(_, container, count) => format!("close {container:?} {count}"),
                Event::Cycle(_, container) => format!("cycle {container:?}"),
                Event::Open(_, container) => format!("open {container:?}"),
                Event::Scalar(value) => value.to_string(),
            };
            steps.push((within.map(|within| (within.container, within.position)), event));
        }
        let (in_tuple, in_dict) = (|at| Some((Container::Tuple, at)), |at| Some((Container::Dict, at)));
        let expected = [
            (None, "open Tuple"),
            (in_tuple(0), "open Dict"),
            (in_dict(0), "1"),
            (in_dict(1), "2"),
            (in_dict(2), "2"),
            (in_dict(3), "cycle Dict"),
            (in_tuple(0), "close Dict 4"),
            (in_tuple(1), "1"),
            (None, "close Tuple 2"),
        ];
        assert_eq!(steps, expected.map(|(within, event)| (within, event.to_owned())));
    }

    #[test]
    fn copies_of_long_text_are_limited() {
        let mut b = GraphBuilder::new();
        let text = b.text(&"x".repeat(1 << 20));
        let (few, many) = (b.list([text; 50]), b.list([text; 70]));
        assert_eq!(walk(&b, few), Some(52));
        assert_eq!(walk(&b, many), None);
    }

    #[test]
    fn short_members_of_a_copy_count_too() {
        let mut b = GraphBuilder::new();
        let none = b.none();
        let row = b.list(vec![none; 100_000]);
        let table = b.list([row; 1000]);
        assert_eq!(walk(&b, table), None);
    }

    #[test]
    fn result_without_shared_objects_has_no_limit() {
        let mut b = GraphBuilder::new();
        let text = "x".repeat(1 << 20);
        let rows: Vec<_> = (0..300).map(|_| b.text(&text)).collect();
        let root = b.list(rows);
        assert_eq!(walk(&b, root), Some(302));
    }
}
