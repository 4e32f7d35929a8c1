//! What should never be: rows that belong to nothing, and assets that wait for nobody.

use crate::engine::args;
use crate::{Catalog, CatalogError, sql};

/// Counts of rows that contradict each other; all zero in a sound catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integrity {
    /// Uploads, jobs, generations and segments whose asset or generation does not exist.
    pub orphan_rows: u64,
    /// Assets that are not final although no job and no open upload will move them on, and those of which another
    /// output is to be made by nobody.
    pub stuck_assets: u64,
    /// Outputs that were replaced and that no job will remove.
    pub stray_generations: u64,
    /// Jobs that wait or run although their asset is final.
    pub idle_jobs: u64,
}

impl Integrity {
    /// Nothing is wrong.
    pub fn is_sound(self) -> bool {
        self == Self::default()
    }
}

impl Catalog {
    /// Looks for contradictions between all rows. Reads whole tables: for tests and `doctor`.
    pub async fn integrity(&self) -> Result<Integrity, CatalogError> {
        Ok(Integrity {
            orphan_rows: self.number(sql::assets::ORPHAN_ROWS, args![]).await?,
            stuck_assets: self.number(sql::assets::STUCK_ASSETS, args![]).await?,
            stray_generations: self.number(sql::assets::STRAY_GENERATIONS, args![]).await?,
            idle_jobs: self.number(sql::assets::IDLE_JOBS, args![]).await?,
        })
    }
}
