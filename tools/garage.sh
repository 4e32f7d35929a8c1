#!/usr/bin/env bash
# Prints the path of Garage, the S3 store that the tests run against; builds it first if it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

version=2.5.0
root=$(cache_dir)/garage-$version
binary=$root/bin/garage

if [ ! -x "$binary" ]; then
    say "Building Garage $version, the S3 store of the tests, from crates.io (once per machine, 3 to 6 minutes)"
    target=$(mktemp -d)
    trap 'rm -rf "$target"' EXIT
    # A debug build without debug information: the tests wait for the store's answers, not for its arithmetic.
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$target quietly cargo install garage --version "$version" --locked --debug \
        --no-default-features --features bundled-libs,sqlite --root "$root" || fail "Garage does not build"
fi
printf '%s\n' "$binary"
