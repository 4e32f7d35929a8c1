//! What the fuzz targets stand on: an upload server in memory, and an engine in its cage.

pub mod engine;
pub mod uploads;
