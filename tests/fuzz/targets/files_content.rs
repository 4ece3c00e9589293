//! Any stream as the content of a file, in any pieces: what is taken has the announced size and its checksum, and nothing else is.

#![no_main]

#[path = "stream.rs"]
mod stream;

use chopsticks_files::{Destination, Input, Meter, Watcher, Wish, receive_file};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1000;

fuzz_target!(|input: &[u8]| {
    let Some((&[cut], bytes)) = input.split_first_chunk() else { return };
    stream::with(bytes, usize::from(cut).max(1), async |reader| {
        let mut content = Vec::new();
        let destination = Destination::Writer(Box::new(&mut content));
        let wish = Wish { replace: true, owner: (None, None), has_mode: false, keeps_part: false };
        let mut sink = destination.open(wish).await.expect("memory can be written to");
        let mut watcher = Watcher::default();
        let received = receive_file(Input::new(reader), Meter::new(LIMIT, &mut watcher), &mut sink).await;
        drop(sink);
        assert!(content.len() as u64 <= LIMIT);
        if received.is_ok() {
            let announced = u64::from_be_bytes(bytes[..8].try_into().expect("it was taken"));
            assert!(announced == 0 || announced == content.len() as u64);
        }
        // What was taken is what stands in the blocks, one after another.
        let (mut rest, mut expected) = (bytes.get(8..).unwrap_or_default(), Vec::new());
        while let Some((len, behind)) = rest.split_first_chunk() {
            let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
            if len == 0 {
                break;
            }
            expected.extend_from_slice(&behind[..len.min(behind.len())]);
            rest = behind.get(len..).unwrap_or_default();
        }
        assert!(expected.starts_with(&content));
        assert!(received.is_err() || content == expected);
    });
});
