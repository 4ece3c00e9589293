//! Tests of what is read from sources.

use super::*;

/// One line for each import: the dots, the module, and the names in braces.
fn read(source: impl AsRef<[u8]>) -> Vec<String> {
    let line = |import: Import| {
        let names = match import.names {
            Names::All => "{*}".to_owned(),
            Names::Listed(names) => format!("{{{}}}", names.join(",")),
            Names::Module => String::new(),
        };
        format!("{}{}{names}", ".".repeat(import.level), import.module)
    };
    Imports::read(source.as_ref()).list.into_iter().map(line).collect()
}

#[test]
fn imports_are_found_in_every_form_and_place() {
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        ("x = 1\n", &[]),
        ("import a", &["a"]),
        ("import a.b as c, d", &["a.b", "d"]),
        ("import a . b; import c", &["a.b", "c"]),
        ("from a import b, c as d", &["a{b,c}"]),
        ("from a.b import (\n    c,  # why\n    d,\n)", &["a.b{c,d}"]),
        ("from a import \\\n    b", &["a{b}"]),
        ("from . import x", &[".{x}"]),
        ("from .. import x, y", &["..{x,y}"]),
        ("from ..pkg.mod import y", &["..pkg.mod{y}"]),
        ("from ... import y\nfrom .... import z", &["...{y}", "....{z}"]),
        ("from pkg import *", &["pkg{*}"]),
        ("from . import *", &[".{*}"]),
        ("from __future__ import print_function\nimport a", &["a"]),
        ("def f():\n    import a\n    class C:\n        from b import c\n", &["a", "b{c}"]),
        ("async def f():\n\timport a\n", &["a"]),
        ("if x:\n    import a\nelif y:\n    import b\nelse:\n    import c\n", &["a", "b", "c"]),
        (
            "try:\n    import a\nexcept ImportError:\n    import b\nelse:\n    import c\nfinally:\n    import d\n",
            &["a", "b", "c", "d"],
        ),
        ("with x:\n    import a\nfor i in y: import b\nwhile z:\n    import c\n", &["a", "b", "c"]),
        ("match x:\n    case [1, *_]:\n        import a\n", &["a"]),
        ("'''import a'''\n# import b\nx = 'import c'\n", &[]),
        ("import naïve.模块", &["naïve.模块"]),
    ];
    for (source, expected) in table {
        assert_eq!(read(source), *expected, "{source}");
    }
}

#[test]
fn literal_names_in_calls_are_imports() {
    let table: &[(&str, &[&str])] = &[
        ("importlib.import_module('a.b')", &["a.b"]),
        ("x = import_module(name=\"a\" 'b')", &["ab"]),
        ("lambda: importlib.import_module('.a', __package__)", &[".a"]),
        ("importlib.import_module('.a', package='p.q')", &["p.q.a"]),
        ("importlib.import_module('..a', 'p.q')", &["p.a"]),
        ("__import__('a.b')", &["a.b"]),
        ("__import__(u'a', fromlist=['b'])", &["a"]),
        ("importlib.import_module(name)\n__import__('a' + b)\n__import__()\nimport_module(f'a{b}')", &[]),
        ("import_module(b)('c')\nother('d')", &[]),
    ];
    for (source, expected) in table {
        assert_eq!(read(source), *expected, "{source}");
    }
}

#[test]
fn python_2_is_read() {
    let source = "print 'x'\nprint >>f, 'y',\nexec 'z' in {}\ntry:\n    import a\nexcept E, e:\n    import b\n\
                  raise E, 'x'\nn = 0777L\nt = `n`\ndef f((a, b), c):\n    print ur'x'\n    from d import e\n\
                  if a <> b:\n    import g\n";
    assert_eq!(read(source), ["a", "b", "d{e}", "g"]);
}

#[test]
fn what_cannot_be_parsed_is_passed_over() {
    let source = "import a\ndef f(:\n    import b\nclass (((\nx = = 2\n\nimport c\n";
    let found = read(source);
    assert!(found.contains(&"a".to_owned()) && found.contains(&"c".to_owned()), "{found:?}");
    for source in
        ["import", "from", "from import", "from . import", "import a.", "import_module('", "from x import"]
    {
        read(source);
    }
    for deep in ["(", "[", "f(", "not ", "import (", "-", "{'a':"] {
        read(format!("import a\n{}", deep.repeat(20_000)));
    }
}

#[test]
fn definitions_behind_the_last_import_are_not_parsed() {
    assert_eq!(head("x = 1\ndef f():\n    pass\n"), None);
    assert_eq!(head("import a\n\ndef f():\n    pass\n"), Some("import a\n\n"));
    assert_eq!(head("def f():\n    import a\nclass C: pass\n"), Some("def f():\n    import a\n"));
    let whole = "from a import (\nb,\nc)\nx = [\n]\n";
    assert_eq!(head(whole), Some(whole));
    // Where a string is cut, all is.
    assert_eq!(read("import a\nx = '''import\ndef y\n'''\n"), ["a"]);
    assert_eq!(read("def f():\n    '''\nimport\nclass'''\n"), [""; 0]);
}

#[test]
fn encodings_and_line_ends_do_not_matter() {
    let cases: &[&[u8]] = &[
        b"\xef\xbb\xbfimport a\nfrom b import c\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe4\xf6'\nimport a\nfrom b import c\n",
        b"# -*- coding: cp1252 -*-\nimport a # \x80\nfrom b import c",
        b"import a\r\nif x:\r\n    from b import c\r\n",
        b"import a\rif x:\r    from b import c\r",
        b"import a\n\x0cfrom b import c\n",
        b"if x:\n\timport a\n        from b import c\n",
    ];
    for source in cases {
        assert_eq!(read(source), ["a", "b{c}"], "{}", String::from_utf8_lossy(source));
    }
    read(b"\0import\0a\xff\xfe");
}

#[test]
fn literal_part_of_all_is_read() {
    let all = |source: &str| Imports::read(source.as_bytes()).all;
    assert_eq!(all("__all__ = ['a', u\"b\"]\n__all__ += ('c',)"), ["a", "b", "c"]);
    assert_eq!(all("__all__ = 'a', 'b'"), ["a", "b"]);
    assert_eq!(all("__all__: list = ['a', name, 'b' 'c']"), ["a", "bc"]);
    assert!(all("__all__ = names()\nother = ['a']").is_empty());
}
