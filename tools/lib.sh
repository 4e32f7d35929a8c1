# shellcheck shell=bash
# Shared by the scripts of this folder; sourced, never run.

# One line on the terminal that says what happens next and why it may take a while.
say() {
    coloured '1;36' '==>' "$*"
}

fail() {
    coloured '1;31' 'error:' "$*"
    exit 1
}

# Colour the first word, on a terminal only.
coloured() {
    if [ -t 2 ]; then
        printf '\033[%sm%s\033[0m %s\n' "$1" "$2" "$3" >&2
    else
        printf '%s %s\n' "$2" "$3" >&2
    fi
}

# Where tools that are built or downloaded once are kept, for all checkouts of this user.
cache_dir() {
    printf '%s/headwater\n' "${XDG_CACHE_HOME:-$HOME/.cache}"
}

# Runs a command that is silent when it succeeds and shows all it said when it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}

# A TCP port of the loopback interface that is free at this moment.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until a command succeeds: `wait_for SECONDS COMMAND...`.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            return 1
        fi
        sleep 0.1
    done
}

# Ends a process of ours by its id and waits for it: gently first, for good after ten seconds.
# `stop_process PID [SIGNAL [group]]`; with `group`, every process of the group that it leads.
stop_process() {
    local pid=$1 signal=${2:-TERM} target=$1
    if [ "${3:-}" = group ]; then
        target=-$pid
    fi
    kill -s "$signal" -- "$target" 2>/dev/null || return 0
    if ! wait_for 10 process_is_gone "$pid"; then
        kill -s KILL -- "$target" 2>/dev/null || true
    fi
    wait "$pid" 2>/dev/null || true
}

# True when the process has ended, waited for or not.
process_is_gone() {
    local state
    state=$(ps -o stat= -p "$1" 2>/dev/null) || return 0
    [ -z "$state" ] || [ "${state#Z}" != "$state" ]
}
