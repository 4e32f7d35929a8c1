//! The engine's end of the socket: whole messages, from any thread, and signs of progress.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::wire::{Kind, Writer};

/// Shortest time between two signs of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// A message could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("an answer could not be sent")]
pub(crate) struct Unsent;

/// Sends messages to the client.
pub(crate) struct Outlet {
    socket: Mutex<File>,
    began: Instant,
    /// Units of work done: packets read, frames decoded, frames encoded.
    steps: AtomicU64,
    /// Milliseconds after `began` at which progress was last reported.
    reported_ms: AtomicU64,
}

impl Outlet {
    pub(crate) fn new(socket: File) -> Self {
        let began = Instant::now();
        Self { socket: Mutex::new(socket), began, steps: AtomicU64::new(0), reported_ms: AtomicU64::new(0) }
    }

    /// Sends one message as a whole.
    pub(crate) fn send(&self, writer: Writer) -> Result<(), Unsent> {
        let message = writer.finish().ok_or(Unsent)?;
        let mut socket = self.socket.lock().map_err(|_| Unsent)?;
        socket.write_all(&message).map_err(|_| Unsent)
    }

    /// Sends `value` as JSON.
    pub(crate) fn json(&self, kind: Kind, value: &impl Serialize) -> Result<(), Unsent> {
        let json = serde_json::to_vec(value).map_err(|_| Unsent)?;
        let mut writer = Writer::new(kind);
        writer.raw(&json);
        self.send(writer)
    }

    /// Says that the work is complete.
    pub(crate) fn done(&self) -> Result<(), Unsent> {
        self.send(Writer::new(Kind::Done))
    }

    /// Says that the source could not be read.
    pub(crate) fn unreadable(&self) -> Result<(), Unsent> {
        self.send(Writer::new(Kind::Unreadable))
    }

    /// Counts one unit of real work; now and then tells the client.
    pub(crate) fn step(&self) -> Result<(), Unsent> {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last_ms = self.reported_ms.load(Ordering::Relaxed);
        let interval_ms = u64::try_from(PROGRESS_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        if now_ms.saturating_sub(last_ms) < interval_ms {
            return Ok(());
        }
        // Of several threads that see the interval pass, one reports.
        let won = self.reported_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        if won.is_err() {
            return Ok(());
        }
        let mut writer = Writer::new(Kind::Progress);
        writer.u64(steps);
        self.send(writer)
    }
}
