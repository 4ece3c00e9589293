//! Code that is in wheels, in the program itself, and in scripts.

use std::{
    io::{Cursor, Write as _},
    time::Duration,
};

use chopsticks::{Call, Codebase, Embedded, ErrorKind, Function, Tunnel, TunnelConfig, importer::Source};
use chopsticks_e2e::{local, quiet};
use chopsticks_support::{Implementation, Interpreter, Scratch, interpreters, newest};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A pure package with an optional extension, data, and its own data in a subpackage.
const FILES: &[(&str, &str)] = &[
    (
        "shop/__init__.py",
        "try:\n    from ._fast import price\nexcept ImportError:\n    from ._slow import price\n",
    ),
    ("shop/_slow.py", "def price():\n    return 7\n"),
    ("shop/_fast.so", "\x7fELF"),
    ("shop/data/stock.txt", "apples\n"),
    ("shop/sub/__init__.py", ""),
    (
        "shop/sub/reads.py",
        "import pkgutil\n\ndef stock():\n    return pkgutil.get_data('shop', 'data/stock.txt').decode()\n\n\
         def secret():\n    return pkgutil.get_data('shop', 'tls.pem')\n",
    ),
    ("shop/tls.pem", "secret"),
    ("wants.py", "from shop import _fast\n"),
];

fn wheel() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in FILES {
        writer.start_file(*name, SimpleFileOptions::default()).expect("names are new");
        writer.write_all(text.as_bytes()).expect("memory takes bytes");
    }
    writer.finish().expect("memory takes bytes").into_inner()
}

fn tunnel(interpreter: &Interpreter, codebase: Codebase) -> Tunnel {
    Tunnel::with_config(local(interpreter), quiet().modules(codebase))
}

#[tokio::test]
async fn wheels_and_embedded_packages_import_and_read_their_data() {
    let scratch = Scratch::new();
    let wheel = scratch.write("shop-1.0-py3-none-any.whl", wheel());
    for interpreter in interpreters() {
        let embedded = Embedded::new().files(FILES.iter().copied());
        for codebase in [Codebase::path(&wheel), Codebase::source(embedded)] {
            let tunnel = tunnel(interpreter, codebase);
            assert_eq!(tunnel.call::<u32>("shop:price", ()).await.unwrap(), 7, "{interpreter}");
            let stock: String = tunnel.call("shop.sub.reads:stock", ()).await.unwrap();
            assert_eq!(stock, "apples\n", "{interpreter}");
            let error = tunnel.call::<Vec<u8>>("shop.sub.reads:secret", ()).await.unwrap_err();
            let ErrorKind::Raised(error) = error.kind() else { panic!("{interpreter}: {error}") };
            assert!(error.message.contains("Codebase::include"), "{interpreter}: {error}");
            tunnel.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn names_that_are_no_identifiers_are_imported() {
    let scratch = Scratch::new();
    for name in ["pkg/__init__.py", "pkg/0001_initial.py", "pkg/my-mods/__init__.py", "pkg/my-mods/a-b.py"] {
        scratch.write(name, "def name():\n    return __name__\n");
    }
    let get = "import importlib\ndef get(name): return importlib.import_module(name).name()";
    for interpreter in interpreters() {
        let tunnel = tunnel(interpreter, Codebase::folder(scratch.path()));
        for name in ["pkg.0001_initial", "pkg.my-mods", "pkg.my-mods.a-b"] {
            let call = Call::new(Function::source(get, "get")).args((name,));
            assert_eq!(
                tunnel.call_with(call).await.unwrap().decode::<String>().unwrap(),
                name,
                "{interpreter}"
            );
            let function = format!("{name}:name");
            assert_eq!(tunnel.call::<String>(function.as_str(), ()).await.unwrap(), name, "{interpreter}");
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn extension_module_is_refused_with_advice() {
    let scratch = Scratch::new();
    let wheel = scratch.write("shop.whl", wheel());
    // To PyPy, whose extensions have other endings, the module is just not there.
    for interpreter in interpreters().iter().filter(|it| it.implementation() == Implementation::CPython) {
        let tunnel = tunnel(interpreter, Codebase::archive(&wheel));
        let error = tunnel.call::<()>("wants:anything", ()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("with_site_packages"), "{interpreter}: {text}");
        assert!(text.contains("shop._fast"), "{interpreter}: {text}");
        tunnel.close().await.unwrap();
    }
}

/// In Latin-1, with a block that must not run.
const SCRIPT: &[u8] =
    b"#!/usr/bin/env python\n# -*- coding: latin-1 -*-\nimport tools\n\nWORD = u'caf\xe9'\n\n\
    def word(n):\n    return [tools.doubled(n), WORD, __name__, __file__]\n\n\
    def fail():\n    raise ValueError('here')\n\n\
    if __name__ == '__main__':\n    raise SystemExit('ran as a program')\n";

#[tokio::test]
async fn function_of_a_script_is_called_without_running_its_main_block() {
    let scratch = Scratch::new();
    let path = scratch.write("shop-ops.py", SCRIPT);
    scratch.write("tools.py", "def doubled(n):\n    return 2 * n\n");
    for interpreter in interpreters() {
        let tunnel = tunnel(interpreter, Codebase::script_dir(&path));
        let function = || Function::script(&path, "word");
        let (number, word, name, file): (u32, String, String, String) =
            tunnel.call(function(), (4,)).await.unwrap();
        assert_eq!((number, word.as_str()), (8, "caf\u{e9}"), "{interpreter}");
        assert_ne!(name, "__main__", "{interpreter}");
        assert_eq!(file, path.to_str().unwrap(), "{interpreter}");
        let error = tunnel.call::<()>(Function::script(&path, "fail"), ()).await.unwrap_err();
        let traceback = &error.remote().unwrap().traceback;
        assert!(traceback.contains(path.to_str().unwrap()), "{interpreter}: {traceback}");
        assert!(traceback.contains("raise ValueError('here')"), "{interpreter}: {traceback}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn changed_script_is_read_at_the_next_call() {
    let scratch = Scratch::new();
    let path = scratch.write("job.py", "def run(): return 1\n");
    let tunnel = tunnel(newest(), Codebase::empty());
    let call = || tunnel.call::<u32>(Function::script(&path, "run"), ());
    assert_eq!(call().await.unwrap(), 1);
    scratch.write("job.py", "def run(): return 2\n");
    assert_eq!(call().await.unwrap(), 2);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn script_that_cannot_be_read_is_named() {
    let scratch = Scratch::new();
    let tunnel = tunnel(newest(), Codebase::empty());
    for path in [scratch.path().join("absent.py"), scratch.path().to_owned()] {
        let error = tunnel.call::<()>(Function::script(&path, "run"), ()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Script { .. }), "{error}");
        assert!(error.report().contains(path.to_str().unwrap()), "{}", error.report());
    }
}

/// Takes for ever to read anything.
#[derive(Debug)]
struct Stuck(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Source for Stuck {
    fn label(&self) -> String {
        "stuck".to_owned()
    }

    fn list(&self, folder: &str) -> std::io::Result<Option<Vec<chopsticks::importer::ResourceEntry>>> {
        let entries = ["slow.py", "main.py"].map(chopsticks::importer::ResourceEntry::file);
        Ok(folder.is_empty().then(|| entries.to_vec()))
    }

    fn read(&self, file: &str) -> std::io::Result<Option<Vec<u8>>> {
        if file == "slow.py" {
            let _ = self.0.lock().map(|receiver| receiver.recv());
        }
        Ok(Some(b"def run():\n    return __import__('sl' + 'ow').X\n".to_vec()))
    }
}

#[tokio::test]
async fn import_from_a_codebase_that_hangs_ends_at_the_deadline() {
    let (release, hang) = std::sync::mpsc::channel();
    let config: TunnelConfig =
        quiet().modules(Codebase::source(Stuck(hang.into()))).import_timeout(Duration::from_millis(300));
    let tunnel = Tunnel::with_config(local(newest()).name("web3"), config);
    let error = tunnel.call::<()>("main:run", ()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("ImportError"), "{text}");
    assert!(text.contains("did not answer for web3 within 300ms: module slow, wanted by "), "{text}");
    assert!(text.contains("main.py"), "{text}");
    // The tunnel is as good as before.
    assert!(tunnel.call::<u32>("os:getpid", ()).await.unwrap() > 0);
    drop(release);
    tunnel.close().await.unwrap();
}
