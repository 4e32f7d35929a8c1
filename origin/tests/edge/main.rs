//! The edge before a real upstream: what it keeps, what it asks for, and what it does when nobody answers.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod failing;
mod keeping;
mod passing;
mod purging;
mod upstream;
