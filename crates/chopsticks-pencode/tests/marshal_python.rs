//! Marshal between this crate and every Python that is found.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::Write as _,
    process::Stdio,
};

use chopsticks_pencode::{
    BigInt, FrozenSet, Graph, Kind, NodeId, Set, Value,
    marshal::{self, DecodeErrorKind, Writer},
};
use chopsticks_support::{Implementation, Interpreter, interpreters};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_bytes::{ByteBuf, Bytes};

/// Describes a value so that types and identity are visible: `#n` is the object that was numbered
/// n when it was met before. Members of sets have no order, so that they are described alone.
const DESCRIBE: &str = r#"
import binascii, marshal, struct, sys

def hexed(data):
    return binascii.hexlify(data).decode('ascii')

def describe(value, seen):
    if value is None: return 'N'
    if value is True: return 'T'
    if value is False: return 'F'
    if seen is not None:
        if id(value) in seen: return '#%d' % seen[id(value)]
        seen[id(value)] = len(seen)
    kind = type(value)
    if kind is float: return 'f' + hexed(struct.pack('<d', value))
    if kind is bytes: return 'b' + hexed(value)
    if kind is type(u''): return 'u' + hexed(value.encode('utf-8'))
    if kind in (list, tuple):
        return ('[%s]' if kind is list else '(%s)') % ','.join([describe(v, seen) for v in value])
    if kind in (set, frozenset):
        members = sorted([describe(v, None) for v in value])
        return ('<%s>' if kind is set else '>%s<') % ','.join(members)
    if kind is dict:
        return '{%s}' % ','.join([describe(k, seen) + ':' + describe(v, seen) for k, v in value.items()])
    return 'i%d' % value
"#;

/// Makes the values that Python dumps: name, value.
const VALUES: &str = r#"
shared = ['x', 1]
own = []; own.append(own)
within = {}; within['me'] = within; within[('t', within.get('no'))] = [within]
through = []; tup = (through, 'tail'); through.append(tup)
text = 'text that is no constant'.upper()
long_text = 'x' * 300
frozen = frozenset([1, 2, 3])
deep = []
for _ in range(900): deep = [deep]
values = [
    ('singletons', [None, True, False, None]),
    ('ints', [0, 1, -1, 255, 256, 2**31 - 1, -2**31, 2**31, -2**31 - 1, 2**32, 2**63 - 1, -2**63, 2**63,
              2**64 - 1, 2**64, -2**64, 2**127 - 1, -2**127, 2**127, 2**128 - 1, 2**128, 10**40, -10**40,
              2**15, 2**30, 2**45, 2**60, 2**75 - 1, 3**2000, -7**500]),
    ('floats', [0.0, -0.0, 1.5, -1e300, 5e-324, float('inf'), float('-inf'), 0.1]),
    ('text', ['', 'a', 'plain', '\x00', '\x7f', '\x80', '\xe9', '\u2603', '\U0001f600', text, text, long_text,
              '\xe9' * 300]),
    ('bytes', [b'', b'a', bytes(range(256)), b'x' * 70000]),
    ('tuples', [(), (1,), (1, (2, (3,))), tuple(range(255)), tuple(range(256)), tuple(range(300))]),
    ('lists', [[], [[]], [[], []], list(range(1000))]),
    ('dicts', [{}, {'a': 1}, {1: 'a', 2.5: 'b', (1, 2): 'c', None: 'd', b'k': 'e', frozen: 'f'}, {'': {'': {}}}]),
    ('sets', [set(), {1}, {1, 2, 3}, frozenset(), frozen, {frozen}, frozenset([frozenset(), 'a'])]),
    ('shared', [shared, shared, {'k': shared}, (shared,), text, [text, {text: text}]]),
    ('shared tuple', [tup, tup, through]),
    ('shared scalars', [10**20] * 3 + [1.25, 1.25] + [b'bytes'] * 2 + [2**31] * 2),
    ('shared frozenset', [frozen, frozen, [frozen]]),
    ('own', own), ('within', within), ('through', through), ('tuple through', tup),
    ('deep', deep),
    ('records', [{'id': i, 'name': 'item-%06d' % i, 'score': i * 0.37, 'tags': ('a', 'b%d' % (i % 3))}
                 for i in range(50)]),
]
"#;

fn run(interpreter: &Interpreter, script: &str, input: &str) -> String {
    let mut child = interpreter
        .command()
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{interpreter}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn python3() -> impl Iterator<Item = &'static Interpreter> {
    interpreters().iter().filter(|interpreter| !interpreter.is_python2())
}

/// Runs a script that prints expressions' dumps as hex, one in a line.
fn dumps(interpreter: &Interpreter, expressions: &[&str], version: u8) -> Vec<Vec<u8>> {
    let mut script = String::from(DESCRIBE);
    for expression in expressions {
        writeln!(script, "print(hexed(marshal.dumps({expression}, {version})))").unwrap();
    }
    run(interpreter, &script, "").lines().map(unhex).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What `describe` in [`DESCRIBE`] says; without `seen`, identity is not.
fn describe(value: Value<'_>, seen: &mut Option<HashMap<NodeId, usize>>, out: &mut String) {
    if let (Some(seen), false) = (seen.as_mut(), matches!(value.kind(), Kind::None | Kind::Bool(_))) {
        let next = seen.len();
        if let Some(number) = seen.get(&value.id()) {
            return write!(out, "#{number}").unwrap();
        }
        seen.insert(value.id(), next);
    }
    let mut joined = |items: &mut dyn Iterator<Item = Value<'_>>, open: &str, close: &str| {
        out.push_str(open);
        for (index, item) in items.enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            describe(item, seen, out);
        }
        out.push_str(close);
    };
    match value.kind() {
        Kind::None => out.push('N'),
        Kind::Bool(value) => out.push(if value { 'T' } else { 'F' }),
        Kind::Int(value) => write!(out, "i{value}").unwrap(),
        Kind::Float(value) => write!(out, "f{}", hex(&value.to_le_bytes())).unwrap(),
        Kind::Text(text) => write!(out, "u{}", hex(text.as_bytes())).unwrap(),
        Kind::Bytes(bytes) => write!(out, "b{}", hex(bytes)).unwrap(),
        Kind::List(mut items) => joined(&mut items, "[", "]"),
        Kind::Tuple(mut items) => joined(&mut items, "(", ")"),
        Kind::Set(items) => write!(out, "<{}>", sorted(items)).unwrap(),
        Kind::FrozenSet(items) => write!(out, ">{}<", sorted(items)).unwrap(),
        Kind::Dict(pairs) => {
            out.push('{');
            for (index, (key, value)) in pairs.enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                describe(key, seen, out);
                out.push(':');
                describe(value, seen, out);
            }
            out.push('}');
        }
        other => panic!("{other:?}"),
    }
}

fn sorted<'g>(items: impl Iterator<Item = Value<'g>>) -> String {
    let mut members: Vec<String> = items
        .map(|item| {
            let mut text = String::new();
            describe(item, &mut None, &mut text);
            text
        })
        .collect();
    members.sort();
    members.join(",")
}

fn described(graph: &Graph<'_>) -> String {
    let mut text = String::new();
    describe(graph.root(), &mut Some(HashMap::new()), &mut text);
    text
}

#[test]
fn every_python_dump_is_read_with_types_and_identity() {
    let script = format!(
        "{DESCRIBE}{VALUES}
sys.setrecursionlimit(10000)
for name, value in values:
    print('\\t'.join([name, describe(value, {{}}), hexed(marshal.dumps(value, 4)), hexed(marshal.dumps(value, 3))]))
"
    );
    // PyPy's dumps keep no identity.
    for interpreter in python3().filter(|python| python.implementation() == Implementation::CPython) {
        let output = run(interpreter, &script, "");
        assert!(output.lines().count() > 15, "{interpreter}");
        for line in output.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            for dump in &fields[2..] {
                let dump = unhex(dump);
                let graph = marshal::decode_graph(&dump).unwrap_or_else(|error| {
                    panic!("{interpreter}: {}: {error}: {}", fields[0], error.kind())
                });
                assert_eq!(described(&graph), fields[1], "{interpreter}: {}", fields[0]);
                marshal::from_slice::<IgnoredAny>(&dump[..dump.len() - 1]).unwrap_err();
            }
        }
    }
}

#[test]
fn dumps_without_references_are_read_too() {
    // Versions before 3 have no references, so that identity is lost and cycles are not written.
    let script = format!(
        "{DESCRIBE}{VALUES}
def copied(value):
    kind = type(value)
    if kind in (list, tuple, set, frozenset): return kind([copied(v) for v in value])
    if kind is dict: return dict([(copied(k), copied(v)) for k, v in value.items()])
    return value
sys.setrecursionlimit(10000)
for name, value in values:
    if name not in ('own', 'within', 'through', 'tuple through', 'shared tuple'):
        for version in (0, 1, 2):
            dump = marshal.dumps(value, version)
            print('\\t'.join([name, describe(marshal.loads(dump), None), hexed(dump)]))
"
    );
    for interpreter in python3() {
        let output = run(interpreter, &script, "");
        assert!(output.lines().count() > 40, "{interpreter}");
        for line in output.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let dump = unhex(fields[2]);
            let graph = marshal::decode_graph(&dump)
                .unwrap_or_else(|error| panic!("{interpreter}: {}: {error}: {}", fields[0], error.kind()));
            let mut text = String::new();
            describe(graph.root(), &mut None, &mut text);
            assert_eq!(text, fields[1], "{interpreter}: {}", fields[0]);
        }
    }
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
    load: f64,
    tags: Vec<String>,
    pair: (i64, bool),
}

#[test]
fn dumps_are_read_into_types() {
    let records = "[{'name': n, 'port': p, 'load': 0.5, 'tags': ['x', n], 'pair': (-1, True)} \
                   for n, p in (('a', 22), ('b', None), ('a', 22))]";
    for interpreter in python3() {
        for version in [2, 3, 4] {
            let [hosts, ints, big, bytes, set, ratio] = dumps(
                interpreter,
                &[
                    records,
                    "[2**64 - 1, 0, 5]",
                    "[2**127 - 1, -2**127, 2**90]",
                    "b'\\xff\\x00'",
                    "set([1, 2, 3])",
                    "[3, 2**60, 1.5]",
                ],
                version,
            )
            .try_into()
            .unwrap();
            let host = |name, port| Host {
                name,
                port,
                load: 0.5,
                tags: vec!["x".to_owned(), name.to_owned()],
                pair: (-1, true),
            };
            let expected = [host("a", Some(22)), host("b", None), host("a", Some(22))];
            assert_eq!(marshal::from_slice::<Vec<Host<'_>>>(&hosts).unwrap(), expected);
            assert_eq!(marshal::from_slice::<[u64; 3]>(&ints).unwrap(), [u64::MAX, 0, 5]);
            assert_eq!(marshal::from_slice::<[i128; 3]>(&big).unwrap(), [i128::MAX, i128::MIN, 1 << 90]);
            assert_eq!(marshal::from_slice::<&Bytes>(&bytes).unwrap(), Bytes::new(b"\xff\x00"));
            let mut members: Vec<u8> = marshal::from_slice(&set).unwrap();
            members.sort_unstable();
            assert_eq!(members, [1, 2, 3]);
            assert_eq!(marshal::from_slice::<[f64; 3]>(&ratio).unwrap(), [3.0, (1_u64 << 60) as f64, 1.5]);
        }
    }
}

#[test]
fn what_is_not_plain_data_is_named_with_its_place() {
    for interpreter in python3() {
        let cases = [
            ("compile('1 + 1', 'f', 'eval')", "", "a code object is not plain data"),
            ("{'k': [0, (lambda: 0).__code__]}", "['k'][1]", "a code object is not plain data"),
            ("{'when': [1, 2, 3, 1j]}", "['when'][3]", "a complex number is not plain data"),
            ("[[], Ellipsis]", "[1]", "Ellipsis is not plain data"),
            ("{2: StopIteration}", "[2]", "StopIteration is not plain data"),
            ("{('a', 1): ['\\ud800']}", "[…][0]", "text contains a lone surrogate"),
        ];
        let expressions: Vec<&str> = cases.iter().map(|case| case.0).collect();
        for version in [2, 4] {
            for (dump, (expression, path, message)) in
                dumps(interpreter, &expressions, version).iter().zip(cases)
            {
                let errors = [
                    marshal::from_slice::<IgnoredAny>(dump).unwrap_err(),
                    marshal::decode_graph(dump).map(drop).unwrap_err(),
                ];
                for error in errors {
                    assert_eq!(error.path(), path, "{interpreter}: {expression}");
                    assert_eq!(error.kind().to_string(), message, "{interpreter}: {expression}");
                }
            }
        }
    }
}

#[test]
fn keys_behind_references_are_printed_in_paths() {
    let interpreter = python3().next().unwrap();
    let [dump] = dumps(interpreter, &["(lambda k: [{k: 1}, {k: 1j}])('k' + str(1))"], 4).try_into().unwrap();
    assert_eq!(marshal::from_slice::<IgnoredAny>(&dump).unwrap_err().path(), "[1]['k1']");
}

#[test]
fn a_cycle_is_no_tree() {
    for interpreter in python3() {
        let script = format!(
            "{DESCRIBE}{VALUES}\nfor value in (own, within, through, tup): print(hexed(marshal.dumps(value, 4)))"
        );
        for line in run(interpreter, &script, "").lines() {
            let error = marshal::from_slice::<ciborium::Value>(&unhex(line)).unwrap_err();
            assert_eq!(*error.kind(), DecodeErrorKind::Cycle);
            marshal::from_slice::<IgnoredAny>(&unhex(line)).unwrap();
        }
    }
}

#[derive(Serialize)]
enum Shape {
    Empty,
    Wrapped(u8),
    Pair(u8, String),
    Named { left: f32 },
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Everything {
    name: &'static str,
    #[serde(rename = "schlüssel")]
    renamed: u8,
    nothing: Option<u8>,
    letter: char,
    shapes: Vec<Shape>,
    unit: Unit,
    map: BTreeMap<(u8, bool), ByteBuf>,
}

/// Values that are written, beside Python for the same.
fn written() -> Vec<(Vec<u8>, &'static str)> {
    fn case<T: Serialize + ?Sized>(value: &T, python: &'static str) -> (Vec<u8>, &'static str) {
        (marshal::to_vec(value).unwrap(), python)
    }

    let big = |text: &str| text.parse::<BigInt>().unwrap();
    let mut composed = Writer::new();
    composed
        .begin_tuple(3)
        .text("module:function")
        .begin_list(3)
        .splice(&marshal::to_vec(&[1, 2]).unwrap())
        .bytes(b"\xff")
        .begin_tuple(0)
        .begin_dict(2)
        .text("verbose")
        .bool(true)
        .text("ratio")
        .float(0.25);
    let everything = Everything {
        name: "x",
        renamed: 1,
        nothing: None,
        letter: 'ü',
        shapes: vec![
            Shape::Empty,
            Shape::Wrapped(1),
            Shape::Pair(2, "two".to_owned()),
            Shape::Named { left: 0.5 },
        ],
        unit: Unit,
        map: BTreeMap::from([((1, true), ByteBuf::from("bytes"))]),
    };
    vec![
        case(&(), "None"),
        case(&(true, false), "(True, False)"),
        case(&[0, 1, -1, i32::MAX, i32::MIN], "(0, 1, -1, 2**31 - 1, -2**31)"),
        case(&[1_i64 << 31, -(1 << 31) - 1, i64::MAX, i64::MIN], "(2**31, -2**31 - 1, 2**63 - 1, -2**63)"),
        case(&(u64::MAX, u32::MAX, u16::MAX), "(2**64 - 1, 2**32 - 1, 2**16 - 1)"),
        case(&(u128::MAX, i128::MIN, 1_u128 << 75, 1_i128 << 60), "(2**128 - 1, -2**127, 2**75, 2**60)"),
        case(
            &[big(&format!("1{}", "0".repeat(400))), big("-18446744073709551616"), big("12")],
            "(10**400, -2**64, 12)",
        ),
        case(&[0.0, -0.0, 1e300, f64::INFINITY], "(0.0, -0.0, 1e300, float('inf'))"),
        case(
            &(0.1_f32, 'x', "", "\u{2603}\u{1f600}"),
            "(0.10000000149011612, u'x', u'', u'\\u2603\\U0001f600')",
        ),
        case(Bytes::new(b"\x00\xff"), "b'\\x00\\xff'"),
        case(&(Set([1, 2]), FrozenSet(["a"])), "(set([1, 2]), frozenset([u'a']))"),
        case(&vec![vec![0_u8; 0]; 3], "[[], [], []]"),
        case(
            &everything,
            "{'name': u'x', u'schl\\xfcssel': 1, 'nothing': None, 'letter': u'\\xfc', \
             'shapes': [u'Empty', {'Wrapped': 1}, {'Pair': (2, u'two')}, {'Named': {'left': 0.5}}], \
             'unit': None, 'map': {(1, True): b'bytes'}}",
        ),
        (
            composed.finish().unwrap(),
            "(u'module:function', [(1, 2), b'\\xff', ()], {u'verbose': True, u'ratio': 0.25})",
        ),
    ]
}

#[test]
fn every_python_loads_what_is_written() {
    let script = format!(
        "{DESCRIBE}
for line in sys.stdin:
    dump, expression = line.rstrip('\\n').split('\\t')
    loaded, expected = marshal.loads(binascii.unhexlify(dump)), eval(expression)
    def plain(value):
        # Dicts have no order on every Python.
        kind = type(value)
        if kind is dict: return 'dict(%s)' % ','.join(sorted([plain(k) + ':' + plain(v) for k, v in value.items()]))
        if kind in (list, tuple): return '%s(%s)' % (kind.__name__, ','.join([plain(v) for v in value]))
        return describe(value, None)
    assert plain(loaded) == plain(expected), (loaded, expected)
nan = marshal.loads(binascii.unhexlify('{nan}'))
assert nan != nan
print('checked')
",
        nan = hex(&marshal::to_vec(&f64::NAN).unwrap())
    );
    let mut input = String::new();
    for (bytes, python) in written() {
        writeln!(input, "{}\t{python}", hex(&bytes)).unwrap();
    }
    for interpreter in interpreters() {
        assert_eq!(run(interpreter, &script, &input).trim(), "checked", "{interpreter}");
    }
}

#[test]
fn every_python_loads_the_deepest_value_that_is_written() {
    let mut value = serde_json::json!(1);
    for _ in 0..marshal::MAX_WRITE_DEPTH {
        value = serde_json::json!([value]);
    }
    let bytes = on_a_large_stack(move || marshal::to_vec(&value).unwrap());
    let script = "import marshal, binascii, sys; print(len(marshal.loads(binascii.unhexlify(sys.stdin.read().strip()))))";
    for interpreter in interpreters() {
        assert_eq!(run(interpreter, script, &hex(&bytes)).trim(), "1", "{interpreter}");
    }
}

/// Unoptimised builds need more than a test thread has for a thousand levels.
fn on_a_large_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(64 << 20).spawn(work).unwrap().join().unwrap()
}
