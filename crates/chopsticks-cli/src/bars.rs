//! Progress bars of transfers, on a terminal.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IsTerminal as _},
    sync::{Arc, Mutex, PoisonError},
};

use chopsticks::{HostName, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for each host, if there are few, and one for all.
#[derive(Clone, Debug)]
pub(crate) struct Bars {
    drawn: Option<Arc<Drawn>>,
}

#[derive(Debug)]
struct Drawn {
    screen: MultiProgress,
    total: ProgressBar,
    hosts: Mutex<HashMap<HostName, Host>>,
    under_way: Mutex<UnderWay>,
    has_hosts: bool,
    /// Whether all that is drawn is how many hosts are done.
    is_counter: bool,
}

/// The hosts that have begun and are not done, in this order, and how many have failed.
#[derive(Debug, Default)]
struct UnderWay {
    hosts: BTreeMap<u64, HostName>,
    places: HashMap<HostName, u64>,
    begun: u64,
    failed: u64,
}

#[derive(Debug)]
struct Host {
    bar: Option<ProgressBar>,
    done: u64,
    total: Option<u64>,
}

impl Bars {
    /// Creates no bars.
    pub(crate) fn none() -> Self {
        Self { drawn: None }
    }

    /// Creates bars for the given number of hosts, if stderr is a terminal.
    pub(crate) fn new(hosts: usize) -> Self {
        if !io::stderr().is_terminal() {
            return Self::none();
        }
        let screen = MultiProgress::new();
        let total = screen.add(ProgressBar::new(0).with_style(style()).with_prefix("all"));
        let has_hosts = (2..=HOSTS_SHOWN).contains(&hosts);
        Self::of(Drawn {
            screen,
            total,
            hosts: Mutex::default(),
            has_hosts,
            is_counter: false,
            under_way: Mutex::default(),
        })
    }

    /// A line that tells how many of so many hosts are done, if they are many and stderr is a terminal.
    pub(crate) fn counter(hosts: usize) -> Self {
        if hosts <= FEW || !io::stderr().is_terminal() {
            return Self::none();
        }
        let screen = MultiProgress::new();
        let style = ProgressStyle::with_template("{pos}/{len} hosts{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let total = screen.add(ProgressBar::new(hosts as u64).with_style(style));
        total.tick();
        let (hosts, has_hosts) = (Mutex::default(), false);
        Self::of(Drawn { screen, total, hosts, has_hosts, is_counter: true, under_way: Mutex::default() })
    }

    /// A line with the number of items that are done, how fast, and how many have failed, if stderr
    /// is a terminal.
    pub(crate) fn items() -> Self {
        if !io::stderr().is_terminal() {
            return Self::none();
        }
        let screen = MultiProgress::new();
        let style = ProgressStyle::with_template("{pos} items, {per_sec}{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let total = screen.add(ProgressBar::no_length().with_style(style));
        let (hosts, has_hosts) = (Mutex::default(), false);
        Self::of(Drawn { screen, total, hosts, has_hosts, is_counter: true, under_way: Mutex::default() })
    }

    /// Counts items that are done, and shows how many have failed altogether.
    pub(crate) fn add(&self, done: u64, failed: u64) {
        if let Some(drawn) = &self.drawn {
            drawn.total.inc(done);
            if failed > 0 {
                drawn.total.set_message(format!(", {failed} failed"));
            }
        }
    }

    fn of(drawn: Drawn) -> Self {
        Self { drawn: Some(Arc::new(drawn)) }
    }

    /// Notes that a host has begun.
    pub(crate) fn begin(&self, host: &HostName) {
        let Some(drawn) = self.drawn.as_ref().filter(|drawn| drawn.is_counter) else { return };
        let mut under_way = drawn.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.begin(host);
        drawn.total.set_message(under_way.text());
    }

    /// Counts a host that is done.
    pub(crate) fn count(&self, host: &HostName, has_failed: bool) {
        let Some(drawn) = self.drawn.as_ref().filter(|drawn| drawn.is_counter) else { return };
        let mut under_way = drawn.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.end(host, has_failed);
        drawn.total.set_message(under_way.text());
        drawn.total.inc(1);
    }

    /// Shows the progress of a host.
    pub(crate) fn show(&self, host: &HostName, progress: Progress) {
        let Some(drawn) = &self.drawn else { return };
        let mut hosts = drawn.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(host.clone()).or_insert_with(|| {
            drawn.total.inc_length(progress.total.unwrap_or(0));
            Host {
                bar: drawn.has_hosts.then(|| drawn.bar(host, progress.total)),
                done: 0,
                total: progress.total,
            }
        });
        // The bar is younger than the transfer then: its first step would be one of gigabytes per second.
        let is_first = host.done == 0;
        let moved = progress.done.saturating_sub(host.done);
        host.done = progress.done;
        if progress.total.is_none() {
            drawn.total.inc_length(moved);
        }
        drawn.total.inc(moved);
        if let Some(bar) = &host.bar
            && !is_first
        {
            bar.set_position(progress.done);
        }
    }

    /// Removes the bar of a host whose transfer has ended in any way.
    pub(crate) fn end(&self, host: &HostName) {
        let Some(drawn) = &self.drawn else { return };
        let ended = drawn.hosts.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
        let Some(Host { bar, done, total }) = ended else { return };
        if let Some(bar) = bar {
            bar.finish_and_clear();
            drawn.screen.remove(&bar);
        }
        // Nobody waits for the rest of one that has failed.
        drawn.total.dec_length(total.unwrap_or(0).saturating_sub(done));
    }

    /// Returns whether bars are on the screen, which have to make room for text.
    pub(crate) fn are_drawn(&self) -> bool {
        self.drawn.is_some()
    }

    /// Runs `work` while no bars are on the screen.
    pub(crate) fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.drawn {
            Some(drawn) => drawn.screen.suspend(work),
            None => work(),
        }
    }

    /// Removes the bars.
    pub(crate) fn clear(&self) {
        if let Some(drawn) = &self.drawn {
            // A terminal that is gone has none.
            let _ = drawn.screen.clear();
            drawn.screen.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

impl UnderWay {
    fn begin(&mut self, host: &HostName) {
        self.begun += 1;
        self.hosts.insert(self.begun, host.clone());
        self.places.insert(host.clone(), self.begun);
    }

    fn end(&mut self, host: &HostName, has_failed: bool) {
        if let Some(place) = self.places.remove(host) {
            self.hosts.remove(&place);
        }
        self.failed += u64::from(has_failed);
    }

    /// What follows the count: the failures, and who has run for the longest time.
    fn text(&self) -> String {
        let mut text = String::new();
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        if let Some(host) = self.hosts.values().next() {
            text.push_str(&format!(", slowest {}", chopsticks::text::harmless_line(host.as_str())));
        }
        text
    }
}

impl Drawn {
    fn bar(&self, host: &HostName, total: Option<u64>) -> ProgressBar {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style()),
            None => ProgressBar::no_length().with_style(endless()),
        };
        self.screen.insert_before(
            &self.total,
            bar.with_prefix(chopsticks::text::harmless_line(host.as_str()).into_owned()),
        )
    }
}

fn style() -> ProgressStyle {
    let text = "{prefix:20!} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The style for a transfer of unknown size.
fn endless() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:20!} {bytes}, {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// So few hosts are not counted: their results can be seen at a glance.
pub(crate) const FEW: usize = 10;
/// A usual terminal does not have lines for more bars.
const HOSTS_SHOWN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slowest_is_who_has_run_for_the_longest_time() {
        let host = |name: &str| HostName::lossy(name);
        let mut under_way = UnderWay::default();
        for name in ["web1", "web2", "web3"] {
            under_way.begin(&host(name));
        }
        assert_eq!(under_way.text(), ", slowest web1");
        under_way.end(&host("web1"), true);
        under_way.end(&host("web3"), false);
        assert_eq!(under_way.text(), ", 1 failed, slowest web2");
        under_way.end(&host("web2"), true);
        assert_eq!(under_way.text(), ", 2 failed");
    }
}
