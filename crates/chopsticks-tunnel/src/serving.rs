//! Serving a connection's agent: modules ahead of its calls, and answers to its requests.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chopsticks_agent::Part;
use chopsticks_driver::HostName;
use chopsticks_pencode::marshal::{self, EncodeError};
use chopsticks_protocol::{self as protocol, Folder, Import, ImportFailure, Imported, operation};
use chopsticks_transport::{Format, Handle, Incoming, IncomingMessage, IncomingRequest, Operation};
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    config::TunnelConfig,
    context::Context,
    library::Modules,
    module::{
        self, Ahead, ModuleEntry, ModuleEntryKind, ModuleError, Notices, Resource, ResourceEntry,
        ResourceKind,
    },
    output::{Output, Told},
    reader,
};

/// Serves one connection. The methods of a source may block, so they run on separate threads and
/// under a deadline.
#[derive(Debug)]
pub(crate) struct Serving {
    host: HostName,
    source: Modules,
    timeout: Duration,
    common: Arc<Common>,
    context: Arc<Context>,
    /// The version of the list of modules that the agent has.
    listed: Mutex<Option<u64>>,
    ahead: Ahead,
    /// How often the agent has requested something that does not exist.
    unknown: AtomicUsize,
    pub(crate) output: Arc<Output>,
}

/// The state that the connections of one configuration share.
#[derive(Debug)]
pub(crate) struct Common {
    turns: Arc<Semaphore>,
    notices: Notices,
}

/// What a call will import.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) enum Need<'a> {
    /// The imports of a module of the source.
    Module(&'a str),
    Nothing,
    /// The imports of a source text that is not a module.
    Source(&'a [u8]),
}

/// An answer to the agent, encoded.
type Answer = (Format, Vec<u8>);

impl Serving {
    pub(crate) fn new(host: HostName, config: &TunnelConfig) -> Self {
        Self {
            host,
            source: Modules::new(config.modules.clone()),
            timeout: config.import_timeout,
            common: config.common.clone(),
            context: config.context.clone(),
            listed: Mutex::default(),
            ahead: Ahead::default(),
            unknown: AtomicUsize::new(0),
            output: Arc::new(Output::new(config)),
        }
    }

    /// Sends the modules that a call will import, unless this connection has them.
    pub(crate) async fn send_ahead(&self, handle: &Handle, need: Need<'_>) -> Result<(), ModuleError> {
        let source = &self.source;
        self.list(handle).await?;
        let key = need.key();
        if self.ahead.covers(key) {
            return Ok(());
        }
        let source = source.clone();
        let entries = match need {
            Need::Nothing => return Ok(()),
            Need::Module(name) => {
                let name = name.to_owned();
                self.blocking(&format!("what {name} imports"), move || Ok(source.needed(&name))).await?
            }
            Need::Source(text) => {
                let text = text.to_owned();
                let needed = move || Ok(source.needed_by_source(&text));
                self.blocking("what a source text imports", needed).await?
            }
        };
        let new = self.ahead.take_new(key, entries);
        if !new.is_empty() {
            let notice = self.common.notices.encode(new).map_err(unfit)?;
            let _ = handle.notice(Operation::application(operation::MODULES), Format::Marshal, notice).await;
        }
        Ok(())
    }

    /// Sends the names of the outermost modules, unless the agent has them as they are now.
    async fn list(&self, handle: &Handle) -> Result<(), ModuleError> {
        let version = Some(self.source.version());
        let mut listed = self.listed.lock().await;
        if *listed != version {
            let source = self.source.clone();
            let list = move || Ok((source.top_level()?, source.roots()));
            let (names, roots) = self.blocking("its list of modules", list).await?;
            let listing = module::listing(&names, &roots).map_err(unfit)?;
            // A lost connection is reported by the request that follows.
            let _ = handle.notice(Operation::application(operation::MODULES), Format::Marshal, listing).await;
            *listed = version;
        }
        Ok(())
    }

    /// Returns a text that helps a user who named a module that does not exist.
    pub(crate) async fn hint(&self, name: &str) -> Option<String> {
        let (source, name) = (self.source.clone(), name.to_owned());
        self.blocking("names like it", move || Ok(source.hint(&name))).await.ok().flatten()
    }

    /// Answers the agent's requests until its connection ends. Its output goes to `told`.
    pub(crate) async fn answer(self: Arc<Self>, mut incoming: Incoming, told: mpsc::Sender<Told>) {
        let _end = End(self.output.clone());
        let mut answering = JoinSet::new();
        loop {
            let message = tokio::select! {
                message = incoming.next() => message,
                Some(_) = answering.join_next() => continue,
            };
            let (code, message) = match message {
                Some(IncomingMessage::Request(request)) => (request.operation.code(), Ok(request)),
                Some(IncomingMessage::Notice(notice)) => (notice.operation.code(), Err(notice.payload)),
                None => return,
            };
            if !matches!(code, operation::PRINT | operation::LOG) {
                self.output.take(false);
                // An agent sends nothing else without a request.
                if let Ok(request) = message {
                    let serving = self.clone();
                    answering.spawn(async move { serving.answer_one(request).await });
                }
                continue;
            }
            let message = match message {
                Ok(IncomingRequest { payload, responder, .. }) => {
                    Told { code, payload, responder: Some(responder) }
                }
                Err(payload) => Told { code, payload, responder: None },
            };
            // More than an agent that keeps to the protocol has under way is dropped.
            self.output.take(told.try_send(message).is_ok());
        }
    }

    async fn answer_one(&self, request: IncomingRequest) {
        let IncomingRequest { operation, payload, responder, .. } = request;
        let answer = match operation.code() {
            operation::IMPORT => self.module(&payload).await,
            operation::RESOURCE => self.resource(&payload).await,
            _ => Err(ModuleError::new(format!("unknown operation {operation}"))),
        };
        // Whoever is gone needs no answer, and one that is too large is refused by the transport.
        let _ = match answer {
            Ok((format, payload)) => responder.reply(format, payload),
            Err(error) => {
                let failure = ImportFailure::new(error.to_string(), error.compiled_files().to_vec());
                responder.fail(Format::Marshal, failure.encode().unwrap_or_default())
            }
        };
    }

    /// Returns the entry of a module, or `None`. A name with a dot in front is a part of the agent
    /// itself.
    async fn module(&self, payload: &[u8]) -> Result<Answer, ModuleError> {
        let Import { name, wanted_by } = Import::decode(payload).map_err(invalid)?;
        let entry = match name.strip_prefix('.') {
            Some(part) => {
                let part = Part::named(part);
                part.map(|part| ModuleEntry::new(&name, ModuleEntryKind::Module, "", part.source()))
            }
            None => self.found(&name, wanted_by.as_deref()).await?,
        };
        if entry.is_none() {
            self.note_unknown();
        }
        let imported = Imported(entry.as_ref().map(module::message));
        Ok((Format::Marshal, imported.encode().map_err(unfit)?))
    }

    async fn found(&self, name: &str, wanted_by: Option<&str>) -> Result<Option<ModuleEntry>, ModuleError> {
        let source = self.source.clone();
        let wanted_by = wanted_by.map(|by| format!(", wanted by {}", shortened(by))).unwrap_or_default();
        let what = format!("module {}{wanted_by}", shortened(name));
        let name = name.to_owned();
        let entry = self.blocking(&what, move || source.module(&name)).await?;
        if let Some(entry) = &entry {
            self.ahead.mark(&entry.name);
        }
        Ok(entry)
    }

    /// Returns a file or folder of a package's data, or `None`.
    async fn resource(&self, payload: &[u8]) -> Result<Answer, ModuleError> {
        let protocol::Resource { package, path } = protocol::Resource::decode(payload).map_err(invalid)?;
        let source = self.source.clone();
        let what = format!("{} of package {}", shortened(&path), shortened(&package));
        let found = self.blocking(&what, move || source.resource(&package, &path)).await?;
        let folder = match found {
            Some(Resource::File(content)) => return Ok((Format::Bytes, content)),
            Some(Resource::Folder(entries)) => {
                let named = |entry: ResourceEntry| (entry.name, entry.kind == ResourceKind::Folder);
                Some(entries.into_iter().map(named).collect())
            }
            _ => {
                self.note_unknown();
                None
            }
        };
        Ok((Format::Marshal, Folder(folder).encode().map_err(unfit)?))
    }

    /// Agents request only names that were listed to them, so an agent that guesses is logged; only
    /// once, because it can make requests as often as it likes.
    fn note_unknown(&self) {
        if self.unknown.fetch_add(1, Ordering::Relaxed) + 1 == MANY_UNKNOWN {
            let host = &self.host;
            tracing::warn!(%host, "the agent has requested {MANY_UNKNOWN} modules or files that do not exist");
        }
    }

    /// Runs blocking work on a separate thread, until the deadline.
    async fn blocking<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<T, ModuleError> + Send + 'static,
    ) -> Result<T, ModuleError> {
        if !self.source.may_block() {
            return work();
        }
        let in_turn = async {
            let turn = self.common.turns.clone().acquire_owned().await;
            let _shared = self.context.reading.acquire().await;
            // Work that hangs keeps its turn, for it keeps its thread.
            let failed = |what: String| ModuleError::new(format!("the module source failed: {what}"));
            let work = reader::run(turn, work).map_err(|error| failed(error.to_string()))?;
            work.await.unwrap_or_else(|_| Err(failed("it panicked".to_owned())))
        };
        match tokio::time::timeout(self.timeout, in_turn).await {
            Ok(result) => result,
            Err(_) => Err(ModuleError::new(format!(
                "the codebase did not answer for {} within {:?}: {what}",
                self.host, self.timeout
            ))),
        }
    }
}

/// Ends all waiting for arrivals that will not be taken.
struct End(Arc<Output>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Default for Common {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(TURNS)), notices: Notices::default() }
    }
}

impl Need<'_> {
    /// Returns a key that distinguishes needs. If two needs have the same key by chance, this only
    /// costs round trips.
    fn key(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

fn unfit(error: EncodeError) -> ModuleError {
    ModuleError::new(error.to_string())
}

fn invalid(error: marshal::DecodeError) -> ModuleError {
    ModuleError::new(format!("the request is not valid: {error}"))
}

/// Shortens a text from the agent for an error.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHORT)]
}

/// How many threads the tunnels of one configuration use to read modules.
pub(crate) const TURNS: usize = 4;
/// More than the misses of a program that looks for optional modules and files.
const MANY_UNKNOWN: usize = 1000;
/// The maximum length of a name in an error, in bytes.
const SHORT: usize = 200;

#[cfg(test)]
mod tests;
