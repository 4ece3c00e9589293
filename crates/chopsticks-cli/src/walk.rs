//! Walking a result in the order in which it is written, whatever its depth, cycles and sharing.

use chopsticks::{
    Graph, Value,
    pencode::{Container, Items, Kind, Pairs},
};
use thiserror::Error;

/// Walks a graph as a tree, without recursion.
#[derive(Debug)]
pub(crate) struct Walk<'g> {
    root: Option<Value<'g>>,
    open: Vec<Open<'g>>,
    /// By the index of the node.
    states: Vec<State>,
    /// How much may be written for what was written before.
    budget: usize,
    left: usize,
}

/// What is to be written next.
#[derive(Debug)]
pub(crate) struct Step<'g> {
    /// The innermost open container and the position in it, if there is one. In a dict keys are at even positions, their values
    /// behind them.
    pub(crate) within: Option<(Container, usize)>,
    pub(crate) event: Event<'g>,
}

#[derive(Debug)]
pub(crate) enum Event<'g> {
    /// The end of the innermost open container, with how many members it had.
    Close(Container, usize),
    /// A container that is open already: it contains itself.
    Cycle(Value<'g>, Container),
    /// The begin of a container.
    Open(Value<'g>, Container),
    /// Anything but a container.
    Scalar(Value<'g>),
}

/// A result that would be too large if it were written.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "the result is too large to be shown: objects that are in several places would make more than {} MiB of copies",
    budget >> 20
)]
pub(crate) struct TooManyCopies {
    budget: usize,
}

#[derive(Debug)]
struct Open<'g> {
    value: Value<'g>,
    container: Container,
    members: Members<'g>,
    taken: usize,
    /// Whether it, or a container around it, was written before.
    is_copy: bool,
}

#[derive(Debug)]
enum Members<'g> {
    Items(Items<'g>),
    Pairs(Pairs<'g>, Option<Value<'g>>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    New,
    Open,
    Written,
}

impl<'g> Walk<'g> {
    pub(crate) fn new(graph: &'g Graph<'g>, budget: usize) -> Self {
        Self {
            root: Some(graph.root()),
            open: Vec::new(),
            states: vec![State::New; graph.node_count()],
            budget,
            left: budget,
        }
    }

    /// Takes the next step; `None` at the end.
    pub(crate) fn step(&mut self) -> Result<Option<Step<'g>>, TooManyCopies> {
        let (value, within, in_copy) = match (self.root.take(), self.open.last_mut()) {
            (Some(root), _) => (root, None, false),
            (None, None) => return Ok(None),
            (None, Some(open)) => {
                let position = open.taken;
                match open.members.next() {
                    Some(member) => {
                        open.taken += 1;
                        (member, Some((open.container, position)), open.is_copy)
                    }
                    None => return Ok(self.close()),
                }
            }
        };
        let state = self.states[value.id().index()];
        let event = match members(value) {
            None => {
                let len = len(value);
                if in_copy || (state == State::Written && len > FREE_LEN) {
                    self.charge(COST + len)?;
                }
                self.states[value.id().index()] = State::Written;
                Event::Scalar(value)
            }
            Some((container, _)) if state == State::Open => {
                self.charge(COST)?;
                Event::Cycle(value, container)
            }
            Some((container, members)) => {
                let is_copy = in_copy || state == State::Written;
                if is_copy {
                    self.charge(COST)?;
                }
                self.states[value.id().index()] = State::Open;
                self.open.push(Open { value, container, members, taken: 0, is_copy });
                Event::Open(value, container)
            }
        };
        Ok(Some(Step { within, event }))
    }

    /// Pays for something that is written beside the values.
    pub(crate) fn charge(&mut self, cost: usize) -> Result<(), TooManyCopies> {
        self.left = self.left.checked_sub(cost).ok_or(TooManyCopies { budget: self.budget })?;
        Ok(())
    }

    fn close(&mut self) -> Option<Step<'g>> {
        let Open { value, container, taken, .. } = self.open.pop()?;
        self.states[value.id().index()] = State::Written;
        let within = self.open.last().map(|open| (open.container, open.taken - 1));
        Some(Step { within, event: Event::Close(container, taken) })
    }
}

impl<'g> Iterator for Members<'g> {
    type Item = Value<'g>;

    fn next(&mut self) -> Option<Value<'g>> {
        match self {
            Self::Items(items) => items.next(),
            Self::Pairs(pairs, pending) => pending.take().or_else(|| {
                let (key, value) = pairs.next()?;
                *pending = Some(value);
                Some(key)
            }),
        }
    }
}

fn members(value: Value<'_>) -> Option<(Container, Members<'_>)> {
    Some(match value.kind() {
        Kind::List(items) => (Container::List, Members::Items(items)),
        Kind::Tuple(items) => (Container::Tuple, Members::Items(items)),
        Kind::Set(items) => (Container::Set, Members::Items(items)),
        Kind::FrozenSet(items) => (Container::FrozenSet, Members::Items(items)),
        Kind::Dict(pairs) => (Container::Dict, Members::Pairs(pairs, None)),
        _ => return None,
    })
}

/// The length of text, bytes and digits.
fn len(value: Value<'_>) -> usize {
    match value.kind() {
        Kind::Text(text) => text.len(),
        Kind::Bytes(bytes) => bytes.len(),
        Kind::Int(int) => int.as_big_digits().map_or(0, str::len),
        _ => 0,
    }
}

/// What all copies together may cost; a result without shared objects costs nothing. A quarter of the largest message: much
/// more than anyone reads, and written in a second.
pub(crate) const BUDGET: usize = 256 << 20;
/// The cost of each copied value, beside its length: about what a short one takes.
pub(crate) const COST: usize = 16;
/// A scalar that is shared costs nothing up to this length, because Python shares names and small numbers by itself.
const FREE_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use chopsticks::pencode::{GraphBuilder, NodeId};

    use super::*;

    fn walk(builder: &GraphBuilder<'_>, root: NodeId) -> Result<usize, TooManyCopies> {
        let graph = builder.clone().finish(root).unwrap();
        let mut walk = Walk::new(&graph, BUDGET);
        let mut steps = 0;
        while walk.step()?.is_some() {
            steps += 1;
        }
        Ok(steps)
    }

    #[test]
    fn members_and_their_positions_come_in_order() {
        let mut b = GraphBuilder::new();
        let (one, two) = (b.int(1), b.int(2));
        let inner = b.reserve(Container::Dict);
        b.fill(inner, [one, two, two, inner]);
        let root = b.tuple([inner, one]);
        let graph = b.finish(root).unwrap();
        let mut walk = Walk::new(&graph, BUDGET);
        let mut steps = Vec::new();
        while let Some(Step { within, event }) = walk.step().unwrap() {
            let event = match event {
                Event::Close(container, count) => format!("close {container:?} {count}"),
                Event::Cycle(_, container) => format!("cycle {container:?}"),
                Event::Open(_, container) => format!("open {container:?}"),
                Event::Scalar(value) => value.to_string(),
            };
            steps.push((within, event));
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
        let (few, many) = (b.list([text; 200]), b.list([text; 300]));
        assert_eq!(walk(&b, few), Ok(202));
        assert_eq!(walk(&b, many), Err(TooManyCopies { budget: BUDGET }));
    }

    #[test]
    fn short_members_of_a_copy_count_too() {
        let mut b = GraphBuilder::new();
        let none = b.none();
        let row = b.list(vec![none; 100_000]);
        let table = b.list([row; 1000]);
        assert_eq!(walk(&b, table), Err(TooManyCopies { budget: BUDGET }));
    }

    #[test]
    fn result_without_shared_objects_has_no_limit() {
        let mut b = GraphBuilder::new();
        let text = "x".repeat(1 << 20);
        let rows: Vec<_> = (0..300).map(|_| b.text(&text)).collect();
        let root = b.list(rows);
        assert_eq!(walk(&b, root), Ok(302));
    }
}
