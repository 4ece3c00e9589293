//! Helpers that the tests share: interpreters found at run time, process watching, scratch folders.
