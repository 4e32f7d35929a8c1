//! What happens to an asset, step by step, and the worker that claims, renews and settles jobs.
