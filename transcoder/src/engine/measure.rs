//! What a few runs of the picture cost at each rung, and how they look: encoded like segments, counted, decoded again
//! where that is wanted, and thrown away.

use super::chunk::{self, Answer};
use super::outlet::Outlet;
use super::{Source, Stop};
use crate::{ChunkRequest, MeasureRequest};

/// Encodes the runs one after the other, each from a place of its own, and sends what they cost.
pub(crate) fn measure(source: &Source, request: &MeasureRequest, outlet: &Outlet) -> Result<(), Stop> {
    for work in &request.picture.work {
        let run = ChunkRequest { work: vec![work.clone()], ..request.picture.clone() };
        if request.crfs.is_empty() {
            chunk::run(source, &run, Answer::Costs, outlet)?;
        }
        // One after the other takes no more memory than segments do.
        for crf in &request.crfs {
            let mut run = run.clone();
            run.rungs.iter_mut().for_each(|rung| rung.crf = Some(*crf));
            chunk::run(source, &run, Answer::Looks, outlet)?;
        }
    }
    Ok(())
}
