//! Tests of what agents are answered, hostile ones too.

use std::sync::{Mutex, PoisonError, mpsc};

use serde::de::IgnoredAny;
use tracing::{Level, Metadata, Subscriber, span};

use super::*;
use crate::module::{ModuleSource, ResourceEntry};

/// Has the package `p` with one file of data, and hangs when it is asked for `slow`.
#[derive(Debug)]
struct Source {
    hang: Mutex<mpsc::Receiver<()>>,
}

impl ModuleSource for Source {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        Ok(vec!["p".to_owned()])
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        match name {
            "p" => Ok(Some(ModuleEntry::new("p", ModuleEntryKind::Package, "p.py", "P"))),
            "slow" => {
                let _ = self.hang.lock().unwrap_or_else(PoisonError::into_inner).recv();
                Ok(None)
            }
            "broken" => panic!("this source is broken"),
            _ => Ok(None),
        }
    }

    fn resource(&self, package: &str, path: &str) -> Result<Option<Resource>, ModuleError> {
        Ok(match (package, path) {
            ("p", "") => Some(Resource::Folder(vec![ResourceEntry::file("x"), ResourceEntry::folder("d")])),
            ("p", "x") => Some(Resource::File(b"X".to_vec())),
            _ => None,
        })
    }
}

/// What serves the source, and what ends its hanging when it is dropped.
fn serving(timeout: Duration) -> (Serving, mpsc::Sender<()>) {
    let (release, hang) = mpsc::channel();
    let config = TunnelConfig::default().modules(Source { hang: Mutex::new(hang) }).import_timeout(timeout);
    (Serving::new(HostName::lossy("web3"), &config), release)
}

fn encoded(value: impl serde::Serialize) -> Vec<u8> {
    marshal::to_vec(&value).unwrap()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn name_comes_alone_or_with_who_wants_it() {
    let (serving, _release) = serving(LONG);
    let none: Option<String> = None;
    for asked in [encoded("p"), encoded(("p", "main.py, line 3")), encoded(("p", none))] {
        let (format, answer) = serving.module(&asked).await.unwrap();
        assert_eq!(format, Format::Marshal);
        let entry: (String, u8, String, IgnoredAny, Vec<String>) = marshal::from_slice(&answer).unwrap();
        assert_eq!((entry.0.as_str(), entry.1, entry.2.as_str()), ("p", 1, "p.py"));
    }
    let (_, answer) = serving.module(&encoded("absent")).await.unwrap();
    assert_eq!(answer, b"N");
    for odd in [encoded(7), encoded(("p",)), encoded(("p", 7)), b"?".to_vec(), Vec::new()] {
        let error = serving.module(&odd).await.unwrap_err();
        assert!(error.to_string().starts_with("the request is not valid: "), "{error}");
    }
}

#[tokio::test]
async fn data_is_a_file_a_folder_or_nothing() {
    let (serving, _release) = serving(LONG);
    let file = serving.resource(&encoded(("p", "x"))).await.unwrap();
    assert_eq!(file, (Format::Bytes, b"X".to_vec()));
    let (_, folder) = serving.resource(&encoded(("p", ""))).await.unwrap();
    let folder: Vec<(String, bool)> = marshal::from_slice(&folder).unwrap();
    assert_eq!(folder, [("x".to_owned(), false), ("d".to_owned(), true)]);
    let (_, absent) = serving.resource(&encoded(("p", "y"))).await.unwrap();
    assert_eq!(absent, b"N");
    assert!(serving.resource(&encoded("p")).await.is_err());
}

#[tokio::test]
async fn source_that_hangs_is_waited_for_until_the_deadline() {
    let (serving, release) = serving(Duration::from_millis(20));
    for turn in 0..2 * TURNS {
        let error = serving.module(&encoded(("slow", "main.py, line 3"))).await.unwrap_err();
        let text = "the codebase did not answer for web3 within 20ms: module slow, wanted by main.py, line 3";
        assert_eq!(error.to_string(), text, "{turn}");
    }
    // All of its turns hang. Those of others do not.
    assert!(serving.module(&encoded("p")).await.is_err());
    let (other, _release) = super::tests::serving(LONG);
    assert!(other.module(&encoded("p")).await.is_ok());
    drop(release);
}

#[tokio::test]
async fn panic_of_a_source_is_an_error() {
    let (serving, _release) = serving(LONG);
    let error = serving.module(&encoded("broken")).await.unwrap_err();
    assert!(error.to_string().starts_with("the module source failed"), "{error}");
    assert!(serving.module(&encoded("p")).await.is_ok());
}

#[tokio::test]
async fn what_was_asked_for_is_not_sent_ahead() {
    let (serving, _release) = serving(LONG);
    serving.module(&encoded("p")).await.unwrap();
    let entry = |name: &str| ModuleEntry::new(name, ModuleEntryKind::Module, "", "");
    assert!(serving.ahead.take_new(1, vec![entry("p")]).is_empty());
    assert_eq!(serving.ahead.take_new(2, vec![entry("p"), entry("q")]), [entry("q")]);
    assert!(serving.ahead.covers(1) && !serving.ahead.covers(3));
    assert_ne!(Need::Module("p").key(), Need::Source(b"p").key());
}

#[tokio::test]
async fn agent_that_guesses_names_is_told_of_once_and_leaves_nothing_behind() {
    let (serving, _release) = serving(LONG);
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    for n in 0..3 * MANY_UNKNOWN {
        let (_, answer) = serving.module(&encoded(format!("p.guess{n}"))).await.unwrap();
        assert_eq!(answer, b"N");
        assert_eq!(warnings.0.load(Ordering::Relaxed), usize::from(n + 1 >= MANY_UNKNOWN));
    }
    assert!(serving.ahead.is_empty());
}

/// Counts warnings.
#[derive(Clone, Debug, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, _event: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}
