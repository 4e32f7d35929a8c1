#!/usr/bin/env bash
# Writes headwater/functions.order: the functions that a server runs, which the linker lays side by side;
# docs/adr/0057-functions-that-are-run-lie-together.md says what for, and when to run this.
#
# Usage: tools/function-order.sh
#
# Builds the release, runs it in valgrind's callgrind as an upload server and then in all roles, and notes what ran.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

binary=${CARGO_TARGET_DIR:-target}/release/headwater
order=headwater/functions.order
folder=$(mktemp -d)
server_pid=""

clean_up() {
    trap - EXIT
    if [ -n "$server_pid" ]; then stop_process "$server_pid"; fi
    rm -rf "$folder"
}
trap clean_up EXIT

# `start NAME OPTION...`: serves from a folder of that name. What ran until then is noted by itself.
start() {
    local name=$1
    shift
    valgrind --tool=callgrind --demangle=no --callgrind-out-file="$folder/$name.profile" \
        "$binary" serve --listen 127.0.0.1:0 --data-dir "$folder/$name" "$@" >"$folder/$name.lines" 2>"$folder/$name.log" &
    server_pid=$!
    if ! wait_for 120 grep -q '^listening on ' "$folder/$name.lines"; then
        tail -n 20 "$folder/$name.log" >&2
        fail "the server does not start"
    fi
    url=$(sed -n 's/^listening on //p' "$folder/$name.lines" | head -n 1)
    quietly callgrind_control --dump "$server_pid"
}

stop() {
    stop_process "$server_pid"
    server_pid=""
}

# `functions_of PROFILE...`: the functions of the program that ran, by their symbols.
functions_of() {
    (cd "$folder" && sed -nE "s/^c?fn=\([0-9]+\) //p" "$@") | sed -E "s/'[0-9]+$//" | LC_ALL=C sort -u |
        LC_ALL=C comm -12 - "$folder/symbols"
}

send() {
    "$binary" upload --server "$url" --state-dir "$folder/state" "$@"
}

get() {
    curl --silent --show-error --max-time 60 "$@" >/dev/null
}

say "Building the release binary (several minutes)"
cargo build --release --locked --package headwater
nm --defined-only "$binary" | awk '{ print $3 }' | LC_ALL=C sort -u >"$folder/symbols"
clip=$(cargo run --locked --quiet --package fixtures --example demo_clip)

say "Uploading, to a server that does nothing else"
start uploads --roles ingest
send "$clip" >/dev/null
send --parallel 2 "$clip" >/dev/null
get --header 'Upload-Complete: ?1' --header 'Upload-Draft-Interop-Version: 8' --data-binary "@$clip" "$url/uploads"
stop

say "Uploading, playing and looking around, on a server in all roles"
quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$folder/key.pem" -out "$folder/certificate.pem"
tls=127.0.0.1:$(free_port)
start everything --set tls_listen="$tls" --set tls_cert="$folder/certificate.pem" --set tls_key="$folder/key.pem"
asset=$(send --wait --json "$clip" | tail -n 1)
field() {
    python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[key]
print(value)' "$@" <<<"$asset"
}
hls=$(field playback hls)
tools/verify-playback.sh "$url$hls" "$url$(field playback watch)"
# What a CDN and a browser ask for, on every protocol.
variant=${hls%/*}/$(curl --silent "$url$hls" | grep -v -m 1 -e '^#' -e '^$')
segment=${variant%/*}/$(curl --silent "$url$variant" | grep -v -m 1 -e '^#' -e '^$')
id=$(field id)
for address in "$hls" "$variant" "$segment" / /healthz /metrics /api/v1/assets "/api/v1/assets?q=demo" "/api/v1/assets/$id"; do
    tag=$(curl --silent --head "$url$address" | tr -d '\r' | sed -n 's/^etag: //Ip')
    for options in "" "--range 1000-1999" "--compressed" "--header If-None-Match:$tag"; do
        for protocol in "--http1.1 $url" "--http2-prior-knowledge $url" "--http1.1 https://$tls" "--http2 https://$tls"; do
            # shellcheck disable=SC2086 # Options and their values.
            get --insecure $options $protocol"$address"
        done
    done
done
stop

# Each once, where it comes first; what only the start runs, last. The first profile of a process has a number.
{
    functions_of uploads.profile
    functions_of everything.profile
    functions_of uploads.profile.1 everything.profile.1
} | awk '!seen[$0]++' >"$folder/order"
[ "$(wc -l <"$folder/order")" -gt 1000 ] || fail "too few functions ran: is the binary stripped of its symbols?"
mv "$folder/order" "$order"
say "$(wc -l <"$order") functions are in $order"
