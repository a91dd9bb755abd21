//! Lists for people: columns of equal width, numbers to the right.

use std::fmt::Write;

/// A table that grows row by row.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&str; N]) -> Table<N> {
        Table {
            rows: vec![head.map(str::to_uppercase)],
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        // Names are an operator's own, yet a line break or an escape in one must not redraw the terminal.
        self.rows
            .push(cells.map(|cell| cell.replace(char::is_control, "\u{fffd}")));
    }

    /// The whole, each line ended.
    pub(super) fn render(&self) -> String {
        let widths: [usize; N] = std::array::from_fn(|i| {
            self.rows
                .iter()
                .map(|row| row[i].chars().count())
                .max()
                .unwrap_or(0)
        });
        let numeric: [bool; N] = std::array::from_fn(|i| {
            let mut cells = self.rows[1..]
                .iter()
                .map(|row| &row[i])
                .filter(|cell| !cell.is_empty());
            cells.clone().count() > 0 && cells.all(|cell| is_number(cell))
        });
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                let width = widths[i];
                let written = if numeric[i] {
                    write!(line, "{cell:>width$}  ")
                } else {
                    write!(line, "{cell:<width$}  ")
                };
                written.expect("writing to a string succeeds");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn is_number(cell: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || "-.".contains(c);
    cell.chars().all(is_digit) && cell.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["name", "credits"]);
        table.row(["a".to_owned(), "5".to_owned()]);
        table.row(["b".to_owned(), String::new()]);
        table.row(["lönger\n".to_owned(), "-1000".to_owned()]);
        assert_eq!(
            table.render(),
            "NAME     CREDITS\na              5\nb\nlönger\u{fffd}    -1000\n"
        );
    }
}
