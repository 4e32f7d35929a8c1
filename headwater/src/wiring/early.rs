//! The engine, as ingest looks into heads of files with it.

use std::fs::File;
use std::time::Duration;

use ingest::{Finding, Looked, Prober};
use transcoder::{Engine, EngineError};

/// Longest look at the head of a file: it must be over long before the file is there.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// Levels of nice by which a look steps back: behind the octets that come meanwhile, before the encoding of others.
const LOOK_NICENESS: u8 = 5;

/// Looks in a caged child of the engine.
#[derive(Debug)]
pub(super) struct EngineProber(Engine);

impl EngineProber {
    pub(super) fn new(engine: &Engine) -> Self {
        Self(engine.with_niceness(LOOK_NICENESS))
    }
}

impl Prober for EngineProber {
    fn look(&self, file: File) -> Finding<'_> {
        Box::pin(async {
            // Dropping the probe kills the child.
            match tokio::time::timeout(LOOK_TIMEOUT, self.0.probe(file)).await {
                Ok(Ok(probe)) => Looked::Understood(Box::new(probe)),
                Ok(Err(EngineError::Refused(failure))) => Looked::Refused(failure),
                Ok(Err(error)) => Looked::Unclear(error.to_string()),
                Err(_) => Looked::Unclear("it took too long".into()),
            }
        })
    }
}
