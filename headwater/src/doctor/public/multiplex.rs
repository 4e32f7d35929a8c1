//! Is HTTP/2 offered, and is it as fast as HTTP/1.1?
//!
//! A window that never grows bounds an upload to one window for each round trip.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use domain::ByteSize;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Ping, SendStream};
use http::{Request, StatusCode, header};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::line::{EXCHANGE_MAX, Fault};
use super::{Trial, told};

/// Octets that may wait for the connection.
const SEND_BUFFER_BYTES: usize = 16 << 20;
/// Time for the first sign of life on HTTP/2.
const GREETING_MAX: Duration = Duration::from_secs(3);
/// HTTP/2 may take this many times as long before it is worth a word.
const SLOWER_MAX: u32 = 2;
/// Differences below this are chance.
const CHANCE: Duration = Duration::from_millis(100);

/// A connection of HTTP/2.
struct Multiplexed {
    sender: SendRequest<Bytes>,
    round_trip: Duration,
    /// Drives the connection until this is dropped.
    _connection: JoinSet<()>,
}

/// How an upload fared.
struct Run {
    status: StatusCode,
    took: Duration,
    /// Octets that could be sent at once.
    window_bytes: usize,
}

impl Trial {
    /// Sends the same amount over both versions.
    pub(super) async fn multiplex(&mut self) {
        let name = "http/2";
        let multiplexed = match self.greeted().await {
            Ok(multiplexed) => multiplexed,
            Err(_) => return self.ok(name, "not offered here; HTTP/1.1 serves uploads as well"),
        };
        let Some((bytes, plain)) = self.plain else {
            return self.ok(name, "offered; its speed cannot be compared while HTTP/1.1 takes no such request");
        };
        let round_trip = multiplexed.round_trip;
        let run = self.run_on(multiplexed, bytes).await;
        let settled = self.settle().await;
        match (run, settled) {
            (Ok(run), Ok(_)) if run.status.is_success() => {
                let (verdict, text) = compared(bytes, plain, &run, round_trip);
                if verdict { self.ok(name, text) } else { self.warn(name, text) }
            }
            (Ok(run), Ok(_)) => self.warn(name, format!("a piece over HTTP/2 is answered {}", run.status)),
            (Err(fault), _) => self.warn(name, format!("a piece over HTTP/2 fails: {}", told(&fault))),
            (_, Err(said)) => self.warn(name, format!("after a piece over HTTP/2 the upload cannot be found: {said}")),
        }
    }

    async fn greeted(&self) -> Result<Multiplexed, Fault> {
        let io = self.site.connect(&["h2"]).await?;
        let handshake = client::Builder::new().max_send_buffer_size(SEND_BUFFER_BYTES).handshake(io);
        let silence = |_| Fault::Silence(GREETING_MAX);
        let (sender, mut connection) = timeout(GREETING_MAX, handshake).await.map_err(silence)??;
        let pings = connection.ping_pong();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // How it ends shows in the requests on it.
            let _ = connection.await;
        });
        let mut pings = pings.ok_or(Fault::Silence(GREETING_MAX))?;
        // The first one also waits until the settings are there; the second one measures.
        timeout(GREETING_MAX, pings.ping(Ping::opaque())).await.map_err(silence)??;
        let begun = Instant::now();
        timeout(GREETING_MAX, pings.ping(Ping::opaque())).await.map_err(silence)??;
        Ok(Multiplexed { sender, round_trip: begun.elapsed(), _connection: tasks })
    }

    async fn run_on(&self, multiplexed: Multiplexed, bytes: u64) -> Result<Run, Fault> {
        let octets = self.octets(bytes);
        let (mut head, ()) = self.patch().body(())?.into_parts();
        // The host stands in the address here.
        head.headers.remove(header::HOST);
        head.uri = self.upload.as_str().parse().map_err(http::Error::from)?;
        head.headers.insert(header::CONTENT_LENGTH, bytes.into());
        let silence = |_| Fault::Silence(EXCHANGE_MAX);
        let run = async {
            let mut sender = multiplexed.sender.ready().await?;
            let (response, stream) = sender.send_request(Request::from_parts(head, ()), false)?;
            sent(response, stream, octets).await
        };
        timeout(EXCHANGE_MAX, run).await.map_err(silence)?
    }
}

/// Sends the body as the windows allow and waits for the answer.
async fn sent(response: ResponseFuture, mut stream: SendStream<Bytes>, mut octets: Bytes) -> Result<Run, Fault> {
    let begun = Instant::now();
    let mut window_bytes = 0;
    stream.reserve_capacity(octets.len());
    while !octets.is_empty() {
        let Some(granted) = poll_fn(|context| stream.poll_capacity(context)).await else { break };
        let granted = granted?;
        // All that is granted before anything was sent is the window.
        window_bytes = if window_bytes == 0 { granted } else { window_bytes };
        // All of it at once: what is left over would not be granted again.
        let piece = octets.split_to(octets.len().min(granted));
        stream.send_data(piece, octets.is_empty())?;
        stream.reserve_capacity(octets.len());
    }
    let status = response.await?.status();
    Ok(Run { status, took: begun.elapsed(), window_bytes })
}

/// Whether all is well, and what to say.
fn compared(bytes: u64, plain: Duration, run: &Run, round_trip: Duration) -> (bool, String) {
    let rate = |took: Duration| {
        let rate = u128::from(bytes) * 1000 / took.as_millis().max(1);
        ByteSize(u64::try_from(rate).unwrap_or(u64::MAX))
    };
    let (slow, fast) = (rate(run.took), rate(plain));
    if run.took <= plain * SLOWER_MAX + CHANCE {
        return (true, format!("{slow}/s, HTTP/1.1 {fast}/s"));
    }
    let window = ByteSize(run.window_bytes as u64);
    let round_trips = u32::try_from(bytes.div_ceil(window.0.max(1))).unwrap_or(u32::MAX);
    if round_trip.saturating_mul(round_trips) < run.took / 2 {
        return (true, format!("{slow}/s now, HTTP/1.1 {fast}/s; not for want of a window of {window}"));
    }
    let text = format!(
        "{slow}/s where HTTP/1.1 makes {fast}/s: a window of {window} for each round trip of {} ms is too small; \
         enlarge it, or offer HTTP/1.1 for uploads",
        round_trip.as_millis()
    );
    (false, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_window_shows_in_the_speed() {
        let run = |ms| Run { status: StatusCode::NO_CONTENT, took: Duration::from_millis(ms), window_bytes: 65_535 };
        let compare =
            |single, double| compared(4 << 20, Duration::from_millis(single), &run(double), Duration::from_millis(40));
        assert_eq!(compare(400, 500), (true, "8.0M/s, HTTP/1.1 10.0M/s".to_owned()));
        assert!(compare(1, 90).0, "what takes no time cannot be compared");
        // 64 round trips of 40 ms explain half of it at least, or chance does.
        assert!(compare(400, 6000).0, "a machine that is busy is no small window");
        let (is_well, text) = compare(400, 2560);
        assert!(!is_well && text.contains("window of 64.0K for each round trip of 40 ms"), "{text}");
    }
}
