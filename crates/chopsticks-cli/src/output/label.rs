//! The labels in front of the lines of hosts.

use std::collections::HashMap;

use anstyle::Style;
use chopsticks::HostName;

use crate::output::paint;

/// How wide labels are, and which colours they have.
#[derive(Debug, Default)]
pub(super) struct Labels {
    width: usize,
    places: HashMap<String, usize>,
}

impl Labels {
    pub(super) fn new<'a>(hosts: impl Iterator<Item = &'a HostName>) -> Self {
        let places: HashMap<_, _> =
            hosts.enumerate().map(|(place, host)| (host.as_str().to_owned(), place)).collect();
        let lengths = places.keys().map(|host| host.chars().count() + BRACKETS);
        let width = lengths.filter(|&len| len <= WIDEST).max().unwrap_or(0);
        Self { width, places }
    }

    /// Returns the style of a host. A single one has the usual one.
    pub(super) fn style(&self, host: &str) -> Style {
        match self.places.get(host) {
            Some(place) if self.places.len() > 1 => paint::OF_HOSTS[place % paint::OF_HOSTS.len()],
            _ => paint::HOST,
        }
    }

    /// Returns the spaces behind a label.
    pub(super) fn padding(&self, label: &str) -> String {
        " ".repeat(self.width.saturating_sub(label.chars().count()))
    }
}

const BRACKETS: usize = 2;
/// Longer names are not lined up with: they would leave no room for the lines.
const WIDEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_wide_as_the_longest_one() {
        let hosts: Vec<_> = ["web1", "database", &"x".repeat(60)].map(HostName::lossy).into();
        let labels = Labels::new(hosts.iter());
        assert_eq!(labels.padding("[web1]"), "    ");
        assert_eq!(labels.padding("[database]"), "");
        assert_eq!(labels.padding("[web1 stdout]"), "");
        assert_ne!(labels.style("web1"), labels.style("database"));
        assert_eq!(Labels::new(hosts[..1].iter()).style("web1"), paint::HOST);
    }
}
