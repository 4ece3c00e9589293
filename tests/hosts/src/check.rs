//! What the tests of single drivers have in common.

use std::time::Duration;

use chopsticks::{Codebase, Driver, Error, Hint, Stderr, Tunnel, TunnelConfig};

use crate::lab;
use crate::watch::childless;

/// Returns a configuration with the tests' modules and without stderr.
pub fn config() -> TunnelConfig {
    let config = TunnelConfig::default().close_timeout(Duration::from_secs(20));
    config.modules(Codebase::folder(lab::code())).stderr(Stderr::off())
}

/// Returns a tunnel with this configuration.
pub fn tunnel(driver: impl Driver) -> Tunnel {
    Tunnel::with_config(driver, config())
}

/// Looks whether a tunnel can be used, and that nothing is left once it is closed.
pub async fn works(driver: impl Driver) {
    let tunnel = tunnel(driver);
    let sum = tunnel.call::<i64>("far:add", (1, 2)).await;
    assert_eq!(sum.unwrap_or_else(|error| panic!("{}", error.report())), 3);
    tunnel.close().await.unwrap_or_else(|error| panic!("{}", error.report()));
    drop(tunnel);
    childless().await;
}

/// Returns why a tunnel cannot be used, once nothing is left of it.
pub async fn failure(driver: impl Driver) -> Error {
    let tunnel = tunnel(driver);
    let error = tunnel.call::<i64>("far:add", (1, 2)).await.expect_err("nothing answers there");
    drop(tunnel);
    childless().await;
    error
}

/// Looks whether a tunnel fails with this cause and this text, in which `*` stands for anything.
pub async fn fails(driver: impl Driver, cause: &str, report: &str) {
    let error = failure(driver).await;
    assert_eq!(error.hint().map(Hint::cause), Some(cause), "{}", error.report());
    assert!(matches(&error.report(), report), "{}\n{report}", error.report());
}

/// Whether a text is what a pattern with `*` says.
pub fn matches(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let mut rest = parts.next().and_then(|first| text.strip_prefix(first));
    for part in parts {
        rest = rest.and_then(|rest| {
            if part.is_empty() { Some("") } else { rest.split_once(part).map(|(_, rest)| rest) }
        });
    }
    rest.is_some_and(str::is_empty)
}
