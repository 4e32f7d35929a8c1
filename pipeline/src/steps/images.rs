//! Poster, thumbnails, storyboard and animated preview; of sound alone the attached picture as poster.

mod rendition;

use bytes::Bytes;
use domain::presentation::Images;
use domain::{Generation, Plan, Probe};
use media_store::layout;
use transcoder::{EngineError, PicturesRequest, PreviewRequest};

use super::{Settlement, Step};
use crate::commit::blocking;
use crate::error::JobError;
pub(super) use crate::images::are_last;
use crate::images::{Album, File, preview};

/// Shots to take from one file.
struct Look {
    file: std::fs::File,
    request: PicturesRequest,
    /// Where each shot belongs in the album.
    places: Vec<usize>,
}

/// All that is to be taken of a video.
struct Looks {
    album: Album,
    stills: Vec<Look>,
    moving: Option<(std::fs::File, PreviewRequest)>,
}

pub(super) async fn run(step: &Step<'_>, generation: Generation, is_last: bool) -> Result<Settlement, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    if parts.catalog.images(asset, generation).await?.is_some() {
        return Ok(Settlement::Part);
    }
    let (plan, probe) = (step.plan(generation).await?, step.probe().await?);
    let looks = if is_last {
        rendition::looks(step, generation, &plan, &probe).await?
    } else {
        of_source(step, &plan, probe).await?
    };
    let Some(Looks { album, stills, moving }) = looks else { return Ok(Settlement::Part) };
    let (found, preview) = if is_last {
        futures::try_join!(taken(step, album, stills), animated(step, moving))?
    } else {
        // One after the other: each decodes pictures as large as the source's.
        (taken(step, album, stills).await?, animated(step, moving).await?)
    };
    let Some((mut images, mut files)) = found else {
        tracing::warn!("no picture could be taken");
        return Ok(Settlement::Part);
    };
    if let Some(body) = preview {
        images.preview = Some(preview::FILE.into());
        files.push(File { name: preview::FILE.into(), body });
    }
    for file in files {
        let key = layout::image(asset, generation, &file.name);
        let key = key.map_err(|error| JobError::inconsistent(format!("{}: {error}", file.name)))?;
        parts.store.put_once(&key, Bytes::from(file.body)).await?;
    }
    parts.catalog.put_images(step.job, &images, parts.clock.now()).await?;
    Ok(Settlement::Part)
}

/// What there is to take from the source; `None` of sound without a picture.
async fn of_source(step: &Step<'_>, plan: &Plan, probe: Probe) -> Result<Option<Looks>, JobError> {
    let (track, album, preview) = match &plan.video {
        Some(video) => {
            let track = probe.video.into_iter().find(|track| track.stream_index == video.stream_index);
            let track = track.ok_or_else(|| JobError::inconsistent("the planned video track was not probed"))?;
            let preview = preview::request(plan, &track, plan.origin);
            (track, Album::new(plan), preview)
        }
        None => match probe.cover {
            Some(cover) => {
                let album = Album::of_cover(cover.display());
                (cover, Some(album), None)
            }
            None => return Ok(None),
        },
    };
    let Some(album) = album else { return Ok(None) };
    let request = PicturesRequest { track, origin: plan.origin, shots: album.shots.clone(), only_key_frames: false };
    let places = (0..album.shots.len()).collect();
    let moving = match preview {
        Some(request) => Some((step.source().await?, request)),
        None => None,
    };
    Ok(Some(Looks { album, stills: vec![Look { file: step.source().await?, request, places }], moving }))
}

/// Takes the stills; `None` if there is not even a poster.
async fn taken(step: &Step<'_>, mut album: Album, looks: Vec<Look>) -> Result<Option<(Images, Vec<File>)>, JobError> {
    for Look { file, request, places } in looks {
        let mut session = step.batch_engine().pictures(file, request)?;
        while let Some(mut picture) = session.next().await? {
            let place = places.get(picture.shot).copied();
            picture.shot = place.ok_or_else(|| JobError::inconsistent("a picture that nobody asked for"))?;
            // Compressing a picture takes milliseconds: the album goes to another thread and back.
            album = blocking(move || {
                album.add(picture)?;
                Ok(album)
            })
            .await?;
        }
    }
    blocking(move || Ok(album.finish()?)).await
}

/// The animated preview; `None` where it cannot be made, or where nothing moves.
async fn animated(
    step: &Step<'_>,
    moving: Option<(std::fs::File, PreviewRequest)>,
) -> Result<Option<Vec<u8>>, JobError> {
    let Some((file, request)) = moving else { return Ok(None) };
    match step.batch_engine().preview(file, request).await {
        Ok(preview) => Ok((preview.frame_count > 1).then_some(preview.webp)),
        Err(EngineError::Refused(failure)) => {
            tracing::info!(reason = failure.message, "preview left out");
            Ok(None)
        }
        // The stills are worth more than the preview: they do not fall with it a second time.
        Err(error) if step.job.failures > 0 => {
            tracing::warn!(error = &error as &dyn std::error::Error, "preview left out");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
