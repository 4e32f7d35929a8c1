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

/// A length of time for people: `4 s`, `3 min 20 s`, `1 h 5 min`.
pub fn time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// How long something will take yet, to be put behind how far it is; nothing if that is not known, or if it is done.
pub fn time_left(seconds: Option<u64>) -> String {
    seconds.filter(|seconds| *seconds > 0).map_or_else(String::new, |seconds| format!(", {} left", time(seconds)))
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
    fn what_is_left_is_told_if_it_is_known() {
        assert_eq!(time_left(Some(59)), ", 59 s left");
        assert_eq!(time_left(Some(200)), ", 3 min 20 s left");
        assert_eq!(time_left(Some(3900)), ", 1 h 5 min left");
        assert_eq!((time_left(Some(0)), time_left(None)), (String::new(), String::new()));
    }

    #[test]
    fn columns_line_up() {
        let rows = [("size".to_owned(), "1.5K".to_owned()), ("container".to_owned(), "mp4".to_owned())];
        assert_eq!(table(&rows), "size       1.5K\ncontainer  mp4\n");
    }
}
