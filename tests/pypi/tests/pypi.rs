//! Popular packages, imported from their wheels and used where nothing is installed.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use chopsticks::{Call, Reply, Tunnel};
use chopsticks_pypi::{serve, tunnel};
use chopsticks_support::{Interpreter, interpreters};
use serde_json::{Value, json};

/// Calls a function of `uses.py` under every interpreter from a version on, and gives what it returns to `check`.
async fn under_every_python(
    from: (u8, u8, u8),
    function: &str,
    args: &[String],
    check: impl Fn(&Interpreter, Value),
) {
    let mut seen = 0;
    for python in interpreters().iter().filter(|python| python.version() >= from) {
        // For 3.4 and 3.5 none are pinned.
        let Some(tunnel) = tunnel(python) else {
            continue;
        };
        check(python, call(&tunnel, function, args).await);
        tunnel.close().await.unwrap();
        seen += 1;
    }
    assert!(seen > 0, "no interpreter is new enough");
}

async fn call(tunnel: &Tunnel, function: &str, args: &[String]) -> Value {
    let call = args.iter().fold(Call::new(format!("uses:{function}")), Call::arg);
    let reply: Result<Reply, _> = tunnel.call_with(call).await;
    match reply.and_then(|reply| reply.decode()) {
        Ok(value) => value,
        Err(error) => panic!("{}\n{:?}", error.report(), error.remote().map(|remote| &remote.traceback)),
    }
}

const ANY: (u8, u8, u8) = (2, 7, 0);

#[tokio::test]
async fn attrs_makes_classes() {
    under_every_python(ANY, "use_attrs", &[], |python, value| {
        assert_eq!(value, json!([{"x": 1, "y": 2}, "Point(x=3, y=2)", true, 5]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn jinja_renders_templates_with_the_pure_markupsafe() {
    under_every_python(ANY, "use_jinja", &[], |python, value| {
        assert_eq!(value, json!(["<&lt;a&gt;;b;ä;>", 1, true]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn jinja_loads_templates_out_of_a_package() {
    under_every_python(ANY, "use_package_loader", &[], |python, value| {
        let page = "<h1>Größe</h1><p>größe</p>";
        assert_eq!(value, json!([page, ["page.html", "part.html"]]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn docutils_that_is_unpacked_finds_its_files() {
    under_every_python(ANY, "use_docutils", &[], |python, value| {
        let version = if python.version() >= (3, 7, 0) { "0.20.1" } else { "0.18.1" };
        assert_eq!(value, json!([version, "Head", true, true, true, true]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn pkg_resources_finds_distributions_entry_points_and_data() {
    under_every_python(ANY, "use_pkg_resources", &[], |python, value| {
        let names = ["page.html", "part.html"];
        let part = "<p>{{ title|lower }}</p>";
        assert_eq!(value, json!(["1.0", "loud", "X", part, names, true]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn pluggy_loads_plugins_by_their_entry_points() {
    under_every_python((3, 8, 0), "use_entry_points", &[], |python, value| {
        let scripts = ["pygments.cmdline:main"];
        assert_eq!(value, json!([1, ["from an entry point"], scripts, "1.2.0"]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn yaml_is_read_and_written_without_its_extension_module() {
    under_every_python(ANY, "use_yaml", &[], |python, value| {
        let document =
            json!({"a": [1, 2.5, null], "b": {"c": true}, "d": {"c": true}, "text": "one\nzwölf\n"});
        assert_eq!(value, json!([document, true, false]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn requests_speaks_http_and_has_its_certificates() {
    let url = format!("http://{}/path", serve());
    under_every_python(ANY, "use_requests", &[url], |python, value| {
        let document = json!({"asked": "GET /path?q=%C3%A4+b HTTP/1.1", "word": "größe"});
        // Before 3.7 certifi wants a file on the host's disk.
        let certificates = if python.version() >= (3, 7, 0) { json!(true) } else { Value::Null };
        assert_eq!(value, json!([200, document, certificates, "xn--gre-6ka8i.example"]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn click_runs_commands() {
    under_every_python(ANY, "use_click", &[], |python, value| {
        assert_eq!(value, json!([0, "Hello you\nHello you\n", 2, true]), "{python}");
    })
    .await;
}

#[tokio::test]
async fn rich_draws_tables_markdown_and_code() {
    under_every_python((3, 7, 0), "use_rich", &[], |python, value| {
        let text = value.as_str().unwrap();
        for part in ["Hosts", "│ web1 │  0.5 │", "Head", " • one", "def f(): pass"] {
            assert!(text.contains(part), "{python}: {part}: {text}");
        }
    })
    .await;
}
