//! The codebase, read once for all targets.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use chopsticks::{
    Codebase,
    tunnel::{ModuleEntry, ModuleError, ModuleSource},
};

/// A codebase that remembers what it has read.
///
/// Each file is read once however many targets want it, so all of them get the same text even if it is edited meanwhile.
#[derive(Debug)]
pub(crate) struct ReadOnce {
    inner: Codebase,
    /// Locked while something is read, because who else wants something most likely wants the same.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    top_level: Option<Vec<String>>,
    /// Only modules that exist, so what agents ask for cannot make it grow without limit.
    modules: HashMap<String, ModuleEntry>,
    /// By the module that a function is in; there is one function.
    needed: HashMap<String, Arc<[ModuleEntry]>>,
}

impl ReadOnce {
    /// Creates a codebase of folders, of which the first that has a module wins.
    pub(crate) fn folders(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        let inner = roots.into_iter().fold(Codebase::default(), Codebase::and_folder);
        Self { inner, known: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ModuleSource for ReadOnce {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        self.with(|known| match &known.top_level {
            Some(names) => Ok(names.clone()),
            None => Ok(known.top_level.insert(self.inner.top_level()?).clone()),
        })
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        self.with(|known| {
            if let Some(entry) = known.modules.get(name) {
                return Ok(Some(entry.clone()));
            }
            let entry = self.inner.module(name)?;
            if let Some(entry) = &entry {
                known.modules.insert(name.to_owned(), entry.clone());
            }
            Ok(entry)
        })
    }

    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        self.with(|known| {
            let entries =
                known.needed.entry(name.to_owned()).or_insert_with(|| self.inner.needed(name).into());
            entries.to_vec()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chopsticks_support::Scratch;

    use super::*;

    #[test]
    fn what_was_read_is_not_read_again() {
        let scratch = Scratch::new();
        let file = scratch.write("mod.py", "X = 1\n");
        let codebase = ReadOnce::folders([scratch.path().to_owned()]);
        let read = || {
            let entry = codebase.module("mod").unwrap();
            (codebase.top_level().unwrap(), format!("{entry:?}"), format!("{:?}", codebase.needed("mod")))
        };
        let before = read();
        assert_eq!(before.0, ["mod"]);
        fs::remove_file(file).unwrap();
        assert_eq!(read(), before);
        assert!(codebase.module("other").unwrap().is_none());
    }

    #[test]
    fn first_folder_that_has_a_module_wins() {
        let scratch = Scratch::new();
        scratch.write("a/mod.py", "X = 'first'\n");
        scratch.write("b/mod.py", "X = 'second'\n");
        let codebase = ReadOnce::folders(["a", "b"].map(|folder| scratch.path().join(folder)));
        let entry = codebase.module("mod").unwrap().unwrap();
        let expected = format!("{:?}", b"X = 'first'\n".to_vec());
        assert!(format!("{entry:?}").contains(&expected));
    }
}
