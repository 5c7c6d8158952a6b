#!/bin/sh
# Says which lines and branches of src/ tests run: scripts/coverage.sh [CTEST ARGUMENT...], `-L fast` unless told otherwise.
# Builds build/coverage with clang 16 (the packages clang-16, llvm-16 and libclang-rt-16-dev). A table by folder is printed; figures
# of every file go to build/coverage/coverage.json, sources with counts to build/coverage/html. The exit code is 1 if a test fails.
set -eu
cd "$(dirname "$0")/.."
LLVM_PROFILE_FILE=/dev/null scripts/build.sh coverage
exec /usr/bin/python3 -B tools/coverage.py "$@"
