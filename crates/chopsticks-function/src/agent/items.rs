//! Calls that yield items, which are sent while they run: `docs/wire.md`, section 10.

use std::sync::{Arc, atomic::Ordering};

use bytes::{Bytes, BytesMut};
use chopsticks_protocol::{CallFailure, Item, ItemFormat, Run};
use chopsticks_transport::{Format, Message};

use super::{
    channel::{Channel, Stopped},
    problem::NO_PYTHON,
};
use crate::{
    answer::{Sink, Success, failure},
    registry,
};

/// Runs a call to its end, and answers with how it ended.
pub(crate) fn run(channel: &Arc<Channel>, message: &Message) {
    if message.format != Format::Bytes {
        // A call of a function in Python.
        return channel.fail_call(&failure("function", "", NO_PYTHON.to_owned()));
    }
    if channel.is_stopped() {
        return channel.give_up();
    }
    let call = &channel.signal.call;
    let mut output = Output { channel, buffer: BytesMut::new(), has_begun: false };
    channel.signal.is_busy.store(true, Ordering::SeqCst);
    let answer = channel.agent.in_call(channel.request, call, || {
        let message = Run::decode(&message.payload);
        let message = message.map_err(|error| failure("argument", "", error.to_string()))?;
        registry::run_items(&message, &mut output)
    });
    channel.signal.is_busy.store(false, Ordering::SeqCst);
    // A failure comes after all items that were yielded before it.
    channel.finish_first();
    match answer {
        _ if channel.is_stopped() => channel.give_up(),
        Ok(Success::Bytes(end) | Success::Value(end)) => channel.reply(end),
        Err(failure) => channel.fail_call(&failure),
    }
}

/// The stream of items to the controller.
struct Output<'a> {
    channel: &'a Channel,
    /// Items are written in here, so that small ones share their memory.
    buffer: BytesMut,
    has_begun: bool,
}

impl Sink for Output<'_> {
    fn give(&mut self, item: Success) -> Result<bool, CallFailure> {
        let (format, payload) = match item {
            Success::Bytes(bytes) => (ItemFormat::Bytes, bytes),
            Success::Value(value) => (ItemFormat::Marshal, value),
        };
        let limit = self.channel.agent.lock().item_limit;
        if payload.len() > limit {
            let text = format!("an item of {} bytes is over the limit of {limit}", payload.len());
            return Err(failure("size", "", text));
        }
        let busy = &self.channel.signal.is_busy;
        busy.store(false, Ordering::SeqCst);
        if !self.has_begun {
            self.has_begun = true;
            // The function may have started processes, and go on for long.
            self.channel.agent.protect();
        }
        let is_wanted = self.write(format, payload).is_ok();
        // One that is not wanted is at its end.
        busy.store(is_wanted, Ordering::SeqCst);
        Ok(is_wanted)
    }
}

impl Output<'_> {
    fn write(&mut self, format: ItemFormat, payload: Vec<u8>) -> Result<(), Stopped> {
        let is_short = payload.len() <= JOINED_LEN;
        if self.buffer.capacity() < HEAD_LEN + JOINED_LEN {
            self.buffer.reserve(BUFFER_LEN);
        }
        // The limit is below that of the format.
        Item::write_head(format, payload.len(), &mut self.buffer).map_err(|_| Stopped)?;
        if is_short {
            self.buffer.extend_from_slice(&payload);
        }
        self.channel.write(self.buffer.split().freeze())?;
        if !is_short {
            self.channel.write(Bytes::from(payload))?;
        }
        Ok(())
    }
}

/// The format and the length of an item.
const HEAD_LEN: usize = 5;
/// Payloads of up to this many bytes are copied behind their heads.
const JOINED_LEN: usize = 4 << 10;
/// How much memory items share.
const BUFFER_LEN: usize = 64 << 10;
