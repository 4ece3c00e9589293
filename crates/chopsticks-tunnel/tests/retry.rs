//! Connecting again, and the spans of operations.

use std::{
    collections::BTreeMap,
    fmt, fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chopsticks_support::{Scratch, python3};
use chopsticks_tunnel::{ErrorKind, Local, Phase, RemoteCommand, Retry, Target, Tunnel, TunnelConfig};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// A host that refuses so many connections with this message before it lets one in.
fn hesitant(scratch: &Scratch, refusals: usize, message: &str, config: &TunnelConfig) -> Tunnel {
    let (count, python) = (scratch.path().join("count"), python3().path().display());
    let script = format!(
        "echo >> {count}\ntest $(wc -l < {count}) -gt {refusals} || {{ echo '{message}' >&2; exit 255; }}\nexec {python} \"$@\"\n",
        count = count.display(),
    );
    let path = scratch.write("hesitant", script);
    let target: Target = format!("web1=exec:sh {}", path.display()).parse().expect("it is a target");
    Target::tunnels(&[target], config).remove(0)
}

fn attempts(scratch: &Scratch) -> usize {
    fs::read_to_string(scratch.path().join("count")).map_or(0, |text| text.lines().count())
}

fn soon(retry: Retry) -> TunnelConfig {
    TunnelConfig::default().connect_retry(retry.backoff(Duration::from_millis(1), Duration::from_millis(5)))
}

const REFUSED: &str = "ssh: connect to host web1 port 22: Connection refused";

#[tokio::test]
async fn host_that_comes_up_is_reached_and_the_call_runs_once() {
    let scratch = Scratch::new();
    let tunnel = hesitant(&scratch, 3, REFUSED, &soon(Retry::times(3)));
    let pid: u32 = tunnel.call("os:getpid", ()).await.unwrap();
    assert_eq!((attempts(&scratch), tunnel.connect().await.unwrap().pid), (4, pid));
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn host_is_waited_for_within_a_time() {
    let scratch = Scratch::new();
    let tunnel = hesitant(&scratch, 12, REFUSED, &soon(Retry::within(Duration::from_secs(600))));
    tunnel.connect().await.unwrap();
    assert_eq!(attempts(&scratch), 13);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn last_error_is_reported_when_the_attempts_are_over() {
    let scratch = Scratch::new();
    let tunnel = hesitant(&scratch, 9, REFUSED, &soon(Retry::times(2)));
    let error = tunnel.call::<u32>("os:getpid", ()).await.unwrap_err();
    assert_eq!((attempts(&scratch), error.phase(), error.has_begun()), (3, Phase::Handshake, false));
    assert_eq!(error.hint().map(|hint| hint.cause().to_owned()).as_deref(), Some("refused"));
}

#[tokio::test]
async fn refused_login_is_not_tried_again() {
    let scratch = Scratch::new();
    let refused = "admin@web1: Permission denied (publickey).";
    let tunnel = hesitant(&scratch, 9, refused, &soon(Retry::times(5)));
    let error = tunnel.connect().await.unwrap_err();
    assert_eq!((attempts(&scratch), error.hint().unwrap().cause()), (1, "permission-denied"));
}

#[tokio::test]
async fn deadline_of_a_call_covers_all_attempts() {
    let scratch = Scratch::new();
    let forever = Retry::within(Duration::from_secs(600));
    let config = soon(forever).call_timeout(Duration::from_millis(300));
    let tunnel = hesitant(&scratch, 1_000_000, REFUSED, &config);
    let error = tunnel.call::<u32>("os:getpid", ()).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn closing_ends_the_attempts() {
    let scratch = Scratch::new();
    let retry = Retry::times(9).backoff(Duration::from_secs(3600), Duration::from_secs(3600));
    let tunnel = hesitant(&scratch, 9, REFUSED, &TunnelConfig::default().connect_retry(retry));
    let call = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.call::<u32>("os:getpid", ()).await }
    });
    while attempts(&scratch) == 0 {
        tokio::task::yield_now().await;
    }
    tunnel.close().await.unwrap();
    assert!(matches!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Closed | ErrorKind::NoAgent { .. }));
}

#[tokio::test]
async fn lost_function_does_not_run_again() {
    let scratch = Scratch::new();
    let tunnel = hesitant(&scratch, 0, REFUSED, &soon(Retry::times(5)));
    let error = tunnel.call::<()>("os:_exit", (3,)).await.unwrap_err();
    assert!(error.is_disconnected() && error.has_begun(), "{error}");
    assert_eq!(attempts(&scratch), 1);
}

/// The fields of spans, by their names.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "chopsticks::operation"
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        spans.push(fields);
        span::Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.record(&mut Fields(&mut spans[id.into_u64() as usize - 1]));
    }

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, _event: &Event<'_>) {}

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

#[tokio::test(flavor = "current_thread")]
async fn operations_have_spans_with_host_operation_and_outcome() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let scratch = Scratch::new();
    let file = scratch.path().join("file");
    let tunnel = Tunnel::new(Local::new().name("web1").python(python3().path()));
    let _: u32 = tunnel.call("os:getpid", ()).await.unwrap();
    tunnel.call::<()>("os:rmdir", ("/nowhere",)).await.unwrap_err();
    let false_ = RemoteCommand::new("sh").args(["-c", "exit 3"]);
    tunnel.command_with(false_).status().await.unwrap();
    tunnel.put_with(chopsticks_tunnel::Put::bytes("text").to(&file)).await.unwrap();
    drop(tunnel.call::<()>("time:sleep", (3600,)));
    tunnel.close().await.unwrap();

    let spans = spans.0.lock().unwrap();
    let field = |at: usize, name: &str| spans[at].get(name).map_or("", String::as_str);
    let shown: Vec<_> = (0..spans.len())
        .map(|at| {
            ["otel.name", "otel.kind", "server.address", "operation", "chopsticks.outcome"]
                .map(|name| field(at, name))
        })
        .collect();
    let path = file.display().to_string();
    assert_eq!(
        shown,
        [
            ["call os:getpid", "client", "web1", "call", "ok"],
            ["call os:rmdir", "client", "web1", "call", "failed"],
            ["run sh", "client", "web1", "run", "failed"],
            [&format!("put {path}"), "client", "web1", "put", "ok"],
        ]
    );
    assert_eq!((field(0, "rpc.method"), field(0, "rpc.system.name")), ("os:getpid", "chopsticks"));
    assert_eq!((field(1, "error.type"), field(1, "otel.status_code")), ("raised", "ERROR"));
    assert_eq!((field(2, "process.executable.name"), field(2, "process.exit.code")), ("sh", "3"));
    assert_eq!((field(3, "file.path"), field(3, "file.size")), (&*path, "4"));
}
