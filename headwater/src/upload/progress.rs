//! What the person at the terminal sees while a file is sent.

use std::sync::Mutex;

use domain::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal;

/// Shows how much of a file was sent: a bar on a terminal, else a line for every tenth.
pub(super) struct Transfer {
    name: String,
    bytes: u64,
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    Lines { tenth: Mutex<u64> },
}

impl Transfer {
    /// A display for a file of `bytes` octets.
    pub(super) fn start(name: &str, bytes: u64) -> Self {
        let display = if terminal::is_interactive() {
            let style = "{prefix:>16} {bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left {msg}";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(bytes).with_style(style);
            bar.set_prefix(name.to_owned());
            Display::Bar(bar)
        } else {
            Display::Lines { tenth: Mutex::new(0) }
        };
        Self { name: name.to_owned(), bytes, display }
    }

    /// `sent` octets are on their way or there.
    pub(super) fn at(&self, sent: u64) {
        match &self.display {
            Display::Bar(bar) => bar.set_position(sent),
            Display::Lines { tenth } => {
                let now = sent.saturating_mul(10) / self.bytes.max(1);
                let mut tenth = tenth.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if now > *tenth {
                    *tenth = now;
                    terminal::complain(&format!("{}: {} of {} sent", self.name, ByteSize(sent), ByteSize(self.bytes)));
                }
            }
        }
    }

    /// The upload goes on at `offset` from an earlier run.
    pub(super) fn resumed_at(&self, offset: u64) {
        self.note(&format!("goes on at {} of {}", ByteSize(offset), ByteSize(self.bytes)));
        if let Display::Bar(bar) = &self.display {
            bar.reset_eta();
        }
        self.at(offset);
    }

    /// Something went wrong that will be tried again.
    pub(super) fn trouble(&self, reason: &str) {
        self.note(&format!("{reason}; trying again"));
    }

    /// Leaves what was shown last on the screen.
    pub(super) fn end(&self, is_complete: bool) {
        match &self.display {
            Display::Bar(bar) if is_complete => bar.finish(),
            Display::Bar(bar) => bar.abandon(),
            Display::Lines { .. } => {}
        }
    }

    fn note(&self, what: &str) {
        match &self.display {
            Display::Bar(bar) => bar.println(format!("{}: {what}", self.name)),
            Display::Lines { .. } => terminal::complain(&format!("{}: {what}", self.name)),
        }
    }
}
