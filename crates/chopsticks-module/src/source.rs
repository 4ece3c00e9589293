//! The trait of sources of modules.

use std::fmt;

use crate::{entry::ModuleEntry, error::ModuleError, resource::Resource};

/// A source of the modules and data that agents import.
///
/// Methods may block. They are called on threads for blocking work, and a tunnel waits for them only until its deadline
/// for imports. Agents receive the [`top_level`](Self::top_level) names before the first call and ask only for modules below
/// these names. They never ask for modules of their own standard library.
pub trait ModuleSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the names of the outermost modules and packages. With `*` among them, agents ask for
    /// other names too, which costs a round trip for each that does not exist.
    ///
    /// # Errors
    ///
    /// Any reason why the source cannot list them. The error fails the call that made the agent connect.
    fn top_level(&self) -> Result<Vec<String>, ModuleError>;

    /// Returns a number that changes when [`top_level`](Self::top_level) or
    /// [`roots`](Self::roots) has changed. They are sent again before the next call then.
    ///
    /// It is asked for at each call, so it must not block. By default it never changes.
    fn version(&self) -> u64 {
        0
    }

    /// Returns the text that precedes the paths of the files of each root, in search order.
    ///
    /// With these roots, agents also find modules and data by the path of their folder: see
    /// [`module`](Self::module). By default the list is empty.
    fn roots(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the module called `name`, or `None` if it does not exist.
    ///
    /// `name` comes from the agent and can be any text: return only what should be served. A name
    /// that begins with `/` names a file by its path without the ending: `/`, the number of a root
    /// (or nothing, for all roots), `/`, and the path below it, as in `/0/ops/deploy`.
    ///
    /// # Errors
    ///
    /// Any reason why the module cannot be read. The error becomes an `ImportError` on the host.
    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError>;

    /// Returns the modules that a function in the module `name` will need, which are sent ahead of its first call. Packages come before the
    /// modules in them.
    ///
    /// By default these are the module itself and the packages around it.
    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        ends.map_while(|end| self.module(&name[..end]).ok().flatten()).collect()
    }

    /// Returns the modules that a source text needs which does not belong to this source, such as a
    /// script. They are sent ahead of it, in the order of [`needed`](Self::needed).
    ///
    /// `source` is the content of a file, in the encoding that it declares. By default nothing is sent ahead, and each module is sent when an agent asks for it.
    fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        let _ = source;
        Vec::new()
    }

    /// Returns a file or folder of the data of `package`, or `None` if it does not exist or is not served.
    ///
    /// `path` has `/` between its parts, and is empty for the package's own folder. Both names come
    /// from the agent and can be any text: return only what should be served. A package that begins
    /// with `/` is a folder, as in [`module`](Self::module). By default there is no data.
    ///
    /// # Errors
    ///
    /// Any reason why the data cannot be read. The error becomes an `OSError` on the host.
    fn resource(&self, package: &str, path: &str) -> Result<Option<Resource>, ModuleError> {
        let _ = (package, path);
        Ok(None)
    }

    /// Returns a text that helps a user who named a module that does not exist, such as similar names and the folders that were searched. Returns `None` if
    /// the source has the module, or no advice.
    ///
    /// The text is added to the error of a call. By default there is none.
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
