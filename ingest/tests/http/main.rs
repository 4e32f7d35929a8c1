//! The protocol as a client sees it: the router over a real catalogue, a real store and real files.

mod conformance;
mod connections;
mod ground;
mod interruptions;
mod recovery;
