//! What each kind of job does, and how its end is recorded.

mod ahead;
pub(crate) mod audio;
pub(crate) mod chunk;
pub(crate) mod copy;
mod demand;
mod documents;
pub(crate) mod edition;
mod images;
mod inits;
mod loudness;
mod poster;
mod probe;
pub(crate) mod publish;
pub(crate) mod purge;
pub(crate) mod retire;
mod subtitles;
mod texts;
mod transcripts;
mod trial;

use catalog_store::{AheadJob, Asset, LeasedJob};
use domain::{AssetState, Generation, JobId, JobKind, JobSpec, LeftOut, Plan, Probe, SourceId, Timestamp};

use transcoder::{Engine, Growing};

use crate::error::JobError;
use crate::worker::{Parts, WorkerConfig};

/// Levels of nice by which batch work steps back: it gets about a tenth of a processor that is wanted otherwise.
const BATCH_NICENESS: u8 = 10;

/// The same for work on uploads that may come to nothing.
const AHEAD_NICENESS: u8 = 15;

/// One run of one job.
pub(crate) struct Step<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) config: &'a WorkerConfig,
    pub(crate) job: &'a LeasedJob,
}

/// The work of a job is done; what remains is to say so, in one transaction.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// The source is understood, its plan is published, these jobs make it.
    Probed { probe: Box<Probe>, generation: Generation, plan: Box<Plan>, jobs: Vec<JobSpec> },
    /// What is there of an unfinished upload is understood, and these jobs may make a part of its output; `None` if
    /// nothing can be said before it is complete.
    Ahead(Option<Box<Foreseen>>),
    /// The source is what it was taken for while it was uploaded; what is left of the plan goes on.
    Adopted { probe: Box<Probe>, generation: Generation, more: Vec<JobSpec> },
    /// Another output of an asset that plays is planned, these jobs make it.
    Reprocessing { probe: Box<Probe>, plan: Box<Plan>, jobs: Vec<JobSpec> },
    /// The source is no use as it is: another generation is planned and published, these jobs make it.
    Replanned { generation: Generation, plan: Box<Plan>, jobs: Vec<JobSpec> },
    /// A part of a generation is complete.
    Part,
    /// A part of a generation cannot be made; it is recorded what that means.
    Without(LeftOut),
    /// What a viewer waited for is committed, or nobody waits any more.
    Demand,
    /// The verified presentation is published.
    Published,
    /// What was added to the asset is published, as far as it can be.
    Texts,
    /// An output is to be kept until then.
    Kept(Timestamp),
    /// All objects of an output that is played no more are gone.
    Retired,
    /// All objects of a deleted asset are gone.
    Purged,
}

/// What is expected of a source of which a part is there.
#[derive(Debug)]
pub(crate) struct Foreseen {
    pub(crate) probe: Probe,
    pub(crate) plan: Plan,
    pub(crate) jobs: Vec<AheadJob>,
}

impl Step<'_> {
    /// Does the work of the job. Dropped at any await point, it leaves nothing that a later run minds.
    pub(crate) async fn run(&self) -> Result<Settlement, JobError> {
        match &self.job.spec {
            JobSpec::Probe => probe::run(self).await,
            JobSpec::Ahead { generation } => ahead::run(self, *generation).await,
            JobSpec::Reprocess { generation } => probe::run_beside(self, *generation).await,
            JobSpec::Chunk { generation, chunk } => chunk::run(self, *generation, *chunk).await,
            JobSpec::Extra { generation, codec, chunk } => chunk::run_extra(self, *generation, *codec, *chunk).await,
            JobSpec::Copy { generation, chunk } => copy::run(self, *generation, *chunk).await,
            JobSpec::Audio { generation, rendition, part } => audio::run(self, *generation, rendition, *part).await,
            JobSpec::Subtitles { generation } => subtitles::run(self, *generation).await,
            JobSpec::Images { generation, is_last } => images::run(self, *generation, *is_last).await,
            JobSpec::Demand { generation, rendition, segment } => {
                demand::run(self, *generation, rendition, *segment).await
            }
            JobSpec::Loudness { generation } => loudness::run(self, *generation).await,
            JobSpec::Publish { generation } => publish::run(self, *generation).await,
            JobSpec::Texts { generation } => texts::run(self, *generation).await,
            JobSpec::Retire { generation } => retire::run(self, *generation).await,
            JobSpec::Purge => purge::run(self).await,
        }
    }

    /// Records that the job is done and enqueues what follows.
    pub(crate) async fn settle(&self, settlement: &Settlement) -> Result<(), JobError> {
        let (catalog, now) = (&self.parts.catalog, self.parts.clock.now());
        match settlement {
            Settlement::Probed { probe, generation, plan, jobs } => {
                let jobs: Vec<_> = jobs.iter().map(|spec| (self.mint(), spec.clone())).collect();
                catalog.settle_probe(self.job, probe, *generation, plan, &jobs, now).await?;
            }
            Settlement::Ahead(foreseen) => {
                let planned = foreseen.as_ref().map(|foreseen| (&foreseen.probe, &foreseen.plan));
                let jobs = foreseen.as_ref().map_or(&[][..], |foreseen| &foreseen.jobs);
                catalog.settle_ahead(self.job, planned, jobs, now).await?;
            }
            Settlement::Adopted { probe, generation, more } => {
                let more: Vec<_> = more.iter().map(|spec| (self.mint(), spec.clone())).collect();
                catalog.settle_adopted(self.job, probe, *generation, &more, self.mint(), now).await?;
            }
            Settlement::Replanned { generation, plan, jobs } => {
                let jobs: Vec<_> = jobs.iter().map(|spec| (self.mint(), spec.clone())).collect();
                catalog.settle_replanned(self.job, *generation, plan, &jobs, self.mint(), now).await?;
            }
            Settlement::Reprocessing { probe, plan, jobs } => {
                let jobs: Vec<_> = jobs.iter().map(|spec| (self.mint(), spec.clone())).collect();
                catalog.settle_reprocess(self.job, probe, plan, &jobs, now).await?;
            }
            Settlement::Part => catalog.settle_part(self.job, self.mint(), now).await?,
            Settlement::Without(missing) => catalog.settle_without(self.job, missing, self.mint(), now).await?,
            Settlement::Demand => catalog.settle_demand(self.job, now).await?,
            Settlement::Published => catalog.settle_publish(self.job, now).await?,
            Settlement::Texts => catalog.settle_texts(self.job, now).await?,
            Settlement::Kept(until) => catalog.postpone(self.job, "kept for players", *until, now).await?,
            Settlement::Retired => catalog.settle_retired(self.job, now).await?,
            Settlement::Purged => catalog.settle_purge(self.job, now).await?,
        }
        Ok(())
    }

    /// True if this job takes over pictures or sound of the source as they are.
    pub(crate) async fn is_copy(&self) -> Result<bool, JobError> {
        match &self.job.spec {
            JobSpec::Copy { .. } => Ok(true),
            JobSpec::Audio { generation, rendition, .. } => {
                let plan = self.plan(*generation).await?;
                Ok(plan.audio_rendition(rendition).is_some_and(|audio| audio.copied.is_some()))
            }
            _ => Ok(false),
        }
    }

    /// Gives up to play the source's own pictures or sound, and plans to encode them instead.
    pub(crate) async fn replan(&self) -> Result<Settlement, JobError> {
        let generation = self.job.spec.generation();
        let generation = generation.ok_or_else(|| JobError::inconsistent("a job without a generation"))?;
        probe::run_again(self, generation).await
    }

    /// True if the asset plays without what this job makes.
    pub(crate) async fn is_optional(&self) -> Result<bool, JobError> {
        match &self.job.spec {
            JobSpec::Images { .. }
            | JobSpec::Subtitles { .. }
            | JobSpec::Loudness { .. }
            // Everybody can play what there is in H.264.
            | JobSpec::Extra { .. } => Ok(true),
            // A broken sound track among others, or beside a picture, is no reason to show nothing.
            JobSpec::Audio { generation, .. } => {
                let plan = self.plan(*generation).await?;
                Ok(plan.video.is_some() || plan.audio.len() > 1)
            }
            _ => Ok(false),
        }
    }

    /// The asset of this job.
    async fn asset(&self) -> Result<Asset, JobError> {
        let asset = self.parts.catalog.asset(self.job.asset).await?.ok_or(JobError::Gone)?;
        // A purge runs on deleted assets only, everything else never does.
        let is_purge = self.job.spec.kind() == JobKind::Purge;
        if (asset.state == AssetState::Deleted) == is_purge { Ok(asset) } else { Err(JobError::Gone) }
    }

    async fn plan(&self, generation: Generation) -> Result<Plan, JobError> {
        self.parts.catalog.plan(self.job.asset, generation).await?.ok_or(JobError::Gone)
    }

    /// What was found in the source, for the output that the job works on.
    async fn probe(&self) -> Result<Probe, JobError> {
        if let Some(generation) = self.job.spec.generation()
            && let Some(probe) = self.parts.catalog.probe_of(self.job.asset, generation).await?
        {
            return Ok(probe);
        }
        self.asset().await?.probe.ok_or_else(|| JobError::inconsistent("a planned asset has no probe"))
    }

    /// What the output is made of that the job works on.
    async fn source_id(&self) -> Result<SourceId, JobError> {
        Ok(self.parts.catalog.source_of(self.job.asset, self.job.spec.generation()).await?)
    }

    /// The source, opened anew: an engine child owns its descriptor.
    async fn source(&self) -> Result<std::fs::File, JobError> {
        Ok(self.parts.store.open_source(self.source_id().await?).await?)
    }

    /// The source as far as it is there, opened anew, and the engine to read it: that one, which reads nothing behind
    /// it and steps back further where the upload still runs.
    async fn open(&self, engine: &Engine) -> Result<(Engine, std::fs::File), JobError> {
        let ahead = self.config.ahead.as_ref().filter(|_| self.job.is_ahead);
        let upload = match ahead {
            Some(_) => self.parts.catalog.open_upload_of(self.job.asset).await?,
            None => None,
        };
        if let Some((ahead, upload)) = ahead.zip(upload)
            && let Some(length) = upload.length
        {
            let path = ahead.staging.path(upload.id);
            let opened = tokio::task::spawn_blocking(move || std::fs::File::open(path)).await;
            match opened.map_err(|_| JobError::Panicked)? {
                Ok(file) => {
                    let growing = Growing { there: upload.offset.min(length), length };
                    return Ok((engine.with_niceness(AHEAD_NICENESS).on_growing(growing), file));
                }
                // It has become the source in this moment, or lies on another machine.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    let key = upload.id.to_string();
                    return Err(media_store::StoreError::Io { action: "read", key, source }.into());
                }
            }
        }
        Ok((engine.clone(), self.source().await?))
    }

    /// The engine for work that nobody waits for: it steps back behind what viewers wait for.
    fn batch_engine(&self) -> Engine {
        if self.config.has_viewers {
            self.parts.engine.with_niceness(BATCH_NICENESS)
        } else {
            self.parts.engine.clone()
        }
    }

    /// Fails unless this worker still has the job: asked right before what cannot be taken back.
    async fn still_ours(&self) -> Result<(), JobError> {
        let is_ours = self.parts.catalog.heartbeat(self.job, self.config.lease, self.parts.clock.now()).await?;
        if is_ours { Ok(()) } else { Err(JobError::LostLease) }
    }

    fn mint(&self) -> JobId {
        JobId::mint(self.parts.clock.now(), self.parts.clock.entropy())
    }
}
