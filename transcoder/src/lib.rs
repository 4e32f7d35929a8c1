//! The only crate that links libav: probe, decode once, filter, encode, inside a caged child process.
