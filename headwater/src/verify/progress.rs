//! What the person at the terminal sees while a long verification runs.

use std::time::{Duration, Instant};

use domain::AssetId;
use indicatif::{ProgressBar, ProgressStyle};
use pipeline::audit::Progress;

use crate::terminal;

/// Time between two lines where there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows how far one asset is: a bar on a terminal, else a line every ten seconds.
pub(super) enum Display {
    Bar(ProgressBar),
    Lines { asset: AssetId, last: Instant },
}

impl Display {
    /// A display for whoever reads standard error.
    pub(super) fn start(asset: AssetId) -> Self {
        if !terminal::is_interactive() {
            return Self::Lines { asset, last: Instant::now() };
        }
        let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(0).with_style(style).with_prefix(asset.to_string()))
    }

    /// Shows how far it is.
    pub(super) fn update(&mut self, now: Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(now.total);
                bar.set_position(now.done);
            }
            Self::Lines { asset, last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                terminal::complain(&format!("{asset}: {} of {}", now.done, now.total));
            }
            Self::Lines { .. } => {}
        }
    }

    /// Takes the bar off the screen: what was found follows.
    pub(super) fn end(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
