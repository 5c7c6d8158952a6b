#!/bin/sh
# Installs what is missing, builds everything and runs the tests. Arguments go to ctest, e.g. scripts/test.sh -L fast.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/setup.sh doxygen || echo "The reference of the library is left out: doxygen cannot be installed." >&2
scripts/setup.sh strace valgrind || echo "Tests that watch programs are left out: strace or valgrind cannot be installed." >&2
scripts/python.sh
scripts/build.sh release
/usr/bin/python3 tools/check_layers.py
exec ctest --preset release "$@"
