//! What cannot run on hosts is refused by the compiler, with a sentence at the right place.

#[test]
fn compiler_says_what_cannot_travel() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
