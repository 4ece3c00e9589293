//! What answers the imports of agents.

use std::fmt;

use crate::{entry::ModuleEntry, error::ModuleError, resource::Resource};

/// Answers what agents import, from wherever it likes.
///
/// Methods may block: they are called on threads for blocking work, and a tunnel waits for them only until its deadline
/// for imports. Agents are told the [`top_level`](Self::top_level) names once for each connection and ask only for modules below
/// these; what a host's own standard library has is never asked for.
pub trait ModuleSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the names of the outermost modules and packages.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from knowing; it fails the call that made the agent connect.
    fn top_level(&self) -> Result<Vec<String>, ModuleError>;

    /// Returns the module called `name`, or `None` if there is none.
    ///
    /// `name` comes from the agent and can be any text: answer only for what is meant to be served.
    ///
    /// # Errors
    ///
    /// Whatever keeps the module from being read; it becomes an `ImportError` on the host.
    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError>;

    /// Returns what a function in the module `name` will need, to be sent ahead of its first call. Packages come before what
    /// is in them.
    ///
    /// By default the module and the packages around it.
    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        ends.map_while(|end| self.module(&name[..end]).ok().flatten()).collect()
    }

    /// Returns what a source text that is no module of this source will need, to be sent ahead of it; in the order of
    /// [`needed`](Self::needed).
    ///
    /// `source` is as in a file, in whatever encoding it declares. By default nothing: each module waits until it is asked for.
    fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        let _ = source;
        Vec::new()
    }

    /// Returns a file or folder of the data of `package`, or `None` if it is not there or not served.
    ///
    /// `path` has `/` between its parts and is empty for the package's own folder. Both come from the agent and can be any text: answer only for
    /// what is meant to be served. By default there is no data.
    ///
    /// # Errors
    ///
    /// Whatever keeps the data from being read; it becomes an `OSError` on the host.
    fn resource(&self, package: &str, path: &str) -> Result<Option<Resource>, ModuleError> {
        let _ = (package, path);
        Ok(None)
    }

    /// Returns what may help whoever named a module that is not there: names like it, and where it was looked for. `None` if the
    /// source has the module, or nothing to say.
    ///
    /// It is added to the error of a call. By default there is nothing to say.
    fn hint(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModuleEntryKind;

    #[derive(Debug)]
    struct Two;

    impl ModuleSource for Two {
        fn top_level(&self) -> Result<Vec<String>, ModuleError> {
            Ok(vec!["a".to_owned()])
        }

        fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
            match name {
                "a" | "a.b" => Ok(Some(ModuleEntry::new(name, ModuleEntryKind::Package, "", ""))),
                "a.broken" => Err(ModuleError::new("broken")),
                _ => Ok(None),
            }
        }
    }

    #[test]
    fn lineage_is_needed_as_far_as_it_is_there() {
        let names = |name| Two.needed(name).into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names("a.b"), ["a", "a.b"]);
        assert_eq!(names("a.b.c"), ["a", "a.b"]);
        assert_eq!(names("a.broken"), ["a"]);
        assert_eq!(names("x.y"), [""; 0]);
    }

    #[test]
    fn nothing_more_has_to_be_answered() {
        assert_eq!(Two.needed_by_source(b"import a"), []);
        assert_eq!(Two.resource("a", "x"), Ok(None));
        assert_eq!(Two.hint("z"), None);
    }
}
