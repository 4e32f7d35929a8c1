//! What becomes of sources of every kind.

use std::path::Path;

use anyhow::{Context, ensure};
use domain::{AssetState, FailureCode, Generation, JobSpec, MediaTime, Timescale};
use fixtures::media::{ClipSpec, clip};
use media_store::layout;
use pipeline::export;
use pipeline::metrics::Outcome;
use sha2::{Digest, Sha256};

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("a_clip_with_everything_ends_ready_and_its_objects_match_the_ledger", || run(everything())),
    ("a_long_video_has_pictures_before_it_is_encoded_and_a_short_one_behind", || run(pictures())),
    ("an_audio_only_source_gives_an_audio_only_presentation", || run(audio_only())),
    ("the_picture_attached_to_music_becomes_its_poster", || run(cover())),
    ("a_video_only_source_gives_no_audio_group", || run(video_only())),
    ("a_file_that_is_no_media_fails_with_a_reason", || run(no_media())),
    ("an_engine_that_always_crashes_fails_the_asset_after_three_tries", || run(crashing())),
    ("a_broken_sound_track_does_not_fail_an_asset_whose_picture_plays", || run(broken_sound())),
    ("a_file_that_was_cut_off_ends_ready_or_with_a_reason", || run(cut_off())),
    ("an_exported_folder_plays_in_another_program_and_is_repeatable", || run(exported())),
];

pub(crate) fn rich() -> ClipSpec {
    ClipSpec {
        seconds: 10.0,
        width: 640,
        height: 360,
        audio: vec!["eng", "deu"],
        subtitles: vec!["eng"],
        chapters: 3,
        container: "mkv",
        ..ClipSpec::default()
    }
}

async fn everything() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, plan, presentation) = rig.ready(&clip(&rich())).await?;

    let rows = rig.parts.catalog.segments(asset.id, Generation(1)).await?;
    let video = plan.video.as_ref().context("there is a picture")?;
    let expected = video.rungs.len() * plan.video_spans().len()
        + plan.audio.iter().map(|audio| plan.audio_spans(audio).len()).sum::<usize>();
    ensure!(rows.len() == expected, "{} rows for {expected} segments", rows.len());
    for row in rows {
        let key = layout::segment(asset.id, Generation(1), &row.rendition, row.index);
        let body = rig.parts.store.get(&key).await?.context("a row without an object")?;
        let hash: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!((hash, body.len() as u64) == (row.sha256, row.bytes), "{key}");
    }

    ensure!(presentation.revision == 1);
    ensure!(presentation.video.len() == video.rungs.len());
    let languages: Vec<_> = presentation.audio.iter().filter_map(|audio| audio.language.as_ref()).collect();
    ensure!(languages.iter().map(|language| language.tag()).collect::<Vec<_>>() == ["en", "de"]);
    ensure!(presentation.audio.iter().map(|audio| audio.is_default).collect::<Vec<_>>() == [true, false]);
    ensure!(presentation.chapters.len() == 3);
    let loudness = rig.parts.catalog.loudness(asset.id, Generation(1)).await?.context("loudness was measured")?;
    ensure!(loudness.iter().map(|one| one.stream_index).collect::<Vec<_>>() == [1, 2]);
    ensure!(loudness.iter().all(|one| one.integrated_lufs.is_some()));
    let images = presentation.images.context("pictures were taken")?;
    ensure!(images.blurhash.is_some() && images.thumbhash.is_some());
    let preview = layout::image(asset.id, Generation(1), images.preview.as_deref().context("it moves")?)?;
    let preview = rig.parts.store.get(&preview).await?.context("the preview is stored")?;
    ensure!(preview.starts_with(b"RIFF") && preview[8..].starts_with(b"WEBPVP8X"));
    let recorded: Vec<&str> = presentation.files.iter().map(|file| file.path.as_str()).collect();
    for file in ["360p/init.mp4", "audio-1-de/init.mp4", "images/poster.jpg", "images/preview.webp"] {
        ensure!(recorded.contains(&file), "{file} is not among {recorded:?}");
    }
    ensure!(plan.recipe.libraries.contains("x264"), "{}", plan.recipe.libraries);
    ensure!(images.thumbnails.len() == 10 && images.storyboard.is_some_and(|sheets| sheets.tile_count >= 10));

    let subtitles = presentation.subtitles.first().context("there are subtitles")?;
    let ticks: u64 = subtitles.segments.iter().map(|segment| segment.ticks).sum();
    let duration = MediaTime::new(i64::try_from(ticks)?, Timescale::MILLISECONDS);
    ensure!(duration == MediaTime::new(presentation.duration.as_ms(), Timescale::MILLISECONDS));
    for rendition in &presentation.video {
        ensure!(rendition.peak_bitrate >= rendition.average_bitrate && rendition.average_bitrate.0 > 0);
        ensure!(rendition.codecs.starts_with("avc1.64"), "{}", rendition.codecs);
        ensure!(rendition.segments.iter().all(|segment| !segment.keyframes.is_empty() && segment.sha256.is_some()));
    }
    Ok(())
}

/// Both have the same pictures: those of a short video are taken from its renditions, those of a long one from
/// its source, of which they need little.
async fn pictures() -> anyhow::Result<()> {
    for seconds in [96.0, 104.0] {
        let rig = Rig::new().await?;
        let file =
            clip(&ClipSpec { seconds, width: 320, height: 180, rate: "5", audio: vec![], ..ClipSpec::default() });
        let (asset, plan, presentation) = rig.ready(&file).await?;
        let images = presentation.images.context("pictures were taken")?;
        ensure!(images.thumbnails.len() == 10 && images.preview.is_some(), "{images:?}");
        let sheets = images.storyboard.context("a storyboard")?;
        ensure!(sheets.tile_count == if seconds < 100.0 { 96 } else { 52 }, "{sheets:?}");
        let size = plan.video.context("a picture")?.rungs.last().context("a rung")?.resolution;
        ensure!(images.poster_resolution == size);
        let jobs = rig.parts.catalog.jobs_of(asset.id).await?;
        let is_last = jobs.iter().any(|job| matches!(job.spec, JobSpec::Images { is_last: true, .. }));
        ensure!(is_last == (seconds < 100.0), "{jobs:?}");
    }
    Ok(())
}

async fn audio_only() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let file = clip(&ClipSpec { width: 0, height: 0, seconds: 5.0, container: "m4a", ..ClipSpec::default() });
    let (_, plan, presentation) = rig.ready(&file).await?;
    ensure!(plan.video.is_none() && presentation.video.is_empty() && presentation.images.is_none());
    ensure!(presentation.audio.len() == 1);
    Ok(())
}

/// The picture that is attached to music becomes its poster, and nothing else.
async fn cover() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    for codec in ["mjpeg", "png"] {
        let file = fixtures::media::made(
            "mp3",
            &[
                &[
                    "-f",
                    "lavfi",
                    "-i",
                    "sine=duration=3",
                    "-f",
                    "lavfi",
                    "-i",
                    "color=c=orange:size=400x300:duration=0.04",
                ][..],
                &["-map", "0", "-map", "1", "-c:a", "libmp3lame", "-c:v", codec],
                &["-disposition:v", "attached_pic", "-id3v2_version", "3"],
            ]
            .concat(),
        );
        let (_, plan, presentation) = rig.ready(&file).await?;
        ensure!(plan.video.is_none() && presentation.video.is_empty());
        let images = presentation.images.context("a poster")?;
        ensure!((images.poster_resolution.width, images.poster_resolution.height) == (400, 300));
        ensure!(images.thumbnails.is_empty() && images.storyboard.is_none());
    }
    Ok(())
}

async fn video_only() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (_, _, presentation) = rig.ready(&clip(&ClipSpec { audio: vec![], ..ClipSpec::default() })).await?;
    ensure!(presentation.audio.is_empty() && !presentation.video.is_empty());
    Ok(())
}

async fn no_media() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let file = rig.dir.path().join("holiday.mp4");
    let noise: Vec<u8> = (0u32..200_000).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    std::fs::write(&file, noise)?;
    let asset = rig.receive(&file).await?;
    let asset = rig.finish(asset).await?;
    ensure!(asset.state == AssetState::Failed);
    let failure = asset.failure.clone().context("a reason")?;
    ensure!(failure.code != FailureCode::Internal && failure.message.len() > 20, "{failure:?}");
    ensure!(rig.published(&asset).await?.is_none() && rig.parts.catalog.unfinished_job_count().await? == 0);
    Ok(())
}

async fn crashing() -> anyhow::Result<()> {
    let rig = Rig::with_engine("/bin/false".into()).await?;
    let asset = rig.receive(&clip(&ClipSpec::default())).await?;
    let asset = rig.finish(asset).await?;
    ensure!(asset.state == AssetState::Failed);
    ensure!(asset.failure.is_some_and(|failure| failure.code == FailureCode::EngineCrashed));
    let count = |wanted| {
        let outcomes = rig.parts.metrics.outcomes();
        outcomes.into_iter().find(|(_, outcome, _)| *outcome == wanted).map(|(.., count)| count)
    };
    ensure!((count(Outcome::Retried), count(Outcome::Failed)) == (Some(2), Some(1)));
    Ok(())
}

async fn broken_sound() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let audio = vec!["eng", "deu"];
    // Every octet of the second track's packets is replaced by noise.
    let extra_args = vec!["-bsf:a:1", "noise=amount=1"];
    let file = clip(&ClipSpec { audio, extra_args, container: "mkv", ..ClipSpec::default() });
    let (_, _, presentation) = rig.ready(&file).await?;
    ensure!(!presentation.video.is_empty());
    let first = presentation.audio.first().context("the good track is kept")?;
    ensure!(first.language.as_ref().is_some_and(|language| language.tag() == "en") && first.is_default);
    Ok(())
}

async fn cut_off() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let whole = std::fs::read(clip(&rich()))?;
    for share in [9, 5, 1] {
        let file = rig.dir.path().join(format!("cut-{share}.mkv"));
        std::fs::write(&file, &whole[..whole.len() * share / 10])?;
        let asset = rig.receive(&file).await?;
        let asset = rig.finish(asset).await?;
        match asset.failure {
            None => ensure!(asset.state == AssetState::Ready),
            Some(failure) => ensure!(failure.code != FailureCode::Internal, "{failure:?}"),
        }
    }
    ensure!(rig.parts.catalog.unfinished_job_count().await? == 0);
    Ok(())
}

async fn exported() -> anyhow::Result<()> {
    let rig = Rig::new().await?;
    let (asset, plan, presentation) = rig.ready(&clip(&rich())).await?;
    let dir = rig.dir.path().join("out/hls");
    let first = export::to_folder(&rig.parts.catalog, &rig.parts.store, asset.id, &dir).await?;
    let again = export::to_folder(&rig.parts.catalog, &rig.parts.store, asset.id, &dir).await?;
    ensure!(first == again);
    for name in ["chapters.json", "chapters.vtt", "storyboard.vtt", "images/poster.jpg", "metadata.json"] {
        ensure!(dir.join(name).is_file(), "{name}");
    }
    for rendition in &presentation.video {
        let packets = packets(&dir.join(rendition.id.as_str()).join("playlist.m3u8"), "v:0")?;
        let planned = plan.video.as_ref().map(|video| video.frame_count);
        ensure!(Some(packets) == planned, "{}: {packets} frames for {planned:?}", rendition.id);
    }
    for audio in &plan.audio {
        let packets = packets(&dir.join(audio.id.as_str()).join("playlist.m3u8"), "a:0")?;
        ensure!(packets == audio.frame_count, "{}: {packets} AAC frames for {}", audio.id, audio.frame_count);
    }
    Ok(())
}

/// How many packets another program reads of a stream.
#[expect(clippy::disallowed_methods, reason = "the output is read back with a program that is not ours")]
fn packets(playlist: &Path, stream: &str) -> anyhow::Result<u64> {
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-allowed_extensions", "ALL", "-count_packets", "-select_streams", stream])
        .args(["-show_entries", "stream=nb_read_packets", "-of", "default=nokey=1:noprint_wrappers=1"])
        .arg(playlist)
        .output()?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().next().context("no stream")?.trim().parse()?)
}
