//! Framed messages, requests and byte streams with credit over any byte stream, as a sans-I/O core and a tokio driver.

mod config;
mod connection;
mod driver;
mod error;
mod format;
mod frame;
mod nonce;
mod operation;
mod outbox;
mod payload;
mod request;

pub use crate::config::TransportConfig;
pub use crate::connection::{
    Connection, Event, Hello, Message, Order, Outcome, PROTOCOL_VERSION, Refusal, Reply, Start, StartOptions,
    StreamRead,
};
pub use crate::driver::{
    Driver, Handle, Incoming, IncomingMessage, IncomingRequest, Request, RequestOptions, Responder,
    StreamReader, StreamWriter, Transport,
};
pub use crate::error::{Fault, PeerFault, TransportError, TransportErrorKind};
pub use crate::format::Format;
pub use crate::nonce::Nonce;
pub use crate::operation::Operation;
pub use crate::outbox::Outbox;
pub use crate::payload::Payload;
pub use crate::request::{RequestId, Side};
