//! Reads the objects that must be there and compares what they hold.

use bytes::Bytes;
use domain::ParameterSets;
use futures::StreamExt;
use packager::cmaf::{self, VideoConfig};
use packager::verify::{self, VerifyError};

use super::fault::{Fault, Finding};
use super::inventory::{Content, Expected};
use super::{AuditError, Progress, Report};
use crate::commit::sha256_hex;
use crate::{Parts, coding};

/// Objects that are read at the same time; each is held in memory as a whole.
const READS_IN_FLIGHT: usize = 4;

/// What was found of one object.
struct Read {
    bytes: Option<u64>,
    findings: Vec<Finding>,
}

/// Reads everything in `expected` and adds to the report what is wrong, in that order.
pub(super) async fn check(
    parts: &Parts,
    expected: Vec<Expected>,
    report: &mut Report,
    progress: &mut Progress,
    on_progress: &mut impl FnMut(Progress),
) -> Result<(), AuditError> {
    let mut reads = futures::stream::iter(expected).map(|expected| read(parts, expected)).buffered(READS_IN_FLIGHT);
    while let Some(read) = reads.next().await {
        let Read { bytes, findings } = read?;
        report.objects += u64::from(bytes.is_some());
        report.bytes = report.bytes.saturating_add(bytes.unwrap_or(0));
        findings.into_iter().for_each(|finding| report.add(finding));
        progress.done += 1;
        on_progress(*progress);
    }
    Ok(())
}

async fn read(parts: &Parts, expected: Expected) -> Result<Read, AuditError> {
    let key = expected.key.clone();
    let one = |fault: Fault, problem: String| Read { bytes: None, findings: vec![fault.finding(&key, problem)] };
    let body = match parts.store.get(&key).await {
        Ok(Some(body)) => body,
        Ok(None) => return Ok(one(Fault::ObjectMissing, "it is missing".into())),
        // One bad sector says nothing of the other files; a bucket that does not answer does.
        Err(error) if parts.store.is_folder() => {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            return Ok(one(Fault::ObjectUnreadable, format!("it cannot be read: {cause}")));
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = u64::try_from(body.len()).ok();
    let checked = tokio::task::spawn_blocking(move || compare(&expected, &body)).await;
    let problem = checked.unwrap_or_else(|_| Some((Fault::ObjectInvalid, "checking it failed".into())));
    let findings = problem.map(|(fault, told)| fault.finding(&key, told)).into_iter().collect();
    Ok(Read { bytes, findings })
}

/// What is wrong with an object, if anything.
fn compare(expected: &Expected, body: &Bytes) -> Option<(Fault, String)> {
    let found = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if let Some(recorded) = expected.bytes.filter(|recorded| *recorded != found) {
        return Some((Fault::ObjectDiffers, format!("it has {found} bytes, recorded are {recorded}")));
    }
    if let Some(recorded) = &expected.sha256 {
        let hash = sha256_hex(body);
        if hash != *recorded {
            return Some((Fault::ObjectDiffers, format!("its SHA-256 is {hash}, recorded is {recorded}")));
        }
    }
    let is_recorded = expected.sha256.is_some();
    let wrong = match &expected.content {
        Content::Video { codec, span, frame_ticks, gops, timescale, declared } => {
            verify::video(body, *codec, *frame_ticks, *span, gops)
                .and_then(|found_in| verify::bitrate(found, found_in.ticks, *timescale, *declared))
                .err()
                .map(|error| told(&error))
        }
        Content::Audio { span, offset_ticks, timescale, declared } => verify::audio(body, *span, *offset_ticks)
            .and_then(|found_in| verify::bitrate(found, found_in.ticks, *timescale, *declared))
            .err()
            .map(|error| told(&error)),
        Content::VideoInit { resolution, timescale, frame_ticks, codecs } => {
            let config = |sets: ParameterSets| VideoConfig {
                resolution: *resolution,
                timescale: *timescale,
                frame_ticks: *frame_ticks,
                sets,
            };
            let config = coding::parameter_sets(body).map(config);
            video_init(body, config, codecs.as_deref(), is_recorded)
        }
        Content::AudioInit => verify::init(body).err().map(|error| told(&error)),
        Content::Subtitles => (!body.starts_with(b"WEBVTT")).then(|| "it is not WebVTT".into()),
        Content::Picture | Content::Sent => body.is_empty().then(|| "it is empty".into()),
    };
    // Without a recorded hash, what does not belong there has been damaged since it was stored.
    let fault = if is_recorded { Fault::ObjectInvalid } else { Fault::ObjectDiffers };
    wrong.map(|told| (fault, told))
}

fn told(error: &VerifyError) -> String {
    format!("it is not the planned segment: {error}")
}

/// What is wrong with the init segment of a video rendition.
fn video_init(body: &[u8], config: Option<VideoConfig>, codecs: Option<&str>, is_recorded: bool) -> Option<String> {
    if let Err(error) = verify::init(body) {
        return Some(told(&error));
    }
    let found = coding::codecs(body);
    if let Some(codecs) = codecs.filter(|codecs| found.as_deref() != Some(codecs)) {
        return Some(format!("its record says {}, published is {codecs}", found.as_deref().unwrap_or("nothing")));
    }
    let Some(config) = config else { return Some("its record is damaged".into()) };
    match cmaf::video_init(&config) {
        Err(error) => Some(format!("its record is not that of the rendition: {error}")),
        // Where no hash was recorded, everything around the parameter sets can still be told from them.
        Ok(made) if !is_recorded && made != body => Some("it is not what belongs to its own record".into()),
        Ok(_) => None,
    }
}
