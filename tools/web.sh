#!/usr/bin/env bash
# Builds the pages into web/dist, which the binary embeds. Where Node is missing everything else still works, with one
# page that says so.
#
# Usage: tools/web.sh build|check
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

task=${1:-build}
stamp=web/dist/.stamp

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    say "Node and npm are not here: going on without the pages (the API, uploads and playback work all the same)"
    exit 0
fi

# Changes with every file that decides what is built.
fingerprint() {
    find web catalog-api/openapi.json -path web/node_modules -prune -o -path web/dist -prune -o -path web/e2e -prune \
        -o -path web/src/generated -prune -o -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

install_packages() {
    if [ web/node_modules/.package-lock.json -nt web/package-lock.json ]; then
        return
    fi
    say "Fetching the packages of the pages (npm ci)"
    quietly npm --prefix web ci --no-fund --no-audit --loglevel=error || fail "npm ci failed in web"
    touch web/node_modules/.package-lock.json
}

case $task in
    build)
        wanted=$(fingerprint)
        install_packages
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
            exit 0
        fi
        say "Building the pages (web/dist)"
        quietly npm --prefix web run --silent build || fail "the pages do not build"
        printf '%s\n' "$wanted" >"$stamp"
        ;;
    check)
        install_packages
        say "Checking the pages (svelte-check, tsc)"
        quietly npm --prefix web run --silent check || fail "the pages do not check"
        ;;
    *) fail "unknown task: $task" ;;
esac
