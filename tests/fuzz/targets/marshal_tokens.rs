//! Any bytes, read as marshal item by item: what is a graph is walked to its end, and nothing else is.

#![no_main]

use chopsticks_pencode::marshal::{self, DecodeErrorKind, Token, Tokens};
use libfuzzer_sys::fuzz_target;

/// Walks over one value; returns whether the containers and dicts are whole and nothing follows.
fn walk(buffer: &[u8]) -> bool {
    let mut tokens = Tokens::new(buffer);
    // The members that are still to come of each open container; `None` for a dict, and whether a value is due in it.
    let mut open: Vec<(Option<u32>, bool)> = Vec::new();
    loop {
        let before = tokens.position();
        let Ok(item) = tokens.read() else { return false };
        assert!(item.start == before && tokens.position() > before && tokens.position() <= buffer.len());
        assert_eq!(tokens.position() + tokens.remaining(), buffer.len());
        match item.token {
            Token::Tuple(count) | Token::List(count) | Token::Set(count) | Token::FrozenSet(count)
                if count > 0 =>
            {
                assert!(count as usize <= tokens.remaining());
                open.push((Some(count), false));
                continue;
            }
            Token::Dict => {
                open.push((None, false));
                continue;
            }
            Token::Null => match open.pop() {
                Some((None, false)) => {}
                _ => return false,
            },
            Token::Long(digits) => {
                let bytes = digits.to_le_bytes();
                assert!(bytes.len() <= 2 * digits.len() + 8);
                if let Some(value) = digits.to_i128() {
                    let magnitude = bytes.iter().rev().fold(0_u128, |all, &byte| all << 8 | u128::from(byte));
                    assert_eq!((magnitude, digits.is_negative()), (value.unsigned_abs(), value < 0));
                }
            }
            _ => {}
        }
        // A value is whole.
        loop {
            match open.last_mut() {
                None => return tokens.end().is_ok(),
                Some((None, is_value_due)) => {
                    *is_value_due = !*is_value_due;
                    break;
                }
                Some((Some(count), _)) => {
                    *count -= 1;
                    if *count > 0 {
                        break;
                    }
                    open.pop();
                }
            }
        }
    }
}

fuzz_target!(|buffer: &[u8]| {
    match (marshal::decode_graph(buffer), walk(buffer)) {
        (Ok(_), is_whole) => assert!(is_whole),
        (Err(error), true) => assert!(
            matches!(
                error.kind(),
                DecodeErrorKind::LargeInteger { .. }
                    | DecodeErrorKind::OpenFrozenSet(_)
                    | DecodeErrorKind::UnknownReference { .. }
            ),
            "{error}: {}",
            error.kind()
        ),
        (Err(_), false) => {}
    }
});
