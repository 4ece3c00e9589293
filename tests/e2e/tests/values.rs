//! Values: arguments and results of every kind, under every interpreter.

use std::collections::{BTreeMap, BTreeSet};

use chopsticks::{
    Call, Encode, ErrorKind, Function, Local, OsName, Tunnel,
    pencode::{BigInt, GraphBuilder},
};
use chopsticks_e2e::{newest_and_oldest, quiet, tunnel};
use chopsticks_support::interpreters;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

const RESULTS: &str = "
import sys
BIG = 10 ** 30
def f(kind):
    loop = [1]; loop.append(loop)
    part = [u'part']
    return {
        'none': None, 'true': True, 'false': False, 'zero': 0, 'least': -2 ** 63, 'most': 2 ** 64 - 1, 'big': BIG,
        'negative': -BIG, 'float': 0.1, 'inf': float('inf'), 'text': u'\\xe9\\u20ac\\U0001f35c', 'native': 'abc',
        'bytes': bytearray(b'\\x00\\xff') if sys.version_info < (3,) else b'\\x00\\xff', 'array': bytearray(b'abc'),
        'list': [1, 2, 3], 'tuple': (1, u'two', 3.0), 'dict': {u'a': 1, u'b': 2}, 'set': set([1, 2]),
        'frozen': frozenset([u'x']), 'empty': [], 'nested': {u'name': u'web', u'ports': [80, 443], u'parent': None,
        u'tags': {u'a': [u'b']}}, 'keys': {1: u'one', -5: u'five'}, 'pairs': [(1, u'a'), (2, u'b')],
        'unit': u'Idle', 'variant': {u'Busy': {u'load': 0.5}}, 'loop': loop, 'shared': [part, part],
    }[kind]
";

const SHOW: &str = "
import sys
def show(v):
    if isinstance(v, dict): return '{' + ', '.join(sorted(show(k) + ': ' + show(x) for k, x in v.items())) + '}'
    if isinstance(v, (list, tuple)):
        inner = ', '.join(map(show, v))
        return '[%s]' % inner if isinstance(v, list) else '(%s)' % inner
    if isinstance(v, bool) or v is None: return repr(v)
    if isinstance(v, float): return 'float ' + repr(v)
    # The keys of a struct are native text on 2.7, as names are there.
    if isinstance(v, str) and v in ('Busy', 'load', 'name', 'parent', 'ports', 'tags', 'a', 'b', 'only'): v = u'' + v
    if isinstance(v, type(u'')): return 'text ' + ascii_(v)
    if isinstance(v, (bytes, bytearray)): return 'bytes ' + ''.join('%02x' % b for b in bytearray(v))
    return 'int %d' % v
def ascii_(v): return v.encode('unicode_escape').decode('ascii')
def f(*args, **kwargs): return show(args) + show(kwargs)
";

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Host {
    name: String,
    ports: Vec<u16>,
    parent: Option<Box<Host>>,
    tags: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum State {
    Idle,
    Busy { load: f64 },
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_every_kind_are_typed() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        macro_rules! check {
            ($kind:literal, $type:ty, $wanted:expr) => {
                let got: Result<$type, _> = tunnel.call(Function::source(RESULTS, "f"), ($kind,)).await;
                let got = got.unwrap_or_else(|error| panic!("{python}: {}: {}", $kind, error.report()));
                assert_eq!(got, $wanted, "{python}: {}", $kind);
            };
        }
        check!("none", (), ());
        check!("none", Option<u8>, None);
        check!("zero", Option<u8>, Some(0));
        check!("true", bool, true);
        check!("false", bool, false);
        check!("zero", u8, 0);
        check!("least", i64, i64::MIN);
        check!("most", u64, u64::MAX);
        check!("most", i128, i128::from(u64::MAX));
        check!("big", i128, 10i128.pow(30));
        check!("negative", i128, -10i128.pow(30));
        check!("float", f64, 0.1);
        check!("inf", f64, f64::INFINITY);
        check!("text", String, "é€🍜");
        check!("native", String, "abc");
        check!("bytes", ByteBuf, ByteBuf::from([0, 0xff]));
        check!("array", ByteBuf, ByteBuf::from("abc"));
        check!("list", Vec<u8>, [1, 2, 3]);
        check!("list", (u8, u8, u8), (1, 2, 3));
        check!("tuple", (u8, String, f64), (1, "two".to_owned(), 3.0));
        check!("dict", BTreeMap<String, i32>, BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
        check!("set", BTreeSet<i32>, BTreeSet::from([1, 2]));
        check!("frozen", Vec<String>, ["x"]);
        check!("empty", Vec<u8>, [0u8; 0]);
        check!("keys", BTreeMap<i32, String>, BTreeMap::from([(1, "one".to_owned()), (-5, "five".to_owned())]));
        check!("pairs", Vec<(u8, char)>, [(1, 'a'), (2, 'b')]);
        check!("unit", State, State::Idle);
        check!("variant", State, State::Busy { load: 0.5 });
        check!(
            "nested",
            Host,
            Host {
                name: "web".to_owned(),
                ports: vec![80, 443],
                parent: None,
                tags: BTreeMap::from([("a".to_owned(), vec!["b".to_owned()])]),
            }
        );
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_of_every_kind_arrive_as_what_they_are() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let show = async |call: Call| -> String {
            let reply =
                tunnel.call_with(call).await.unwrap_or_else(|error| panic!("{python}: {}", error.report()));
            reply.decode().unwrap()
        };
        let call = || Call::new(Function::source(SHOW, "f"));
        let big = 10i128.pow(30);
        let host = Host {
            name: "é".to_owned(),
            ports: vec![80],
            parent: Some(Box::new(Host {
                name: "p".to_owned(),
                ports: vec![],
                parent: None,
                tags: BTreeMap::new(),
            })),
            tags: BTreeMap::new(),
        };
        for (got, wanted) in [
            (show(call()).await, "(){}"),
            (show(call().args(())).await, "(){}"),
            (
                show(call().args((1, -1, i64::MIN, u64::MAX, big))).await,
                "(int 1, int -1, int -9223372036854775808, int 18446744073709551615, \
              int 1000000000000000000000000000000){}",
            ),
            (
                show(call().args((true, None::<u8>, Some(2), 0.5, ()))).await,
                "(True, None, int 2, float 0.5, None){}",
            ),
            (
                show(call().args(("é€🍜", 'x', String::new()))).await,
                "(text \\xe9\\u20ac\\U0001f35c, text x, text ){}",
            ),
            (
                show(call().args((Bytes::new(b"\x00\xff"), vec![1u8, 2]))).await,
                "(bytes 00ff, [int 1, int 2]){}",
            ),
            (show(call().arg("a").arg("b")).await, "(text a, text b){}"),
            (
                show(call().args(("a",)).arg(vec![(1, "x")]).arg([(2, "y")])).await,
                "(text a, [(int 1, text x)], ((int 2, text y))){}",
            ),
            (
                show(call().args((BTreeMap::from([("k", vec![1])]), BTreeMap::from([(5, None::<u8>)]))))
                    .await,
                "({text k: [int 1]}, {int 5: None}){}",
            ),
            (
                show(call().args((State::Idle, State::Busy { load: 1.5 }))).await,
                "(text Idle, {text Busy: {text load: float 1.5}}){}",
            ),
            (
                show(call().args((host,))).await,
                "({text name: text \\xe9, text parent: {text name: text p, text parent: None, text ports: [], \
              text tags: {}}, text ports: [int 80], text tags: {}}){}",
            ),
            (
                show(call().kwarg("a", 1).kwarg("b", "é").args((0,))).await,
                "(int 0){text a: int 1, text b: text \\xe9}",
            ),
            (show(call().kwarg("only", vec!["x"])).await, "(){text only: [text x]}"),
        ] {
            assert_eq!(got, wanted, "{python}");
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn graphs_keep_sharing_and_cycles_both_ways() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let reply =
            tunnel.call_with(Call::new(Function::source(RESULTS, "f")).args(("loop",))).await.unwrap();
        let graph = reply.graph().unwrap();
        assert_eq!(graph.root().item(0).and_then(|item| item.as_i64()), Some(1), "{python}");
        assert!(graph.root().item(1).unwrap().is_same(graph.root()), "{python}");
        assert!(reply.decode::<Vec<i32>>().is_err(), "{python}: a cycle is no list of numbers");
        let reply =
            tunnel.call_with(Call::new(Function::source(RESULTS, "f")).args(("shared",))).await.unwrap();
        let graph = reply.graph().unwrap();
        assert!(graph.root().item(0).unwrap().is_same(graph.root().item(1).unwrap()), "{python}");
        assert_eq!(reply.decode::<Vec<Vec<String>>>().unwrap(), [["part"], ["part"]], "{python}");

        let mut builder = GraphBuilder::new();
        let cycle = builder.reserve(chopsticks::pencode::Container::List);
        builder.fill(cycle, [cycle]);
        let root = builder.tuple([cycle, cycle]);
        let call = Call::new(Function::source("def f(a, b): return a is b and a[0] is a", "f"))
            .args_graph(&builder.finish(root).unwrap());
        assert!(tunnel.call_with(call).await.unwrap().decode::<bool>().unwrap(), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_any_size_are_carried() {
    for python in newest_and_oldest() {
        let tunnel = tunnel(python);
        let reply = tunnel.call_with(Call::new("operator:pow").args((7, 3000))).await.unwrap();
        let graph = reply.graph().unwrap_or_else(|error| panic!("{python}: {}", error.report()));
        let digits = graph.root().as_int().unwrap().to_big_int().to_string();
        assert_eq!(digits.len(), 2536, "{python}");
        let number: BigInt = digits.parse().unwrap();
        let remainder: u32 = tunnel.call("operator:mod", (&number, 1_000_003)).await.unwrap();
        let wanted = (0..3000).fold(1u64, |power, _| power * 7 % 1_000_003);
        assert_eq!(u64::from(remainder), wanted, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_go_both_ways() {
    const LEN: usize = 64 << 20;
    for python in newest_and_oldest() {
        let tunnel = tunnel(python);
        let data: Vec<u8> = (0..LEN).map(|n| (n / 251) as u8).collect();
        let source = Function::source(
            "def f(data, n): return bytearray(data) * n\ndef g(data): return len(data)",
            "f",
        );
        let reply =
            tunnel.call_with(Call::new(source).args((Bytes::new(&data[..LEN / 4]), 4))).await.unwrap();
        let back: ByteBuf = reply.decode().unwrap();
        assert_eq!(back.len(), LEN, "{python}");
        assert!(back.chunks(LEN / 4).all(|part| part == &data[..LEN / 4]), "{python}");
        assert_eq!(tunnel.call::<usize>("len", (Bytes::new(&data),)).await.unwrap(), LEN, "{python}");
        let text = "é".repeat(LEN / 16);
        let back: String = tunnel.call("copy:copy", (&text,)).await.unwrap();
        assert!(back == text, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_limit_fails_alone() {
    for python in newest_and_oldest() {
        let config = quiet().max_message_len(100_000);
        let tunnel = chopsticks::Tunnel::with_config(chopsticks_e2e::local(python), config);
        let error = tunnel.call::<String>("operator:mul", ("x", 200_000)).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TooLarge { message } if message.contains("100000")),
            "{}",
            error.report()
        );
        let error = tunnel.call::<usize>("len", ("x".repeat(200_000),)).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TooLarge { message } if message.contains("100000")),
            "{}",
            error.report()
        );
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfit_arguments_fail_before_anything_is_started() {
    struct Unfit;
    impl Serialize for Unfit {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no form for this"))
        }
    }
    let tunnel = chopsticks::Tunnel::with_config(chopsticks::Local::new().python("/nonexistent"), quiet());
    for call in [
        Call::new("len").args((Unfit,)),
        Call::new("len").arg(1).arg(Unfit).arg(2),
        Call::new("len").kwarg("x", Unfit),
        Call::new(Function::source("def f(): pass", "f").value("x", Unfit)),
    ] {
        let error = tunnel.call_with(call).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Argument(_)), "{}", error.report());
        assert!(error.report().contains("no form for this"), "{}", error.report());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfit_results_say_where_and_what() {
    let source = Function::source("def f(): return {u'hosts': [1, (2, object())]}", "f");
    for python in interpreters() {
        let tunnel = tunnel(python);
        let error = tunnel.call::<()>(source.clone(), ()).await.unwrap_err();
        let ErrorKind::UnfitResult { message } = error.kind() else { panic!("{python}: {}", error.report()) };
        assert!(message.contains("hosts'][1][1]: object is not a primitive type"), "{python}: {message}");
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn result_of_another_type_is_said_and_harms_nothing() {
    for python in newest_and_oldest() {
        let tunnel = tunnel(python);
        let error = tunnel.call::<u8>("operator:mul", ("x", 3)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Result(_)), "{python}: {}", error.report());
        let error = tunnel.call::<u8>("operator:neg", (1,)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Result(_)), "{python}: {}", error.report());
        if !python.is_python2() {
            let error = tunnel.call::<String>("chr", (0xd800,)).await.unwrap_err();
            assert!(!error.is_disconnected() && !error.is_remote(), "{python}: {}", error.report());
        }
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_in_their_plain_form_where_that_is_asked_for() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Report {
        taken: String,
        took: f64,
        point: Point,
        price: String,
        rows: Vec<i64>,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Point {
        x: i64,
        y: Option<String>,
    }
    let source = Function::source(
        "import collections, datetime, decimal
Point = collections.namedtuple('Point', 'x y')
def f():
    when = datetime.datetime(2024, 1, 2, 3, 4, 5)
    return {'taken': when, 'took': datetime.timedelta(seconds=90), 'point': Point(1, when.date()),
            'price': decimal.Decimal('1.10'), 'rows': collections.deque([1, 2])}",
        "f",
    );
    for python in interpreters() {
        let strict = tunnel(python);
        let error = strict.call::<Report>(source.clone(), ()).await.unwrap_err();
        let ErrorKind::UnfitResult { message } = error.kind() else { panic!("{python}: {}", error.report()) };
        assert!(message.ends_with("(the option `encode` has a form for it)"), "{python}: {message}");
        strict.close().await.unwrap();
        let driver = Local::new().python(python.path());
        let tunnel = Tunnel::with_config(driver, quiet().encode(Encode::Objects));
        let report = tunnel.call::<Report>(source.clone(), ()).await.unwrap();
        let point = Point { x: 1, y: Some("2024-01-02".to_owned()) };
        let (taken, price) = ("2024-01-02T03:04:05".to_owned(), "1.10".to_owned());
        assert_eq!(report, Report { taken, took: 90.0, point, price, rows: vec![1, 2] }, "{python}");
        assert_eq!(tunnel.call::<i32>("operator:neg", (1,)).await.unwrap(), -1, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_utf8_come_and_go() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let scratch = chopsticks_support::Scratch::new();
    let names = [&b"caf\xe9"[..], b"\xff\xfe", "\u{efe9}\u{e9}".as_bytes(), b"plain"];
    for name in names {
        std::fs::write(scratch.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let content = Function::source(
        "import os\ndef f(folder, name, n=None): return bytearray(open(os.path.join(str(folder), name), 'rb').read())",
        "f",
    );
    for python in interpreters() {
        // Older Pythons can name only files of ASCII where no locale is set.
        let driver = Local::new().python(python.path()).env("LC_ALL", "C.UTF-8");
        let tunnel = Tunnel::with_config(driver, quiet().encode(Encode::Names));
        let folder = scratch.path().to_str().unwrap();
        let mut found = tunnel.call::<Vec<OsName>>("os:listdir", (folder,)).await.unwrap();
        found.sort();
        let mut expected = names.map(|name| OsName::from(OsStr::from_bytes(name)));
        expected.sort();
        assert_eq!(found, expected, "{python}");
        for name in found {
            let got = tunnel.call::<ByteBuf>(content.clone(), (folder, &name)).await.unwrap();
            assert_eq!(got, name.as_bytes(), "{python}");
            let call = Call::new(content.clone()).arg(folder).arg(&name).kwarg("n", &name);
            let got = tunnel.call_with(call).await.unwrap().decode::<ByteBuf>().unwrap();
            assert_eq!(got, name.as_bytes(), "{python}");
        }
        tunnel.close().await.unwrap();
    }
}
