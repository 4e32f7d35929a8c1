#!/usr/bin/env bash
# Runs a command beside a throw-away PostgreSQL and a throw-away S3 store, and takes both away afterwards.
#
# Usage: tools/with-services.sh COMMAND...
#
# Both listen on free ports of the loopback interface and keep their files in a temporary folder. The command finds them
# in HEADWATER_TEST_POSTGRES_URL and HEADWATER_TEST_S3_{URL,ACCESS_KEY,SECRET_KEY}; HEADWATER_TEST_GARAGE is the
# program of the store, for tests that stop one of their own. With HEADWATER_TEST_DURABLE the PostgreSQL survives a power
# cut and keeps 1 GiB in memory, as it would in use.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

[ "$#" -gt 0 ] || fail "usage: tools/with-services.sh COMMAND..."

garage_binary=$(tools/garage.sh)
folder=$(mktemp -d)
# PostgreSQL refuses to run as root; its own user must be able to reach its folder.
chmod 755 "$folder"
postgres_pid=""
garage_pid=""
command_pid=""

# Ends exactly what this script started, whichever way it ends.
# shellcheck disable=SC2317 # Called by the trap.
clean_up() {
    # A second Ctrl-C must not stop the cleaning.
    trap - EXIT
    trap '' INT TERM HUP
    # The command has a process group of its own: its children end with it.
    if [ -n "$command_pid" ]; then stop_process "$command_pid" TERM group; fi
    if [ -n "$garage_pid" ]; then stop_process "$garage_pid"; fi
    # INT is PostgreSQL's fast shutdown: it does not wait for clients.
    if [ -n "$postgres_pid" ]; then stop_process "$postgres_pid" INT; fi
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

random_hex() {
    od -An -vtx1 -N "$1" /dev/urandom | tr -d ' \n'
}

postgres_program() {
    local found
    found=$(command -v "$1" 2>/dev/null || true)
    # Debian keeps the server's programs off the path, one folder per version.
    for found in /usr/lib/postgresql/*/bin/"$1" "$found"; do
        if [ -x "$found" ]; then
            printf '%s\n' "$found"
            return
        fi
    done
    fail "PostgreSQL's $1 is not installed"
}

start_postgres() {
    local port data=$folder/postgres log=$folder/postgres.log
    local -a as_owner=()
    local -a as_server=()
    port=$(free_port)
    mkdir "$data"
    touch "$log"
    if [ "$(id -u)" -eq 0 ]; then
        chown postgres: "$data" "$log"
        as_owner=(runuser -u postgres --)
        # setpriv becomes the server itself, so that the process id we keep is the server's.
        as_server=(setpriv --reuid=postgres --regid=postgres --init-groups)
    fi
    (
        cd "$folder"
        quietly "${as_owner[@]}" "$(postgres_program initdb)" --pgdata="$data" --username=postgres --auth=trust \
            --encoding=UTF8 --locale=C.UTF-8 --no-sync
    ) || fail "PostgreSQL's initdb failed"
    # These data live for one run; a bench asks for what their durability costs.
    local -a use=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB)
    if [ -n "${HEADWATER_TEST_DURABLE:-}" ]; then use=(-c shared_buffers=1GB); fi
    "${as_server[@]}" "$(postgres_program postgres)" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$data" "${use[@]}" -c max_connections=400 >"$log" 2>&1 &
    postgres_pid=$!
    export HEADWATER_TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
    if ! wait_for 30 "$(postgres_program psql)" --no-psqlrc --dbname "$HEADWATER_TEST_POSTGRES_URL" --command 'select 1'; then
        cat "$log" >&2
        fail "PostgreSQL does not start"
    fi
}

start_garage() {
    local api_port rpc_port bucket=headwater region=garage
    api_port=$(free_port)
    rpc_port=$(free_port)
    mkdir "$folder/garage"
    cat >"$folder/garage/garage.toml" <<EOF
metadata_dir = "$folder/garage/meta"
data_dir = "$folder/garage/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$rpc_port"
rpc_public_addr = "127.0.0.1:$rpc_port"
rpc_secret = "$(random_hex 32)"

[s3_api]
s3_region = "$region"
api_bind_addr = "127.0.0.1:$api_port"
EOF
    HEADWATER_TEST_S3_ACCESS_KEY=GK$(random_hex 12)
    HEADWATER_TEST_S3_SECRET_KEY=$(random_hex 32)
    export HEADWATER_TEST_S3_ACCESS_KEY HEADWATER_TEST_S3_SECRET_KEY
    export HEADWATER_TEST_GARAGE=$garage_binary
    export HEADWATER_TEST_S3_URL="s3://$bucket?endpoint=http://127.0.0.1:$api_port&region=$region"
    GARAGE_DEFAULT_ACCESS_KEY=$HEADWATER_TEST_S3_ACCESS_KEY GARAGE_DEFAULT_SECRET_KEY=$HEADWATER_TEST_S3_SECRET_KEY \
        GARAGE_DEFAULT_BUCKET=$bucket "$garage_binary" -c "$folder/garage/garage.toml" server --single-node \
        --default-bucket >"$folder/garage.log" 2>&1 &
    garage_pid=$!
    if ! wait_for 30 s3_answers "$api_port"; then
        cat "$folder/garage.log" >&2
        fail "Garage does not start"
    fi
}

# shellcheck disable=SC2317 # Called by wait_for.
s3_answers() {
    (: <>"/dev/tcp/127.0.0.1/$1")
}

say "Starting PostgreSQL and Garage for the tests, in a temporary folder"
start_postgres
start_garage

# In the background and waited for: only so does bash run its traps while the command goes on.
set -m
"$@" &
command_pid=$!
set +m
status=0
wait "$command_pid" || status=$?
command_pid=""
exit "$status"
