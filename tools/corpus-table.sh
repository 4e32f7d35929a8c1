#!/bin/sh
# Transcodes every file of the corpus and writes what was expected and what came out, a row per file, to target/corpus.md.
set -eu
cd "$(dirname "$0")/.."
rm -rf target/corpus
status=0
cargo nextest run --locked --no-fail-fast -p headwater --test suite -E 'test(/^corpus::/)' || status=$?
{
    echo '| file | expected | got |'
    echo '|---|---|---|'
    cat target/corpus/*.row
} > target/corpus.md
echo "$(($(wc -l < target/corpus.md) - 2)) files in target/corpus.md"
exit "$status"
