//! Pools: many items, each of which goes to the next free host.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chopsticks_function::Invocation;
use chopsticks_group::{Failure, Feed, Step, Timeline};
use chopsticks_pencode::marshal;
use chopsticks_transport::Format;
use chopsticks_tunnel::{
    Call, EncodedItems, Error, ErrorKind, Function, HostName, Ignored, Phase, Reply, Tunnel,
};
use futures::{
    Stream, StreamExt as _, future,
    stream::{self, FusedStream},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error as ThisError;

use crate::{group::Group, member::Member};

/// The outcome of an item of a [`Pool`]: its number in the input, the host that had it, how many
/// hosts have tried it, and its value or why there is none.
pub type PoolOutcome<V> = chopsticks_group::PoolOutcome<HostName, V, Error>;

/// Hosts that share the work on many items: a function is called once for each item, on the next
/// free host.
///
/// ```no_run
/// use chopsticks::{Group, Pool, TunnelConfig};
/// use futures::StreamExt;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let group = Group::parse(["host1", "host2", "host3"], TunnelConfig::default())?;
/// let files = ["/srv/a.bin", "/srv/b.bin", "/srv/c.bin"];
/// let mut sizes = Pool::new(group).per_host(2).map::<u64>("os.path:getsize", files);
/// while let Some(done) = sizes.next().await {
///     match done.outcome {
///         Ok(size) => println!("{}: {size}", files[done.index as usize]),
///         Err(failure) => eprintln!("{}: {failure}", files[done.index as usize]),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Outcomes arrive as items finish, or [in order](PoolRun::ordered). An item that fails does not
/// affect the others, except by [`max_failures`](Self::max_failures). The hosts connect when the
/// outcomes are first polled, and stay connected.
///
/// # Losses
///
/// Items of a lost host go to other hosts. They go to the same host only if it is the only one.
/// After [`attempts`](Self::attempts) an item fails with the error of the loss. So an item may run
/// more than once, at least in part. A lost host is connected again. It leaves the pool if that
/// fails, or if it is lost three times in a row without finishing an item. If no host is left, the
/// remaining items have the outcome [`NotStarted::NoTargets`](crate::NotStarted::NoTargets).
///
/// Clones are cheap and share the hosts: [`add`](Self::add) and [`remove`](Self::remove) affect all
/// of them, and what is running. Each clone has its own settings.
#[derive(Clone)]
pub struct Pool {
    inner: chopsticks_group::Pool<Member>,
}

/// The outcomes of the items of a [`Pool`], as they arrive, or in order. Created by [`Pool::map`].
///
/// Every item that was read has exactly one outcome. The input is read only as fast as the hosts
/// take its items.
///
/// # Cancel safety
///
/// No outcome is lost when the future of the next outcome is dropped. Dropping the stream cancels
/// all items that are under way, as dropping the future of a call does, and starts no others.
#[must_use = "nothing runs unless it is polled"]
pub struct PoolRun<V> {
    inner: chopsticks_group::PoolRun<Member, Item<V>, V>,
}

impl Pool {
    /// Creates a pool of the hosts of a group, or of one tunnel or driver. It connects nothing yet.
    ///
    /// Of the group's [limits](Group::limits), those for connecting apply: how many hosts connect
    /// at once, and how long connecting may take.
    pub fn new(group: impl Into<Group>) -> Self {
        Self { inner: chopsticks_group::Pool::new(group.into().inner().clone()) }
    }

    /// Sets how many items each host runs at a time, each on a thread of its own. Default and
    /// least: 1.
    ///
    /// Python code in several threads of a host takes turns. More than one item at a time helps
    /// only functions that wait or run programs. For other functions, use several tunnels to a
    /// host.
    #[must_use]
    pub fn per_host(self, items: usize) -> Self {
        Self { inner: self.inner.per_host(items) }
    }

    /// Sets how many hosts may try an item, one after the other, if hosts are lost. Default: 3;
    /// least: 1.
    ///
    /// An item counts as tried from the moment at which it was sent to a host, because the
    /// controller cannot know how far a lost host had got with it. With 1 no item runs twice, not
    /// even in part. Then no items are sent ahead, so each costs a round trip.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { inner: self.inner.attempts(attempts) }
    }

    /// Sets how many items are sent ahead at most, for each item that a host runs at a time.
    /// Default: 500.
    ///
    /// The pool sends as many items ahead as the host can run while one travels, so that the host
    /// is never idle. It sends none if items take long, and never more than 1 MiB. With 0, each
    /// item waits on the controller until a host is free.
    #[must_use]
    pub fn ahead(self, items: usize) -> Self {
        Self { inner: self.inner.ahead(items) }
    }

    /// Sets how long an item may take, from when its host starts it. After that it is cancelled
    /// like a call, its outcome is [`Failure::Timeout`], and it is not
    /// tried again. Default: no limit.
    ///
    /// [`TunnelConfig::call_timeout`](crate::TunnelConfig::call_timeout) does not apply. Deadlines
    /// pass only while the outcomes are polled.
    #[must_use]
    pub fn item_timeout(self, timeout: Duration) -> Self {
        Self { inner: self.inner.item_timeout(timeout) }
    }

    /// Sets how many items may fail before no further item starts. Default: no limit.
    ///
    /// Items that have started, or were sent to a host, still get outcomes. Items of the input that
    /// were not read do not.
    #[must_use]
    pub fn max_failures(self, failures: usize) -> Self {
        Self { inner: self.inner.max_failures(failures) }
    }

    /// Sets how many bytes of results may wait on the controller before no further item starts.
    /// Default: 64 MiB.
    ///
    /// Results wait if they are not polled, and, in order, for the result of an earlier item. The
    /// results of items that have started then come in addition. Sizes are those of the encoded
    /// results.
    #[must_use]
    pub fn max_buffered(self, bytes: usize) -> Self {
        Self { inner: self.inner.max_buffered(bytes) }
    }

    /// Adds hosts, also to what is running. Hosts whose names are already in the pool are left out.
    pub fn add(&self, group: impl Into<Group>) {
        self.inner.add(group.into().inner());
    }

    /// Removes a host, and returns whether it was there. It gets no further items. It finishes
    /// those that it has, and its tunnel stays connected.
    pub fn remove(&self, host: &HostName) -> bool {
        self.inner.remove(host)
    }

    /// Returns the names of the hosts, in the order in which they were added. Those that were lost
    /// are among them.
    pub fn hosts(&self) -> Vec<HostName> {
        self.inner.names()
    }

    /// Calls `function` with each item of an iterator as its argument.
    ///
    /// The iterator is advanced by the task that polls the outcomes, so it should not block. For
    /// items that arrive over time, use [`map_stream`](Self::map_stream).
    pub fn map<V: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Into<Function>,
        items: impl IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
    ) -> PoolRun<V> {
        self.map_with(Call::new(function), stream::iter(items))
    }

    /// Calls `function` with each item of a stream as its argument.
    pub fn map_stream<V: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Into<Function>,
        items: impl Stream<Item: Serialize> + Send + 'static,
    ) -> PoolRun<V> {
        self.map_with(Call::new(function), items)
    }

    /// Makes a call for each item of a stream, with the item in front of the call's arguments.
    ///
    /// [`Call::timeout`] is the deadline of each item, instead of
    /// [`item_timeout`](Self::item_timeout). An [input](Call::input) of the call has no effect: the
    /// items take its place.
    ///
    /// ```no_run
    /// # use chopsticks::{Call, Pool};
    /// # async fn example(pool: Pool, images: Vec<String>) {
    /// // def make(image, size, quality): ...
    /// let call = Call::new("thumbnails:make").args((320,)).kwarg("quality", 80);
    /// let made = pool.map_with::<String>(call, futures::stream::iter(images));
    /// # }
    /// ```
    pub fn map_with<V: DeserializeOwned + Send + 'static>(
        &self,
        call: Call,
        items: impl Stream<Item: Serialize> + Send + 'static,
    ) -> PoolRun<V> {
        self.run(call, items.map(encoded), |reply| reply.decode())
    }

    /// As [`map_with`](Self::map_with), with results that are still encoded.
    pub fn map_encoded(
        &self,
        call: Call,
        items: impl Stream<Item: Serialize> + Send + 'static,
    ) -> PoolRun<Reply> {
        self.run(call, items.map(encoded), Ok)
    }

    /// As [`map_encoded`](Self::map_encoded), with items that are encoded already, and the format of
    /// each, as those of [`Call::try_encoded_input`]. An error is the outcome of its item.
    pub fn try_map_encoded<E: std::error::Error + Send + Sync + 'static>(
        &self,
        call: Call,
        items: impl Stream<Item = Result<(Format, Bytes), E>> + Send + 'static,
    ) -> PoolRun<Reply> {
        self.run(call, items.map(|item| item.map_err(|error| Error::other(Unfit(Arc::new(error))))), Ok)
    }

    /// Runs functions in Rust: each invocation on the next free host.
    ///
    /// An invocation is sent when its host is free, so each costs a round trip. With
    /// [`per_host`](Self::per_host) others run meanwhile, each on a thread of its own. The
    /// [deadline](Invocation::timeout) of an invocation counts from when it is sent.
    ///
    /// ```no_run
    /// use chopsticks::{Agent, Group, Pool, TunnelConfig};
    /// use futures::StreamExt as _;
    ///
    /// #[chopsticks::function]
    /// fn lines(path: &str) -> std::io::Result<usize> {
    ///     Ok(std::fs::read_to_string(path)?.lines().count())
    /// }
    ///
    /// # async fn example() -> Result<(), chopsticks::Error> {
    /// let group = Group::parse(["web1", "web2"], TunnelConfig::default().agent(Agent::Native))?;
    /// let files = ["/srv/a.log", "/srv/b.log", "/srv/c.log"];
    /// let mut counts = Pool::new(group).per_host(4).invoke(files.map(|file| lines::with(file)));
    /// while let Some(done) = counts.next().await {
    ///     println!("{}: {:?}", files[done.index as usize], done.outcome);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn invoke<V: Send + 'static>(
        &self,
        invocations: impl IntoIterator<Item = Invocation<V>, IntoIter: Send + 'static>,
    ) -> PoolRun<V> {
        let items = stream::iter(invocations).map(|invocation| Ok((Item::Invocation(invocation), 0)));
        let pool = self.inner.clone().ahead(0);
        PoolRun { inner: pool.map(items, |member: Member, feed| invoked(member.0, feed)) }
    }

    fn run<V: Send + 'static>(
        &self,
        call: Call,
        items: impl Stream<Item = Result<Encoded, Error>> + Send + 'static,
        decode: fn(Reply) -> Result<V, Error>,
    ) -> PoolRun<V> {
        let pool = match call.deadline() {
            Some(deadline) => self.inner.clone().item_timeout(deadline),
            None => self.inner.clone(),
        };
        let items = items.map(|item| {
            item.map(|item| {
                let len = item.1.len();
                (Item::Encoded(item), len)
            })
        });
        let call = call.without_deadlines();
        let open = move |member: Member, feed| Slot::open(&member.0, call.clone(), feed, decode);
        PoolRun { inner: pool.map(items, open) }
    }
}

/// What a host gets to do.
enum Item<V> {
    /// The argument of a call, encoded.
    Encoded(Encoded),
    Invocation(Invocation<V>),
}

impl<V> Clone for Item<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Encoded(item) => Self::Encoded(item.clone()),
            Self::Invocation(invocation) => Self::Invocation(invocation.clone()),
        }
    }
}

impl<V: Send + 'static> PoolRun<V> {
    /// Returns the outcomes in the order of the items. Call this before the first poll.
    ///
    /// At most 1,000 items are read beyond the one whose outcome is next: see
    /// [`ordered_within`](Self::ordered_within).
    pub fn ordered(self) -> Self {
        Self { inner: self.inner.ordered() }
    }

    /// Returns the outcomes in the order of the items, and reads at most `window` items beyond the
    /// one whose outcome is next; at least 1. Call this before the first poll.
    ///
    /// The outcomes of these items are kept in memory until the next one arrives, up to
    /// [`Pool::max_buffered`]. When all of them are done, the hosts are idle.
    pub fn ordered_within(self, window: usize) -> Self {
        Self { inner: self.inner.ordered_within(window) }
    }

    /// Records a [`timeline`](Self::timeline), which takes about 100 bytes for each item. Call this
    /// before the first poll.
    pub fn recorded(self) -> Self {
        Self { inner: self.inner.recorded() }
    }

    /// Returns what each host has done so far, and when, if it is [`recorded`](Self::recorded).
    /// [`Timeline::to_svg`] draws it. Items are labelled with their numbers.
    pub fn timeline(&self) -> Timeline<HostName> {
        self.inner.timeline()
    }

    /// Returns the hosts that get no more items because they could not be connected, or were lost
    /// too often, with the reason.
    pub fn lost(&self) -> &[(HostName, Failure<Error>)] {
        self.inner.lost()
    }

    /// Returns how many items were read so far.
    pub fn items_read(&self) -> u64 {
        self.inner.items_read()
    }

    /// Returns how many of the items that were read have no outcome yet.
    pub fn items_under_way(&self) -> usize {
        self.inner.items_under_way()
    }

    /// Goes on with the items without taking an outcome, and is ready once every item has one.
    ///
    /// Outcomes that nobody has taken wait, up to [`Pool::max_buffered`] and some 1,000 of them; then the
    /// hosts become idle. For a task that keeps the hosts busy while something else works on outcomes.
    /// Only the task that polled last is woken: the other one has to poll again afterwards.
    pub fn poll_progress(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_progress(context)
    }
}

impl<V: Send + 'static> Stream for PoolRun<V> {
    type Item = PoolOutcome<V>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().inner.poll_next_unpin(context)
    }
}

impl<V: Send + 'static> FusedStream for PoolRun<V> {
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<V> fmt::Debug for PoolRun<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A slot of a host that runs functions in Rust.
fn invoked<V: Send + 'static>(tunnel: Tunnel, feed: Feed<Item<V>>) -> impl Stream<Item = Step<V, Error>> {
    stream::unfold(Some((tunnel, feed)), |slot| async {
        let (tunnel, mut feed) = slot?;
        let invocation = loop {
            if let Item::Invocation(invocation) = feed.next().await? {
                break invocation;
            }
        };
        let begun = Instant::now();
        match tunnel.invoke(invocation).await {
            // The next one finds the host lost, or connected again.
            Err(error) if is_loss(&error) => Some((Step::Lost(error), None)),
            result => {
                // What the value holds in the heap is not known.
                let done = Step::Done { result, took: begun.elapsed(), len: size_of::<V>() };
                Some((done, Some((tunnel, feed))))
            }
        }
    })
}

/// A slot of a host: a call that gets its items as they are given to it.
struct Slot<V> {
    /// `None` once it has ended.
    outcomes: Option<EncodedItems>,
    /// How many items the call has taken.
    taken: Arc<AtomicU64>,
    /// How many of them have an outcome.
    done: u64,
    decode: fn(Reply) -> Result<V, Error>,
}

impl<V: 'static> Slot<V> {
    fn open(tunnel: &Tunnel, call: Call, feed: Feed<Item<V>>, decode: fn(Reply) -> Result<V, Error>) -> Self {
        let taken = Arc::<AtomicU64>::default();
        let counter = taken.clone();
        let feed = feed.filter_map(move |item| {
            counter.fetch_add(1, Ordering::Relaxed);
            future::ready(match item {
                Item::Encoded(item) => Some(Ok::<_, Infallible>(item)),
                Item::Invocation(_) => None,
            })
        });
        let outcomes = tunnel.map_with::<Ignored>(call.try_encoded_input(feed)).encoded();
        Self { outcomes: Some(outcomes), taken, done: 0, decode }
    }
}

impl<V> Drop for Slot<V> {
    /// The input has no end, so that this is how a slot ends that is no longer needed. It has succeeded
    /// if no item is under way.
    fn drop(&mut self) {
        if let Some(outcomes) = self.outcomes.take()
            && self.done > 0
            && self.done == self.taken.load(Ordering::Relaxed)
        {
            outcomes.finish();
        }
    }
}

impl<V> Stream for Slot<V> {
    type Item = Step<V, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(outcomes) = &mut this.outcomes else { return Poll::Ready(None) };
        let result = ready!(outcomes.poll_next_unpin(context));
        Poll::Ready(Some(match result {
            Some(result) if !outcomes.is_terminated() => {
                this.done += 1;
                let took = outcomes.took().unwrap_or_default();
                let len = match &result {
                    Ok(reply) => reply.encoded_len(),
                    Err(error) => error.remote().map_or(0, |e| e.message.len() + e.traceback.len()),
                };
                Step::Done { result: result.and_then(this.decode), took, len }
            }
            ended => {
                this.outcomes = None;
                match ended {
                    Some(Err(error)) if is_loss(&error) => Step::Lost(error),
                    Some(Err(error)) => Step::Failed(error),
                    // The input has no end, so the call should have none.
                    Some(Ok(_)) | None => Step::Failed(Error::other(Ended)),
                }
            }
        }))
    }
}

/// An item as it is sent.
type Encoded = (Format, Bytes);

fn encoded(item: impl Serialize) -> Result<Encoded, Error> {
    match marshal::to_vec(&item) {
        Ok(item) => Ok((Format::Marshal, item.into())),
        Err(error) => Err(Error::other(Unfit(Arc::new(error)))),
    }
}

/// Returns whether an error is one of the host, and not of what it was asked to do.
fn is_loss(error: &Error) -> bool {
    let of_host = |kind: &ErrorKind| {
        matches!(kind, ErrorKind::Closed | ErrorKind::Parent(_) | ErrorKind::TooManyAbandoned { .. })
    };
    error.phase() != Phase::Call || error.is_disconnected() || of_host(error.kind())
}

#[derive(Debug, ThisError)]
#[error("the item cannot be sent")]
struct Unfit(#[source] Arc<dyn std::error::Error + Send + Sync>);

#[derive(Debug, ThisError)]
#[error("the agent has ended a call that gets items")]
struct Ended;
