#!/bin/sh
# Sees to what no wheel carries. To serve: venv for the environment, libpython for Triton's python backend. With `train`,
# the GL libraries that skia (which draws the procedural catalogue) is linked against. With `test`, also what the tests
# start: a browser and Node.js for the page, Redis for shared sessions, Prometheus for alerts and dashboards, a network
# namespace for the real Milvus, a C compiler for TensorRT's stubs, git for the rules of the tree, a voice and recordings for speech.
# Installs what is missing where it may (root, apt-get); otherwise says the one command that does, and exits 1.
set -eu
cd "$(dirname "$0")"
usage="usage: system.sh PYTHON serve|train|test"
python=${1:?$usage}
purpose=${2:?$usage}
case "$purpose" in
serve | train | test) ;;
*) echo "$usage" >&2 && exit 2 ;;
esac
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || {
    echo "setup: $python is not there; Vitrine needs Python 3.11, 3.12 or 3.13 (make PYTHON=/path/to/python3.11 ...)" >&2
    exit 1
}
case "$version" in
3.11 | 3.12) ;;
3.13) [ "$purpose" != serve ] || echo "setup: on Python 3.13 everything runs but the local Triton (make demo, make up, make test): those need 3.11 or 3.12" >&2 ;;
*)
    echo "setup: $python is Python $version; Vitrine needs 3.11, 3.12 or 3.13 (make PYTHON=python3.11 ...)" >&2
    exit 1
    ;;
esac

has() { command -v "$1" >/dev/null; }
# A user's own PATH does not lead to where ldconfig is.
has_library() { PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -qF "$1"; }
has_browser() { has chromium || has chromium-browser || has google-chrome; }

# Prints the Debian packages of what is missing, each after a space.
missing() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || printf ' python%s-venv' "$version"
    library=libpython$version.so.1.0
    has_library "$library" || [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')/$library" ] ||
        printf ' libpython%s' "$version"
    has_library libgomp.so.1 || printf ' libgomp1'
    [ "$purpose" != serve ] || return 0
    has_library libGL.so.1 || printf ' libgl1'
    has_library libEGL.so.1 || printf ' libegl1'
    [ "$purpose" = test ] || return 0
    has_browser || printf ' chromium'
    has node || printf ' nodejs'
    has redis-server || printf ' redis-server'
    has promtool || printf ' prometheus'
    has unshare || printf ' util-linux'
    has ip || printf ' iproute2'
    has cc || printf ' gcc libc6-dev'
    has git || printf ' git'
    has espeak-ng || printf ' espeak-ng'
    [ -d /usr/share/pocketsphinx/test/data ] || printf ' pocketsphinx-testdata'
}

# The packages of Redis and Prometheus start services, which nobody asked for: the tests start their own.
stop_service() {
    if [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet "$1.service"
    elif [ -x "/etc/init.d/$1" ]; then
        "/etc/init.d/$1" stop >/dev/null 2>&1 || true # most likely it was never started
        update-rc.d "$1" disable
    fi
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0

install="apt-get install -y --no-install-recommends$wanted"
if [ "$(id -u)" != 0 ] || ! has apt-get; then
    echo "setup: system packages are missing; run this once, then try again: sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "setup: installing$wanted"
export DEBIAN_FRONTEND=noninteractive
./retry.sh apt-get update -qq
./retry.sh $install >/dev/null
for service in redis-server prometheus; do
    case "$wanted" in
    *"$service"*) stop_service "$service" || echo "setup: the service $service, which apt-get has started, was left running" >&2 ;;
    esac
done
left=$(missing)
if [ -n "$left" ]; then
    echo "setup: apt-get has installed$wanted, and$left is missing still: install it another way, then try again" >&2
    exit 1
fi
