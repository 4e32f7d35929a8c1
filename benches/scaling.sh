#!/bin/sh
# Two engines beside one, each on a processor of its own; see benches/benches/scaling.rs.
# Usage: benches/scaling.sh [FILE] [--headwater PROGRAM] [--rounds N] [--limit-s N]
# Relative paths count from the top of the checkout.
set -eu
cd "$(dirname "$0")/.."
cargo bench --locked --quiet --package benches --bench scaling -- "$@"
