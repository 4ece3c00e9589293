//! Noise in front of an agent's answer, in any pieces: the agent is found behind it if the noise is within its limit, and what
//! was skipped is kept as it came.

#![no_main]

use std::time::Instant;

use chopsticks_transport::{Connection, Event, Nonce, Outbox, StartOptions, TransportConfig};
use libfuzzer_sys::fuzz_target;

const NONCE: &[u8; Nonce::LEN] = b"ab0123456789abab";
const MAX_NOISE: usize = 100;

fuzz_target!(|input: &[u8]| {
    let Some((&[cut, parts], bytes)) = input.split_first_chunk() else { return };
    // Beginnings of the nonce are what a scanner stumbles over.
    let mut noise = Vec::new();
    for &byte in bytes {
        match byte {
            0x80.. => noise.extend_from_slice(&NONCE[..usize::from(byte) % Nonce::LEN]),
            _ => noise.push(byte),
        }
    }
    let now = Instant::now();
    let start = StartOptions::new().nonce(Nonce::new(*NONCE));
    let config = TransportConfig::default().max_noise(MAX_NOISE);
    let mut connection = Connection::controller(now, start, config).expect("the configuration is fine");
    connection.transmit(&mut Outbox::new(), usize::MAX);
    let mut sent = noise.clone();
    if parts & 1 == 0 {
        sent.extend_from_slice(NONCE);
        sent.extend_from_slice(b"\0\0\0\x02\0\0\0\0\x02\0\0\x01");
    }
    let at = sent.windows(Nonce::LEN).position(|window| window == NONCE);
    let mut failed = false;
    for piece in sent.chunks(usize::from(cut).max(1)) {
        if connection.handle_input(now, piece).is_err() {
            failed = true;
            break;
        }
        assert!(connection.noise().len() <= MAX_NOISE + Nonce::LEN);
    }
    let is_answered =
        std::iter::from_fn(|| connection.poll_event()).any(|event| matches!(event, Event::Hello(_)));
    match at {
        // What follows a nonce that came by chance is no answer.
        Some(at) if at == noise.len() && at <= MAX_NOISE => {
            assert!(!failed && is_answered, "{sent:?}");
            assert_eq!(connection.noise(), &sent[..at]);
        }
        Some(_) => {}
        None if sent.len() <= MAX_NOISE => {
            assert!(!failed && !is_answered);
            assert!(connection.handle_eof().is_err());
        }
        None => assert!(!is_answered),
    }
});
