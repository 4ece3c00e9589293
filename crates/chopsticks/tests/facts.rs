//! The package `chopsticks` on a host, and its typed counterparts, with agents in processes of their own.

use std::fs;

use chopsticks::{
    Codebase, ErrorKind, Function, Local, RemoteCommand, Stderr, Tunnel, TunnelConfig, facts, helpers,
};
use chopsticks_support::{Interpreter, Scratch, interpreters};

fn tunnel(python: &Interpreter) -> Tunnel {
    Tunnel::with_config(Local::new().python(python.path()), TunnelConfig::default().stderr(Stderr::off()))
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_come_typed_from_every_interpreter() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let all = facts::all(&tunnel).await.unwrap();
        assert_eq!(all.python_version, Some(python.version()), "{python}");
        assert_eq!(facts::python_version(&tunnel).await.unwrap(), python.version());
        let executable = facts::python_executable(&tunnel).await.unwrap();
        assert_eq!(fs::canonicalize(executable).unwrap(), python.path());
        assert_eq!(facts::host_name(&tunnel).await.unwrap(), all.host_name);
        assert_eq!(facts::ip(&tunnel).await.unwrap(), all.ip);
        assert_eq!(facts::routes(&tunnel).await.unwrap(), all.routes);
        assert_eq!(facts::os(&tunnel).await.unwrap(), all.os);
        assert_eq!(facts::kernel(&tunnel).await.unwrap(), all.kernel);
        assert_eq!(facts::cpu_count(&tunnel).await.unwrap(), all.cpu_count);
        let cpus = std::thread::available_parallelism().unwrap().get();
        assert!(all.cpu_count as usize >= cpus, "{} {cpus}", all.cpu_count);
        assert!(facts::memory(&tunnel).await.unwrap().total.unwrap() > 1 << 20);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn package_is_importable_by_name_whatever_the_codebase_has() {
    let scratch = Scratch::new();
    scratch.write("chopsticks/__init__.py", "raise ValueError('the wrong one')\n");
    scratch.write("chopsticks/facts.py", "raise ValueError('the wrong one')\n");
    scratch.write(
        "uses.py",
        "from chopsticks.facts import python_version\nfrom chopsticks import helpers\n\
         def both(): return [python_version()[:3], helpers.output_lines(['echo', 'hello'])]\n",
    );
    let text = Function::source(
        "import chopsticks.facts\ndef f(): return chopsticks.facts.python_version()[:3]",
        "f",
    );
    for python in interpreters() {
        let (major, minor, micro) = python.version();
        let bare = tunnel(python);
        assert_eq!(bare.call::<[u8; 3]>(text.clone(), ()).await.unwrap(), [major, minor, micro], "{python}");
        bare.close().await.unwrap();

        let config = TunnelConfig::default().modules(Codebase::folder(scratch.path()));
        let shadowed = Tunnel::with_config(Local::new().python(python.path()), config);
        let both: ([u8; 3], Vec<String>) = shadowed.call("uses:both", ()).await.unwrap();
        assert_eq!(both, ([major, minor, micro], vec!["hello".to_owned()]), "{python}");
        assert_eq!(facts::python_version(&shadowed).await.unwrap(), python.version());
        shadowed.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn example_of_the_document_runs() {
    let text = include_str!("../../../docs/facts.md");
    let (_, text) = text.split_once("```python\n").unwrap();
    let (source, _) = text.split_once("```").unwrap();
    for python in interpreters() {
        let tunnel = tunnel(python);
        let report = Function::source(source, "report");
        let (_, memory, busy): (Option<String>, Option<u64>, Vec<String>) =
            tunnel.call(report, ()).await.unwrap();
        assert!(memory.is_none_or(|bytes| bytes > 0), "{python}");
        assert!(busy.len() <= 3, "{python}: {busy:?}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_programs_is_bytes_or_lines() {
    for python in interpreters() {
        let tunnel = tunnel(python);
        let printf = RemoteCommand::new("printf").arg(r"a\377");
        assert_eq!(helpers::check_output(&tunnel, printf).await.unwrap(), b"a\xff", "{python}");
        let line = RemoteCommand::shell("printf 'one\\n\\303\\251\\n'; pwd");
        let lines = helpers::output_lines(&tunnel, line).await.unwrap();
        assert_eq!(lines[..2], ["one", "é"]);
        let command = RemoteCommand::shell("pwd; echo $A$B; echo \"$1\"").arg("it's").current_dir("/");
        let command = command.env("A", "ä").env_remove("PATH");
        assert_eq!(helpers::output_lines(&tunnel, command).await.unwrap(), ["/", "ä", "it's"], "{python}");

        let error = helpers::check_output(&tunnel, RemoteCommand::shell("exit 3")).await.unwrap_err();
        let ErrorKind::Raised(exception) = error.kind() else { panic!("{error:?}") };
        assert_eq!(exception.type_name, "subprocess.CalledProcessError");
        assert!(exception.message.contains("exit 3") && exception.message.contains(" 3"), "{exception:?}");
        tunnel.close().await.unwrap();
    }
}
