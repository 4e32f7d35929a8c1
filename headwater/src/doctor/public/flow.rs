//! Do octets reach the server as they are sent, and does an upload go on after a cut?

use std::time::Duration;

use domain::ByteSize;

use super::{Trial, line, told};

/// Most octets of the request that is cut.
const REQUEST_BYTES_MAX: u64 = 2 << 20;
/// A cut that the server notices later than this keeps the client waiting.
const NOTICE_MAX: Duration = Duration::from_secs(3);
/// Time for sending what is sent before the cut.
const SENDING_MAX: Duration = Duration::from_secs(20);

impl Trial {
    /// Begins a request, looks what has arrived of it, cuts it, and goes on.
    pub(super) async fn flow(&mut self) {
        let before = self.offset;
        let bytes = REQUEST_BYTES_MAX.min(self.body_bytes_max);
        let sent = bytes / 2;
        match self.cut(bytes, sent).await {
            Ok(took) => {
                let arrived = self.offset.saturating_sub(before);
                self.tell_stream(arrived, sent);
                self.resume(before, arrived, took).await;
            }
            Err(said) => self.fail("resume", format!("after a cut the upload cannot be gone on with: {said}")),
        }
    }

    /// Sends half of a request of `bytes`, asks for the offset while it is open, and drops it; how long the answer took.
    async fn cut(&mut self, bytes: u64, sent: u64) -> Result<Duration, String> {
        let (body, passed) = line::begun(self.octets(sent));
        let request = self.patch().header("Content-Length", bytes).body(body).map_err(|error| error.to_string())?;
        let mut held = self.site.hold(request, passed).await.map_err(|fault| told(&fault))?;
        held.passed(sent, SENDING_MAX).await?;
        tokio::time::sleep(self.tempo.settling).await;
        // The request is still open: what the server shows came through while it was under way.
        let took = self.settle().await?;
        drop(held);
        Ok(took)
    }

    fn tell_stream(&mut self, arrived: u64, sent: u64) {
        let name = "streaming";
        let advice = "pass requests on as they come (nginx: proxy_request_buffering off)";
        if arrived == 0 {
            let text = format!(
                "none of {} arrived while the request was open: something collects whole requests, and a cut loses \
                 all of one; {advice}",
                ByteSize(sent)
            );
            self.fail(name, text);
        } else if arrived < sent {
            let text =
                format!("{} of {} arrived while the request was open; {advice}", ByteSize(arrived), ByteSize(sent));
            self.warn(name, text);
        } else {
            self.ok(name, "octets reach the server as they are sent");
        }
    }

    /// Goes on where the server says that the upload stands.
    async fn resume(&mut self, before: u64, arrived: u64, took: Duration) {
        let name = "resume";
        let expected = self.offset + line::PIECE_BYTES;
        match self.append(line::PIECE_BYTES).await {
            Ok(_) if self.offset == expected => {
                let text = format!(
                    "cut at {}, gone on at {}; the offset was known after {} ms",
                    ByteSize(before + arrived),
                    ByteSize(expected - line::PIECE_BYTES),
                    took.as_millis()
                );
                if took > NOTICE_MAX {
                    self.warn(name, format!("{text}: connections are held open too long after clients have gone"));
                } else {
                    self.ok(name, text);
                }
            }
            Ok(_) => {
                let offset = self.offset;
                self.fail(name, format!("the server stands at {offset} after a piece up to {expected}"));
            }
            Err(said) => self.fail(name, format!("after a cut the next piece is refused: {said}")),
        }
    }
}
