#!/usr/bin/env bash
# Installs by apt what a task of the Makefile needs and this machine lacks; does nothing when nothing is missing.
#
# Usage: tools/setup.sh build|demo|test|check|bench|origin|order|fuzz
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

task=${1:-build}

# What the Rust build needs: FFmpeg's headers and libraries (the program loads the libraries late), and what the binding generator and the C sources of crates need.
build_packages=(
    libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libswresample-dev libswscale-dev
    clang libclang-dev pkg-config nasm build-essential
)

# Names of packages on standard input, those that are not installed on standard output.
missing_packages() {
    local package
    for package in "$@"; do
        if ! dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii'; then
            printf '%s\n' "$package"
        fi
    done
}

install_packages() {
    local -a root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "these packages are missing, and only root or sudo can install them: $*"
        root=(sudo)
    fi
    local -a apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq)
    say "Installing by apt (once per machine): $*"
    quietly "${apt[@]}" update || say "apt-get update failed; going on with the package lists that are here"
    quietly "${apt[@]}" install -y --no-install-recommends "$@" || fail "apt-get could not install: $*"
}

wanted=("${build_packages[@]}")
case $task in
    build) ;;
    demo) wanted+=(ffmpeg python3 curl procps) ;;
    test)
        wanted+=(ffmpeg python3 python3-venv procps postgresql chromium curl)
        # Players that are not ours.
        wanted+=(mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav)
        ;;
    fuzz) wanted+=(ffmpeg) ;;
    check) wanted+=(python3 python3-venv) ;;
    bench) wanted+=(ffmpeg python3 time) ;;
    order) wanted+=(ffmpeg python3 curl openssl procps valgrind) ;;
    origin) wanted+=(nginx-light wrk nghttp2-client openssl util-linux) ;;
    *) fail "unknown task: $task" ;;
esac

if ! command -v dpkg-query >/dev/null; then
    say "This is not a Debian system: install what corresponds to: ${wanted[*]}"
    exit 0
fi
# A Python that is not Debian's (pyenv, for one) is as good, where it can make virtual environments.
if python3 -c 'import ensurepip, venv' 2>/dev/null; then
    kept=()
    for package in "${wanted[@]}"; do
        [[ $package == python3* ]] || kept+=("$package")
    done
    wanted=("${kept[@]}")
fi

mapfile -t missing < <(missing_packages "${wanted[@]}")
if [ "${#missing[@]}" -gt 0 ]; then
    install_packages "${missing[@]}"
fi

command -v cargo >/dev/null || fail "the Rust toolchain is missing: install rustup, then run this again"
