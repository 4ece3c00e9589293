//! What is left of requests that are over: nothing.

use std::sync::Arc;
use std::time::Duration;

use super::{Incoming, IncomingMessage, RequestOptions, Transport};
use crate::config::TransportConfig;
use crate::connection::StartOptions;
use crate::format::Format;
use crate::operation::Operation;

async fn echo(mut incoming: Incoming) {
    while let Some(message) = incoming.next().await {
        if let IncomingMessage::Request(request) = message {
            request.responder.reply(request.format, request.payload).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_requests_leave_nothing_behind() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (near_reader, near_writer) = tokio::io::split(near);
    let (far_reader, far_writer) = tokio::io::split(far);
    let config = TransportConfig::default();
    let (agent, incoming, task) = Transport::agent(far_reader, far_writer, config.clone()).unwrap();
    tokio::spawn(task);
    agent.send_hello(Format::None, Vec::<u8>::new()).unwrap();
    let far_shared = Arc::clone(&incoming.shared);
    tokio::spawn(echo(incoming));
    let start = StartOptions::new();
    let (controller, incoming, task) =
        Transport::controller(near_reader, near_writer, start, config).unwrap();
    tokio::spawn(task);

    let options = RequestOptions::new().with_reader().with_writer();
    for number in 0..10_000_u32 {
        let payload = number.to_be_bytes().to_vec();
        let mut request =
            controller.request_with(Operation::application(0x20), Format::Bytes, payload, options.clone());
        match number % 5 {
            0 => drop(request),
            1 => {
                tokio::task::yield_now().await;
                drop(request);
            }
            2 => {
                let (reader, writer) = (request.reader().unwrap(), request.writer().unwrap());
                request.await.unwrap();
                drop((reader, writer));
            }
            3 => drop(request.await.unwrap()),
            _ => {
                let reader = request.reader().unwrap();
                drop(request);
                drop(reader);
            }
        }
        drop(controller.request(Operation::application(0x20), Format::None, Vec::<u8>::new()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (shared, users) in [(&incoming.shared, 1), (&far_shared, 1)] {
        let state = shared.lock();
        assert!(state.end.is_none(), "{:?}", state.end);
        assert_eq!(state.connection.open_requests(), 0);
        assert_eq!(state.connection.next_timeout(), None);
        assert!(state.slots.is_empty(), "{} slots", state.slots.len());
        assert!(state.arrivals.is_empty() && state.pongs.is_empty());
        assert_eq!(state.users, users);
    }
    drop((controller, agent));
}
