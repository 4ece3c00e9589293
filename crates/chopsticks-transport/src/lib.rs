//! Framed messages, requests and byte streams with credit over any byte stream, as a sans-I/O core and a tokio task.
//!
//! Two programs that share a pair of pipes, a socket or another two-way channel make requests of
//! each other. Many requests can be under way at once. Each has one reply, up to two byte streams,
//! and can be cancelled. One of the programs, the controller, has started the other, the agent.
//! `docs/wire.md` in the repository specifies the protocol, byte by byte.
//!
//! ```
//! use chopsticks_transport::{
//!     Format, IncomingMessage, Operation, StartOptions, Transport, TransportConfig,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = tokio::io::duplex(64 << 10);
//! let config = TransportConfig::default();
//!
//! // The agent greets, and answers each request with the length of its payload.
//! let (reader, writer) = tokio::io::split(far);
//! let (agent, mut incoming, task) = Transport::agent(reader, writer, config.clone())?;
//! tokio::spawn(task);
//! agent.send_hello(Format::None, "it is me".as_bytes())?;
//! tokio::spawn(async move {
//!     while let Some(message) = incoming.next().await {
//!         if let IncomingMessage::Request(request) = message {
//!             let len = request.payload.len().to_string();
//!             request.responder.reply(Format::Bytes, len.into_bytes())?;
//!         }
//!     }
//!     Ok::<_, chopsticks_transport::TransportError>(())
//! });
//!
//! // The controller need not wait for the greeting: its call leaves at once.
//! let (reader, writer) = tokio::io::split(near);
//! let (controller, _incoming, task) =
//!     Transport::controller(reader, writer, StartOptions::new(), config)?;
//! tokio::spawn(task);
//! let reply = controller.request(Operation::application(0x20), Format::Bytes, "hello".as_bytes()).await?;
//! assert_eq!(reply.payload, "5");
//! assert_eq!(controller.hello().await?.payload, "it is me");
//!
//! controller.close();
//! controller.closed().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! * Programs use [`Transport`], [`Io`], [`Handle`], [`Request`], [`Incoming`],
//!   [`StreamReader`] and [`StreamWriter`]. [`Io`] is one task that owns the reader and the
//!   writer. The other types send orders to it.
//! * [`Connection`] implements the whole protocol as a state machine without I/O and without a
//!   clock, for tests, fuzzers and other runtimes.
//!
//! # Limits
//!
//! The peer is not trusted. Whatever it sends ends in a reply, or in a [`TransportError`] that
//! describes the fault, and uses only memory that [`TransportConfig`] bounds. No memory is reserved
//! for bytes that are only announced. A message that is too long fails only its own request. A
//! dropped request is cancelled, and a peer that does not end it in time loses the connection.
//!
//! This crate has no deadlines for requests, since `tokio::time::timeout` around a [`Request`] does
//! the same. It has no encryption and no compression. It never tries again: a connection that has
//! ended is replaced by a new one.

mod config;
mod connection;
mod error;
mod format;
mod frame;
mod nonce;
mod operation;
mod outbox;
mod payload;
mod request;
#[cfg(feature = "tokio")]
mod task;

pub use crate::config::TransportConfig;
pub use crate::connection::{
    Answer, AnswerKind, Connection, Event, Hello, Message, Order, PROTOCOL_VERSION, Refusal, Start,
    StartOptions, StreamRead,
};
pub use crate::error::{Fault, PeerFault, TransportError, TransportErrorKind};
pub use crate::format::Format;
pub use crate::nonce::Nonce;
pub use crate::operation::Operation;
pub use crate::outbox::Outbox;
pub use crate::payload::Payload;
pub use crate::request::{RequestId, Role};
#[cfg(feature = "tokio")]
pub use crate::task::{
    Handle, Incoming, IncomingMessage, IncomingRequest, Io, Request, RequestOptions, Responder, StreamReader,
    StreamWriter, Transport,
};
