//! What a few runs of the picture cost at each rung: encoded like segments, counted, and thrown away.

use super::chunk::{self, Answer};
use super::outlet::Outlet;
use super::{Source, Stop};
use crate::{ChunkRequest, MeasureRequest};

/// Encodes the runs one after the other, each from a place of its own, and sends what they cost.
pub(crate) fn measure(source: &Source, request: &MeasureRequest, outlet: &Outlet) -> Result<(), Stop> {
    for work in &request.picture.work {
        let run = ChunkRequest { work: vec![work.clone()], ..request.picture.clone() };
        chunk::run(source, &run, Answer::Costs, outlet)?;
    }
    Ok(())
}
