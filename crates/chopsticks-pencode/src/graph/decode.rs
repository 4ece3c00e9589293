//! Bytes to graph.

use crate::{
    config::DecodeConfig,
    error::{DecodeError, DecodeErrorKind},
    graph::{Graph, NoMemory, Node, push, reserve},
    int::Parsed,
    reader::{Reader, Token},
    tag::FIRST_NUMBER,
};

/// A container whose items are being read.
#[derive(Clone, Copy)]
struct Frame {
    /// The edge that the next item goes to.
    next: u32,
    end: u32,
}

pub(super) fn decode<'a>(input: &'a [u8], config: &DecodeConfig) -> Result<Graph<'a>, DecodeError> {
    let max_depth = config.graph_depth_limit();
    let mut reader = Reader::new(input, config)?;
    let mut graph = Graph::empty();
    // The first edge is that to the root. Every edge is promised a value of at least one byte, so
    // there are never more of them, nor more nodes, than bytes, and 32 bits hold both.
    graph.edges.push(0);
    let mut promised = 1;
    let mut frame = Frame { next: 0, end: 1 };
    let mut frames: Vec<Frame> = Vec::new();
    loop {
        let start = reader.position;
        let no_memory = |NoMemory| DecodeError::new(start, DecodeErrorKind::NoMemory);
        promised -= 1;
        let id = match reader.token(promised)? {
            Token::Text(text) => {
                let chunk = graph.keep_text(text).map_err(no_memory)?;
                graph.push(Node::Text(chunk), text.len()).map_err(no_memory)?
            }
            Token::Reference(number) => {
                if !(FIRST_NUMBER as usize..graph.nodes.len()).contains(&(number as usize)) {
                    return Err(DecodeError::new(start, DecodeErrorKind::UnknownReference(number)));
                }
                number
            }
            Token::Int(Parsed::Small(value)) => graph.push(Node::int(value), 0).map_err(no_memory)?,
            Token::Float(value) => graph.push(Node::float(value), 0).map_err(no_memory)?,
            Token::Container { kind, len } => {
                if frames.len() >= max_depth {
                    return Err(DecodeError::new(start, DecodeErrorKind::TooDeep { max_depth }));
                }
                let first = graph.edges.len() as u32;
                let id = graph.push(Node::Container { kind, start: first, len }, 0).map_err(no_memory)?;
                if len > 0 {
                    graph.edges[frame.next as usize] = id;
                    frame.next += 1;
                    reserve(&mut graph.edges, len as usize).map_err(no_memory)?;
                    graph.edges.resize((first + len) as usize, 0);
                    promised += len as usize;
                    push(&mut frames, frame).map_err(no_memory)?;
                    frame = Frame { next: first, end: first + len };
                    continue;
                }
                id
            }
            Token::None => 0,
            Token::Bool(value) => 1 + u32::from(value),
            Token::NativeText(text) => {
                let chunk = graph.keep_text(text).map_err(no_memory)?;
                graph.push(Node::NativeText(chunk), text.len()).map_err(no_memory)?
            }
            Token::Bytes(bytes) => {
                let chunk = graph.keep_bytes(bytes).map_err(no_memory)?;
                graph.push(Node::Bytes(chunk), bytes.len()).map_err(no_memory)?
            }
            Token::Int(Parsed::Big(text)) => {
                let chunk = graph.keep_text(text).map_err(no_memory)?;
                graph.push(Node::BigInt(chunk), text.len()).map_err(no_memory)?
            }
            Token::Int(Parsed::Padded(digits)) => {
                let text = format!("-{digits}");
                let chunk = graph.copy_text(&text).map_err(no_memory)?;
                graph.push(Node::BigInt(chunk), text.len()).map_err(no_memory)?
            }
        };
        graph.edges[frame.next as usize] = id;
        frame.next += 1;
        while frame.next == frame.end {
            match frames.pop() {
                Some(outer) => frame = outer,
                None => {
                    reader.finish()?;
                    graph.root = graph.edges[0];
                    return Ok(graph);
                }
            }
        }
    }
}
