//! What is done on a host, by one tunnel, a group or a queue alike.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use bytes::Bytes;
use chopsticks::{
    Call, Error, Excludes, Fetch, Function, Put, Reply, Transferred, TransferredFolder, Tunnel,
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyDict, PyString},
};

use crate::{
    errors::{Trouble, Within, broken},
    reader,
    stream::Feed,
};

/// An operation, which can be done on any number of hosts.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
#[derive(Clone)]
pub(crate) struct Operation(Kind);

#[derive(Clone)]
enum Kind {
    Call(Call),
    Close,
    Connect,
    Fetch { remote: PathBuf, local: Local, is_folder: bool, manner: Manner },
    Put { local: PathBuf, remote: Option<PathBuf>, mode: Option<u32>, is_folder: bool, manner: Manner },
}

/// Where what is fetched goes: host -> path. A host that has none gets a temporary file.
type Local = Arc<HashMap<String, PathBuf>>;

/// How a file or a folder is transferred.
#[derive(Clone)]
struct Manner {
    if_changed: bool,
    resume: bool,
    delete: bool,
    excludes: Excludes,
}

/// What came of an operation.
#[derive(Clone)]
pub(crate) enum Outcome {
    Nothing,
    File { file: Transferred, is_here: bool, is_compared: bool },
    Folder(TransferredFolder),
    Reply(Reply),
}

#[pymethods]
impl Operation {
    /// A call: what errors call the function, the message that makes the call, in pieces, and the modules that it
    /// imports. Without these the function is named by its module.
    #[staticmethod]
    fn call(function: &str, message: Vec<Bound<'_, PyAny>>, imports: Option<Vec<String>>) -> PyResult<Self> {
        let message: Vec<Bytes> = message.iter().map(piece).collect::<PyResult<_>>()?;
        let call = Call::new(Function::name(function)).encoded(message);
        Ok(Self(Kind::Call(match imports {
            Some(modules) => call.imports(modules),
            None => call,
        })))
    }

    /// The same call, with the items of `feed` as first argument.
    fn reading(&self, feed: &Feed) -> PyResult<Self> {
        Ok(Self(Kind::Call(self.to_call()?.try_encoded_input(feed.items()?))))
    }

    #[staticmethod]
    fn close() -> Self {
        Self(Kind::Close)
    }

    #[staticmethod]
    fn connect() -> Self {
        Self(Kind::Connect)
    }

    #[staticmethod]
    fn put(
        local: PathBuf,
        remote: Option<PathBuf>,
        mode: Option<u32>,
        if_changed: bool,
        resume: bool,
    ) -> Self {
        let manner = Manner { resume, ..Manner::of(if_changed) };
        Self(Kind::Put { local, remote, mode, is_folder: false, manner })
    }

    /// `exclude` has patterns, as those of a `.gitignore`.
    #[staticmethod]
    fn put_dir(
        local: PathBuf,
        remote: PathBuf,
        if_changed: bool,
        delete: bool,
        exclude: Vec<String>,
    ) -> PyResult<Self> {
        let manner = Manner { delete, excludes: excludes(&exclude)?, ..Manner::of(if_changed) };
        Ok(Self(Kind::Put { local, remote: Some(remote), mode: None, is_folder: true, manner }))
    }

    /// `local` has the path of each host; one that is not there gets a temporary file.
    #[staticmethod]
    fn fetch(remote: PathBuf, local: HashMap<String, PathBuf>, if_changed: bool, resume: bool) -> Self {
        let manner = Manner { resume, ..Manner::of(if_changed) };
        Self(Kind::Fetch { remote, local: Arc::new(local), is_folder: false, manner })
    }

    #[staticmethod]
    fn fetch_dir(
        remote: PathBuf,
        local: HashMap<String, PathBuf>,
        if_changed: bool,
        delete: bool,
        exclude: Vec<String>,
    ) -> PyResult<Self> {
        let manner = Manner { delete, excludes: excludes(&exclude)?, ..Manner::of(if_changed) };
        Ok(Self(Kind::Fetch { remote, local: Arc::new(local), is_folder: true, manner }))
    }
}

impl Operation {
    /// Does it on the host of `tunnel`.
    pub(crate) async fn run(self, tunnel: Tunnel) -> Result<Outcome, Error> {
        match self.0 {
            Kind::Call(call) => tunnel.call_with(call).await.map(Outcome::Reply),
            Kind::Close => tunnel.close().await.map(|()| Outcome::Nothing),
            Kind::Connect => tunnel.connect().await.map(|_| Outcome::Nothing),
            Kind::Fetch { remote, local, is_folder, manner } => {
                let mut fetch = Fetch::new(remote).exclude(manner.excludes);
                if let Some(path) = local.get(tunnel.host().as_str()) {
                    fetch = fetch.to(path);
                }
                if manner.if_changed {
                    fetch = fetch.if_changed();
                }
                if manner.resume {
                    fetch = fetch.resume();
                }
                if manner.delete {
                    fetch = fetch.delete();
                }
                if is_folder {
                    return tunnel.fetch_dir_with(fetch).await.map(Outcome::Folder);
                }
                let is_compared = manner.if_changed;
                let file = tunnel.fetch_with(fetch).await?;
                Ok(Outcome::File { file, is_here: true, is_compared })
            }
            Kind::Put { local, remote, mode, is_folder, manner } => {
                let mut put = Put::new(local).exclude(manner.excludes);
                if let Some(path) = remote {
                    put = put.to(path);
                }
                if let Some(mode) = mode {
                    put = put.mode(mode);
                }
                if manner.if_changed {
                    put = put.if_changed();
                }
                if manner.resume {
                    put = put.resume();
                }
                if manner.delete {
                    put = put.delete();
                }
                if is_folder {
                    return tunnel.put_dir_with(put).await.map(Outcome::Folder);
                }
                let is_compared = manner.if_changed;
                let file = tunnel.put_with(put).await?;
                Ok(Outcome::File { file, is_here: false, is_compared })
            }
        }
    }

    /// Does it on the host of `tunnel`, within a time if one is given.
    pub(crate) async fn run_within(
        mut self,
        tunnel: Tunnel,
        within: Option<Within>,
    ) -> Result<Outcome, Trouble> {
        let Some(within) = within else { return self.run(tunnel).await.map_err(Trouble::from) };
        let left = within.left;
        if let Kind::Call(call) = self.0 {
            // It knows best what to say.
            self.0 = Kind::Call(call.timeout(left));
            return self.run(tunnel).await.map_err(|error| Trouble::Error(error, Some(within)));
        }
        let (what, host) = (self.name(), tunnel.host().to_string());
        match tokio::time::timeout(left, self.run(tunnel)).await {
            Ok(result) => result.map_err(Trouble::from),
            Err(_) => Err(Trouble::Late { host, what, within }),
        }
    }

    /// Returns the call.
    pub(crate) fn to_call(&self) -> PyResult<Call> {
        match &self.0 {
            Kind::Call(call) => Ok(call.clone()),
            _ => Err(broken("only calls have items")),
        }
    }

    /// Returns what errors and timelines call it.
    pub(crate) fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Call(_) => "call",
            Kind::Close => "close",
            Kind::Connect => "connect",
            Kind::Fetch { .. } | Kind::Put { .. } => "transfer",
        }
    }
}

impl Outcome {
    /// Makes the object that Python gets.
    pub(crate) fn object<'py>(&self, py: Python<'py>, host: &str) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Nothing => Ok(py.None().into_bound(py)),
            Self::Reply(reply) => reader::reply(py, host, reply),
            Self::File { file, is_here, is_compared } => {
                let found = PyDict::new(py);
                if let (true, Some(local)) = (is_here, &file.local) {
                    found.set_item("local_path", local.as_os_str())?;
                }
                found.set_item("remote_path", file.remote.as_os_str())?;
                found.set_item("size", file.size)?;
                found.set_item("sha1sum", &file.sha1)?;
                if *is_compared {
                    found.set_item("changed", file.changed)?;
                }
                Ok(found.into_any())
            }
            Self::Folder(folder) => {
                let found = PyDict::new(py);
                if let Some(local) = &folder.local {
                    found.set_item("local_path", local.as_os_str())?;
                }
                found.set_item("remote_path", folder.remote.as_os_str())?;
                let counts = [
                    ("files", folder.files),
                    ("folders", folder.folders),
                    ("links", folder.links),
                    ("left_out", folder.left_out),
                    ("size", folder.size),
                ];
                for (name, count) in counts {
                    found.set_item(PyString::intern(py, name), count)?;
                }
                found.set_item("changed", folder.changed)?;
                found.set_item("unchanged", folder.unchanged)?;
                let deleted: Vec<_> = folder.deleted.iter().map(|path| path.as_os_str()).collect();
                found.set_item("deleted", deleted)?;
                Ok(found.into_any())
            }
        }
    }
}

impl Manner {
    fn of(if_changed: bool) -> Self {
        Self { if_changed, resume: false, delete: false, excludes: Excludes::default() }
    }
}

fn excludes(patterns: &[String]) -> PyResult<Excludes> {
    Excludes::new(patterns).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Takes a piece of a message; that of a `bytes` is not copied.
fn piece(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let bytes: PyBackedBytes = match object.extract() {
        Ok(bytes) => bytes,
        Err(_) => object.py().get_type::<pyo3::types::PyBytes>().call1((object,))?.extract()?,
    };
    Ok(Bytes::from_owner(bytes))
}
