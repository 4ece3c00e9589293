//! What is done on a host, by one tunnel, a group or a queue alike.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use bytes::Bytes;
use chopsticks::{Call, Error, Fetch, Function, Put, Reply, Transferred, TransferredFolder, Tunnel};
use pyo3::{
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
    Fetch { remote: PathBuf, local: Local, is_folder: bool },
    Put { local: PathBuf, remote: Option<PathBuf>, mode: Option<u32> },
    PutFolder { local: PathBuf, remote: PathBuf },
}

/// Where what is fetched goes: host -> path. A host that has none gets a temporary file.
type Local = Arc<HashMap<String, PathBuf>>;

/// What came of an operation.
#[derive(Clone)]
pub(crate) enum Outcome {
    Nothing,
    File { file: Transferred, is_here: bool },
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
    fn put(local: PathBuf, remote: Option<PathBuf>, mode: Option<u32>) -> Self {
        Self(Kind::Put { local, remote, mode })
    }

    #[staticmethod]
    fn put_dir(local: PathBuf, remote: PathBuf) -> Self {
        Self(Kind::PutFolder { local, remote })
    }

    /// `local` has the path of each host; one that is not there gets a temporary file.
    #[staticmethod]
    fn fetch(remote: PathBuf, local: HashMap<String, PathBuf>) -> Self {
        Self(Kind::Fetch { remote, local: Arc::new(local), is_folder: false })
    }

    #[staticmethod]
    fn fetch_dir(remote: PathBuf, local: HashMap<String, PathBuf>) -> Self {
        Self(Kind::Fetch { remote, local: Arc::new(local), is_folder: true })
    }
}

impl Operation {
    /// Does it on the host of `tunnel`.
    pub(crate) async fn run(self, tunnel: Tunnel) -> Result<Outcome, Error> {
        match self.0 {
            Kind::Call(call) => tunnel.call_with(call).await.map(Outcome::Reply),
            Kind::Close => tunnel.close().await.map(|()| Outcome::Nothing),
            Kind::Connect => tunnel.connect().await.map(|_| Outcome::Nothing),
            Kind::Fetch { remote, local, is_folder } => {
                let mut fetch = Fetch::new(remote);
                if let Some(path) = local.get(tunnel.host().as_str()) {
                    fetch = fetch.to(path);
                }
                if is_folder {
                    return tunnel.fetch_dir_with(fetch).await.map(Outcome::Folder);
                }
                tunnel.fetch_with(fetch).await.map(|file| Outcome::File { file, is_here: true })
            }
            Kind::Put { local, remote, mode } => {
                let mut put = Put::new(local);
                if let Some(path) = remote {
                    put = put.to(path);
                }
                if let Some(mode) = mode {
                    put = put.mode(mode);
                }
                tunnel.put_with(put).await.map(|file| Outcome::File { file, is_here: false })
            }
            Kind::PutFolder { local, remote } => tunnel.put_dir(local, remote).await.map(Outcome::Folder),
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
            Kind::Fetch { .. } | Kind::Put { .. } | Kind::PutFolder { .. } => "transfer",
        }
    }
}

impl Outcome {
    /// Makes the object that Python gets.
    pub(crate) fn object<'py>(&self, py: Python<'py>, host: &str) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Nothing => Ok(py.None().into_bound(py)),
            Self::Reply(reply) => reader::reply(py, host, reply),
            Self::File { file, is_here } => {
                let found = PyDict::new(py);
                if let (true, Some(local)) = (is_here, &file.local) {
                    found.set_item("local_path", local.as_os_str())?;
                }
                found.set_item("remote_path", file.remote.as_os_str())?;
                found.set_item("size", file.size)?;
                found.set_item("sha1sum", &file.sha1)?;
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
                Ok(found.into_any())
            }
        }
    }
}

/// Takes a piece of a message; that of a `bytes` is not copied.
fn piece(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let bytes: PyBackedBytes = match object.extract() {
        Ok(bytes) => bytes,
        Err(_) => object.py().get_type::<pyo3::types::PyBytes>().call1((object,))?.extract()?,
    };
    Ok(Bytes::from_owner(bytes))
}
