#!/usr/bin/env bash
# Measures: the micro benches, then Headwater side by side with plain ffmpeg.
#
# Usage: tools/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

say "Building the release binary and the benches (several minutes the first time)"
cargo build --release --locked --package headwater --quiet
cargo bench --workspace --locked --no-run --quiet

say "Micro benches (criterion)"
cargo bench --locked --quiet --package benches --bench packager
cargo bench --locked --quiet --package benches --bench answer

for script in benches/*.sh; do
    say "$script: $(sed -n '2s/^# //p' "$script")"
    "$script"
done
