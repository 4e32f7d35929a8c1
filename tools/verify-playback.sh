#!/usr/bin/env bash
# Plays an HLS address once with programs that are not ours: every rendition's first and last segment is fetched and
# every rendition decoded from end to end by ffmpeg.
#
# Usage: tools/verify-playback.sh HLS_URL [WATCH_URL]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

master=${1:?"usage: tools/verify-playback.sh HLS_URL [WATCH_URL]"}
watch=${2:-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fetch() {
    curl --fail --silent --show-error --max-time 60 --output "$2" "$1" || fail "cannot fetch $1"
}

say "Verifying the playback of $master"
fetch "$master" "$folder/master.m3u8"
# The variants' lines, and the addresses in the tags of audio and subtitle renditions.
mapfile -t playlists < <(
    grep -v -e '^#' -e '^$' "$folder/master.m3u8"
    sed -n 's/^#EXT-X-MEDIA:.*URI="\([^"]*\)".*/\1/p' "$folder/master.m3u8"
)
[ "${#playlists[@]}" -gt 0 ] || fail "the multivariant playlist names no rendition"

for playlist in "${playlists[@]}"; do
    address=${master%/*}/$playlist
    fetch "$address" "$folder/media.m3u8"
    grep -q '^#EXT-X-ENDLIST' "$folder/media.m3u8" || fail "$playlist is not complete"
    mapfile -t segments < <(grep -v -e '^#' -e '^$' "$folder/media.m3u8")
    [ "${#segments[@]}" -gt 0 ] || fail "$playlist has no segments"
    for segment in "${segments[0]}" "${segments[-1]}"; do
        fetch "${address%/*}/$segment" "$folder/segment"
        [ -s "$folder/segment" ] || fail "$playlist: $segment is empty"
    done
    if [[ ${segments[0]} == *.vtt ]]; then
        head -c 6 "$folder/segment" | grep -q '^WEBVTT' || fail "$playlist: $segment is not WebVTT"
    else
        # `-xerror` makes the first fault in the data an error of the program.
        ffmpeg -nostdin -v error -xerror -i "$address" -f null - || fail "$playlist does not decode"
    fi
    seconds=$(sed -n 's/^#EXTINF:\([0-9.]*\).*/\1/p' "$folder/media.m3u8" | awk '{ sum += $1 } END { printf "%.3f", sum }')
    printf '  ok  %-32s %3d segments  %9s s\n' "$playlist" "${#segments[@]}" "$seconds"
done

if [ -n "$watch" ]; then
    fetch "$watch" "$folder/watch.html"
    grep -qi '<html' "$folder/watch.html" || fail "$watch is not a page"
fi
say "Playback verified: ${#playlists[@]} renditions"
