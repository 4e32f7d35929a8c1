//! What the person at the terminal sees while a file is sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::terminal;

/// Longest estimate that is worth telling.
const ESTIMATE_MAX: Duration = Duration::from_secs(100 * 3600);

/// Shows how much of a file was sent: a bar on a terminal, else a line for every tenth.
pub(super) struct Transfer {
    name: String,
    begun: Instant,
    state: Mutex<State>,
    /// Octets handed to the network, those sent twice included.
    passed: AtomicU64,
    retries: AtomicU64,
    /// `None` where nobody sees a bar.
    bar: Option<ProgressBar>,
}

struct State {
    bytes: u64,
    /// Octets of each part that are on their way or there.
    positions: Vec<u64>,
    lengths: Vec<u64>,
    /// Octets that earlier runs sent.
    resumed: u64,
    /// The last tenth that was told.
    tenth: u64,
}

impl Transfer {
    /// A display for a file of `bytes` octets; 0 if that is not known yet.
    pub(super) fn start(name: &str, bytes: u64) -> Self {
        let bar = terminal::is_interactive().then(|| {
            let style = "{prefix:>16} {bar:32} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left{msg}";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(bytes).with_style(style);
            bar.set_prefix(name.to_owned());
            bar
        });
        let transfer = Self {
            name: name.to_owned(),
            begun: Instant::now(),
            state: Mutex::new(State { bytes, positions: Vec::new(), lengths: Vec::new(), resumed: 0, tenth: 0 }),
            passed: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            bar,
        };
        transfer.divided(&[bytes]);
        transfer
    }

    /// The file goes in parts of these lengths.
    pub(super) fn divided(&self, lengths: &[u64]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.positions = vec![0; lengths.len()];
        state.lengths = lengths.to_vec();
    }

    /// The file has `bytes` octets, which was not known before.
    pub(super) fn measured(&self, bytes: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes = bytes;
        self.divided(&[bytes]);
        if let Some(bar) = &self.bar {
            bar.set_length(bytes);
        }
    }

    /// `sent` octets of a part are on their way or there.
    pub(super) fn at(&self, part: usize, sent: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = state.positions.get_mut(part) {
            *position = sent;
        }
        let all: u64 = state.positions.iter().sum();
        let parts = parts_done(&state);
        if let Some(bar) = &self.bar {
            bar.set_position(all);
            bar.set_message(parts);
            return;
        }
        let tenth = all.saturating_mul(10) / state.bytes.max(1);
        // A length of 0 is one that is not known yet.
        if tenth > state.tenth && state.bytes > 0 {
            state.tenth = tenth;
            let pace = pace(all.saturating_sub(state.resumed), state.bytes.saturating_sub(all), self.begun.elapsed());
            let (all, bytes) = (ByteSize(all), ByteSize(state.bytes));
            terminal::complain(&format!("{}: {all} of {bytes} sent{pace}{parts}", self.name));
        }
    }

    /// `bytes` octets were handed to the network.
    pub(super) fn passed(&self, bytes: u64) {
        self.passed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A part goes on at `offset` from an earlier run.
    pub(super) fn resumed_at(&self, part: usize, offset: u64) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.resumed += offset;
            let length = state.lengths.get(part).copied().unwrap_or(state.bytes);
            let which = if state.lengths.len() > 1 { format!("part {} ", part + 1) } else { String::new() };
            self.note(&format!("{which}goes on at {} of {}", ByteSize(offset), ByteSize(length)));
        }
        if let Some(bar) = &self.bar {
            bar.reset_eta();
        }
        self.at(part, offset);
    }

    /// Something is tried again.
    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Something went wrong that will be tried again.
    pub(super) fn trouble(&self, reason: &str) {
        self.note(&format!("{reason}; trying again"));
    }

    /// Leaves what was shown last on the screen.
    pub(super) fn end(&self, is_complete: bool) {
        match &self.bar {
            Some(bar) if is_complete => bar.finish(),
            Some(bar) => bar.abandon(),
            None => {}
        }
    }

    /// A line of its own, whatever else is shown.
    pub(super) fn note(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("{}: {what}", self.name)),
            None => terminal::complain(&format!("{}: {what}", self.name)),
        }
    }

    /// The figures of the transfer, for programs.
    pub(super) fn figures(&self) -> Value {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "bytes": state.bytes,
            "sent_bytes": self.passed.load(Ordering::Relaxed),
            "resumed_bytes": state.resumed,
            "parts": state.lengths.len(),
            "retries": self.retries.load(Ordering::Relaxed),
            "elapsed_ms": u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// `, 3 of 4 parts`; nothing where there is one.
fn parts_done(state: &State) -> String {
    let done = state.positions.iter().zip(&state.lengths).filter(|(position, length)| position >= length).count();
    if state.lengths.len() > 1 { format!(", {done} of {} parts", state.lengths.len()) } else { String::new() }
}

/// `, 1.5M/s, 20 s left`; nothing as long as nothing can be said.
pub(super) fn pace(sent: u64, left: u64, elapsed: Duration) -> String {
    let elapsed_ms = elapsed.as_millis().max(1);
    let rate = u64::try_from(u128::from(sent) * 1000 / elapsed_ms).unwrap_or(u64::MAX);
    if rate == 0 {
        return String::new();
    }
    let estimate = Duration::from_secs(left.div_ceil(rate));
    if estimate > ESTIMATE_MAX {
        return format!(", {}/s", ByteSize(rate));
    }
    format!(", {}/s, {} left", ByteSize(rate), span(estimate))
}

/// `45 s`, `3 min 20 s`, `2 h 5 min`.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_rest_are_told_once_there_is_something_to_tell() {
        let check = |sent, left, ms, expected: &str| {
            assert_eq!(pace(sent, left, Duration::from_millis(ms)), expected);
        };
        check(0, 1000, 1000, "");
        check(2 << 20, 20 << 20, 2000, ", 1.0M/s, 20 s left");
        check(1 << 20, 200 << 20, 1000, ", 1.0M/s, 3 min 20 s left");
        check(1 << 20, 7500 << 20, 1000, ", 1.0M/s, 2 h 5 min left");
        check(1000, u64::MAX, 1000, ", 1000/s");
    }

    #[test]
    fn the_parts_make_the_whole() {
        let transfer = Transfer::start("film.mp4", 100);
        transfer.divided(&[30, 70]);
        transfer.resumed_at(1, 20);
        transfer.at(0, 30);
        transfer.passed(30);
        let state = transfer.state.lock().expect("is whole");
        assert_eq!((state.positions.as_slice(), state.resumed, state.tenth), ([30, 20].as_slice(), 20, 5));
        assert_eq!(parts_done(&state), ", 1 of 2 parts");
        drop(state);
        let figures = transfer.figures();
        assert_eq!((&figures["sent_bytes"], &figures["resumed_bytes"]), (&json!(30), &json!(20)));
        assert_eq!((&figures["parts"], &figures["retries"]), (&json!(2), &json!(0)));
    }
}
