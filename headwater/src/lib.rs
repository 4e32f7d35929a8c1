//! The binary: CLI, configuration, roles, telemetry, signals, embedded web pages.
