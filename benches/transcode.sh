#!/bin/sh
# Compares `headwater transcode` with ffmpeg; see benches/transcode/main.rs for the options.
# Usage: benches/transcode.sh [FILE] [--headwater PROGRAM] [--rounds N] [--limit-s N] [--vmaf FFMPEG]
# Relative paths count from the top of the checkout.
set -eu
cd "$(dirname "$0")/.."
cargo bench --locked --quiet --package benches --bench transcode -- "$@"
