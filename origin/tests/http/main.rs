//! The origin as a client sees it: requests in, responses out, over a store in a temporary folder.

mod caching;
mod delivery;
mod refusals;
mod stage;
