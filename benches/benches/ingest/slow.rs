//! Two thousand slow uploads beside a fast one.
//!
//! One thread feeds them all: every upload has a connection of its own and sends a little each second,
//! each at its own moment.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::tus;

/// What one slow upload sends in a second.
pub(crate) const BYTES_PER_S: usize = 1024;

/// Time between two pieces of it.
const ROUND: Duration = Duration::from_secs(1);

/// What a slow upload announces: more than it will ever send here.
const LENGTH_BYTES: usize = 1 << 20;

/// Slow uploads that go on until dropped.
pub(crate) struct Crowd {
    is_over: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
    feeder: Option<std::thread::JoinHandle<()>>,
}

impl Crowd {
    /// Begins `count` uploads; `opening` is what their files begin with.
    pub(crate) fn begin(address: &str, count: usize, opening: &[u8]) -> anyhow::Result<Self> {
        let mut streams = Vec::with_capacity(count);
        for number in 0..count {
            let path = tus::create(address, LENGTH_BYTES).with_context(|| format!("slow upload {number}"))?;
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(tus::append_head(address, &path, LENGTH_BYTES).as_bytes())?;
            stream.set_nonblocking(true)?;
            streams.push(stream);
        }
        let (is_over, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stop, failures, file) = (is_over.clone(), lost.clone(), opening.to_vec());
        let feeder = std::thread::spawn(move || feed(streams, &file, &stop, &failures));
        Ok(Self { is_over, lost, feeder: Some(feeder) })
    }

    /// Uploads whose server hung up or stopped reading.
    pub(crate) fn lost_count(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(feeder) = self.feeder.take() {
            // It ends with its round.
            let _ = feeder.join();
        }
    }
}

fn feed(streams: Vec<TcpStream>, file: &[u8], is_over: &AtomicBool, lost: &AtomicUsize) {
    let mut streams: Vec<Option<TcpStream>> = streams.into_iter().map(Some).collect();
    let count = u32::try_from(streams.len()).unwrap_or(u32::MAX).max(1);
    let (mut began, mut sent) = (Instant::now(), 0);
    // Ends when the crowd is dropped.
    while !is_over.load(Ordering::Relaxed) {
        let piece: Vec<u8> = file.iter().copied().chain(std::iter::repeat(0)).skip(sent).take(BYTES_PER_S).collect();
        for (at, slot) in streams.iter_mut().enumerate() {
            let due = began + ROUND * u32::try_from(at).unwrap_or(0) / count;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Some(stream) = slot
                && stream.write_all(&piece).is_err()
            {
                lost.fetch_add(1, Ordering::Relaxed);
                *slot = None;
            }
        }
        sent += BYTES_PER_S;
        began += ROUND;
    }
}
