//! The bytes of a stream of items, in any pieces: the same items come out wherever they are cut, each as it was written, and nothing
//! behind an error.

#![no_main]

use bytes::Bytes;
use chopsticks_protocol::{Item, ItemError, ItemReader};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    /// How long each piece is; the last is repeated.
    cuts: Vec<u8>,
    limit: u16,
}

/// Reads all items; returns them, the error that ended them, and whether the stream may end there.
fn read(pieces: impl Iterator<Item = Bytes>, limit: usize) -> (Vec<Item>, Option<ItemError>, bool) {
    let (mut reader, mut items) = (ItemReader::new(limit), Vec::new());
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error), false),
            }
        }
    }
    (items, None, reader.is_at_end_of_item())
}

fuzz_target!(|input: Input| {
    let limit = usize::from(input.limit);
    let all = Bytes::from(input.bytes);
    let whole = read([all.clone()].into_iter(), limit);
    let mut rest = all.clone();
    let mut cuts = input.cuts.iter().chain(std::iter::repeat(input.cuts.last().unwrap_or(&1)));
    let pieces = std::iter::from_fn(|| {
        let len = usize::from(*cuts.next()?).max(1).min(rest.len());
        (len > 0).then(|| rest.split_to(len))
    });
    let cut = read(pieces, limit);
    assert_eq!(whole, cut);
    let (items, error, may_end) = whole;
    let mut written = Vec::new();
    for item in &items {
        assert!(item.payload.len() <= limit);
        Item::write(item.format, &item.payload, &mut written).expect("it is short enough");
    }
    assert!(all.starts_with(&written));
    assert_eq!(may_end, error.is_none() && written.len() == all.len());
});
