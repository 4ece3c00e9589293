//! What code on a host prints and logs.

use std::sync::{Arc, Mutex, mpsc};

use chopsticks::{Codebase, LogLevel, LogRecord, Logging, Stderr, Stdout, Tunnel, TunnelConfig};
use chopsticks_e2e::{PATIENCE, local, newest_and_oldest, quiet};
use chopsticks_support::{Interpreter, Scratch, newest};
use futures::StreamExt as _;

const APP: &str = r#"import logging
import os
import sys

log = logging.getLogger('app.db')


def works(n):
    for i in range(n):
        sys.stdout.write('line %d\n' % i)
        log.info('record %d', i)
    sys.stdout.write('no end')
    return n


def fails():
    try:
        {}['key']
    except KeyError:
        log.exception('no key')
    raise ValueError('after it')


def yields():
    for i in range(3):
        sys.stdout.write('before %d\n' % i)
        yield i


def dies():
    sys.stdout.write('last words\n')
    log.error('last record')
    os._exit(3)


def outer():
    from chopsticks.tunnel import Local
    with Local('inner') as tunnel:
        tunnel.call(works, 1)
"#;

/// What has come, in order.
#[derive(Clone, Default)]
struct Seen {
    lines: Arc<Mutex<Vec<String>>>,
    records: Arc<Mutex<Vec<LogRecord>>>,
}

impl Seen {
    fn stdout(&self) -> Stdout {
        let lines = self.lines.clone();
        Stdout::callback(move |_, line| {
            lines.lock().expect("no sink panics").push(String::from_utf8_lossy(line).into_owned())
        })
    }

    fn logging(&self, level: LogLevel) -> Logging {
        let records = self.records.clone();
        Logging::callback(level, move |record| records.lock().expect("no sink panics").push(record.clone()))
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no sink panics").clone()
    }

    fn records(&self) -> Vec<String> {
        self.records
            .lock()
            .expect("no sink panics")
            .iter()
            .map(|record| format!("{} {record}", record.host()))
            .collect()
    }
}

fn code() -> Scratch {
    let code = Scratch::new();
    code.write("app.py", APP);
    code
}

fn tunnel(interpreter: &Interpreter, code: &Scratch, config: TunnelConfig) -> Tunnel {
    Tunnel::with_config(local(interpreter), config.modules(Codebase::folder(code.path())))
}

#[tokio::test]
async fn lines_and_records_have_arrived_before_the_result() {
    let code = code();
    for interpreter in newest_and_oldest() {
        let seen = Seen::default();
        let config = quiet().stdout(seen.stdout()).logging(seen.logging(LogLevel::Info));
        let tunnel = tunnel(interpreter, &code, config);
        let count: usize = tunnel.call("app:works", (200,)).await.unwrap();
        let (lines, records) = (seen.lines(), seen.records());
        assert_eq!((count, records.len()), (200, 200));
        let expected: Vec<_> = (0..200).map(|n| format!("line {n}")).collect();
        assert_eq!(lines, expected);
        assert_eq!(records[7], format!("{} INFO app.db: record 7", interpreter));
        {
            let records = seen.records.lock().unwrap();
            let record = &records[0];
            assert_eq!((record.level(), record.level_name(), record.logger()), (20, "INFO", "app.db"));
            assert!(record.file().ends_with("app.py") && record.line() == 11, "{record:?}");
            assert_eq!((record.message(), record.traceback()), ("record 0", None));
        }
        tunnel.close().await.unwrap();
        // What had not ended a line comes as one when no more can follow.
        assert_eq!(seen.lines().last().map(String::as_str), Some("no end"));
    }
}

#[tokio::test]
async fn exception_comes_with_its_traceback_before_the_failure_of_its_call() {
    let code = code();
    for interpreter in newest_and_oldest() {
        let seen = Seen::default();
        let config = quiet().logging(seen.logging(LogLevel::Warning));
        let error = tunnel(interpreter, &code, config).call::<()>("app:fails", ()).await.unwrap_err();
        assert!(error.to_string().contains("after it"), "{error}");
        let records = seen.records.lock().unwrap();
        let [record] = &records[..] else { panic!("{records:?}") };
        let traceback = record.traceback().unwrap();
        assert!(traceback.starts_with("Traceback") && traceback.ends_with("KeyError: 'key'"), "{traceback}");
    }
}

#[tokio::test]
async fn stdout_goes_where_stderr_does_unless_it_is_set() {
    let code = code();
    let seen = Seen::default();
    let lines = seen.lines.clone();
    let stderr = Stderr::callback(move |_, line| {
        lines.lock().unwrap().push(String::from_utf8_lossy(line).into_owned())
    });
    let config = TunnelConfig::default().stderr(stderr);
    let both = tunnel(newest(), &code, config.clone());
    both.call::<usize>("app:works", (2,)).await.unwrap();
    assert_eq!(seen.lines(), ["line 0", "line 1"]);
    let neither = tunnel(newest(), &code, config.stdout(Stdout::off()));
    neither.call::<usize>("app:works", (2,)).await.unwrap();
    assert_eq!(seen.lines().len(), 2);
}

#[tokio::test]
async fn generator_prints_before_its_stream_ends() {
    let code = code();
    let seen = Seen::default();
    let tunnel = tunnel(newest(), &code, quiet().stdout(seen.stdout()));
    let items: Vec<_> = tunnel.stream::<u64>("app:yields", ()).map(Result::unwrap).collect().await;
    assert_eq!(
        (items, seen.lines()),
        (vec![0, 1, 2], ["before 0", "before 1", "before 2"].map(str::to_owned).to_vec())
    );
}

#[tokio::test]
async fn last_words_come_before_the_error_of_a_lost_connection() {
    let code = code();
    for interpreter in newest_and_oldest() {
        let seen = Seen::default();
        let config = quiet().stdout(seen.stdout()).logging(seen.logging(LogLevel::Error));
        let error = tunnel(interpreter, &code, config).call::<()>("app:dies", ()).await.unwrap_err();
        assert!(error.is_disconnected(), "{error}");
        assert_eq!(seen.lines(), ["last words"]);
        assert_eq!(seen.records(), [format!("{interpreter} ERROR app.db: last record")]);
    }
}

#[tokio::test]
async fn inner_host_is_named() {
    let code = code();
    for interpreter in newest_and_oldest() {
        let seen = Seen::default();
        let config = quiet().stdout(seen.stdout()).logging(seen.logging(LogLevel::Info));
        tunnel(interpreter, &code, config).call::<()>("app:outer", ()).await.unwrap();
        assert_eq!(seen.lines()[0], "[inner] line 0");
        assert_eq!(seen.records(), ["inner INFO app.db: record 0"]);
        assert_eq!(seen.records.lock().unwrap()[0].hosts(), [interpreter.to_string(), "inner".to_owned()]);
    }
}

#[tokio::test]
async fn sink_that_takes_nothing_costs_lines_and_not_the_call() {
    let code = code();
    let (open, gate) = mpsc::channel::<()>();
    let (gate, count) = (Mutex::new(gate), Arc::new(Mutex::new(0)));
    let stdout = Stdout::writer(false, {
        let count = count.clone();
        move |_, text| {
            // Until the other end is dropped.
            let _ = gate.lock().unwrap().recv();
            *count.lock().unwrap() += text.iter().filter(|&&byte| byte == b'\n').count();
        }
    });
    let tunnel = tunnel(newest(), &code, quiet().stdout(stdout));
    let call = tunnel.call::<usize>("app:works", (3000,));
    assert_eq!(tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap(), 3000);
    drop(open);
    tunnel.close().await.unwrap();
    let count = *count.lock().unwrap();
    assert!(count > 0 && count < 1000, "{count}");
}
