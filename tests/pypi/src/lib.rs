//! Popular packages of PyPI, as wheels that nobody has installed.
//!
//! `cargo xtask test pypi` downloads what the files in `requirements` pin into the folder that [`WHEELS_VARIABLE`] names, in a
//! folder for each file. The wheels are built for one machine and one Python; their extension modules are never used.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
};

use chopsticks::{Codebase, Embedded, Local, Tunnel, TunnelConfig};
use chopsticks_support::Interpreter;

/// The environment variable that names the folder with the wheels.
pub const WHEELS_VARIABLE: &str = "CHOPSTICKS_WHEELS";

/// Returns a tunnel whose codebase is wheels that suit the interpreter, and `python/uses.py`; `None` if there are none for it.
///
/// # Panics
///
/// If the wheels are not there.
#[must_use]
pub fn tunnel(python: &Interpreter) -> Option<Tunnel> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    // Without this it would be no data, for such files are often secret.
    let codebase = Codebase::folder(folder).include("certifi/cacert.pem").unpack("docutils");
    let codebase = wheels(set(python)?).into_iter().fold(codebase, Codebase::and_archive);
    let config = TunnelConfig::default().modules(codebase.and_source(pages()));
    Some(Tunnel::with_config(Local::new().python(python.path()), config))
}

/// A package with templates and entry points, which is on no disk.
fn pages() -> Embedded {
    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../pages/", $name))
        };
    }
    Embedded::new()
        .file("pages/__init__.py", file!("__init__.py"))
        .file("pages/plugin.py", file!("plugin.py"))
        .file("pages/templates/page.html", file!("page.html"))
        .file("pages/templates/part.html", file!("part.html"))
        .file("pages-1.0.dist-info/METADATA", file!("METADATA"))
        .file("pages-1.0.dist-info/entry_points.txt", file!("entry_points.txt"))
}

/// The name of the file of requirements for an interpreter.
fn set(python: &Interpreter) -> Option<&'static str> {
    match python.version() {
        (2, 7, _) => Some("python-2.7"),
        (3, 6, _) => Some("python-3.6"),
        (3, 7.., _) => Some("python-3.7"),
        _ => None,
    }
}

fn wheels(set: &str) -> Vec<PathBuf> {
    let folder = env::var_os(WHEELS_VARIABLE).map(PathBuf::from).unwrap_or_else(|| {
        panic!("{WHEELS_VARIABLE} names no folder with wheels: run this by `cargo xtask test pypi`")
    });
    let entries = fs::read_dir(folder.join(set)).expect("the wheels were downloaded");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let mut wheels: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == "whl")).collect();
    wheels.sort();
    assert!(wheels.len() >= 10, "wheels are missing: {wheels:?}");
    wheels
}

/// Serves one small JSON document over HTTP on a free port of the loopback, for as long as this process runs.
///
/// # Panics
///
/// If there is no free port.
#[must_use]
pub fn serve() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One that is broken off harms its own request alone.
            let _ = answer(stream);
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    let body = format!("{{\"asked\": \"{line}\", \"word\": \"größe\"}}");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())
}
