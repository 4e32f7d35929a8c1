#!/usr/bin/env bash
# Uploads beside dd, @tus/server and tusd's core, and two thousand slow ones at once; see benches/benches/ingest/main.rs.
# Usage: benches/ingest.sh [--headwater PROGRAM] [--mib N] [--rounds N] [--slow N] [--only throughput|slow]
# Relative paths count from the top of the checkout. The peers are installed into the user's cache, once per version.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

peers=$(cache_dir)/bench-peers

fingerprint() {
    cat "benches/peers/$1/"* | sha256sum | cut -d' ' -f1
}

# Brings what a peer is made of into the cache; false when it stands there, made from the same.
is_new() {
    [ "$(cat "$peers/$1/.made" 2>/dev/null)" != "$(fingerprint "$1")" ] || return 1
    rm -rf "${peers:?}/$1"
    mkdir -p "$peers/$1"
    cp "benches/peers/$1/"* "$peers/$1/"
}

tus_node_server() {
    is_new tus-node-server || return 0
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        say "@tus/server is left out: Node and npm are not here"
        return 0
    fi
    say "Installing @tus/server into $peers (once)"
    if quietly npm --prefix "$peers/tus-node-server" install --no-fund --no-audit --loglevel=error; then
        fingerprint tus-node-server >"$peers/tus-node-server/.made"
    else
        say "@tus/server is left out: npm could not install it"
        rm -f "$peers/tus-node-server/server.mjs"
    fi
}

tusd() {
    is_new tusd || return 0
    if ! command -v go >/dev/null; then
        say "tusd is left out: Go is not here"
        return 0
    fi
    say "Building tusd's core in $peers (once)"
    if (cd "$peers/tusd" && quietly go mod tidy && quietly go build -o tusd .); then
        fingerprint tusd >"$peers/tusd/.made"
    else
        say "tusd is left out: Go could not build it"
    fi
}

tus_node_server
tusd
cargo bench --locked --quiet --package benches --bench ingest -- --peers "$peers" "$@"
