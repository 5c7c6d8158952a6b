#!/bin/sh
# Fuzzes the readers of files and the kernels: scripts/fuzz.sh [SECONDS [TARGET...]], 60 seconds for each of all targets
# unless told otherwise. Builds build/asan-ubsan with clang 16 (the packages clang-16 and libclang-rt-16-dev). Figures are printed
# and go to build/asan-ubsan/report.json, what is found to build/asan-ubsan/found/TARGET; the exit code is 1 if that is anything.
set -eu
cd "$(dirname "$0")/.."
scripts/build.sh asan-ubsan sotto-fuzz
exec /usr/bin/python3 tests/fuzz/run.py build/asan-ubsan "$@"
