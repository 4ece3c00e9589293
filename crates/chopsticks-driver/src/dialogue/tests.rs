//! Tests of the marks, and of the lines that are added.

use super::*;

#[test]
fn marks_are_found_in_any_pieces_and_nothing_else_is_lost() {
    let marks = Marks { prompt: "chopsticks-asks-12:".to_owned(), ready: "chopsticks-runs-34;".to_owned() };
    let text = "a lecture chopsticks-asks-1 chochopsticks-asks-12:wrong\nchopsticks-runs-34;agent chopsticks-asks-12:";
    for len in 1..text.len() {
        let (heard, mut hearing) = mpsc::channel(MAX_MARKS);
        let (mut scanner, progress) = (Scanner::new(marks.clone(), heard), Progress::default());
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(len) {
            match scanner.is_ready {
                true => out.extend_from_slice(piece),
                false => scanner.push(piece, &mut out, &progress),
            }
        }
        let expected = "a lecture chopsticks-asks-1 chowrong\nagent chopsticks-asks-12:";
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{len}");
        assert_eq!(hearing.try_recv(), Ok(Mark::Prompt));
        assert_eq!(hearing.try_recv(), Ok(Mark::Ready));
        assert!(hearing.try_recv().is_err());
        assert_eq!(*progress.stage.borrow(), Stage::LoggedIn);
    }
}

#[test]
fn marks_differ_each_time() {
    assert_ne!(Marks::new().prompt, Marks::new().prompt);
    assert_ne!(Marks::new().ready, Marks::new().ready);
}

#[test]
fn lines_about_a_denied_login_are_added_only_then() {
    let progress = Progress::default();
    progress.note_if_denied("given");
    progress.heard(b"me@web1: Connection closed");
    assert_eq!(progress.take_notes(), "");
    progress.heard(b"\nme@web1: Permission denied (password).");
    progress.note("more");
    assert_eq!(progress.take_notes(), "\nchopsticks: more\nchopsticks: given\n");
    assert_eq!(progress.take_notes(), "");
}
