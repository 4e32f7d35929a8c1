//! The origin as a client sees it: requests in, responses out, over a store in a temporary folder.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bucket;
mod caching;
mod coding;
mod delivery;
mod documents;
mod locked;
mod refusals;
mod replacing;
mod requirements;
mod stage;
mod steering;
mod telling;
mod tiers;
