//! Any bytes to a controller that waits for its agent, and to one that is at work: nothing panics, memory stays within
//! the limits, and the pieces in which bytes come make no difference.

#![no_main]

use std::time::Instant;

use bytes::Bytes;
use chopsticks_transport::{
    Connection, Event, Format, Nonce, Operation, Order, Outbox, StartOptions, TransportConfig,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&[at_work, cut], bytes)) = input.split_first_chunk() else { return };
    let step = usize::from(cut).max(1);
    let is_at_work = at_work & 1 != 0;
    let whole = observe(is_at_work, std::iter::once(bytes));
    let pieces = observe(is_at_work, bytes.chunks(step));
    assert_eq!(pieces, whole);
});

fn observe<'a>(
    is_at_work: bool,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Event>, Vec<u8>, Option<String>, Vec<u8>) {
    let now = Instant::now();
    let start = StartOptions::new().nonce(Nonce::new(*b"0123456789abcdef"));
    let config = TransportConfig::default().max_message_len(100).max_request_len(100).max_noise(1000);
    let mut connection = Connection::controller(now, start, config).expect("the configuration is fine");
    for _ in 0..3 {
        let payload = Bytes::from_static(b"call").into();
        let request = connection.request(Operation::application(0x20), Format::None, payload, Order::Any);
        connection.open_reader(request.expect("it is short")).expect("nothing is open yet");
    }
    let mut outbox = Outbox::new();
    connection.transmit(&mut outbox, usize::MAX);
    outbox.advance(outbox.len());
    if is_at_work {
        connection
            .handle_input(now, b"0123456789abcdef\0\0\0\x02\0\0\0\0\x02\0\0\x01")
            .expect("this is a good answer");
    }
    let mut error = None;
    for piece in pieces {
        if let Err(failure) = connection.handle_input(now, piece) {
            error = Some(format!("{failure:?}"));
            break;
        }
        assert!(connection.open_requests() <= 3 + 64);
        assert!(connection.noise().len() <= 1000 + Nonce::LEN);
    }
    if error.is_none() {
        let _ = connection.handle_eof();
    }
    let events = std::iter::from_fn(|| connection.poll_event()).collect();
    connection.transmit(&mut outbox, usize::MAX);
    let mut sent = Vec::new();
    while !outbox.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[])];
        outbox.slices(&mut slices);
        sent.extend_from_slice(&slices[0]);
        outbox.advance(slices[0].len());
    }
    let noise = connection.noise().to_vec();
    (events, sent, error, noise)
}
