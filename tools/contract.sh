#!/usr/bin/env bash
# Asks a running server everything its own OpenAPI document allows, and much that it does not (schemathesis): no answer
# may be a server error, undocumented, or of another form than described.
#
# Usage: tools/contract.sh PROGRAM, beside the services of tools/with-services.sh.
# Settings, from the environment: CONTRACT_EXAMPLES (50 for each operation), CONTRACT_SEED (7), CONTRACT_SERVERS (all of
# sqlite-open, sqlite-accounts and postgres-accounts).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

[ "$#" -eq 1 ] || fail "usage: tools/contract.sh PROGRAM"
binary=$1
examples=${CONTRACT_EXAMPLES:-50}
seed=${CONTRACT_SEED:-7}
servers=${CONTRACT_SERVERS:-sqlite-open sqlite-accounts postgres-accounts}
venv=$(cache_dir)/contract
config=$PWD/tools/contract/schemathesis.toml
folder=$(mktemp -d)
server_pid=""

# shellcheck disable=SC2317 # Called by the trap.
clean_up() {
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$server_pid" ]; then stop_process "$server_pid"; fi
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

install() {
    local wanted=tools/contract/requirements.txt
    if cmp -s "$wanted" "$venv/.made"; then return; fi
    say "Installing schemathesis into $venv (once)"
    rm -rf "$venv"
    python3 -m venv "$venv"
    quietly "$venv/bin/pip" install --disable-pip-version-check --requirement "$wanted" ||
        fail "schemathesis could not be installed"
    cp "$wanted" "$venv/.made"
}

# One value of a JSON document on standard input.
json() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

post() {
    curl --silent --show-error --fail --json "$2" "${@:3}" "$server$1"
}

# `serve NAME ACCESS DATABASE`: starts a server of its own; `server` is where.
serve() {
    local log=$folder/$1.log
    HEADWATER_SECRET_KEY="the same for all servers on one database" \
    "$binary" serve --listen 127.0.0.1:0 --data-dir "$folder/$1" --access "$2" ${3:+--set "database_url=$3"} \
        >"$log" 2>&1 &
    server_pid=$!
    wait_for 60 grep -q '^listening on ' "$log" || { cat "$log" >&2; fail "the server does not start"; }
    server=$(sed -n 's/^listening on //p' "$log")
}

# An access token of an administrator.
admin_token() {
    local token password="correct horse battery staple $RANDOM"
    wait_for 10 grep -q '#token=' "$folder/$1.log" || fail "the server offers no first account"
    token=$(sed -n 's/.*#token=//p' "$folder/$1.log")
    post /api/v1/auth/setup "{\"token\":\"$token\",\"email\":\"admin@example.org\",\"password\":\"$password\"}" >/dev/null
    post /api/v1/auth/login "{\"email\":\"admin@example.org\",\"password\":\"$password\"}" | json access_token
}

# `ask NAME ACCESS DATABASE`: the whole run against one server.
ask() {
    local -a header=()
    say "Asking $1 (access $2)"
    serve "$@"
    if [ "$2" = accounts ]; then header=(--header "Authorization: Bearer $(admin_token "$1")"); fi
    # It leaves notes where it runs.
    (cd "$folder" && "$venv/bin/schemathesis" --config-file "$config" run "$server/api/v1/openapi.json" --checks all \
        --max-examples "$examples" --seed "$seed" --continue-on-failure --no-color --warnings off "${header[@]}") |
        cut -c1-400 || failed+=("$1")
    stop_process "$server_pid"
    server_pid=""
    if grep 'request failed' "$folder/$1.log" >&2; then failed+=("$1, by its log"); fi
}

failed=()
install
for name in $servers; do
    case $name in
        sqlite-open) ask "$name" open "" ;;
        sqlite-accounts) ask "$name" accounts "" ;;
        postgres-accounts) ask "$name" accounts "${HEADWATER_TEST_POSTGRES_URL:?run it by make contract}" ;;
        *) fail "CONTRACT_SERVERS knows sqlite-open, sqlite-accounts and postgres-accounts, not $name" ;;
    esac
done
[ "${#failed[@]}" -eq 0 ] || fail "the contract does not hold: ${failed[*]}"
