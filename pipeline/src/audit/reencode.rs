//! Encodes segments again: the same source under the same recipe must give the same octets.

use std::collections::BTreeSet;
use std::error::Error;

use catalog_store::{Asset, SegmentRow};
use domain::{Generation, Plan, Presentation, Probe};
use media_store::layout;
use transcoder::SegmentWork;

use super::fault::Fault;
use super::inventory::{Inventory, Output};
use super::{AuditError, Report};
use crate::Parts;
use crate::commit::{Finished, blocking, finish_audio, finish_video};
use crate::error::JobError;
use crate::steps::{audio, chunk, copy};

/// A segment to be encoded again.
pub(super) struct Pick {
    plan: Plan,
    row: SegmentRow,
}

/// Chooses `count` segments of the ledger of the generation in force, by the throw of `entropy`.
pub(super) fn pick(
    count: usize,
    presentation: Option<&Presentation>,
    outputs: &[(Output, Inventory)],
    entropy: [u8; 16],
) -> Vec<Pick> {
    let in_force = presentation.map_or(Generation(0), |presentation| presentation.generation);
    let Some((output, _)) = outputs.iter().find(|(output, _)| output.generation == in_force) else { return vec![] };
    let rows = &output.rows;
    let mut chosen = BTreeSet::new();
    let mut state = u64::from_be_bytes(*entropy.first_chunk().unwrap_or(&[0; 8]));
    // The last `count` places of a shuffle, without shuffling (Floyd); ends after `count` rounds.
    for last in rows.len().saturating_sub(count)..rows.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = u64::try_from(last).unwrap_or(0) + 1;
        let place = usize::try_from((state >> 33) % span).unwrap_or(last);
        if !chosen.insert(place) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().map(|at| Pick { plan: output.plan.clone(), row: rows[at].clone() }).collect()
}

/// False, with a finding, if the encoder of this machine is not the one that a generation was made with.
pub(super) async fn is_comparable(parts: &Parts, picks: &[Pick], report: &mut Report) -> bool {
    let Some(made_with) = picks.first().map(|pick| &pick.plan.recipe.libraries) else { return false };
    let here = match parts.engine.self_test().await {
        Ok(cage) => cage.libav,
        Err(error) => {
            report.add(Fault::EncodingFailed.finding(report.asset, format!("the engine does not work: {error}")));
            return false;
        }
    };
    // Where it was not noted, the comparison itself has to tell.
    if !made_with.is_empty() && *made_with != here {
        let told = format!("it was encoded by FFmpeg {made_with}, here is FFmpeg {here}");
        report.add(Fault::OtherEncoder.finding(report.asset, told));
        return false;
    }
    true
}

/// Encodes one segment again and adds to the report if that gives something else.
pub(super) async fn compare(parts: &Parts, asset: &Asset, pick: Pick, report: &mut Report) -> Result<(), AuditError> {
    let Pick { plan, row } = pick;
    let key = layout::segment(row.asset, row.generation, &row.rendition, row.index);
    let stored = parts.store.get(&layout::init(row.asset, row.generation, &row.rendition)).await?;
    let finished = match encode(parts, asset, &plan, &row).await {
        Ok(finished) => finished,
        Err(error) => {
            let told = format!("it cannot be encoded again: {}", with_causes(&error));
            report.add(Fault::EncodingFailed.finding(key, told));
            return Ok(());
        }
    };
    report.reencoded += 1;
    if finished.sha256 != row.sha256 {
        let told = format!("encoded again it has the SHA-256 {}, recorded is {}", finished.sha256, row.sha256);
        report.add(Fault::NotReproducible.finding(&key, told));
    }
    if stored.is_some_and(|stored| stored != finished.init) {
        report.add(Fault::NotReproducible.finding(key, "encoded again it needs another init segment"));
    }
    Ok(())
}

async fn encode(parts: &Parts, asset: &Asset, plan: &Plan, row: &SegmentRow) -> Result<Finished, JobError> {
    let own = parts.catalog.probe_of(asset.id, row.generation).await?;
    let probe = own.as_ref().or(asset.probe.as_ref());
    let probe = probe.ok_or_else(|| JobError::inconsistent("a planned asset has no probe"))?;
    if plan.audio_rendition(&row.rendition).is_some() {
        sound(parts, probe, plan, row).await
    } else {
        video(parts, probe, plan, row).await
    }
}

async fn video(parts: &Parts, probe: &Probe, plan: &Plan, row: &SegmentRow) -> Result<Finished, JobError> {
    let unplanned = || JobError::inconsistent("the segment is not in the plan");
    let video = plan.video.as_ref().ok_or_else(unplanned)?;
    let rung = video.rung(&row.rendition).ok_or_else(unplanned)?.clone();
    let span = plan.video_spans().into_iter().find(|span| span.index == row.index).ok_or_else(unplanned)?;
    let source = parts.store.open_source(parts.catalog.source_of(row.asset, Some(row.generation)).await?).await?;
    let mut session = if video.copied_rung().is_some_and(|copied| copied.id == rung.id) {
        parts.engine.copy(source, copy::request(plan, video, vec![span]))?
    } else {
        let rungs = video.ladder(rung.codec);
        let work = SegmentWork { span, rungs: rungs.iter().map(|other| other.id == rung.id).collect() };
        parts.engine.encode_chunk(source, chunk::request(plan, (video, rungs), probe, vec![work])?)?
    };
    let segment = session.next().await?.ok_or(JobError::Incomplete { missing: 1, wanted: 1 })?;
    let (config, gops) = (chunk::config(plan, &rung, segment.sets.clone()), plan.cadence.gops(span));
    blocking(move || finish_video(rung.id, &config, &gops, rung.bitrate_max, &segment)).await
}

async fn sound(parts: &Parts, probe: &Probe, plan: &Plan, row: &SegmentRow) -> Result<Finished, JobError> {
    let unplanned = || JobError::inconsistent("the segment is not in the plan");
    let rendition = plan.audio_rendition(&row.rendition).ok_or_else(unplanned)?;
    let spans = plan.audio_spans(rendition);
    let part = plan.audio_parts(rendition).into_iter().find(|part| part.holds(row.index)).ok_or_else(unplanned)?;
    let at = |index: u32| spans.iter().find(|span| span.index == index).copied().ok_or_else(unplanned);
    let (part_first, span) = (at(part.first_segment)?.first, at(row.index)?);
    let source = parts.store.open_source(parts.catalog.source_of(row.asset, Some(row.generation)).await?).await?;
    let mut session = audio::session(&parts.engine, source, (plan, rendition), probe, part_first, vec![span])?;
    let segment = session.next().await?.ok_or(JobError::Incomplete { missing: 1, wanted: 1 })?;
    let (id, config) = (rendition.id.clone(), audio::config(plan, rendition, segment.config.clone()));
    blocking(move || finish_audio(id, &config, &segment)).await
}

/// The error and its causes on one line.
fn with_causes(error: &JobError) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    // Errors name their causes, and no cause names itself.
    while let Some(source) = cause {
        told = format!("{told}: {source}");
        cause = source.source();
    }
    told
}
