//! The example that follows a log.

use std::{fs::OpenOptions, io::Write as _, time::Duration};

use chopsticks::{Local, Tunnel};
use chopsticks_support::{Scratch, newest};
use futures::StreamExt as _;

#[path = "../examples/follow.rs"]
#[expect(dead_code, reason = "the example has a main function")]
mod follow;

/// No step takes this long; it turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn example_counts_the_lines_of_a_log_by_pattern() {
    let scratch = Scratch::new();
    let path = scratch.write("log", "an error\nfine\n");
    let tunnel = Tunnel::with_config(Local::new().python(newest().path()), follow::config());
    let patterns = ["error".to_owned(), "warning".to_owned()];
    let mut counts = [0; 2];
    let mut lines = follow::follow(&tunnel, path.to_str().unwrap(), true);
    {
        let old = lines.by_ref().take(2);
        tokio::time::timeout(PATIENCE, follow::count(old, &patterns, &mut counts)).await.unwrap().unwrap();
    }
    assert_eq!(counts, [1, 0]);
    let mut log = OpenOptions::new().append(true).open(&path).unwrap();
    write!(log, "a warning\nhalf of an ").unwrap();
    {
        let new = lines.by_ref().take(1);
        tokio::time::timeout(PATIENCE, follow::count(new, &patterns, &mut counts)).await.unwrap().unwrap();
    }
    assert_eq!(counts, [1, 1]);
    writeln!(log, "error and a warning").unwrap();
    {
        let last = lines.by_ref().take(1);
        tokio::time::timeout(PATIENCE, follow::count(last, &patterns, &mut counts)).await.unwrap().unwrap();
    }
    assert_eq!(counts, [2, 2]);
    // A log that is rotated is followed where it goes on.
    std::fs::rename(&path, scratch.path().join("log.1")).unwrap();
    scratch.write("log", "new\n");
    assert_eq!(tokio::time::timeout(PATIENCE, lines.next()).await.unwrap().unwrap().unwrap(), "new");
    drop(lines);
    tunnel.close().await.unwrap();
}
