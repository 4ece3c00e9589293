//! The modules that a module leads to.

use std::{collections::HashMap, time::Instant};

use crate::{
    codebase::Codebase,
    imports::{Import, Imports, Names},
    look::Look,
    module::{Module, ModuleKind},
    name::ModuleName,
    stdlib,
};

/// The modules that a function of one module may import, in the order in which they are found.
#[derive(Debug)]
pub(crate) struct Closure<'a> {
    codebase: &'a Codebase,
    look: Look<'a>,
    nodes: Vec<Node>,
    /// Every name that was looked up, with the position of its module in `nodes`.
    known: HashMap<ModuleName, Option<usize>>,
    /// How many more modules may be examined, whether they are sent or not.
    modules_left: usize,
    bytes_left: usize,
    /// When to stop looking, if ever.
    end: Option<Instant>,
}

#[derive(Debug)]
struct Node {
    module: Module,
    /// The modules that must exist before it runs, and those that it imports.
    needs: Vec<usize>,
}

impl<'a> Closure<'a> {
    /// Returns the modules, with packages before the modules in them and dependencies first.
    pub(crate) fn of(codebase: &'a Codebase, name: &ModuleName) -> Vec<Module> {
        let mut closure = Self::new(codebase);
        if let Some(outermost) = name.parts().next()
            && !stdlib::has(outermost)
        {
            closure.want(name);
        }
        closure.finish()
    }

    /// Returns the modules that a source text leads to, in the same order. The text itself is not a
    /// module.
    pub(crate) fn of_source(codebase: &'a Codebase, source: &[u8]) -> Vec<Module> {
        let mut closure = Self::new(codebase);
        for import in &Imports::read(source).list {
            closure.follow(import, None, &mut Vec::new());
        }
        closure.finish()
    }

    fn new(codebase: &'a Codebase) -> Self {
        let (modules_left, bytes_left, time) = codebase.max_ahead();
        Self {
            codebase,
            look: codebase.look(),
            nodes: Vec::new(),
            known: HashMap::new(),
            modules_left,
            bytes_left,
            end: Instant::now().checked_add(time),
        }
    }

    /// Follows the imports of the modules that were found.
    fn finish(mut self) -> Vec<Module> {
        // Breadth first: what the limits leave out is what is most remote.
        let mut next = 0;
        while next < self.nodes.len() && self.end.is_none_or(|end| Instant::now() < end) {
            let needs = self.needs_of(next);
            self.nodes[next].needs = needs;
            next += 1;
        }
        self.into_order()
    }

    /// Returns the modules that a module imports from the codebase.
    fn needs_of(&mut self, node: usize) -> Vec<usize> {
        let module = self.nodes[node].module.clone();
        let Some(imports) = module.imports() else { return Vec::new() };
        let package = match module.kind() {
            ModuleKind::Module | ModuleKind::Unpacked => module.name().parent(),
            ModuleKind::Namespace | ModuleKind::Package => Some(module.name().clone()),
        };
        let mut needs = Vec::new();
        for import in &imports.list {
            self.follow(import, package.as_ref(), &mut needs);
        }
        needs
    }

    fn follow(&mut self, import: &Import, package: Option<&ModuleName>, needs: &mut Vec<usize>) {
        let base = if import.level == 0 {
            let outermost = import.module.split('.').next().unwrap_or_default();
            if stdlib::has(outermost) {
                return;
            }
            let found = import.module.parse().ok().and_then(|name| self.want_into(&name, needs));
            let is_absent = || {
                outermost.parse().is_ok_and(|name: ModuleName| matches!(self.known.get(&name), Some(None)))
            };
            match package {
                // On Python 2 the package itself comes first; elsewhere this would not be found at all.
                Some(package) if found.is_none() && is_absent() && self.has(package, outermost) => {
                    package.below(&import.module).and_then(|name| self.want_into(&name, needs))
                }
                _ => found,
            }
        } else {
            let mut around = package.cloned();
            for _ in 1..import.level {
                around = around.and_then(|package| package.parent());
            }
            let name = match around {
                Some(package) if import.module.is_empty() => Some(package),
                Some(package) => package.below(&import.module),
                None => None,
            };
            name.and_then(|name| self.want_into(&name, needs))
        };
        let Some(base) = base else { return };
        let base = self.nodes[base].module.clone();
        let names = match &import.names {
            Names::All => base.imports().map_or(&[][..], |imports| &imports.all),
            Names::Listed(names) => names,
            Names::Module => return,
        };
        for name in names {
            // Most are names of functions and classes.
            if base.submodules().binary_search(name).is_ok()
                && let Some(name) = base.name().below(name)
            {
                self.want_into(&name, needs);
            }
        }
    }

    /// Returns whether a package that was found has a module of this name.
    fn has(&self, package: &ModuleName, name: &str) -> bool {
        let Some(Some(node)) = self.known.get(package) else { return false };
        self.nodes[*node].module.submodules().binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// Like [`want`](Self::want), but adds everything that is found along the way to the needs.
    fn want_into(&mut self, name: &ModuleName, needs: &mut Vec<usize>) -> Option<usize> {
        let (found, lineage) = self.want(name);
        needs.extend(lineage);
        found
    }

    /// Finds a module and the packages around it. Also returns all of these that exist.
    fn want(&mut self, name: &ModuleName) -> (Option<usize>, Vec<usize>) {
        let mut lineage = Vec::new();
        let mut found = None;
        for name in name.lineage() {
            found = self.add(name);
            match found {
                Some(node) => lineage.push(node),
                None => break,
            }
        }
        (found, lineage)
    }

    fn add(&mut self, name: ModuleName) -> Option<usize> {
        if let Some(node) = self.known.get(&name) {
            return *node;
        }
        // What is unpacked comes whole when it is asked for.
        if self.modules_left == 0 || self.codebase.unpacks(&name) {
            return None;
        }
        // What is refused or cannot be read is told when the host asks for it.
        let module = self.codebase.find_in(&name, &mut self.look).ok().flatten();
        if module.is_some() {
            self.modules_left -= 1;
        }
        let node = module.filter(|module| module.source().len() <= self.bytes_left).map(|module| {
            self.bytes_left -= module.source().len();
            self.nodes.push(Node { module, needs: Vec::new() });
            self.nodes.len() - 1
        });
        self.known.insert(name, node);
        node
    }

    /// Puts each module after its packages and, except in cycles, after the modules that it
    /// imports.
    fn into_order(self) -> Vec<Module> {
        let Self { nodes, known, .. } = self;
        let mut order =
            Order { nodes: &nodes, known: &known, done: vec![false; nodes.len()], sorted: Vec::new() };
        let mut begun = vec![false; nodes.len()];
        // The first nodes are the packages around the function's module. By hand, for a chain of imports has any length.
        for root in 0..nodes.len() {
            let mut path = vec![(root, 0)];
            while let Some((node, next)) = path.last_mut() {
                let node = *node;
                if *next == 0 && std::mem::replace(&mut begun[node], true) {
                    path.pop();
                    continue;
                }
                match nodes[node].needs.get(*next) {
                    Some(&need) => {
                        *next += 1;
                        if !begun[need] {
                            path.push((need, 0));
                        }
                    }
                    None => {
                        order.emit(node);
                        path.pop();
                    }
                }
            }
        }
        let sorted = order.sorted;
        let mut modules: Vec<_> = nodes.into_iter().map(|node| Some(node.module)).collect();
        sorted.into_iter().filter_map(|node| modules[node].take()).collect()
    }
}

struct Order<'a> {
    nodes: &'a [Node],
    known: &'a HashMap<ModuleName, Option<usize>>,
    done: Vec<bool>,
    sorted: Vec<usize>,
}

impl Order<'_> {
    fn emit(&mut self, node: usize) {
        for name in self.nodes[node].module.name().lineage() {
            if let Some(Some(node)) = self.known.get(&name)
                && !std::mem::replace(&mut self.done[*node], true)
            {
                self.sorted.push(*node);
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "parser")]
mod tests;
