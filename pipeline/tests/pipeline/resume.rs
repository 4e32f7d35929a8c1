//! Work that is stopped, repeated or made superfluous in the middle.

use std::time::Duration;

use anyhow::{Context, ensure};
use catalog_store::Claim;
use domain::{JobId, JobKind, JobLane};
use fixtures::media::clip;
use pipeline::metrics::SegmentKind;
use tokio_util::sync::CancellationToken;

use crate::Case;
use crate::outputs::rich;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("a_worker_stopped_in_the_middle_goes_on_with_the_same_hashes", || run(stopped_in_the_middle())),
    ("a_job_that_runs_twice_changes_nothing", || run(repeated())),
    ("a_deleted_asset_leaves_no_object", || run(deleted())),
    ("a_soft_shutdown_gives_the_job_back", || run(released())),
];

async fn stopped_in_the_middle() -> anyhow::Result<()> {
    let file = clip(&rich());
    let undisturbed = Rig::new().await?;
    let (reference, ..) = undisturbed.ready(&file).await?;
    let expected = undisturbed.ledger(reference.id).await?;

    let rig = Rig::new().await?;
    let asset = rig.receive(&file).await?;
    for stop_at in [1, 4, 7] {
        rig.work_until(asset, |done| done >= stop_at).await?;
    }
    rig.finish(asset).await?;
    let found = rig.ledger(asset).await?;
    let other: Vec<_> = expected.iter().filter(|(place, hash)| found.get(place) != Some(hash)).map(|at| at.0).collect();
    ensure!(found.len() == expected.len() && other.is_empty(), "another hash after a stop: {other:?}");
    // None was made twice. A stop that falls between a row and its count leaves that one uncounted.
    let metrics = &rig.parts.metrics;
    let kinds = [SegmentKind::Video, SegmentKind::Copied, SegmentKind::Audio];
    let commits: u64 = kinds.into_iter().map(|kind| metrics.segments(kind).count).sum();
    ensure!(commits <= expected.len() as u64, "{commits} commits for {} segments", expected.len());
    ensure!(rig.parts.catalog.unfinished_job_count().await? == 0);
    Ok(())
}

async fn repeated() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&clip(&rich())).await?;
    let worker = rig.worker();
    let mut kinds = Vec::new();
    // Ends after the publish job: nothing is enqueued then.
    while rig.parts.catalog.unfinished_job_count_of(asset).await? > 0 {
        let mut due = None;
        for lane in JobLane::ALL {
            let claim = Claim { worker: "test", lane, lease: Duration::from_secs(60), now: rig.now() };
            if due.is_none() {
                due = rig.parts.catalog.claim(&claim).await?;
            }
        }
        let job = due.context("a job is due")?;
        worker.rehearse(&job).await.map_err(anyhow::Error::from_boxed)?;
        let (files, ledger) = (rig.files()?, rig.ledger(asset).await?);
        worker.rehearse(&job).await.map_err(anyhow::Error::from_boxed)?;
        ensure!(rig.files()? == files && rig.ledger(asset).await? == ledger, "{:?} is not repeatable", job.spec);
        worker.perform(&job).await.map_err(anyhow::Error::from_boxed)?;
        // The presentation is the only object that settling may let the last run write.
        ensure!(rig.ledger(asset).await? == ledger);
        kinds.push(job.spec.kind());
    }
    let parts = [JobKind::Chunk, JobKind::Audio, JobKind::Subtitles, JobKind::Images, JobKind::Loudness];
    for kind in [JobKind::Probe, JobKind::Publish].into_iter().chain(parts) {
        ensure!(kinds.contains(&kind), "{kind:?} never ran");
    }
    let asset = rig.parts.catalog.asset(asset).await?.context("it exists")?;
    ensure!(asset.state == domain::AssetState::Ready);
    Ok(())
}

async fn deleted() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&clip(&rich())).await?;
    let delete = async {
        // Deleted while an engine runs: its segments must not survive the purge.
        let mut commits = rig.parts.catalog.changed();
        while rig.ledger(asset).await?.len() < 3 {
            commits.changed().await?;
        }
        let job = JobId::mint(rig.now(), rig.parts.clock.entropy());
        rig.parts.catalog.delete_asset(asset, job, rig.now()).await.map_err(anyhow::Error::from)
    };
    let (finished, deleted) = tokio::join!(rig.finish(asset), delete);
    ensure!(deleted? && finished?.state == domain::AssetState::Deleted);
    let left: Vec<_> = rig.files()?.into_keys().collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn released() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&clip(&rich())).await?;
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    let (worker, stop) = (rig.worker(), soft.clone());
    let stopped = pipeline::run_asset_until_final(&worker, asset, soft, hard, |progress| {
        if progress.renditions.iter().any(|rendition| rendition.done > 0) {
            stop.cancel();
        }
    })
    .await;
    ensure!(matches!(stopped, Err(pipeline::TranscodeError::Stopped)));
    let jobs = rig.parts.catalog.jobs_of(asset).await?;
    ensure!(jobs.iter().all(|job| job.state != domain::JobState::Running), "a job was not given back: {jobs:?}");
    ensure!(jobs.iter().filter(|job| job.state == domain::JobState::Queued).all(|job| job.attempts == 0));
    rig.finish(asset).await?;
    Ok(())
}
