//! The handshake: `docs/wire.md` §1 and §5.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use super::event::Start;
use crate::config::TransportConfig;
use crate::error::{PeerFault, TransportError, TransportErrorKind};
use crate::format::Format;
use crate::frame::FrameHeader;
use crate::nonce::Nonce;
use crate::operation::Operation;
use crate::payload::Payload;

/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 1;

/// The options of a controller's `START`.
#[derive(Clone, Debug)]
pub struct StartOptions {
    pub(crate) preamble: Bytes,
    pub(crate) nonce: Nonce,
    pub(crate) options: Bytes,
}

impl StartOptions {
    /// Creates the minimal options, with a random nonce.
    pub fn new() -> Self {
        Self { preamble: Bytes::new(), nonce: Nonce::random(), options: Bytes::new() }
    }

    /// Sets the bytes that precede all frames. Default: none.
    #[must_use]
    pub fn preamble(mut self, preamble: impl Into<Bytes>) -> Self {
        self.preamble = preamble.into();
        self
    }

    /// Sets the nonce.
    #[must_use]
    pub fn nonce(mut self, nonce: Nonce) -> Self {
        self.nonce = nonce;
        self
    }

    /// Sets the options for the layer above. Default: none.
    #[must_use]
    pub fn options(mut self, options: impl Into<Bytes>) -> Self {
        self.options = options.into();
        self
    }
}

impl Default for StartOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The progress of the handshake, and its results.
#[derive(Debug)]
pub(super) struct Handshake {
    phase: HandshakePhase,
    deadline: Option<Instant>,
    nonce: Nonce,
    noise: Vec<u8>,
    max_noise: usize,
    /// Bytes that are sent before any frame of a request.
    outgoing: VecDeque<Bytes>,
    /// Whether `outgoing` may be sent. On agents this is the case when the nonce is known.
    may_speak: bool,
    /// Whether `outgoing` contains the first frame, so that others may follow.
    has_frame: bool,
    peer_limit: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HandshakePhase {
    /// A controller that has not seen its nonce.
    Scanning,
    /// A controller whose next frame must be `HELLO`.
    HelloExpected,
    /// An agent whose next frame must be `START`.
    StartExpected,
    Done,
}

impl Handshake {
    pub(super) fn controller(
        now: Instant,
        start: StartOptions,
        config: &TransportConfig,
    ) -> Result<Self, TransportError> {
        let mut payload = BytesMut::with_capacity(START_LEN + start.options.len());
        payload.extend_from_slice(&PROTOCOL_VERSION.to_be_bytes());
        payload.extend_from_slice(start.nonce.as_bytes());
        payload.extend_from_slice(&(config.reply_limit() as u64).to_be_bytes());
        payload.extend_from_slice(&start.options);
        let frame = single_frame(Operation::START, Format::None, &payload, config)?;
        Ok(Self {
            phase: HandshakePhase::Scanning,
            nonce: start.nonce,
            outgoing: VecDeque::from([start.preamble, frame]),
            may_speak: true,
            has_frame: true,
            ..Self::agent(now, config)
        })
    }

    pub(super) fn agent(now: Instant, config: &TransportConfig) -> Self {
        Self {
            phase: HandshakePhase::StartExpected,
            deadline: config.handshake_timeout.and_then(|timeout| now.checked_add(timeout)),
            nonce: Nonce::new([0; Nonce::LEN]),
            noise: Vec::new(),
            max_noise: config.max_noise,
            outgoing: VecDeque::new(),
            may_speak: false,
            has_frame: false,
            peer_limit: usize::MAX,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == HandshakePhase::Done
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn noise(&self) -> &[u8] {
        &self.noise
    }

    /// The longest message that the peer accepts.
    pub(super) fn peer_limit(&self) -> usize {
        self.peer_limit
    }

    /// Takes the bytes that are sent before any frame of a request.
    pub(super) fn take_words(&mut self) -> impl Iterator<Item = Bytes> {
        let end = if self.may_speak { self.outgoing.len() } else { 0 };
        self.outgoing.drain(..end)
    }

    pub(super) fn has_words(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Returns whether frames of requests may be sent.
    pub(super) fn may_follow(&self) -> bool {
        self.may_speak && self.has_frame
    }

    /// Returns the operation that the next frame must have.
    pub(super) fn expected(&self) -> Option<Operation> {
        match self.phase {
            HandshakePhase::Scanning | HandshakePhase::HelloExpected => Some(Operation::HELLO),
            HandshakePhase::StartExpected => Some(Operation::START),
            HandshakePhase::Done => None,
        }
    }

    /// Looks for the nonce. Returns the bytes after it, or `None` if all of `input` was noise.
    pub(super) fn scan<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, TransportError> {
        let nonce = self.nonce.as_bytes();
        let before = self.noise.len();
        // The nonce has to begin within the first `max_noise` bytes, so no more than this is looked at.
        let room = (self.max_noise + Nonce::LEN).saturating_sub(before);
        let looked_at = input.get(..room).unwrap_or(input);
        self.noise.extend_from_slice(looked_at);
        let from = before.saturating_sub(Nonce::LEN - 1);
        let found = self.noise.get(from..).and_then(|noise| memmem::find(noise, nonce));
        match found {
            Some(position) => {
                let start = from + position;
                let end_in_input = start + Nonce::LEN - before;
                self.noise.truncate(start);
                self.phase = HandshakePhase::HelloExpected;
                Ok(input.get(end_in_input..))
            }
            None if self.noise.len() >= self.max_noise + Nonce::LEN => {
                self.noise.truncate(self.max_noise);
                Err(TransportErrorKind::TooMuchNoise { limit: self.max_noise }.into())
            }
            None => Ok(None),
        }
    }

    /// Handles the payload of `HELLO` and returns its part for the layer above.
    pub(super) fn handle_hello(&mut self, payload: &[u8]) -> Result<Bytes, TransportError> {
        let (version, rest) =
            payload.split_first_chunk().ok_or_else(|| wrong_length(Operation::HELLO, payload))?;
        check_version(*version)?;
        self.finish();
        let tail = self.noise.len().saturating_sub(NOISE_TAIL);
        self.noise.drain(..tail);
        self.noise.shrink_to_fit();
        Ok(Bytes::copy_from_slice(rest))
    }

    /// Handles the payload of `START`.
    pub(super) fn handle_start(
        &mut self,
        payload: &[u8],
        config: &TransportConfig,
    ) -> Result<Start, TransportError> {
        let too_short = || wrong_length(Operation::START, payload);
        let (version, rest) = payload.split_first_chunk().ok_or_else(too_short)?;
        let (nonce, rest) = rest.split_first_chunk::<{ Nonce::LEN }>().ok_or_else(too_short)?;
        self.outgoing.push_front(Bytes::copy_from_slice(nonce));
        self.may_speak = true;
        if let Err(error) = check_version(*version) {
            // The controller is to learn this side's version too.
            let hello = PROTOCOL_VERSION.to_be_bytes();
            self.outgoing.truncate(1);
            self.outgoing.push_back(single_frame(Operation::HELLO, Format::None, &hello, config)?);
            return Err(error);
        }
        let (max_message_len, options) = rest.split_first_chunk().ok_or_else(too_short)?;
        let max_message_len = u64::from_be_bytes(*max_message_len);
        self.peer_limit = usize::try_from(max_message_len).unwrap_or(usize::MAX);
        self.finish();
        Ok(Start { max_message_len, options: Bytes::copy_from_slice(options) })
    }

    pub(super) fn send_hello(
        &mut self,
        format: Format,
        payload: Payload,
        config: &TransportConfig,
    ) -> Result<(), TransportError> {
        if self.has_frame {
            return Ok(());
        }
        let mut hello = BytesMut::with_capacity(2 + payload.len());
        hello.extend_from_slice(&PROTOCOL_VERSION.to_be_bytes());
        for chunk in payload.into_chunks() {
            hello.extend_from_slice(&chunk);
        }
        self.outgoing.push_back(single_frame(Operation::HELLO, format, &hello, config)?);
        // The nonce goes to the front when START comes, and nothing leaves before that.
        self.has_frame = true;
        Ok(())
    }

    fn finish(&mut self) {
        self.phase = HandshakePhase::Done;
        self.deadline = None;
    }
}

fn check_version(version: [u8; 2]) -> Result<(), TransportError> {
    let theirs = u16::from_be_bytes(version);
    if theirs == PROTOCOL_VERSION {
        return Ok(());
    }
    Err(TransportErrorKind::VersionMismatch { ours: PROTOCOL_VERSION, theirs }.into())
}

fn wrong_length(operation: Operation, payload: &[u8]) -> TransportError {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    TransportError::of_peer(None, PeerFault::WrongLength { operation, len })
}

fn single_frame(
    operation: Operation,
    format: Format,
    payload: &[u8],
    config: &TransportConfig,
) -> Result<Bytes, TransportError> {
    let limit = config.max_frame_len;
    let size = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= limit);
    let size = size.ok_or(TransportErrorKind::MessageTooLarge { len: payload.len(), limit })?;
    let header = FrameHeader { size, request: 0, operation, format, more: false };
    Ok(Bytes::from([header.encode().as_slice(), payload].concat()))
}

/// The bytes of `START` before the options.
const START_LEN: usize = 2 + Nonce::LEN + 8;

/// How much noise is kept for a host that has answered: a screenful.
const NOISE_TAIL: usize = 4 << 10;
