//! Calls: the function, the arguments, and the result.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    error::Error as StdError,
    fmt, fs, io, mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chopsticks_driver::HostName;
use chopsticks_pencode::{
    Container, Graph, GraphBuilder,
    marshal::{self, DecodeErrorKind, EncodeError, Writer},
};
use chopsticks_protocol::{self as protocol, Arguments, Callee, Keywords, NamedValues, Source, SourceText};
use chopsticks_transport::Format;
use futures::{Stream, StreamExt as _};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, Visitor, value::Error as ValueError, value::SeqDeserializer},
    forward_to_deserialize_any,
};

use crate::{
    args::Args,
    error::{Error, ErrorKind, Phase},
    input::Input,
    serving::Need,
};

/// A Python function: given by name, as source text, or in a script.
///
/// * `module:name`, or `module:Class.method`: the module is imported on the host, from its own
///   standard library or else from the codebase.
/// * `module.name`: the longest part that is a module is taken as the module.
/// * [`Function::source`]: a text that defines the function, and everything that it uses.
/// * [`Function::lambda`]: an expression.
/// * `path/script.py:name`, or [`Function::script`]: a `.py` file that defines the function.
#[derive(Clone)]
pub struct Function(Kind);

#[derive(Clone)]
enum Kind {
    Name(String),
    Script { path: PathBuf, name: String, values: Values },
    Source { text: String, name: String, file: String, values: Values },
}

/// A script that was read for a call.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) content: Bytes,
    /// The absolute path.
    file: String,
}

type Values = BTreeMap<String, Result<Vec<u8>, EncodeError>>;

impl Function {
    /// Creates a function from its name: `module:name` or `module.name`.
    pub fn name(name: impl Into<String>) -> Self {
        Self(Kind::Name(name.into()))
    }

    /// Creates a function from Python source text. The call calls `name` in it.
    ///
    /// The text is a module of its own, with its own imports, constants and other functions.
    /// [`value`](Self::value) adds further names. The text runs once for each connection, and later
    /// calls use the same module.
    ///
    /// ```
    /// use chopsticks_tunnel::Function;
    ///
    /// let area = Function::source("import math\ndef area(r): return math.pi * r * r * SCALE", "area").value("SCALE", 2);
    /// # let _ = area;
    /// ```
    pub fn source(text: impl Into<String>, name: impl Into<String>) -> Self {
        let name = name.into();
        let file = format!("source:{name}");
        Self(Kind::Source { text: text.into(), name, file, values: Values::new() })
    }

    /// Creates a function from an expression, such as a lambda, whose value is called.
    ///
    /// Statements may precede the expression, on lines of their own. They run once for each
    /// connection and text, and the expression is evaluated at each call. [`value`](Self::value)
    /// adds further names.
    ///
    /// ```
    /// use chopsticks_tunnel::Function;
    ///
    /// let free = Function::lambda("import shutil\nlambda path: shutil.disk_usage(path).free // UNIT").value("UNIT", 1 << 20);
    /// # let _ = free;
    /// ```
    pub fn lambda(text: impl Into<String>) -> Self {
        let (text, file) = (text.into().trim().to_owned(), LAMBDA.to_owned());
        Self(Kind::Source { text, name: String::new(), file, values: Values::new() })
    }

    /// Creates a function from a Python script on this side. The call calls the function `name` in
    /// it.
    ///
    /// The file is read at each call. It runs as a module, once for each connection and content,
    /// and not as `__main__`: the block under `if __name__ == "__main__"` does not run. Its imports
    /// come from the tunnel's codebase, which includes the modules beside the script if it includes
    /// the script's folder.
    ///
    /// ```
    /// use chopsticks_tunnel::Function;
    ///
    /// let restart = Function::script("ops/deploy.py", "restart");
    /// # let _ = restart;
    /// ```
    pub fn script(path: impl AsRef<Path>, name: impl Into<String>) -> Self {
        Self(Kind::Script { path: path.as_ref().to_owned(), name: name.into(), values: Values::new() })
    }

    /// Sets a global name of the source text or script to a value. This has no effect on a function
    /// given by name.
    #[must_use]
    pub fn value(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        if let Kind::Script { values, .. } | Kind::Source { values, .. } = &mut self.0 {
            values.insert(name.into(), marshal::to_vec(&value));
        }
        self
    }

    /// Sets the file name that tracebacks show for a source text. Default: `source:` and the
    /// function's name, followed by a number for the second and later texts of that name on a
    /// connection.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>) -> Self {
        if let Kind::Source { file, .. } = &mut self.0 {
            *file = name.into();
        }
        self
    }

    /// Returns the module in which a named function is looked up first.
    pub(crate) fn module(&self) -> Option<&str> {
        match &self.0 {
            Kind::Name(name) => {
                name.split_once(':').or_else(|| name.rsplit_once('.')).map(|(module, _)| module)
            }
            Kind::Script { .. } | Kind::Source { .. } => None,
        }
    }

    /// Returns the path of the script that the function is in, if it is.
    pub(crate) fn script_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Script { path, .. } => Some(path),
            Kind::Name(_) | Kind::Source { .. } => None,
        }
    }

    /// Returns the text of the function, if it was given as one.
    pub(crate) fn code(&self) -> Option<&str> {
        match &self.0 {
            Kind::Source { text, .. } => Some(text),
            Kind::Name(_) | Kind::Script { .. } => None,
        }
    }

    /// Returns the name of the function in errors.
    pub(crate) fn label(&self) -> &str {
        match &self.0 {
            Kind::Source { name, .. } if name.is_empty() => LAMBDA,
            Kind::Name(name) | Kind::Script { name, .. } | Kind::Source { name, .. } => name,
        }
    }

    /// Returns what the call will import.
    fn need<'a>(&'a self, script: Option<&'a Script>) -> Need<'a> {
        match (&self.0, script) {
            (Kind::Source { text, .. }, _) => Need::Source(text.as_bytes()),
            (Kind::Script { .. }, Some(script)) => Need::Source(&script.content),
            _ => self.module().map_or(Need::Nothing, Need::Module),
        }
    }

    /// Reads the script, if the function is in one.
    pub(crate) async fn read_script(&self, within: Duration) -> Result<Option<Script>, ErrorKind> {
        let Kind::Script { path, .. } = &self.0 else { return Ok(None) };
        let failed = |source| ErrorKind::Script { path: path.clone(), source: Arc::new(source) };
        let owned = path.clone();
        let read = tokio::task::spawn_blocking(move || Script::read(&owned));
        match tokio::time::timeout(within, read).await {
            Ok(Ok(script)) => script.map(Some).map_err(failed),
            Ok(Err(error)) => Err(failed(io::Error::other(error))),
            Err(_) => {
                Err(failed(io::Error::new(io::ErrorKind::TimedOut, format!("not read within {within:?}"))))
            }
        }
    }

    /// Returns the function in the form in which it is sent.
    fn message<'a>(&'a self, script: Option<&'a Script>) -> Result<Callee<'a>, EncodeError> {
        let (source, name, values, file, module) = match (&self.0, script) {
            (Kind::Name(name), _) => return Ok(Callee::Name(name.into())),
            (Kind::Source { text, name, file, values }, _) => {
                (Source::Text(text.into()), name, values, file.as_str(), None)
            }
            (Kind::Script { path, name, values }, script) => {
                let (content, file) =
                    script.map_or((&[][..], ""), |script| (&script.content[..], &script.file));
                let module = path.file_stem().unwrap_or_default().to_string_lossy();
                (Source::Bytes(content.into()), name, values, file, Some(module))
            }
        };
        let globals = named(values)?;
        Ok(Callee::Source(SourceText { source, name: name.into(), globals, file: file.into(), module }))
    }
}

/// The name of an expression in errors and tracebacks.
const LAMBDA: &str = "<lambda>";

/// Writes the name as it was given.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Source { name, .. } if name.is_empty() => f.write_str(LAMBDA),
            Kind::Name(name) | Kind::Script { name, .. } | Kind::Source { name, .. } => f.write_str(name),
        }
    }
}

/// Shows the name, and the names of global values, but neither the text nor the values.
impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Function");
        match &self.0 {
            Kind::Name(name) => shown.field("name", name).finish(),
            Kind::Source { file, values, .. } => shown
                .field("name", &self.label())
                .field("file", file)
                .field("values", &Names(values))
                .finish_non_exhaustive(),
            Kind::Script { path, name, values } => {
                shown.field("name", name).field("path", path).field("values", &Names(values)).finish()
            }
        }
    }
}

/// The names of values.
struct Names<'a>(&'a Values);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Returns the values in the form in which they are sent.
fn named(values: &Values) -> Result<NamedValues<'_>, EncodeError> {
    let mut named = Vec::with_capacity(values.len());
    for (name, value) in values {
        let value = value.as_ref().map_err(Clone::clone)?;
        named.push((Cow::Borrowed(name.as_str()), Cow::Borrowed(value.as_slice())));
    }
    Ok(named)
}

impl Script {
    fn read(path: &Path) -> io::Result<Self> {
        // A pipe would be waited for.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        let content = Bytes::from(fs::read(path)?);
        let file = std::path::absolute(path)?.to_string_lossy().into_owned();
        Ok(Self { content, file })
    }
}

/// A text with a `:` whose first part contains a `/` or ends in `.py` names a function of a
/// [script](Function::script), such as `ops/deploy.py:restart`. Any other text is a
/// [name](Function::name).
impl<T: Into<String>> From<T> for Function {
    fn from(text: T) -> Self {
        let text = text.into();
        match text.rsplit_once(':') {
            Some((path, name)) if path.contains('/') || path.ends_with(".py") => Self::script(path, name),
            _ => Self::name(text),
        }
    }
}

/// A call: a function, its arguments, and its deadline.
///
/// ```
/// use std::time::Duration;
///
/// use chopsticks_tunnel::Call;
///
/// let call = Call::new("subprocess:check_output")
///     .args(("supervisorctl restart uwsgi",))
///     .kwarg("shell", true)
///     .timeout(Duration::from_secs(30));
/// # let _ = call;
/// ```
///
/// Arguments are encoded when they are set. An argument that cannot be encoded fails the call, not
/// the setter. A call is cheap to clone, so that one call can be sent to many tunnels.
#[derive(Clone)]
pub struct Call {
    pub(crate) function: Arc<Function>,
    positional: Positional,
    kwargs: Arc<Values>,
    /// A source text that imports what the function needs, if it was set.
    imports: Option<Arc<str>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) item_timeout: Option<Duration>,
    pub(crate) input: Option<Input>,
}

/// Positional arguments, encoded.
#[derive(Clone)]
enum Positional {
    /// The whole message, in pieces.
    Encoded(Arc<[Bytes]>),
    /// Bytes with the pencode of a tuple or a list.
    Graph(Bytes),
    /// Arguments that cannot be sent, and why.
    Unfit(Arc<dyn StdError + Send + Sync>),
    /// Values in `marshal`, one after the other.
    Values { count: u32, encoded: Bytes },
}

impl Call {
    /// Creates a call without arguments.
    pub fn new(function: impl Into<Function>) -> Self {
        let positional = Positional::Values { count: 0, encoded: Bytes::new() };
        Self {
            function: Arc::new(function.into()),
            positional,
            kwargs: Arc::default(),
            imports: None,
            timeout: None,
            item_timeout: None,
            input: None,
        }
    }

    /// Sets the positional arguments. They replace all earlier ones.
    #[must_use]
    pub fn args(mut self, args: impl Args) -> Self {
        self.positional = match args.encode() {
            Ok(tuple) => Positional::from_tuple(tuple),
            Err(error) => Positional::unfit(error),
        };
        self
    }

    /// Adds a positional argument after the existing ones.
    ///
    /// A `Vec` or a slice arrives as a list, and a tuple or an array as a tuple.
    ///
    /// ```
    /// use chopsticks_tunnel::Call;
    ///
    /// let patterns = ["*.log", "*.tmp"];
    /// let call = patterns.iter().fold(Call::new("ops:clean").arg("/srv"), Call::arg);
    /// # let _ = call;
    /// ```
    #[must_use]
    pub fn arg(mut self, value: impl Serialize) -> Self {
        match self.positional {
            Positional::Values { ref mut count, ref mut encoded } => {
                // Nobody else has the bytes, unless the call was cloned: they are extended where they are.
                let mut buffer = Vec::from(mem::take(encoded));
                match marshal::to_writer(&mut buffer, &value) {
                    Ok(()) => (*count, *encoded) = (*count + 1, buffer.into()),
                    Err(error) => self.positional = Positional::unfit(error),
                }
            }
            Positional::Graph(_) => self.positional = Positional::unfit(BehindGraph),
            Positional::Encoded(_) | Positional::Unfit(_) => {}
        }
        self
    }

    /// Sets the positional arguments to a graph whose root is a tuple or a list. They keep what
    /// they share, and may contain themselves. No further arguments can be added.
    #[must_use]
    pub fn args_graph(mut self, args: &Graph<'_>) -> Self {
        self.positional = match args.root().container() {
            Some(Container::List | Container::Tuple) => {
                let mut writer = Writer::new();
                writer.bytes(&args.encode());
                match writer.finish() {
                    Ok(graph) => Positional::Graph(graph.into()),
                    Err(error) => Positional::unfit(error),
                }
            }
            _ => Positional::unfit(NotASequence),
        };
        self
    }

    /// Adds a keyword argument.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        Arc::make_mut(&mut self.kwargs).insert(name.into(), marshal::to_vec(&value));
        self
    }

    /// Sets the whole message of the call, which is already encoded. This is meant for bindings to
    /// other languages.
    ///
    /// The joined pieces of `message` are the payload of `CALL` in `marshal`: `docs/wire.md`,
    /// section 6. They are sent without a copy and are not checked: the agent reports what it
    /// cannot read. The function of this call is then only a name for errors, and its module is
    /// sent ahead unless [`imports`](Self::imports) names others. Arguments that were set have no
    /// effect.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use chopsticks_tunnel::Call;
    ///
    /// // marshal.dumps(("os:getpid", (), None), 2)
    /// let message = Bytes::from_static(b"(\x03\0\0\0u\x09\0\0\0os:getpid(\0\0\0\0N");
    /// let call = Call::new("os:getpid").encoded([message]);
    /// # let _ = call;
    /// ```
    #[must_use]
    pub fn encoded(mut self, message: impl IntoIterator<Item = Bytes>) -> Self {
        self.positional = Positional::Encoded(message.into_iter().collect());
        self
    }

    /// Sets the modules of the codebase that the call will import. They replace the module of the
    /// function.
    ///
    /// They are sent ahead, with the modules that they import. The agent requests modules that are
    /// not named, which costs a round trip for each. Names that the codebase does not have do no
    /// harm.
    ///
    /// ```
    /// use chopsticks_tunnel::{Call, Function};
    ///
    /// // The function finds out at run time what it imports.
    /// let call = Call::new("ops:plugin").args(("backup",)).imports(["ops", "plugins.backup"]);
    /// # let _ = call;
    /// ```
    #[must_use]
    pub fn imports(mut self, modules: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        let text: String = modules.into_iter().map(|module| format!("import {module}\n")).collect();
        self.imports = Some(text.into());
        self
    }

    /// Sets the deadline. When it passes, the call is cancelled on the host as if its future were
    /// dropped.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long [`Tunnel::stream_with`](crate::Tunnel::stream_with) waits for each item, from
    /// the moment at which it is asked for. The first item includes connecting. Default: no limit.
    #[must_use]
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.item_timeout = Some(timeout);
        self
    }

    /// Gives the function an iterator over a stream as its first argument, before the other
    /// arguments.
    ///
    /// Items are sent as they come, with back-pressure: the host holds at most two windows of 4 MiB,
    /// and this side some hundred KiB. A coroutine function or an asynchronous generator reads the
    /// argument with `async for`, other functions with `for`. The stream is dropped when the
    /// function has ended.
    ///
    /// A stream can be read once. The first call that reads it gets it, and further calls, on other
    /// tunnels too, fail with [`ErrorKind::Argument`]. The task that waits for the result, or polls
    /// the items, polls the stream too.
    ///
    /// ```no_run
    /// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
    /// use chopsticks_tunnel::Call;
    ///
    /// let numbers = futures::stream::iter(0..1_000_000);
    /// let total: u64 = tunnel.call_with(Call::new("builtins:sum").input(numbers)).await?.decode()?;
    /// # let _ = total;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn input<S>(self, items: S) -> Self
    where
        S: Stream<Item: Serialize> + Send + 'static,
    {
        self.with_input(Input::new(items.map(|item| Input::encode(&item))))
    }

    /// As [`input`](Self::input), with a stream that can fail.
    ///
    /// The first error ends the stream. It is raised in the function where that reads, as an
    /// `OSError` (`IOError` on Python 2.7) with the text of the error and its sources.
    #[must_use]
    pub fn try_input<S, T, E>(self, items: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: StdError,
    {
        self.with_input(Input::new(items.map(|item| match item {
            Ok(item) => Input::encode(&item),
            Err(error) => Ok(Input::failure(&error)),
        })))
    }

    /// As [`input`](Self::input), with items that are encoded already, each as one value in Python's `marshal`. They are not
    /// checked: the agent reports what it cannot read.
    #[must_use]
    pub fn encoded_input<S>(self, items: S) -> Self
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        self.with_input(Input::new(items.map(Input::encoded)))
    }

    /// As [`encoded_input`](Self::encoded_input), with a stream that can fail, and with the format
    /// of each item. An invalid format is an error in its place.
    #[must_use]
    pub fn try_encoded_input<S, E>(self, items: S) -> Self
    where
        S: Stream<Item = Result<(Format, Bytes), E>> + Send + 'static,
        E: StdError,
    {
        self.with_input(Input::new(items.map(|item| {
            Ok(match item {
                Ok((Format::Marshal, item)) => (protocol::ItemFormat::Marshal, item),
                Ok((Format::Pencode, item)) => (protocol::ItemFormat::Pencode, item),
                Ok((Format::Bytes, item)) => (protocol::ItemFormat::Bytes, item),
                Ok((format, _)) => (
                    protocol::ItemFormat::Failure,
                    format!("items have no format {format:?}").into_bytes().into(),
                ),
                Err(error) => Input::failure(&error),
            })
        })))
    }

    fn with_input(mut self, input: Input) -> Self {
        self.input = Some(input);
        self
    }

    /// Returns the deadline, if one was set.
    pub fn deadline(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns the call without its deadlines.
    #[must_use]
    pub fn without_deadlines(self) -> Self {
        Self { timeout: None, item_timeout: None, ..self }
    }

    /// Returns the function.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Returns what the call will import.
    pub(crate) fn positional_count(&self) -> Option<usize> {
        match &self.positional {
            Positional::Values { count, .. } => usize::try_from(*count).ok(),
            Positional::Encoded(_) | Positional::Graph(_) | Positional::Unfit(_) => None,
        }
    }

    pub(crate) fn keywords(&self) -> impl Iterator<Item = &str> {
        self.kwargs.keys().map(String::as_str)
    }

    pub(crate) fn need<'a>(&'a self, script: Option<&'a Script>) -> Need<'a> {
        match self.imports.as_deref() {
            Some("") => Need::Nothing,
            Some(text) => Need::Source(text.as_bytes()),
            None => self.function.need(script),
        }
    }

    /// Returns the payload of CALL (`docs/wire.md`, section 6). The arguments are shared, not
    /// copied.
    pub(crate) fn payload(&self, script: Option<&Script>) -> Result<Vec<Bytes>, ErrorKind> {
        let failed = |error: EncodeError| ErrorKind::Argument(Arc::new(error));
        let arguments = match &self.positional {
            Positional::Encoded(message) => return Ok(message.to_vec()),
            Positional::Graph(graph) => Arguments::Graph(graph.clone()),
            Positional::Unfit(error) => return Err(ErrorKind::Argument(error.clone())),
            Positional::Values { count, encoded } => {
                Arguments::Values { count: *count, encoded: encoded.clone() }
            }
        };
        let keywords = match self.kwargs.is_empty() {
            true => Keywords::None,
            false => Keywords::Values(named(&self.kwargs).map_err(failed)?),
        };
        let callee = self.function.message(script).map_err(failed)?;
        protocol::Call { callee, arguments, keywords }.encode().map_err(failed)
    }
}

/// Shows the function and the names of keyword arguments, but no values.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Call");
        shown.field("function", &self.function).field("args", &self.positional);
        shown.field("kwargs", &Names(&self.kwargs)).field("timeout", &self.timeout);
        shown.field("item_timeout", &self.item_timeout).field("input", &self.input).finish()
    }
}

impl fmt::Debug for Positional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoded(message) => {
                write!(f, "[{} bytes not shown]", message.iter().map(Bytes::len).sum::<usize>())
            }
            Self::Graph(encoded) => write!(f, "[{} bytes not shown]", encoded.len()),
            Self::Unfit(error) => write!(f, "[{error}]"),
            Self::Values { count, .. } => write!(f, "[{count} not shown]"),
        }
    }
}

/// A tuple in `marshal` begins with a tag and a count of four bytes, little-endian.
const TUPLE_HEAD_LEN: usize = 5;

impl Positional {
    fn from_tuple(mut tuple: Vec<u8>) -> Self {
        let count =
            tuple.get(1..TUPLE_HEAD_LEN).and_then(|count| Some(u32::from_le_bytes(count.try_into().ok()?)));
        tuple.drain(..TUPLE_HEAD_LEN.min(tuple.len()));
        Self::Values { count: count.unwrap_or_default(), encoded: tuple.into() }
    }

    fn unfit(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Unfit(Arc::new(error))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the graph of the positional arguments is not a tuple or a list")]
struct NotASequence;

#[derive(Debug, thiserror::Error)]
#[error("positional arguments that are a graph cannot be followed by others")]
struct BehindGraph;

/// A result that is not needed: any value can be decoded as `Ignored`.
///
/// ```no_run
/// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
/// use chopsticks_tunnel::Ignored;
///
/// tunnel.call::<Ignored>("os:makedirs", ("/srv/app",)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The result of a function, still encoded.
#[derive(Clone)]
pub struct Reply {
    host: HostName,
    function: Arc<str>,
    format: Format,
    payload: Bytes,
}

/// Shows the length of the value, but not the value.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, function, format, payload } = self;
        let mut shown = f.debug_struct("Reply");
        shown.field("host", host).field("function", function).field("format", format);
        shown.field("len", &payload.len()).finish()
    }
}

impl Reply {
    pub(crate) fn new(host: HostName, function: Arc<str>, format: Format, payload: Bytes) -> Self {
        Self { host, function, format, payload }
    }

    /// Returns the host that answered.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Returns the format of the value and its bytes, as the agent has encoded it: `docs/wire.md`, section 3.
    ///
    /// This is meant for decoders of your own, such as those of bindings to other languages. The
    /// bytes are not checked: a hostile agent may have sent anything.
    pub fn encoded(&self) -> (Format, &Bytes) {
        (self.format, &self.payload)
    }

    /// Decodes the value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Result`] if the value is not a `T`, or is malformed; [`ErrorKind::UnfitResult`]
    /// if it contains text with lone surrogates or an integer of more than 4,300 digits.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match self.format {
            Format::Marshal => marshal::from_slice(&self.payload).map_err(|error| self.refused(error)),
            Format::Pencode => {
                chopsticks_pencode::from_slice(&self.payload).map_err(|error| self.failed(error))
            }
            Format::Bytes => {
                T::deserialize(BytesDeserializer(&self.payload)).map_err(|error| self.failed(error))
            }
            _ => Err(self.failed(UnknownFormat)),
        }
    }

    /// Returns the length of the encoded value, in bytes.
    ///
    /// [`graph`](Self::graph) takes at most 18 bytes of memory for each byte.
    pub fn encoded_len(&self) -> usize {
        self.payload.len()
    }

    /// Returns the content, without copying it, if the value is `bytes` and was sent as such.
    pub fn into_bytes(self) -> Option<Bytes> {
        (self.format == Format::Bytes).then_some(self.payload)
    }

    /// Decodes the value as a graph, which keeps sharing and cycles.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Result`] if the value is malformed, [`ErrorKind::UnfitResult`] as for
    /// [`decode`](Self::decode), [`ErrorKind::OutOfMemory`].
    pub fn graph(&self) -> Result<Graph<'_>, Error> {
        match self.format {
            Format::Marshal => marshal::decode_graph(&self.payload).map_err(|error| self.refused(error)),
            Format::Pencode => Graph::decode(&self.payload).map_err(|error| match error.kind() {
                chopsticks_pencode::DecodeErrorKind::NoMemory => self.no_memory(),
                _ => self.failed(error),
            }),
            Format::Bytes => {
                let mut builder = GraphBuilder::new();
                let root = builder.borrowed_bytes(&self.payload);
                builder.finish(root).map_err(|error| self.failed(error))
            }
            _ => Err(self.failed(UnknownFormat)),
        }
    }

    pub(crate) fn failed(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.error(ErrorKind::Result(Arc::new(error)))
    }

    /// Returns the error of a value that cannot be encoded but that `marshal` has written on the
    /// host. Only the decoder detects this.
    fn refused(&self, error: marshal::DecodeError) -> Error {
        match error.kind() {
            DecodeErrorKind::LoneSurrogate | DecodeErrorKind::LargeInteger { .. } => {
                let is_text = matches!(error.kind(), DecodeErrorKind::LoneSurrogate);
                let hint = if is_text { " (the option `encode` has a form for it)" } else { "" };
                let message = format!("result{}: {}{hint}", error.path(), error.kind());
                self.error(ErrorKind::UnfitResult { message })
            }
            DecodeErrorKind::NoMemory => self.no_memory(),
            _ => self.failed(error),
        }
    }

    fn no_memory(&self) -> Error {
        let message = format!("a result of {} bytes has too many objects", self.payload.len());
        self.error(ErrorKind::OutOfMemory { message })
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.host, Phase::Call, kind).of_function(&self.function)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the result has an unknown format")]
struct UnknownFormat;

/// Deserializes a value that is the content of one bytes value.
struct BytesDeserializer<'a>(&'a [u8]);

impl<'de> Deserializer<'de> for BytesDeserializer<'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().copied()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_seq(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TunnelConfig;

    #[test]
    fn debug_shows_names_and_no_values() {
        let source = Function::source("PASSWORD = 's3cret'\ndef f(): pass", "f").value("TOKEN", "s3cret");
        let host = HostName::lossy("web1");
        for shown in [
            format!("{:?}", Call::new("m:f").args(("s3cret",)).kwarg("TOKEN", "s3cret")),
            format!("{:?}", Call::new(source)),
            format!("{:?}", TunnelConfig::default().env("TOKEN", "s3cret")),
            format!("{:?} TOKEN", Reply::new(host, "m:f".into(), Format::Bytes, "s3cret".into())),
        ] {
            assert!(!shown.contains("s3cret") && shown.contains("TOKEN"), "{shown}");
            // Nor as the numbers of its bytes.
            assert!(!shown.contains("115, 51, 99"), "{shown}");
        }
    }

    #[test]
    fn encoded_message_is_sent_as_it_is() {
        let pieces = [Bytes::from_static(b"(\x03\0\0\0"), Bytes::from(vec![b'N'; 3])];
        let call = Call::new("ops:f").kwarg("a", 3).encoded(pieces.clone()).arg(2);
        let payload = call.payload(None).unwrap();
        assert_eq!(payload, pieces);
        // The very bytes, not a copy.
        assert_eq!(payload[1].as_ptr(), pieces[1].as_ptr());
        let shown = format!("{:?}", Call::new("f").encoded([Bytes::from_static(b"s3cret")]));
        assert!(shown.contains("6 bytes not shown") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn modules_that_are_named_are_sent_ahead_in_place_of_the_functions() {
        let call = Call::new("ops:f");
        assert!(matches!(call.need(None), Need::Module("ops")));
        let named = call.clone().imports(["ops", "shop.stock"]);
        let Need::Source(text) = named.need(None) else { panic!("{:?}", named.need(None)) };
        assert_eq!(text, b"import ops\nimport shop.stock\n");
        assert!(matches!(call.imports([""; 0]).need(None), Need::Nothing));
    }
}
