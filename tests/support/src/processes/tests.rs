//! Tests against real children of the test process.

use std::process::{Child, Command, Stdio};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// Ends and reaps the child when the test is over, however it ends.
struct Running(Child);

impl Running {
    fn start(marker: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", "read -r line", marker])
            .env("CHOPSTICKS_SUPPORT_TEST", marker)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn end(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the child was reaped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[test]
fn processes_are_found_by_their_environment() {
    let marker = unique("environment");
    let mut running = Running::start(&marker);
    let found = || with_environment("CHOPSTICKS_SUPPORT_TEST", &marker);
    assert!(eventually(PATIENCE, || found() == [running.0.id()]));
    running.end();
    assert_eq!(found(), []);
}

#[test]
fn processes_are_found_by_part_of_an_argument() {
    let marker = unique("argument");
    let mut running = Running::start(&format!("before-{marker}-after"));
    assert!(eventually(PATIENCE, || with_argument(&marker) == [running.0.id()]));
    running.end();
    assert_eq!(with_argument(&marker), []);
}

#[test]
fn own_process_is_not_found() {
    let own = std::env::args().next().unwrap();
    assert!(!with_argument(&own).contains(&std::process::id()));
}

#[test]
fn wait_ends_when_the_processes_have_ended() {
    let mut running = Running::start(&unique("gone"));
    let pid = running.0.id();
    assert!(is_there(pid));
    running.end();
    assert_eq!(wait_until_gone([pid], PATIENCE), Ok(()));
}

#[test]
fn wait_names_the_processes_that_stay() {
    let marker = unique("stays");
    let running = Running::start(&marker);
    let pid = running.0.id();
    assert!(eventually(PATIENCE, || with_argument(&marker) == [pid]));
    let error = wait_until_gone([pid], Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.pids().collect::<Vec<_>>(), [pid]);
    assert!(error.to_string().contains(&marker), "{error}");
}

#[test]
fn own_child_that_was_not_reaped_is_still_there() {
    let mut running = Running::start(&unique("zombie"));
    let pid = running.0.id();
    drop(running.0.stdin.take());
    assert!(eventually(PATIENCE, || Stat::of(pid).unwrap().has_ended()));
    assert!(is_there(pid));
    assert!(children().contains(&pid));
    let error = wait_until_gone([pid], Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("not reaped"), "{error}");
    running.end();
    assert!(!is_there(pid));
}

#[test]
fn children_are_listed_by_parent() {
    let running = Running::start(&unique("children"));
    assert!(children().contains(&running.0.id()));
    assert_eq!(children_of(running.0.id()), []);
}

#[test]
fn held_files_are_among_the_open_descriptors() {
    // Other tests open and close files meanwhile, so only a large number says anything.
    const HELD: usize = 200;
    let before = open_descriptors();
    let held: Vec<_> = (0..HELD).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    assert!(open_descriptors() + 100 > before + held.len());
}

#[test]
fn stat_of_a_name_with_parentheses_is_read() {
    let stat =
        Stat::parse("12 (a) b (c) Z 34 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23").unwrap();
    assert!(stat.has_ended());
    assert_eq!((stat.parent, stat.start), (34, 4711));
    assert!(Stat::parse("").is_none());
}
