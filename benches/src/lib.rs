//! Criterion micro benches and side-by-side benches against public peers.
