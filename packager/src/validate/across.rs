//! Rules between the renditions, and between what is declared and what was measured.

use domain::Timescale;

use super::{Kind, Multivariant, Report, Track, rules};
use crate::rates::{self, Rates};

/// What boundaries and beginnings may differ by, in millionths of a second: some frames of either.
const BOUNDARY_TOLERANCE: u64 = 100_000;

const SECOND: u64 = 1_000_000;

/// Judges all playlists together, once their segments were looked at. Tracks bear the URIs that the top names.
///
/// Rules on bit rates are left out for tracks of which not every segment was seen.
pub fn whole(top: &Multivariant, tracks: &[(String, Track)], report: &mut Report) {
    let is_media = |kind: Kind| matches!(kind, Kind::Variant | Kind::Audio | Kind::Video);
    let media: Vec<&Track> = tracks.iter().map(|(_, track)| track).filter(|track| is_media(track.kind())).collect();
    let Some(first) = media.first() else { return };
    for track in &media {
        check_like(first, track, report);
        if let Some(rates) = measured(track)
            && track.declared.resolution.is_some()
            && rates.peak.0 > 2 * rates.average.0
        {
            let what = format!("the peak is {} b/s, the average {}", rates.peak.0, rates.average.0);
            report.add(&rules::PEAK_TO_AVERAGE, track.media.place.clone(), what);
        }
    }
    let longest = |track: &&Track| track.media.duration();
    let length = media.iter().map(longest).max().unwrap_or(0);
    let picture = media.iter().filter(|track| track.declared.resolution.is_some()).map(longest).max();
    for (_, track) in tracks.iter().filter(|(_, track)| track.kind() != Kind::Iframes) {
        let own = track.media.duration();
        let is_other = |length: u64| own.abs_diff(length) > track.media.target_s.max(1) * SECOND;
        let told = |length: u64| format!("it lasts {} s, the longest {} s", own / SECOND, length / SECOND);
        match picture.filter(|_| track.declared.resolution.is_some()) {
            Some(picture) if is_other(picture) => {
                report.add(&rules::SAME_DURATION, track.media.place.clone(), told(picture));
            }
            _ if is_other(length) => report.add(&rules::TRACK_LENGTH, track.media.place.clone(), told(length)),
            _ => {}
        }
    }
    for variant in &top.variants {
        check_rates(top, variant, tracks, report);
    }
}

/// Two renditions of picture or sound.
fn check_like(first: &Track, other: &Track, report: &mut Report) {
    let place = || other.media.place.clone();
    let (target, own) = (first.media.target_s, other.media.target_s);
    if target != own {
        report.add(&rules::SAME_TARGET, place(), format!("the target duration is {own} s, of others {target} s"));
    }
    if let (Some(a), Some(b)) = (first.begins, other.begins)
        && a.abs_diff(b) > BOUNDARY_TOLERANCE
    {
        let what = format!("it begins {} ms apart from {}", a.abs_diff(b) / 1000, first.media.place);
        report.add(&rules::SAME_RANGE, place(), what);
    }
    let jumps = |track: &Track| track.media.segments.iter().filter(|segment| segment.is_discontinuous).count();
    if jumps(first) != jumps(other) {
        let what = format!("{} discontinuities, elsewhere {}", jumps(other), jumps(first));
        report.add(&rules::DISCONTINUITIES, place(), what);
    }
    let boundaries = |track: &Track| -> Vec<u64> {
        let sum = |sum: &mut u64, duration: u64| {
            *sum += duration;
            Some(*sum)
        };
        track.media.segments.iter().map(|segment| segment.duration).scan(0, sum).collect()
    };
    let (a, b) = (boundaries(first), boundaries(other));
    // The last ends where the rendition does, which is judged elsewhere.
    let pairs = a.iter().zip(&b).take(a.len().min(b.len()).saturating_sub(1));
    let strays = pairs.filter(|(a, b)| a.abs_diff(**b) > BOUNDARY_TOLERANCE).count();
    if strays > 0 || a.len().abs_diff(b.len()) > 1 {
        let what = format!("{} segments, {strays} end elsewhere than those of {}", b.len(), first.media.place);
        report.add(&rules::ALIGNMENT, place(), what);
    }
}

/// Measured rates; `None` unless every segment was seen.
fn measured(track: &Track) -> Option<Rates> {
    let microseconds = Timescale::new(1_000_000)?;
    let target = u32::try_from(track.media.target_s).ok().filter(|target| *target > 0)?;
    let is_whole = track.sizes.len() == track.media.segments.len();
    is_whole.then(|| rates::measure(&track.sizes, microseconds, target))?
}

fn check_rates(top: &Multivariant, variant: &super::Variant, tracks: &[(String, Track)], report: &mut Report) {
    let of = |uri: &str| tracks.iter().find(|(known, _)| known == uri).map(|(_, track)| measured(track));
    let Some(Some(own)) = of(&variant.uri) else { return };
    let members =
        top.renditions.iter().filter(|one| one.kind == Kind::Audio && Some(&one.group) == variant.audio.as_ref());
    let mut dearest = Rates { peak: domain::Bitrate(0), average: domain::Bitrate(0) };
    for uri in members.filter_map(|member| member.uri.as_ref()).filter(|uri| **uri != variant.uri) {
        let Some(Some(rates)) = of(uri) else { return };
        dearest.peak = dearest.peak.max(rates.peak);
        dearest.average = dearest.average.max(rates.average);
    }
    // A variant of sound alone is a member of its group: one of them is played, not two.
    let is_member = top.renditions.iter().any(|one| one.uri.as_ref() == Some(&variant.uri));
    let sum = |own: u64, other: u64| if is_member { own.max(other) } else { own.saturating_add(other) };
    let (peak, average) = (sum(own.peak.0, dearest.peak.0), sum(own.average.0, dearest.average.0));
    let place = || top.at(variant.line);
    let stated = variant.bandwidth;
    if u128::from(peak) * 10 > u128::from(stated) * 11 {
        report.add(&rules::PEAK, place(), format!("the peak is {peak} b/s, BANDWIDTH={stated}"));
    } else if u128::from(peak) * 10 < u128::from(stated) * 9 {
        report.add(&rules::PEAK_LOW, place(), format!("the peak is {peak} b/s, BANDWIDTH={stated}"));
    }
    if let Some(stated) =
        variant.average.filter(|stated| u128::from(stated.abs_diff(average)) * 10 > u128::from(average))
    {
        report.add(&rules::AVERAGE, place(), format!("the average is {average} b/s, AVERAGE-BANDWIDTH={stated}"));
    }
}
