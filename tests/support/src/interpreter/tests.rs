//! Tests of the search for interpreters; the machine needs at least one Python 3.

use super::*;

#[test]
fn found_interpreters_run_and_are_what_they_say() {
    for interpreter in interpreters() {
        let output =
            interpreter.command().args(["-c", "import sys; print(sys.version_info[0])"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.trim(), interpreter.version().0.to_string(), "{interpreter:?}");
    }
}

#[test]
fn found_interpreters_are_sorted_and_different() {
    let keys: Vec<_> = interpreters().iter().map(|found| (found.version(), found.implementation())).collect();
    assert!(keys.is_sorted());
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    let programs: BTreeSet<_> = interpreters().iter().map(|found| real(found.path())).collect();
    assert_eq!(programs.len(), keys.len());
}

#[test]
fn newest_is_the_last_and_python3_is_a_python_3() {
    assert_eq!(newest(), interpreters().last().unwrap());
    assert!(!python3().is_python2());
    if let Some(python2) = python2() {
        assert_eq!(python2.version().0, 2);
    }
}

#[test]
fn report_of_a_supported_interpreter_is_parsed() {
    let found = Interpreter::parse("CPython\n3.11.7\n/nonexistent/python3\n").unwrap();
    assert_eq!(found.version(), (3, 11, 7));
    assert_eq!(found.path(), Path::new("/nonexistent/python3"));
    assert_eq!(found.to_string(), "3.11.7");
    let found = Interpreter::parse("PyPy\n2.7.18\n/usr/bin/pypy\n").unwrap();
    assert_eq!(found.implementation(), Implementation::PyPy);
    assert_eq!(found.to_string(), "2.7.18 (PyPy)");
}

#[test]
fn reports_of_old_or_strange_programs_are_refused() {
    for report in [
        "",
        "CPython\n2.6.9\n/usr/bin/python\n",
        "CPython\n3.3.7\n/usr/bin/python\n",
        "CPython\n3.11\n/usr/bin/python\n",
        "CPython\n3.11.7\n\n",
        "usage: python [options]\n",
    ] {
        assert_eq!(Interpreter::parse(report), None, "{report:?}");
    }
}

#[test]
fn program_that_is_no_python_is_an_error_or_nothing() {
    assert!(Interpreter::probe(Path::new("/bin/false")).is_err());
    assert!(Interpreter::probe(Path::new("/nonexistent/python")).is_err());
    assert!(matches!(Interpreter::probe(Path::new("/bin/true")), Ok(None)));
}

#[test]
fn names_of_interpreters_are_told_from_their_tools() {
    for name in ["python", "python2", "python2.7", "python3", "python3.11", "pypy", "pypy3", "pypy3.9"] {
        assert!(is_interpreter_name(name), "{name}");
    }
    for name in ["python3-config", "python3.11-config", "pythonw", "python3.11d", "ipython", "pydoc3"] {
        assert!(!is_interpreter_name(name), "{name}");
    }
}

#[test]
fn minor_version_is_used_once_unless_another_release_of_it_is_named() {
    assert!(is_same((3, 11, 2), (3, 11, 7), false));
    assert!(!is_same((3, 11, 2), (3, 11, 7), true));
    assert!(is_same((3, 11, 7), (3, 11, 7), true));
    assert!(!is_same((3, 11, 7), (3, 12, 7), false));
}
