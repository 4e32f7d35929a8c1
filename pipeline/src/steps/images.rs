//! Poster, thumbnails, storyboard and animated preview; of sound alone the attached picture as poster.

use bytes::Bytes;
use domain::Generation;
use media_store::layout;
use transcoder::{EngineError, PicturesRequest, PreviewRequest};

use super::{Settlement, Step};
use crate::commit::blocking;
use crate::error::JobError;
use crate::images::{Album, File, preview};

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    if parts.catalog.images(asset, generation).await?.is_some() {
        return Ok(Settlement::Part);
    }
    let plan = step.plan(generation).await?;
    let probe = step.probe().await?;
    let (track, album, preview) = match &plan.video {
        Some(video) => {
            let track = probe.video.into_iter().find(|track| track.stream_index == video.stream_index);
            let track = track.ok_or_else(|| JobError::inconsistent("the planned video track was not probed"))?;
            let preview = preview::request(&plan, &track);
            (track, Album::new(&plan), preview)
        }
        None => match probe.cover {
            Some(cover) => {
                let album = Album::of_cover(cover.display());
                (cover, Some(album), None)
            }
            None => return Ok(Settlement::Part),
        },
    };
    let Some(mut album) = album else { return Ok(Settlement::Part) };
    let request = PicturesRequest { track, origin: plan.origin, shots: album.shots.clone() };
    let mut session = step.batch_engine().pictures(step.source().await?, request)?;
    while let Some(picture) = session.next().await? {
        // Compressing a picture takes milliseconds: the album goes to another thread and back.
        album = blocking(move || {
            album.add(picture)?;
            Ok(album)
        })
        .await?;
    }
    let Some((mut images, mut files)) = blocking(move || Ok(album.finish()?)).await? else {
        tracing::warn!("no picture could be taken");
        return Ok(Settlement::Part);
    };
    if let Some(request) = preview
        && let Some(body) = animated(step, request).await?
    {
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

/// The animated preview; `None` where it cannot be made, or where nothing moves.
async fn animated(step: &Step<'_>, request: PreviewRequest) -> Result<Option<Vec<u8>>, JobError> {
    match step.batch_engine().preview(step.source().await?, request).await {
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
