//! A stream that is the first argument of a call.

use std::{
    error::Error as StdError,
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use chopsticks_pencode::marshal::{self, EncodeError};
use chopsticks_protocol::{Item, ItemFormat};
use chopsticks_transport::{Handle, StreamWriter};
use futures::{FutureExt as _, Stream, StreamExt as _, stream::BoxStream};
use serde::Serialize;

/// What a call reads, until somebody takes it.
#[derive(Clone)]
pub(crate) struct Input(Arc<Mutex<Option<BoxStream<'static, Encoded>>>>);

/// Why a stream cannot be sent.
pub(crate) type Unfit = Arc<dyn StdError + Send + Sync>;

/// An item as it is sent.
type Encoded = Result<(ItemFormat, Bytes), EncodeError>;

impl Input {
    pub(crate) fn new(items: impl Stream<Item = Encoded> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(items.boxed()))))
    }

    pub(crate) fn encode(item: &impl Serialize) -> Encoded {
        Ok((ItemFormat::Marshal, marshal::to_vec(item)?.into()))
    }

    /// An item that is encoded already.
    pub(crate) fn encoded(item: Bytes) -> Encoded {
        Ok((ItemFormat::Marshal, item))
    }

    /// The item that says why there are no more.
    pub(crate) fn failure(error: &dyn StdError) -> (ItemFormat, Bytes) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        (ItemFormat::Failure, text.into())
    }

    /// Fails if the stream has been taken.
    pub(crate) fn check(&self) -> Result<(), Unfit> {
        let is_there = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_there { Ok(()) } else { Err(Arc::new(Taken)) }
    }

    fn take(&self) -> Result<BoxStream<'static, Encoded>, Unfit> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        items.ok_or_else(|| Arc::new(Taken) as Unfit)
    }

    /// Sends the items until there are no more or nobody wants them. Only an item that cannot be sent is an error: what happens to the
    /// request tells its answer.
    pub(crate) async fn pump(self, handle: Handle, mut writer: StreamWriter) -> Result<(), Unfit> {
        // What an interpreter was sent that never answered is sent to the next one.
        if handle.hello().await.is_err() {
            return Ok(());
        }
        let mut items = self.take()?;
        let mut buffer = Vec::new();
        loop {
            let ready = if buffer.is_empty() {
                Some(items.next().await)
            } else if buffer.len() < GATHERED {
                // What is not there yet is not waited for with items in hand.
                items.next().now_or_never()
            } else {
                None
            };
            let is_last = match ready {
                Some(Some(item)) => {
                    let (format, payload) = item.map_err(|error| Arc::new(error) as Unfit)?;
                    let written = Item::write(format, &payload, &mut buffer);
                    written.map_err(|error| Arc::new(error) as Unfit)?;
                    if format != ItemFormat::Failure {
                        continue;
                    }
                    true
                }
                Some(None) => true,
                None => false,
            };
            if !buffer.is_empty() && writer.send(mem::take(&mut buffer)).await.is_err() {
                return Ok(());
            }
            if is_last {
                // Why it cannot end, the answer tells.
                let _ = writer.finish();
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the input of the call has been read by another call")]
struct Taken;

/// Bytes of items that leave together.
const GATHERED: usize = 64 << 10;
