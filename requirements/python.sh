#!/bin/sh
# Prints the first interpreter of a version that Vitrine runs on: 3.11, which CI tests, before later ones. One whose
# program is there and does not run (a shim of a version manager) is passed over. Where there is none, prints python3.11.
for name in python3.11 python3.12 python3.13 python3; do
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$name" && exit 0
done
echo python3.11
