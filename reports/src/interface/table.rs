//! A table of values separated by tabs: a line of column names, and a line for each row.

/// Why the data of the interface cannot be read; each completes "cannot …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceError {
    /// The first line names other columns.
    #[error("read {file}: its columns are not {expected}")]
    Columns {
        /// The file.
        file: &'static str,
        /// The columns that it should have.
        expected: String,
    },
    /// A row has too few cells, or too many.
    #[error("read {file}: line {line} has {found} cells, not {expected}")]
    Cells {
        /// The file.
        file: &'static str,
        /// The number of the line, from one.
        line: usize,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A cell says what it cannot say.
    #[error("read {file}: {column} in line {line} is `{text}`, which is not {expected}")]
    Cell {
        /// The file.
        file: &'static str,
        /// The number of the line, from one.
        line: usize,
        /// The column.
        column: &'static str,
        /// What the cell says.
        text: String,
        /// What it should say.
        expected: &'static str,
    },
    /// Two rows are about the same.
    #[error("read {file}: line {line} is about {what}, as an earlier one is")]
    Twice {
        /// The file.
        file: &'static str,
        /// The number of the line, from one.
        line: usize,
        /// What both are about.
        what: String,
    },
}

/// A row, whose cells are asked for by their columns.
#[derive(Debug)]
pub(super) struct Cells {
    file: &'static str,
    line: usize,
    columns: &'static [&'static str],
    cells: Vec<&'static str>,
}

/// The rows of a table with these columns.
pub(super) fn rows(
    file: &'static str,
    text: &'static str,
    columns: &'static [&'static str],
) -> Result<Vec<Cells>, InterfaceError> {
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, first)| !first.split('\t').eq(columns.iter().copied())) {
        return Err(InterfaceError::Columns { file, expected: columns.join(", ") });
    }
    let row = |(index, line): (usize, &'static str)| {
        let cells: Vec<_> = line.split('\t').collect();
        let (line, expected, found) = (index + 1, columns.len(), cells.len());
        match expected == found {
            true => Ok(Cells { file, line, columns, cells }),
            false => Err(InterfaceError::Cells { file, line, expected, found }),
        }
    };
    lines.map(row).collect()
}

impl Cells {
    /// What the cell says; none where it says nothing.
    pub(super) fn said(&self, column: &'static str) -> Option<&'static str> {
        let at = self.columns.iter().position(|name| *name == column)?;
        self.cells.get(at).copied().filter(|text| *text != "-")
    }

    /// What the cell says, and it must say something.
    pub(super) fn text(&self, column: &'static str) -> Result<&'static str, InterfaceError> {
        self.said(column).filter(|text| !text.trim().is_empty()).ok_or_else(|| self.wrong(column, "a word"))
    }

    /// The words of the cell.
    pub(super) fn words(&self, column: &'static str) -> Vec<&'static str> {
        self.said(column).map(|text| text.split(' ').collect()).unwrap_or_default()
    }

    /// What the cell stands for.
    pub(super) fn read<T>(
        &self,
        column: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'static str) -> Option<T>,
    ) -> Result<T, InterfaceError> {
        self.text(column).ok().and_then(read).ok_or_else(|| self.wrong(column, expected))
    }

    /// A complaint of a cell.
    pub(super) fn wrong(&self, column: &'static str, expected: &'static str) -> InterfaceError {
        let text = self.said(column).unwrap_or("-").to_owned();
        InterfaceError::Cell { file: self.file, line: self.line, column, text, expected }
    }

    /// A complaint of a row that is there already.
    pub(super) fn twice(&self, what: String) -> InterfaceError {
        InterfaceError::Twice { file: self.file, line: self.line, what }
    }
}

/// A number, in decimal or hexadecimal.
pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["name", "number"];

    #[test]
    fn rows_are_read_by_their_columns() {
        let rows = rows("a.tsv", "name\tnumber\nx\t0x1f\n-\t7\n", COLUMNS).unwrap();
        assert_eq!(rows[0].text("name"), Ok("x"));
        assert_eq!(rows[0].read("number", "a number", number), Ok(31));
        assert_eq!(rows[1].said("name"), None);
        assert_eq!(rows[1].read("number", "a number", number), Ok(7));
    }

    #[test]
    fn what_is_damaged_is_told_with_its_line() {
        let told = |text| rows("a.tsv", text, COLUMNS).map(drop).unwrap_err().to_string();
        assert_eq!(told(""), "read a.tsv: its columns are not name, number");
        assert_eq!(told("name\tnumber\nx\n"), "read a.tsv: line 2 has 1 cells, not 2");
        let row = &rows("a.tsv", "name\tnumber\nx\t0xzz\n", COLUMNS).unwrap()[0];
        let error = row.read("number", "a number", number).unwrap_err().to_string();
        assert_eq!(error, "read a.tsv: number in line 2 is `0xzz`, which is not a number");
    }
}
