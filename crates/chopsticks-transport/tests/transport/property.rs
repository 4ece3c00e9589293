//! What holds for any bytes and any order of events.

use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use chopsticks_transport::{
    Connection, Event, Format, Nonce, Operation, Order, Outbox, StartOptions, TransportConfig,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::peer::{HELLO, frame};
use crate::world::World;

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100_000, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_split_of_the_bytes_gives_the_same_events(
        noise in vec(any::<u8>(), 0..40),
        frames in vec(plausible_frame(), 0..20),
        cuts in vec(1_usize..30, 1..20),
    ) {
        let hello = frame(0, HELLO, 2, b"\0\x01dict");
        let bytes = [noise, vec![7; 16], hello, frames.concat()].concat();
        let whole = observe(std::iter::once(bytes.as_slice()));
        let mut rest = bytes.as_slice();
        let pieces = cuts.iter().cycle().map_while(|cut| {
            let (piece, after) = rest.split_at_checked(*cut).unwrap_or((rest, &[]));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(observe(pieces), whole);
    }

    #[test]
    fn any_bytes_end_without_panic(bytes in vec(any::<u8>(), 0..2000)) {
        let hello = [vec![7; 16], frame(0, HELLO, 2, b"\0\x01dict")].concat();
        observe([hello.as_slice(), &bytes].into_iter());
    }

    #[test]
    fn any_use_delivers_everything_and_leaves_nothing(script in vec(any::<[u8; 3]>(), 0..500)) {
        let mut world = World::new();
        world.run(script.as_flattened(), false);
        world.settle();
    }

    #[test]
    fn bytes_that_nobody_sent_do_not_panic(script in vec(any::<[u8; 3]>(), 0..200)) {
        let mut world = World::new();
        world.run(script.as_flattened(), true);
        world.settle();
    }
}

/// Frames that could be meant well, most of them.
fn plausible_frame() -> impl Strategy<Value = Vec<u8>> {
    let operation = prop_oneof![3 => 3_u8..0x0c, 2 => 0x20_u8..0x23, 1 => any::<u8>()];
    let flags = prop_oneof![4 => Just(0), 2 => Just(0x80), 2 => 0_u8..4, 1 => any::<u8>()];
    let payload = prop_oneof![Just(Vec::new()), Just(vec![0, 0, 0, 9]), vec(any::<u8>(), 0..70)];
    (0_u32..9, operation, flags, payload)
        .prop_map(|(request, operation, flags, payload)| frame(request, operation, flags, &payload))
}

/// What a controller with some requests under way makes of the bytes.
fn observe<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>, Option<String>) {
    let now = Instant::now();
    let start = StartOptions::new().nonce(Nonce::new([7; 16]));
    let config = TransportConfig::default().max_message_len(100).max_request_len(100);
    let mut connection = Connection::controller(now, start, config).unwrap();
    for _ in 0..3 {
        let payload = Bytes::from_static(b"call").into();
        connection.request(Operation::application(0x20), Format::None, payload, Order::Any).unwrap();
    }
    let request = connection
        .request(Operation::application(0x20), Format::None, Bytes::new().into(), Order::Any)
        .unwrap();
    connection.open_reader(request).unwrap();
    let mut outbox = Outbox::new();
    connection.transmit(&mut outbox, usize::MAX);
    let mut error = None;
    for piece in pieces {
        if let Err(failure) = connection.handle_input(now, piece) {
            error = Some(format!("{failure:?}"));
            break;
        }
    }
    let events = std::iter::from_fn(|| connection.poll_event()).collect();
    connection.transmit(&mut outbox, usize::MAX);
    let mut slices = [IoSlice::new(&[]); 16];
    let filled = outbox.slices(&mut slices);
    let sent = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
    (events, sent, error)
}
