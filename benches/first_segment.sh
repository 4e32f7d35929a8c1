#!/bin/sh
# Measures the time from the last uploaded byte to the first playable segment; see benches/first_segment.rs.
# Usage: benches/first_segment.sh [FILE] [--headwater PROGRAM] [--limit-s N] [--rate BYTES] [--set KEY=VALUE]
# Relative paths count from the top of the checkout.
set -eu
cd "$(dirname "$0")/.."
cargo bench --locked --quiet --package benches --bench first_segment -- "$@"
