//! The conformance tests of ingest once more, over the listener and the surface of the binary: what stands before
//! the router must not answer in its place, nor take anything off.

#[path = "../../../ingest/tests/http/draft_append.rs"]
mod draft_append;
#[path = "../../../ingest/tests/http/draft_creation.rs"]
mod draft_creation;
#[path = "../../../ingest/tests/http/draft_digests.rs"]
mod draft_digests;
#[path = "../../../ingest/tests/http/draft_interop.rs"]
mod draft_interop;
#[expect(dead_code, reason = "other tests of ingest use the rest")]
#[path = "../../../ingest/tests/http/ground.rs"]
mod ground;
mod listen;
mod noise;
mod surface;
#[path = "../../../ingest/tests/http/tus_clients.rs"]
mod tus_clients;
#[path = "../../../ingest/tests/http/tus_concatenation.rs"]
mod tus_concatenation;
#[path = "../../../ingest/tests/http/tus_extensions.rs"]
mod tus_extensions;
#[path = "../../../ingest/tests/http/tus_headers.rs"]
mod tus_headers;
#[path = "../../../ingest/tests/http/tus_methods.rs"]
mod tus_methods;
#[path = "../../../ingest/tests/http/tus_peers.rs"]
mod tus_peers;
#[path = "../../../ingest/tests/http/wire.rs"]
mod wire;
