//! A graph as objects: of pencode, and of `marshal` in which something is in a tuple that is in it.

use chopsticks::{
    Graph, Value,
    pencode::{Container, Kind},
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyTuple},
};

use super::{Keys, MAX_DEPTH, Names, Refusal, too_deep};

/// Makes the object of the graph's root.
///
/// What can be changed later is made empty when it is met and filled when all else is there. So a tuple can be in a list that is in it; a tuple that is
/// in itself by tuples alone is refused.
pub(super) fn object<'py>(
    py: Python<'py>,
    graph: &Graph<'_>,
    keys: Keys,
    names: Names,
) -> Result<Bound<'py, PyAny>, Refusal> {
    let count = graph.node_count();
    let (made, heights, seen) = (vec![None; count], vec![0; count], vec![false; count]);
    let mut maker = Maker { py, made, heights, seen, keys, names };
    maker.make(graph.root())
}

struct Maker<'py> {
    py: Python<'py>,
    /// The objects, by the numbers of their nodes.
    made: Vec<Option<Bound<'py, PyAny>>>,
    /// How many tuples and frozensets are in each other there.
    heights: Vec<usize>,
    seen: Vec<bool>,
    keys: Keys,
    names: Names,
}

impl<'py> Maker<'py> {
    fn make(&mut self, root: Value<'_>) -> Result<Bound<'py, PyAny>, Refusal> {
        // Tuples and frozensets that are under way, and then what is in lists, sets and dicts.
        let mut stack = vec![(root, false)];
        let mut later = Vec::new();
        let mut to_fill = Vec::new();
        while let Some((value, is_ready)) = stack.pop().or_else(|| later.pop().map(|value| (value, false))) {
            let at = value.id().index();
            if is_ready {
                self.freeze(value)?;
                continue;
            }
            if std::mem::replace(&mut self.seen[at], true) {
                continue;
            }
            let object = match value.kind() {
                Kind::None => self.py.None().into_bound(self.py),
                Kind::Bool(value) => PyBool::new(self.py, value).to_owned().into_any(),
                Kind::Int(value) => match value.to_i64() {
                    Some(value) => value.into_pyobject(self.py)?.into_any(),
                    None => self.py.get_type::<PyInt>().call1((value.to_string(),))?,
                },
                Kind::Float(value) => PyFloat::new(self.py, value).into_any(),
                Kind::Text(text) => self.names.text(self.py, text)?,
                Kind::Bytes(bytes) => PyBytes::new(self.py, bytes).into_any(),
                Kind::List(items) => {
                    to_fill.push(value);
                    later.extend(items);
                    PyList::empty(self.py).into_any()
                }
                Kind::Set(items) => {
                    to_fill.push(value);
                    later.extend(items);
                    PySet::empty(self.py)?.into_any()
                }
                Kind::Dict(pairs) => {
                    to_fill.push(value);
                    later.extend(pairs.flat_map(|(key, value)| [key, value]));
                    PyDict::new(self.py).into_any()
                }
                Kind::Tuple(items) | Kind::FrozenSet(items) => {
                    stack.push((value, true));
                    stack.extend(items.map(|item| (item, false)));
                    continue;
                }
                _ => return Err(Refusal::Unfit("a value of an unknown kind".to_owned())),
            };
            self.made[at] = Some(object);
        }
        for value in to_fill {
            self.fill(value)?;
        }
        self.get(root)
    }

    /// Makes a tuple or frozenset whose items are there.
    fn freeze(&mut self, value: Value<'_>) -> Result<(), Refusal> {
        let items: Vec<_> = value.items().into_iter().flatten().collect();
        let height = 1 + items.iter().map(|item| self.heights[item.id().index()]).max().unwrap_or(0);
        if height > MAX_DEPTH {
            return Err(Refusal::Unfit(too_deep()));
        }
        let items = items.into_iter().map(|item| self.get(item)).collect::<Result<Vec<_>, _>>()?;
        let at = value.id().index();
        self.heights[at] = height;
        self.made[at] = Some(match value.container() {
            Some(Container::FrozenSet) => {
                self.keys.check(items.iter())?;
                PyFrozenSet::new(self.py, items)?.into_any()
            }
            _ => PyTuple::new(self.py, items)?.into_any(),
        });
        Ok(())
    }

    /// Gives a list, set or dict what is in it.
    fn fill(&mut self, value: Value<'_>) -> Result<(), Refusal> {
        let object = self.get(value)?;
        match value.kind() {
            Kind::List(items) => {
                let items = items.map(|item| self.get(item)).collect::<Result<Vec<_>, _>>()?;
                let list = object.cast::<PyList>().map_err(PyErr::from)?;
                list.set_slice(0, 0, PyList::new(self.py, items)?.as_any())?;
            }
            Kind::Set(items) => {
                let items = items.map(|item| self.get(item)).collect::<Result<Vec<_>, _>>()?;
                self.keys.check(items.iter())?;
                let set = object.cast::<PySet>().map_err(PyErr::from)?;
                items.iter().try_for_each(|item| set.add(item))?;
            }
            Kind::Dict(pairs) => {
                let pairs = pairs
                    .map(|(key, value)| Ok((self.get(key)?, self.get(value)?)))
                    .collect::<Result<Vec<_>, Refusal>>()?;
                self.keys.check(pairs.iter().map(|(key, _)| key))?;
                let dict = object.cast::<PyDict>().map_err(PyErr::from)?;
                pairs.iter().try_for_each(|(key, value)| dict.set_item(key, value))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn get(&self, value: Value<'_>) -> Result<Bound<'py, PyAny>, Refusal> {
        let itself = || Refusal::Unfit("a tuple that is a part of itself".to_owned());
        self.made[value.id().index()].clone().ok_or_else(itself)
    }
}
