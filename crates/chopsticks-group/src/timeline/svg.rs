//! A timeline as a picture.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write as _},
    time::Duration,
};

use super::Span;

/// Draws rows of spans over a time axis. Sizes are in pixels.
pub(super) fn draw<N: fmt::Display>(rows: &[(N, Vec<Span>)], len: Duration) -> String {
    let seconds = len.as_secs_f64().max(f64::MIN_POSITIVE);
    let left =
        24.0 + 7.0 * rows.iter().map(|(name, _)| shown(name).chars().count()).max().unwrap_or(0) as f64;
    let bottom = TOP + ROW * rows.len() as f64 + 32.0;
    let labels = labels(rows);
    let x = |time: Duration| left + WIDTH * (time.as_secs_f64() / seconds);
    let mut svg = Svg::default();
    svg.open(left + WIDTH + 24.0, bottom + legend_height(&labels));
    svg.axis(seconds, left, bottom - 28.0);
    let colours: HashMap<&str, &str> = labels.iter().copied().zip(COLOURS.iter().copied().cycle()).collect();
    for (number, (name, spans)) in rows.iter().enumerate() {
        let y = TOP + ROW * number as f64;
        svg.name(left - 8.0, y, &shown(name));
        for span in spans {
            svg.bar(span, x(span.start), x(span.end.unwrap_or(len)), y, colours[&*span.label]);
        }
    }
    svg.legend(&labels, left, bottom);
    svg.close()
}

/// The unfinished document.
#[derive(Default)]
struct Svg(String);

impl Svg {
    fn open(&mut self, width: f64, height: f64) {
        self.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        ));
    }

    fn axis(&mut self, seconds: f64, left: f64, bottom: f64) {
        let step = step(seconds);
        let mut tick = 0.0;
        while tick <= seconds {
            let x = left + WIDTH * (tick / seconds);
            self.add(format_args!(
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{} s</text>\n",
                TOP - 6.0,
                bottom + 16.0,
                (tick * 1e6).round() / 1e6,
            ));
            tick += step;
        }
    }

    fn name(&mut self, x: f64, y: f64, name: &str) {
        let y = y + ROW / 2.0 + 2.0;
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>\n", Text(name)));
    }

    fn bar(&mut self, span: &Span, from: f64, to: f64, y: f64, colour: &str) {
        let (outcome, colour) = match (span.end, span.is_success) {
            (None, _) => ("running", "#bbb"),
            (Some(_), true) => ("done", colour),
            (Some(_), false) => ("failed", FAILED),
        };
        let width = (to - from).max(1.0);
        let label = Text(&span.label);
        let took = span.end.map_or(String::new(), |end| format!(", {:.1?}", end.saturating_sub(span.start)));
        self.add(format_args!(
            "<g><title>{label}: {outcome}{took}</title><rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" \
             height=\"{:.1}\" rx=\"2\" fill=\"{colour}\" stroke=\"#fff\"/>",
            y + 1.0,
            ROW - 4.0,
        ));
        // A text that has no room would cover its neighbour.
        if 7.0 * span.label.chars().count() as f64 + 6.0 < width {
            self.add(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#fff\">{label}</text>",
                from + 4.0,
                y + ROW / 2.0 + 2.0,
            ));
        }
        self.add(format_args!("</g>\n"));
    }

    /// Draws the legend of colours, because short bars have no room for labels.
    fn legend(&mut self, labels: &[&str], left: f64, top: f64) {
        let mut y = top + 6.0;
        let operations = labels.iter().copied().zip(COLOURS.iter().copied().cycle()).take(MAX_LEGEND);
        for (label, colour) in operations.chain((!labels.is_empty()).then_some(("failed", FAILED))) {
            self.add(format_args!(
                "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                left + 20.0,
                y + 10.0,
                Text(label),
            ));
            y += LEGEND_ROW;
        }
    }

    fn close(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn add(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(text);
    }
}

/// Escapes text for XML.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                // XML cannot have them in any form.
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Returns the labels of the operations, each once, in the order of the rows.
fn labels<N>(rows: &[(N, Vec<Span>)]) -> Vec<&str> {
    let mut seen = HashSet::new();
    let labels = rows.iter().flat_map(|(_, spans)| spans).map(|span| &*span.label);
    labels.filter(|label| seen.insert(*label)).collect()
}

fn legend_height(labels: &[&str]) -> f64 {
    match labels.len().min(MAX_LEGEND) {
        0 => 0.0,
        // One more is for those that failed.
        len => LEGEND_ROW * (len + 1) as f64 + 12.0,
    }
}

fn shown(name: &impl fmt::Display) -> String {
    let name = name.to_string();
    match name.char_indices().nth(MAX_NAME) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name,
    }
}

/// Returns a round number of seconds that fits five to ten times into `seconds`.
fn step(seconds: f64) -> f64 {
    let magnitude = 10_f64.powf((seconds / 5.0).log10().floor());
    let rounds = [5.0, 2.0, 1.0].into_iter().find(|round| magnitude * round * 5.0 <= seconds);
    magnitude * rounds.unwrap_or(1.0)
}

const WIDTH: f64 = 900.0;
const TOP: f64 = 24.0;
const ROW: f64 = 24.0;
/// Longer names would leave no room for the bars.
const MAX_NAME: usize = 40;
const FAILED: &str = "#d33";
const LEGEND_ROW: f64 = 18.0;
/// A queue can have an operation for each of thousands of files. Bars show their label when the
/// pointer is on them.
const MAX_LEGEND: usize = 24;
/// Neighbours differ in light as well as in hue; red is for failures.
const COLOURS: &[&str] = &["#2b6cb0", "#38a169", "#b7791f", "#6b46c1", "#2c7a7b", "#97266d", "#4a5568"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_has_a_bar_for_each_operation_and_harmless_text() {
        let span = |label: &str, start, end: Option<u64>| Span {
            label: label.into(),
            start: Duration::from_millis(start),
            end: end.map(Duration::from_millis),
            is_success: label != "bad",
        };
        let rows = [(
            "web<1>\x1b",
            vec![span("put", 0, Some(100)), span("bad", 100, Some(110)), span("x", 110, None)],
        )];
        let svg = draw(&rows, Duration::from_millis(200));
        assert_eq!(svg.matches("<g>").count(), 3);
        assert!(svg.contains("web&lt;1&gt;\u{fffd}") && !svg.contains('\x1b'), "{svg}");
        assert!(
            svg.contains("put: done, 100.0ms") && svg.contains("bad: failed") && svg.contains("x: running")
        );
        assert!(svg.contains("#d33") && svg.contains("0.02 s"), "{svg}");
    }

    #[test]
    fn short_bar_without_a_label_is_told_by_the_legend() {
        let span = |label: &str| Span {
            label: label.into(),
            start: Duration::ZERO,
            end: Some(Duration::from_millis(1)),
            is_success: true,
        };
        let rows = [("a", vec![span("put <x>"), span("fetch")]), ("b", vec![span("fetch")])];
        let svg = draw(&rows, Duration::from_secs(1));
        assert_eq!(
            (svg.matches(">put &lt;x&gt;</text>").count(), svg.matches(">fetch</text>").count()),
            (1, 1)
        );
        // A bar for each, and the legend.
        assert_eq!(svg.matches(COLOURS[1]).count(), 3, "{svg}");
        let many: Vec<_> = (0..1000).map(|number| span(&number.to_string())).collect();
        assert_eq!(
            draw(&[("a", many)], Duration::from_secs(1)).matches("width=\"12\"").count(),
            MAX_LEGEND + 1
        );
    }

    #[test]
    fn steps_are_round() {
        for (seconds, expected) in
            [(1.0, 0.2), (5.0, 1.0), (9.9, 1.0), (10.0, 2.0), (26.0, 5.0), (60.0, 10.0)]
        {
            assert!((step(seconds) - expected).abs() < 1e-9, "{seconds}: {}", step(seconds));
        }
    }

    #[test]
    fn empty_timeline_is_a_picture_too() {
        let rows: [(&str, Vec<Span>); 0] = [];
        assert!(draw(&rows, Duration::ZERO).ends_with("</svg>\n"));
    }
}
