//! Graph to bytes.

use std::slice;

use crate::{
    graph::{Graph, Node, value::Container},
    tag::{self, FIRST_NUMBER},
    writer,
};

pub(super) fn encode(graph: &Graph<'_>, root: u32, out: &mut Vec<u8>) {
    // By object: its number in this buffer, or 0 if it was not written yet.
    let mut numbers = vec![0_u32; graph.nodes.len()];
    let mut next_number = FIRST_NUMBER;
    let root = [root];
    let mut items = root.iter();
    let mut outer: Vec<slice::Iter<'_, u32>> = Vec::new();
    loop {
        let Some(&id) = items.next() else {
            match outer.pop() {
                Some(more) => items = more,
                None => return,
            }
            continue;
        };
        let node = &graph.nodes[id as usize];
        match node {
            Node::None => {
                out.push(tag::NONE);
                continue;
            }
            Node::Bool(value) => {
                writer::bool(out, *value);
                continue;
            }
            _ => {}
        }
        let number = &mut numbers[id as usize];
        if *number != 0 {
            writer::head(out, tag::REFERENCE, *number);
            continue;
        }
        *number = next_number;
        next_number += 1;
        match *node {
            Node::Text(chunk) => writer::payload(out, tag::TEXT, graph.text_of(chunk).as_bytes()),
            Node::Int(value) => writer::int(out, value.to_i64()),
            Node::Float(value) => writer::float(out, value.to_f64()),
            Node::Container { kind, start, len } => {
                let count = if kind == Container::Dict { len / 2 } else { len };
                writer::head(out, writer::container_tag(kind), count);
                let inner = graph.edges_of(start, len).iter();
                outer.push(std::mem::replace(&mut items, inner));
            }
            Node::NativeText(chunk) => {
                writer::payload(out, tag::NATIVE_TEXT, graph.text_of(chunk).as_bytes());
            }
            Node::Bytes(chunk) => writer::payload(out, tag::BYTES, graph.bytes_of(chunk)),
            Node::BigInt(chunk) => writer::payload(out, tag::INT, graph.text_of(chunk).as_bytes()),
            Node::None | Node::Bool(_) => {}
        }
    }
}
