//! Poster, thumbnails and storyboard.

use bytes::Bytes;
use domain::Generation;
use media_store::layout;
use transcoder::PicturesRequest;

use super::{Settlement, Step};
use crate::commit::blocking;
use crate::error::JobError;
use crate::images::Album;

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    if parts.catalog.images(asset, generation).await?.is_some() {
        return Ok(Settlement::Part);
    }
    let plan = step.plan(generation).await?;
    let (Some(video), Some(mut album)) = (&plan.video, Album::new(&plan)) else { return Ok(Settlement::Part) };
    let probe = step.probe().await?;
    let track = probe.video.into_iter().find(|track| track.stream_index == video.stream_index);
    let track = track.ok_or_else(|| JobError::inconsistent("the planned video track was not probed"))?;
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
    let Some((images, files)) = blocking(move || Ok(album.finish()?)).await? else {
        tracing::warn!("no picture could be taken");
        return Ok(Settlement::Part);
    };
    for file in files {
        let key = layout::image(asset, generation, &file.name);
        let key = key.map_err(|error| JobError::inconsistent(format!("{}: {error}", file.name)))?;
        parts.store.put_once(&key, Bytes::from(file.body)).await?;
    }
    parts.catalog.put_images(step.job, &images, parts.clock.now()).await?;
    Ok(Settlement::Part)
}
