//! Machines that fail for a while, and parts that cannot be made.

use std::time::Duration;

use anyhow::{Context, ensure};
use catalog_store::Claim;
use domain::{AssetState, FailureCode, Generation, JobKind, JobLane};
use fixtures::media::{ClipSpec, clip};
use pipeline::metrics::Outcome;
use transcoder::{Engine, EngineConfig, EngineLimits};

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("an_outage_of_the_store_is_waited_out_and_nothing_is_left_out", || run(outage())),
    ("a_part_that_crashes_the_engine_is_left_out_with_the_reason", || run(left_out())),
    ("a_damaged_film_fails_as_a_whole_when_it_is_published", || run(damaged())),
    ("failures_of_a_job_outlive_its_worker", || run(failures_outlive())),
];

/// Does the most urgent job, which settles.
async fn perform(rig: &Rig, lane: JobLane) -> anyhow::Result<()> {
    let claim = Claim { worker: "test", lane, lease: Duration::from_secs(60), now: rig.now() };
    let job = rig.parts.catalog.claim(&claim).await?.context("a job is due")?;
    rig.worker().perform(&job).await.map_err(anyhow::Error::from_boxed)
}

async fn outage() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&clip(&ClipSpec { seconds: 10.0, ..ClipSpec::default() })).await?;
    perform(&rig, JobLane::Urgent).await.context("the probe")?;
    // A file where the folder was: neither sources nor segments can be reached.
    let (store, away) = (rig.dir.path().join("media"), rig.dir.path().join("away"));
    std::fs::rename(&store, &away)?;
    std::fs::write(&store, b"")?;
    let metrics = &rig.parts.metrics;
    let postponed = |kind| {
        let outcomes = metrics.outcomes();
        outcomes.iter().any(|(of, outcome, _)| *of == kind && *outcome == Outcome::Postponed)
    };
    let mend = async {
        let mut commits = rig.parts.catalog.changed();
        while !postponed(JobKind::Chunk) || !postponed(JobKind::Audio) {
            commits.changed().await?;
        }
        std::fs::remove_file(&store)?;
        std::fs::rename(&away, &store)?;
        anyhow::Ok(())
    };
    let (mended, finished) = tokio::join!(mend, rig.finish(asset));
    mended?;
    ensure!(finished?.state == AssetState::Ready);
    let output = rig.parts.catalog.output(asset, Generation(1)).await?.context("an output")?;
    ensure!(output.left_out.is_empty() && output.images.is_some(), "{:?}", output.left_out);
    ensure!(output.renditions.iter().all(|rendition| rendition.done == rendition.total), "{:?}", output.renditions);
    Ok(())
}

/// A worker's engine that dies whatever it is asked.
pub(crate) fn dead_engine() -> Engine {
    Engine::new(EngineConfig { program: "/bin/false".into(), args: vec![], limits: EngineLimits::default() })
}

async fn left_out() -> anyhow::Result<()> {
    let mut rig = Rig::new().await?;
    let asset = rig.receive(&clip(&ClipSpec::default())).await?;
    // The picture is made by a sound engine, sound and images by a dead one.
    perform(&rig, JobLane::Urgent).await.context("the probe")?;
    perform(&rig, JobLane::Heavy).await.context("the chunk")?;
    rig.parts.engine = dead_engine();
    let finished = rig.finish(asset).await?;
    ensure!(finished.state == AssetState::Ready, "{:?}", finished.failure);
    let mut missing = rig.parts.catalog.left_out(asset, Generation(1)).await?;
    missing.sort_by_key(|missing| missing.kind);
    let kinds: Vec<JobKind> = missing.iter().map(|missing| missing.kind).collect();
    ensure!(kinds == [JobKind::Audio, JobKind::Images, JobKind::Loudness], "{missing:?}");
    ensure!(missing[0].rendition.as_ref().is_some_and(|rendition| rendition.as_str().starts_with("audio-0")));
    ensure!(missing.iter().all(|missing| missing.reason.code == FailureCode::EngineCrashed), "{missing:?}");
    let presentation = rig.published(&finished).await?.context("it is published")?;
    ensure!(presentation.audio.is_empty() && !presentation.video.is_empty() && presentation.images.is_none());
    Ok(())
}

async fn damaged() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let spec = ClipSpec { seconds: 16.0, extra_args: vec!["-movflags", "+faststart"], ..ClipSpec::default() };
    let whole = std::fs::read(clip(&spec))?;
    // A hole of a fiftieth is overlooked, one of a fifth is not.
    for (share, is_ready) in [(50, true), (5, false)] {
        let mut bytes = whole.clone();
        bytes[whole.len() / 2..whole.len() / 2 + whole.len() / share].fill(0);
        let file = rig.dir.path().join(format!("hole-{share}.mp4"));
        std::fs::write(&file, bytes)?;
        let asset = rig.receive(&file).await?;
        let asset = rig.finish(asset).await?;
        let tally = rig.parts.catalog.tally(asset.id, Generation(1)).await?;
        ensure!(tally.bad > 0 && tally.good > 250, "{tally:?}");
        ensure!((asset.state == AssetState::Ready) == is_ready, "{tally:?}: {:?}", asset.failure);
        if let Some(failure) = &asset.failure {
            ensure!(failure.code == FailureCode::Damaged && failure.message.contains("pictures"), "{failure}");
            ensure!(rig.published(&asset).await?.is_none(), "nobody is shown a film that failed");
        }
    }
    Ok(())
}

async fn failures_outlive() -> anyhow::Result<()> {
    let rig = Rig::with_engine("/bin/false".into()).await?;
    let asset = rig.receive(&clip(&ClipSpec::default())).await?;
    for failures in 0..2 {
        let claim = Claim { worker: "another", lane: JobLane::Urgent, lease: Duration::from_secs(60), now: rig.now() };
        let job = rig.parts.catalog.claim(&claim).await?.context("the probe is due")?;
        ensure!(job.failures == failures);
        rig.parts.catalog.retry(&job, "the engine crashed", rig.now(), rig.now()).await?;
    }
    let asset = rig.finish(asset).await?;
    ensure!(asset.failure.is_some_and(|failure| failure.code == FailureCode::EngineCrashed));
    let outcomes = rig.parts.metrics.outcomes();
    ensure!(outcomes.iter().all(|(_, outcome, _)| *outcome == Outcome::Failed), "the third is the last: {outcomes:?}");
    Ok(())
}
