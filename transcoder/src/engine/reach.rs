//! Tells where the samples of a source lie, from the container's index alone.

use domain::FailureCode;
use domain::ahead::Reach;

use super::outlet::Outlet;
use super::{Source, Stop};
use crate::wire::Kind;

/// Sends the reach of these streams together.
pub(crate) fn tell(source: &Source, streams: &[u32], outlet: &Outlet) -> Result<(), Stop> {
    let unknown = || Stop::refused(FailureCode::Unsupported, "the file has no index that tells where its samples lie");
    if !source.is_indexed {
        return Err(unknown());
    }
    let input = source.open()?;
    let mut samples = Vec::new();
    for &stream in streams {
        let base = input.stream_info(stream).map(|info| info.time_base).ok_or_else(unknown)?;
        for entry in input.index(stream) {
            let start = u64::try_from(entry.position).map_err(|_| unknown())?;
            samples.push((base.time(entry.timestamp), start.saturating_add(entry.size).min(input.size())));
        }
        outlet.step()?;
    }
    let reach = Reach::of(samples).ok_or_else(unknown)?;
    Ok(outlet.json(Kind::Reach, &reach)?)
}
