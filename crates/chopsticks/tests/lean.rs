//! What works with any features of the crate, even with none.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use chopsticks::{
    Codebase, Function, Local, Target, Tunnel, TunnelConfig,
    tunnel::{ModuleEntry, ModuleError, ModuleSource},
};
use chopsticks_support::{Scratch, python3};

/// A codebase that notes what agents ask for.
#[derive(Clone, Debug)]
struct Noted {
    inner: Codebase,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ModuleSource for Noted {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        ModuleSource::top_level(&self.inner)
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        self.asked.lock().expect("nobody panics with it").push(name.to_owned());
        ModuleSource::module(&self.inner, name)
    }

    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        ModuleSource::needed(&self.inner, name)
    }

    fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        ModuleSource::needed_by_source(&self.inner, source)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_travel_with_and_without_the_parser() {
    let scratch = Scratch::new();
    scratch.write("shop/__init__.py", "");
    scratch.write("shop/stock.py", "from . import prices\ndef total(n): return n * prices.ONE\n");
    scratch.write("shop/prices.py", "import rates\nONE = 2 * rates.RATE\n");
    scratch.write("rates.py", "RATE = 3\n");
    let code = Noted { inner: Codebase::folder(scratch.path()), asked: Arc::default() };
    let config = TunnelConfig::default().modules(code.clone());
    let tunnel = Tunnel::with_config(Local::new().python(python3().path()), config);
    assert_eq!(tunnel.call::<u32>("shop.stock:total", (7,)).await.unwrap(), 42);
    let asked = mem::take(&mut *code.asked.lock().unwrap());
    // The called module and its package go ahead in any case.
    let expected: &[&str] = if cfg!(feature = "parser") { &[] } else { &["shop.prices", "rates"] };
    assert_eq!(asked, expected);

    let source = Function::source("import rates\ndef f(): return rates.RATE", "f");
    assert_eq!(tunnel.call::<u32>(source, ()).await.unwrap(), 3);
    tunnel.close().await.unwrap();
}

#[test]
fn target_that_is_a_container_is_valid_where_there_are_drivers_for_it() {
    for text in ["docker://debian", "podman://debian", "docker-exec://web", "web1/podman-exec://web"] {
        let parsed = text.parse::<Target>();
        assert_eq!(parsed.is_ok(), cfg!(feature = "containers"), "{text}");
        if let Err(error) = parsed {
            assert!(error.to_string().contains("built without containers"), "{error}");
        }
    }
    assert!("web1/ssh://db1/sudo:root".parse::<Target>().is_ok());
}
