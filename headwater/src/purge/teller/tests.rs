use std::sync::atomic::{AtomicU16, Ordering};

use catalog_store::NewAsset;
use domain::{AssetId, ByteSize, JobId, ManualClock, PlaybackId};

use super::*;
use crate::purge::double::{Double, Seen, Turn, turn};

/// A catalogue with assets in it, a clock that stands still, and targets that are doubles.
struct Stage {
    catalog: Catalog,
    clock: Arc<ManualClock>,
    counts: Arc<PurgeCounts>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&format!("sqlite://{}", folder.path().join("catalog.db").display())).await.unwrap();
        catalog.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_800_000_000_000)));
        Self { catalog, clock, counts: Arc::default(), _folder: folder }
    }

    fn id(&self) -> u128 {
        u128::from_be_bytes(self.clock.entropy())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new asset.
    async fn asset(&self) -> (AssetId, PlaybackId) {
        let (asset, playback) = (AssetId::from_u128(self.id()), PlaybackId::from_u128(self.id()));
        let (job, now) = (JobId::from_u128(self.id()), self.now());
        let new = NewAsset { asset, playback, file_name: None, size: ByteSize(1000), job, now };
        self.catalog.create_received_asset(&new).await.unwrap();
        (asset, playback)
    }

    async fn change_access(&self, asset: AssetId) {
        self.catalog.tell_access_changed(asset, self.now()).await.unwrap();
    }

    async fn delete(&self, asset: AssetId) {
        self.catalog.delete_asset(asset, JobId::from_u128(self.id()), self.now()).await.unwrap();
    }

    fn teller(&self, holder: &str, targets: &[String]) -> Teller {
        let set = [("purge_targets", targets.join(",")), ("purge_fastly_token", "t".into())];
        let set: Vec<(String, String)> = set.map(|(key, value)| (key.to_owned(), value)).to_vec();
        Teller {
            catalog: self.catalog.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            targets: crate::config::merge(None, &[], &set).unwrap().purge_targets().unwrap(),
            holder: holder.to_owned(),
            counts: Arc::clone(&self.counts),
        }
    }

    async fn known(&self, at: usize) -> OutboxReader {
        self.catalog.purge_targets().await.unwrap().remove(at)
    }
}

fn fastly(double: &Double) -> String {
    format!("fastly:SERVICE@{}", double.url())
}

/// Steps until there is something to wait for; how long.
async fn steps(teller: &Teller, at: usize, held: &mut Option<Held>) -> Duration {
    for _ in 0..20 {
        let pause = teller.step(at, held).await.unwrap();
        if pause > Duration::ZERO {
            return pause;
        }
    }
    panic!("it never comes to rest");
}

fn keys(seen: &Seen) -> Vec<String> {
    serde_json::from_value(seen.json()["surrogate_keys"].clone()).unwrap()
}

#[test]
fn pauses_double_up_to_a_bound_and_are_no_shorter_than_asked_for() {
    let seconds = |failures, asked: Option<u64>| pause(failures, asked.map(Duration::from_secs)).as_secs();
    assert_eq!([0, 1, 2, 8, 9, 30, u32::MAX].map(|failures| seconds(failures, None)), [1, 2, 4, 256, 300, 300, 300]);
    assert_eq!((seconds(0, Some(30)), seconds(20, Some(30)), seconds(20, Some(900))), (30, 300, 900));
}

#[tokio::test]
async fn changes_are_told_once_they_have_settled_and_together() {
    let (stage, double) = (Stage::new().await, Double::new(|_, _| turn(200, "{}")).await);
    let (old, _) = stage.asset().await;
    stage.change_access(old).await;
    let (teller, mut held) = (stage.teller("a", &[fastly(&double)]), None);
    assert_eq!(steps(&teller, 0, &mut held).await, LOOK_EVERY, "what was before the target was known is not told");
    let ((one, one_playback), (two, two_playback)) = (stage.asset().await, stage.asset().await);
    stage.change_access(one).await;
    stage.change_access(one).await;
    stage.delete(two).await;
    steps(&teller, 0, &mut held).await;
    assert!(double.seen().is_empty(), "origins may not know of it yet");
    stage.clock.advance(SETTLE);
    steps(&teller, 0, &mut held).await;
    let seen = double.seen();
    assert_eq!(seen.len(), 1);
    let mut expected = [format!("asset:{one_playback}"), format!("asset:{two_playback}")];
    expected.sort();
    let mut told = keys(&seen[0]);
    told.sort();
    assert_eq!(told, expected);
    assert_eq!(seen[0].header("fastly-soft-purge"), "", "it is not to be seen any more");
    stage.clock.advance(SETTLE);
    steps(&teller, 0, &mut held).await;
    assert_eq!(double.seen().len(), 1);
    assert_eq!(stage.known(0).await.seq, stage.catalog.last_event().await.unwrap());
}

#[tokio::test]
async fn a_target_that_wants_to_be_left_alone_is_told_again_when_it_said() {
    let script = |before: usize, _: &Seen| match before {
        0 => turn(429, "slow down").header("retry-after", "40"),
        _ => turn(200, "{}"),
    };
    let (stage, double) = (Stage::new().await, Double::new(script).await);
    let (teller, mut held) = (stage.teller("a", &[fastly(&double)]), None);
    steps(&teller, 0, &mut held).await;
    let (asset, _) = stage.asset().await;
    stage.change_access(asset).await;
    stage.clock.advance(SETTLE);
    steps(&teller, 0, &mut held).await;
    let known = stage.known(0).await;
    assert_eq!((known.failures, known.error.as_deref()), (1, Some("429 Too Many Requests: slow down")));
    stage.clock.advance(Duration::from_secs(39));
    steps(&teller, 0, &mut held).await;
    assert_eq!(double.seen().len(), 1);
    stage.clock.advance(Duration::from_secs(1));
    steps(&teller, 0, &mut held).await;
    assert_eq!(double.seen().len(), 2);
    let known = stage.known(0).await;
    assert_eq!((known.failures, known.error, known.failing_since), (0, None, None));
}

#[tokio::test]
async fn what_a_target_never_takes_is_given_up_after_a_day_and_it_is_told_of_what_comes_then() {
    let (stage, status) = (Stage::new().await, Arc::new(AtomicU16::new(500)));
    let answered = Arc::clone(&status);
    let double = Double::new(move |_, _| turn(answered.load(Ordering::Relaxed), "{}")).await;
    let (teller, mut held) = (stage.teller("a", &[fastly(&double)]), None);
    steps(&teller, 0, &mut held).await;
    let ((lost, _), (late, late_playback)) = (stage.asset().await, stage.asset().await);
    stage.change_access(lost).await;
    stage.clock.advance(SETTLE);
    let mut attempts = 0;
    while stage.known(0).await.given_up == 0 {
        steps(&teller, 0, &mut held).await;
        stage.clock.advance(PAUSE_MAX);
        attempts += 1;
        assert!(attempts < 400, "it is never given up");
    }
    // Once every five minutes for a day.
    assert!((280..=300).contains(&double.seen().len()), "{}", double.seen().len());
    let known = stage.known(0).await;
    assert_eq!(known.given_up, 1);
    assert!(known.failing_since.is_some(), "it fails all the same");
    status.store(200, Ordering::Relaxed);
    stage.change_access(late).await;
    stage.clock.advance(PAUSE_MAX);
    steps(&teller, 0, &mut held).await;
    assert_eq!(keys(double.seen().last().unwrap()), [format!("asset:{late_playback}")]);
    assert_eq!(stage.known(0).await.failures, 0);
}

#[tokio::test]
async fn a_process_that_is_killed_between_telling_and_recording_tells_it_again() {
    let (stage, double) = (Stage::new().await, Double::new(|_, _| turn(200, "{}")).await);
    let (teller, mut held) = (stage.teller("a", &[fastly(&double)]), None);
    steps(&teller, 0, &mut held).await;
    let (asset, _) = stage.asset().await;
    stage.change_access(asset).await;
    stage.clock.advance(SETTLE);
    let seq = held.as_ref().unwrap().seq;
    let batch = change::next(&stage.catalog, seq, 10, stage.now()).await.unwrap().unwrap();
    teller.tell(&teller.targets[0], &batch).await.unwrap();
    // Here it was killed. Another one has to wait for the lease, the same started anew has not.
    let other = stage.teller("b", &[fastly(&double)]);
    assert_eq!(steps(&other, 0, &mut None).await, HOLD_EVERY);
    assert_eq!(double.seen().len(), 1);
    let again = stage.teller("a", &[fastly(&double)]);
    steps(&again, 0, &mut None).await;
    assert_eq!(double.seen().len(), 2);
    stage.clock.advance(HOLD + Duration::from_secs(1));
    steps(&other, 0, &mut None).await;
    assert_eq!(double.seen().len(), 2, "nothing is left to tell");
}

#[tokio::test]
async fn a_target_waits_for_those_nearer_to_the_origin_unless_they_fail() {
    let (stage, status) = (Stage::new().await, Arc::new(AtomicU16::new(200)));
    let answered = Arc::clone(&status);
    let script = move |_: usize, _: &Seen| -> Turn { turn(answered.load(Ordering::Relaxed), "{}") };
    let (inner, outer) = (Double::new(script).await, Double::new(|_, _| turn(200, "{}")).await);
    let targets = [format!("http:POST:{}", inner.url()), fastly(&outer)];
    let teller = stage.teller("a", &targets);
    let (mut first, mut second) = (None, None);
    steps(&teller, 0, &mut first).await;
    steps(&teller, 1, &mut second).await;
    let (asset, _) = stage.asset().await;
    for (round, inner_status) in [(1, 200), (2, 503)] {
        status.store(inner_status, Ordering::Relaxed);
        stage.change_access(asset).await;
        stage.clock.advance(SETTLE);
        steps(&teller, 1, &mut second).await;
        assert_eq!(outer.seen().len(), round - 1, "the inner one was not told yet");
        steps(&teller, 0, &mut first).await;
        steps(&teller, 1, &mut second).await;
        assert_eq!((inner.seen().len(), outer.seen().len()), (round, round));
    }
}
