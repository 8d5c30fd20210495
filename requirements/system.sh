#!/bin/sh
# Sees to what no wheel carries. For running Vitrine: venv for the environment, libpython for Triton's python backend,
# and the GL libraries that skia (which draws the procedural catalogue) is linked against. With `test`, what the tests
# start beside that: a browser and Node.js for the page, Redis for shared sessions, a network namespace for the real
# Milvus, a C compiler for TensorRT's stubs, git for the rules of the tree, a voice and recordings for speech.
# Installs what is missing where it may (root, apt-get); otherwise says the one command that does, and exits 1.
set -eu
cd "$(dirname "$0")"
usage="usage: system.sh PYTHON [test]"
python=${1:?$usage}
case "${2:-}" in
"" | test) ;;
*) echo "$usage" >&2 && exit 2 ;;
esac
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || {
    echo "setup: $python is not there; Vitrine needs Python 3.11 (make PYTHON=/path/to/python3.11 ...)" >&2
    exit 1
}
if [ "$version" != 3.11 ]; then
    echo "setup: $python is Python $version; the pinned environment is for Python 3.11 (make PYTHON=python3.11 ...)" >&2
    exit 1
fi

has() { command -v "$1" >/dev/null; }
has_library() { ldconfig -p | grep -q "$1"; }
has_browser() { has chromium || has chromium-browser || has google-chrome; }

# Prints the Debian packages of what is missing, each after a space.
missing() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || printf ' python3.11-venv'
    has_library 'libpython3\.11\.so\.1\.0' || [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')/libpython3.11.so.1.0" ] ||
        printf ' libpython3.11'
    has_library 'libGL\.so\.1' || printf ' libgl1'
    has_library 'libEGL\.so\.1' || printf ' libegl1'
    has_library 'libgomp\.so\.1' || printf ' libgomp1'
    [ "${1:-}" = test ] || return 0
    has_browser || printf ' chromium'
    has node || printf ' nodejs'
    has redis-server || printf ' redis-server'
    has unshare || printf ' util-linux'
    has ip || printf ' iproute2'
    has cc || printf ' gcc libc6-dev'
    has git || printf ' git'
    has espeak-ng || printf ' espeak-ng'
    [ -d /usr/share/pocketsphinx/test/data ] || printf ' pocketsphinx-testdata'
}

# redis-server's package starts a service on port 6379, which nobody asked for: the tests start a Redis of their own.
stop_redis_service() {
    if [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet redis-server.service
    elif [ -x /etc/init.d/redis-server ]; then
        /etc/init.d/redis-server stop >/dev/null 2>&1 || true # most likely it was never started
        update-rc.d redis-server disable
    fi
}

wanted=$(missing "${2:-}")
[ -n "$wanted" ] || exit 0

install="apt-get install -y --no-install-recommends$wanted"
if [ "$(id -u)" != 0 ] || ! has apt-get; then
    echo "setup: system packages are missing. Run this once, then try again:" >&2
    echo "  sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "setup: installing$wanted"
export DEBIAN_FRONTEND=noninteractive
./retry.sh apt-get update -qq
./retry.sh $install >/dev/null
case "$wanted" in
*redis-server*) stop_redis_service || echo "setup: the service redis-server, which apt-get has started, was left running" >&2 ;;
esac
left=$(missing "${2:-}")
if [ -n "$left" ]; then
    echo "setup: apt-get has installed$wanted, and$left is missing still: install it another way, then try again" >&2
    exit 1
fi
