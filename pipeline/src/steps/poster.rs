//! The poster that somebody chose, in place of the one that was found to be the best.
//!
//! It is a file of its own among the pictures of each generation, made when a document with it is published, and removed
//! when one without it is in force. What cannot be made leaves the scored poster where it is: no subtitle and no film
//! waits for a picture.

use bytes::Bytes;
use domain::presentation::{Images, Still};
use domain::{Generation, MediaTime, PictureId, Plan, PosterChoice, Probe, Resolution, Timescale, poster};
use image::RgbImage;
use media_store::{Prefix, layout};
use transcoder::{EngineError, PicturesRequest, Shot};

use super::Step;
use crate::commit::blocking;
use crate::error::JobError;
use crate::images::{hashes, jpeg, poster_rung};

/// Files of one listing that are looked at; what is behind them is left to the next time.
const SWEPT_MAX: usize = 1000;

/// The pictures of a generation with the poster that is wished for.
pub(super) struct Poster {
    /// What is to be published; `None` where nothing is to be seen.
    pub(super) images: Option<Images>,
    /// The catalogue has others.
    is_new: bool,
    choice: Option<PosterChoice>,
}

/// The pictures of a generation with the poster that is wished for, which is stored.
pub(super) async fn chosen(
    step: &Step<'_>,
    generation: Generation,
    (plan, probe): (&Plan, &Probe),
    choice: Option<PosterChoice>,
) -> Result<Poster, JobError> {
    let recorded = step.parts.catalog.images(step.job.asset, generation).await?;
    let scored = recorded.clone().and_then(Images::unchosen);
    let images = match choice.and_then(|choice| choice.file().map(|file| (choice, file))) {
        None => scored,
        // It is there already.
        Some((_, file)) if recorded.as_ref().is_some_and(|images| images.poster == file) => recorded.clone(),
        Some((choice, file)) => match made(step, generation, (plan, probe), choice, &file).await? {
            Some(still) => Some(Images::with_poster(scored, still)),
            None => scored,
        },
    };
    Ok(Poster { is_new: images != recorded, images, choice })
}

impl Poster {
    /// Has the catalogue know the pictures, and removes those that nobody needs any more. To be called once a document
    /// with them is in force, so that no address is told before something is there.
    pub(super) async fn record(&self, step: &Step<'_>, generation: Generation) -> Result<(), JobError> {
        let (catalog, asset) = (&step.parts.catalog, step.job.asset);
        if self.is_new {
            catalog.set_images(step.job, self.images.as_ref(), step.parts.clock.now()).await?;
        }
        let Some(choice) = self.choice else { return Ok(()) };
        let in_force = self.images.as_ref().map(|images| images.poster.as_str());
        let is_left = |file: &str| poster::is_chosen(file) && Some(file) != in_force;
        delete_where(step, &layout::images_of(asset, generation), is_left).await?;
        // Ids sort by birth: what is younger than the choice is about to be chosen itself.
        let is_older = |file: &str| file.parse().is_ok_and(|picture: PictureId| picture < choice.id());
        delete_where(step, &layout::posters_of(asset), is_older).await
    }
}

async fn delete_where(step: &Step<'_>, prefix: &Prefix, is_left: impl Fn(&str) -> bool) -> Result<(), JobError> {
    let page = step.parts.store.list(prefix, None).await?;
    for object in page.objects.into_iter().take(SWEPT_MAX).filter(|object| is_left(object.key.file_name())) {
        step.parts.store.delete(&object.key).await?;
        tracing::info!(key = %object.key, "poster removed");
    }
    Ok(())
}

/// The poster of this choice, stored under `file`; `None` if it cannot be made.
async fn made(
    step: &Step<'_>,
    generation: Generation,
    (plan, probe): (&Plan, &Probe),
    choice: PosterChoice,
    file: &str,
) -> Result<Option<Still>, JobError> {
    let (store, asset) = (&step.parts.store, step.job.asset);
    let key = layout::image(asset, generation, file);
    let key = key.map_err(|error| JobError::inconsistent(format!("{file}: {error}")))?;
    // What an earlier run has put there is the same.
    let body = match store.get(&key).await? {
        Some(body) => Some(body),
        None => match choice {
            PosterChoice::Picture { id } => store.get(&layout::poster(asset, id)).await?,
            PosterChoice::Time { at_ms, .. } => {
                frame(step, plan, probe, MediaTime::new(at_ms, Timescale::MILLISECONDS)).await?
            }
            PosterChoice::Scored { .. } => None,
        },
    };
    let Some(body) = body else {
        tracing::warn!(file, "the poster that was chosen cannot be made");
        return Ok(None);
    };
    let picture = body.clone();
    let read = blocking(move || Ok(image::load_from_memory(&picture)?.into_rgb8())).await?;
    store.put_once(&key, body).await?;
    let name = file.to_owned();
    Ok(Some(blocking(move || Ok(described(name, &read))).await?))
}

fn described(file: String, image: &RgbImage) -> Still {
    let hashes = hashes::of(image);
    let resolution = Resolution { width: image.width(), height: image.height() };
    Still { file, resolution, blurhash: hashes.blurhash, thumbhash: Some(hashes.thumbhash) }
}

/// What is seen at a time, as large as the scored poster; `None` where nothing is.
async fn frame(step: &Step<'_>, plan: &Plan, probe: &Probe, time: MediaTime) -> Result<Option<Bytes>, JobError> {
    let Some(video) = plan.video.as_ref().filter(|_| time < plan.duration) else { return Ok(None) };
    let Some(rung) = poster_rung(video) else { return Ok(None) };
    let track = probe.video.iter().find(|track| track.stream_index == video.stream_index).cloned();
    let track = track.ok_or_else(|| JobError::inconsistent("the planned video track was not probed"))?;
    let shots = vec![Shot { time, resolution: rung.resolution }];
    let request = PicturesRequest { track, origin: plan.origin, shots, only_key_frames: false };
    let taken = async {
        let mut session = step.batch_engine().pictures(step.source().await?, request)?;
        Ok::<_, JobError>(session.next().await?)
    };
    let picture = match taken.await {
        Ok(picture) => picture,
        Err(JobError::Engine(EngineError::Refused(failure))) => {
            tracing::info!(reason = failure.message, "nothing can be seen at the time of the poster");
            None
        }
        // What else the job publishes does not fall with it a second time.
        Err(error) if step.job.failures > 0 => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the poster that was chosen is left out");
            None
        }
        Err(error) => return Err(error),
    };
    let Some(picture) = picture else { return Ok(None) };
    let (width, height) = (picture.resolution.width, picture.resolution.height);
    let Some(image) = RgbImage::from_raw(width, height, picture.rgb) else { return Ok(None) };
    blocking(move || Ok(Some(Bytes::from(jpeg(&image)?)))).await
}
