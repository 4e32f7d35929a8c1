//! What the commands say on standard output and standard error.

use std::io::{self, IsTerminal, Write};

/// Writes one line to standard output at once. A reader that went away is no error.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes one line to standard error.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// True if a person reads standard error, so that progress bars make sense.
pub fn is_interactive() -> bool {
    io::stderr().is_terminal()
}

/// Rows of text in columns that line up, two spaces apart; the last column is ragged.
pub fn table(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(String, String)| format!("{name:<width$}  {value}").trim_end().to_owned() + "\n";
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [("size".to_owned(), "1.5K".to_owned()), ("container".to_owned(), "mp4".to_owned())];
        assert_eq!(table(&rows), "size       1.5K\ncontainer  mp4\n");
    }
}
