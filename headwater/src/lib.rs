//! The binary: command line, configuration, roles, telemetry, signals, embedded web pages.
//!
//! This is the composition root. It knows every other crate and wires them together; what they do
//! is theirs. It deliberately holds no media, storage or catalogue logic of its own.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the command line and the way to each command |
//! | [`config`] | file < environment < flags, checked once and handed to each crate |
//! | [`clock`] | the only source of wall time and of randomness |
//! | [`data_dir`] | the folder of one server, and the lock that keeps a second one out |
//! | [`telemetry`], [`metrics`] | logs and numbers for the operator |
//! | [`machine`] | memory and processors that this process may count on |
//! | [`lifecycle`] | soft stop, deadline, hard stop |
//! | [`http`] | one listener, and who answers which path |
//! | [`serve`] | the server: roles wired together |
//! | [`wiring`] | from the configuration to the parts of the other crates |
//! | [`transcode`], [`probe`], [`upload`], [`verify`], [`validate`], [`reprocess`], [`purge`], [`audit`], [`secrets`], [`backup`], [`renumber`], [`doctor`] | the other commands |
//!
//! Read [`config::Config`] and [`serve::run`] first.

pub mod access;
pub mod audit;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod doctor;
mod engine;
pub mod http;
pub mod lifecycle;
pub mod machine;
pub mod metrics;
pub mod probe;
pub mod purge;
pub mod renumber;
pub mod reprocess;
pub mod secrets;
pub mod serve;
pub mod telemetry;
pub mod terminal;
pub mod transcode;
pub mod upload;
pub mod validate;
pub mod verify;
mod webhook;
pub mod wiring;

pub use cli::main;
