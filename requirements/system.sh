#!/bin/sh
# Sees to the system packages that no wheel carries: venv for the environment, libpython for Triton's python
# backend, the GL libraries that skia (which draws the procedural catalogue) is linked against, and, where CI runs, the
# Redis that the tests of shared sessions start; elsewhere these tests are skipped without it.
# Installs what is missing where it may; otherwise says the one command that does, and exits 1.
set -eu
python=${1:?usage: system.sh PYTHON}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || {
    echo "setup: $python is not there; Vitrine needs Python 3.11 (make PYTHON=/path/to/python3.11 ...)" >&2
    exit 1
}
if [ "$version" != 3.11 ]; then
    echo "setup: $python is Python $version; the pinned environment is for Python 3.11 (make PYTHON=python3.11 ...)" >&2
    exit 1
fi

missing=""
has_library() { ldconfig -p | grep -q "$1"; }
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3.11-venv"
has_library 'libpython3\.11\.so\.1\.0' || [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')/libpython3.11.so.1.0" ] ||
    missing="$missing libpython3.11"
has_library 'libGL\.so\.1' || missing="$missing libgl1"
has_library 'libEGL\.so\.1' || missing="$missing libegl1"
has_library 'libgomp\.so\.1' || missing="$missing libgomp1"
[ -z "${CI:-}" ] || command -v redis-server >/dev/null || missing="$missing redis-server"
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing$missing"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $install >/dev/null
else
    echo "setup: system packages are missing. Run this once, then try again:" >&2
    echo "  sudo apt-get update && sudo $install" >&2
    exit 1
fi
