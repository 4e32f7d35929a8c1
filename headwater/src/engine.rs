//! A look at the engine when the server starts: a cage that leaks must not go unnoticed.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use transcoder::Engine;
use transcoder::release::{self, Standing};

use crate::metrics::Metrics;

/// Lets an engine try to get out of its cage, and tells the operator what came of it.
///
/// Runs beside everything else: what it finds is warned of, and refuses nothing.
pub(crate) async fn look(engine: Engine, metrics: Arc<Metrics>, soft: CancellationToken) {
    let Some(report) = soft.run_until_cancelled(engine.self_test()).await else { return };
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the engine cannot be started in its cage");
            return;
        }
    };
    metrics.set_ffmpeg(&report.libav);
    let ffmpeg = report.libav.as_str();
    if !report.is_tight() {
        tracing::error!("the engine can get out of its cage: headwater doctor says how");
    }
    if !report.codecs_missing.is_empty() {
        tracing::error!(codecs = ?report.codecs_missing, "codecs are missing: many files will be refused");
    }
    if release::standing(ffmpeg) == Standing::Old {
        tracing::warn!(ffmpeg, "FFmpeg lacks fixes of memory errors: update it");
    }
    tracing::info!(ffmpeg, landlock = report.landlock, namespaces = ?report.namespaces, "engine caged");
}
