#!/usr/bin/env bash
# Serves on this machine, uploads a clip, shows the progress of every rendition and prints where to watch it.
#
# Settings, from the environment: PORT (8080; 0 takes any free port), FILE (a clip is generated without it), DEMO_EXIT
# (1: verify the playback once and exit). Data are kept in ./.demo.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

port=${PORT:-8080}
file=${FILE:-}
data=.demo
binary=${CARGO_TARGET_DIR:-target}/release/headwater
server_pid=""

# shellcheck disable=SC2317 # Called by the trap.
clean_up() {
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$server_pid" ]; then stop_process "$server_pid"; fi
}
trap clean_up EXIT
trap 'printf "\n"; say "Stopping"; exit 0' INT
trap 'exit 143' TERM HUP

# One value of a JSON document on standard input: `json playback hls`.
json() {
    python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[key]
print(value)' "$@"
}

build() {
    say "Building the release binary (several minutes the first time)"
    cargo build --release --locked --package headwater
}

choose_file() {
    if [ -n "$file" ]; then
        [ -f "$file" ] || fail "there is no file $file"
        return
    fi
    say "Making a clip: 30 s of 720p, two languages, two subtitle tracks, four chapters"
    # Under a name that a person may read on the watch page.
    cp "$(cargo run --locked --quiet --package fixtures --example demo_clip)" "$data/headwater-demo.mp4"
    file=$data/headwater-demo.mp4
}

start_server() {
    local log=$data/server.log lines=$data/server.out
    : >"$lines"
    # A process group of its own: Ctrl-C reaches this script alone, which then stops the server in good order.
    set -m
    "$binary" serve --data-dir "$data/data" --listen "127.0.0.1:$port" >"$lines" 2>"$log" &
    server_pid=$!
    set +m
    if ! wait_for 30 grep -q '^listening on ' "$lines"; then
        cat "$log" >&2
        fail "the server does not start; if port $port is taken, try: make demo PORT=0"
    fi
    url=$(sed -n 's/^listening on //p' "$lines" | head -n 1)
    say "Serving on $url (log: $log)"
}

upload() {
    say "Uploading $(basename "$file")"
    asset=$("$binary" upload --server "$url" --wait --json "$file" | tail -n 1) || fail "the upload failed"
    hls=$url$(json playback hls <<<"$asset")
    watch=$url$(json playback watch <<<"$asset")
    printf '\n  %-8s%s\n  %-8s%s\n\n' Watch "$watch" HLS "$hls"
}

case $port in
    '' | *[!0-9]*) fail "PORT is a number, 0 for any free port; not: $port" ;;
esac
mkdir -p "$data"
build
choose_file
start_server
upload
if [ "${DEMO_EXIT:-}" = 1 ]; then
    tools/verify-playback.sh "$hls" "$watch"
    exit 0
fi
say "Ctrl-C stops it"
wait "$server_pid"
