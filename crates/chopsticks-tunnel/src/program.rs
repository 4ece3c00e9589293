//! Programs that run on a host, with an interface like that of [`std::process`].
//!
//! The agent starts a program, and the program's stdin, stdout and stderr are streams with credit.
//! The controller and the agent each hold at most a window of every stream, however much the
//! program reads or writes.

mod child;
mod pump;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    process::{ExitStatus, Output},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{auto::Task, error::Error, recording::Entry, relay, tunnel::Tunnel};

pub use self::child::{Child, ChildStderr, ChildStdin, ChildStdout};
use self::pump::{Sink, Source, Streams};

/// A program to run on a host: its name or path, its arguments, and its environment.
///
/// This is a plain value, which one or many tunnels can run: see [`Tunnel::command_with`].
/// Arguments, folders and variables may contain any bytes. The arguments are not passed through a
/// shell; [`shell`](Self::shell) creates a command for one. [`fmt::Debug`] shows no arguments and
/// no values of variables, which may be secrets.
#[derive(Clone, Eq, PartialEq)]
pub struct RemoteCommand {
    program: OsString,
    args: Vec<OsString>,
    env: BTreeMap<OsString, Option<OsString>>,
    current_dir: Option<PathBuf>,
    timeout: Option<Duration>,
    input: Option<Bytes>,
}

/// A program that a tunnel is about to run, with the ends of its streams. [`Tunnel::command`]
/// creates it.
///
/// By default stdin is empty. [`output`](Self::output) collects stdout and stderr,
/// [`spawn`](Self::spawn) pipes them, and [`status`](Self::status) drops them, unless
/// [`stdout`](Self::stdout) and [`stderr`](Self::stderr) set something else.
///
/// The program has no terminal. It runs with the agent's environment and working folder, as the agent's user.
#[must_use = "nothing runs before `output`, `status` or `spawn` is called"]
pub struct TunnelCommand<'a> {
    tunnel: Tunnel,
    command: RemoteCommand,
    stdin: Option<Stdio<'a>>,
    stdout: Option<Stdio<'a>>,
    stderr: Option<Stdio<'a>>,
}

/// The other end of a stream of a program.
pub struct Stdio<'a>(Kind<'a>);

enum Kind<'a> {
    Null,
    Piped,
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
    Writer(Box<dyn AsyncWrite + Send + Unpin + 'a>),
}

impl RemoteCommand {
    /// Creates a command that runs `program`: a path, or a name that the host looks up in its `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: BTreeMap::new(),
            current_dir: None,
            timeout: None,
            input: None,
        }
    }

    /// Creates a command that runs `line` in the host's `/bin/sh`. Further arguments are `$1`, `$2`
    /// and so on there.
    pub fn shell(line: impl AsRef<OsStr>) -> Self {
        Self::new("/bin/sh").arg("-c").arg(line).arg("sh")
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.args.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Sets the working folder: an absolute path, or one that starts at the agent's folder, which
    /// is the default.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.current_dir = Some(folder.as_ref().to_owned());
        self
    }

    /// Sets how long the program may take, from connecting to its end. After that it is ended.
    /// Default: [`TunnelConfig::call_timeout`](crate::TunnelConfig::call_timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the bytes that the program reads from stdin. Default: none.
    #[must_use]
    pub fn input(mut self, content: impl Into<Bytes>) -> Self {
        self.input = Some(content.into());
        self
    }

    /// Returns the program's name or path.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// Returns the arguments in order.
    pub fn get_args(&self) -> impl Iterator<Item = &OsStr> {
        self.args.iter().map(OsString::as_os_str)
    }

    /// Returns the variables that are set, and those that are removed as `None`, in the order of their names.
    pub fn get_envs(&self) -> impl Iterator<Item = (&OsStr, Option<&OsStr>)> {
        self.env.iter().map(|(name, value)| (name.as_os_str(), value.as_deref()))
    }

    /// Returns the working folder, if one is set.
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.current_dir.as_deref()
    }

    /// Returns the deadline, if one is set.
    pub fn get_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns the same command in the form of the standard library.
    fn to_std(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = &self.current_dir {
            command.current_dir(folder);
        }
        command
    }
}

/// Collects the program, which comes first, and its arguments. Without words, the program is empty.
impl<S: AsRef<OsStr>> FromIterator<S> for RemoteCommand {
    fn from_iter<T: IntoIterator<Item = S>>(words: T) -> Self {
        let mut words = words.into_iter();
        let program = words.next();
        let program = program.as_ref().map_or(OsStr::new(""), AsRef::as_ref);
        Self::new(program).args(words)
    }
}

impl Tunnel {
    /// Prepares to run a program on the host: a path, or a name that the host looks up in its `PATH`.
    ///
    /// ```no_run
    /// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
    /// let output = tunnel.command("uname").arg("-r").output().await?;
    /// println!("{} {}", output.status, String::from_utf8_lossy(&output.stdout));
    ///
    /// // A file of this host, through a program there, into one of this host; some megabytes are in memory at a time.
    /// # let (source, target) = (tokio::io::empty(), tokio::io::sink());
    /// use chopsticks_tunnel::Stdio;
    ///
    /// let status = tunnel.command("zstd").stdin(Stdio::reader(source)).stdout(Stdio::writer(target)).status().await?;
    /// # let _ = status;
    /// # Ok(())
    /// # }
    /// ```
    pub fn command(&self, program: impl AsRef<OsStr>) -> TunnelCommand<'static> {
        self.command_with(RemoteCommand::new(program))
    }

    /// Prepares to run an existing command.
    pub fn command_with(&self, command: RemoteCommand) -> TunnelCommand<'static> {
        TunnelCommand { tunnel: self.clone(), command, stdin: None, stdout: None, stderr: None }
    }
}

impl<'a> TunnelCommand<'a> {
    /// Adds an argument.
    pub fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        Self { command: self.command.arg(argument), ..self }
    }

    /// Adds arguments.
    pub fn args(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self { command: self.command.args(arguments), ..self }
    }

    /// Sets an environment variable.
    pub fn env(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        Self { command: self.command.env(name, value), ..self }
    }

    /// Removes an environment variable.
    pub fn env_remove(self, name: impl AsRef<OsStr>) -> Self {
        Self { command: self.command.env_remove(name), ..self }
    }

    /// Sets the working folder: see [`RemoteCommand::current_dir`].
    pub fn current_dir(self, folder: impl AsRef<Path>) -> Self {
        Self { command: self.command.current_dir(folder), ..self }
    }

    /// Sets the deadline: see [`RemoteCommand::timeout`]. It does not apply to [`spawn`](Self::spawn).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { command: self.command.timeout(timeout), ..self }
    }

    /// Sets the bytes that the program reads from stdin.
    pub fn input(self, content: impl Into<Bytes>) -> Self {
        Self { command: self.command.input(content), ..self }
    }

    /// Sets the other end of the program's stdin. Default: [`Stdio::null`], or the bytes of
    /// [`input`](Self::input).
    pub fn stdin(self, stdin: Stdio<'a>) -> Self {
        Self { stdin: Some(stdin), ..self }
    }

    /// Sets the other end of the program's stdout.
    pub fn stdout(self, stdout: Stdio<'a>) -> Self {
        Self { stdout: Some(stdout), ..self }
    }

    /// Sets the other end of the program's stderr.
    pub fn stderr(self, stderr: Stdio<'a>) -> Self {
        Self { stderr: Some(stderr), ..self }
    }

    /// Runs the program to its end, and returns its status and its output to stdout and stderr.
    ///
    /// Both are held in memory. If a process that the program has started keeps them open, they are
    /// read until they are silent for half a second after the program's own end. A program that
    /// fails is not an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Program`](crate::ErrorKind::Program) if the program cannot be started;
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) after the deadline; otherwise the errors
    /// of [`Tunnel::call`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program and the processes that it started.
    pub async fn output(self) -> Result<Output, Error> {
        let mut streams = Streams::default();
        let status = self.run(&mut streams, true).await?;
        Ok(Output { status, stdout: streams.stdout, stderr: streams.stderr })
    }

    /// Runs the program to its end, and returns its status.
    ///
    /// # Errors
    ///
    /// The errors of [`output`](Self::output).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program and the processes that it started.
    pub async fn status(self) -> Result<ExitStatus, Error> {
        self.run(&mut Streams::default(), false).await
    }

    /// Starts the program. Its streams can be used at once, and are piped unless they are set to something else.
    ///
    /// This does not wait until the program has started. If it cannot be started, [`Child::wait`]
    /// returns the reason. Readers and writers of your own are served while [`Child::wait`] is
    /// awaited.
    ///
    /// # Errors
    ///
    /// The errors of [`Tunnel::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program.
    pub async fn spawn(self) -> Result<Child<'a>, Error> {
        let Self { tunnel, command, stdin, stdout, stderr } = self;
        let connection = tunnel.connection_for(Task::Any).await?;
        let name = command.program.to_string_lossy().into_owned();
        let entry = entry(&tunnel, &command);
        let link = relay::spawn(&connection, &command.to_std()).await;
        let link = link.map_err(|error| child::failure(tunnel.host(), &name, error));
        let link = match (link, entry) {
            (Ok(link), entry) => (link, entry),
            (Err(error), entry) => {
                if let Some(mut entry) = entry {
                    entry.fail(&error);
                }
                return Err(error);
            }
        };
        let (link, entry) = link;
        let stdin = stdin.unwrap_or_else(|| command.input.map_or_else(Stdio::null, Stdio::bytes));
        Ok(Child::new(tunnel.host().clone(), name, link, stdin, stdout, stderr).recorded(entry))
    }

    async fn run(self, streams: &mut Streams, keep: bool) -> Result<ExitStatus, Error> {
        let Self { tunnel, command, stdin, stdout, stderr } = self;
        let name = command.program.to_string_lossy().into_owned();
        let timeout = command.timeout.or(tunnel.call_timeout());
        let entry = entry(&tunnel, &command);
        let connection = tunnel.connection_for(Task::Any).await?;
        let work = async {
            let link = relay::spawn(&connection, &command.to_std()).await;
            let link = link.map_err(|error| child::failure(tunnel.host(), &name, error))?;
            let source = match stdin.map(|stdin| stdin.0) {
                Some(Kind::Reader(reader)) => Source::Reader(reader),
                Some(_) => Source::Bytes(Bytes::new()),
                None => Source::Bytes(command.input.unwrap_or_default()),
            };
            let Streams { stdout: out, stderr: err } = streams;
            let sink = |stdio: Option<Stdio<'a>>| match stdio.map(|stdio| stdio.0) {
                Some(Kind::Writer(writer)) => Some(Sink::Writer(writer)),
                Some(Kind::Null | Kind::Reader(_)) => Some(Sink::Null),
                Some(Kind::Piped) | None => None,
            };
            let out = sink(stdout).unwrap_or(if keep { Sink::Buffer(out) } else { Sink::Null });
            let err = sink(stderr).unwrap_or(if keep { Sink::Buffer(err) } else { Sink::Null });
            pump::run(tunnel.host(), &name, link, source, out, err).await
        };
        let result = match timeout {
            None => work.await,
            Some(after) => match tokio::time::timeout(after, work).await {
                Ok(result) => result,
                Err(_) => Err(connection.late(after)),
            },
        };
        let result = result.map_err(|error| error.of_function(&name));
        if let Some(entry) = entry {
            entry.end_program(&result);
        }
        result
    }
}

/// Begins the record of a program, if there are records.
fn entry(tunnel: &Tunnel, command: &RemoteCommand) -> Option<Entry> {
    let mut entry = tunnel.begin_entry("run", command.program.to_string_lossy())?;
    entry.note_program(command.args.len());
    Some(entry)
}

impl<'a> Stdio<'a> {
    /// Creates an empty stream. Output to it is dropped.
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// Creates a stream that is a field of [`Child`]. [`TunnelCommand::output`] collects it.
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }

    /// Connects stdin to a reader. An error of the reader ends the program and is returned.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'a) -> Self {
        Self(Kind::Reader(Box::new(reader)))
    }

    /// Connects stdout or stderr to a writer. An error of the writer ends the program and is
    /// returned. At the end the writer is flushed and dropped, but not shut down.
    pub fn writer(writer: impl AsyncWrite + Send + Unpin + 'a) -> Self {
        Self(Kind::Writer(Box::new(writer)))
    }

    fn bytes(content: Bytes) -> Self {
        Self::reader(std::io::Cursor::new(content))
    }
}

impl fmt::Debug for RemoteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCommand")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("env", &self.env.keys())
            .field("current_dir", &self.current_dir)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TunnelCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelCommand")
            .field("tunnel", &self.tunnel)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Stdio<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Null => "Stdio::null()",
            Kind::Piped => "Stdio::piped()",
            Kind::Reader(_) => "Stdio::reader(..)",
            Kind::Writer(_) => "Stdio::writer(..)",
        })
    }
}
