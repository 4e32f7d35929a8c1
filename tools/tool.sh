#!/usr/bin/env bash
# Prints the path of a development tool in its pinned version; gets it first if it is not there.
#
# Usage: tools/tool.sh cargo-deny|cargo-machete|typos|tuspy
#
# For tuspy, a library, it is the Python that has it.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

tool=${1:?"usage: tools/tool.sh NAME"}

# From crates.io, unoptimised and without debug information: these run for seconds, but would build for minutes.
from_crates() {
    local version=$1 how_long=$2 root binary
    root=$(cache_dir)/$tool-$version
    binary=$root/bin/$tool
    if [ ! -x "$binary" ]; then
        say "Building $tool $version from crates.io (once per machine, $how_long)"
        target=$(mktemp -d)
        trap 'rm -rf "$target"' EXIT
        CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$target quietly cargo install "$tool" --version "$version" --locked \
            --debug --root "$root" || fail "$tool does not build"
    fi
    printf '%s\n' "$binary"
}

# From PyPI, in a virtual environment of its own: what it is there for is this program of it.
from_pypi() {
    local version=$1 program=$2 root
    root=$(cache_dir)/$tool-$version
    # The stamp tells an environment that was finished from one that was broken off.
    if [ ! -e "$root/.complete" ]; then
        say "Fetching $tool $version from PyPI (once per machine)"
        rm -rf "$root"
        quietly python3 -m venv "$root" || fail "python3 cannot make a virtual environment"
        quietly "$root/bin/pip" install --disable-pip-version-check "$tool==$version" || fail "$tool cannot be fetched"
        touch "$root/.complete"
    fi
    printf '%s\n' "$root/bin/$program"
}

case $tool in
    cargo-deny) from_crates 0.20.2 "2 to 4 minutes" ;;
    cargo-machete) from_crates 0.9.2 "half a minute" ;;
    typos) from_pypi 1.52.0 typos ;;
    tuspy) from_pypi 1.1.0 python ;;
    *) fail "unknown tool: $tool" ;;
esac
