//! Bytes to graph.

use crate::{
    config::DecodeConfig,
    error::{DecodeError, DecodeErrorKind},
    graph::{Chunk, Graph, Node},
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
        promised -= 1;
        let id = match reader.token(promised)? {
            Token::Text(text) => graph.push(Node::Text(Chunk::Borrowed(text)), text.len()),
            Token::Reference(number) => {
                if !(FIRST_NUMBER as usize..graph.nodes.len()).contains(&(number as usize)) {
                    return Err(DecodeError::new(start, DecodeErrorKind::UnknownReference(number)));
                }
                number
            }
            Token::Int(Parsed::Small(value)) => graph.push(Node::Int(value), 0),
            Token::Float(value) => graph.push(Node::Float(value), 0),
            Token::Container { kind, len } => {
                if frames.len() >= max_depth {
                    return Err(DecodeError::new(start, DecodeErrorKind::TooDeep { max_depth }));
                }
                let first = graph.edges.len() as u32;
                let id = graph.push(Node::Container { kind, start: first, len }, 0);
                if len > 0 {
                    graph.edges[frame.next as usize] = id;
                    frame.next += 1;
                    graph.edges.resize((first + len) as usize, 0);
                    promised += len as usize;
                    frames.push(frame);
                    frame = Frame { next: first, end: first + len };
                    continue;
                }
                id
            }
            Token::None => 0,
            Token::Bool(value) => 1 + u32::from(value),
            Token::NativeText(text) => graph.push(Node::NativeText(Chunk::Borrowed(text)), text.len()),
            Token::Bytes(bytes) => graph.push(Node::Bytes(Chunk::Borrowed(bytes)), bytes.len()),
            Token::Int(Parsed::Big(text)) => graph.push(Node::BigInt(Chunk::Borrowed(text)), text.len()),
            Token::Int(Parsed::Padded(digits)) => {
                let text = format!("-{digits}");
                let chunk = Chunk::Borrowed(text.as_str()).into_owned(&mut graph.text);
                graph.push(Node::BigInt(chunk), text.len())
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
