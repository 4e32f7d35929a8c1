#!/usr/bin/env bash
# The origin beside nginx, in one run: requests per second and processor time per request; see benches/benches/origin/main.rs.
# Then the memory of idle connections (--only idle), and what a crowd waits for before a bucket far away (--only crowd).
# Usage: benches/origin.sh [--headwater PROGRAM] [--seconds N] [--rounds N] [--only ROW]
# Relative paths count from the top of the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

tools/setup.sh origin
[ -x target/release/headwater ] || [[ " $* " == *" --headwater "* ]] || {
    say "Building the release binary (several minutes the first time)"
    cargo build --release --locked --package headwater --quiet
}
cargo bench --locked --quiet --package benches --bench origin -- "$@"
