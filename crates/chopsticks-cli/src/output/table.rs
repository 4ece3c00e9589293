//! The facts of all targets, as a table for people.

use chopsticks::{facts::Facts, text::harmless_line};

use crate::output::paint::{self, Paint};

/// Rows in any order.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<(usize, [String; COLUMNS])>,
}

impl Table {
    /// Adds the facts of the target with this position.
    pub(super) fn add(&mut self, index: usize, host: &str, facts: &Facts) {
        let python = match facts.python_version {
            Some((major, minor, micro)) => format!("{major}.{minor}.{micro}"),
            None => "-".to_owned(),
        };
        let row = [
            host.to_owned(),
            facts.ip.map_or("-".to_owned(), |ip| ip.to_string()),
            python,
            facts.os.name.clone(),
            format!("{} {}", facts.kernel.release, facts.kernel.machine),
            facts.cpu_count.to_string(),
            facts.memory.total.map_or("-".to_owned(), size),
            facts.memory.available.map_or("-".to_owned(), size),
        ];
        self.rows.push((index, row.map(|cell| harmless_line(&cell.replace(['\n', '\t'], " ")).into_owned())));
    }

    /// Composes the table. Returns no text if there are no rows.
    pub(super) fn text(mut self, paint: Paint) -> String {
        let mut out = String::new();
        if self.rows.is_empty() {
            return out;
        }
        self.rows.sort_by_key(|(index, _)| *index);
        let heads = HEADS.map(str::to_owned);
        let rows: Vec<_> = self.rows.iter().map(|(_, row)| row).collect();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([heads[column].len()]).max().unwrap_or_default()
        });
        for (number, row) in [&heads].into_iter().chain(rows).enumerate() {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let is_last = column == COLUMNS - 1;
                let padding = if is_last { 0 } else { width - cell.chars().count() + GAP };
                let style = if number > 0 && column == 0 { paint::HOST } else { paint::PLAIN };
                paint.push(&mut out, style, cell);
                out.extend(std::iter::repeat_n(' ', padding));
            }
            out.push('\n');
        }
        out
    }
}

/// Formats a size in binary units.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
    let gib = bytes as f64 / f64::from(1 << 30);
    format!("{gib:.1} GiB")
}

const COLUMNS: usize = 8;
const HEADS: [&str; COLUMNS] =
    ["HOST", "ADDRESS", "PYTHON", "SYSTEM", "KERNEL", "CPUS", "MEMORY", "AVAILABLE"];
const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_the_order_of_targets() {
        let mut table = Table::default();
        assert_eq!(std::mem::take(&mut table).text(Paint::new(false)), "");
        table.rows.push((1, ["b", "-", "2.7.18", "x", "y", "1", "1.0 GiB", "-"].map(str::to_owned)));
        table
            .rows
            .push((0, ["größe", "10.0.0.7", "3.11.2", "x", "y", "16", "1.0 GiB", "-"].map(str::to_owned)));
        let text = table.text(Paint::new(false));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "HOST   ADDRESS   PYTHON  SYSTEM  KERNEL  CPUS  MEMORY   AVAILABLE");
        assert_eq!(lines[1], "größe  10.0.0.7  3.11.2  x       y       16    1.0 GiB  -");
        assert_eq!(lines[2], "b      -         2.7.18  x       y       1     1.0 GiB  -");
    }
}
