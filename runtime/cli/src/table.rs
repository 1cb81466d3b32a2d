//! Columns of text.

/// Returns rows as lines with aligned columns; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, n: usize| row.get(n).map_or("", String::as_str).to_owned();
    let width = |n: usize| rows.iter().map(|row| cell(row, n).chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..n_columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(n, width)| format!("{:<width$}", cell(row, n)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["NAME".into(), "N".into()], vec!["a".into(), "10".into()], vec!["long".into()]];
        assert_eq!(table(&rows[..2]), "NAME  N\na     10\n");
        assert_eq!(table(&rows), "NAME  N\na     10\nlong\n");
    }
}
