//! The binary as its users meet it: the command line, a running server, kills, hostile files, exact output.
//!
//! One test binary: linking libav once per file of tests would cost more than the tests.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds and outcomes are for whoever reads a failed run")]

mod accounts;
mod admission;
mod ahead;
mod backup;
#[path = "../hls_folder/check.rs"]
mod check;
mod cli;
mod clients;
mod contention;
#[expect(clippy::needless_update, reason = "some files state every field of what they give")]
mod corpus;
mod curl;
mod doctor;
mod documents;
#[path = "../../src/purge/double.rs"]
mod double;
mod edge;
mod encryption;
mod exactness;
mod flood;
mod harness;
mod hostile;
mod hush;
mod idempotency;
mod kill;
mod kill_fleet;
mod kill_uploads;
mod on_demand;
mod outage;
mod owasp;
mod players;
mod posters;
mod private;
#[path = "../../../catalog-api/tests/api/provider.rs"]
#[expect(dead_code, reason = "only the good way is gone here")]
mod provider;
mod purge;
mod regressions;
mod reprocess;
mod restore;
mod reuse_port;
mod server;
mod showing;
mod texts;
mod tidy;
mod torture;
mod upgrade;
mod uploader;
mod validate;
mod verify;
mod versions;
mod webhooks;
