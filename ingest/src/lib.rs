//! Resumable uploads: tus 1.0 over durable offsets.
