//! The files of `--output-dir`: what each target has written.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use chopsticks::{HostName, Target};

use crate::output::Stream;

/// Two files for each target, `HOST.out` and `HOST.err`.
#[derive(Debug)]
pub(crate) struct Folder {
    targets: Vec<(HostName, [PathBuf; 2])>,
    open: Mutex<Vec<[Option<File>; 2]>>,
}

impl Folder {
    /// Creates the folder, and chooses the names of the files. Characters of names that would lead out
    /// of the folder are escaped as in URLs.
    pub(crate) fn create(path: &Path, targets: &[Target]) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        let folder = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
        let files = |ending: &str| {
            // Placeholders are replaced in the names of the files only, not in the path of the folder.
            let names =
                chopsticks::host_paths(&format!("{{host}}{ending}"), targets.iter().map(Target::host));
            names.map_err(|error| error.to_string())
        };
        let (outs, errs) = (files(".out")?, files(".err")?);
        let folder = Path::new(folder);
        let paths = outs.iter().zip(&errs).map(|(out, err)| [folder.join(out), folder.join(err)]);
        let targets: Vec<_> = targets.iter().map(|target| target.host().clone()).zip(paths).collect();
        let open = Mutex::new(targets.iter().map(|_| [None, None]).collect());
        Ok(Self { targets, open })
    }

    /// Creates the files of a target, or empties them.
    pub(crate) fn begin(&self, host: &HostName) -> io::Result<()> {
        let Some(index) = self.index(host) else { return Ok(()) };
        let [out, err] = &self.targets[index].1;
        let files = [Some(File::create(out)?), Some(File::create(err)?)];
        self.open.lock().unwrap_or_else(PoisonError::into_inner)[index] = files;
        Ok(())
    }

    /// Appends what a target has written. Blocks while the disk does.
    pub(crate) fn write(&self, host: &HostName, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let Some(index) = self.index(host) else { return Ok(()) };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut open[index][usize::from(stream != Stream::Stdout)] {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    /// Closes the files of a target.
    pub(crate) fn end(&self, host: &HostName) {
        if let Some(index) = self.index(host) {
            self.open.lock().unwrap_or_else(PoisonError::into_inner)[index] = [None, None];
        }
    }

    fn index(&self, host: &HostName) -> Option<usize> {
        self.targets.iter().position(|(name, _)| name == host)
    }
}

#[cfg(test)]
mod tests {
    use chopsticks_support::Scratch;

    use super::*;

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let scratch = Scratch::new();
        let targets: Vec<Target> =
            ["web1=local", "../../etc/x=local"].iter().filter_map(|text| text.parse().ok()).collect();
        let folder = Folder::create(&scratch.path().join("a/{host}"), &targets).unwrap();
        for target in &targets {
            folder.begin(target.host()).unwrap();
            folder.write(target.host(), Stream::Stdout, b"out").unwrap();
            folder.write(target.host(), Stream::Stderr, b"err").unwrap();
            folder.end(target.host());
        }
        let read = |name: &str| fs::read(scratch.path().join("a/{host}").join(name)).unwrap();
        assert_eq!((read("web1.out"), read("web1.err")), (b"out".to_vec(), b"err".to_vec()));
        let count = fs::read_dir(scratch.path().join("a/{host}")).unwrap().count();
        assert_eq!(count, 2 * targets.len());
    }
}
