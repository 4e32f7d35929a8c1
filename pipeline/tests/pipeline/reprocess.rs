//! Another output of an asset that plays: the old one is whole until the new one is, and for a while after.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use catalog_store::{Asset, Claim, Demand, LeasedJob, Reprocess, ReprocessJobs, Wanted};
use domain::presentation::{Pointer, Retained};
use domain::{AssetId, AssetState, FailureCode, Generation, JobId, JobKind, JobLane, Recipe};
use fixtures::media::{ClipSpec, clip};
use media_store::layout;
use pipeline::audit::{Options, audit};
use tokio_util::sync::CancellationToken;

use crate::Case;
use crate::outputs::rich;
use crate::rig::{Rig, run};
use crate::trouble::dead_engine;

pub(crate) const CASES: &[Case] = &[
    ("an_asset_plays_its_old_output_until_the_new_one_is_whole_and_a_while_longer", || run(replaced())),
    ("a_reprocessing_that_is_killed_anywhere_ends_with_the_same_output", || run(killed())),
    ("every_job_of_a_reprocessing_may_run_twice", || run(repeated())),
    ("a_reprocessing_that_fails_leaves_the_old_output_and_no_object", || run(failed())),
    ("a_reprocessing_without_a_source_says_so", || run(sourceless())),
    ("an_asset_that_is_deleted_while_it_is_reprocessed_leaves_no_object", || run(deleted())),
    ("pictures_that_cannot_be_copied_the_second_time_are_encoded_behind_the_old_ones", || run(planned_anew())),
];

const FIRST: Generation = Generation(1);
const NEXT: Generation = Generation(2);

impl Rig {
    async fn reprocess(&self, asset: AssetId) -> anyhow::Result<Reprocess> {
        let mint = || JobId::mint(self.now(), self.parts.clock.entropy());
        let jobs = ReprocessJobs { plan: mint(), retire: mint() };
        Ok(self.parts.catalog.reprocess(asset, None, jobs, self.now()).await?)
    }

    /// What is below the folder of one output.
    fn objects_of(&self, asset: AssetId, generation: Generation) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let folder = layout::generation_of(asset, generation);
        let folder = self.dir.path().join("media").join(folder.as_str());
        Ok(self.files()?.into_iter().filter(|(path, _)| path.starts_with(&folder)).collect())
    }

    async fn is_sound(&self, asset: AssetId) -> anyhow::Result<()> {
        let report = audit(&self.parts, asset, Options::default(), |_| {}).await?;
        ensure!(report.is_sound(), "{report:#?}");
        let integrity = self.parts.catalog.integrity().await?;
        ensure!(integrity.is_sound(), "{integrity:?}");
        Ok(())
    }

    async fn pointer(&self, asset: &Asset) -> anyhow::Result<Pointer> {
        let body = self.parts.store.pointer(asset.playback).await?.context("a pointer")?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// The next job of any lane that is due.
    async fn claim_any(&self) -> anyhow::Result<Option<LeasedJob>> {
        for lane in JobLane::ALL {
            let claim = Claim { worker: "test", lane, lease: Duration::from_secs(60), now: self.now() };
            if let Some(job) = self.parts.catalog.claim(&claim).await? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }
}

/// A short clip of two tracks that is encoded anew with other settings.
async fn ready() -> anyhow::Result<(Rig, Asset)> {
    let mut rig = Rig::new().await?;
    let (asset, ..) = rig.ready(&clip(&ClipSpec { seconds: 9.0, ..ClipSpec::default() })).await?;
    rig.config.recipe = Recipe { crf: 35, passthrough: false, ..Recipe::default() };
    Ok((rig, asset))
}

async fn replaced() -> anyhow::Result<()> {
    let (mut rig, asset) = ready().await?;
    let old = rig.objects_of(asset.id, FIRST)?;
    ensure!(rig.reprocess(asset.id).await? == Reprocess::Begun(NEXT));
    // Killed in the middle: what is played is untouched, and nothing of the new output is shown.
    rig.work_beside(asset.id, NEXT, 3).await?;
    ensure!(!rig.objects_of(asset.id, NEXT)?.is_empty() && rig.objects_of(asset.id, FIRST)? == old);
    ensure!(rig.pointer(&asset).await?.generation == FIRST);
    rig.is_sound(asset.id).await?;
    let rendition = rig.published(&asset).await?.context("it is published")?.video[0].id.clone();
    let wanted = Wanted { asset: asset.id, generation: NEXT, rendition, segment: 3 };
    let id = JobId::mint(rig.now(), rig.parts.clock.entropy());
    ensure!(rig.parts.catalog.demand(&wanted, id, rig.now()).await? != Demand::Enqueued, "nobody can play it");

    let done = rig.finish(asset.id).await?;
    ensure!((done.state, done.generation, done.next_generation) == (AssetState::Ready, Some(NEXT), None));
    let pointer = rig.pointer(&asset).await?;
    ensure!((pointer.generation, pointer.revision, pointer.is_complete()) == (NEXT, 1, true), "{pointer:?}");
    ensure!(pointer.retained == [Retained { generation: FIRST, revision: 1 }], "{pointer:?}");
    let plan = rig.parts.catalog.plan(asset.id, NEXT).await?.context("a plan")?;
    ensure!(plan.recipe.crf == 35);
    ensure!(rig.objects_of(asset.id, FIRST)? == old, "players that began with it go on");
    ensure!(rig.parts.store.get(&layout::presentation(asset.id, FIRST, 1)).await?.is_some());
    rig.is_sound(asset.id).await?;

    rig.config.retire_after = Duration::ZERO;
    rig.release_retired(asset.id).await?;
    rig.finish(asset.id).await?;
    ensure!(rig.objects_of(asset.id, FIRST)?.is_empty());
    let left = rig.parts.store.get(&layout::presentation(asset.id, FIRST, 1)).await?;
    ensure!(left.is_none() && rig.parts.catalog.plan(asset.id, FIRST).await?.is_none());
    rig.is_sound(asset.id).await
}

impl Rig {
    /// Works until so many segments of another output are committed, then drops everything as a killed process would.
    async fn work_beside(&self, asset: AssetId, generation: Generation, segments: usize) -> anyhow::Result<()> {
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        let worker = self.worker();
        let enough = async {
            let mut commits = self.parts.catalog.changed();
            while self.parts.catalog.segments(asset, generation).await?.len() < segments {
                commits.changed().await?;
            }
            hard.cancel();
            anyhow::Ok(())
        };
        let (enough, ()) = tokio::join!(enough, worker.run(soft, hard.clone()));
        enough?;
        self.parts.catalog.expire_leases("test", self.now()).await?;
        Ok(())
    }

    /// Has a removal that waits for players run at once.
    async fn release_retired(&self, asset: AssetId) -> anyhow::Result<()> {
        let later = self.now().plus(Duration::from_secs(30 * 86_400));
        let claim = Claim { worker: "test", lane: JobLane::Light, lease: Duration::from_secs(60), now: later };
        let job = self.parts.catalog.claim(&claim).await?.context("the removal")?;
        ensure!(job.asset == asset && job.spec.kind() == JobKind::Retire, "{job:?}");
        self.worker().perform(&job).await.map_err(anyhow::Error::from_boxed)
    }
}

async fn killed() -> anyhow::Result<()> {
    let (undisturbed, reference) = ready().await?;
    undisturbed.reprocess(reference.id).await?;
    undisturbed.finish(reference.id).await?;
    let expected = undisturbed.ledger_of(reference.id, NEXT).await?;

    let (rig, asset) = ready().await?;
    rig.reprocess(asset.id).await?;
    for segments in [1, 4, expected.len() - 1] {
        rig.work_beside(asset.id, NEXT, segments).await?;
        ensure!(rig.pointer(&asset).await?.generation == FIRST);
    }
    rig.finish(asset.id).await?;
    ensure!(rig.ledger_of(asset.id, NEXT).await? == expected);
    ensure!(rig.pointer(&asset).await?.generation == NEXT);
    rig.is_sound(asset.id).await
}

async fn repeated() -> anyhow::Result<()> {
    let mut rig = Rig::new().await?;
    let (asset, ..) = rig.ready(&clip(&rich())).await?;
    rig.config.recipe = Recipe { crf: 35, ..Recipe::default() };
    rig.reprocess(asset.id).await?;
    let mut kinds = Vec::new();
    while let Some(job) = rig.claim_any().await? {
        if job.spec.kind() == JobKind::Retire {
            rig.worker().perform(&job).await.map_err(anyhow::Error::from_boxed)?;
            continue;
        }
        // Killed right before it settles, twice.
        rig.worker().rehearse(&job).await.map_err(anyhow::Error::from_boxed)?;
        let files = rig.files()?;
        rig.worker().rehearse(&job).await.map_err(anyhow::Error::from_boxed)?;
        ensure!(rig.files()? == files, "{:?} is not repeatable", job.spec);
        let integrity = rig.parts.catalog.integrity().await?;
        ensure!(integrity.is_sound(), "{:?}: {integrity:?}", job.spec);
        rig.worker().perform(&job).await.map_err(anyhow::Error::from_boxed)?;
        kinds.push(job.spec.kind());
    }
    for kind in
        [JobKind::Reprocess, JobKind::Chunk, JobKind::Audio, JobKind::Subtitles, JobKind::Images, JobKind::Publish]
    {
        ensure!(kinds.contains(&kind), "{kind:?} never ran");
    }
    ensure!(rig.pointer(&asset).await?.generation == NEXT);
    rig.is_sound(asset.id).await
}

async fn failed() -> anyhow::Result<()> {
    let (mut rig, asset) = ready().await?;
    let pointer = rig.pointer(&asset).await?;
    rig.reprocess(asset.id).await?;
    rig.work_beside(asset.id, NEXT, 1).await?;
    let engine = std::mem::replace(&mut rig.parts.engine, dead_engine());
    let done = rig.finish(asset.id).await?;
    ensure!((done.state, done.generation, done.next_generation) == (AssetState::Ready, Some(FIRST), None));
    ensure!(done.reprocess_failure.is_some_and(|failure| failure.code == FailureCode::EngineCrashed));
    ensure!(rig.pointer(&asset).await? == pointer);
    ensure!(rig.objects_of(asset.id, NEXT)?.is_empty(), "{:?}", rig.objects_of(asset.id, NEXT)?.keys());
    rig.is_sound(asset.id).await?;
    // A number is never given twice: caches keep what they have under an address.
    rig.parts.engine = engine;
    ensure!(rig.reprocess(asset.id).await? == Reprocess::Begun(Generation(3)));
    let done = rig.finish(asset.id).await?;
    ensure!((done.generation, done.reprocess_failure) == (Some(Generation(3)), None));
    rig.is_sound(asset.id).await
}

async fn sourceless() -> anyhow::Result<()> {
    let (rig, asset) = ready().await?;
    rig.parts.store.delete(&layout::source(asset.id)).await?;
    rig.reprocess(asset.id).await?;
    let done = rig.finish(asset.id).await?;
    ensure!(done.state == AssetState::Ready && done.next_generation.is_none());
    let failure = done.reprocess_failure.context("a reason")?;
    ensure!(failure.code == FailureCode::SourceUnavailable && failure.message.contains("not stored"), "{failure}");
    ensure!(rig.parts.catalog.integrity().await?.is_sound());
    Ok(())
}

async fn deleted() -> anyhow::Result<()> {
    let (rig, asset) = ready().await?;
    rig.reprocess(asset.id).await?;
    let delete = async {
        let mut commits = rig.parts.catalog.changed();
        while rig.parts.catalog.segments(asset.id, NEXT).await?.is_empty() {
            commits.changed().await?;
        }
        let job = JobId::mint(rig.now(), rig.parts.clock.entropy());
        rig.parts.catalog.delete_asset(asset.id, job, rig.now()).await.map_err(anyhow::Error::from)
    };
    let (finished, deleted) = tokio::join!(rig.finish(asset.id), delete);
    ensure!(deleted? && finished?.state == AssetState::Deleted);
    let left: Vec<_> = rig.files()?.into_keys().collect();
    ensure!(left.is_empty(), "{left:?}");
    ensure!(rig.parts.catalog.integrity().await?.is_sound());
    Ok(())
}

async fn planned_anew() -> anyhow::Result<()> {
    let mut rig = Rig::new().await?;
    rig.config.recipe = Recipe { passthrough: false, ..Recipe::default() };
    let (asset, ..) = rig.ready(&crate::passthrough::deceptive(&rig)?).await?;
    rig.config.recipe = Recipe::default();
    rig.reprocess(asset.id).await?;
    let done = rig.finish(asset.id).await?;
    ensure!(done.generation == Some(Generation(3)), "{:?} {:?}", done.generation, done.reprocess_failure);
    let kept: Vec<_> = rig.parts.catalog.generations(asset.id).await?.into_iter().map(|one| one.generation).collect();
    ensure!(kept == [FIRST, Generation(3)] && rig.objects_of(asset.id, NEXT)?.is_empty(), "{kept:?}");
    rig.is_sound(asset.id).await
}
