#!/usr/bin/env bash
# Search, and the API under load, over 100,000 assets on SQLite and on PostgreSQL; see benches/benches/{search,load}.rs.
# Usage: benches/catalog.sh [sqlite|postgres] [OPTIONS OF THE BENCH load...]
# Relative paths count from the top of the checkout. The PostgreSQL is this run's own, as durable as PostgreSQL is.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

engines=(sqlite postgres)
case "${1:-}" in
    sqlite | postgres)
        engines=("$1")
        shift
        ;;
esac

bench() {
    local name=$1
    shift
    cargo bench --locked --quiet --package benches --bench "$name" -- "$@"
}

for engine in "${engines[@]}"; do
    if [ "$engine" = sqlite ]; then
        say "Search on SQLite"
        bench search
        say "The API under load on SQLite"
        bench load "$@"
        continue
    fi
    say "Search on PostgreSQL"
    # shellcheck disable=SC2016 # The address is known inside.
    HEADWATER_TEST_DURABLE=1 tools/with-services.sh bash -c \
        'cargo bench --locked --quiet --package benches --bench search -- --url "$HEADWATER_TEST_POSTGRES_URL"'
    say "The API under load on PostgreSQL"
    # shellcheck disable=SC2016 # The address is known inside.
    HEADWATER_TEST_DURABLE=1 tools/with-services.sh bash -c \
        'cargo bench --locked --quiet --package benches --bench load -- --url "$HEADWATER_TEST_POSTGRES_URL" "$@"' load "$@"
done
