//! A peer that follows a script: send this frame, expect that one. It has no code in common with the crate.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split};

/// The far end of a connection, without a mind of its own.
pub(crate) struct Peer {
    reader: ReadHalf<DuplexStream>,
    writer: Option<WriteHalf<DuplexStream>>,
}

impl Peer {
    /// Returns a peer and what the transport is to read from and write to.
    pub(crate) fn new() -> (Self, ReadHalf<DuplexStream>, WriteHalf<DuplexStream>) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (reader, writer) = split(far);
        let (near_reader, near_writer) = split(near);
        (Self { reader, writer: Some(writer) }, near_reader, near_writer)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.writer.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send_frame(&mut self, request: u32, operation: u8, flags: u8, payload: &[u8]) {
        self.send(&frame(request, operation, flags, payload)).await;
    }

    pub(crate) async fn expect(&mut self, expected: &[u8]) {
        let mut came = vec![0; expected.len()];
        self.reader.read_exact(&mut came).await.unwrap();
        assert_eq!(came, expected);
    }

    pub(crate) async fn expect_frame(&mut self, request: u32, operation: u8, flags: u8, payload: &[u8]) {
        self.expect(&frame(request, operation, flags, payload)).await;
    }

    /// Reads one frame, whatever it is, and returns its header's request and operation, and its payload.
    pub(crate) async fn read_frame(&mut self) -> (u32, u8, Vec<u8>) {
        let mut header = [0; 10];
        self.reader.read_exact(&mut header).await.unwrap();
        let [size @ .., _, _, _, _, _, _] = header;
        let [_, _, _, _, request @ .., operation, _] = header;
        let mut payload = vec![0; u32::from_be_bytes(size) as usize];
        self.reader.read_exact(&mut payload).await.unwrap();
        (u32::from_be_bytes(request), operation, payload)
    }

    /// Reads `START`, and answers it.
    pub(crate) async fn greet(&mut self) {
        let (request, operation, payload) = self.read_frame().await;
        assert_eq!((request, operation), (0, START));
        self.send(&payload[2..18]).await;
        self.send_frame(0, HELLO, 2, b"\0\x01dict").await;
    }

    pub(crate) async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, []);
    }

    /// Closes what the transport reads from.
    pub(crate) async fn close(&mut self) {
        self.writer.take().unwrap().shutdown().await.unwrap();
    }
}

pub(crate) fn frame(request: u32, operation: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    [&size.to_be_bytes(), &request.to_be_bytes(), [operation, flags].as_slice(), payload].concat()
}

pub(crate) const START: u8 = 0x01;
pub(crate) const HELLO: u8 = 0x02;
pub(crate) const REPLY: u8 = 0x03;
pub(crate) const FAIL: u8 = 0x04;
pub(crate) const CANCEL: u8 = 0x05;
pub(crate) const PING: u8 = 0x06;
pub(crate) const DATA: u8 = 0x08;
pub(crate) const END: u8 = 0x09;
pub(crate) const CREDIT: u8 = 0x0a;
pub(crate) const RESET: u8 = 0x0b;
pub(crate) const CALL: u8 = 0x20;
pub(crate) const MODULES: u8 = 0x21;
pub(crate) const IMPORT: u8 = 0x22;
