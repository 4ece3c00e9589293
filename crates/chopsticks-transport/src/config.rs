//! The configuration of a connection.

use std::time::Duration;

use crate::error::{TransportError, TransportErrorKind};

/// Limits, sizes and deadlines of one connection.
///
/// ```
/// # use std::time::Duration;
/// # use chopsticks_transport::TransportConfig;
/// let config = TransportConfig::default()
///     .max_message_len(64 << 20)
///     .keepalive(Duration::from_secs(15), Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransportConfig {
    pub(crate) frame_len: usize,
    pub(crate) max_frame_len: usize,
    pub(crate) max_message_len: usize,
    pub(crate) max_reply_len: usize,
    pub(crate) max_request_len: usize,
    pub(crate) max_buffered_len: usize,
    pub(crate) max_peer_requests: usize,
    pub(crate) max_untaken_notices: usize,
    pub(crate) max_queued_len: usize,
    pub(crate) max_noise: usize,
    pub(crate) stream_window: u32,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) cancel_grace: Duration,
    pub(crate) max_abandoned_requests: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Keepalive {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

impl TransportConfig {
    /// Sets the maximum payload of the frames that this side sends, in bytes. Default: 128 KiB.
    ///
    /// Larger frames save a little work per byte, but a small message waits longer behind a large
    /// one.
    #[must_use]
    pub fn frame_len(mut self, bytes: usize) -> Self {
        self.frame_len = bytes;
        self
    }

    /// Sets the maximum payload of a frame that this side accepts, in bytes. Default: 1 MiB. A
    /// larger frame ends the connection.
    #[must_use]
    pub fn max_frame_len(mut self, bytes: usize) -> Self {
        self.max_frame_len = bytes;
        self
    }

    /// Sets the maximum length of a message that this side sends, or accepts as a reply, in bytes.
    /// Default: 1 GiB.
    ///
    /// A longer message fails its request and leaves the connection usable. Replies are held in
    /// memory.
    #[must_use]
    pub fn max_message_len(mut self, bytes: usize) -> Self {
        self.max_message_len = bytes;
        self
    }

    /// Sets the maximum length of a reply that this side accepts, in bytes, if it is less than
    /// [`max_message_len`](Self::max_message_len). Default: the same.
    ///
    /// The limit is sent to the peer, which then need not send a longer reply.
    #[must_use]
    pub fn max_reply_len(mut self, bytes: usize) -> Self {
        self.max_reply_len = bytes;
        self
    }

    /// Returns the maximum length of a reply that this side accepts, in bytes.
    pub fn reply_limit(&self) -> usize {
        self.max_reply_len.min(self.max_message_len)
    }

    /// Sets the maximum length of a request or notice of the peer, in bytes. Default: 1 MiB.
    ///
    /// A longer request is answered with a failure; a longer notice ends the connection.
    #[must_use]
    pub fn max_request_len(mut self, bytes: usize) -> Self {
        self.max_request_len = bytes;
        self
    }

    /// Sets how many bytes all incomplete messages together may hold. The same limit applies
    /// separately to received notices that have not been taken. Default: 2 GiB.
    ///
    /// A message that exceeds this limit is treated like a message that is too long.
    #[must_use]
    pub fn max_buffered_len(mut self, bytes: usize) -> Self {
        self.max_buffered_len = bytes;
        self
    }

    /// Sets how many requests of the peer may be open at once. Default: 64. One more ends the
    /// connection.
    ///
    /// A request is open until its reply has left and its streams have ended.
    #[must_use]
    pub fn max_peer_requests(mut self, count: usize) -> Self {
        self.max_peer_requests = count;
        self
    }

    /// Sets how many notices may wait to be taken from [`Incoming`](crate::Incoming). Default:
    /// 1,024. One more ends the connection.
    #[must_use]
    pub fn max_untaken_notices(mut self, count: usize) -> Self {
        self.max_untaken_notices = count;
        self
    }

    /// Sets how many bytes of messages may wait to be sent before
    /// [`Handle::notice`](crate::Handle::notice) waits. Default: 16 MiB.
    #[must_use]
    pub fn max_queued_len(mut self, bytes: usize) -> Self {
        self.max_queued_len = bytes;
        self
    }

    /// Sets how many bytes may precede the agent's nonce. Default: 1 MiB. They are kept until the
    /// agent has answered.
    #[must_use]
    pub fn max_noise(mut self, bytes: usize) -> Self {
        self.max_noise = bytes;
        self
    }

    /// Sets how many bytes each stream may have under way. Default: 4 MiB.
    ///
    /// This is the memory that a stream can take when its reader is slow. It also limits the
    /// throughput, to one window in each round trip: 4 MiB and 20 ms make 200 MB/s.
    #[must_use]
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.stream_window = bytes;
        self
    }

    /// Sets how long the peer may take to complete the handshake. Default: 60 s. `None` waits
    /// without end.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.handshake_timeout = timeout.into();
        self
    }

    /// Sends a ping when nothing was received for `interval`, and ends the connection when nothing
    /// is received within `timeout` after that. By default no ping is sent, and a silent peer is
    /// waited for.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keepalive = Some(Keepalive { interval, timeout });
        self
    }

    /// Sets how long the peer may take to end a cancelled request. Default: 5 s.
    ///
    /// After that the request is abandoned. Its number stays in use until the peer answers. The
    /// connection lives on if the peer answers a ping within the same time, or within 5 s if that
    /// is longer.
    #[must_use]
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.cancel_grace = grace;
        self
    }

    /// Sets how many cancelled requests may be abandoned at once. Default: 128.
    ///
    /// At this limit, further requests fail with
    /// [`TooManyAbandoned`](crate::TransportErrorKind::TooManyAbandoned) while other requests are
    /// under way. As soon as no other request is under way, the connection ends.
    #[must_use]
    pub fn max_abandoned_requests(mut self, count: usize) -> Self {
        self.max_abandoned_requests = count;
        self
    }

    pub(crate) fn check(&self) -> Result<(), TransportError> {
        let problem = if self.frame_len == 0 {
            "frame_len is 0"
        } else if self.frame_len > self.max_frame_len {
            "frame_len is larger than max_frame_len"
        } else if u32::try_from(self.max_frame_len).is_err() {
            "max_frame_len is 4 GiB or more"
        } else if self.stream_window == 0 {
            "stream_window is 0"
        } else if u64::from(self.stream_window) > MAX_CREDIT {
            "stream_window is 2 GiB or more"
        } else if self.max_abandoned_requests == 0 {
            "max_abandoned_requests is 0"
        } else {
            return Ok(());
        };
        Err(TransportErrorKind::InvalidConfig { problem }.into())
    }
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            // 64 KiB to 256 KiB are within a few per cent of each other on pipes; this is also what ssh likes.
            frame_len: 128 << 10,
            max_frame_len: 1 << 20,
            max_message_len: 1 << 30,
            max_reply_len: usize::MAX,
            max_request_len: 1 << 20,
            max_buffered_len: 2 << 30,
            max_peer_requests: 64,
            max_untaken_notices: 1024,
            max_queued_len: 16 << 20,
            max_noise: 1 << 20,
            stream_window: 4 << 20,
            handshake_timeout: Some(Duration::from_secs(60)),
            keepalive: None,
            cancel_grace: Duration::from_secs(5),
            // Half of the threads that an agent has for calls.
            max_abandoned_requests: 128,
        }
    }
}

/// The maximum credit of a stream: `docs/wire.md` §7.
pub(crate) const MAX_CREDIT: u64 = 0x7fff_ffff;
