//! Letters that could not be handed over and wait for their next try, beside the queue of those that come.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::mail::Errand;

/// Rests between the tries to hand over one letter: a mail server that is away for half an hour loses none, and the
/// links in letters are good for an hour from the try that is taken.
const RESTS: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(15 * 60),
];
/// Letters that wait at a time.
const WAITING_MAX: usize = 256;

/// A letter, and how often it was tried before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) errand: Errand,
    pub(super) tries: usize,
}

/// Letters by when they are tried again.
#[derive(Debug, Default)]
pub(super) struct Retries {
    waiting: BTreeMap<(Instant, u64), Task>,
    /// Tells apart what is due at the same time.
    next: u64,
}

impl Retries {
    /// Has a letter tried again after a rest; false if it was tried often enough, or too many wait.
    pub(super) fn put(&mut self, Task { errand, tries }: Task, now: Instant) -> bool {
        let Some(rest) = RESTS.get(tries).filter(|_| self.waiting.len() < WAITING_MAX) else { return false };
        self.waiting.insert((now + *rest, self.next), Task { errand, tries: tries + 1 });
        self.next += 1;
        true
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// The next one, if its time has come.
    pub(super) fn take(&mut self, now: Instant) -> Option<Task> {
        let first = self.waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(email: &str) -> Task {
        Task { errand: Errand::Reset(email.to_owned()), tries: 0 }
    }

    #[test]
    fn a_letter_is_tried_again_after_rests_that_grow_and_then_given_up() {
        let (mut retries, mut now, mut next) = (Retries::default(), Instant::now(), task("ada@example.org"));
        for rest in RESTS {
            assert!(retries.put(next, now));
            assert_eq!(retries.take(now + rest - Duration::from_millis(1)), None);
            now += rest;
            assert_eq!(retries.due(), Some(now));
            next = retries.take(now).unwrap();
        }
        assert_eq!(next.tries, RESTS.len());
        assert!(!retries.put(next, now));
        assert_eq!((retries.due(), retries.take(now + Duration::from_secs(3600))), (None, None));
    }

    #[test]
    fn so_many_letters_wait_and_the_first_is_due_first() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        for at in 0..WAITING_MAX {
            assert!(retries.put(task(&format!("{at}@example.org")), now));
        }
        assert!(!retries.put(task("one.more@example.org"), now));
        let first = retries.take(now + RESTS[0]).unwrap();
        assert_eq!(first.errand, Errand::Reset("0@example.org".to_owned()));
        assert!(retries.put(task("one.more@example.org"), now));
    }
}
