//! When to try again, and when to give up.

use std::time::Duration;

use anyhow::anyhow;
use domain::Clock;
use tokio::time::Instant;

use super::progress::Transfer;
use super::setback::Setback;
use crate::clock::SystemClock;

/// The first pause before another try; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause before another try, unless the server asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Damaged bodies in a row after which the line, the disk or the server is not to be trusted.
const DAMAGES_MAX: u32 = 5;

/// The patience with one run of requests.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Duration,
    /// Since when nothing has come of anything.
    trouble_since: Option<Instant>,
    pause: Duration,
    damages: u32,
}

impl Pace {
    /// Gives up after `patience` without progress.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, trouble_since: None, pause: PAUSE_MIN, damages: 0 }
    }

    /// Something came of it: patience is whole again.
    pub(super) fn progressed(&mut self) {
        (self.trouble_since, self.pause, self.damages) = (None, PAUSE_MIN, 0);
    }

    /// Waits before another try.
    ///
    /// # Errors
    /// With a setback that no other try will change; the one given, or a final one when patience ends.
    pub(super) async fn endure(&mut self, setback: Setback, display: &Transfer) -> Result<(), Setback> {
        let (reason, pause) = match setback {
            Setback::Passing { reason, pause } => (reason, pause),
            Setback::Damaged { reason } => {
                self.damages += 1;
                if self.damages >= DAMAGES_MAX {
                    let advice = "check the disk and the memory of this machine, and what lies on the way";
                    return Err(Setback::Final(anyhow!("octets arrive damaged again and again: {reason}; {advice}")));
                }
                (reason, None)
            }
            other => return Err(other),
        };
        display.retried();
        let since = *self.trouble_since.get_or_insert_with(|| {
            display.trouble(&reason);
            Instant::now()
        });
        let pause = jittered(self.pause, pause);
        let left = self.patience.saturating_sub(since.elapsed());
        // The last try comes when patience ends, but never before the server wants to be asked again.
        if left.is_zero() || (pause > left && pause > PAUSE_MAX) {
            let patience = self.patience.as_secs();
            return Err(Setback::Final(anyhow!("no progress for {patience} s: {reason}")));
        }
        tokio::time::sleep(pause.min(left)).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

/// A pause that many clients do not share: between half and all of `pause`; if the server asked for
/// one, that one and up to a quarter more.
fn jittered(pause: Duration, asked: Option<Duration>) -> Duration {
    let chance = u32::from(SystemClock.entropy()[0]);
    match asked {
        Some(asked) => asked + (asked / 4) * chance / 255,
        None => pause / 2 + (pause / 2) * chance / 255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_keep_their_bounds() {
        let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
        for _ in 0..200 {
            let pause = jittered(Duration::from_secs(8), None);
            (least, most) = (least.min(pause), most.max(pause));
            let asked = jittered(Duration::from_secs(8), Some(Duration::from_secs(20)));
            assert!((20_000..=25_000).contains(&asked.as_millis()), "{asked:?}");
        }
        assert!(least >= Duration::from_secs(4) && most <= Duration::from_secs(8) && least < most);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_for_more_than_patience_is_not_asked_again() {
        let (mut pace, display) = (Pace::new(Duration::from_secs(60)), Transfer::start("film.mp4", 1));
        let busy = |seconds| Setback::Passing { reason: "busy".into(), pause: Some(Duration::from_secs(seconds)) };
        let begun = Instant::now();
        pace.endure(busy(20), &display).await.expect("there is time");
        assert!(begun.elapsed() >= Duration::from_secs(20));
        let refused = pace.endure(busy(600), &display).await.expect_err("there is none");
        assert_eq!(refused.into_error().to_string(), "no progress for 60 s: busy");
        assert!(begun.elapsed() < Duration::from_secs(40));
    }

    #[tokio::test(start_paused = true)]
    async fn damage_without_end_is_not_borne() {
        let (mut pace, display) = (Pace::new(Duration::from_secs(3600)), Transfer::start("film.mp4", 1));
        for _ in 1..DAMAGES_MAX {
            pace.endure(Setback::Damaged { reason: "wrong".into() }, &display).await.expect("may be chance");
        }
        pace.progressed();
        pace.endure(Setback::Damaged { reason: "wrong".into() }, &display).await.expect("began anew");
        for _ in 2..DAMAGES_MAX {
            pace.endure(Setback::Damaged { reason: "wrong".into() }, &display).await.expect("may be chance");
        }
        let refused = pace.endure(Setback::Damaged { reason: "wrong".into() }, &display).await;
        assert!(refused.expect_err("is no chance").into_error().to_string().contains("again and again"));
    }
}
