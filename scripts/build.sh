#!/bin/sh
# Configures and builds a preset: scripts/build.sh [PRESET] [TARGET...]. Default: release, everything.
set -eu
cd "$(dirname "$0")/.."
preset=${1:-release}
[ $# -gt 0 ] && shift
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" ${1:+--target "$@"}
