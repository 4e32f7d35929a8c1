//! Sources whose own pictures become the largest rendition.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use catalog_store::{Claim, Demand, Wanted};
use domain::job::WATCHED_PRIORITY;
use domain::{AssetState, Generation, JobId, JobKind, JobLane, JobSpec, RenditionId};
use fixtures::media::{self, ClipSpec, clip};
use pipeline::audit::{Options, audit};
use pipeline::metrics::{Outcome, SegmentKind};

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("a_source_that_allows_it_is_shown_as_it_is", || run(as_it_is())),
    ("a_source_of_the_smallest_size_is_not_encoded_at_all", || run(nothing_encoded())),
    ("a_viewer_who_goes_ahead_gets_copied_segments_at_once", || run(demanded())),
    ("a_source_that_is_not_what_it_seemed_is_encoded_instead", || run(planned_anew())),
    ("sound_that_is_not_what_it_seemed_is_encoded_and_the_picture_is_not", || run(sound_planned_anew())),
];

fn plain(width: u32, height: u32) -> PathBuf {
    clip(&ClipSpec { seconds: 11.0, width, height, video_args: media::UNEVEN_GOPS.to_vec(), ..ClipSpec::default() })
}

async fn as_it_is() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, plan, presentation) = rig.ready(&plain(640, 360)).await?;
    let video = plan.video.as_ref().context("a picture")?;
    ensure!(video.copied_rung().is_some_and(|rung| rung.id.as_str() == "360p"));
    ensure!(presentation.cadence.cells == [vec![40], vec![40], vec![30], vec![40, 75], vec![50]]);
    let cells = presentation.cadence.cells.len();
    for rendition in &presentation.video {
        let ticks: Vec<u64> = rendition.segments.iter().map(|segment| segment.ticks / 1000).collect();
        ensure!(ticks == [40, 40, 30, 115, 50], "{}: {ticks:?}", rendition.id);
        let keyframes: Vec<usize> = rendition.segments.iter().map(|segment| segment.keyframes.len()).collect();
        ensure!(keyframes == [1, 1, 1, 2, 1], "{}: {keyframes:?}", rendition.id);
    }
    let metrics = &rig.parts.metrics;
    let [sound] = presentation.audio.as_slice() else { anyhow::bail!("one sound track") };
    ensure!(plan.audio[0].copied.is_some() && sound.segments.len() == plan.audio_spans(&plan.audio[0]).len());
    ensure!(metrics.segments(SegmentKind::Copied).count == (cells + sound.segments.len()) as u64);
    ensure!(metrics.segments(SegmentKind::Audio).count == 0);
    ensure!(metrics.segments(SegmentKind::Video).count == (cells * video.encoded_count()) as u64);
    let planned = domain::Presentation::planned(asset.id, asset.playback, Generation(1), &plan);
    ensure!(
        planned.first.as_ref().is_some_and(|first| first.as_str() == "360p"),
        "what needs no encoding is there first"
    );
    ensure!(presentation.first.is_none(), "when all is there, a quality that most networks carry");
    for (planned, measured) in planned.video.iter().zip(&presentation.video) {
        ensure!(planned.codecs == measured.codecs, "{}", planned.id);
        ensure!(measured.peak_bitrate <= planned.peak_bitrate, "{}: more than was announced", planned.id);
    }
    let planned = &planned.audio[0];
    ensure!((&planned.codecs, planned.timescale) == (&sound.codecs, sound.timescale));
    ensure!(sound.peak_bitrate <= planned.peak_bitrate, "more than was announced");
    let report = audit(&rig.parts, asset.id, Options { reencode: 100 }, |_| {}).await?;
    ensure!(report.is_sound() && report.reencoded > 10, "{:#?}", report.findings);
    Ok(())
}

async fn nothing_encoded() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, plan, presentation) = rig.ready(&plain(320, 180)).await?;
    ensure!(plan.video.is_some_and(|video| video.encoded_count() == 0) && presentation.video.len() == 1);
    let jobs = rig.parts.catalog.jobs_of(asset.id).await?;
    ensure!(jobs.iter().all(|job| job.spec.kind() != JobKind::Chunk));
    ensure!(rig.parts.metrics.segments(SegmentKind::Video).count == 0);
    Ok(())
}

async fn demanded() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (worker, asset) = (rig.worker(), rig.receive(&plain(640, 360)).await?);
    let claim = || Claim { worker: "test", lane: JobLane::Urgent, lease: Duration::from_secs(60), now: rig.now() };
    let probe = rig.parts.catalog.claim(&claim()).await?.context("the probe")?;
    worker.perform(&probe).await.map_err(anyhow::Error::from_boxed)?;
    let rendition = RenditionId::new("360p")?;
    let wanted = Wanted { asset, generation: Generation(1), rendition, segment: 3 };
    let id = JobId::mint(rig.now(), rig.parts.clock.entropy());
    ensure!(rig.parts.catalog.demand(&wanted, id, rig.now()).await? == Demand::Enqueued);
    let jobs = rig.parts.catalog.jobs_of(asset).await?;
    let raised: Vec<_> = jobs.iter().filter(|job| job.priority == WATCHED_PRIORITY).map(|job| &job.spec).collect();
    ensure!(raised == [&JobSpec::Copy { generation: Generation(1), chunk: 1 }], "{raised:?}");
    let demand = rig.parts.catalog.claim(&claim()).await?.context("the demand")?;
    worker.perform(&demand).await.map_err(anyhow::Error::from_boxed)?;
    let made: Vec<_> = rig.ledger(asset).await?.into_keys().collect();
    ensure!(made == [("360p".to_owned(), 3), ("360p".to_owned(), 4)], "{made:?}");
    ensure!(rig.parts.metrics.segments(SegmentKind::Video).count == 0);
    Ok(())
}

/// A source that seems to be fit to be shown as it is: a probe looks at keyframes, and the picture that is damaged
/// here is another one.
pub(crate) fn deceptive(rig: &Rig) -> anyhow::Result<PathBuf> {
    let source = plain(640, 360);
    let mut bytes = std::fs::read(&source)?;
    let at = place_of_a_packet(&source, "v:0", 160)?;
    bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
    let damaged = rig.dir.path().join("damaged.mp4");
    std::fs::write(&damaged, bytes)?;
    Ok(damaged)
}

async fn planned_anew() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let asset = rig.receive(&deceptive(&rig)?).await?;
    let asset = rig.finish(asset).await?;
    ensure!(asset.state == AssetState::Ready, "{:?}", asset.failure);
    ensure!(asset.generation == Some(Generation(2)));
    let first = rig.parts.catalog.plan(asset.id, Generation(1)).await?.context("the first plan")?;
    let second = rig.parts.catalog.plan(asset.id, Generation(2)).await?.context("the second plan")?;
    ensure!(first.video.is_some_and(|video| video.copied.is_some()));
    ensure!(second.video.is_some_and(|video| video.copied.is_none()) && !second.recipe.passthrough);
    let presentation = rig.published(&asset).await?.context("it is published")?;
    ensure!((presentation.generation, presentation.revision) == (Generation(2), 1));
    ensure!(presentation.cadence.cells.is_empty());
    let outcomes = rig.parts.metrics.outcomes();
    ensure!(outcomes.contains(&(JobKind::Copy, Outcome::Replanned, 1)), "{outcomes:?}");
    ensure!(rig.parts.catalog.unfinished_job_count().await? == 0);
    Ok(())
}

async fn sound_planned_anew() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let source = plain(640, 360);
    let mut bytes = std::fs::read(&source)?;
    let at = place_of_a_packet(&source, "a:0", 200)?;
    // No frame of AAC begins like that; whoever decodes it hears a click.
    bytes[at..at + 2].copy_from_slice(&[0xff, 0xf1]);
    let damaged = rig.dir.path().join("damaged.mp4");
    std::fs::write(&damaged, bytes)?;
    let asset = rig.receive(&damaged).await?;
    let asset = rig.finish(asset).await?;
    ensure!(asset.state == AssetState::Ready, "{:?}", asset.failure);
    ensure!(asset.generation == Some(Generation(2)));
    let first = rig.parts.catalog.plan(asset.id, Generation(1)).await?.context("the first plan")?;
    let second = rig.parts.catalog.plan(asset.id, Generation(2)).await?.context("the second plan")?;
    ensure!(first.audio[0].copied.is_some() && second.audio[0].copied.is_none());
    ensure!(second.video.is_some_and(|video| video.copied.is_some()), "the picture is as it seemed");
    let outcomes = rig.parts.metrics.outcomes();
    ensure!(outcomes.contains(&(JobKind::Audio, Outcome::Replanned, 1)), "{outcomes:?}");
    ensure!(rig.parts.metrics.segments(SegmentKind::Audio).count > 0);
    Ok(())
}

/// Where the packet of this number in decode order begins; of pictures one that is no keyframe, found by a program that is not ours.
#[expect(clippy::disallowed_methods, reason = "the source is read by a program that is not ours")]
fn place_of_a_packet(source: &Path, stream: &str, number: usize) -> anyhow::Result<usize> {
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-show_entries", "packet=pos,flags", "-of", "csv=p=0"])
        .arg(source)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().nth(number).context("so many packets")?;
    let (place, flags) = line.split_once(',').context("a place and flags")?;
    ensure!(stream != "v:0" || !flags.starts_with('K'), "a keyframe");
    Ok(place.parse()?)
}
