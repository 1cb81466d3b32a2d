//! Tables as text, for terminals and as Markdown.

use super::figures::plain;

/// The longest text in a cell of a terminal, and in a cell of Markdown.
const CELL_MAX: usize = 60;
const MARKDOWN_CELL_MAX: usize = 300;

/// Rows below titles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

/// Where a column's texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

impl Table {
    /// Begins a table: first the columns of words, then those of figures.
    pub(crate) fn new<const W: usize, const F: usize>(words: [&'static str; W], figures: [&'static str; F]) -> Self {
        let columns =
            words.map(|title| (title, Align::Left)).into_iter().chain(figures.map(|title| (title, Align::Right)));
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns lines of text whose columns stand below each other, the titles first.
    pub(crate) fn text(&self) -> Vec<String> {
        let titles = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(titles)
            .chain(self.rows.iter().map(|row| row.iter().map(|cell| plain(cell, CELL_MAX)).collect()))
            .collect();
        let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.columns.len()).map(|i| width(i).unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let mut text = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                match align {
                    Align::Left => text.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => text.push_str(&format!("{cell:>width$}  ")),
                }
            }
            text.trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }

    /// Returns it as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|(title, _)| (*title).to_owned()).collect());
        let rule = |(_, align): &(&str, Align)| if *align == Align::Left { ":--" } else { "--:" }.to_owned();
        text.push_str(&line(self.columns.iter().map(rule).collect()));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(|cell| escaped(cell)).collect()));
        }
        text
    }
}

/// Returns `text` such that Markdown shows it as it is: no markup, no HTML, no link.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = plain(text, MARKDOWN_CELL_MAX);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // An address by itself becomes a link, and so does a name after an at sign, in many renderers.
            ':' if chars.peek() == Some(&'/') => out.push_str("&#58;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["Task"], ["Requests"]);
        table.row(["predict".into(), "12,345".into()]);
        table.row(["a|b <img src=x>".into(), "1".into()]);
        table
    }

    #[test]
    fn columns_stand_below_each_other() {
        assert_eq!(
            table().text(),
            ["Task             Requests", "predict            12,345", "a|b <img src=x>         1"]
        );
    }

    #[test]
    fn a_cell_of_markdown_is_only_text() {
        let wanted = "| Task | Requests |\n| :-- | --: |\n| predict | 12,345 |\n| a\\|b &lt;img src=x&gt; | 1 |\n";
        assert_eq!(table().markdown(), wanted);
        assert_eq!(escaped("[x](http://y)\n# z"), "\\[x\\](http&#58;//y) \\# z");
    }
}
