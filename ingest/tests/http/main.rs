//! The protocol as a client sees it: the router over a real catalogue, a real store and real files.

mod accepted_types;
mod admission;
mod bucket;
mod conformance;
mod connections;
mod draft_append;
mod draft_creation;
mod draft_digests;
mod draft_interop;
mod durability;
mod expiry;
mod grants;
mod ground;
mod handover;
mod imports;
mod interruptions;
mod joining;
mod listen;
mod power_cut;
mod recovery;
mod requirements;
mod status;
mod tus_clients;
mod tus_concatenation;
mod tus_extensions;
mod tus_headers;
mod tus_methods;
mod tus_peers;

mod wire;
