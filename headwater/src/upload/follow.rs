//! What becomes of a file that arrived: its asset, until it is ready or failed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::wire::Wire;
use crate::terminal;

/// Time for one look.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The asset as it is now; `None` if whoever asks may upload, but not look at it.
pub(super) async fn look(wire: &Wire, asset: &Url) -> anyhow::Result<Option<Value>> {
    let answer = wire.request(Method::GET, asset).timeout(ANSWER_MAX).send().await?;
    // What one may not see is answered as if it were not there.
    if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status()) {
        return Ok(None);
    }
    Ok(Some(answer.error_for_status()?.json().await?))
}

/// Looks every `interval` until the asset is ready, failed or deleted, and shows every rendition; `None` if whoever asks
/// may not look at it.
///
/// # Errors
/// When nothing has changed, or the server did not answer, for `patience`.
pub(super) async fn until_final(
    wire: &Wire,
    asset: &Url,
    interval: Duration,
    patience: Duration,
) -> anyhow::Result<Option<Value>> {
    let mut display = Display::start();
    let (mut last, mut since) = (Value::Null, Instant::now());
    // Ends with a final state or when patience does.
    loop {
        let seen = look(wire, asset).await;
        if matches!(seen, Ok(None)) && last.is_null() {
            display.end();
            return Ok(None);
        }
        if let Ok(Some(seen)) = &seen {
            display.update(seen);
            if ["ready", "failed", "deleted"].iter().any(|state| seen["state"] == *state) {
                display.end();
                return Ok(Some(seen.clone()));
            }
            if *seen != last {
                (last, since) = (seen.clone(), Instant::now());
            }
        }
        if since.elapsed() > patience {
            display.end();
            seen.context("the server does not answer")?.context("the asset cannot be seen any more")?;
            bail!("no progress for {} s; it goes on without this command", patience.as_secs());
        }
        tokio::time::sleep(interval).await;
    }
}

enum Display {
    Bars { all: MultiProgress, bars: BTreeMap<String, ProgressBar> },
    Lines { said: BTreeMap<String, String> },
}

impl Display {
    fn start() -> Self {
        if terminal::is_interactive() {
            Self::Bars { all: MultiProgress::new(), bars: BTreeMap::new() }
        } else {
            Self::Lines { said: BTreeMap::new() }
        }
    }

    fn update(&mut self, asset: &Value) {
        let state = asset["state"].as_str().unwrap_or_default();
        let left = terminal::time_left(asset["seconds_left"].as_u64().filter(|_| state == "processing"));
        let key = if left.is_empty() { state.to_owned() } else { format!("{state}, known") };
        self.line("asset", key, &format!("{state}{left}"));
        for rendition in asset["renditions"].as_array().into_iter().flatten() {
            let name = rendition["id"].as_str().unwrap_or_default();
            let done = rendition["segments_done"].as_u64().unwrap_or_default();
            let total = rendition["segments_total"].as_u64().unwrap_or_default();
            let left = terminal::time_left(rendition["seconds_left"].as_u64());
            match self {
                Self::Bars { all, bars } => {
                    let bar = bars.entry(name.to_owned()).or_insert_with(|| all.add(bar(name, total)));
                    bar.set_position(done);
                    bar.set_message(left);
                }
                Self::Lines { .. } => {
                    let tenth = done * 10 / total.max(1);
                    self.line(name, tenth.to_string(), &format!("{done} of {total} segments{left}"));
                }
            }
        }
    }

    /// Says something of `name` when `key` changed; for those who do not see the bars.
    fn line(&mut self, name: &str, key: String, text: &str) {
        if let Self::Lines { said } = self
            && said.get(name) != Some(&key)
        {
            terminal::complain(&format!("{name}: {text}"));
            said.insert(name.to_owned(), key);
        }
    }

    fn end(self) {
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
