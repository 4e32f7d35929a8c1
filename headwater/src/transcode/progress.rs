//! What the person at the terminal sees while a transcode runs.

use std::collections::BTreeMap;

use catalog_store::progress::seconds_left;
use domain::pace;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pipeline::Progress;

use crate::terminal;

/// Shows the progress of every rendition: bars on a terminal, else a line whenever a rendition has
/// passed another tenth.
pub(super) enum Display {
    Bars { all: MultiProgress, bars: BTreeMap<String, ProgressBar> },
    Lines { tenths: BTreeMap<String, u64> },
}

impl Display {
    /// A display for whoever reads standard error.
    pub(super) fn start() -> Self {
        if terminal::is_interactive() {
            Self::Bars { all: MultiProgress::new(), bars: BTreeMap::new() }
        } else {
            Self::Lines { tenths: BTreeMap::new() }
        }
    }

    /// Shows how far each rendition is, and how long it will take.
    pub(super) fn update(&mut self, progress: &Progress) {
        let whole = seconds_left(&progress.renditions, progress.at);
        for rendition in &progress.renditions {
            let (name, done, total) = (rendition.id.to_string(), u64::from(rendition.done), u64::from(rendition.total));
            let left = rendition.left(progress.at).map(pace::seconds);
            match self {
                Self::Bars { all, bars } => {
                    let bar = bars.entry(name.clone()).or_insert_with(|| all.add(bar(&name, total)));
                    bar.set_position(done);
                    bar.set_message(terminal::time_left(left));
                }
                Self::Lines { tenths } => {
                    let tenth = done * 10 / total.max(1);
                    if tenths.insert(name.clone(), tenth) != Some(tenth) {
                        let left = terminal::time_left(left);
                        let whole = match whole {
                            Some(seconds) if seconds > 0 && done < total => {
                                format!(" ({} until all is done)", terminal::time(seconds))
                            }
                            _ => String::new(),
                        };
                        terminal::complain(&format!("{name}: {done} of {total} segments{left}{whole}"));
                    }
                }
            }
        }
    }

    /// Leaves what was shown last on the screen.
    pub(super) fn end(self) {
        if let Self::Bars { bars, .. } = self {
            for bar in bars.values() {
                bar.abandon();
            }
        }
    }
}

fn bar(name: &str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>16} {bar:40} {pos}/{len} segments{msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style);
    bar.set_prefix(name.to_owned());
    bar
}
