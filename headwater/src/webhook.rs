//! Events are sent to webhooks (docs/webhooks.md, docs/adr/0039).
//!
//! | module | what it is |
//! |---|---|
//! | `fan` | the task that turns events into messages, in order, from a place that survives it |
//! | `sender` | the task that sends messages, again and again until they are taken, within bounds |
//! | `post` | one request, to an address that was looked at first |

pub(crate) mod fan;
pub(crate) mod post;
pub(crate) mod sender;

#[cfg(test)]
mod tests;
