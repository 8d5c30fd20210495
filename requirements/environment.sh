#!/bin/sh
# Makes the virtual environment where there is none that works, and refuses what could not end well: another Python in
# the same folder, or a disk without room for the packages of the purpose.
set -eu
usage="usage: environment.sh PYTHON FOLDER ROOM_MB"
python=${1:?$usage}
folder=${2:?$usage}
room_mb=${3:?$usage}
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# What an interrupted setup has left behind may lack pip or anything else: it is made anew.
if "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    wanted=$(version "$python")
    found=$(version "$folder/bin/python")
    if [ "$found" != "$wanted" ]; then
        echo "setup: $folder is of Python $found, and $python is Python $wanted: rm -r $folder, or VENV=.venv-$wanted for another beside it" >&2
        exit 1
    fi
else
    free_mb=$(($(df -Pk "$(dirname "$folder")" | awk 'NR == 2 { print $4 }') / 1024))
    if [ "$free_mb" -lt "$room_mb" ]; then
        echo "setup: $folder needs $room_mb MB, and the disk has $free_mb MB left: free some, or put the project on another disk" >&2
        exit 1
    fi
    "$python" -m venv --clear "$folder"
fi
