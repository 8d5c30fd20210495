#!/bin/sh
# Runs a command that downloads; where it fails, up to four times, with pauses that grow: 5, 15 and 45 seconds.
# Where less than 64 MB of the disk are left, it is not tried again. RETRY_PAUSE_S is the first pause.
set -u
[ $# -gt 0 ] || { echo "usage: retry.sh COMMAND [ARGUMENT ...]" >&2; exit 2; }
pause=${RETRY_PAUSE_S:-5}
full() { df -Pk . "${TMPDIR:-/tmp}" 2>/dev/null | awk -v least=65536 'NR > 1 && $4 < least { print $6; exit }'; }
for attempt in 1 2 3 4; do
    "$@" && exit 0
    status=$?
    disk=$(full)
    [ -z "$disk" ] || { echo "retry: the disk at $disk is full: free some of it (or set TMPDIR to another), then try again: $*" >&2; exit "$status"; }
    [ "$attempt" -lt 4 ] || break
    echo "retry: attempt $attempt of 4 failed (exit $status), again in $pause s: $*" >&2
    sleep "$pause"
    pause=$((pause * 3))
done
echo "retry: failed 4 times (exit $status): $*" >&2
echo "retry: is the network there? Behind a proxy or a mirror, set https_proxy or PIP_INDEX_URL, then try again" >&2
exit "$status"
