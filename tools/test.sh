#!/usr/bin/env bash
# Runs every test of the workspace, beside the services they need. What cargo-nextest says last, this says last.
#
# Usage: tools/test.sh [ARGUMENTS FOR NEXTEST...]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

if ! cargo nextest --version >/dev/null 2>&1; then
    say "Building cargo-nextest, the test runner, from crates.io (once per machine, several minutes)"
    quietly cargo install cargo-nextest --locked || fail "cargo-nextest does not build"
fi

if ! command -v node >/dev/null; then
    [ -z "${CI:-}" ] || fail "Node is missing: the pages and the clients that run on it would go untested"
    say "Node is not here: the tests of the pages and of the clients that run on it are left out"
    export HEADWATER_TEST_NODE=skip
fi
# tuspy, a client of the upload tests.
HEADWATER_TEST_TUSPY=$(tools/tool.sh tuspy)
export HEADWATER_TEST_TUSPY

say "Building the tests (the first time takes several minutes)"
cargo nextest run --workspace --locked --no-run

say "Running the examples in the documentation"
cargo test --workspace --locked --doc --quiet

say "Running the tests"
exec cargo nextest run --workspace --locked --no-input-handler "$@"
