#!/usr/bin/env bash
# Feeds the upload server what no client would send, and the engine what no camera would write, one target after the
# other; fails on the first that breaks.
#
# Usage: tools/fuzz.sh SECONDS [TARGET...]
#
# Inputs that led somewhere new are kept in fuzz/corpus and are where the next run begins; one that breaks a target is
# kept in fuzz/artifacts, and `fuzz/target/x86_64-unknown-linux-gnu/debug/TARGET FILE` plays it again.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

seconds=${1:?"usage: tools/fuzz.sh SECONDS [TARGET...]"}
shift
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    targets=(requests metadata structured_fields concat digests answers probe texts playlists boxes transport ranges conditions tokens cmcd)
fi

host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz would set, without the sanitisers: the code under test has no unsafe block, and libav runs in children. The host is named so that
# build scripts and macros stay as they are.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"

say "Building the fuzz targets (several minutes the first time)"
RUSTFLAGS=$coverage cargo build --manifest-path fuzz/Cargo.toml --locked --quiet --target "$host" \
    "${targets[@]/#/--bin=}"

for target in "${targets[@]}"; do
    say "Fuzzing $target for $seconds s"
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    options=(-max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0)
    options+=(-artifact_prefix="fuzz/artifacts/$target/")
    case $target in
    requests) options+=(-max_len=4096 -close_fd_mask=1 -dict=fuzz/words.dict) ;;
    # An initialization segment and a segment.
    boxes | transport) options+=(-max_len=8192 -dict=fuzz/words.dict) ;;
    answers) options+=(-max_len=4096) ;;
    # A list of damages to a real file.
    probe) options+=(-max_len=256) ;;
    *) options+=(-max_len=1024 -only_ascii=0 -dict=fuzz/words.dict) ;;
    esac
    "fuzz/target/$host/debug/$target" "${options[@]}" "fuzz/corpus/$target" "fuzz/seeds/$target" ||
        fail "$target broke: see fuzz/artifacts/$target"
done
