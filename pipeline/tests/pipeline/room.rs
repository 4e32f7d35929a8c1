//! What runs side by side, and how soon it stops.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use domain::cost::{Budget, Cores, Cost};
use domain::{AssetId, AssetState, ByteSize, JobKind, JobState, Recipe};
use fixtures::media::{ClipSpec, clip};
use pipeline::audit::{Options, audit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("chunks_run_side_by_side_only_where_both_have_room", || run(side_by_side())),
    ("a_chunk_that_needs_more_than_there_is_runs_alone", || run(alone())),
    ("a_shutdown_abandons_a_chunk_within_two_seconds_and_keeps_what_is_committed", || run(drained())),
];

/// Longest time from the wish to stop to the end of a worker that encodes.
const DRAIN_MAX: Duration = Duration::from_secs(2);

fn small() -> PathBuf {
    clip(&ClipSpec { seconds: 16.0, width: 320, height: 180, ..ClipSpec::default() })
}

/// Two assets whose chunks are to be encoded, and what one chunk takes.
async fn two() -> anyhow::Result<(Rig, [AssetId; 2], Cost)> {
    let mut rig = Rig::new().await?;
    rig.config.heavy_lanes = 2;
    rig.config.recipe = Recipe { passthrough: false, ..Recipe::default() };
    let (asset, plan, _) = rig.ready(&small()).await?;
    let (video, probe) = (plan.video.context("a picture")?, asset.probe.context("a probe")?);
    let cost = Cost::of_chunk(&video, probe.video.first().context("a track")?);
    let assets = [rig.receive(&small()).await?, rig.receive(&small()).await?];
    Ok((rig, assets, cost))
}

/// Works until both are ready; how many chunks ran at the same time at most.
async fn most_at_once(rig: &Rig, assets: [AssetId; 2]) -> anyhow::Result<u64> {
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    let worker = rig.worker();
    let watch = async {
        let (mut commits, mut most) = (rig.parts.catalog.changed(), 0);
        // Ends when both are ready, or by the deadline around it.
        loop {
            let counts = rig.parts.catalog.job_counts().await?;
            let chunks = counts.iter().filter(|one| one.kind == JobKind::Chunk.as_str());
            most = chunks
                .filter(|one| one.state == JobState::Running)
                .map(|one| one.count)
                .chain([most])
                .max()
                .unwrap_or(0);
            let mut ready = 0;
            for asset in assets {
                let found = rig.parts.catalog.asset(asset).await?.context("it exists")?;
                ensure!(found.failure.is_none(), "{:?}", found.failure);
                ready += usize::from(found.state == AssetState::Ready);
            }
            if ready == assets.len() {
                soft.cancel();
                return Ok(most);
            }
            commits.changed().await?;
        }
    };
    let both = async { tokio::join!(watch, worker.run(soft.clone(), hard)) };
    tokio::time::timeout(Duration::from_secs(240), both).await.context("they never became ready")?.0
}

fn memory(bytes: u64) -> Budget {
    Budget { memory: ByteSize(bytes), cores: Cores::whole(64) }
}

async fn side_by_side() -> anyhow::Result<()> {
    let (mut rig, assets, cost) = two().await?;
    rig.config.budget = memory(cost.memory.0 * 2);
    ensure!(most_at_once(&rig, assets).await? == 2, "there was room for both");
    let (mut rig, assets, cost) = two().await?;
    rig.config.budget = memory(cost.memory.0 * 2 - 1);
    ensure!(most_at_once(&rig, assets).await? == 1, "there was room for one");
    Ok(())
}

async fn alone() -> anyhow::Result<()> {
    let (mut rig, assets, _) = two().await?;
    rig.config.budget = Budget { memory: ByteSize(1), cores: Cores(1) };
    ensure!(most_at_once(&rig, assets).await? == 1);
    Ok(())
}

async fn drained() -> anyhow::Result<()> {
    let mut rig = Rig::new().await?;
    rig.config.grace = Duration::from_secs(30);
    // Slow, so that the chunk takes longer than it is given.
    rig.config.recipe = Recipe { passthrough: false, preset: "slower".into(), ..Recipe::default() };
    let file = clip(&ClipSpec { seconds: 40.0, width: 640, height: 360, ..ClipSpec::default() });
    let asset = rig.receive(&file).await?;
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    let worker = rig.worker();
    let stop = async {
        let mut commits = rig.parts.catalog.changed();
        // The second chunk is under way once a segment of it is committed.
        while !rig.ledger(asset).await?.keys().any(|(rendition, index)| rendition == "240p" && *index >= 3) {
            commits.changed().await?;
        }
        soft.cancel();
        anyhow::Ok(Instant::now())
    };
    let (stopped, ()) = tokio::join!(stop, worker.run(soft.clone(), hard));
    let took = stopped?.elapsed();
    ensure!(took < DRAIN_MAX, "{took:?}");
    let kept = rig.ledger(asset).await?;
    let jobs = rig.parts.catalog.jobs_of(asset).await?;
    ensure!(jobs.iter().all(|job| job.state != JobState::Running), "{jobs:?}");
    let given_back = |kind| jobs.iter().any(|job| job.spec.kind() == kind && job.state == JobState::Queued);
    ensure!(given_back(JobKind::Chunk), "it was over too soon: {jobs:?}");
    ensure!(jobs.iter().all(|job| job.error.is_none()), "nobody has failed: {jobs:?}");
    let report = audit(&rig.parts, asset, Options::default(), |_| {}).await?;
    ensure!(report.is_sound() && report.objects >= kept.len() as u64, "{report:#?}");
    Ok(())
}
