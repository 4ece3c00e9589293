//! The items of a function's result, one after the other.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use chopsticks_agent::Part;
use chopsticks_function::{Encoded, StreamInvocation};
use chopsticks_protocol::{FIRST_CREDIT, Item, ItemError, ItemFormat, ItemReader, operation};
use chopsticks_transport::{
    AnswerKind, Format, Operation, Order, Request, RequestOptions, StreamReader, TransportError,
};
use futures::{FutureExt as _, Stream, future::BoxFuture, stream::FusedStream};
use serde::de::DeserializeOwned;
use tokio::{
    task::JoinSet,
    time::{Instant, Sleep},
};

use crate::{
    args::Args,
    auto::Task,
    call::{Call, Function, Reply},
    connection::{Lease, Session},
    error::{Error, ErrorKind, Phase},
    input::Unfit,
    recording::Entry,
    tunnel::Tunnel,
};

/// The items that a function yields, as they come. Made by [`Tunnel::stream`], [`Tunnel::stream_with`] and
/// [`Tunnel::invoke_stream`].
///
/// Nothing is sent before it is polled for the first time. After the last item, and after an error that ends it, it yields `None`.
/// An item that is not a `T` is an error in its place, and does not end it.
///
/// # Cancel safety
///
/// Dropping a future of the next item, such as that of `StreamExt::next`, loses nothing. Dropping the stream cancels the call:
/// the agent closes the generator, so that its `finally` blocks run, and ends the processes that it started. The iterator of a
/// function in Rust is dropped.
#[must_use = "nothing is called unless the stream is polled"]
pub struct Items<T> {
    tunnel: Tunnel,
    maker: Maker,
    function: Arc<str>,
    kind: Kind,
    state: State,
    count: u64,
    /// How many of them are failures.
    failed: u64,
    took: Option<Duration>,
    /// How long all of it may take, and each item.
    timeout: Option<Duration>,
    item_timeout: Option<Duration>,
    /// When all of it has to be over.
    deadline: Option<(Duration, Pin<Box<Sleep>>)>,
    /// When the item has to be there that is waited for.
    item_deadline: Option<Pin<Box<Sleep>>>,
    /// The record, until it is written.
    entry: Option<Entry>,
    decode: Decode<T>,
}

/// What yields the items.
#[derive(Clone)]
enum Maker {
    /// A function in Python.
    Call(Box<Call>),
    /// A function of this program: the request, in pieces.
    Run(Result<Vec<Bytes>, Error>),
}

/// What turns an item into a value.
enum Decode<T> {
    Reply(fn(&Reply) -> Result<T, Error>),
    Invocation(StreamInvocation<T>),
}

/// What the items are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// What a function yields.
    Yielded,
    /// The result for each item of the input.
    Outcomes,
}

enum State {
    Opening(BoxFuture<'static, Result<Flow, Error>>),
    Flowing(Box<Flow>),
    Closing(BoxFuture<'static, Result<After, Error>>),
    Ended,
}

/// A call whose result is coming.
struct Flow {
    connection: Lease,
    session: Arc<Session>,
    request: Request,
    reader: StreamReader,
    items: ItemReader,
    input: Option<BoxFuture<'static, Result<(), Unfit>>>,
}

/// What comes after a request.
enum After {
    Nothing,
    /// The same once more: it has reached nobody.
    Again,
}

impl Tunnel {
    /// Calls `function` and returns the items of what it returns, as they come: those of a generator, an asynchronous generator, or
    /// any other iterable.
    ///
    /// An item is sent as soon as it is yielded; many leave together while this side does not keep up. The host is at most one window
    /// ahead of what has been taken here, 4 MiB, and some KiB: then a generator stands still. An exception comes in its place, after the items before it.
    ///
    /// ```no_run
    /// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
    /// use futures::StreamExt;
    ///
    /// let mut lines = tunnel.stream::<String>("logs:follow", ("/var/log/syslog",));
    /// while let Some(line) = lines.next().await {
    ///     println!("{}", line?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The stream yields those of [`call`](Self::call). [`Error::items`] says how many items had come before.
    pub fn stream<T: DeserializeOwned>(&self, function: impl Into<Function>, args: impl Args) -> Items<T> {
        self.stream_with(Call::new(function).args(args))
    }

    /// Makes a call and returns the items of its result: see [`stream`](Self::stream).
    ///
    /// [`Call::timeout`] is how long all of it may take, and [`Call::item_timeout`] how long each item may take; after that the stream
    /// ends with [`ErrorKind::Timeout`]. [`TunnelConfig::call_timeout`](crate::TunnelConfig::call_timeout) does not apply. With
    /// [`Call::input`] the function reads and yields at the same time, and neither side holds more than it needs for that.
    pub fn stream_with<T: DeserializeOwned>(&self, call: Call) -> Items<T> {
        Items::of_call(self, call, Kind::Yielded)
    }

    /// Calls a function of this program on the host, and returns the items that it yields, as they
    /// arrive: see [`invoke`](Self::invoke) and [`stream`](Self::stream).
    ///
    /// The function returns an `impl Iterator` or an `impl Stream`. If this side takes no items, the
    /// function pauses between two items when it is one window ahead, 4 MiB, and some KiB. An error
    /// and a panic arrive in their place, after the items before them, and end the stream. The
    /// deadlines are those of the invocation. The function keeps a thread of the agent until its end.
    ///
    /// Dropping the stream cancels the call: the iterator is dropped after the item that it is
    /// working on. If it waits for long within one item, it should call `is_cancelled`.
    ///
    /// # Errors
    ///
    /// The stream yields those of [`invoke`](Self::invoke). [`Error::items`] says how many items had
    /// come before.
    pub fn invoke_stream<T>(&self, invocation: StreamInvocation<T>) -> Items<T> {
        let failed = |error: Arc<dyn std::error::Error + Send + Sync>| {
            self.error(Phase::Call, ErrorKind::Argument(error))
        };
        let message = invocation.message().map_err(|error| failed(Arc::new(error)));
        let payload = message.and_then(|message| message.encode().map_err(|error| failed(Arc::new(error))));
        Items::of_invocation(self, invocation, Maker::Run(payload))
    }

    /// Calls the function of `call` for each item of its [input](Call::input), on one connection,
    /// and yields a result for each item, in order.
    ///
    /// The function gets one item in front of the other arguments of the call. Items are sent ahead
    /// while it runs, so the host does not wait for a round trip between them. An item for which
    /// the function fails is an error in its place, and the stream continues after it. After an
    /// error that ends the stream it is [terminated](FusedStream::is_terminated). [`Items::took`]
    /// returns how long the function took. A coroutine function is awaited for one item after the
    /// other.
    ///
    /// Deadlines are those of [`stream_with`](Self::stream_with). A call without an input fails with [`ErrorKind::Argument`].
    ///
    /// ```no_run
    /// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
    /// use chopsticks_tunnel::Call;
    /// use futures::{StreamExt, stream};
    ///
    /// let call = Call::new("os.path:getsize").input(stream::iter(["/etc/hosts", "/etc/passwd"]));
    /// let mut sizes = tunnel.map_with::<u64>(call);
    /// while let Some(size) = sizes.next().await {
    ///     println!("{size:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_with<T: DeserializeOwned>(&self, call: Call) -> Items<T> {
        Items::of_call(self, call, Kind::Outcomes)
    }
}

impl<T: DeserializeOwned> Items<T> {
    fn of_call(tunnel: &Tunnel, call: Call, kind: Kind) -> Self {
        let mut entry = tunnel.begin_entry("stream", call.function.label());
        if let Some(entry) = &mut entry {
            entry.note_call(&call);
            if kind == Kind::Outcomes {
                entry.note_failed_items(0);
            }
        }
        let digest = entry.as_ref().map(|entry| entry.digest_later(&call, tunnel.modules()));
        let before = async {
            if let Some(digest) = digest {
                digest.await;
            }
        };
        let function = call.function.label().into();
        let timeouts = (call.timeout, call.item_timeout);
        let maker = Maker::Call(Box::new(call));
        Self::new(tunnel, maker, kind, Decode::Reply(Reply::decode), function, timeouts, entry, before)
    }
}

impl<T> Items<T> {
    fn of_invocation(tunnel: &Tunnel, invocation: StreamInvocation<T>, maker: Maker) -> Self {
        let entry = tunnel.begin_entry("stream", invocation.name());
        let timeouts = (invocation.deadline(), invocation.item_deadline());
        let function = invocation.name().into();
        let decode = Decode::Invocation(invocation);
        Self::new(tunnel, maker, Kind::Yielded, decode, function, timeouts, entry, std::future::ready(()))
    }

    #[expect(clippy::too_many_arguments, reason = "it only puts them together")]
    fn new(
        tunnel: &Tunnel,
        maker: Maker,
        kind: Kind,
        decode: Decode<T>,
        function: Arc<str>,
        (timeout, item_timeout): (Option<Duration>, Option<Duration>),
        mut entry: Option<Entry>,
        before: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        if let Some(entry) = &mut entry {
            entry.note_items(0);
        }
        let opening = Flow::open(tunnel.clone(), maker.clone(), kind);
        let opening = async {
            before.await;
            opening.await
        };
        Self {
            tunnel: tunnel.clone(),
            maker,
            function,
            kind,
            state: State::Opening(on_a_task(opening)),
            count: 0,
            failed: 0,
            took: None,
            timeout,
            item_timeout,
            deadline: None,
            item_deadline: None,
            entry,
            decode,
        }
    }

    /// Records the end of the stream.
    fn note(&mut self, next: Option<&Result<Reply, Error>>) {
        let is_over = matches!(self.state, State::Ended);
        match (next, self.entry.take()) {
            (None, Some(mut entry)) => entry.succeed(None),
            (Some(Err(error)), Some(mut entry)) if is_over => entry.fail(error),
            (_, entry) => self.entry = entry,
        }
    }

    /// Returns how long the function took for the last item that arrived, if [`Tunnel::map_with`]
    /// created the stream.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// Returns how many items have come so far.
    pub fn count_so_far(&self) -> u64 {
        self.count
    }

    /// Returns the next item, still encoded.
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Reply, Error>>> {
        loop {
            match &mut self.state {
                State::Opening(opening) => match ready!(opening.poll_unpin(context)) {
                    Ok(flow) => self.state = State::Flowing(Box::new(flow)),
                    Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
                },
                State::Flowing(flow) => {
                    let next = match flow.poll_item(context) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(next) => next,
                    };
                    match next {
                        Ok(Some(item)) => return Poll::Ready(Some(self.came(item))),
                        Ok(None) => self.close(Ending::Whole),
                        Err(Broken::Stream(error)) => self.close(Ending::Broken(error)),
                        Err(Broken::Call(kind)) => {
                            let error = self.tunnel.error(Phase::Call, kind);
                            return Poll::Ready(Some(Err(self.fail(error))));
                        }
                    }
                }
                State::Closing(closing) => match ready!(closing.poll_unpin(context)) {
                    Ok(After::Nothing) => {
                        self.state = State::Ended;
                        return Poll::Ready(None);
                    }
                    Ok(After::Again) => {
                        let opening = Flow::open(self.tunnel.clone(), self.maker.clone(), self.kind);
                        self.state = State::Opening(on_a_task(opening));
                    }
                    Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
                },
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Returns the value of an item that has come, still encoded.
    fn came(&mut self, item: Item) -> Result<Reply, Error> {
        let (host, function) = (self.tunnel.host().clone(), self.function.clone());
        let item = match self.kind {
            Kind::Yielded => Some(item),
            Kind::Outcomes => item.split_time().map(|(micros, item)| {
                self.took = Some(Duration::from_micros(micros.into()));
                item
            }),
        };
        let format = match (&item, self.kind) {
            (None, _) | (Some(Item { format: ItemFormat::Raised, .. }), Kind::Yielded) => {
                let kind = ErrorKind::Result(Arc::new(NoOutcome));
                let error = self.tunnel.error(Phase::Call, kind);
                return Err(self.fail(error));
            }
            (Some(item), _) => item.format,
        };
        let payload = item.map(|item| item.payload).unwrap_or_default();
        self.count += 1;
        if let Some(entry) = &mut self.entry {
            entry.note_items(self.count);
        }
        let format = match format {
            ItemFormat::Pencode => Format::Pencode,
            ItemFormat::Bytes => Format::Bytes,
            ItemFormat::Marshal | ItemFormat::Failure => Format::Marshal,
            ItemFormat::Raised => {
                self.failed += 1;
                if let Some(entry) = &mut self.entry {
                    entry.note_failed_items(self.failed);
                }
                return Err(self.tunnel.item_failure(&payload).of_function(&self.function));
            }
        };
        Ok(Reply::new(host, function, format, payload))
    }

    /// Waits for the answer, which says how the call has ended.
    fn close(&mut self, ending: Ending) {
        if let State::Flowing(flow) = std::mem::replace(&mut self.state, State::Ended) {
            self.state =
                State::Closing(on_a_task(flow.close(self.tunnel.clone(), self.maker.clone(), ending)));
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Ended;
        error.of_function(&self.function).of_items(self.count)
    }

    /// Whether a deadline has passed; arranges to be woken when one does.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Duration> {
        if let Some((after, deadline)) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(*after);
        }
        if let Some(after) = self.item_timeout {
            let deadline = self.item_deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
            ready!(deadline.as_mut().poll(context));
            return Poll::Ready(after);
        }
        Poll::Pending
    }

    /// The error of a deadline that has passed.
    fn late(&mut self, after: Duration) -> Error {
        let error = self.tunnel.connection().late(after);
        self.fail(error)
    }
}

impl<T> Items<T> {
    /// Returns the same items, still encoded.
    pub fn encoded(self) -> EncodedItems {
        let Self { tunnel, maker, function, kind, state, count, failed, .. } = self;
        let Self { took, timeout, item_timeout, deadline, entry, item_deadline, .. } = self;
        let decode = Decode::Reply(Reply::decode);
        EncodedItems(Items {
            entry,
            tunnel,
            maker,
            function,
            kind,
            state,
            count,
            failed,
            took,
            timeout,
            item_timeout,
            deadline,
            item_deadline,
            decode,
        })
    }

    /// Returns the next item, still encoded, or the error of a deadline.
    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Reply, Error>>> {
        let this = self;
        if matches!(this.state, State::Ended) {
            return Poll::Ready(None);
        }
        // Without a runtime nothing connects either, which the error of that says.
        if let Some(after) = this.timeout
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let (_, deadline) =
                this.deadline.get_or_insert_with(|| (after, Box::pin(tokio::time::sleep(after))));
            // What has come meanwhile does not make it less late.
            if deadline.deadline() <= Instant::now() {
                return Poll::Ready(Some(Err(this.late(after))));
            }
        }
        match this.poll_item(context) {
            Poll::Ready(next) => {
                this.item_deadline = None;
                Poll::Ready(next)
            }
            Poll::Pending => {
                let after = ready!(this.poll_late(context));
                Poll::Ready(Some(Err(this.late(after))))
            }
        }
    }
}

impl<T> Decode<T> {
    fn decode(&self, reply: &Reply) -> Result<T, Error> {
        match self {
            Self::Reply(decode) => decode(reply),
            Self::Invocation(invocation) => {
                let (format, value) = reply.encoded();
                let encoded = match format {
                    Format::Bytes => Encoded::Bytes(value),
                    // Whatever the format says, this only reads `marshal`.
                    _ => Encoded::Value(value),
                };
                invocation.read(encoded).map_err(|error| reply.failed(error))
            }
        }
    }
}

impl<T> Stream for Items<T> {
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(this.poll_reply(context));
        this.note(next.as_ref());
        let before = this.count.saturating_sub(1);
        let decoded = |reply| this.decode.decode(&reply).map_err(|error: Error| error.of_items(before));
        Poll::Ready(next.map(|reply| reply.and_then(decoded)))
    }
}

/// The items of a function's result, still encoded. Made by [`Items::encoded`]; the same applies to it.
#[must_use = "nothing is called unless the stream is polled"]
pub struct EncodedItems(Items<()>);

impl EncodedItems {
    /// As [`Items::took`].
    pub fn took(&self) -> Option<Duration> {
        self.0.took
    }

    /// Ends a call that has done what it was to do, before its input has ended. It is cancelled as if
    /// the stream were dropped, but its [record](crate::AuditRecord) says that it succeeded.
    pub fn finish(mut self) {
        if let Some(mut entry) = self.0.entry.take() {
            entry.succeed(None);
        }
    }
}

impl Stream for EncodedItems {
    type Item = Result<Reply, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut self.get_mut().0;
        let next = ready!(this.poll_reply(context));
        this.note(next.as_ref());
        Poll::Ready(next)
    }
}

impl FusedStream for EncodedItems {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

impl fmt::Debug for EncodedItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> FusedStream for Items<T> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Items");
        shown.field("host", self.tunnel.host()).field("function", &self.function);
        shown.field("count", &self.count).finish_non_exhaustive()
    }
}

/// Runs a future on a task, which ends when the returned future is dropped.
///
/// A stream may stay unpolled for long, and meanwhile nobody is to wait for what such a future holds:
/// the connection sends parts of the agent and modules once for all calls.
fn on_a_task<T: Send + 'static>(
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> BoxFuture<'static, Result<T, Error>> {
    let on_a_task = async {
        // Without a runtime the future says so itself.
        if tokio::runtime::Handle::try_current().is_err() {
            return future.await;
        }
        let mut future = Box::pin(future);
        // On an open connection a request is sent at once, and the answer is often there with the last item.
        if let Some(result) = futures::future::poll_immediate(future.as_mut()).await {
            return result;
        }
        let mut task = JoinSet::new();
        task.spawn(future);
        match task.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime has ended, and polls nobody.
            Some(Err(_)) | None => std::future::pending().await,
        }
    };
    on_a_task.boxed()
}

/// Why no more items can be read.
enum Broken {
    /// The call cannot go on, for a reason of this side.
    Call(ErrorKind),
    /// The stream has ended early.
    Stream(Option<TransportError>),
}

/// How a stream has ended, before the answer to its request is known.
enum Ending {
    Broken(Option<TransportError>),
    Whole,
}

impl Flow {
    async fn open(tunnel: Tunnel, maker: Maker, kind: Kind) -> Result<Self, Error> {
        match maker {
            Maker::Call(call) => Self::open_call(tunnel, *call, kind).await,
            Maker::Run(payload) => Self::open_run(tunnel, payload?).await,
        }
    }

    async fn open_run(tunnel: Tunnel, payload: Vec<Bytes>) -> Result<Self, Error> {
        let connection = tunnel.connection_for(Task::Rust).await?;
        loop {
            let session = connection.session().await?;
            let options = RequestOptions::new().with_reader().initial_allowance(FIRST_CREDIT);
            let code = Operation::application(operation::YIELD);
            let mut request = session.handle.request_with(code, Format::Bytes, payload.clone(), options);
            match request.reader() {
                Ok(reader) => {
                    let items = ItemReader::new(tunnel.max_item_len());
                    return Ok(Self { connection, session, request, reader, items, input: None });
                }
                Err(error) => match connection.refusal(Phase::Call, &error) {
                    Some(refusal) => return Err(refusal),
                    None => connection.after(&session).await?,
                },
            }
        }
    }

    async fn open_call(tunnel: Tunnel, call: Call, kind: Kind) -> Result<Self, Error> {
        if kind == Kind::Outcomes && call.input.is_none() {
            return Err(tunnel.error(Phase::Call, ErrorKind::Argument(Arc::new(NoInput))));
        }
        let connection = tunnel.connection_for(Task::Python).await?;
        let (script, payload) = tunnel.composed(&connection, &call).await?;
        loop {
            let session = connection.session().await?;
            session
                .extend(match kind {
                    Kind::Yielded => Part::Items,
                    Kind::Outcomes => Part::Mapping,
                })
                .await;
            connection.send_ahead(&session, call.need(script.as_ref())).await?;
            let options = RequestOptions::new()
                .order(Order::AfterNotices)
                .with_reader()
                .initial_allowance(FIRST_CREDIT);
            let (code, options) = match (&call.input, kind) {
                (Some(_), Kind::Outcomes) => (operation::MAP, options.with_writer()),
                (Some(_), Kind::Yielded) => (operation::PIPE, options.with_writer()),
                (None, _) => (operation::YIELD, options),
            };
            let mut request = session.handle.request_with(
                Operation::application(code),
                Format::Marshal,
                payload.clone(),
                options,
            );
            let streams = request.reader().and_then(|reader| match &call.input {
                Some(input) => Ok((reader, Some((input.clone(), request.writer()?)))),
                None => Ok((reader, None)),
            });
            match streams {
                Ok((reader, input)) => {
                    let items = ItemReader::new(tunnel.max_item_len());
                    let input =
                        input.map(|(input, writer)| input.pump(session.handle.clone(), writer).boxed());
                    return Ok(Self { connection, session, request, reader, items, input });
                }
                Err(error) => match connection.refusal(Phase::Call, &error) {
                    Some(refusal) => return Err(refusal),
                    None => connection.after(&session).await?,
                },
            }
        }
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Item>, Broken>> {
        if let Some(input) = &mut self.input
            && let Poll::Ready(result) = input.poll_unpin(context)
        {
            self.input = None;
            result.map_err(|error| Broken::Call(ErrorKind::Argument(error)))?;
        }
        loop {
            match self.items.next().map_err(Broken::of_item)? {
                Some(Item { format: ItemFormat::Failure, .. }) => {
                    return Poll::Ready(Err(Broken::Stream(None)));
                }
                Some(item) => return Poll::Ready(Ok(Some(item))),
                None => {}
            }
            match ready!(self.reader.poll_chunk(context)) {
                Ok(Some(bytes)) => self.items.push(bytes),
                Ok(None) if self.items.is_at_end_of_item() => return Poll::Ready(Ok(None)),
                Ok(None) => return Poll::Ready(Err(Broken::Stream(None))),
                Err(error) => return Poll::Ready(Err(Broken::Stream(Some(error)))),
            }
        }
    }

    async fn close(self: Box<Self>, tunnel: Tunnel, maker: Maker, ending: Ending) -> Result<After, Error> {
        let Self { connection, session, mut request, reader, input, .. } = *self;
        // Nobody is to wait for a stream that nobody reads.
        drop(reader);
        let answer = match input {
            Some(input) => tunnel.answer_with_input(&mut request, input).await?,
            None => (&mut request).await,
        };
        session.settle().await;
        match (answer, ending) {
            (Ok(reply), Ending::Whole) if reply.kind == AnswerKind::Reply => Ok(After::Nothing),
            (Ok(reply), Ending::Broken(error)) if reply.kind == AnswerKind::Reply => {
                let source: Arc<dyn std::error::Error + Send + Sync> = match error {
                    Some(error) => Arc::new(error),
                    None => Arc::new(BrokenOff),
                };
                Err(tunnel.error(Phase::Call, ErrorKind::Result(source)))
            }
            (Ok(reply), _) => Err(match maker {
                Maker::Call(call) => tunnel.failure(&session, &call, &reply).await,
                Maker::Run(_) => tunnel.failure_of_run(&reply).await,
            }),
            (Err(error), _) => match connection.refusal(Phase::Call, &error) {
                Some(refusal) => Err(refusal),
                None => connection.after(&session).await.map(|()| After::Again),
            },
        }
    }
}

impl Broken {
    fn of_item(error: ItemError) -> Self {
        Self::Call(match error {
            ItemError::NoMemory { .. } => ErrorKind::OutOfMemory { message: error.to_string() },
            ItemError::TooLarge { .. } => ErrorKind::TooLarge { message: error.to_string() },
            _ => ErrorKind::Result(Arc::new(error)),
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the stream of its items was broken off")]
struct BrokenOff;

#[derive(Debug, thiserror::Error)]
#[error("the call has no input whose items it could be made for")]
struct NoInput;

#[derive(Debug, thiserror::Error)]
#[error("an item is not what it has to be")]
struct NoOutcome;
